//! Clean-up of a mount point by system calls on descriptors, for the kernel's own mounts.

use std::os::fd::AsFd;

use super::{Existence, remove_path, skip};
use crate::error::{Error, Result};
use crate::internal::{go_path, sys};
use crate::kernel::KernelMounter;
use crate::mounter::{Mounter, Place};
use crate::profile::Profile;
use crate::{check, locate, log, text};

/// Takes away every mount that lies on a path, then what the path names. No program is run.
///
/// # Errors
/// `Error checking path: …` where the path cannot be looked up; those of [`KernelMounter::clear`].
pub fn clean_up(path: &[u8], profile: Profile) -> Result<()> {
    let entry = go_path::without_trailing_slashes(path);
    match locate::directory_of(entry) {
        Ok(Some(dir)) => KernelMounter.clear(dir.as_fd(), entry, sys::Kind::Directory),
        Ok(None) => clean_up_behind(Place::at_bytes(path), profile),
        Err(sys::ENOENT) => skip(path, profile),
        Err(errno) => Err(unreachable(path, errno)),
    }
}

/// Takes away the topmost mount where a symlink leads to, or of a path such as `/` or `..`, as
/// mount-utils does: by path.
fn clean_up_behind(at: Place<'_>, profile: Profile) -> Result<()> {
    let corrupted = match is_there(at) {
        Ok(Existence::Yes) => false,
        Ok(Existence::Corrupted(_)) => true,
        Ok(Existence::No) => return skip(at.bytes(), profile),
        Err(error) => return Err(Error::flatten(text!("Error checking path: %s", error), &error)),
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

/// [`path_exists`] that asks no server of what is mounted at the place.
fn is_there(at: Place<'_>) -> Result<Existence> {
    match check::is_mount_root(at) {
        Ok(_) => Ok(Existence::Yes),
        Err(sys::ENOENT) => Ok(Existence::No),
        Err(errno) => {
            let error = Error::at_path("stat", at.bytes(), errno);
            if sys::is_corrupted_errno(errno) {
                Ok(Existence::Corrupted(error))
            } else {
                Err(error)
            }
        }
    }
}

/// The error of a path whose directory cannot be opened, as the way by path would have put it: what
/// tells of a corrupted mount is met in unmounting, everything else in looking.
fn unreachable(path: &[u8], errno: sys::RawErrno) -> Error {
    match sys::is_corrupted_errno(errno) {
        true => Error::at_path("unmount", path, errno),
        false => {
            let cause = Error::at_path("stat", path, errno);
            Error::flatten(text!("Error checking path: %s", cause), &cause)
        }
    }
}
