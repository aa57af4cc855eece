//! One mount: the fields of a line of the mount table, decoded.

use std::borrow::Cow;
use std::fmt;

use super::escape::{escape_name, escape_path};
use super::options::{MountOptions, OptionalFields, Propagation};

/// One mount as `/proc/PID/mountinfo` tells it (proc_pid_mountinfo(5)).
///
/// Paths and names are bytes, decoded from the kernel's octal escapes: what the file system holds,
/// whether it is UTF-8 or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MountRecord {
    /// The mount's ID in its namespace; the kernel uses it again after the unmount.
    pub id: u64,
    /// The ID of the mount that this one is mounted on. The parent of the process's root mount lies
    /// outside what the process can see: no record has this ID, or the record itself has.
    pub parent_id: u64,
    /// The device number (`st_dev`) of files on the file system.
    pub device: DeviceNumber,
    /// The path in the file system that is the root of the mount: `/`, for a bind mount of a
    /// directory or a file that one, and for some file systems no path (`net:[4026531840]`).
    ///
    /// Ends in `//deleted` when that directory or file was deleted; see [`MountRecord::root_path`].
    pub root: Vec<u8>,
    /// Where it is mounted, relative to the process's root directory.
    ///
    /// Kernels before 2.6.36 append ` (deleted)` when the root was deleted; see
    /// [`MountRecord::mount_point_path`].
    pub mount_point: Vec<u8>,
    /// The options of this mount (`rw`, `nosuid`, `relatime`, …).
    pub mount_options: MountOptions,
    /// The optional fields, unknown ones too.
    pub optional_fields: OptionalFields,
    /// What the optional fields say about mount propagation.
    pub propagation: Propagation,
    /// The type of the file system with its subtype: `ext4`, `fuse.sshfs`.
    pub fs_type: Vec<u8>,
    /// What is mounted: a device, or what the file system calls itself. Empty when it was mounted
    /// with an empty name; `none` when the file system has no name, or has that one.
    pub source: Vec<u8>,
    /// The options of the file system, the same for each of its mounts.
    pub super_options: MountOptions,
}

/// What the kernel appends to the path of a mount's root that was deleted (fs/d_path.c,
/// `dentry_path`). No file name holds a slash, so it cannot be mistaken.
pub(super) const ROOT_DELETED: &[u8] = b"//deleted";

/// What kernels before 2.6.36 append to the mount point then.
pub(super) const MOUNT_POINT_DELETED: &[u8] = b" (deleted)";

impl MountRecord {
    /// Whether the directory or file that is the root of the mount was deleted.
    pub fn is_deleted(&self) -> bool {
        self.root.ends_with(ROOT_DELETED)
    }

    /// [`MountRecord::root`] without the mark of a deleted one.
    pub fn root_path(&self) -> &[u8] {
        self.root.strip_suffix(ROOT_DELETED).unwrap_or(&self.root)
    }

    /// [`MountRecord::mount_point`] without the mark of a deleted root.
    ///
    /// A directory may well be named `x (deleted)`. The kernel marks both paths or none, so the
    /// mount point's is a mark only beside the root's.
    pub fn mount_point_path(&self) -> &[u8] {
        if self.is_deleted() {
            self.mount_point.strip_suffix(MOUNT_POINT_DELETED).unwrap_or(&self.mount_point)
        } else {
            &self.mount_point
        }
    }

    /// Whether the clean path is the mount point, read with the mark of a deleted root or without.
    pub fn is_mounted_at(&self, path: &[u8]) -> bool {
        self.mount_point == path || self.mount_point_path() == path
    }

    /// The file system's type without its subtype: `fuse` of `fuse.sshfs`.
    pub fn base_type(&self) -> &[u8] {
        self.fs_type.split(|&byte| byte == b'.').next().unwrap_or(&self.fs_type)
    }

    /// The file system's subtype: `sshfs` of `fuse.sshfs`.
    pub fn subtype(&self) -> Option<&[u8]> {
        let dot = self.fs_type.iter().position(|&byte| byte == b'.')?;
        Some(&self.fs_type[dot + 1..])
    }

    /// The line that the kernel prints for this mount, without its newline.
    ///
    /// A few file systems print their source themselves, NFS for one, and leave `#` as it is.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> subpath_mountinfo::Result<()> {
    /// let line = br"36 25 0:32 / /mnt/a\040b rw shared:7 - tmpfs my#tmp rw,size=4k".as_slice();
    /// let record = subpath_mountinfo::table::MountRecord::parse(line)?;
    /// assert_eq!(record.mount_point, b"/mnt/a b");
    /// assert_eq!(record.to_line(), br"36 25 0:32 / /mnt/a\040b rw shared:7 - tmpfs my\043tmp rw,size=4k");
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_line(&self) -> Vec<u8> {
        let numbers = format!("{} {} {}", self.id, self.parent_id, self.device);
        let mut fields: Vec<Cow<'_, [u8]>> = vec![
            numbers.as_bytes().into(),
            escape_path(&self.root),
            escape_path(&self.mount_point),
            self.mount_options.as_bytes().into(),
        ];
        if !self.optional_fields.as_bytes().is_empty() {
            fields.push(self.optional_fields.as_bytes().into());
        }
        fields.extend([
            b"-".into(),
            escape_name(&self.fs_type),
            escape_name(&self.source),
            self.super_options.as_bytes().into(),
        ]);
        fields.join(&b' ')
    }
}

/// The number of a device: major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceNumber {
    /// The class of the device; 0 for file systems without one.
    pub major: u32,
    /// The device in its class.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}
