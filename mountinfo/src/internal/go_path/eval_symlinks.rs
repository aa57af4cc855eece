//! Go's `filepath.EvalSymlinks`: resolves the symbolic links in a path.
//!
//! There are two ways with the same result. The walk calls lstat(2) for each element, as Go does, and all
//! errors come from it. Before the walk, a single openat2(2) that refuses links (Linux 5.6) checks all
//! elements at once: if it succeeds, no element is a link, and the path itself is the result. It must never
//! return anything else than the walk would.

use std::borrow::Cow;

use nix::fcntl::{AT_FDCWD, OFlag};

use super::clean_cow;
use crate::error::{Error, ErrorKind, Result};
use crate::internal::automount::{self, Automount};
use crate::internal::sys::{self, Features, Kind};
use crate::text;

/// How many links may be followed for one path. This is the limit of Go; that of the kernel is 40.
const MAX_LINKS: usize = 255;

/// After how many links at most the walk tries openat2(2) for the rest of the path. This is more than a
/// kubelet directory or a ConfigMap has, and few enough not to slow down a long chain of links.
const LINKS_WORTH_ASKING: usize = 4;

/// Resolves all symbolic links in a path and returns a clean one (`filepath.EvalSymlinks`). The result for
/// a relative path is relative, unless a link is absolute.
///
/// # Errors
///
/// - `lstat PATH: …` or `readlink PATH: …` for the first element that fails, with its errno (EINVAL for a
///   NUL byte).
/// - ENOTDIR alone if an element that is not the last one is no directory.
/// - `EvalSymlinks: too many links` after 255 links.
pub fn eval_symlinks(path: &[u8]) -> Result<Vec<u8>> {
    match without_links(path)? {
        Some(cleaned) => Ok(cleaned.to_vec()),
        None => walk(path, LINKS_WORTH_ASKING, lstat),
    }
}

/// Does what [`eval_symlinks`] does by the walk alone, for tests that compare the two ways.
pub fn eval_symlinks_by_walk(path: &[u8]) -> Result<Vec<u8>> {
    walk(path, 0, lstat)
}

/// Resolves symbolic links as [`eval_symlinks`] does, but does not ask the server of a mount point, neither
/// of one on the way nor at the path itself: links are recognized by readlink(2), which does not request
/// attributes. Only names below a mount point are looked up by its server.
pub(crate) fn eval_symlinks_unasked(path: &[u8]) -> Result<Vec<u8>> {
    walk(path, 0, |element| match sys::is_symlink_at(AT_FDCWD, element) {
        Ok(true) => Ok(Kind::Symlink),
        // It may be no directory. Then the lookup of the next element fails.
        Ok(false) => Ok(Kind::Directory),
        Err(errno) => Err(Error::at_path("lstat", element, errno)),
    })
}

/// Returns the cleaned path if one openat2(2) shows that no element of it is a link. `None` means that
/// the walk has to decide, for example because there is a link or the call failed.
///
/// Why the result is what the walk would return:
/// - The path is only tried if it is clean except for slashes at its end. The rules for ".." after a name,
///   for "." and for "//" are left to the walk.
/// - The call resolves the same prefixes as the walk: with the same search permission for each, the same
///   limits of length (ENAMETOOLONG) and the same automounts. Automounts in the middle are triggered, and
///   the last one is not (open(2), `O_PATH`). Slashes at the end would trigger it, so they are removed.
/// - The call fails if the last element is a link (ELOOP), since it has no `O_NOFOLLOW`.
/// - Opening with `O_PATH` does not ask the file system, but the fstat(2) after it does, as lstat(2)
///   would: it fails for a dead FUSE server (ENOTCONN) and a stale NFS handle (ESTALE).
/// - If the last element is no directory and more follows, even a slash, the walk returns ENOTDIR.
///
/// One difference remains: if an element in the middle may be searched but its attributes may not be read,
/// only the walk fails. This can happen with a security module, or if a server died while the elements below
/// it were still cached.
///
/// # Errors
/// The error of the walk if an automount has just failed, which the walk would trigger once more.
fn without_links(path: &[u8]) -> Result<Option<&[u8]>> {
    if !Features::get().openat2 {
        return Ok(None);
    }
    let Cow::Borrowed(cleaned) = clean_cow(path) else { return Ok(None) };
    // The walk makes no system call for a path without a name.
    if matches!(cleaned, b"/" | b"." | b"..") {
        return Ok(None);
    }
    let file = match sys::open_without_symlinks(cleaned, OFlag::O_PATH) {
        Ok(file) => file,
        Err(errno) => {
            return match automount::find(AT_FDCWD, cleaned, cleaned.len()) {
                Some(Automount::OnTheWayTo(place)) => Err(Error::at_path("lstat", place, errno)),
                _ => Ok(None),
            };
        }
    };
    let Ok(stat) = sys::fstat(&file) else { return Ok(None) };
    let more_follows = cleaned.len() < path.len();
    Ok((stat.kind == Kind::Directory || !more_follows).then_some(cleaned))
}

