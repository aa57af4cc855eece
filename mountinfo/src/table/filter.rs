//! [`Filter`]: which mounts a lookup wants, decided on the kernel's line before it is parsed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use memchr::memchr2;

use super::escape::{escape_path, unescape_path};
use super::line::{Head, device, number};
use super::record::{DeviceNumber, ROOT_DELETED};
use crate::internal::go_path;
use crate::internal::paths::bytes_of;

/// The mark on the mount point of a deleted root, as it is printed.
const PRINTED_MOUNT_POINT_DELETED: &[u8] = br"\040(deleted)";

/// A condition on mounts, for [`MountTable::matching`](super::MountTable::matching) and
/// [`MountReader::matching`](super::MountReader::matching).
///
/// A filter looks at the printed line, so that other lines need not be parsed.
///
/// Paths are absolute and are compared byte for byte with the decoded ones of the table. They are
/// cleaned lexically first: `/a//b/` is `/a/b`, and `/a/../b` is `/b`. Symbolic links in them are not
/// resolved, since the table has none; call [`std::fs::canonicalize`] before where that matters.
///
/// # Examples
/// ```
/// use subpath_mountinfo::table::{Filter, MountReader};
/// # fn main() -> subpath_mountinfo::Result<()> {
/// let under_run = Filter::under("/run");
/// for mount in MountReader::open("/proc/self/mountinfo")?.matching(&under_run) {
///     println!("{}", mount?.mount_point.display());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Filter(Condition);

#[derive(Debug, Clone)]
enum Condition {
    At(Wanted),
    Under(Wanted),
    Covering(Wanted),
    Device(DeviceNumber),
    Root(DeviceNumber, Wanted),
    Id(u64),
    ChildrenOf(u64),
}

/// A path that is looked for.
#[derive(Debug, Clone)]
struct Wanted {
    path: OsString,
    /// The path as the kernel prints it, if that differs.
    printed: Option<OsString>,
}

impl Wanted {
    fn new(path: &[u8]) -> Self {
        let printed = match escape_path(path) {
            std::borrow::Cow::Owned(printed) => Some(OsString::from_vec(printed)),
            std::borrow::Cow::Borrowed(_) => None,
        };
        Wanted { path: OsStr::from_bytes(path).to_owned(), printed }
    }

    fn cleaned(path: &Path) -> Self {
        Wanted::new(&go_path::clean_cow(bytes_of(path)))
    }

    fn printed(&self) -> &[u8] {
        self.printed.as_ref().unwrap_or(&self.path).as_bytes()
    }

    /// Compares the path with a printed field.
    ///
    /// The field may be printed in another way than the kernel's: other writers of mount tables
    /// escape more bytes, or leave a tab unescaped. So a field with either is decoded as well.
    fn compare(&self, field: &[u8], compare: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        compare(field, self.printed())
            || (memchr2(b'\\', b'\t', field).is_some()
                && compare(&unescape_path(field), self.path.as_bytes()))
    }

    /// Compares the path with the mount point of a line, with the mark of a deleted root and without
    /// it; see [`MountRecord::mount_point_path`](super::MountRecord::mount_point_path).
    fn compare_mount_point(
        &self,
        head: &Head<'_>,
        compare: impl Fn(&[u8], &[u8]) -> bool + Copy,
    ) -> bool {
        self.compare(head.mount_point, compare)
            || (head.root.ends_with(ROOT_DELETED)
                && head
                    .mount_point
                    .strip_suffix(PRINTED_MOUNT_POINT_DELETED)
                    .is_some_and(|path| self.compare(path, compare)))
    }
}

impl Filter {
    /// Matches the mounts whose mount point is this path.
    pub fn at(path: impl AsRef<Path>) -> Self {
        Filter(Condition::At(Wanted::cleaned(path.as_ref())))
    }

    /// Matches the mounts whose mount point is this path or lies below it.
    pub fn under(path: impl AsRef<Path>) -> Self {
        Filter(Condition::Under(Wanted::cleaned(path.as_ref())))
    }

    /// Matches the mounts whose mount point is this path or one of its parents. One of them is
    /// the mount that the path is on; [`MountTable::covering`](super::MountTable::covering) returns it.
    pub fn covering(path: impl AsRef<Path>) -> Self {
        Filter(Condition::Covering(Wanted::cleaned(path.as_ref())))
    }

    /// Matches the mounts of the file system with this device number.
    pub fn device(device: DeviceNumber) -> Self {
        Filter(Condition::Device(device))
    }

    /// Matches the mounts of one directory or file of a file system: the device number of the file
    /// system, and the path inside it ([`MountRecord::root`](super::MountRecord::root)), which is not
    /// cleaned.
    pub fn root(device: DeviceNumber, root: impl AsRef<Path>) -> Self {
        Filter(Condition::Root(device, Wanted::new(bytes_of(root.as_ref()))))
    }

    /// Matches the mount with this ID.
    pub fn id(id: u64) -> Self {
        Filter(Condition::Id(id))
    }

    /// Matches the mounts that are mounted on the mount with this ID.
    pub fn children_of(id: u64) -> Self {
        Filter(Condition::ChildrenOf(id))
    }

    /// Reports whether a line matches. One that lacks the fields to decide that does not.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        let Ok(head) = Head::split(line) else { return false };
        match &self.0 {
            Condition::At(path) => path.compare_mount_point(&head, |field, path| field == path),
            Condition::Under(base) => {
                base.compare_mount_point(&head, |field, base| go_path::below(field, base).is_some())
            }
            Condition::Covering(path) => {
                path.compare_mount_point(&head, |field, path| go_path::below(path, field).is_some())
            }
            Condition::Device(wanted) => device(head.device) == Some(*wanted),
            Condition::Root(wanted, root) => {
                root.compare(head.root, |field, root| field == root)
                    && device(head.device) == Some(*wanted)
            }
            Condition::Id(id) => number(head.id) == Some(*id),
            Condition::ChildrenOf(id) => {
                // The first mount of a namespace names itself as its parent.
                number(head.parent_id) == Some(*id) && number(head.id) != Some(*id)
            }
        }
    }

    /// Returns text that every matching line contains, provided that the table prints paths as the
    /// kernel does; `None` if there is no such text.
    pub(super) fn needle(&self) -> Option<Vec<u8>> {
        match &self.0 {
            Condition::At(path) | Condition::Under(path) => Some([b" ", path.printed()].concat()),
            _ => None,
        }
    }
}
