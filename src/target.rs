//! Makes the target of a bind mount: the directory or file below the pod's directory on which the sub path
//! is mounted (the second half of `prepareSubpathTarget`).

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::sys::{self, Kind, Sys};
use subpath_mountinfo::{Error, Profile, Result, flatten, log, wrap};

use crate::pod_dir;
use crate::request::Subpath;
use crate::source::BindSource;

/// The mode of the directories that are made below the pod's directory.
const DIRECTORY_MODE: u32 = 0o750;
/// The mode of the file that is the target of anything but a directory.
const FILE_MODE: u32 = 0o640;
/// How often making a target is tried while concurrent clean-ups remove its directory.
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

/// What may be removed to make room for the target, if something of another kind is in its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    /// Only a symlink, as the original does: it is a caller's mounter that mounts.
    Symlinks,
    /// A symlink, a file or an empty directory.
    Leftovers,
}

/// The outcome of an attempt to make a target.
pub(crate) enum Attempt {
    /// The target exists in the directory `parent`; `kind` is the kind of the source.
    Made { parent: OwnedFd, made: Made, kind: Kind },
    /// A concurrent clean-up removed the directory that holds the target: try again. The error is for the
    /// last try.
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
    let made = match container_dir {
        Some(dir) => Ok(dir),
        None => pod_dir::make_all(&subpath.pod_dir, &subpath.container_dir(), DIRECTORY_MODE),
    };
    let parent = match made {
        Ok(dir) => Ok(dir),
        // The pod's own path has a dangling symlink: mkdir(2) returns EEXIST, which the original ignores
        // here (os.IsExist). It fails when it makes the target, with the errno of opening the directory.
        Err(error) if error.is_exist() => {
            // A symlink may be followed here, so that only the errno is used.
            let opened = sys::open(&subpath.container_dir(), OFlag::O_PATH | OFlag::O_DIRECTORY);
            Err(opened.err().unwrap_or(sys::ENOENT))
        }
        Err(error) => {
            let path = subpath.container_dir();
            let error = flatten!("error creating directory %s: %s", path, error);
            // A concurrent clean-up removed a level after it was opened and before the next was made in it.
            return match error.raw_os_error() {
                Some(sys::ENOENT) => Ok(Attempt::Vanished(error)),
                _ => Err(error),
            };
        }
    };
    let stat =
        source.stat().map_err(|error| flatten!("lstat %s failed: %s", subpath.path, error))?;
    // Only now, because the original looks at the source before it makes the target.
    let parent = parent.map_err(|errno| cannot_make(stat.kind, path, errno))?;
    let made = match stat.kind {
        Kind::Directory => make_directory(&parent, path, replace),
        _ => make_file(&parent, path, replace),
    };
    match made {
        Ok(made) => Ok(Attempt::Made { parent, made, kind: stat.kind }),
        // A concurrent clean-up removed the directory after it was opened. Until its rmdir(2) is done the
        // directory can still be opened, which would use up the tries. mkdirat(2) waits for the rmdir(2),
        // so make the directory here.
        Err(error) if error.raw_os_error() == Some(sys::ENOENT) => {
            let _shown_by_the_next_try =
                pod_dir::make_all(&subpath.pod_dir, &subpath.container_dir(), DIRECTORY_MODE);
            Ok(Attempt::Vanished(error))
        }
        Err(error) => Err(error),
    }
}

/// Returns the error for a target that cannot be made.
pub(crate) fn cannot_make(source: Kind, path: &[u8], errno: i32) -> Error {
    let (what, op) = match source {
        Kind::Directory => ("directory", "mkdir"),
        _ => ("file", "open"),
    };
    flatten!("error creating %s %s: %s", what, path, Error::at_path(op, path, errno))
}

/// Makes a directory as the target. One that exists is kept. A symlink in its place is replaced, and with
/// the kernel's mounter also a file that was left behind.
fn make_directory(dir: &OwnedFd, path: &[u8], replace: Replace) -> Result<Made> {
    let name = go_path::base(path);
    let fail = |errno| cannot_make(Kind::Directory, path, errno);
    for _ in 0..TRIES {
        match sys::mkdirat(dir, name, DIRECTORY_MODE) {
            Ok(()) => return Ok(Made::New),
            Err(sys::EEXIST) => match kind_of(dir, name) {
                // Left behind, or made by another caller.
                Ok(Kind::Directory) => return Ok(Made::Found),
                // Never mounted on: what it points to is not the target.
                Ok(Kind::Symlink) => unlink(dir, name).map_err(fail)?,
                // A file, left from a sub path that was one.
                Ok(_) if replace == Replace::Leftovers => unlink(dir, name).map_err(fail)?,
                // The original ignores EEXIST too (os.IsExist), and lets the mounter fail.
                Ok(_) => return Ok(Made::Found),
                // Another caller removed it in between: try again.
                Err(sys::ENOENT) => {}
                Err(errno) => return Err(fail(errno)),
            },
            Err(errno) => return Err(fail(errno)),
        }
    }
    Err(fail(sys::EEXIST))
}

