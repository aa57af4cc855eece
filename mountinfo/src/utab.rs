//! What mount(8) notes of a mount beside the kernel's own table, in /run/mount/utab.
//!
//! libmount adds an entry where an option is not the kernel's: `_netdev`, `user`, `x-…`, and `helper=`
//! and, for ordinary users, `uhelper=`, which name a program to unmount with. Only umount(8) takes the
//! entry away and runs that program, so that a mount with an entry has to be unmounted by it. It is
//! found by the mount point alone, as umount(8) finds what it takes away, also where source and root
//! differ (libmount/src/update.c, `update_remove_entry`).

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

/// The file. A process with a mount namespace of its own may have another one there, or none.
pub(crate) const UTAB: &str = "/run/mount/utab";

/// A mount point as an entry may name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Noted(Vec<Vec<u8>>);

impl Noted {
    /// The mount point at a path, if it has an entry. Where there is no such file, which is nearly
    /// everywhere, that is found out by one open(2).
    ///
    /// # Errors
    /// The errno of reading the file. That it is not there is none.
    pub(crate) fn find(path: &[u8]) -> Sys<Option<Noted>> {
        Noted::find_as(path, resolved)
    }

    /// The mount point that a path names, an entry of an open directory. Nothing is looked up.
    ///
    /// # Errors
    /// As [`Noted::find`].
    pub(crate) fn find_in(dir: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Sys<Option<Noted>> {
        Noted::find_as(path, |_| entry_of(dir, name))
    }

    fn find_as(
        path: &[u8],
        resolved: impl FnOnce(&[u8]) -> Sys<Option<Vec<u8>>>,
    ) -> Sys<Option<Noted>> {
        let text = read()?;
        if text.is_empty() {
            return Ok(None);
        }
        let path = go_path::without_trailing_slashes(path);
        let mut names = vec![path.to_vec()];
        names.extend(resolved(path)?.filter(|resolved| resolved != path));
        Ok((count(&text, &names) > 0).then_some(Noted(names)))
    }

    /// How many entries there are: one for each mount that lies there, at most.
    ///
    /// # Errors
    /// The errno of reading the file.
    fn entries(&self) -> Sys<usize> {
        Ok(count(&read()?, &self.0))
    }

    /// Whether there is an entry still, as far as that can be told.
    pub(crate) fn is_there(&self) -> bool {
        // What cannot be read is told of at the end.
        self.entries().is_ok_and(|entries| entries > 0)
    }

    /// Warns if there is an entry still, to be called when everything is unmounted: nobody takes it
    /// away any more.
    pub(crate) fn warn_of_rest(&self, path: &[u8]) {
        match self.entries() {
            Ok(0) => {}
            Ok(_) => log!(WARN, "Unmounting ", path, " left its entry in ", UTAB),
            Err(errno) => warn_unread(path, errno),
        }
    }
}

fn read() -> Sys<Vec<u8>> {
    match std::fs::read(UTAB) {
        Ok(text) => Ok(text),
        Err(error) => absent_or(error.raw_os_error().unwrap_or(sys::EINVAL)).map(|()| Vec::new()),
    }
}

/// That something is not there is no error.
fn absent_or(errno: RawErrno) -> Sys<()> {
    if matches!(errno, sys::ENOENT | sys::ENOTDIR) { Ok(()) } else { Err(errno) }
}

/// The path without symlinks, as mount(8) notes it unless it is told not to. `None` where nothing is
/// there, and without /proc: an entry is found by the path as it is then.
fn resolved(path: &[u8]) -> Sys<Option<Vec<u8>>> {
    let dir = match locate::directory_of(path) {
        Ok(Some(dir)) => dir,
        // A symlink, which has to be followed, or no entry of a directory.
        Ok(None) => return target_of(path),
        Err(errno) => return absent_or(errno).map(|()| None),
    };
    // What is mounted there is not looked up: its server may hang.
    entry_of(dir.as_fd(), Place::at(path).name())
}

/// Where a symlink leads to. What is there is not asked; while it is open it is busy.
fn target_of(path: &[u8]) -> Sys<Option<Vec<u8>>> {
    let target = sys::open(path, OFlag::O_PATH)
        .and_then(|target| sys::readlink(&sys::proc_path_of(target.as_fd(), None)));
    match target {
        Ok(target) => Ok(Some(target)),
        Err(errno) => absent_or(errno).map(|()| None),
    }
}

/// The path of an entry of an open directory; `None` without /proc.
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

/// How many lines have one of the names as their target.
///
/// A line is `SRC=… TARGET=… ROOT=… OPTS=…` in any order, with the octal escapes of a source in
/// /proc/self/mountinfo (lib/mangle.c).
fn count(text: &[u8], names: &[Vec<u8>]) -> usize {
    let targets = text.split(|&byte| byte == b'\n').filter_map(|line| {
        line.split(|&byte| byte == b' ').find_map(|field| field.strip_prefix(b"TARGET="))
    });
    targets.filter(|target| names.contains(&unescape_name(target).into_owned())).count()
}

/// Unmounts by umount(8) what has an entry at a path, as far as that can: whoever has it runs the
/// program as long as [`ByProgram::is_due`]. What is left, all of it where umount(8) fails or the
/// server does not answer ([`crate::health::PATIENCE`]), is left to umount2(2): an entry that remains
/// is a line in a file, a mount that remains a volume.
#[derive(Debug)]
pub struct ByProgram<'p> {
    path: &'p [u8],
    noted: Option<Noted>,
    /// How many entries there were when the program was run last.
    before: usize,
}

