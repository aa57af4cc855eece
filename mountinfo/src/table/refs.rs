//! Where else the file system behind a path is mounted (mount-utils' `SearchMountPoints` and
//! `GetMountRefs`).

use nix::fcntl::OFlag;

use super::MountTable;
use super::filter::Filter;
use super::record::{MountRecord, ROOT_DELETED};
use crate::cleanup::is_corrupted_errno;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::health::PATIENCE;
use crate::internal::go_path::{self, eval_symlinks_unasked};
use crate::internal::sys::{self, FileId};
use crate::internal::worker::Workers;
use crate::text;

impl MountTable {
    /// The mount points of the other mounts of the directory or file at `source`, which is a mount
    /// point itself or lies on a mount. In the table's order.
    ///
    /// `source` has no links in it. mount-utils' `SearchMountPoints`, but for what that gets wrong:
    /// the mount behind `source` is found as the kernel finds it, paths compare decoded, and a
    /// deleted directory is not the one that took its name.
    ///
    /// # Errors
    /// `failed to get root path and major:minor for …` when no mount of the table holds `source`.
    pub fn search_mount_points(&self, source: &[u8]) -> Result<Vec<Vec<u8>>> {
        let Some(mount) = self.covering(source)? else {
            return Err(Error::new(text!("failed to get root path and major:minor for ", source)));
        };
        let root = path_in_file_system(&mount, &go_path::clean_cow(source));
        let mut others = self.matching(&Filter::root(mount.device, &root))?;
        others.retain(|other| other.id != mount.id);
        Ok(others.into_iter().map(|other| other.mount_point).collect())
    }
}

/// A path, and where it begins: the root directory, and the working directory where it is relative.
type Begun = (FileId, Vec<u8>, Vec<u8>);

/// The paths that are being resolved.
static RESOLVED: Workers<Begun, Result<Option<Vec<u8>>>> = Workers::new();

/// Where else the directory or file at a path is mounted (`GetMountRefs`). Links in the path are
/// resolved. Nothing for a path that is not there.
///
/// Device and root stand in the table, so that the answer for a mount whose server is dead or hangs is
/// as good as any other, and none is asked. What lies below such a mount cannot be resolved: that is an
/// error, after [`PATIENCE`](crate::health::PATIENCE) where the server hangs. mount-utils says of both
/// that they are mounted nowhere else when the server is dead, and waits for ever when it hangs.
///
/// # Errors
/// `error checking path …` with the errno of stat(2); those of a link that cannot be resolved, ENOTCONN
/// or ESTALE and ETIMEDOUT say; and those of [`MountTable::search_mount_points`].
///
/// # Examples
/// ```
/// assert_eq!(subpath_mountinfo::table::mount_refs(b"/proc/no such file")?, Vec::<Vec<u8>>::new());
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
pub fn mount_refs(path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let fail = |errno| Error::path("lstat", path, errno);
    let (root, directory) = sys::start_of(path).map_err(fail)?;
    let named = path.to_vec();
    let resolved =
        RESOLVED.run(&(root, directory, path.to_vec()), PATIENCE, move |_| resolve(&named));
    match resolved.map_err(|undone| undone.into_error("lstat", path))?? {
        Some(real) => MountTable::current()?.search_mount_points(&real),
        None => Ok(Vec::new()),
    }
}

/// Where a path leads, `None` where nothing is. No server of a mount point is asked.
fn resolve(path: &[u8]) -> Result<Option<Vec<u8>>> {
    let looked = match Features::get().statx {
        true => sys::root_path(path).map(drop),
        false => sys::open(path, OFlag::O_PATH).map(drop),
    };
    match looked {
        // What the file system answers that is mounted there does not matter; a server on the way
        // answers below as well.
        Ok(()) => {}
        Err(errno) if is_corrupted_errno(errno) => {}
        Err(sys::ENOENT) => return Ok(None),
        Err(errno) => {
            let cause = Error::path("stat", path, errno);
            return Err(Error::flatten(text!("error checking path ", path, ": "), &cause));
        }
    }
    match eval_symlinks_unasked(path) {
        Err(error) if error.is_not_exist() => Ok(None),
        resolved => resolved.map(Some),
    }
}

/// The root that a bind mount of `path` would have, which lies on `mount`.
pub(crate) fn path_in_file_system(mount: &MountRecord, path: &[u8]) -> Vec<u8> {
    let mount_point = [&mount.mount_point[..], mount.mount_point_path()];
    let below = mount_point.into_iter().find_map(|base| path.strip_prefix(base)).unwrap_or(b"");
    if below.is_empty() {
        return mount.root.clone();
    }
    // Not cleaned: a cgroup above the own namespace's is printed as `/..`, and what lies below it
    // under another name than this, so that it is rather not found than taken for another.
    let mut root = mount.root_path().strip_suffix(b"/").unwrap_or(mount.root_path()).to_vec();
    root.push(b'/');
    root.extend_from_slice(below.strip_prefix(b"/").unwrap_or(below));
    if mount.is_deleted() {
        // Only an empty directory is deleted: what lay in it was deleted before.
        root.extend_from_slice(ROOT_DELETED);
    }
    root
}
