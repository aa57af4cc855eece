//! Where else the file system behind a path is mounted (mount-utils' `SearchMountPoints`).

use super::MountTable;
use super::filter::Filter;
use super::record::{MountRecord, ROOT_DELETED};
use crate::error::{Error, Result};
use crate::gopath;

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
            let mut text = b"failed to get root path and major:minor for ".to_vec();
            text.extend_from_slice(source);
            return Err(Error::new(text));
        };
        let root = path_in_file_system(&mount, &gopath::clean_cow(source));
        let mut others = self.matching(&Filter::root(mount.device, &root))?;
        others.retain(|other| other.id != mount.id);
        Ok(others.into_iter().map(|other| other.mount_point).collect())
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
