//! Go's `filepath.EvalSymlinks`: where a path leads when every link in it is followed.
//!
//! Two ways to one answer. The walk asks lstat(2) about each element, as Go does, and is what
//! every error comes from. Before it, one openat2(2) that refuses links (Linux 5.6) asks the
//! kernel about all elements at once: where it succeeds no element is a link and the path is its
//! own answer. It must never say anything that the walk would not say.

use std::borrow::Cow;

use nix::fcntl::{AT_FDCWD, OFlag};

use super::clean_cow;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::internal::automount::{self, Automount};
use crate::internal::sys::{self, Kind};

/// How many links one path may lead through: Go's limit, not the kernel's 40.
const MAX_LINKS: usize = 255;

/// After how many links the walk asks for the rest at once: more than a kubelet directory or a
/// ConfigMap has on the way, and few enough that a long chain costs no more than it did.
const LINKS_WORTH_ASKING: usize = 4;

/// The clean path that `path` leads to when every symbolic link in it is followed
/// (`filepath.EvalSymlinks`). A relative path gives a relative one, unless a link is absolute.
///
/// # Errors
///
/// `lstat PATH: …` or `readlink PATH: …` with the first element that fails and what the kernel
/// said (EINVAL for a NUL); ENOTDIR alone where something that is no directory has more of the
/// path after it; `EvalSymlinks: too many links` beyond 255 of them.
pub fn eval_symlinks(path: &[u8]) -> Result<Vec<u8>> {
    match without_links(path)? {
        Some(cleaned) => Ok(cleaned.to_vec()),
        None => walk(path, LINKS_WORTH_ASKING, lstat),
    }
}

/// [`eval_symlinks`] by the walk alone.
pub fn eval_symlinks_by_walk(path: &[u8]) -> Result<Vec<u8>> {
    walk(path, 0, lstat)
}

/// [`eval_symlinks`] that asks no server about a mount point, be it the path itself or on the way to
/// it: a link is known by readlink(2), for which a directory is not looked at. What lies below a mount
/// point is looked up where that is served.
pub(crate) fn eval_symlinks_unasked(path: &[u8]) -> Result<Vec<u8>> {
    walk(path, 0, |element| match sys::is_symlink_at(AT_FDCWD, element) {
        Ok(true) => Ok(Kind::Symlink),
        // Or no directory either: the kernel says so of what comes after it.
        Ok(false) => Ok(Kind::Directory),
        Err(errno) => Err(Error::path("lstat", element, errno)),
    })
}

/// The path itself, cleaned, where the kernel vouches in one call that no element of it is a link.
///
/// `None` says nothing: the walk has to tell, and to find the words for what is wrong.
///
/// Why this is what the walk would return:
/// - Only a path that is clean but for slashes at its end is asked about. ".." after a name, "."
///   and "//" have rules of their own, which stay the walk's alone.
/// - The open resolves the prefixes that the walk calls lstat on, with the same search permission
///   on each, the same limits on lengths (ENAMETOOLONG) and the same automounts: those in the
///   middle are mounted, the last one is not (open(2), `O_PATH`; slashes at the end would mount
///   it, so they are left out).
/// - Without `O_NOFOLLOW` a link as the last element fails too (ELOOP), magic links included.
/// - An `O_PATH` open does not ask the file system. The fstat(2) does, as lstat would: a dead FUSE
///   server (ENOTCONN) or a stale NFS handle (ESTALE) must not look well.
///   What stays apart: an element in the middle that may be searched but refuses a look (a security
///   module's getattr hook, a server that died while what lies below it was still cached) ends
///   only the walk.
/// - More after a last element that is no directory is ENOTDIR, even if it is only a slash.
///
/// # Errors
/// What the walk would answer, where finding it would ask an automount again that has just failed.
fn without_links(path: &[u8]) -> Result<Option<&[u8]>> {
    if !Features::get().openat2 {
        return Ok(None);
    }
    let Cow::Borrowed(cleaned) = clean_cow(path) else { return Ok(None) };
    // The walk makes no call for a path without a name in it.
    if matches!(cleaned, b"/" | b"." | b"..") {
        return Ok(None);
    }
    let file = match sys::open_without_symlinks(cleaned, OFlag::O_PATH) {
        Ok(file) => file,
        Err(errno) => {
            return match automount::find(AT_FDCWD, cleaned, cleaned.len()) {
                Some(Automount::OnTheWayTo(place)) => Err(Error::path("lstat", place, errno)),
                _ => Ok(None),
            };
        }
    };
    let Ok(stat) = sys::fstat(&file) else { return Ok(None) };
    let more_follows = cleaned.len() < path.len();
    Ok((stat.kind == Kind::Directory || !more_follows).then_some(cleaned))
}

/// Element by element. After each of the first `ask` links the kernel is asked whether what lies
/// behind it and what is left of the path has no more of them.
fn walk(path: &[u8], ask: usize, kind: impl Fn(&[u8]) -> Result<Kind>) -> Result<Vec<u8>> {
    let mut path = Cow::Borrowed(path);
    let mut links = 0;
    // Where in `path` the walk stands.
    let mut at = usize::from(path.starts_with(b"/"));
    // What lies behind it, without links, and the root it started from: "/" or nothing.
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
                            return Err(Error::new(*b"EvalSymlinks: too many links"));
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
                    _ if end < path.len() => return Err(Error::from_errno(sys::ENOTDIR)),
                    _ => {}
                }
            }
        }
        at = end;
    }
}

/// What the walk has behind it and what it has before it, as one path.
fn put_together(dest: &[u8], rest: &[u8]) -> Vec<u8> {
    let slash = if dest.is_empty() || dest.ends_with(b"/") { &b""[..] } else { b"/" };
    [dest, slash, rest.strip_prefix(b"/").unwrap_or(rest)].concat()
}

/// Takes the last element of `dest` away, or adds ".." where that would need to know more: at the
/// root, which has a ".." of its own, and at the start of a relative path, whose first element
/// Go keeps too ("a/.." stays, for the final clean to resolve).
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

/// The last slash of `dest` that is not its root.
fn last_slash(dest: &[u8], root: usize) -> Option<usize> {
    dest[root..].iter().rposition(|&b| b == b'/').map(|slash| root + slash)
}

fn lstat(path: &[u8]) -> Result<Kind> {
    sys::lstat(path).map(|stat| stat.kind).map_err(|errno| Error::path("lstat", path, errno))
}

fn readlink(path: &[u8]) -> Result<Vec<u8>> {
    sys::readlink(path).map_err(|errno| Error::path("readlink", path, errno))
}
