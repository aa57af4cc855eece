//! The mount table: `/proc/PID/mountinfo`, parsed without losing a byte.
//!
//! - [`MountTable`] is the text of a whole table. Its lookups parse only the lines that match.
//! - [`MountReader`] iterates over the records of a table of any length, holding one line.
//! - [`MountRecord`] is one mount, with all its fields.
//! - [`mount_refs`] finds the other mount points of a directory or file.
//!
//! Use the table for questions that only it can answer: which mounts are stacked on a directory, which
//! are below a path, where else a file system is mounted. The kernel prints the table anew for each
//! read, which takes about 2 µs per mount. To find out whether a single path is a mount point,
//! [`is_mount_point`](crate::is_mount_point) needs less than 1 µs, whatever the length of the table.
//!
//! # Examples
//! ```
//! use subpath_mountinfo::table::MountTable;
//! # fn main() -> subpath_mountinfo::Result<()> {
//! let table = MountTable::current()?;
//! if let Some(mount) = table.covering("/proc/self/status")? {
//!     assert_eq!(mount.fs_type, "proc");
//!     println!("mounted at {} with {:?}", mount.mount_point.display(), mount.mount_options);
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

use std::ffi::OsStr;
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

use crate::internal::paths::bytes_of;

/// The mount table of a process, as the kernel printed it.
///
/// A table is a snapshot: it does not change when something is mounted. It holds the printed text, and
/// a lookup parses only the lines that match.
///
/// Paths that are looked up are absolute, as seen from the root directory of the process. They are
/// cleaned lexically first; symbolic links in them are not resolved (see [`Filter`]).
///
/// # Errors
/// A malformed line is an error that names the file, the line and the field. [`MountTable::records`]
/// and [`MountTable::iter`] parse every line and so find every malformed one; a lookup finds it only if
/// the line matches. A lookup makes no system call, and its errors have no errno.
#[derive(Clone, PartialEq, Eq)]
pub struct MountTable {
    text: Vec<u8>,
    /// The name of the file, for errors.
    name: Box<[u8]>,
    /// Whether searching the text for the kernel's printed form of a path finds that path.
    as_printed: bool,
}

impl MountTable {
    /// Reads the table of the calling thread.
    ///
    /// # Errors
    /// The errno of open(2) or read(2) on `/proc/thread-self/mountinfo`: ENOENT if /proc is not
    /// mounted.
    ///
    /// # Examples
    /// ```
    /// let table = subpath_mountinfo::MountTable::current()?;
    /// assert!(table.covering("/")?.is_some());
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn current() -> Result<Self> {
        // Not /proc/self, which is the main thread: each thread may have its own mount namespace.
        MountTable::open("/proc/thread-self/mountinfo")
    }

    /// Reads the table of a process: the mounts in its mount namespace, as seen from its root
    /// directory. It is that of the main thread; see [`MountTable::of_thread`].
    ///
    /// # Errors
    /// The errno of open(2) or read(2): ENOENT if there is no such process, EACCES if it belongs to
    /// another user, EINVAL if it has ended.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// assert!(MountTable::of_process(std::process::id())?.covering("/")?.is_some());
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn of_process(pid: u32) -> Result<Self> {
        MountTable::open(format!("/proc/{pid}/mountinfo"))
    }

    /// Reads the table of one thread of a process. Threads may have mount namespaces of their own
    /// (unshare(2), setns(2)).
    ///
    /// # Errors
    /// Those of [`MountTable::of_process`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let main_thread = std::process::id();
    /// assert!(MountTable::of_thread(main_thread, main_thread)?.covering("/")?.is_some());
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn of_thread(pid: u32, tid: u32) -> Result<Self> {
        MountTable::open(format!("/proc/{pid}/task/{tid}/mountinfo"))
    }

