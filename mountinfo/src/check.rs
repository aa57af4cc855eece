//! Checks whether something is mounted at a path: mount-utils' `IsMountPoint`, `IsNotMountPoint` and
//! `IsLikelyNotMountPoint`.
//!
//! The kernel reports by statx(2) whether an entry is the root of a mount. That is right also for binds of
//! files, for binds within one file system, for a directory bound on itself and for stacked mounts.
//!
//! There are three checks:
//! - [`is_mount_point`] and [`is_not_mount_point`] report a dead server, as mount-utils does. If the entry is
//!   the root of a mount, its server is contacted, with a time limit ([`crate::health`]).
//! - [`is_likely_not_mount_point`] contacts no server, as in mount-utils, and reports only what the kernel
//!   itself knows to be broken.
//! - [`is_mount_root`] is for the operations: whether something is mounted, whatever its server does.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::error::{Error, Result};
use crate::features::Features;
use crate::health;
use crate::internal::go_path;
use crate::internal::sys::{self, MountRoot, RawErrno, RootCheck, Sys};
use crate::mounter::{Mounter, Place};
use crate::table::MountTable;

/// Returns whether something is mounted at a path, and checks that its server answers (`IsMountPoint`).
/// Symlinks are followed, and slashes at the end are ignored.
///
/// For a path that is not a mount point this is one system call. For a mount whose file system may have a
/// server, a thread contacts the server, and the caller waits five seconds at most
/// ([`PATIENCE`](crate::PATIENCE)).
///
/// # Errors
/// The errno, with the path:
/// - ENOENT if nothing exists there; ENOTDIR, ELOOP or EACCES if a directory of the path cannot be searched.
/// - The error of the file system that is mounted at the path or above it, such as ENOTCONN, ESTALE, EIO or
///   EACCES; see [`is_corrupted_mount`](crate::is_corrupted_mount).
/// - ETIMEDOUT if the server does not answer.
///
/// # Examples
/// ```
/// use subpath_mountinfo::{ErrorKind, is_mount_point};
/// assert!(is_mount_point("/proc")?);
/// assert!(!is_mount_point("/proc/self")?);
/// assert_eq!(is_mount_point("/no such file").unwrap_err().kind(), ErrorKind::NotFound);
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
pub fn is_mount_point(path: impl AsRef<Path>) -> Result<bool> {
    is_mount_point_at(Place::at(&path))
}

/// Returns whether nothing is mounted at a path, by the mounter's exact check (`IsNotMountPoint`).
///
/// # Errors
/// Any error of the mounter. (mount-utils also returns `true` with an error.)
///
/// # Examples
/// ```
/// use subpath_mountinfo::{KernelMounter, is_not_mount_point};
/// assert!(!is_not_mount_point(&KernelMounter, "/proc")?);
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
pub fn is_not_mount_point<M: Mounter + ?Sized>(
    mounter: &M,
    path: impl AsRef<Path>,
) -> Result<bool> {
    mounter.is_mount_point(Place::at(&path)).map(|mounted| !mounted)
}

/// Returns whether nothing is mounted at a path (`IsLikelyNotMountPoint`). Unlike mount-utils' function it does
/// not miss bind mounts. It contacts no server, so it does not report one that is dead or hangs.
///
/// # Errors
/// The errno, with the path. EIO if the mounted file system was shut down and reports that without reading its
/// disk (XFS). (mount-utils also returns `true` with an error.)
///
/// # Examples
/// ```
/// use subpath_mountinfo::{ErrorKind, is_likely_not_mount_point};
/// assert!(!is_likely_not_mount_point("/proc")?);
/// let error = is_likely_not_mount_point("/no such file").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
pub fn is_likely_not_mount_point(path: impl AsRef<Path>) -> Result<bool> {
    is_likely_not_mount_point_at(Place::at(&path))
}

/// [`is_mount_point`] at a place.
pub(crate) fn is_mount_point_at(at: Place<'_>) -> Result<bool> {
    let fail = |errno| path_error(at, errno);
    let Some(root) = working_root(at).map_err(fail)? else { return Ok(false) };
    if root.local {
        return Ok(true);
    }
    match health::look(at, root)? {
        Ok(()) => Ok(true),
        // It was unmounted meanwhile. Else the server has removed what is mounted, for which
        // mount-utils' PathExists takes ENOENT too.
        Err(sys::ENOENT) => match is_mount_root(at) {
            Ok(true) => Err(fail(sys::ESTALE)),
            other => other.map_err(fail),
        },
        Err(errno) => Err(fail(errno)),
    }
}

/// [`is_likely_not_mount_point`] at a place.
pub(crate) fn is_likely_not_mount_point_at(at: Place<'_>) -> Result<bool> {
    let root = working_root(at).map_err(as_drivers_know);
    root.map(|root| root.is_none())
        .map_err(|errno| Error::from_errno(errno).about("statx", at.bytes()))
}

/// An error of the exact checks.
pub(crate) fn path_error(at: Place<'_>, errno: RawErrno) -> Error {
    match errno {
        // mount-utils answers the sentinel itself.
        sys::ENOENT => Error::not_exist().about("statx", at.bytes()),
        errno => Error::of_call("statx", at.bytes(), as_drivers_know(errno)),
    }
}

