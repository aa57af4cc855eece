//! The mount table: `/proc/PID/mountinfo`, parsed without losing a byte.
//!
//! - [`MountTable`] is the text of a table, read whole and consistent. Its lookups parse only the
//!   lines that can match.
//! - [`MountReader`] reads record by record and holds one line, for tables of any length.
//! - [`MountRecord`] is one mount, all its fields as bytes.
//!
//! Only ask the table what the table alone knows: stacks of mounts, mounts below a path, who else
//! mounts a file system. The kernel prints it anew for each read, about 2 µs per mount; whether
//! something is mounted at one path is answered by statx(2) in less than 1 µs, in a table of any
//! length.
//!
//! # Examples
//! ```
//! use subpath_mountinfo::table::MountTable;
//! # fn main() -> subpath_mountinfo::Result<()> {
//! let table = MountTable::current()?;
//! if let Some(mount) = table.covering(b"/proc/self/status")? {
//!     assert_eq!(mount.fs_type, b"proc");
//! }
//! # Ok(())
//! # }
//! ```

mod escape;
mod filter;
mod line;
mod lookup;
mod options;
mod parse;
mod read;
mod record;
mod refs;
mod scan;
#[cfg(feature = "serde")]
mod serialize;

use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::Result;
use crate::internal::go_path;

pub use escape::{escape_name, escape_path, unescape_name, unescape_option, unescape_path};
pub use filter::Filter;
pub use options::{MountOptions, OptionalFields, Propagation};
pub use read::{Matching, MountReader};
pub use record::{DeviceNumber, MountRecord};
pub use refs::mount_refs;

pub(crate) use lookup::covering;
pub(crate) use refs::path_in_file_system;

/// The mount table of a process, as the kernel printed it.
///
/// Holds the text, and parses what is asked for. Paths that are looked up are absolute, as seen
/// from the process's root directory. They are cleaned first; links in them are not resolved.
///
/// A malformed line is an error that names file, line and field. [`MountTable::records`] sees every
/// line; a lookup only those that match.
#[derive(Clone, PartialEq, Eq)]
pub struct MountTable {
    text: Vec<u8>,
    name: Box<[u8]>,
    /// Whether a path can be found in the text by the form in which the kernel prints it.
    as_printed: bool,
}

impl MountTable {
    /// The mounts that the calling thread sees.
    pub fn current() -> Result<Self> {
        // Not /proc/self, which is the main thread: namespaces belong to threads.
        MountTable::open("/proc/thread-self/mountinfo")
    }

    /// The mounts that a process sees.
    pub fn of_process(pid: u32) -> Result<Self> {
        MountTable::open(format!("/proc/{pid}/mountinfo"))
    }

    /// The mounts that a thread of a process sees.
    pub fn of_thread(pid: u32, tid: u32) -> Result<Self> {
        MountTable::open(format!("/proc/{pid}/task/{tid}/mountinfo"))
    }

    /// The table in a file: `/proc/PID/mountinfo`, or a copy of one.
    ///
    /// Opened once. Before Linux 5.8, where a read may leave mounts out, it is read until two reads
    /// agree, eleven times at most.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = read::read_file(path)?;
        Ok(MountTable::named(text, path.as_os_str().as_bytes()))
    }

    /// The table that a reader gives, to its end.
    pub fn from_reader(mut reader: impl Read) -> Result<Self> {
        Ok(MountTable::from_bytes(read::read_whole(&mut reader, b"mountinfo")?))
    }

    /// The table with this text.
    pub fn from_bytes(text: impl Into<Vec<u8>>) -> Self {
        MountTable::named(text.into(), b"mountinfo")
    }

    /// The table of these mounts, as the kernel would print it.
    pub fn from_records<'r>(records: impl IntoIterator<Item = &'r MountRecord>) -> Self {
        let mut text = Vec::new();
        for record in records {
            text.extend_from_slice(&record.to_line());
            text.push(b'\n');
        }
        MountTable::from_bytes(text)
    }

    fn named(text: Vec<u8>, name: &[u8]) -> Self {
        let as_printed = scan::is_as_printed(&text);
        MountTable { text, name: name.into(), as_printed }
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The records one by one, in the table's order.
    pub fn iter(&self) -> MountReader<&[u8]> {
        MountReader::named(&self.text, &self.name)
    }

    /// All records, in the table's order; none at all when a line is malformed.
    pub fn records(&self) -> Result<Vec<MountRecord>> {
        self.iter().collect()
    }

    /// The records that a filter lets through, in the table's order.
    pub fn matching(&self, filter: &Filter<'_>) -> Result<Vec<MountRecord>> {
        match filter.needle() {
            Some(needle) if self.as_printed => scan::matching(&self.text, &needle, filter)
                .map_err(|(malformed, line)| malformed.at(&self.name, line)),
            _ => self.iter().matching(filter).collect(),
        }
    }

    /// The mounts on a mount point, those that others hide too, in the table's order.
    pub fn at(&self, mount_point: &[u8]) -> Result<Vec<MountRecord>> {
        self.matching(&Filter::at(mount_point))
    }

    /// The mount that is seen at a mount point: the topmost of those stacked there. `None` when
    /// nothing is mounted there, or only below another mount that hides it.
    ///
    /// At `/` it is the process's root mount: what is mounted over it later is not seen.
    pub fn top(&self, mount_point: &[u8]) -> Result<Option<MountRecord>> {
        if self.at(mount_point)?.is_empty() {
            return Ok(None); // found out faster than what covers it
        }
        let covering = self.covering(mount_point)?;
        let mount_point = go_path::clean_cow(mount_point);
        Ok(covering.filter(|mount| mount.is_mounted_at(&mount_point)))
    }

    /// The mount on which a path lies.
    pub fn covering(&self, path: &[u8]) -> Result<Option<MountRecord>> {
        let candidates = self.matching(&Filter::covering(path))?;
        Ok(covering(&candidates, &go_path::clean_cow(path)).cloned())
    }

    /// The mounts on a path and below it, in the table's order.
    pub fn under(&self, path: &[u8]) -> Result<Vec<MountRecord>> {
        self.matching(&Filter::under(path))
    }

    /// The mounts of one directory or file of a file system: its device number, and its path there.
    pub fn mounts_of(&self, device: DeviceNumber, root: &[u8]) -> Result<Vec<MountRecord>> {
        self.matching(&Filter::root(device, root))
    }

    /// The mount with this ID.
    pub fn by_id(&self, id: u64) -> Result<Option<MountRecord>> {
        self.iter().matching(&Filter::id(id)).next().transpose()
    }

    /// The mount on which this one is mounted, unless it lies outside of what the process sees.
    pub fn parent(&self, mount: &MountRecord) -> Result<Option<MountRecord>> {
        if mount.parent_id == mount.id { Ok(None) } else { self.by_id(mount.parent_id) }
    }

    /// The mounts that are mounted on this one, in the table's order.
    pub fn children(&self, mount: &MountRecord) -> Result<Vec<MountRecord>> {
        self.matching(&Filter::children_of(mount.id))
    }
}

impl<'t> IntoIterator for &'t MountTable {
    type Item = Result<MountRecord>;
    type IntoIter = MountReader<&'t [u8]>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for MountTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MountTable({}, {} bytes)", self.name.escape_ascii(), self.text.len())
    }
}
