//! Clean-up of a mount point with the kernel's mounter, by system calls on descriptors.

use std::os::fd::AsFd;

use super::{remove_path, skip};
use crate::error::{Error, Result};
use crate::internal::{go_path, sys};
use crate::kernel::KernelMounter;
use crate::mounter::{Mounter, Place};
use crate::profile::Profile;
use crate::{check, flatten, locate, log};

/// Unmounts every mount at a path and removes the directory or file. It runs no program.
///
/// # Errors
/// `Error checking path: …` if the path cannot be looked up, and those of [`KernelMounter::clear`].
pub fn clean_up(path: &[u8], profile: Profile) -> Result<()> {
    let entry = go_path::without_trailing_slashes(path);
    match locate::directory_of(entry) {
        Ok(Some(dir)) => KernelMounter.clear(dir.as_fd(), entry, sys::Kind::Directory),
        Ok(None) => clean_up_behind(Place::at_bytes(path), profile),
        Err(sys::ENOENT) => skip(path, profile),
        Err(errno) => Err(unreachable(path, errno)),
    }
}

/// Unmounts the topmost mount where a symlink leads to, or at a path such as `/` or `..`. It works by path, as
/// mount-utils does.
fn clean_up_behind(at: Place<'_>, profile: Profile) -> Result<()> {
    // The server of a mount there is not contacted.
    let corrupted = match check::is_mount_root(at) {
        Ok(_) => false,
        Err(sys::ENOENT) => return skip(at.bytes(), profile),
        Err(errno) if sys::is_corrupted_errno(errno) => true,
        Err(errno) => return Err(cannot_check(at.bytes(), errno)),
    };
    log!(
        DEBUG,
        target = at.bytes(),
        "unmounting %q (corruptedMount: %v, mounterCanSkipMountPointChecks: true)",
        at.bytes(),
        corrupted
    );
    KernelMounter.unmount(at)?;
    remove_path(at)
}

/// Returns the error for a path whose directory cannot be opened, as mount-utils would return it: it meets an
/// errno of a corrupted mount when it unmounts, and any other when it checks the path.
fn unreachable(path: &[u8], errno: sys::RawErrno) -> Error {
    match sys::is_corrupted_errno(errno) {
        true => Error::at_path("unmount", path, errno),
        false => cannot_check(path, errno),
    }
}

fn cannot_check(path: &[u8], errno: sys::RawErrno) -> Error {
    flatten!("Error checking path: %s", Error::at_path("stat", path, errno))
}