/// The errno by which drivers know a dead server. Linux 7.3 answers ECONNREFUSED for a FUSE server that
/// died before it had greeted the kernel, up to then it was ENOTCONN as for any other.
fn as_drivers_know(errno: RawErrno) -> RawErrno {
    if errno == sys::ECONNREFUSED { sys::ENOTCONN } else { errno }
}

/// Whether the place is the root of a mount.
///
/// By path alone links are followed, as mount-utils follows them; by descriptor they are not.
pub(crate) fn is_mount_root(at: Place<'_>) -> Sys<bool> {
    match told(at) {
        Ok(RootCheck::Root(_)) => Ok(true),
        Ok(RootCheck::NotRoot) => Ok(false),
        Err(errno @ (sys::ENOENT | sys::ENOTDIR | sys::EINVAL | sys::ELOOP)) => Err(errno),
        // The kernel is older than 5.8, or the mounted file system refused to be looked at.
        Ok(RootCheck::Unknown) | Err(_) => root_by_number(at).map(|root| root.is_some()),
    }
}

/// The mount whose root the place is, `None` where it is no mount's. No server is asked, but a file
/// system that knows that it was shut down is an error.
fn working_root(at: Place<'_>) -> Sys<Option<MountRoot>> {
    match told(at) {
        Ok(RootCheck::Root(root)) => Ok(Some(root)),
        Ok(RootCheck::NotRoot) => Ok(None),
        // A security module refused the look, or a sandbox the call.
        Ok(RootCheck::Unknown) | Err(sys::EACCES | sys::EPERM) => root_by_number(at),
        Err(errno) => Err(errno),
    }
}

fn told(at: Place<'_>) -> Sys<RootCheck> {
    match at.dir() {
        Some(dir) => sys::root_at(dir, at.name_bytes()),
        None => sys::root_path(go_path::without_trailing_slashes(at.bytes())),
    }
}

/// The mount whose root the place is, where statx(2) does not tell.
fn root_by_number(at: Place<'_>) -> Sys<Option<MountRoot>> {
    match at.dir() {
        Some(dir) => root_by_id(dir, at.name_bytes()),
        None => root_by_table(go_path::without_trailing_slashes(at.bytes())),
    }
}

/// By mount numbers: an entry that lies on another mount than its directory is the root of that
/// mount. It opens nothing but the entry itself, and so waits for no file system either.
fn root_by_id(dir: impl AsFd, name: &[u8]) -> Sys<Option<MountRoot>> {
    let entry = sys::openat(dir.as_fd(), name, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)?;
    let mount = sys::mount_id(&entry)?;
    // Without statx(2) the device could not be had without its server, and is left out.
    let is_other = sys::mount_id(dir)? != mount;
    let told = || if Features::get().statx { sys::cached_stat_fd(&entry).ok() } else { None };
    Ok(is_other.then(|| MountRoot {
        mount,
        device: told().map_or(0, |cached| cached.stat.dev),
        local: false,
    }))
}

/// By path, where links are followed and there is no directory to compare with: the kernel tells on
/// which mount the file lies and what its path is, the table where that mount is mounted.
fn root_by_table(path: &[u8]) -> Sys<Option<MountRoot>> {
    let file = sys::open(path, OFlag::O_PATH)?;
    let id = sys::mount_id(&file)?;
    let real = sys::real_path_of(file.as_fd())?;
    let table = MountTable::current().map_err(errno_of).map_err(sys::or_no_proc)?;
    // None: the mount point lies outside of this process's root directory.
    let Some(mount) = table.by_id(id).map_err(errno_of)? else { return Ok(None) };
    // The kernel marks the path of a file that was deleted, also of one that is mounted.
    let unmarked = real.strip_suffix(b" (deleted)").filter(|_| mount.is_deleted());
    let device = rustix::fs::makedev(mount.device.major, mount.device.minor);
    let rooted = MountRoot { mount: id, device, local: false };
    Ok(mount.is_mounted_at(OsStr::from_bytes(unmarked.unwrap_or(&real))).then_some(rooted))
}

fn errno_of(error: Error) -> RawErrno {
    error.raw_os_error().unwrap_or(sys::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_answer_the_same() {
        for path in
            [&b"/"[..], b"/proc", b"/proc/.", b"/proc/..", b"/proc/self", b"/proc/self/root"]
        {
            let asked = is_mount_root(Place::at_bytes(path));
            let by_table = root_by_table(path).map(|root| root.is_some());
            assert_eq!(by_table, asked, "{}", path.escape_ascii());
        }
        for (path, errno) in [
            (&b""[..], sys::ENOENT),
            (b"/no such file", sys::ENOENT),
            (b"/proc/version/below", sys::ENOTDIR),
            (b"/nul\0", sys::EINVAL),
        ] {
            assert_eq!(is_mount_root(Place::at_bytes(path)), Err(errno), "{}", path.escape_ascii());
            assert_eq!(root_by_table(path), Err(errno), "{}", path.escape_ascii());
        }
    }
}
