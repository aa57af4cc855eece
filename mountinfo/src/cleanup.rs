//! mount-utils' clean-up of a mount point, and the questions it asks first.

use std::os::fd::AsFd;

use crate::error::{Error, Result};
use crate::internal::go_text;
use crate::internal::sys;
use crate::mounter::{AsyncMounter, Direct, Mounter, Place, run_now};
use crate::profile::Profile;
use crate::{check, kernel, log, utab};

/// Whether an errno tells of a mount whose server or device is gone (`IsCorruptedMnt`): ENOTCONN,
/// ESTALE, EIO, EACCES, EHOSTDOWN, EWOULDBLOCK or ENODEV; and ECONNREFUSED, which mount-utils does not
/// know: Linux 7.3 answers it for a FUSE server that died before it had greeted the kernel.
pub fn is_corrupted_errno(errno: i32) -> bool {
    use nix::libc;
    matches!(
        errno,
        libc::ENOTCONN
            | libc::ECONNREFUSED
            | libc::ESTALE
            | libc::EIO
            | libc::EACCES
            | libc::EHOSTDOWN
            | libc::EWOULDBLOCK
            | libc::ENODEV
    )
}

/// Whether an error tells of a corrupted mount (`IsCorruptedMnt`): only a bare errno or a path
/// error can, as in Go, and what the mounter's own error says of itself.
pub fn is_corrupted_mount(error: &Error) -> bool {
    use crate::error::ErrorKind::{Errno, Path};
    match (error.kind(), error.errno(), error.as_foreign()) {
        (Errno | Path, Some(errno), _) => is_corrupted_errno(errno),
        (_, _, Some(foreign)) => foreign.corrupted,
        _ => false,
    }
}

/// What [`path_exists`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Existence {
    /// Something is there.
    Yes,
    /// Nothing is there.
    No,
    /// Something is there, and its mount is corrupted.
    Corrupted(Error),
}

/// Whether something is at the path (`PathExists`); links are followed.
///
/// It is stat(2), and waits as long as that does for a server that hangs.
///
/// # Errors
/// Any errno of stat(2) but ENOENT and those of a corrupted mount.
///
/// # Examples
/// ```
/// use subpath_mountinfo::cleanup::{Existence, path_exists};
/// assert_eq!(path_exists(b"/proc")?, Existence::Yes);
/// assert_eq!(path_exists(b"/proc/no such file")?, Existence::No);
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
pub fn path_exists(path: &[u8]) -> Result<Existence> {
    match sys::stat(path) {
        Ok(_) => Ok(Existence::Yes),
        Err(sys::ENOENT) if sys::exists(path).is_ok() => {
            // Seen on CIFS when the server removed the path: POSIX's stale file handle.
            log!(WARN, "Potential stale file handle detected: ", path);
            Ok(Existence::Corrupted(Error::from_errno(sys::ESTALE)))
        }
        Err(sys::ENOENT) => Ok(Existence::No),
        Err(errno) if is_corrupted_errno(errno) => {
            Ok(Existence::Corrupted(Error::path("stat", path, errno)))
        }
        Err(errno) => Err(Error::path("stat", path, errno)),
    }
}

/// [`path_exists`] that asks no server of what is mounted at the place.
fn is_there(at: Place<'_>) -> Result<Existence> {
    match check::is_mount_root(at) {
        Ok(_) => Ok(Existence::Yes),
        Err(sys::ENOENT) => Ok(Existence::No),
        Err(errno) => {
            let error = Error::path("stat", at.path, errno);
            if is_corrupted_errno(errno) { Ok(Existence::Corrupted(error)) } else { Err(error) }
        }
    }
}

/// Unmounts the path and removes what is left of it (`CleanupMountPoint`).
///
/// With `extensive` the mounter's exact check decides whether it is a mount point at all, else its
/// cheap one, which may call a bind mount none.
///
/// The kernel's mounter takes every mount away that lies there, stacked ones too, and asks nothing
/// of them: neither a dead server nor one that hangs matters. Only what mount(8) noted in
/// /run/mount/utab, for an option like `_netdev` or `helper=`, is unmounted by umount(8), as
/// mount-utils does it, which waits for what it waits for; where that fails, or the server does not
/// answer within [`health::PATIENCE`](crate::health::PATIENCE), umount2(2) unmounts, and a warning says
/// that the entry stays.
///
/// # Errors
/// What the mounter answers; `Error checking path: …`; `failed to cleanup mount point …` when it is
/// still mounted afterwards; a path error of `remove`.
pub fn cleanup_mount_point<M: Mounter + ?Sized>(
    mounter: &M,
    path: &[u8],
    extensive: bool,
    profile: Profile,
) -> Result<()> {
    run_now(resumable::cleanup_mount_point_noted(&Direct(mounter), path, extensive, profile))
}

/// Clean-up of a mount point that asks an [`AsyncMounter`], and waits where that has no answer yet.
pub mod resumable {
    use super::*;

    /// [`super::cleanup_mount_point`].
    pub async fn cleanup_mount_point_noted<M: AsyncMounter>(
        mounter: &M,
        path: &[u8],
        extensive: bool,
        profile: Profile,
    ) -> Result<()> {
        let noted = match mounter.is_kernel() {
            true => utab::unmount_noted(mounter, path).await,
            false => None,
        };
        cleanup_mount_point(mounter, Place::at(path), extensive, profile).await?;
        if let Some(noted) = noted {
            noted.warn_of_rest(path);
        }
        Ok(())
    }

