//! mount(8)'s own mount table, /run/mount/utab, and unmounting what has an entry in it.
//!
//! libmount adds an entry for a mount with options that are not the kernel's: `_netdev`, `user`, `x-…`, and
//! `helper=` and `uhelper=`, which name a program that unmounts. Only umount(8) removes the entry and runs that
//! program, so a mount with an entry has to be unmounted by umount(8).
//!
//! An entry is found by its mount point alone, even if source and root differ. This is how umount(8) finds the
//! entry that it removes (libmount/src/update.c, `update_remove_entry`).

use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::OFlag;

use crate::error::{Error, Result};
use crate::internal::go_path;
use crate::internal::sys::{self, RawErrno, Sys};
use crate::mounter::Place;
use crate::table::unescape_name;
use crate::umount::argument;
use crate::{check, locate, log};

/// The path of the table. A process in another mount namespace may see another file there, or none.
pub(crate) const UTAB: &str = "/run/mount/utab";

/// A mount point that has an entry: the paths by which an entry may name it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UtabTarget(Vec<Vec<u8>>);

impl UtabTarget {
    /// Returns the mount point at a path if it has an entry. On most machines there is no such file, or an empty one,
    /// which takes one system call to find out.
    ///
    /// # Errors
    /// The errno of reading the file. It is no error if the file does not exist.
    pub(crate) fn find(path: &[u8]) -> Sys<Option<UtabTarget>> {
        UtabTarget::find_as(path, resolved)
    }

    /// Returns the mount point at an entry of an open directory if it has an entry in the table. `path` is
    /// the path that the caller uses; it is not looked up.
    ///
    /// # Errors
    /// The errno of reading the file, as for [`UtabTarget::find`].
    pub(crate) fn find_in(
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Sys<Option<UtabTarget>> {
        UtabTarget::find_as(path, |_| entry_of(dir, name))
    }

    fn find_as(
        path: &[u8],
        resolved: impl FnOnce(&[u8]) -> Sys<Option<Vec<u8>>>,
    ) -> Sys<Option<UtabTarget>> {
        let text = read()?;
        if text.is_empty() {
            return Ok(None);
        }
        let path = go_path::without_trailing_slashes(path);
        let mut names = vec![path.to_vec()];
        names.extend(resolved(path)?.filter(|resolved| resolved != path));
        Ok((count(&text, &names) > 0).then_some(UtabTarget(names)))
    }

    /// Returns the number of entries. There may be one for each mount of a stack.
    ///
    /// # Errors
    /// The errno of reading the file.
    fn entries(&self) -> Sys<usize> {
        Ok(count(&read()?, &self.0))
    }

    /// Reports whether there still is an entry; `false` if the file cannot be read.
    pub(crate) fn has_entry(&self) -> bool {
        // The warning at the end reports a file that cannot be read.
        self.entries().is_ok_and(|entries| entries > 0)
    }

    /// Logs a warning if there still is an entry. It is called when everything is unmounted, after which
    /// nothing removes the entry.
    pub(crate) fn warn_of_rest(&self, path: &[u8]) {
        match self.entries() {
            Ok(0) => {}
            Ok(_) => log!(WARN, target = path, "Unmounting %s left its entry in %s", path, UTAB),
            Err(errno) => warn_unread(path, errno),
        }
    }
}

fn read() -> Sys<Vec<u8>> {
    // One call where no mount has an entry.
    let text = std::fs::metadata(UTAB).and_then(|file| match file.len() {
        0 => Ok(Vec::new()),
        _ => std::fs::read(UTAB),
    });
    match text {
        Ok(text) => Ok(text),
        Err(error) => absent_or(error.raw_os_error().unwrap_or(sys::EINVAL)).map(|()| Vec::new()),
    }
}

/// Takes the errno of a missing file for success.
fn absent_or(errno: RawErrno) -> Sys<()> {
    if matches!(errno, sys::ENOENT | sys::ENOTDIR) { Ok(()) } else { Err(errno) }
}

/// Returns the path without symbolic links, which is what mount(8) writes by default. `None` if nothing is
/// at the path, or /proc is not mounted; then only the path as it is can be searched for.
pub(crate) fn resolved(path: &[u8]) -> Sys<Option<Vec<u8>>> {
    let dir = match locate::directory_of(path) {
        Ok(Some(dir)) => dir,
        // A symbolic link, which has to be followed, or a path without a name, such as `/`.
        Ok(None) => return target_of(path),
        Err(errno) => return absent_or(errno).map(|()| None),
    };
    // The mount itself is not looked up, since its server may hang.
    entry_of(dir.as_fd(), Place::at_bytes(path).name_bytes())
}

/// Returns the path to which a symbolic link leads. The server of a mount there is not asked, but the mount
/// is busy while it is open here.
fn target_of(path: &[u8]) -> Sys<Option<Vec<u8>>> {
    let target = sys::open(path, OFlag::O_PATH)
        .and_then(|target| sys::readlink(&sys::proc_path_of(target.as_fd(), None)));
    match target {
        Ok(target) => Ok(Some(target)),
        Err(errno) => absent_or(errno).map(|()| None),
    }
}

/// Returns the path of an entry of an open directory; `None` if /proc is not mounted.
fn entry_of(dir: BorrowedFd<'_>, name: &[u8]) -> Sys<Option<Vec<u8>>> {
    let mut path = match sys::readlink(&sys::proc_path_of(dir, None)) {
        Ok(path) => path,
        Err(errno) => return absent_or(errno).map(|()| None),
    };
    if path != b"/" {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    Ok(Some(path))
}

/// Counts the lines whose target is one of the names.
///
/// A line is `SRC=… TARGET=… ROOT=… OPTS=…` in any order. Values have the same escapes as a source in
/// /proc/self/mountinfo (lib/mangle.c).
fn count(text: &[u8], names: &[Vec<u8>]) -> usize {
    let targets = text.split(|&byte| byte == b'\n').filter_map(|line| {
        line.split(|&byte| byte == b' ').find_map(|field| field.strip_prefix(b"TARGET="))
    });
    targets.filter(|target| names.contains(&unescape_name(target).into_owned())).count()
}

/// Unmounting by umount(8) of the mounts at a path that have an entry. The caller runs the program while
/// [`ByProgram::is_due`] returns `true`.
///
/// What is still mounted then is unmounted by umount2(2). That is everything if umount(8) fails, or if the
/// server does not answer within [`crate::health::PATIENCE`]. An entry that stays behind is a line in a
/// file, which is better than a volume that stays mounted.
pub struct ByProgram<'p> {
    path: &'p [u8],
    noted: Option<UtabTarget>,
    /// The number of entries before the last run of the program.
    before: usize,
}

impl<'p> ByProgram<'p> {
    /// Looks for entries for what is mounted at a path.
    pub fn of(path: &'p [u8]) -> Self {
        let noted = UtabTarget::find(path).unwrap_or_else(|errno| {
            warn_unread(path, errno);
            None
        });
        ByProgram { path, noted, before: usize::MAX }
    }

