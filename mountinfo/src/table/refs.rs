//! Where else the file system behind a path is mounted (mount-utils' `SearchMountPoints` and
//! `GetMountRefs`).

use super::MountTable;
use super::filter::Filter;
use super::record::{MountRecord, ROOT_DELETED};
use crate::cleanup::{Existence, path_exists};
use crate::error::{Error, Result};
use crate::{gopath, log, text};

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
        let root = path_in_file_system(&mount, &gopath::clean_cow(source));
        let mut others = self.matching(&Filter::root(mount.device, &root))?;
        others.retain(|other| other.id != mount.id);
        Ok(others.into_iter().map(|other| other.mount_point).collect())
    }
}

/// Where else the directory or file at a path is mounted (`GetMountRefs`). Links in the path are
/// resolved. Nothing for a path that is not there, or whose mount is corrupted.
///
/// # Errors
/// `error checking path …` with any other errno of stat(2), those of a link that cannot be
/// resolved, and those of [`MountTable::search_mount_points`].
///
/// # Examples
/// ```
/// assert_eq!(mountinfo::table::mount_refs(b"/proc/no such file")?, Vec::<Vec<u8>>::new());
/// # Ok::<(), mountinfo::Error>(())
/// ```
pub fn mount_refs(path: &[u8]) -> Result<Vec<Vec<u8>>> {
    match path_exists(path) {
        Ok(Existence::Yes) => {}
        Ok(Existence::No) => return Ok(Vec::new()),
        Ok(Existence::Corrupted(_)) => {
            let rest = ", treating as unmounted path";
            log!(WARN, "GetMountRefs found corrupted mount at ", path, rest);
            return Ok(Vec::new());
        }
        Err(error) => {
            return Err(Error::flatten(text!("error checking path ", path, ": "), &error));
        }
    }
    MountTable::current()?.search_mount_points(&gopath::eval_symlinks(path)?)
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
