//! Fast ways for paths in which nothing is a symlink, which are most: openat2(2) resolves a whole path in
//! one call, and refuses it where a link is in it.
//!
//! Each finds nothing that the ways by component would not find, and answers nothing where it is in doubt:
//! then those, `go_path::eval_symlinks` and [`open_beneath`](crate::open::open_beneath), find out and say
//! what is wrong. Without them preparing a sub path that is mounted takes half as long again, and making
//! one directory two thirds (benches/README.md).

use std::borrow::Cow;
use std::os::fd::OwnedFd;

use nix::fcntl::{AT_FDCWD, OFlag};
use subpath_mountinfo::Features;
use subpath_mountinfo::internal::automount::{self, Automount};
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::sys::{self, Kind, Stat, Sys};

use crate::open::{DIRECTORY, PATH, open_unmounted, strictly_below, trace_components};

/// A path that leads through no symlink, and the file that it names, opened with `O_PATH`.
pub(crate) struct SymlinkFree<'p> {
    /// The path and its base without slashes at their ends: filepath.EvalSymlinks leaves them so.
    pub(crate) path: &'p [u8],
    pub(crate) base: &'p [u8],
    pub(crate) fd: OwnedFd,
    pub(crate) stat: Stat,
}

impl SymlinkFree<'_> {
    /// The lines that [`open_beneath`] would have logged.
    pub(crate) fn trace(&self) {
        trace_components(self.base, &self.path[self.base.len() + 1..]);
    }
}

/// Why [`open_symlink_free`] gives nothing.
pub(crate) enum NotSymlinkFree<'p> {
    /// Resolving each path and [`open_beneath`] have to tell.
    Unknown,
    /// Resolving would ask an automount again that has just failed: lstat(2) of this path, the longer
    /// one or a prefix of it, would answer this errno.
    Automount(&'p [u8], i32),
}

/// Resolves both paths and opens the one below the other in two calls, where neither has a link in
/// it.
///
/// It must find nothing that those would not. Like `go_path::eval_symlinks` it asks only about clean
/// paths, by openat2(2) that refuses links. The base is opened for reading, as [`open_beneath`] does;
/// what the base's lstat(2) would have been refused (a dead FUSE server, a stale handle), that open
/// is refused too, or else the fstat(2) of what lies below.
pub(crate) fn open_symlink_free<'p>(
    path: &'p [u8],
    base: &'p [u8],
) -> Result<SymlinkFree<'p>, NotSymlinkFree<'p>> {
    let Cow::Borrowed(cleaned) = go_path::clean_cow(path) else {
        return Err(NotSymlinkFree::Unknown);
    };
    // What follows the base may be short enough where the whole is not.
    if strictly_below(cleaned, base).is_none() || sys::refused(cleaned).is_some() {
        return Err(NotSymlinkFree::Unknown);
    }
    let stopped = |walked: usize, errno| match automount::find(AT_FDCWD, cleaned, walked) {
        Some(Automount::OnTheWayTo(place)) => NotSymlinkFree::Automount(place, errno),
        _ => NotSymlinkFree::Unknown,
    };
    let (base, parent) = match open_symlink_free_directory(base) {
        Some(Ok(opened)) => opened,
        Some(Err(errno)) => return Err(stopped(go_path::clean_cow(base).len(), errno)),
        None => return Err(NotSymlinkFree::Unknown),
    };
    let relative = strictly_below(cleaned, base).ok_or(NotSymlinkFree::Unknown)?;
    let fd = match sys::open_beneath(&parent, relative, DIRECTORY) {
        Ok(opened) => opened,
        Err(sys::ENOTDIR) => {
            // A slash after what is no directory is an error.
            let is_plain = cleaned.len() == path.len();
            let opened = is_plain.then(|| sys::open_beneath(&parent, relative, PATH).ok());
            opened.flatten().ok_or(NotSymlinkFree::Unknown)?
        }
        Err(errno) => {
            open_unmounted(&parent, relative).ok_or_else(|| stopped(cleaned.len(), errno))?
        }
    };
    match sys::fstat(&fd) {
        // `O_PATH` with `O_NOFOLLOW` opens a symlink itself (openat2(2)).
        Ok(stat) if stat.kind != Kind::Symlink => Ok(SymlinkFree { path: cleaned, base, fd, stat }),
        _ => Err(NotSymlinkFree::Unknown),
    }
}

/// Opens a directory for reading, if its path is absolute and no element of it is a link; gives the
/// path without slashes at its end too. `None` where the path is not of that kind.
pub(crate) fn open_symlink_free_directory(path: &[u8]) -> Option<Sys<(&[u8], OwnedFd)>> {
    let Cow::Borrowed(cleaned) = go_path::clean_cow(path) else { return None };
    if !Features::get().openat2 || !go_path::is_abs(cleaned) {
        return None;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
    Some(sys::open_without_symlinks(cleaned, flags).map(|dir| (cleaned, dir)))
}

/// How much of a path exists when no link is in that part, and the directory where it ends.
///
/// Only for a path that is known not to exist: its last element is not looked for.
pub(crate) struct SymlinkFreePrefix<'p> {
    pub(crate) path: &'p [u8],
    /// The part of it that follows the base.
    pub(crate) below_base: &'p [u8],
    pub(crate) missing: Vec<&'p [u8]>,
    pub(crate) dir: OwnedFd,
}

impl<'p> SymlinkFreePrefix<'p> {
    /// Goes down from the base, which is open for reading. `None` says nothing: [`existing_prefix`]
    /// and [`open_beneath`] have to tell.
    pub(crate) fn find(mut dir: OwnedFd, base: &[u8], pathname: &'p [u8]) -> Option<Self> {
        let relative = strictly_below(pathname, base)?;
        let names = go_path::split_segments(relative);
        let mut exist = 0;
        for name in &names[..names.len() - 1] {
            match sys::openat(&dir, name, DIRECTORY, 0) {
                Ok(next) => dir = next,
                Err(sys::ENOENT) => break,
                // The way by component finds it again, and reports it.
                Err(_) => return None,
            }
            exist += 1;
        }
        let missing_len = names[exist..].iter().map(|name| name.len() + 1).sum::<usize>();
        let path = &pathname[..pathname.len() - missing_len];
        let below_base = match relative.len().checked_sub(missing_len) {
            Some(end) => &relative[..end],
            None => b".",
        };
        Some(SymlinkFreePrefix { path, below_base, missing: names[exist..].to_vec(), dir })
    }
}
