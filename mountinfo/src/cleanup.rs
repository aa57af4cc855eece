//! mount-utils' clean-up of a mount point, and the questions it asks first.

pub(crate) mod asked;
pub(crate) mod native;

use crate::error::{Error, Result};
use crate::internal::coroutine::{self, Direct};
use crate::internal::{go_text, sys};
use crate::mounter::{Mounter, Place};
use crate::profile::Profile;
use crate::utab::ByProgram;
use crate::{log, umount};

pub use crate::internal::sys::is_corrupted_errno;

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
    if !mounter.is_kernel() {
        return coroutine::run(asked::clean_up(
            &Direct(mounter),
            Place::at(path),
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
    log!(WARN, profile.skipped_cleanup(), " cleanup skipped because path does not exist: ", path);
    Ok(())
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
