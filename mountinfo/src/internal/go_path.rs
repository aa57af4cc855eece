//! Go's `path/filepath` on bytes, as it works on Unix (Go 1.26).
//!
//! Lexical but for [`eval_symlinks`]; nothing here takes a path for UTF-8 or stops at a NUL.
//! mount-utils' helpers on top of it, [`starts_with_backstep`] and [`path_within_base`], are here
//! too.

mod eval_symlinks;

use std::borrow::Cow;

use crate::error::{Error, Result};

pub use eval_symlinks::eval_symlinks;
#[doc(hidden)]
pub use eval_symlinks::eval_symlinks_by_walk;
pub(crate) use eval_symlinks::eval_symlinks_unasked;

/// The shortest path that means the same by its text alone (`filepath.Clean`).
pub fn clean(path: &[u8]) -> Vec<u8> {
    clean_cow(path).into_owned()
}

/// [`clean`] that borrows the path where only slashes at its end are to go, or nothing at all.
pub fn clean_cow(path: &[u8]) -> Cow<'_, [u8]> {
    let trimmed = without_trailing_slashes(path);
    if trimmed.is_empty() {
        Cow::Borrowed(b".")
    } else if is_clean(trimmed) {
        Cow::Borrowed(trimmed)
    } else {
        Cow::Owned(rebuild_clean(trimmed))
    }
}

/// The path without the slashes at its end; a path of slashes keeps one. With one at its
/// end the kernel refuses a file (ENOTDIR).
pub fn without_trailing_slashes(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&b| b != b'/') {
        Some(last) => &path[..=last],
        None => &path[..path.len().min(1)],
    }
}

/// Whether [`clean`] leaves a path as it is that is not empty and has no slash to lose at its end.
fn is_clean(path: &[u8]) -> bool {
    if path == b"." || path == b"/" {
        return true;
    }
    let (rooted, elements) = split_root(path);
    // Only at the start of a relative path has ".." nothing to take away.
    let mut may_go_up = !rooted;
    elements.split(|&b| b == b'/').all(|element| match element {
        b"" | b"." => false,
        b".." => may_go_up,
        _ => {
            may_go_up = false;
            true
        }
    })
}

fn rebuild_clean(path: &[u8]) -> Vec<u8> {
    let (rooted, elements) = split_root(path);
    let root = usize::from(rooted);
    let mut out = Vec::with_capacity(path.len());
    out.extend_from_slice(&path[..root]);
    // What ".." must not take away: the root, or the ".." that a relative path starts with.
    let mut floor = root;
    for element in elements.split(|&b| b == b'/') {
        match element {
            b"" | b"." => {}
            b".." if out.len() > floor => {
                let parent = out[floor..].iter().rposition(|&b| b == b'/');
                out.truncate(floor + parent.unwrap_or(0));
            }
            b".." if rooted => {}
            _ => {
                if out.len() > root {
                    out.push(b'/');
                }
                out.extend_from_slice(element);
                if element == b".." {
                    floor = out.len();
                }
            }
        }
    }
    if out.is_empty() {
        out.push(b'.');
    }
    out
}

fn split_root(path: &[u8]) -> (bool, &[u8]) {
    match path.strip_prefix(b"/") {
        Some(rest) => (true, rest),
        None => (false, path),
    }
}

/// The elements joined by "/" and cleaned; empty elements do not count, and of nothing but empty
/// elements comes the empty path (`filepath.Join`).
pub fn join(elements: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(elements.iter().map(|e| e.len() + 1).sum());
    for element in elements.iter().filter(|e| !e.is_empty()) {
        if !joined.is_empty() {
            joined.push(b'/');
        }
        joined.extend_from_slice(element);
    }
    if joined.is_empty() {
        return joined;
    }
    match clean_cow(&joined) {
        Cow::Owned(cleaned) => cleaned,
        Cow::Borrowed(cleaned) => {
            let len = cleaned.len();
            joined.truncate(len);
            joined
        }
    }
}

/// The path that leads from `base` to `targ` by their texts alone (`filepath.Rel`).
///
/// # Errors
///
/// `Rel: can't make TARG relative to BASE` where one is absolute and the other is not, or where
/// the way up from `base` would need to know the current directory.
pub fn rel(base: &[u8], targ: &[u8]) -> Result<Vec<u8>> {
    let (clean_base, clean_targ) = (clean_cow(base), clean_cow(targ));
    match Relation::of(&clean_base, &clean_targ) {
        Relation::Same => Ok(b".".to_vec()),
        Relation::Below(rest) => Ok(rest.to_vec()),
        Relation::Up { levels, rest } => {
            let mut out = b"..".to_vec();
            for _ in 1..levels {
                out.extend_from_slice(b"/..");
            }
            if !rest.is_empty() && rest != b"." {
                out.push(b'/');
                out.extend_from_slice(rest);
            }
            Ok(out)
        }
        Relation::Unknown => {
            Err(Error::new([b"Rel: can't make ", targ, b" relative to ", base].concat()))
        }
    }
}

