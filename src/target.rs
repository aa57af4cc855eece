//! The target of a bind mount: the directory or file that is made for it below the pod's directory
//! (the second half of `prepareSubpathTarget`).

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::sys::{self, Kind, Sys};
use subpath_mountinfo::{Error, Profile, Result, log, text};

use crate::pod_dir;
use crate::request::Subpath;
use crate::source::BindSource;

/// Mode of the directories that are made below the pod's.
const DIRECTORY_MODE: u32 = 0o750;
/// Mode of the file that is made as target of anything but a directory.
const FILE_MODE: u32 = 0o640;
/// How often a target is made anew when a concurrent clean-up takes its directory away.
pub(crate) const TRIES: usize = 100;

/// A target that is ready.
pub(crate) struct Target {
    /// Its path.
    pub(crate) path: Vec<u8>,
    /// The directory that holds it; `None` when the sub path is mounted on it already.
    pub(crate) parent: Option<OwnedFd>,
}

impl Target {
    /// A target on which the sub path is mounted already.
    pub(crate) fn already_mounted(path: Vec<u8>) -> Self {
        log!(TRACE, target = path, "Skipping bind-mounting subpath %s: already mounted", path);
        Target { path, parent: None }
    }
}

/// What is done about something else than the wanted kind of file that was left at the target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    /// A symlink alone is replaced.
    Symlinks,
    /// Whatever may be removed is replaced.
    Leftovers,
}

/// What became of an attempt to make a target.
pub(crate) enum Attempt {
    /// It is there, in this directory.
    Made { parent: OwnedFd, made: Made, kind: Kind },
    /// A concurrent clean-up was faster: it is to be made anew. Why it could not be made.
    Vanished(Error),
}

/// Whether a target is new, or was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    New,
    Found,
}

/// Makes the target, and the directory that holds it if that is not open already.
pub(crate) fn make(
    subpath: &Subpath,
    source: &BindSource<'_>,
    path: &[u8],
    container_dir: Option<OwnedFd>,
    replace: Replace,
) -> Result<Attempt> {
    let parent = match container_dir {
        Some(dir) => Ok(dir),
        None => match make_container_dir(subpath) {
            Ok(made) => made,
            // A clean-up removed a level after it was opened.
            Err(error) if error.raw_os_error() == Some(sys::ENOENT) => {
                return Ok(Attempt::Vanished(error));
            }
            Err(error) => return Err(error),
        },
    };
    let stat = source.stat().map_err(|error| {
        Error::flatten(text!("lstat %s failed: %s", subpath.path, error), &error)
    })?;
    let parent = parent.map_err(|errno| cannot_make(stat.kind, path, errno))?;
    let made = match stat.kind {
        Kind::Directory => make_directory(&parent, path, replace),
        _ => make_file(&parent, path, replace),
    };
    match made {
        Ok(made) => Ok(Attempt::Made { parent, made, kind: stat.kind }),
        // The directory was removed after it was opened. For a moment more it can be opened, until
        // rmdir(2) is done: mkdirat(2) waits for that, so that the tries are not spent on it.
        Err(error) if error.raw_os_error() == Some(sys::ENOENT) => {
            let _shown_by_the_next_try =
                pod_dir::make_all(&subpath.pod_dir, &subpath.container_dir(), DIRECTORY_MODE);
            Ok(Attempt::Vanished(error))
        }
        Err(error) => Err(error),
    }
}

/// Makes the directory that holds the target. The inner errno is met only when the target is made.
fn make_container_dir(subpath: &Subpath) -> Result<Sys<OwnedFd>> {
    let path = subpath.container_dir();
    match pod_dir::make_all(&subpath.pod_dir, &path, DIRECTORY_MODE) {
        Ok(dir) => Ok(Ok(dir)),
        // A dangling link in the pod's own path: the original lets it pass here (os.IsExist) and fails
        // at the target.
        Err(error) if error.is_exist() => {
            let opened = sys::open(&path, OFlag::O_PATH | OFlag::O_DIRECTORY);
            Ok(Err(opened.err().unwrap_or(sys::ENOENT)))
        }
        Err(error) => {
            Err(Error::flatten(text!("error creating directory %s: %s", path, error), &error))
        }
    }
}

pub(crate) fn cannot_make(source: Kind, path: &[u8], errno: i32) -> Error {
    let (what, op) = match source {
        Kind::Directory => ("directory", "mkdir"),
        _ => ("file", "open"),
    };
    let cause = Error::at_path(op, path, errno);
    Error::flatten(text!("error creating %s %s: %s", what, path, cause), &cause)
}

