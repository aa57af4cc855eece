//! Whether something is mounted at a path: mount-utils' `IsMountPoint`, `IsNotMountPoint` and
//! `IsLikelyNotMountPoint`.
//!
//! The kernel is asked, by statx(2), whether the entry is the root of a mount: right for binds of
//! files, for binds within one file system, for a directory bound on itself and for stacked mounts.
//! Nothing is asked of what is mounted there, so that a server that is dead or hangs cannot matter.

use std::os::fd::AsFd;

use nix::fcntl::OFlag;

use crate::error::{Error, Result};
use crate::kernel::KernelMounter;
use crate::mounter::{Mounter, Place};
use crate::sys::{self, Sys};
use crate::table::MountTable;

/// Whether something is mounted at a path (`IsMountPoint`). Links are followed, slashes at the end
/// do not count.
///
/// # Errors
/// [`ErrorKind::NotExist`](crate::ErrorKind::NotExist) when nothing is there; otherwise the errno,
/// with the path: ENOTDIR, ELOOP, EACCES where a directory on the way may not be searched, ENOTCONN
/// or ESTALE where the path lies below a mount whose server is gone.
///
/// # Examples
/// ```
/// assert!(mountinfo::is_mount_point(b"/proc")?);
/// assert!(!mountinfo::is_mount_point(b"/proc/self")?);
/// assert!(mountinfo::is_mount_point(b"/no such file").unwrap_err().is_not_exist());
/// # Ok::<(), mountinfo::Error>(())
/// ```
pub fn is_mount_point(path: &[u8]) -> Result<bool> {
    KernelMounter.is_mount_point(Place::at(path))
}

/// Whether nothing is mounted at a path, by the mounter's exact check (`IsNotMountPoint`).
///
/// # Errors
/// What the mounter answers. mount-utils says `true` beside an error.
pub fn is_not_mount_point<M: Mounter + ?Sized>(mounter: &M, path: &[u8]) -> Result<bool> {
    mounter.is_mount_point(Place::at(path)).map(|mounted| !mounted)
}

/// Whether nothing is mounted at a path (`IsLikelyNotMountPoint`). The answer is that of
/// [`is_mount_point`], for bind mounts too.
///
/// # Errors
/// The bare errno, as mount-utils returns it, which says `true` beside it.
///
/// # Examples
/// ```
/// assert!(!mountinfo::is_likely_not_mount_point(b"/proc")?);
/// let error = mountinfo::is_likely_not_mount_point(b"/no such file").unwrap_err();
/// assert_eq!(error.to_string(), "no such file or directory");
/// # Ok::<(), mountinfo::Error>(())
/// ```
pub fn is_likely_not_mount_point(path: &[u8]) -> Result<bool> {
    KernelMounter.is_likely_not_mount_point(Place::at(path))
}

/// Whether the place is the root of a mount.
///
/// By path alone links are followed, as mount-utils follows them; by descriptor they are not.
pub(crate) fn is_mount_root(at: Place<'_>) -> Sys<bool> {
    let told = match at.dir {
        Some(dir) => sys::mount_root_at(dir, at.name()),
        None => sys::mount_root_path(without_trailing_slashes(at.path)),
    };
    match told {
        Ok(Some(answer)) => Ok(answer),
        Err(errno @ (sys::ENOENT | sys::ENOTDIR | sys::EINVAL | sys::ELOOP)) => Err(errno),
        // The kernel is older than 5.8, or the mounted file system refused to be looked at.
        Ok(None) | Err(_) => match at.dir {
            Some(dir) => is_mount_root_by_id(dir, at.name()),
            None => is_mount_root_by_table(without_trailing_slashes(at.path)),
        },
    }
}

/// The same by mount numbers: an entry that lies on another mount than its directory is the root
/// of that mount. It opens nothing but the entry itself, and so waits for no file system either.
fn is_mount_root_by_id(dir: impl AsFd, name: &[u8]) -> Sys<bool> {
    let entry = sys::openat(dir.as_fd(), name, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)?;
    Ok(sys::mount_id(dir)? != sys::mount_id(&entry)?)
}

/// The same by path, where links are followed and there is no directory to compare with: the kernel
/// tells on which mount the file lies and what its path is, the table where that mount is mounted.
fn is_mount_root_by_table(path: &[u8]) -> Sys<bool> {
    let file = sys::open(path, OFlag::O_PATH)?;
    let id = sys::mount_id(&file)?;
    let real = sys::readlink(&sys::proc_path_of(file.as_fd(), None))?;
    let table = MountTable::current().map_err(errno_of)?;
    // None: the mount point lies outside of this process's root directory.
    let Some(mount) = table.by_id(id).map_err(errno_of)? else { return Ok(false) };
    // The kernel marks the path of a file that was deleted, also of one that is mounted.
    let unmarked = real.strip_suffix(b" (deleted)").filter(|_| mount.is_deleted());
    Ok(mount.is_mounted_at(unmarked.unwrap_or(&real)))
}

fn errno_of(error: Error) -> sys::RawErrno {
    error.errno().unwrap_or(sys::EINVAL)
}

/// The path without the slashes at its end, which would make the kernel refuse a file.
pub(crate) fn without_trailing_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&b| b != b'/').map_or(path.len().min(1), |i| i + 1);
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_slashes_do_not_count() {
        assert_eq!(without_trailing_slashes(b"/proc///"), b"/proc");
        assert_eq!(without_trailing_slashes(b"///"), b"/");
        assert_eq!(without_trailing_slashes(b""), b"");
    }

    #[test]
    fn both_ways_answer_the_same() {
        for path in
            [&b"/"[..], b"/proc", b"/proc/.", b"/proc/..", b"/proc/self", b"/proc/self/root"]
        {
            let asked = is_mount_root(Place::at(path));
            assert_eq!(is_mount_root_by_table(path), asked, "{}", path.escape_ascii());
        }
        for (path, errno) in [
            (&b""[..], sys::ENOENT),
            (b"/no such file", sys::ENOENT),
            (b"/proc/version/below", sys::ENOTDIR),
            (b"/nul\0", sys::EINVAL),
        ] {
            assert_eq!(is_mount_root(Place::at(path)), Err(errno), "{}", path.escape_ascii());
            assert_eq!(is_mount_root_by_table(path), Err(errno), "{}", path.escape_ascii());
        }
    }
}
