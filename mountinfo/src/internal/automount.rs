//! Automounts that fail. Each question to one may cost its daemon's whole time-out, so that what was
//! answered once is not asked for again.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;

use crate::internal::sys;

/// An automount on which nothing is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Automount<'p> {
    /// It is the path itself, which can be opened as it is (`O_PATH`).
    Itself,
    /// It is on the way. This is the shortest prefix of the path that cannot be reached without asking:
    /// lstat(2) of it would answer what whoever walked there before was answered.
    OnTheWayTo(&'p [u8]),
}

/// The automount that a walk along a clean path has met, and that has failed. It is not asked.
///
/// The path was walked from `dir`, up to its first `walked` bytes and an automount at that place,
/// through no symlink. `None` also where it cannot be told without asking: before Linux 5.12, and where
/// the kernel has forgotten a part of the path.
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
                // An automount that is there already is not asked by an open with `O_PATH`.
                let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
                Some(sys::open_at_without_symlinks(dir.as_fd(), prefix, flags).ok()?)
            }
            // It is the answer for the whole path, whoever asks.
            Err(_) => return None,
        };
        if end > walked {
            return None;
        }
        begin = end + 1;
    }
    parent.filter(sys::is_automount).map(|_| Automount::Itself)
}

/// Where in a clean path each of its names ends.
fn ends_of_names(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = path.iter().enumerate().skip(1).filter(|(_, b)| **b == b'/').map(|(i, _)| i);
    slashes.chain([path.len()])
}

/// Whether an automount's directory holds a name, as one whose names are shown before they are mounted
/// does. A name that it does not hold it would ask about.
fn lists(dir: &OwnedFd, name: &[u8]) -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    sys::openat(dir, b".", flags, 0)
        .is_ok_and(|dir| sys::read_dir(dir).0.iter().any(|entry| entry.name == name))
}
