//! [`MountRecord`]: one mount, with the fields of its line decoded.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::escape::{escape_name, escape_path};
use super::options::{MountOptions, OptionalFields, Propagation};
use crate::internal::paths::bytes_of;

/// One mount, as `/proc/PID/mountinfo` describes it (proc_pid_mountinfo(5)).
///
/// Paths and names are decoded from the kernel's octal escapes and may hold any bytes; nothing
/// requires them to be UTF-8.
///
/// Two records are equal when all their fields are, byte for byte. Comparing two [`Path`]s yourself
/// is less strict: `Path` takes `/a//b` for `/a/b`. Use [`MountRecord::is_mounted_at`], or compare
/// [`Path::as_os_str`].
///
/// # Examples
/// ```
/// use subpath_mountinfo::table::MountRecord;
/// # fn main() -> subpath_mountinfo::Result<()> {
/// let line = r"36 25 0:32 / /mnt/my\040disk rw,nosuid shared:7 - tmpfs tmp rw,size=4k";
/// let record = MountRecord::parse(line)?;
/// assert_eq!(record.mount_point.to_str(), Some("/mnt/my disk"));
/// assert_eq!(record.fs_type, "tmpfs");
/// assert!(record.mount_options.contains("nosuid"));
/// assert_eq!(record.propagation.shared, Some(7));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MountRecord {
    /// The ID of the mount in its mount namespace. The kernel reuses it after the unmount.
    pub id: u64,
    /// The ID of the mount on which this one is mounted.
    ///
    /// The root mount of the process has a parent that the process cannot see: either no record has
    /// this ID, or the record names itself.
    pub parent_id: u64,
    /// The device number (`st_dev`) of the files of this file system.
    pub device: DeviceNumber,
    /// The directory or file of the file system that is visible at the mount point: `/` unless this
    /// is a bind mount of something deeper. Some file systems have a name here that is no path, such
    /// as `net:[4026531840]`.
    ///
    /// Ends in `//deleted` if that directory or file was deleted; see [`MountRecord::root_path`].
    pub root: PathBuf,
    /// The mount point, relative to the root directory of the process.
    ///
    /// Kernels before 2.6.36 append ` (deleted)` if the root was deleted; see
    /// [`MountRecord::mount_point_path`].
    pub mount_point: PathBuf,
    /// The options of this mount: `rw`, `nosuid`, `relatime` and so on.
    pub mount_options: MountOptions,
    /// The optional fields, those with unknown tags included.
    pub optional_fields: OptionalFields,
    /// The mount propagation, from the optional fields.
    pub propagation: Propagation,
    /// The file system type, with a subtype where there is one: `ext4`, `fuse.sshfs`.
    pub fs_type: OsString,
    /// The mounted device, or any other name that was given to mount(2). May be empty. The kernel
    /// prints `none` for a mount without a name, which is the same as for one named `none`.
    pub source: OsString,
    /// The options of the file system, which all its mounts share.
    pub super_options: MountOptions,
}

/// What the kernel appends to the path of a mount's root that was deleted (fs/d_path.c,
/// `dentry_path`). No file name contains a slash, so this is never part of a name.
pub(super) const ROOT_DELETED: &[u8] = b"//deleted";

/// What kernels before 2.6.36 append to the mount point of a deleted root.
const MOUNT_POINT_DELETED: &[u8] = b" (deleted)";

impl MountRecord {
    /// Reports whether the directory or file that is the root of this mount was deleted.
    pub fn is_deleted(&self) -> bool {
        bytes_of(&self.root).ends_with(ROOT_DELETED)
    }

    /// Returns [`MountRecord::root`] without the `//deleted` that marks a deleted one.
    pub fn root_path(&self) -> &Path {
        without_suffix(&self.root, ROOT_DELETED)
    }

    /// Returns [`MountRecord::mount_point`] without the ` (deleted)` by which old kernels mark a
    /// deleted root.
    ///
    /// A directory may really be named `x (deleted)`. The kernel marks either both paths or none, so
    /// this removes the suffix only if [`MountRecord::root`] is marked too.
    pub fn mount_point_path(&self) -> &Path {
        if self.is_deleted() {
            without_suffix(&self.mount_point, MOUNT_POINT_DELETED)
        } else {
            &self.mount_point
        }
    }

