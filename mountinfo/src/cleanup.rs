//! mount-utils' clean-up of a mount point, and the questions it asks first.

pub(crate) mod asked;
pub(crate) mod native;

use std::path::Path;

use crate::error::{Error, GoError, Result};
use crate::internal::coroutine::{self, Direct};
use crate::internal::paths::bytes_of;
use crate::internal::sys;
use crate::mounter::{Mounter, Place};
use crate::profile::Profile;
use crate::utab::ByProgram;
use crate::{log, umount};

/// Whether an error tells of a corrupted mount (`IsCorruptedMnt`): only a bare errno or a path
/// error can, as in Go, and what the mounter's own error says of itself.
pub fn is_corrupted_mount(error: &Error) -> bool {
    match error.as_go() {
        GoError::Errno(errno) | GoError::Path { errno, .. } => sys::is_corrupted_errno(*errno),
        GoError::Foreign(foreign) => foreign.corrupted,
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
/// use subpath_mountinfo::{Existence, path_exists};
/// assert_eq!(path_exists("/proc")?, Existence::Yes);
/// assert_eq!(path_exists("/proc/no such file")?, Existence::No);
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
pub fn path_exists(path: impl AsRef<Path>) -> Result<Existence> {
    let path = bytes_of(&path);
    match sys::stat(path) {
        Ok(_) => Ok(Existence::Yes),
        Err(sys::ENOENT) if sys::exists(path).is_ok() => {
            // Seen on CIFS when the server removed the path: POSIX's stale file handle.
            log!(WARN, target = path, "Potential stale file handle detected: %s", path);
            Ok(Existence::Corrupted(Error::from_errno(sys::ESTALE).about("stat", path)))
        }
        Err(sys::ENOENT) => Ok(Existence::No),
        Err(errno) if sys::is_corrupted_errno(errno) => {
            Ok(Existence::Corrupted(Error::at_path("stat", path, errno)))
        }
        Err(errno) => Err(Error::at_path("stat", path, errno)),
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
///
/// # Examples
/// ```
/// use subpath_mountinfo::{FakeMounter, Mounter, Profile, cleanup_mount_point};
/// let dir = std::env::temp_dir().join(format!("clean-up-{}", std::process::id()));
/// std::fs::create_dir(&dir)?;
/// let mounter = FakeMounter::with_mounts([&dir]);
/// cleanup_mount_point(&mounter, &dir, true, Profile::default())?;
/// assert!(mounter.list()?.is_empty() && !dir.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn cleanup_mount_point<M: Mounter + ?Sized>(
    mounter: &M,
    path: impl AsRef<Path>,
    extensive: bool,
    profile: Profile,
) -> Result<()> {
    let path = bytes_of(&path);
    if !mounter.is_kernel() {
        return coroutine::run(asked::clean_up(
            &Direct(mounter),
            Place::at_bytes(path),
            extensive,
            profile,
        ));
    }
    let mut program = ByProgram::of(path);
    while program.is_due() {
        program.ended(umount::umount(&program.argument()));
    }
    native::clean_up(path, profile)?;
    program.warn_of_rest();
    Ok(())
}

/// Nothing is there.
pub(crate) fn skip(path: &[u8], profile: Profile) -> Result<()> {
    log!(
        WARN,
        target = path,
        "%s cleanup skipped because path does not exist: %s",
        profile.skipped_cleanup(),
        path
    );
    Ok(())
}

/// Removes the place; that it does not exist is no error (`removePath`).
fn remove_path(at: Place<'_>) -> Result<()> {
    log!(DEBUG, target = at.bytes(), "Deleting path %q", at.bytes());
    match remove(at) {
        Err(error) if error.is_not_exist() => {
            log!(DEBUG, target = at.bytes(), "%q does not exist", at.bytes());
            Ok(())
        }
        other => other,
    }
}

fn remove(at: Place<'_>) -> Result<()> {
    match at.dir() {
        Some(dir) => sys::remove_at(dir, at.name_bytes(), sys::Kind::Directory),
        None => sys::remove(at.bytes()),
    }
    .map_err(|errno| Error::at_path("remove", at.bytes(), errno))
}