/// Makes the target of a directory. One that exists is kept; a symlink is replaced, and with the
/// kernel's mounter so is a file that was left behind.
fn make_directory(dir: &OwnedFd, path: &[u8], replace: Replace) -> Result<Made> {
    let name = go_path::base(path);
    let fail = |errno| cannot_make(Kind::Directory, path, errno);
    for _ in 0..TRIES {
        match sys::mkdirat(dir, name, DIRECTORY_MODE) {
            Ok(()) => return Ok(Made::New),
            Err(sys::EEXIST) => match kind_of(dir, name) {
                Ok(Kind::Directory) => return Ok(Made::Found),
                Ok(Kind::Symlink) => unlink(dir, name).map_err(fail)?,
                Ok(_) if replace == Replace::Leftovers => unlink(dir, name).map_err(fail)?,
                Ok(_) => return Ok(Made::Found),
                Err(sys::ENOENT) => {}
                Err(errno) => return Err(fail(errno)),
            },
            Err(errno) => return Err(fail(errno)),
        }
    }
    Err(fail(sys::EEXIST))
}

/// Makes the target of a file, socket, device or FIFO: an empty file serves them all.
///
/// What was left behind is emptied, as the original's os.WriteFile empties it, but only if it is a
/// file on which nothing is mounted: a caller that was faster may have bound the user's file there.
fn make_file(dir: &OwnedFd, path: &[u8], replace: Replace) -> Result<Made> {
    let name = go_path::base(path);
    let fail = |errno| cannot_make(Kind::File, path, errno);
    let new = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    for _ in 0..TRIES {
        let made = match sys::make_file(dir, name, FILE_MODE) {
            Err(errno) if errno != sys::EEXIST => {
                // A sandbox or a server may know only how to create files.
                sys::openat(dir, name, new, FILE_MODE).map(drop)
            }
            made => made,
        };
        match made {
            Ok(()) => return Ok(Made::New),
            Err(sys::EEXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        match kind_of(dir, name) {
            Ok(Kind::File | Kind::Device) => {
                return empty_leftover(dir, name).map(|()| Made::Found).map_err(fail);
            }
            // Good enough to be mounted on; the original would wait for a reader for ever.
            Ok(Kind::Fifo) => return Ok(Made::Found),
            Ok(Kind::Socket) => return Err(fail(sys::ENXIO)),
            Ok(Kind::Symlink) => unlink(dir, name).map_err(fail)?,
            Ok(Kind::Directory) if replace == Replace::Leftovers => {
                match sys::rmdir_at(dir, name) {
                    Ok(()) | Err(sys::ENOENT) => {}
                    // As the original's open of a directory answers.
                    Err(_) => return Err(fail(sys::EISDIR)),
                }
            }
            Ok(Kind::Directory) => return Err(fail(sys::EISDIR)),
            Err(sys::ENOENT) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
    Err(fail(sys::EEXIST))
}

/// The kind of an entry, or of what another process has mounted on it meanwhile, which is not
/// waited for.
fn kind_of(dir: impl AsFd, name: &[u8]) -> Sys<Kind> {
    sys::cached_stat_at(dir, name).map(|quick| quick.stat.kind)
}

fn empty_leftover(dir: impl AsFd, name: &[u8]) -> Sys<()> {
    if sys::mount_root_at(dir.as_fd(), name)? == Some(true) {
        return Ok(());
    }
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = sys::openat(dir.as_fd(), name, flags, 0)?;
    let quick = sys::cached_stat_fd(&file)?;
    if quick.stat.size == 0 || quick.stat.kind != Kind::File {
        return Ok(());
    }
    let mounted = match quick.mount_root {
        Some(mounted) => mounted,
        None => sys::mount_id(&file)? != sys::mount_id(dir)?,
    };
    if mounted { Ok(()) } else { sys::truncate(&file) }
}

fn unlink(dir: impl AsFd, name: &[u8]) -> Sys<()> {
    match sys::unlink_at(dir, name) {
        Err(sys::ENOENT) => Ok(()),
        other => other,
    }
}

/// Logs that what is mounted on a target is of no use any more.
pub(crate) fn log_corrupted(path: &[u8], why: &Error) {
    log!(
        WARN,
        target = path,
        errno = why.raw_os_error(),
        "Detected corrupted mount at %s (error: %v), unmounting",
        path,
        why
    );
}

/// The error of such a mount that cannot be unmounted.
pub(crate) fn cannot_unmount_corrupted(path: &[u8], cause: Error) -> Error {
    Error::wrap(text!("error unmounting corrupted mount %s: %w", path, cause), cause)
}

/// Logs that something else than the source is mounted on a target.
pub(crate) fn log_stale(path: &[u8]) {
    log!(
        DEBUG,
        target = path,
        "Subpath bind mount at %s points to a different inode/device than source, will lazy-unmount and recreate",
        path
    );
}

/// The error of such a mount that cannot be unmounted.
pub(crate) fn cannot_unmount_stale(path: &[u8], cause: Error, profile: Profile) -> Error {
    if profile.detaches_stale() {
        Error::wrap(text!("error lazy-unmounting stale subpath mount %s: %w", path, cause), cause)
    } else {
        Error::flatten(text!("error ummounting %s: %s", path, cause), &cause)
    }
}
