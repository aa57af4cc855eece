//! Where else a directory or file is mounted: mount-utils' `SearchMountPoints` and `GetMountRefs`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::MountTable;
use super::filter::Filter;
use super::record::{MountRecord, ROOT_DELETED};
use crate::error::{Error, Result};
use crate::internal::go_path::{self, eval_symlinks_unasked};
use crate::internal::paths::bytes_of;
use crate::internal::sys::{self, Features, PathOrigin};
use crate::internal::worker::{PATIENCE, Workers};
use crate::{flatten, text};

impl MountTable {
    /// Returns the mount points of the other mounts of the directory or file at `source`, in the
    /// table's order (mount-utils' `SearchMountPoints`).
    ///
    /// `source` is an absolute path without symbolic links. It is a mount point or lies below one;
    /// that mount itself is not in the result. Use it on a table that is in memory or comes from
    /// another process; for the mounts of the calling thread, [`mount_refs`] resolves links as well.
    ///
    /// It differs from mount-utils where that is wrong: the mount of `source` is the one on which the
    /// kernel finds the path, paths are compared decoded, and a deleted directory is not taken for a
    /// new one of the same name.
    ///
    /// # Errors
    /// - `failed to get root path and major:minor for …` if no mount in the table holds `source`. There
    ///   is no errno.
    /// - A malformed line, as for [`MountTable::matching`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// # fn main() -> subpath_mountinfo::Result<()> {
    /// let table = MountTable::from_bytes(
    ///     "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 8:1 /data /mnt/data rw - ext4 /dev/sda1 rw\n",
    /// );
    /// let others = table.search_mount_points("/data")?;
    /// assert_eq!(others, [std::path::Path::new("/mnt/data")]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn search_mount_points(&self, source: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let source = source.as_ref();
        let Some(mount) = self.covering(source)? else {
            let why = text!("failed to get root path and major:minor for %s", bytes_of(source));
            return Err(Error::new(why));
        };
        let root = path_in_file_system(&mount, &go_path::clean_cow(bytes_of(source)));
        let mut others = self.matching(&Filter::root(mount.device, &root))?;
        others.retain(|other| other.id != mount.id);
        Ok(others.into_iter().map(|other| other.mount_point).collect())
    }
}

/// What a path refers to depends on where it starts.
type PathKey = (PathOrigin, Vec<u8>);

/// The paths that are being resolved, each by one thread.
static RESOLVING: Workers<PathKey, Result<Option<Vec<u8>>>> = Workers::new();

/// Returns the other mount points of the directory or file at a path, in the order of the mount table
/// of the calling thread (mount-utils' `GetMountRefs`). Symbolic links in the path are resolved. The
/// result is empty if nothing is at the path.
///
/// Use it to find out whether a volume is still mounted elsewhere before it is removed.
///
/// The answer comes from the mount table, so it does not matter whether the server of a mount at
/// `path` is dead or hangs: it is not asked. A path *below* such a mount cannot be resolved, which is
/// an error, after [`PATIENCE`](crate::health::PATIENCE) if the server hangs. (mount-utils reports no
/// other mounts for a dead server, and waits forever for one that hangs.)
///
/// # Errors
/// - `error checking path …` with the errno of stat(2), such as ENOTDIR or EACCES.
/// - The errno of a link or directory that cannot be resolved, such as ENOTCONN or ESTALE below the
///   mount of a dead server; ETIMEDOUT if the server hangs.
/// - Those of [`MountTable::current`] and [`MountTable::search_mount_points`].
///
/// # Examples
/// ```
/// # fn main() -> subpath_mountinfo::Result<()> {
/// for mount_point in subpath_mountinfo::table::mount_refs("/proc")? {
///     println!("also mounted at {}", mount_point.display());
/// }
/// assert!(subpath_mountinfo::table::mount_refs("/proc/no such file")?.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn mount_refs(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let path = bytes_of(path.as_ref());
    let origin = sys::path_origin(path).map_err(|errno| Error::at_path("lstat", path, errno))?;
    let key = (origin, path.to_vec());
    let resolved = RESOLVING.run(&key, PATIENCE, {
        let path = path.to_vec();
        move |_| resolve(&path)
    });
    match resolved.map_err(|unanswered| unanswered.into_error("lstat", path))?? {
        Some(real) => {
            MountTable::current()?.search_mount_points(PathBuf::from(OsString::from_vec(real)))
        }
        None => Ok(Vec::new()),
    }
}

/// Resolves the links in a path; `None` if nothing is there. The server of what is mounted at the path
/// itself is not asked.
fn resolve(path: &[u8]) -> Result<Option<Vec<u8>>> {
    let looked = match Features::get().statx {
        true => sys::root_path(path).map(drop),
        false => sys::open(path, OFlag::O_PATH).map(drop),
    };
    match looked {
        Ok(()) => {}
        // It does not matter here whether the server of a mount at the path is dead. One on the way to
        // the path fails below, too.
        Err(errno) if sys::is_corrupted_errno(errno) => {}
        Err(sys::ENOENT) => return Ok(None),
        Err(errno) => {
            let cause = Error::at_path("stat", path, errno);
            return Err(flatten!("error checking path %s: %s", path, cause));
        }
    }
    match eval_symlinks_unasked(path) {
        Err(error) if error.is_not_exist() => Ok(None),
        resolved => resolved.map(Some),
    }
}

/// Returns the root that a bind mount of `path` would have. `path` is clean and on `mount`.
pub(crate) fn path_in_file_system(mount: &MountRecord, path: &[u8]) -> PathBuf {
    let mount_point = [bytes_of(&mount.mount_point), bytes_of(mount.mount_point_path())];
    let below = mount_point.into_iter().find_map(|base| go_path::below(path, base)).unwrap_or(b"");
    if below.is_empty() {
        return mount.root.clone();
    }
    // Not cleaned: the kernel prints `/..` for a cgroup above that of the cgroup namespace. What lies
    // below it has another name, and is better not found than taken for something else.
    let base = bytes_of(mount.root_path());
    let mut root = base.strip_suffix(b"/").unwrap_or(base).to_vec();
    root.push(b'/');
    root.extend_from_slice(below);
    if mount.is_deleted() {
        // Only an empty directory can be deleted: what was in it was deleted before.
        root.extend_from_slice(ROOT_DELETED);
    }
    PathBuf::from(OsString::from_vec(root))
}
