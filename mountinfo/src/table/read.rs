//! Reads a mount table: line by line in the memory of one line, or as a whole and consistently.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::LazyLock;

use memchr::memchr;

use super::filter::Filter;
use super::line::{Malformed, number};
use super::parse::Parser;
use super::record::MountRecord;
use crate::error::{Error, Result};
use crate::internal::sys;
use crate::text;

/// An iterator over the records of a mount table that holds one line in memory, however long the
/// table is.
///
/// Use it to walk once over a long table, or to read from something other than a file. For lookups,
/// [`MountTable`](super::MountTable) is faster.
///
/// The iterator ends after the first error: one with the errno of read(2), or one that names the line
/// and the field that are malformed.
///
/// Before Linux 5.8, mounts that are there all the time may be missing from a table that changes while
/// it is read. `MountTable` reads such a table until two reads agree; this type does not.
///
/// # Examples
/// ```
/// use subpath_mountinfo::table::MountReader;
/// # fn main() -> subpath_mountinfo::Result<()> {
/// for record in MountReader::open("/proc/self/mountinfo")? {
///     let record = record?;
///     println!("{} is {}", record.mount_point.display(), record.fs_type.display());
/// }
/// # Ok(())
/// # }
/// ```
pub struct MountReader<R> {
    lines: Lines<R>,
    parser: Parser,
    ended: bool,
}

impl MountReader<BufReader<File>> {
    /// Opens a file with a mount table, such as `/proc/PID/mountinfo`.
    ///
    /// # Errors
    /// The errno of open(2), with the path: ENOENT if there is no such file or process, EACCES if the
    /// process belongs to another user, EINVAL if the path contains a NUL byte.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::table::MountReader;
    /// assert!(MountReader::open("/proc/self/mountinfo")?.next().is_some());
    /// assert!(MountReader::open("/proc/self/no such file").is_err());
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // A read(2) of /proc gives 4 KiB at most; a larger buffer serves ordinary files.
        let file = BufReader::with_capacity(16 << 10, open(path)?);
        Ok(MountReader::named(file, path.as_os_str().as_bytes()))
    }
}

impl<R: BufRead> MountReader<R> {
    /// Reads the text of a mount table from any buffered reader. Errors name the file `mountinfo`.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::table::MountReader;
    /// let text = b"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n".as_slice();
    /// assert_eq!(MountReader::new(text).count(), 1);
    /// ```
    pub fn new(input: R) -> Self {
        MountReader::named(input, b"mountinfo")
    }

    pub(super) fn named(input: R, name: &[u8]) -> Self {
        let lines = Lines { input, name: name.into(), line: Vec::new(), taken: 0, number: 0 };
        MountReader { lines, parser: Parser::default(), ended: false }
    }

    /// Yields only the records that match a filter. Lines that do not match are not parsed, so that
    /// they may be malformed.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::table::{Filter, MountReader};
    /// let text = b"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:5 / /dev rw - tmpfs dev rw\n";
    /// let filter = Filter::children_of(20);
    /// let mut found = MountReader::new(text.as_slice()).matching(&filter);
    /// assert_eq!(found.next().transpose()?.map(|mount| mount.id), Some(21));
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn matching(self, filter: &Filter) -> Matching<'_, R> {
        Matching { reader: self, filter }
    }

    fn next_matching(&mut self, filter: Option<&Filter>) -> Result<Option<MountRecord>> {
        while let Some(line) = self.lines.next()? {
            if filter.is_none_or(|filter| filter.matches(line)) {
                let record = self.parser.record(line);
                return record.map(Some).map_err(|malformed| self.lines.error(malformed));
            }
        }
        Ok(None)
    }

    fn step(&mut self, filter: Option<&Filter>) -> Option<Result<MountRecord>> {
        if self.ended {
            return None;
        }
        let step = self.next_matching(filter).transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}

impl<R: BufRead> Iterator for MountReader<R> {
    type Item = Result<MountRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(None)
    }
}

impl<R> fmt::Debug for MountReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, line) = (self.lines.name.escape_ascii(), self.lines.number);
        write!(f, "MountReader({name}, after line {line})")
    }
}

/// The records of a [`MountReader`] that match a [`Filter`]; see [`MountReader::matching`].
#[derive(Debug)]
pub struct Matching<'f, R> {
    reader: MountReader<R>,
    filter: &'f Filter,
}

impl<R: BufRead> Iterator for Matching<'_, R> {
    type Item = Result<MountRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.step(Some(self.filter))
    }
}

/// The lines of a mount table, without blank ones.
pub(super) struct Lines<R> {
    input: R,
    name: Box<[u8]>,
    /// Holds a line that is longer than what the input has buffered.
    line: Vec<u8>,
    /// How many bytes of the input's buffer belong to the last line.
    taken: usize,
    /// The number of the last line, counted from 1.
    number: usize,
}

impl<R: BufRead> Lines<R> {
    /// Returns the next line that is not blank; from the input's own buffer if all of it is there.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>> {
        loop {
            self.input.consume(std::mem::take(&mut self.taken));
            self.number += 1;
            let buffer = fill(&mut self.input, &self.name)?;
            if buffer.is_empty() {
                return Ok(None);
            }
            match memchr(b'\n', buffer) {
                Some(0) => self.taken = 1,
                Some(end) => {
                    self.taken = end + 1;
                    // This returns the same buffer again. The borrow checker does not accept the first
                    // one here, although the other arms do not use it.
                    let text = &fill(&mut self.input, &self.name)?[..end];
                    return Ok(Some(text));
                }
                None => {
                    self.line.clear();
                    let read = self.input.read_until(b'\n', &mut self.line);
                    read.map_err(|error| read_error(&self.name, &error))?;
                    let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
                    return Ok(Some(text));
                }
            }
        }
    }

    /// Makes the error for the line that was read last.
    pub(super) fn error(&self, malformed: Malformed) -> Error {
        malformed.at(&self.name, self.number)
    }
}