    /// [`super::cleanup_mount_point`] of a place that was not mounted by mount(8), a sub path say: it
    /// runs no program.
    pub async fn cleanup_mount_point<M: AsyncMounter>(
        mounter: &M,
        at: Place<'_>,
        extensive: bool,
        profile: Profile,
    ) -> Result<()> {
        if mounter.is_kernel() {
            if let Some(dir) = at.dir {
                return kernel::clear(dir, at.path, sys::Kind::Directory);
            }
            let path = check::without_trailing_slashes(at.path);
            match kernel::directory_of(path) {
                Ok(Some(dir)) => return kernel::clear(dir.as_fd(), path, sys::Kind::Directory),
                Err(sys::ENOENT) => return skip(at.path, profile),
                Err(errno) => return Err(unreachable(at.path, errno)),
                // The path names a symlink or no entry: mount-utils follows it.
                Ok(None) => {}
            }
        }
        let exists = if mounter.is_kernel() { is_there(at) } else { path_exists(at.path) };
        let corrupted = match exists {
            Ok(Existence::Yes) => false,
            Ok(Existence::Corrupted(_)) => true,
            Ok(Existence::No) => return skip(at.path, profile),
            Err(error) => return Err(Error::flatten("Error checking path: ", &error)),
        };
        if corrupted || mounter.can_safely_skip_mount_point_check().await {
            let skips = mounter.can_safely_skip_mount_point_check().await;
            log!(
                DEBUG,
                "unmounting ",
                go_text::quote(at.path),
                " (corruptedMount: ",
                corrupted.to_string(),
                ", mounterCanSkipMountPointChecks: ",
                skips.to_string(),
                ")"
            );
            mounter.unmount(at).await?;
            return remove_path(at);
        }
        if remove_if_not_mount_point(mounter, at, extensive).await? {
            return Ok(());
        }
        log!(DEBUG, go_text::quote(at.path), " is a mountpoint, unmounting");
        mounter.unmount(at).await?;
        match remove_if_not_mount_point(mounter, at, extensive).await {
            Ok(true) => Ok(()),
            Err(Check::Remove(error)) => Err(error),
            // The original gives its own sentence here whatever the check answered.
            Ok(false) | Err(Check::Mounted(_)) => {
                Err(Error::new(crate::text!("failed to cleanup mount point ", at.path)))
            }
            Err(Check::NotMounted(error)) => Err(error),
        }
    }
}

/// The error of a path whose directory cannot be opened, as the way by path would have put it: what
/// tells of a corrupted mount is met in unmounting, everything else in looking.
fn unreachable(path: &[u8], errno: sys::RawErrno) -> Error {
    match is_corrupted_errno(errno) {
        true => Error::path("unmount", path, errno),
        false => Error::flatten("Error checking path: ", &Error::path("stat", path, errno)),
    }
}

/// Nothing is there.
pub(crate) fn skip(path: &[u8], profile: Profile) -> Result<()> {
    log!(WARN, profile.skipped_cleanup(), " cleanup skipped because path does not exist: ", path);
    Ok(())
}

/// Why `remove_if_not_mount_point` failed, and what it took the place for.
enum Check {
    /// The check failed; the place counts as no mount point.
    NotMounted(Error),
    /// The check failed; the place counts as a mount point.
    Mounted(Error),
    /// It is no mount point, and could not be removed.
    Remove(Error),
}

impl From<Check> for Error {
    fn from(check: Check) -> Error {
        match check {
            Check::NotMounted(error) | Check::Mounted(error) | Check::Remove(error) => error,
        }
    }
}

/// Removes the place if nothing is mounted on it (`removePathIfNotMountPoint`); `true` when it is
/// gone.
async fn remove_if_not_mount_point<M: AsyncMounter>(
    mounter: &M,
    at: Place<'_>,
    extensive: bool,
) -> std::result::Result<bool, Check> {
    let not_mounted = if extensive {
        // IsNotMountPoint answers true beside every error.
        mounter.is_mount_point(at).await.map(|mounted| !mounted).map_err(Check::NotMounted)
    } else {
        mounter.is_likely_not_mount_point(at).await.map_err(|error| {
            match error.as_foreign().is_none_or(|foreign| foreign.beside) {
                true => Check::NotMounted(error),
                false => Check::Mounted(error),
            }
        })
    };
    match not_mounted {
        Err(Check::NotMounted(error) | Check::Mounted(error) | Check::Remove(error))
            if error.is_not_exist() =>
        {
            log!(DEBUG, go_text::quote(at.path), " does not exist");
            Ok(true)
        }
        Err(check) => Err(check),
        Ok(true) => {
            log!(DEBUG, go_text::quote(at.path), " is not a mountpoint, deleting");
            remove(at).map(|()| true).map_err(Check::Remove)
        }
        Ok(false) => Ok(false),
    }
}

/// Removes the place; that it does not exist is no error (`removePath`).
fn remove_path(at: Place<'_>) -> Result<()> {
    log!(DEBUG, "Deleting path ", go_text::quote(at.path));
    match remove(at) {
        Err(error) if error.is_not_exist() => {
            log!(DEBUG, go_text::quote(at.path), " does not exist");
            Ok(())
        }
        other => other,
    }
}

fn remove(at: Place<'_>) -> Result<()> {
    match at.dir {
        Some(dir) => sys::remove_at(dir, at.name(), sys::Kind::Directory),
        None => sys::remove(at.path),
    }
    .map_err(|errno| Error::path("remove", at.path, errno))
}
