//! Finds the mount that a path is on.

use std::collections::{HashMap, HashSet};

use super::record::MountRecord;
use crate::internal::go_path::below;
use crate::internal::paths::bytes_of;

/// Finds the mount that a clean, absolute path is on, as the kernel's path walk does: it starts at
/// the root mount of the process and goes from each mount to the one that is mounted on it.
///
/// Neither the last line nor the longest mount point would be right: the root mount need not come
/// first in the table, and a mount hides the older ones below its mount point.
///
/// Of `mounts` only those matter whose mount point is the path or one of its parents.
pub(crate) fn covering<'r>(
    mounts: impl IntoIterator<Item = &'r MountRecord>,
    path: &[u8],
) -> Option<&'r MountRecord> {
    let candidates: Vec<Candidate<'r>> =
        mounts.into_iter().filter_map(|record| Candidate::of(record, path)).collect();
    let ids: HashSet<u64> = candidates.iter().map(|candidate| candidate.record.id).collect();
    let mut on_parent: HashMap<Option<u64>, Vec<Candidate<'r>>> = HashMap::new();
    for &candidate in &candidates {
        let (id, parent_id) = (candidate.record.id, candidate.record.parent_id);
        // The parent of the process's root mount cannot be seen, or is that mount itself.
        let has_parent = parent_id != id && ids.contains(&parent_id);
        on_parent.entry(has_parent.then_some(parent_id)).or_default().push(candidate);
    }
    let root = nearest(on_parent.remove(&None)?)?;
    let mut current = root;
    // Each parent is removed when it is visited, so that a table with a cycle ends too.
    while let Some(mut mounts) = on_parent.remove(&Some(current.record.id)) {
        mounts.retain(|mount| {
            // A mount on the root directory of the process cannot be seen from there: a path walk
            // starts on the root mount itself (fs/namei.c, path_init()).
            let hidden = std::ptr::eq(current.record, root.record) && mount.mount_point == b"/";
            !hidden && below(mount.mount_point, current.mount_point).is_some()
        });
        match nearest(mounts) {
            Some(next) => current = next,
            None => break,
        }
    }
    Some(current.record)
}

/// A mount on the way to the path, and its mount point: without the mark of a deleted root if that is
/// what makes it a parent of the path.
#[derive(Clone, Copy)]
struct Candidate<'r> {
    record: &'r MountRecord,
    mount_point: &'r [u8],
}

impl<'r> Candidate<'r> {
    fn of(record: &'r MountRecord, path: &[u8]) -> Option<Self> {
        let points = [bytes_of(&record.mount_point), bytes_of(record.mount_point_path())];
        let mount_point = points.into_iter().find(|point| below(path, point).is_some())?;
        Some(Candidate { record, mount_point })
    }
}

/// Of mounts with one parent, the one that the walk meets first: that with the mount point nearest to
/// the root, and of several there the newest, as in the kernel's hash table.
fn nearest<'r>(mounts: Vec<Candidate<'r>>) -> Option<Candidate<'r>> {
    mounts.into_iter().rev().min_by_key(|mount| mount.mount_point.len())
}
