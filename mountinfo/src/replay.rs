//! [`ReplayMounter`]: begins with a mount table that was recorded elsewhere and applies binds and unmounts to a
//! copy of it, to test what would happen on a node of which only the table is available.
//!
//! It knows mounts and not files: a path that is not in the table is not a mount point, whether or not it
//! exists.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::internal::go_path;
use crate::internal::paths::{bytes_of, into_path};
use crate::internal::sys;
use crate::mounter::{MountPoint, Mounter, Place, Source};
use crate::table::{MountRecord, MountTable, covering, path_in_file_system};

/// A mounter for tests, which begins with the mounts of a table and changes only its own copy of them.
///
/// # Examples
/// ```
/// use subpath_mountinfo::{MountTable, Mounter, Place, ReplayMounter};
/// # fn main() -> subpath_mountinfo::Result<()> {
/// let table = MountTable::from_bytes(
///     *b"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 8:17 / /mnt/data rw - xfs /dev/sdb1 rw\n",
/// );
/// let mounter = ReplayMounter::new(&table)?;
/// assert!(mounter.is_mount_point(Place::at("/mnt/data"))?);
/// mounter.unmount(Place::at("/mnt/data"))?;
/// assert!(!mounter.is_mount_point(Place::at("/mnt/data"))?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ReplayMounter {
    /// The directory that stands for the table's `/`, cleaned.
    root: PathBuf,
    mounts: Mutex<Vec<MountRecord>>,
}

impl ReplayMounter {
    /// Returns a mounter with the mounts of the table, at the paths in the table.
    ///
    /// # Errors
    /// Those of [`MountTable::records`].
    pub fn new(table: &MountTable) -> Result<Self> {
        ReplayMounter::rooted_at("/", table)
    }

    /// Returns a mounter with the mounts of a table whose `/` is the directory `root` here, as in a chroot. A
    /// test can lay out files and directories below `root`. All paths that the mounter takes and returns begin
    /// with it.
    ///
    /// # Errors
    /// Those of [`MountTable::records`].
    pub fn rooted_at(root: impl AsRef<Path>, table: &MountTable) -> Result<Self> {
        let root = into_path(go_path::clean(bytes_of(&root)));
        Ok(ReplayMounter { root, mounts: Mutex::new(table.records()?) })
    }

    /// Returns the current mounts as a table.
    pub fn table(&self) -> MountTable {
        MountTable::from_records(self.mounts().iter())
    }

    fn mounts(&self) -> MutexGuard<'_, Vec<MountRecord>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path in the table of a path here; `None` when it lies outside of the root.
    fn inside(&self, path: &[u8]) -> Option<Vec<u8>> {
        let path = go_path::clean(path);
        Some([b"/", go_path::below(&path, bytes_of(&self.root))?].concat())
    }

    /// What is seen at the place, if something is mounted there.
    fn top(&self, mounts: &[MountRecord], at: Place<'_>) -> Option<MountRecord> {
        let path = self.inside(at.bytes())?;
        let mount = covering(mounts, &path)?;
        mount.is_mounted_at(OsStr::from_bytes(&path)).then(|| mount.clone())
    }

    fn unmount_with(&self, at: Place<'_>, lazily: bool) -> Result<()> {
        let mut mounts = self.mounts();
        let failed = |errno| Error::at_path("unmount", at.bytes(), errno);
        let mount = self.top(&mounts, at).ok_or_else(|| failed(sys::EINVAL))?;
        let mut going = vec![mount.id];
        // Parents come before their children only in most tables: look until none is found.
        loop {
            let more =
                mounts.iter().filter(|m| going.contains(&m.parent_id) && !going.contains(&m.id));
            let more: Vec<u64> = more.map(|mount| mount.id).collect();
            if more.is_empty() {
                break;
            }
            if !lazily {
                return Err(failed(sys::EBUSY));
            }
            going.extend(more);
        }
        mounts.retain(|mount| !going.contains(&mount.id));
        Ok(())
    }
}

impl Mounter for ReplayMounter {
    fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        Ok(self.top(&self.mounts(), at).is_some())
    }

    /// The new mount shows the file system on which the source lies in the table.
    ///
    /// # Errors
    /// EINVAL when no mount of the table holds the source or the place.
    fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        let failed = |errno| Error::at_path("bind", at.bytes(), errno);
        let source = sys::readlink(&sys::proc_path_of(source.fd.as_fd(), None)).map_err(failed)?;
        let mut mounts = self.mounts();
        let find = |path: &[u8]| {
            let path = self.inside(path)?;
            Some((covering(mounts.iter(), &path)?.clone(), path))
        };
        let (origin, source) = find(&source).ok_or_else(|| failed(sys::EINVAL))?;
        let (parent, mount_point) = find(at.bytes()).ok_or_else(|| failed(sys::EINVAL))?;
        let id = mounts.iter().map(|mount| mount.id).max().unwrap_or(0).wrapping_add(1);
        let root = path_in_file_system(&origin, &source);
        let mount_point = PathBuf::from(OsString::from_vec(mount_point));
        mounts.push(MountRecord { id, parent_id: parent.id, root, mount_point, ..origin });
        Ok(())
    }

    /// # Errors
    /// EINVAL when nothing is mounted there, EBUSY when something is mounted on that.
    fn unmount(&self, at: Place<'_>) -> Result<()> {
        self.unmount_with(at, false)
    }

    /// Takes what is mounted on it away too.
    fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        self.unmount_with(at, true)
    }

    fn list(&self) -> Result<Vec<MountPoint>> {
        let here = |mount: &MountRecord| {
            let mut listed = MountPoint::from(mount);
            if self.root != Path::new("/") {
                let path = [bytes_of(&self.root), bytes_of(&listed.path)];
                listed.path = into_path(go_path::join(&path));
            }
            listed
        };
        Ok(self.mounts().iter().map(here).collect())
    }
}
