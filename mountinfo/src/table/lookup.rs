//! The mount that a path lies on.

use std::collections::{HashMap, HashSet};

use super::filter::is_within;
use super::record::MountRecord;

/// Finds the mount on which a path lies, as the kernel's path walk does: from the process's root
/// mount through the mounts that are mounted on it, one inside the other.
///
/// Neither the last line nor the longest mount point tells: a table may name the root mount after
/// others, and a mount hides those below it that were there before.
///
/// Of `mounts` only those matter whose mount point is the path or one of its parents.
pub(crate) fn covering<'r>(
    mounts: impl IntoIterator<Item = &'r MountRecord>,
    path: &[u8],
) -> Option<&'r MountRecord> {
    let mount_point = |record: &'r MountRecord| {
        // As printed, unless the path lies below it only without the mark of a deleted root.
        if is_within(path, &record.mount_point) {
            &record.mount_point[..]
        } else {
            record.mount_point_path()
        }
    };
    let mut on_parent: HashMap<Option<u64>, Vec<&MountRecord>> = HashMap::new();
    let candidates: Vec<&MountRecord> =
        mounts.into_iter().filter(|record| is_within(path, mount_point(record))).collect();
    let ids: HashSet<u64> = candidates.iter().map(|record| record.id).collect();
    for &record in &candidates {
        // The parent of the process's root mount is out of sight, or is that mount itself.
        let is_orphan = record.parent_id == record.id || !ids.contains(&record.parent_id);
        let parent = (!is_orphan).then_some(record.parent_id);
        on_parent.entry(parent).or_default().push(record);
    }
    // The walk meets a mount point nearer to the root first. Of two mounts with one parent and one
    // mount point it takes the newer one, as the kernel's hash table does.
    let nearest = |mounts: Vec<&'r MountRecord>| {
        mounts.into_iter().rev().min_by_key(|record| mount_point(record).len())
    };
    let root = nearest(on_parent.remove(&None)?)?;
    let mut current = root;
    // Each parent is left once, so that a table that goes round in circles ends.
    while let Some(mut mounts) = on_parent.remove(&Some(current.id)) {
        let here = mount_point(current);
        mounts.retain(|record| {
            let there = mount_point(record);
            // What is mounted over the process's root is not seen from it: a path walk starts on
            // the root itself (fs/namei.c, path_init()).
            let hidden = std::ptr::eq(current, root) && there == b"/";
            !hidden && is_within(there, here)
        });
        match nearest(mounts) {
            Some(next) => current = next,
            None => break,
        }
    }
    Some(current)
}
