//! Clean-up of a mount point with a caller's mounter. It is asked the questions that mount-utils asks, in
//! mount-utils' order.

use super::{Existence, path_exists, remove, remove_path, skip};
use crate::error::{Error, Result};
use crate::internal::coroutine::AsyncMounter;
use crate::mounter::Place;
use crate::profile::Profile;
use crate::{flatten, log, text};

/// Cleans up a place as [`cleanup_mount_point`](crate::cleanup_mount_point) does with a caller's mounter.
pub async fn clean_up<M: AsyncMounter + ?Sized>(
    mounter: &M,
    at: Place<'_>,
    extensive: bool,
    profile: Profile,
) -> Result<()> {
    let corrupted = match path_exists(at.path()) {
        Ok(Existence::Yes) => false,
        Ok(Existence::Corrupted(_)) => true,
        Ok(Existence::No) => return skip(at.bytes(), profile),
        Err(error) => return Err(flatten!("Error checking path: %s", error)),
    };
    if corrupted || mounter.can_safely_skip_mount_point_check().await {
        let skips = mounter.can_safely_skip_mount_point_check().await;
        log!(
            DEBUG,
            target = at.bytes(),
            "unmounting %q (corruptedMount: %v, mounterCanSkipMountPointChecks: %v)",
            at.bytes(),
            corrupted,
            skips
        );
        mounter.unmount(at).await?;
        return remove_path(at);
    }
    if remove_if_not_mount_point(mounter, at, extensive).await? {
        return Ok(());
    }
    log!(DEBUG, target = at.bytes(), "%q is a mountpoint, unmounting", at.bytes());
    mounter.unmount(at).await?;
    match remove_if_not_mount_point(mounter, at, extensive).await {
        Ok(true) => Ok(()),
        Err(Check::Remove(error)) => Err(error),
        // The original returns this text here, whatever the check returned.
        Ok(false) | Err(Check::Mounted(_)) => {
            Err(Error::new(text!("failed to cleanup mount point %s", at.bytes())))
        }
        Err(Check::NotMounted(error)) => Err(error),
    }
}

/// Why `remove_if_not_mount_point` failed, and whether it treats the place as a mount point.
enum Check {
    /// The check failed, and the place is treated as not a mount point.
    NotMounted(Error),
    /// The check failed, and the place is treated as a mount point.
    Mounted(Error),
    /// It is not a mount point, and could not be removed.
    Remove(Error),
}

impl From<Check> for Error {
    fn from(check: Check) -> Error {
        match check {
            Check::NotMounted(error) | Check::Mounted(error) | Check::Remove(error) => error,
        }
    }
}

/// Removes the place if nothing is mounted on it, and returns whether it no longer exists
/// (`removePathIfNotMountPoint`).
async fn remove_if_not_mount_point<M: AsyncMounter + ?Sized>(
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
            log!(DEBUG, target = at.bytes(), "%q does not exist", at.bytes());
            Ok(true)
        }
        Err(check) => Err(check),
        Ok(true) => {
            log!(DEBUG, target = at.bytes(), "%q is not a mountpoint, deleting", at.bytes());
            remove(at).map(|()| true).map_err(Check::Remove)
        }
        Ok(false) => Ok(false),
    }
}
