//! mount-utils' clean-up of a mount point, and the questions it asks first.

pub(crate) mod asked;
pub(crate) mod native;

use std::path::Path;

use crate::error::{Error, GoError, Result};
use crate::internal::coroutine;
use crate::internal::paths::bytes_of;
use crate::internal::sys;
use crate::mounter::{Mounter, Place};
use crate::profile::Profile;
use crate::utab::ByProgram;
use crate::{log, umount};

/// Returns whether an error means that a mount is corrupted (`IsCorruptedMnt`).
///
/// As in Go this is so only for a bare errno, for an errno with a path, and for a mounter's own error for which
/// Go says so. An error that wraps one of these is not recognised.
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
    /// Something exists at the path.
    Yes,
    /// Nothing exists at the path.
    No,
    /// Something exists at the path, and its mount is corrupted.
    Corrupted(Error),
}

/// Returns whether something exists at the path (`PathExists`). Symlinks are followed.
///
/// It calls stat(2), and waits with that for a server that hangs.
///
/// # Errors
/// Any errno of stat(2) except ENOENT and those of a corrupted mount.
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

/// Unmounts everything at a path and removes the empty directory or file (`CleanupMountPoint`).
///
/// With `extensive` a caller's mounter decides by its exact check whether the path is a mount point, else by
/// its cheap check, which may miss bind mounts. The kernel's mounter ignores it.
///
/// The kernel's mounter unmounts every mount at the path, including stacked ones, and contacts no server, so it
/// works if a server is dead or hangs. The exception is a mount with an entry in /run/mount/utab, because of an
/// option such as `_netdev` or `helper=`. It is unmounted by umount(8), as in mount-utils, and the call waits for
/// umount(8). If that fails, or the server does not answer within five seconds ([`PATIENCE`](crate::PATIENCE)),
/// umount2(2) unmounts, and a warning says that the entry stays.
///
/// # Errors
/// - Any error of the mounter.
/// - `Error checking path: …` if the path cannot be looked up.
/// - `failed to cleanup mount point …` if something is still mounted afterwards.
/// - The errno with which the directory or file cannot be removed.
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
        let at = Place::at_bytes(path);
        return coroutine::run(asked::clean_up(mounter, at, extensive, profile));
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
pub fn skip(path: &[u8], profile: Profile) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeMounter;
    use crate::mounter::{MountPoint, Source};
    use std::cell::Cell;

    /// Fails to tell what is mounted once something was unmounted.
    struct Failing(FakeMounter, Cell<bool>);

    impl Mounter for Failing {
        fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
            if self.1.get() {
                return Err(std::io::Error::from_raw_os_error(nix::libc::EIO).into());
            }
            self.0.is_mount_point(at)
        }
        fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
            self.0.bind(source, at)
        }
        fn unmount(&self, at: Place<'_>) -> Result<()> {
            self.1.set(true);
            self.0.unmount(at)
        }
        fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
            self.unmount(at)
        }
        fn list(&self) -> Result<Vec<MountPoint>> {
            self.0.list()
        }
    }

    #[test]
    fn a_mounters_error_after_the_unmount_is_handed_on() {
        for extensive in [true, false] {
            let mounter = Failing(FakeMounter::with_mounts(["/proc"]), Cell::new(false));
            let profile = Profile::default();
            let error = cleanup_mount_point(&mounter, "/proc", extensive, profile).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(nix::libc::EIO), "{error}");
        }
    }
}
