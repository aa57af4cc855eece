//! The functions of Go's `path/filepath` for Unix (Go 1.26), on bytes.
//!
//! All except `eval_symlinks` work on the text of the path alone. Paths may contain any bytes: they need
//! not be UTF-8, and do not end at a NUL. Two helpers of mount-utils are here too,
//! `starts_with_backstep` and `path_within_base`.
//!
//! `tests/go_oracle` compares them with Go's own.

mod eval_symlinks;

use std::borrow::Cow;

use crate::error::{Error, Result};

pub use eval_symlinks::eval_symlinks;
#[doc(hidden)]
pub use eval_symlinks::eval_symlinks_by_walk;
pub(crate) use eval_symlinks::eval_symlinks_unasked;

/// Returns the shortest path that is lexically equivalent (`filepath.Clean`).
pub fn clean(path: &[u8]) -> Vec<u8> {
    clean_cow(path).into_owned()
}

/// Like [`clean`], but borrows the path if at most slashes at its end have to be removed.
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

/// Reports whether a path is clean. It must not be empty or have unneeded slashes at its end.
fn is_clean(path: &[u8]) -> bool {
    if path == b"." || path == b"/" {
        return true;
    }
    let (rooted, elements) = split_root(path);
    // ".." is clean only at the start of a relative path, where there is no name to remove.
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
    // The part that ".." must not remove: the root, or the ".." at the start of a relative path.
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

/// Joins elements with "/" and cleans the result (`filepath.Join`). Empty elements are ignored; if all
/// are empty, so is the result.
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

/// Returns the relative path that leads from `base` to `targ` lexically (`filepath.Rel`).
///
/// # Errors
///
/// `Rel: can't make TARG relative to BASE` if only one of them is absolute, or if the current directory
/// would have to be known.
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

/// How one clean path relates to another, the base.
enum Relation<'a> {
    Same,
    /// The path is below the base; this is its part after the base.
    Below(&'a [u8]),
    /// The path is reached by going up this many levels from the base, then down the rest.
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

/// Returns the length of the elements with which both paths start, including the slash after them. It is
/// one more than the length of a path that ends with the last of these elements.
fn shared_elements(a: &[u8], b: &[u8]) -> usize {
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let ends = |path: &[u8]| path.get(same).is_none_or(|&byte| byte == b'/');
    if ends(a) && ends(b) && same > 0 && a[same - 1] != b'/' {
        return same + 1;
    }
    a[..same].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1)
}

/// Returns all but the last element of a path, cleaned (`filepath.Dir`).
pub fn dir(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    clean(&path[..end])
}

/// Returns the last element of a path: "." for an empty path, "/" for one of slashes only
/// (`filepath.Base`).
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

/// Reports whether a path is absolute (`filepath.IsAbs`).
pub fn is_abs(path: &[u8]) -> bool {
    path.starts_with(b"/")
}

/// Splits a path at each slash, keeping empty strings (`strings.Split(path, "/")`).
pub fn split_segments(path: &[u8]) -> Vec<&[u8]> {
    path.split(|&b| b == b'/').collect()
}

/// Reports whether a clean relative path leads out of its start (mount-utils' `StartsWithBackstep`).
pub fn starts_with_backstep(rel: &[u8]) -> bool {
    rel == b".." || rel.starts_with(b"../")
}

/// Reports whether `full` is `base` or is below it, lexically (mount-utils' `PathWithinBase`).
///
/// It allocates memory only if one of them is not clean.
pub fn path_within_base(full: &[u8], base: &[u8]) -> bool {
    match Relation::of(&clean_cow(base), &clean_cow(full)) {
        Relation::Same => true,
        Relation::Below(rest) => !starts_with_backstep(rest),
        Relation::Up { .. } | Relation::Unknown => false,
    }
}

/// Returns the part of a path after `base` and the slash that follows it: empty for `base` itself, `None` if the
/// path does not lie below it. The bytes of the two are compared and neither is cleaned, so this is for paths
/// that are known to be clean; for others there is [`path_within_base`].
pub fn below<'p>(path: &'p [u8], base: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(base)?;
    if rest.is_empty() || base.ends_with(b"/") { Some(rest) } else { rest.strip_prefix(b"/") }
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

    /// Bytes as readable text.
    fn show(bytes: &[u8]) -> String {
        bytes.escape_ascii().to_string()
    }

    #[test]
    fn clean_borrows_what_is_clean() {
        for path in [&b"/"[..], b".", b"..", b"../a", b"/a/b", b"a/b/", b"/a//", b""] {
            assert!(matches!(clean_cow(path), Cow::Borrowed(_)), "{}", show(path));
        }
    }

    #[test]
    fn what_is_below_is_compared_by_whole_names() {
        for (path, base, want) in [
            (&b"/a"[..], &b"/a"[..], Some(&b""[..])),
            (b"/a/b", b"/a", Some(b"b")),
            (b"/ab", b"/a", None),
            (b"/a", b"/a/b", None),
            (b"/a", b"/", Some(b"a")),
            (b"/", b"/", Some(b"")),
        ] {
            assert_eq!(below(path, base), want, "{} below {}", show(path), show(base));
        }
    }
}