/// Resolves a path element by element. After each of the first `ask` links it tries [`without_links`] for
/// the path that is left.
fn walk(path: &[u8], ask: usize, kind: impl Fn(&[u8]) -> Result<Kind>) -> Result<Vec<u8>> {
    let mut path = Cow::Borrowed(path);
    let mut links = 0;
    // The position in `path` of the next element.
    let mut at = usize::from(path.starts_with(b"/"));
    // The resolved part, and the length of its root: 1 for "/", 0 for a relative path.
    let mut dest = path[..at].to_vec();
    let mut root = at;

    loop {
        at += path[at..].iter().take_while(|&&b| b == b'/').count();
        let end = at + path[at..].iter().take_while(|&&b| b != b'/').count();
        match &path[at..end] {
            b"" => return Ok(clean_cow(&dest).into_owned()),
            b"." => {}
            b".." => go_up(&mut dest, root),
            name => {
                if !dest.is_empty() && !dest.ends_with(b"/") {
                    dest.push(b'/');
                }
                dest.extend_from_slice(name);
                match kind(&dest)? {
                    Kind::Symlink => {
                        links += 1;
                        if links > MAX_LINKS {
                            return Err(Error::new("EvalSymlinks: too many links")
                                .of_kind(ErrorKind::Symlink)
                                .shown_as(text!("too many symlinks in %s", dest)));
                        }
                        let mut target = readlink(&dest)?;
                        if target.starts_with(b"/") {
                            dest.clear();
                            dest.push(b'/');
                            root = 1;
                        } else {
                            dest.truncate(last_slash(&dest, root).unwrap_or(root));
                        }
                        at = usize::from(target.starts_with(b"/"));
                        target.extend_from_slice(&path[end..]);
                        if links <= ask {
                            let whole = put_together(&dest, &target);
                            if let Some(cleaned) = without_links(&whole)? {
                                return Ok(cleaned.to_vec());
                            }
                        }
                        path = Cow::Owned(target);
                        continue;
                    }
                    Kind::Directory => {}
                    _ if end < path.len() => {
                        return Err(Error::from_errno(sys::ENOTDIR).about("lstat", &dest));
                    }
                    _ => {}
                }
            }
        }
        at = end;
    }
}

/// Joins the resolved part of a path and the rest.
fn put_together(dest: &[u8], rest: &[u8]) -> Vec<u8> {
    let slash = if dest.is_empty() || dest.ends_with(b"/") { &b""[..] } else { b"/" };
    [dest, slash, rest.strip_prefix(b"/").unwrap_or(rest)].concat()
}

/// Removes the last element of `dest`, or appends ".." if there is none to remove: at the root, and at the
/// start of a relative path. Go also keeps the first element of a relative path ("a/.."); the final
/// clean removes it.
fn go_up(dest: &mut Vec<u8>, root: usize) {
    match last_slash(dest, root) {
        Some(slash) if &dest[slash + 1..] != b".." => dest.truncate(slash),
        _ => {
            if dest.len() > root {
                dest.push(b'/');
            }
            dest.extend_from_slice(b"..");
        }
    }
}

/// Returns the position of the last slash of `dest` after its root.
fn last_slash(dest: &[u8], root: usize) -> Option<usize> {
    dest[root..].iter().rposition(|&b| b == b'/').map(|slash| root + slash)
}

fn lstat(path: &[u8]) -> Result<Kind> {
    sys::lstat(path).map(|stat| stat.kind).map_err(|errno| Error::at_path("lstat", path, errno))
}

fn readlink(path: &[u8]) -> Result<Vec<u8>> {
    sys::readlink(path).map_err(|errno| Error::at_path("readlink", path, errno))
}