impl<'p> ByProgram<'p> {
    /// Looks for entries of what is mounted at a path.
    pub fn of(path: &'p [u8]) -> Self {
        let noted = Noted::find(path).unwrap_or_else(|errno| {
            warn_unread(path, errno);
            None
        });
        ByProgram { path, noted, before: usize::MAX }
    }

    /// Whether umount(8) is to be run now, with [`ByProgram::argument`]. It is not unless the last run
    /// took at least one entry away.
    pub fn is_due(&mut self) -> bool {
        let Some(noted) = &self.noted else { return false };
        match noted.entries() {
            Ok(entries) if entries > 0 && entries < self.before => self.before = entries,
            // What cannot be read now is told of at the end.
            Ok(_) | Err(_) => return false,
        }
        match check::is_mount_point_at(Place::at(self.path)) {
            // Somebody else took the mount away, and umount(8) would leave the entry, too.
            Ok(false) => self.noted = None,
            Err(error) if error.is_not_exist() => self.noted = None,
            // umount(8) looks at the mount, and would wait for ever.
            Err(error) if error.errno() == Some(sys::ETIMEDOUT) => {
                warn_failed(self.path, &error);
                return false;
            }
            // What cannot be told here, umount(8) finds out itself.
            Ok(true) | Err(_) => {}
        }
        self.noted.is_some()
    }

    /// What umount(8) is given.
    pub fn argument(&self) -> Cow<'p, [u8]> {
        argument(self.path)
    }

    /// Hears how umount(8) ended.
    pub fn ended(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            warn_failed(self.path, &error);
        }
    }

    /// Warns if there is an entry still, to be called when everything is unmounted.
    pub fn warn_of_rest(&self) {
        if let Some(noted) = &self.noted {
            noted.warn_of_rest(self.path);
        }
    }
}

pub(crate) fn warn_unread(path: &[u8], errno: RawErrno) {
    let why = Error::path("read", UTAB.as_bytes(), errno);
    log!(WARN, "Unmounting ", path, " may leave an entry of mount(8): ", why.text());
}

pub(crate) fn warn_failed(path: &[u8], why: &Error) {
    log!(WARN, "umount(8) of ", path, " failed, trying umount2(2): ", why.text());
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