fn fill<'r>(input: &'r mut impl BufRead, name: &[u8]) -> Result<&'r [u8]> {
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(name, &error)),
        }
    }
    input.fill_buf().map_err(|error| read_error(name, &error))
}

fn open(path: &Path) -> Result<File> {
    let name = path.as_os_str().as_bytes();
    if sys::has_nul(name) {
        return Err(Error::at_path("open", name, sys::EINVAL));
    }
    File::open(path).map_err(|error| io_error("open", name, &error))
}

fn read_error(name: &[u8], error: &io::Error) -> Error {
    io_error("read", name, error)
}

fn io_error(op: &'static str, path: &[u8], error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(errno) => Error::at_path(op, path, errno),
        None => Error::new(text!("%s %s: %s", op, path, error.to_string())),
    }
}

/// How often a table is read again on a kernel that may omit mounts.
const TRIES: usize = 10;

/// Reads a whole file. It is opened only once, so that every read is of the same mount namespace even
/// if the process of that table changes its own, or ends.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let mut file = open(path)?;
    let name = path.as_os_str().as_bytes();
    if *READS_MAY_DIFFER { read_until_same(&mut file, name) } else { read_whole(&mut file, name) }
}

/// Reads any input to its end.
pub(super) fn read_whole(input: &mut impl Read, name: &[u8]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    input.read_to_end(&mut text).map_err(|error| read_error(name, &error))?;
    Ok(text)
}

fn read_until_same(file: &mut (impl Read + Seek), name: &[u8]) -> Result<Vec<u8>> {
    let mut before = read_whole(file, name)?;
    for _ in 0..TRIES {
        file.seek(SeekFrom::Start(0)).map_err(|error| io_error("seek", name, &error))?;
        let now = read_whole(file, name)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(Error::new(text!("could not get consistent content of %s after %d attempts", name, TRIES)))
}

/// Whether this kernel is older than 5.8. There, a mount is missing from the table if another one
/// before it is unmounted between two calls of read(2); commit 9f6c61f96f2d97 ("proc/mounts: add
/// cursor") fixed that. Nothing but the version shows it; a kernel that hides that counts as old.
static READS_MAY_DIFFER: LazyLock<bool> = LazyLock::new(|| {
    std::fs::read("/proc/sys/kernel/osrelease").map_or(true, |release| is_before_5_8(&release))
});

fn is_before_5_8(release: &[u8]) -> bool {
    let mut parts = release.split(|byte| !byte.is_ascii_digit()).map(number::<u32>);
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < (5, 8),
        // What is no version counts as old.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that has another content each time it is read, for the first `changes` reads.
    struct Changing {
        changes: usize,
        reads: usize,
        position: usize,
    }

    impl Read for Changing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let text = format!("read {}", self.reads.min(self.changes));
            let rest = &text.as_bytes()[self.position..];
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            self.position += n;
            Ok(n)
        }
    }

    impl Seek for Changing {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            assert_eq!(to, SeekFrom::Start(0));
            (self.position, self.reads) = (0, self.reads + 1);
            Ok(0)
        }
    }

    #[test]
    fn a_changing_table_is_read_until_two_reads_agree() {
        let mut file = Changing { changes: 9, reads: 0, position: 0 };
        assert_eq!(read_until_same(&mut file, b"f").unwrap(), b"read 9");
        assert_eq!(file.reads, 10);
    }

    #[test]
    fn a_table_that_never_rests_is_an_error() {
        let mut file = Changing { changes: 100, reads: 0, position: 0 };
        let error = read_until_same(&mut file, b"/proc/1/mountinfo").unwrap_err();
        let text = "could not get consistent content of /proc/1/mountinfo after 10 attempts";
        assert_eq!(error.to_string(), text);
        assert_eq!(file.reads, TRIES);
    }

    #[test]
    fn kernels_before_5_8_are_known_by_their_release() {
        for old in ["4.18.0-553.el8.x86_64\n", "5.7.19", "5.4.0-42-generic", "3.10.0", "", "weird"]
        {
            assert!(is_before_5_8(old.as_bytes()), "{old:?}");
        }
        for new in ["5.8.0\n", "5.10.16.3-microsoft-standard-WSL2", "6.18.44", "5.8-rc1", "10.0.1"]
        {
            assert!(!is_before_5_8(new.as_bytes()), "{new:?}");
        }
    }

    #[test]
    fn lines_longer_than_the_buffer_come_whole() {
        let long = "x".repeat(70_000);
        let text = format!("a\n\n{long}\nb");
        for capacity in [1, 2, 3, 4096, 100_000] {
            let input = BufReader::with_capacity(capacity, text.as_bytes());
            let mut lines = MountReader::new(input).lines;
            let mut seen = Vec::new();
            while let Some(length) = lines.next().unwrap().map(<[u8]>::len) {
                seen.push((lines.number, length));
            }
            assert_eq!(seen, [(1, 1), (3, 70_000), (4, 1)], "capacity {capacity}");
        }
    }
}