/// Makes an empty file as the target of a file, socket, device or FIFO.
///
/// A file that was left behind is emptied, as the original's os.WriteFile does, but only if nothing is
/// mounted on it: another caller may just have bound the user's file there.
fn make_file(dir: &OwnedFd, path: &[u8], replace: Replace) -> Result<Made> {
    let name = go_path::base(path);
    let fail = |errno| cannot_make(Kind::File, path, errno);
    let new = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    for _ in 0..TRIES {
        let made = match sys::make_file(dir, name, FILE_MODE) {
            Err(errno) if errno != sys::EEXIST => {
                // mknodat(2) failed: a sandbox or a file server may allow only open(2) to make files.
                sys::openat(dir, name, new, FILE_MODE).map(drop)
            }
            made => made,
        };
        match made {
            Ok(()) => return Ok(Made::New),
            // What it is decides what is done.
            Err(sys::EEXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        match kind_of(dir, name) {
            Ok(Kind::File | Kind::Device) => {
                return empty_leftover(dir, name).map(|()| Made::Found).map_err(fail);
            }
            // A FIFO can be mounted on as it is. The original opens it and waits for a reader for ever.
            Ok(Kind::Fifo) => return Ok(Made::Found),
            // The error with which the original's open of a socket fails.
            Ok(Kind::Socket) => return Err(fail(sys::ENXIO)),
            // Never mounted on, nor emptied: what it points to is not the target.
            Ok(Kind::Symlink) => unlink(dir, name).map_err(fail)?,
            // Left from a sub path that was a directory.
            Ok(Kind::Directory) if replace == Replace::Leftovers => {
                match sys::rmdir_at(dir, name) {
                    Ok(()) | Err(sys::ENOENT) => {}
                    // It is not empty, or busy. EISDIR is what the original gets: it opens the path to write.
                    Err(_) => return Err(fail(sys::EISDIR)),
                }
            }
            Ok(Kind::Directory) => return Err(fail(sys::EISDIR)),
            // Another caller removed it in between: try again.
            Err(sys::ENOENT) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
    Err(fail(sys::EEXIST))
}

/// Returns the kind of an entry, or of what another process has mounted on it meanwhile. It contacts no
/// server.
fn kind_of(dir: impl AsFd, name: &[u8]) -> Sys<Kind> {
    sys::cached_stat_at(dir, name).map(|cached| cached.stat.kind)
}

/// Empties a file that was left behind as a target, unless something is mounted on it.
///
/// The check is made before the file is opened, so that nothing mounted is opened, and again on the open
/// descriptor, because something may have been mounted in between.
fn empty_leftover(dir: impl AsFd, name: &[u8]) -> Sys<()> {
    if sys::mount_root_at(dir.as_fd(), name)? == Some(true) {
        return Ok(());
    }
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = sys::openat(dir.as_fd(), name, flags, 0)?;
    let cached = sys::cached_stat_fd(&file)?;
    if cached.stat.size == 0 || cached.stat.kind != Kind::File {
        return Ok(());
    }
    let mounted = match cached.mount_root {
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

/// Logs that the mount on a target is corrupted (`IsCorruptedMnt`) and will be unmounted.
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

/// Returns the error for a corrupted mount that cannot be unmounted.
pub(crate) fn cannot_unmount_corrupted(path: &[u8], cause: Error) -> Error {
    wrap!("error unmounting corrupted mount %s: %w", path, cause)
}

/// Logs that something other than the source is mounted on a target and will be detached.
pub(crate) fn log_stale(path: &[u8]) {
    log!(
        DEBUG,
        target = path,
        "Subpath bind mount at %s points to a different inode/device than source, will lazy-unmount and recreate",
        path
    );
}

/// Returns the error for a mount of something other than the source that cannot be unmounted.
pub(crate) fn cannot_unmount_stale(path: &[u8], cause: Error, profile: Profile) -> Error {
    if profile.detaches_stale() {
        wrap!("error lazy-unmounting stale subpath mount %s: %w", path, cause)
    } else {
        flatten!("error ummounting %s: %s", path, cause)
    }
}