    /// Reads the table in a file: `/proc/PID/mountinfo`, or a copy of one.
    ///
    /// Before Linux 5.8 a single read may omit mounts while others are unmounted. There the file is read
    /// until two consecutive reads agree, up to eleven times.
    ///
    /// # Errors
    /// - The errno of open(2) or read(2), with the path: ENOENT, EACCES, EISDIR; EINVAL if the path
    ///   contains a NUL byte.
    /// - `could not get consistent content of …` if no two reads agree.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// assert!(MountTable::open("/proc/self/mountinfo")?.covering("/")?.is_some());
    /// let error = MountTable::open("/proc/self/no such file").unwrap_err();
    /// assert_eq!(error.to_string(), "open /proc/self/no such file: no such file or directory");
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = read::read_file(path)?;
        Ok(MountTable::named(text, bytes_of(path)))
    }

    /// Reads a table to the end of a reader.
    ///
    /// # Errors
    /// The error of the reader, with its errno if it has one.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table = MountTable::from_reader("20 1 8:1 / / rw - ext4 /dev/sda1 rw\n".as_bytes())?;
    /// assert_eq!(table.records()?.len(), 1);
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn from_reader(mut reader: impl Read) -> Result<Self> {
        Ok(MountTable::from_bytes(read::read_whole(&mut reader, b"mountinfo")?))
    }

    /// Makes a table of its text. Nothing is parsed yet.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table = MountTable::from_bytes("20 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    /// assert_eq!(table.records()?.len(), 1);
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn from_bytes(text: impl Into<Vec<u8>>) -> Self {
        MountTable::named(text.into(), b"mountinfo")
    }

    /// Makes a table of records, with the text that the kernel would print for them.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let all = MountTable::current()?.records()?;
    /// let without_proc = all.iter().filter(|mount| mount.fs_type != "proc");
    /// assert!(MountTable::from_records(without_proc).records()?.len() < all.len());
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
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

    /// Returns the text of the table, to save it or to compare it with another.
    ///
    /// # Examples
    /// ```
    /// let table = subpath_mountinfo::MountTable::from_bytes("20 1 8:1 / / rw - ext4 a rw\n");
    /// assert_eq!(table.as_bytes(), b"20 1 8:1 / / rw - ext4 a rw\n");
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Iterates over the records in the table's order, parsing each when it is reached. The iterator
    /// ends after the first malformed line.
    ///
    /// # Examples
    /// ```
    /// let table = subpath_mountinfo::MountTable::from_bytes("20 1 8:1 / / rw - ext4 a rw\n");
    /// for record in table.iter() {
    ///     assert_eq!(record?.id, 20);
    /// }
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn iter(&self) -> MountReader<&[u8]> {
        MountReader::named(&self.text, &self.name)
    }

    /// Returns all records, in the table's order.
    ///
    /// # Errors
    /// The first malformed line; see [`MountTable`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table = MountTable::from_bytes("20 1 8:1 / / rw - ext4 a rw\n21 20 0:5 /");
    /// let error = table.records().unwrap_err();
    /// assert_eq!(error.to_string(), "mountinfo: line 2: mount point: missing");
    /// ```
    pub fn records(&self) -> Result<Vec<MountRecord>> {
        self.iter().collect()
    }

    /// Returns the records that match a filter, in the table's order.
    ///
    /// # Errors
    /// A malformed line among those that match; see [`MountTable`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::{MountTable, table::Filter};
    /// let table = MountTable::current()?;
    /// if let Some(root) = table.top("/")? {
    ///     let same_file_system = table.matching(&Filter::device(root.device))?;
    ///     assert!(same_file_system.contains(&root));
    /// }
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn matching(&self, filter: &Filter) -> Result<Vec<MountRecord>> {
        match filter.needle() {
            Some(needle) if self.as_printed => scan::matching(&self.text, &needle, filter)
                .map_err(|(malformed, line)| malformed.at(&self.name, line)),
            _ => self.iter().matching(filter).collect(),
        }
    }

    /// Returns all mounts on a mount point, in the table's order. Only one of them is visible; see
    /// [`MountTable::top`].
    ///
    /// # Errors
    /// A malformed line among those that match; see [`MountTable`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table = MountTable::from_bytes(
    ///     "20 1 8:1 / / rw - ext4 a rw\n21 20 0:5 / /mnt rw - tmpfs b rw\n22 21 0:6 / /mnt rw - tmpfs c rw\n",
    /// );
    /// assert_eq!(table.at("/mnt")?.len(), 2);
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn at(&self, mount_point: impl AsRef<Path>) -> Result<Vec<MountRecord>> {
        self.matching(&Filter::at(mount_point))
    }

    /// Returns the mount that is visible at a mount point: the topmost of a stack. `None` if nothing is
    /// mounted there, or only below another mount that hides it.
    ///
    /// At `/` this is the root mount of the process. A mount on top of it is not visible to the
    /// process.
    ///
    /// # Errors
    /// A malformed line among those that match; see [`MountTable`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table = MountTable::from_bytes(
    ///     "20 1 8:1 / / rw - ext4 a rw\n21 20 0:5 / /mnt rw - tmpfs b rw\n22 21 0:6 / /mnt rw - tmpfs c rw\n",
    /// );
    /// assert_eq!(table.top("/mnt")?.map(|mount| mount.id), Some(22));
    /// assert_eq!(table.top("/mnt/below")?, None);
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn top(&self, mount_point: impl AsRef<Path>) -> Result<Option<MountRecord>> {
        let mount_point = mount_point.as_ref();
        // Most lookups end here: this search is faster than the one for the covering mount.
        if self.at(mount_point)?.is_empty() {
            return Ok(None);
        }
        let path = go_path::clean_cow(bytes_of(mount_point));
        let path = Path::new(OsStr::from_bytes(&path));
        Ok(self.covering(path)?.filter(|mount| mount.is_mounted_at(path)))
    }

    /// Returns the mount that a path is on. The path need not exist. `None` only if the table has no
    /// root mount, or the path is not absolute.
    ///
    /// # Errors
    /// A malformed line among those that match; see [`MountTable`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table = MountTable::current()?;
    /// let mount = table.covering("/proc/self/status")?;
    /// assert_eq!(mount.map(|mount| mount.fs_type), Some("proc".into()));
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn covering(&self, path: impl AsRef<Path>) -> Result<Option<MountRecord>> {
        let path = path.as_ref();
        let candidates = self.matching(&Filter::covering(path))?;
        Ok(covering(&candidates, &go_path::clean_cow(bytes_of(path))).cloned())
    }

    /// Returns the mounts on a path and below it, in the table's order. Reversed, it is an order in
    /// which they can be unmounted.
    ///
    /// # Errors
    /// A malformed line among those that match; see [`MountTable`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table = MountTable::current()?;
    /// for mount in table.under("/var/lib/kubelet/pods")?.iter().rev() {
    ///     println!("still mounted: {}", mount.mount_point.display());
    /// }
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn under(&self, path: impl AsRef<Path>) -> Result<Vec<MountRecord>> {
        self.matching(&Filter::under(path))
    }

    /// Returns all mounts of one directory or file of a file system, which is named by the device
    /// number of the file system and the path inside it ([`MountRecord::root`]).
    ///
    /// # Errors
    /// A malformed line among those that match; see [`MountTable`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table = MountTable::current()?;
    /// if let Some(proc) = table.top("/proc")? {
    ///     assert!(table.mounts_of(proc.device, &proc.root)?.contains(&proc));
    /// }
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn mounts_of(
        &self,
        device: DeviceNumber,
        root: impl AsRef<Path>,
    ) -> Result<Vec<MountRecord>> {
        self.matching(&Filter::root(device, root))
    }

    /// Returns the mount with an ID, such as the `mnt_id` of `/proc/PID/fdinfo/FD` or of statx(2);
    /// `None` if there is none.
    ///
    /// # Errors
    /// The line of that mount is malformed; see [`MountTable`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table = MountTable::from_bytes("20 1 8:1 / / rw - ext4 a rw\n");
    /// assert!(table.by_id(20)?.is_some());
    /// assert!(table.by_id(21)?.is_none());
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn by_id(&self, id: u64) -> Result<Option<MountRecord>> {
        self.iter().matching(&Filter::id(id)).next().transpose()
    }

    /// Returns the mount on which a mount is mounted; `None` for the root mount of the process, whose
    /// parent cannot be seen.
    ///
    /// # Errors
    /// The line of the parent is malformed; see [`MountTable`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table =
    ///     MountTable::from_bytes("20 1 8:1 / / rw - ext4 a rw\n21 20 0:5 / /mnt rw - tmpfs b rw\n");
    /// let records = table.records()?;
    /// assert_eq!(table.parent(&records[1])?.as_ref(), Some(&records[0]));
    /// assert_eq!(table.parent(&records[0])?, None);
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn parent(&self, mount: &MountRecord) -> Result<Option<MountRecord>> {
        if mount.parent_id == mount.id { Ok(None) } else { self.by_id(mount.parent_id) }
    }

    /// Returns the mounts that are mounted directly on a mount, in the table's order.
    ///
    /// # Errors
    /// A malformed line among those that match; see [`MountTable`].
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::MountTable;
    /// let table =
    ///     MountTable::from_bytes("20 1 8:1 / / rw - ext4 a rw\n21 20 0:5 / /mnt rw - tmpfs b rw\n");
    /// let records = table.records()?;
    /// assert_eq!(table.children(&records[0])?, records[1..]);
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
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