/// How one clean path lies to another.
enum Relation<'a> {
    Same,
    /// The target is what is left of it after the base.
    Below(&'a [u8]),
    /// So many levels up from the base, then down what is left of the target.
    Up {
        levels: usize,
        rest: &'a [u8],
    },
    Unknown,
}

impl<'a> Relation<'a> {
    fn of(base: &[u8], targ: &'a [u8]) -> Self {
        if base == targ {
            return Relation::Same;
        }
        if is_abs(base) != is_abs(targ) {
            return Relation::Unknown;
        }
        let base = if base == b"." { b"" } else { base };
        let shared = shared_elements(base, targ);
        let (base, rest) = (&base[shared.min(base.len())..], &targ[shared.min(targ.len())..]);
        if base.is_empty() {
            return Relation::Below(rest);
        }
        let mut levels = base.split(|&b| b == b'/');
        if levels.next() == Some(b"..") {
            return Relation::Unknown;
        }
        Relation::Up { levels: 1 + levels.count(), rest }
    }
}

/// How many bytes the elements that both paths start with take, the slash after them included:
/// one more than a path has where it ends with the last of them.
fn shared_elements(a: &[u8], b: &[u8]) -> usize {
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let ends = |path: &[u8]| path.get(same).is_none_or(|&byte| byte == b'/');
    if ends(a) && ends(b) && same > 0 && a[same - 1] != b'/' {
        return same + 1;
    }
    a[..same].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1)
}

/// All but the last element of the path, cleaned (`filepath.Dir`).
pub fn dir(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    clean(&path[..end])
}

/// The last element of the path: "." of an empty path, "/" of slashes alone (`filepath.Base`).
pub fn base(path: &[u8]) -> &[u8] {
    if path.is_empty() {
        return b".";
    }
    let path = without_trailing_slashes(path);
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) if path.len() > 1 => &path[slash + 1..],
        _ => path,
    }
}

/// Whether the path starts at the root (`filepath.IsAbs`).
pub fn is_abs(path: &[u8]) -> bool {
    path.starts_with(b"/")
}

/// What lies between the slashes, empty strings included (`strings.Split(path, "/")`).
pub fn split_segments(path: &[u8]) -> Vec<&[u8]> {
    path.split(|&b| b == b'/').collect()
}

/// Whether a relative path leaves where it starts (mount-utils' `StartsWithBackstep`).
pub fn starts_with_backstep(rel: &[u8]) -> bool {
    rel == b".." || rel.starts_with(b"../")
}

/// Whether `full` is `base` or lies in it, by their texts alone (mount-utils' `PathWithinBase`).
///
/// Allocates only for a path that is not clean.
pub fn path_within_base(full: &[u8], base: &[u8]) -> bool {
    match Relation::of(&clean_cow(base), &clean_cow(full)) {
        Relation::Same => true,
        Relation::Below(rest) => !starts_with_backstep(rest),
        Relation::Up { .. } | Relation::Unknown => false,
    }
}

