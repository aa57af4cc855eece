//! From a path to the open directory that holds the entry it names.

use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;

use crate::internal::sys::{self, Sys};
use crate::mounter::Place;

/// Opens the directory that holds the entry a path names. `None` where the path
/// names a symlink, which mount-utils follows, or no entry of a directory (`/`, `..`).
pub(crate) fn directory_of(path: &[u8]) -> Sys<Option<OwnedFd>> {
    match parent_of(path)? {
        Some(dir) if !sys::is_symlink_at(&dir, Place::at_bytes(path).name_bytes())? => {
            Ok(Some(dir))
        }
        _ => Ok(None),
    }
}

/// Opens the directory that holds the entry a path names, whether it exists or not. `None` where the
/// path names no entry of a directory (`/`, `..`).
pub(crate) fn parent_of(path: &[u8]) -> Sys<Option<OwnedFd>> {
    let name = Place::at_bytes(path).name_bytes();
    if matches!(name, b"" | b"." | b"..") {
        return Ok(None);
    }
    // Not go_path::dir(), which takes `link/..` for the directory that holds the link.
    let dir = match &path[..path.len() - name.len()] {
        b"" => b".",
        dir => dir,
    };
    sys::open(dir, OFlag::O_PATH | OFlag::O_DIRECTORY).map(Some)
}