    /// Reports whether a path is the mount point of this record. The path must be absolute and
    /// clean; it is compared byte for byte, with the mark of a deleted root and without it.
    pub fn is_mounted_at(&self, path: impl AsRef<Path>) -> bool {
        let path = bytes_of(path.as_ref());
        bytes_of(&self.mount_point) == path || bytes_of(self.mount_point_path()) == path
    }

    /// Returns the file system type without its subtype: `fuse` for `fuse.sshfs`.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> subpath_mountinfo::Result<()> {
    /// let line = "40 25 0:35 / /mnt/far rw - fuse.sshfs host: rw";
    /// let record = subpath_mountinfo::table::MountRecord::parse(line)?;
    /// assert_eq!(record.base_type(), "fuse");
    /// assert_eq!(record.subtype(), Some("sshfs".as_ref()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn base_type(&self) -> &OsStr {
        let fs_type = self.fs_type.as_bytes();
        OsStr::from_bytes(fs_type.split(|&byte| byte == b'.').next().unwrap_or(fs_type))
    }

    /// Returns the subtype of the file system: `sshfs` for `fuse.sshfs`, `None` for `ext4`.
    pub fn subtype(&self) -> Option<&OsStr> {
        let dot = self.fs_type.as_bytes().iter().position(|&byte| byte == b'.')?;
        Some(OsStr::from_bytes(&self.fs_type.as_bytes()[dot + 1..]))
    }

    /// Formats this record as the kernel prints it, without a newline.
    ///
    /// The result parses to an equal record. It is the kernel's own line, except for the few file
    /// systems that print their source themselves and leave a `#` unescaped, such as NFS.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> subpath_mountinfo::Result<()> {
    /// let line = br"36 25 0:32 / /mnt/a\040b rw shared:7 - tmpfs my\043tmp rw,size=4k";
    /// let record = subpath_mountinfo::table::MountRecord::parse(line)?;
    /// assert_eq!(record.source, "my#tmp");
    /// assert_eq!(record.to_line(), line);
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_line(&self) -> Vec<u8> {
        let numbers = format!("{} {} {}", self.id, self.parent_id, self.device);
        let mut fields: Vec<Cow<'_, [u8]>> = vec![
            numbers.as_bytes().into(),
            escape_path(bytes_of(&self.root)),
            escape_path(bytes_of(&self.mount_point)),
            self.mount_options.as_bytes().into(),
        ];
        if !self.optional_fields.as_bytes().is_empty() {
            fields.push(self.optional_fields.as_bytes().into());
        }
        fields.extend([
            b"-".into(),
            escape_name(self.fs_type.as_bytes()),
            escape_name(self.source.as_bytes()),
            self.super_options.as_bytes().into(),
        ]);
        fields.join(&b' ')
    }

    /// All fields, the paths as the bytes that they are.
    fn fields(&self) -> impl Eq + Hash {
        (
            (self.id, self.parent_id, self.device, self.propagation),
            (self.root.as_os_str(), self.mount_point.as_os_str()),
            (&self.mount_options, &self.optional_fields, &self.super_options),
            (&self.fs_type, &self.source),
        )
    }
}

impl PartialEq for MountRecord {
    fn eq(&self, other: &Self) -> bool {
        self.fields() == other.fields()
    }
}

impl Eq for MountRecord {}

impl Hash for MountRecord {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fields().hash(state);
    }
}

fn without_suffix<'p>(path: &'p Path, suffix: &[u8]) -> &'p Path {
    match bytes_of(path).strip_suffix(suffix) {
        Some(rest) => Path::new(OsStr::from_bytes(rest)),
        None => path,
    }
}

/// The number of a device: major and minor. Displayed as the kernel prints it, `8:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceNumber {
    /// The class of the device; 0 for a file system that is on no block device.
    pub major: u32,
    /// The number of the device in its class.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}