/// Reports whether a path is `base` or lies below it, by comparing the bytes of the two. Neither is
/// cleaned, so this is for paths that are known to be clean; for others there is [`path_within_base`].
pub fn is_at_or_below(path: &[u8], base: &[u8]) -> bool {
    match path.strip_prefix(base) {
        Some(rest) => rest.is_empty() || rest[0] == b'/' || base.ends_with(b"/"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_slashes_do_not_count() {
        assert_eq!(without_trailing_slashes(b"/proc///"), b"/proc");
        assert_eq!(without_trailing_slashes(b"///"), b"/");
        assert_eq!(without_trailing_slashes(b""), b"");
    }

    /// Bytes in a message as a reader can take them in.
    fn show(bytes: &[u8]) -> String {
        bytes.escape_ascii().to_string()
    }

    #[test]
    fn clean_follows_go() {
        for (path, cleaned) in [
            (&b""[..], &b"."[..]),
            (b".", b"."),
            (b"./", b"."),
            (b"/", b"/"),
            (b"///", b"/"),
            (b"/.", b"/"),
            (b"/..", b"/"),
            (b"/../../a", b"/a"),
            (b"..", b".."),
            (b"../../", b"../.."),
            (b"../../a/../..", b"../../.."),
            (b"a", b"a"),
            (b"a/", b"a"),
            (b"a//b", b"a/b"),
            (b"./a", b"a"),
            (b"a/./b/.", b"a/b"),
            (b"a/..", b"."),
            (b"a/../..", b".."),
            (b"a/b/../../../c", b"../c"),
            (b"/a/b/..", b"/a"),
            (b"/a/b/../../..", b"/"),
            (b"...", b"..."),
            (b"..a/.b", b"..a/.b"),
            (b"a\0//\xff", b"a\0/\xff"),
        ] {
            assert_eq!(show(&clean(path)), show(cleaned), "clean({})", show(path));
        }
    }

    #[test]
    fn clean_borrows_what_is_clean() {
        for path in [&b"/"[..], b".", b"..", b"../a", b"/a/b", b"a/b/", b"/a//", b""] {
            assert!(matches!(clean_cow(path), Cow::Borrowed(_)), "{}", show(path));
        }
    }

    #[test]
    fn join_follows_go() {
        for (elements, joined) in [
            (&[][..], &b""[..]),
            (&[b""], b""),
            (&[b"", b""], b""),
            (&[b"", b"a", b""], b"a"),
            (&[b"/", b"a"], b"/a"),
            (&[b"/", b"/", b".."], b"/"),
            (&[b"a", b"/b"], b"a/b"),
            (&[b"a", b"../../b"], b"../b"),
            (&[b"a/", b""], b"a"),
            (&[b"", b"/a"], b"/a"),
        ] as [(&[&[u8]], &[u8]); 10]
        {
            assert_eq!(show(&join(elements)), show(joined), "{elements:?}");
        }
    }

    #[test]
    fn rel_follows_go() {
        for (base, targ, want) in [
            (&b"a"[..], &b"a"[..], Some(&b"."[..])),
            (b"/a", b"/a/", Some(b".")),
            (b"/a", b"/a/b/c", Some(b"b/c")),
            (b"/a/b", b"/a", Some(b"..")),
            (b"/a/b", b"/a/c", Some(b"../c")),
            (b"/a/bc", b"/a/bd", Some(b"../bd")),
            (b"/a/b", b"/a/bc", Some(b"../bc")),
            (b"/a/b/c", b"/", Some(b"../../..")),
            (b"/", b"/a", Some(b"a")),
            (b".", b"a", Some(b"a")),
            (b"", b"..", Some(b"..")),
            (b"a", b".", Some(b"..")),
            (b"a/b", b".", Some(b"../..")),
            (b"..", b"../a", Some(b"a")),
            (b"../a", b"..", Some(b"..")),
            (b"..", b".", None),
            (b"..", b"a", None),
            (b"../..", b"..", None),
            (b"/a", b"a", None),
            (b"a", b"/a", None),
        ] {
            let got = rel(base, targ);
            match want {
                Some(want) => assert_eq!(
                    got.as_deref().map(show),
                    Ok(show(want)),
                    "rel({}, {})",
                    show(base),
                    show(targ)
                ),
                None => assert_eq!(
                    got.map_err(|e| e.to_string()),
                    Err(format!("Rel: can't make {} relative to {}", show(targ), show(base)))
                ),
            }
        }
    }

    #[test]
    fn dir_and_base_follow_go() {
        for (path, dir_want, base_want) in [
            (&b""[..], &b"."[..], &b"."[..]),
            (b"/", b"/", b"/"),
            (b"//", b"/", b"/"),
            (b"a", b".", b"a"),
            (b"/a", b"/", b"a"),
            (b"a/", b"a", b"a"),
            (b"/a/b", b"/a", b"b"),
            (b"/a/..//b", b"/", b"b"),
            (b"a/b//", b"a/b", b"b"),
        ] {
            assert_eq!(show(&dir(path)), show(dir_want), "dir({})", show(path));
            assert_eq!(show(base(path)), show(base_want), "base({})", show(path));
        }
    }

    #[test]
    fn path_within_base_follows_mount_utils() {
        for (full, base, want) in [
            (&b"/a"[..], &b"/a"[..], true),
            (b"/a/b", b"/a", true),
            (b"/a/b", b"/a/", true),
            (b"/ab", b"/a", false),
            (b"/a", b"/a/b", false),
            (b"/a/../b", b"/a", false),
            (b"/a/..b", b"/a", true),
            (b"/a", b"/", true),
            (b"/", b"/", true),
            (b"..", b".", false),
            (b"../a", b"", false),
            (b"a", b"", true),
            (b"a", b"/", false),
            (b"a", b"..", false),
        ] {
            assert_eq!(path_within_base(full, base), want, "{} in {}", show(full), show(base));
        }
    }

    #[test]
    fn is_at_or_below_compares_whole_names() {
        for (path, base, want) in [
            (&b"/a"[..], &b"/a"[..], true),
            (b"/a/b", b"/a", true),
            (b"/ab", b"/a", false),
            (b"/a", b"/a/b", false),
            (b"/a", b"/", true),
            (b"/", b"/", true),
        ] {
            assert_eq!(is_at_or_below(path, base), want, "{} below {}", show(path), show(base));
        }
    }

    #[test]
    fn split_segments_keeps_empty_ones() {
        assert_eq!(split_segments(b""), [b""]);
        assert_eq!(split_segments(b"/a//b/"), [&b""[..], b"a", b"", b"b", b""]);
    }
}
