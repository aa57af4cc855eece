//! The file systems that the kernel mounts without help, and the helpers that mount(8) runs for a type.

use crate::internal::sys;

/// What a file system needs to be mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing; the source is a name. Each mount makes a file system of its own.
    Nothing,
    /// Nothing; the source is a name. Several mounts may have one file system.
    NothingShared,
    /// A block device.
    Device,
}

/// Returns what a file system needs; `None` for one that is left to mount(8).
///
/// Btrfs is not here: mount(2) refuses to mount it twice on one directory, which move_mount(2) does not, and
/// its subvolumes hide that they are one file system. Network file systems and FUSE have helpers.
pub(super) fn needs_of(fs_type: &[u8]) -> Option<Needs> {
    Some(match fs_type {
        b"tmpfs" | b"ramfs" | b"overlay" | b"devpts" | b"bpf" | b"hugetlbfs" => Needs::Nothing,
        b"proc" | b"sysfs" | b"mqueue" | b"cgroup2" | b"debugfs" | b"tracefs" | b"securityfs" => {
            Needs::NothingShared
        }
        b"ext2" | b"ext3" | b"ext4" | b"xfs" => Needs::Device,
        _ => return None,
    })
}

/// Reports whether a program is there that mount(8) or umount(8) runs for a type: `/sbin/mount.TYPE`, and the
/// same in two more directories (libmount's `FS_SEARCH_PATH`).
pub(super) fn has_helper(program: &str, fs_type: &[u8]) -> bool {
    ["/sbin/", "/sbin/fs.d/", "/sbin/fs/"].iter().any(|directory| {
        let path = [directory.as_bytes(), program.as_bytes(), b".", fs_type].concat();
        // What cannot be looked at counts as being there: mount(8) decides.
        !matches!(sys::exists(&path), Err(sys::ENOENT | sys::ENOTDIR))
    })
}
