//! One mount's record by its path, in constant time: statx(2) tells the mount's unique ID, and statmount(2) the
//! rest. Where the kernel does not tell all of it, the record is looked up in the mount table.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::fcntl::OFlag;

use super::attributes;
use super::described::{Basics, basics, described};
use crate::error::{Error, Result};
use crate::features::Features;
use crate::internal::paths::{bytes_of, path_of};
use crate::internal::sys::{self, UniqueRoot};
use crate::table::{Filter, MountRecord, MountTable};

/// Returns the record of the mount whose root is at a path, the topmost of a stack; `None` if nothing is mounted
/// there. Symlinks are followed, automounts are not triggered, and no server is contacted.
///
/// From Linux 6.13 on it takes the same few microseconds however many mounts there are. On older kernels, and
/// for a mount whose options hold commas, quotes or spaces, the mount table is read.
///
/// # Errors
/// - ENOENT if nothing exists at the path; ENOTDIR, ELOOP or EACCES if a directory of it cannot be searched.
/// - Those of [`MountTable::current`] where the table is read.
///
/// # Examples
/// ```
/// use subpath_mountinfo::mount_at;
/// let types = mount_at("/proc")?.map(|mount| mount.fs_type);
/// assert_eq!(types, Some("proc".into()));
/// assert_eq!(mount_at("/proc/self")?, None);
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
pub fn mount_at(path: impl AsRef<Path>) -> Result<Option<MountRecord>> {
    found_at(bytes_of(&path), described, |record| record)
}

/// Like [`mount_at`], but returns only what mounting and unmounting have to know.
pub(super) fn basics_at(path: &[u8]) -> Result<Option<Basics>> {
    found_at(path, basics, |record| Basics {
        attributes: attributes::of_record(&record),
        fs_type: record.fs_type.into_vec(),
    })
}

/// Returns what mounting has to know about the mount whose root is an open file.
pub(super) fn basics_of(file: &OwnedFd) -> Result<Option<Basics>> {
    if Features::get().statmount
        && let Ok(UniqueRoot::Mount(id)) = sys::unique_root_of(file)
        && let Some(found) = basics(id)
    {
        return Ok(Some(found));
    }
    basics_at(&sys::proc_path_of(file.as_fd(), None))
}

/// Returns what statmount(2) tells of the mount at a path, by `told`, or else what the table says.
fn found_at<T>(
    path: &[u8],
    told: impl FnOnce(u64) -> Option<T>,
    by_record: impl FnOnce(MountRecord) -> T,
) -> Result<Option<T>> {
    if Features::get().statmount {
        match sys::unique_root(path) {
            Ok(UniqueRoot::NotRoot) => return Ok(None),
            Ok(UniqueRoot::Mount(id)) => {
                if let Some(found) = told(id) {
                    return Ok(Some(found));
                }
            }
            // FUSE refuses (EACCES) to tell other users the ID; the table still has the mount.
            Ok(UniqueRoot::Unknown) | Err(sys::EACCES) => {}
            Err(errno) => return Err(Error::at_path("statx", path, errno)),
        }
    }
    Ok(by_table(path)?.map(by_record))
}

/// Looks up in the table the mount whose root is at a path.
fn by_table(path: &[u8]) -> Result<Option<MountRecord>> {
    let fail = |errno| Error::of_call("open", path, errno);
    let file = sys::open(path, OFlag::O_PATH).map_err(fail)?;
    // If the file system cannot be asked, the path decides.
    let is_root = sys::mount_root_fd(&file).unwrap_or(None);
    if is_root == Some(false) {
        return Ok(None);
    }
    let id = sys::mount_id(&file).map_err(fail)?;
    let Some(record) = MountTable::current()?.matching(&Filter::id(id))?.pop() else {
        return Ok(None);
    };
    if is_root.is_some() {
        return Ok(Some(record));
    }
    let path = sys::real_path_of(file.as_fd()).map_err(fail)?;
    Ok(record.is_mounted_at(path_of(&path)).then_some(record))
}
