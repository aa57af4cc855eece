//! What is looked for in a mount table, and whether a line can be it.

use std::borrow::Cow;

use memchr::memchr2;

use super::escape::{escape_path, unescape_path};
use super::line::{Head, device, number};
use super::record::{DeviceNumber, ROOT_DELETED};
use crate::internal::go_path;

/// The mark on the mount point of a deleted root, as it is printed.
const PRINTED_MOUNT_POINT_DELETED: &[u8] = br"\040(deleted)";

/// Which mounts are wanted. Decided on the kernel's line, before it is parsed.
///
/// Paths are absolute, and compared as bytes, decoded. They are cleaned first
/// ([`go_path::clean`]); links in them are not resolved.
#[derive(Debug, Clone)]
pub struct Filter<'q>(Wanted<'q>);

#[derive(Debug, Clone)]
enum Wanted<'q> {
    At(Wants<'q>),
    Under(Wants<'q>),
    Covering(Wants<'q>),
    Device(DeviceNumber),
    Root(DeviceNumber, Wants<'q>),
    Id(u64),
    ChildrenOf(u64),
}

/// A path as it is and as the kernel prints it.
#[derive(Debug, Clone)]
struct Wants<'q> {
    path: Cow<'q, [u8]>,
    /// Where that differs.
    printed: Option<Vec<u8>>,
}

impl<'q> Wants<'q> {
    fn new(path: impl Into<Cow<'q, [u8]>>) -> Self {
        let path = path.into();
        let printed = match escape_path(&path) {
            Cow::Owned(printed) => Some(printed),
            Cow::Borrowed(_) => None,
        };
        Wants { path, printed }
    }

    fn printed(&self) -> &[u8] {
        self.printed.as_deref().unwrap_or(&self.path)
    }

    /// Compares with a printed field. Not only with what the kernel prints for the path: other
    /// writers of mount tables escape more bytes, or leave a tab as it is.
    fn compare(&self, field: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        same(field, self.printed())
            || (memchr2(b'\\', b'\t', field).is_some() && same(&unescape_path(field), &self.path))
    }

    /// The same for a mount point, with the mark of a deleted root and without it; see
    /// [`MountRecord::mount_point_path`](super::MountRecord::mount_point_path).
    fn compare_mount_point(
        &self,
        head: &Head<'_>,
        same: impl Fn(&[u8], &[u8]) -> bool + Copy,
    ) -> bool {
        self.compare(head.mount_point, same)
            || (head.root.ends_with(ROOT_DELETED)
                && head
                    .mount_point
                    .strip_suffix(PRINTED_MOUNT_POINT_DELETED)
                    .is_some_and(|path| self.compare(path, same)))
    }
}

impl<'q> Filter<'q> {
    /// Mounts whose mount point is this path.
    pub fn at(path: &'q [u8]) -> Self {
        Filter(Wanted::At(Wants::new(go_path::clean_cow(path))))
    }

    /// Mounts whose mount point is this path or lies below it.
    pub fn under(path: &'q [u8]) -> Self {
        Filter(Wanted::Under(Wants::new(go_path::clean_cow(path))))
    }

    /// Mounts whose mount point is this path or one of its parents.
    pub fn covering(path: &'q [u8]) -> Self {
        Filter(Wanted::Covering(Wants::new(go_path::clean_cow(path))))
    }

    /// Mounts of the file system with this device number.
    pub fn device(device: DeviceNumber) -> Self {
        Filter(Wanted::Device(device))
    }

    /// Mounts of one directory or file of a file system: its device number, and its path there.
    pub fn root(device: DeviceNumber, root: &'q [u8]) -> Self {
        Filter(Wanted::Root(device, Wants::new(root)))
    }

    /// The mount with this ID.
    pub fn id(id: u64) -> Self {
        Filter(Wanted::Id(id))
    }

    /// Mounts that are mounted on the mount with this ID.
    pub fn children_of(id: u64) -> Self {
        Filter(Wanted::ChildrenOf(id))
    }

    /// Whether the line is wanted. One that has not even the fields to tell is not.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        let Ok(head) = Head::split(line) else { return false };
        match &self.0 {
            Wanted::At(path) => path.compare_mount_point(&head, |field, path| field == path),
            Wanted::Under(base) => base.compare_mount_point(&head, is_within),
            Wanted::Covering(path) => {
                path.compare_mount_point(&head, |field, path| is_within(path, field))
            }
            Wanted::Device(wanted) => device(head.device) == Some(*wanted),
            Wanted::Root(wanted, root) => {
                root.compare(head.root, |field, root| field == root)
                    && device(head.device) == Some(*wanted)
            }
            Wanted::Id(id) => number(head.id) == Some(*id),
            Wanted::ChildrenOf(id) => {
                // The root of all names itself as its parent.
                number(head.parent_id) == Some(*id) && number(head.id) != Some(*id)
            }
        }
    }

    /// What stands in each wanted line of a table that prints paths as the kernel does.
    pub(super) fn needle(&self) -> Option<Vec<u8>> {
        match &self.0 {
            Wanted::At(path) | Wanted::Under(path) => Some([b" ", path.printed()].concat()),
            _ => None,
        }
    }
}

/// Whether the path is the base or lies below it.
pub(super) fn is_within(path: &[u8], base: &[u8]) -> bool {
    match path.strip_prefix(base) {
        Some(rest) => rest.is_empty() || rest[0] == b'/' || base.ends_with(b"/"),
        None => false,
    }
}