    /// Reports whether to run umount(8) now, with [`ByProgram::argument`]: there is an entry, and the last
    /// run, if any, removed at least one.
    pub fn is_due(&mut self) -> bool {
        let Some(noted) = &self.noted else { return false };
        match noted.entries() {
            Ok(entries) if entries > 0 && entries < self.before => self.before = entries,
            // The warning at the end reports a file that cannot be read.
            Ok(_) | Err(_) => return false,
        }
        match check::is_mount_point_at(Place::at_bytes(self.path)) {
            // Somebody else unmounted it. umount(8) would not remove the entry either.
            Ok(false) => self.noted = None,
            Err(error) if error.is_not_exist() => self.noted = None,
            // umount(8) accesses the mount, and would never return.
            Err(error) if error.raw_os_error() == Some(sys::ETIMEDOUT) => {
                warn_failed(self.path, &error);
                return false;
            }
            // If it is unknown, umount(8) finds out.
            Ok(true) | Err(_) => {}
        }
        self.noted.is_some()
    }

    /// Returns the argument for umount(8).
    pub fn argument(&self) -> Cow<'p, [u8]> {
        argument(self.path)
    }

    /// Takes the outcome of umount(8), and logs a warning if it failed.
    pub fn ended(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            warn_failed(self.path, &error);
        }
    }

    /// Logs a warning if there still is an entry. It is called when everything is unmounted.
    pub fn warn_of_rest(&self) {
        if let Some(noted) = &self.noted {
            noted.warn_of_rest(self.path);
        }
    }
}

/// Logs a warning that the table cannot be read.
pub(crate) fn warn_unread(path: &[u8], errno: RawErrno) {
    let why = Error::at_path("read", UTAB.as_bytes(), errno);
    log!(
        WARN,
        target = path,
        errno = why.raw_os_error(),
        "Unmounting %s may leave an entry of mount(8): %s",
        path,
        why
    );
}

/// Logs a warning that umount(8) failed.
pub(crate) fn warn_failed(path: &[u8], why: &Error) {
    log!(
        WARN,
        target = path,
        errno = why.raw_os_error(),
        "umount(8) of %s failed, trying umount2(2): %s",
        path,
        why
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_by_its_target_as_mount_noted_it() {
        let text = br"SRC=src\040#\134x TARGET=/mnt/a\040b ROOT=/ OPTS=_netdev,x-foo=1
SRC=TARGET=/mnt/c TARGET=/mnt/tab\011x ROOT=/ BINDSRC=/mnt/c OPTS=_netdev
SRC=none TARGET=/mnt/\101 ROOT=/ OPTS=x-a TARGET=/mnt/b
ID=4 SRC=none TARGET=/mnt/a\040b ROOT=/ OPTS=x-a

TARGET=/mnt/last";
        let found = |names: &[&[u8]]| {
            let names: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
            count(text, &names)
        };
        assert_eq!(found(&[b"/mnt/a b"]), 2);
        assert_eq!(found(&[b"/mnt/tab\tx", b"/mnt/last"]), 2);
        assert_eq!(found(&[br"/mnt/\101"]), 1);
        for other in
            [&b"/mnt/c"[..], b"/mnt/A", b"/mnt/b", b"/mnt", b"/mnt/a", b"", br"/mnt/a\040b"]
        {
            assert_eq!(found(&[other]), 0, "{}", other.escape_ascii());
        }
    }
}
