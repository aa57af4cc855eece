//! Finds the automount that made a path fail, without triggering it again. Each attempt may take as long as
//! the timeout of the automount daemon.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;

use crate::internal::sys;

/// An automount point on which nothing is mounted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Automount<'p> {
    /// The path itself is one. It can be opened with `O_PATH` without triggering it.
    Itself,
    /// One is on the way to the path. This is the shortest prefix of the path that cannot be reached
    /// without triggering it: lstat(2) of the prefix would fail as the path did.
    OnTheWayTo(&'p [u8]),
}

/// Returns the automount at which a walk along a path has just failed.
///
/// The path is clean, was walked from `dir` without following symbolic links, and the walk failed within
/// its first `walked` bytes. The result is `None` if there is no automount on the way, and also if that
/// cannot be found out without triggering one: before Linux 5.12, and if a part of the path is no longer in
/// the kernel's cache.
pub fn find(dir: impl AsFd, path: &[u8], walked: usize) -> Option<Automount<'_>> {
    let mut parent: Option<OwnedFd> = None;
    let mut begin = 0;
    for end in ends_of_names(path) {
        let prefix = &path[..end];
        parent = match sys::open_cached(dir.as_fd(), prefix) {
            Ok(file) => Some(file),
            Err(sys::EAGAIN) => {
                if let Some(parent) = parent.filter(sys::is_automount)
                    && !lists(&parent, &path[begin..end])
                {
                    return Some(Automount::OnTheWayTo(prefix));
                }
                // Opening an automount point itself with `O_PATH` does not trigger it.
                let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
                Some(sys::open_at_without_symlinks(dir.as_fd(), prefix, flags).ok()?)
            }
            // Any other error is that of the whole path: no automount is involved.
            Err(_) => return None,
        };
        if end > walked {
            return None;
        }
        begin = end + 1;
    }
    parent.filter(sys::is_automount).map(|_| Automount::Itself)
}

/// Returns the position in a clean path at which each of its names ends.
fn ends_of_names(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = path.iter().enumerate().skip(1).filter(|(_, b)| **b == b'/').map(|(i, _)| i);
    slashes.chain([path.len()])
}

/// Reports whether a directory of autofs lists a name, as it does for names that are shown before they
/// are mounted. Looking up a name that it does not list would trigger the automount.
fn lists(dir: &OwnedFd, name: &[u8]) -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    sys::openat(dir, b".", flags, 0)
        .is_ok_and(|dir| sys::read_dir(dir).0.iter().any(|entry| entry.name == name))
}
