//! The source of a bind: resolves a sub path and opens it below its volume.

use std::os::fd::{BorrowedFd, OwnedFd};

use nix::fcntl::AT_FDCWD;
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::sys::{self, Stat, Sys};
use subpath_mountinfo::{Error, ErrorKind, Result, Source, flatten, log, text};

use crate::open::open_beneath;
use crate::request::Subpath;
use crate::symlink_free::{NotSymlinkFree, open_symlink_free};

/// The source of a bind, as its kind and number are found out.
pub(crate) enum BindSource<'a> {
    /// The open descriptor that will be bound, and the result of fstat(2) if it was called already.
    Open(BorrowedFd<'a>, Option<Stat>),
    /// The path of the sub path, for callers that have not opened it (only the original's inner steps).
    Path(&'a [u8]),
}

impl BindSource<'_> {
    /// Returns the source's kind, device and inode number.
    pub(crate) fn stat(&self) -> Result<Stat> {
        match self {
            BindSource::Open(_, Some(stat)) => Ok(*stat),
            BindSource::Open(fd, None) => sys::fstat(fd).map_err(Error::from_errno),
            BindSource::Path(path) => {
                sys::lstat(path).map_err(|errno| Error::at_path("lstat", *path, errno))
            }
        }
    }

    /// Returns what [`BindSource::stat`] does, with the original's error for the comparison of the source with
    /// what is mounted on the target.
    pub(crate) fn stat_to_compare(&self, subpath: &Subpath) -> Result<Stat> {
        self.stat().map_err(|error| flatten!("stat %s failed: %s", subpath.path, error))
    }

    /// Contacts the source's server, bypassing what the kernel remembers, and returns its error if it has one.
    pub(crate) fn ask_server(&self) -> Sys<()> {
        match self {
            BindSource::Open(fd, _) => sys::server_answers(fd, b"", false),
            BindSource::Path(path) => sys::server_answers(AT_FDCWD, path, false),
        }
    }
}

/// A sub path after its symlinks were resolved, and its open source.
pub(crate) struct Opened {
    pub(crate) subpath: Subpath,
    pub(crate) fd: OwnedFd,
    pub(crate) stat: Option<Stat>,
}

/// Resolves the links of the volume's path and of the sub path's, and opens the sub path below the
/// volume (the first half of `doBindSubPath`).
pub(crate) fn open(subpath: &Subpath) -> Result<Opened> {
    let found = match open_symlink_free(&subpath.path, &subpath.volume_path) {
        Err(NotSymlinkFree::Automount(place, errno)) => {
            let volume = &subpath.volume_path;
            let is_in_volume = place.len() > go_path::clean_cow(volume).len();
            let of = if is_in_volume { &subpath.path } else { volume };
            return Err(cannot_resolve(of, Error::at_path("lstat", place, errno)));
        }
        Err(NotSymlinkFree::Unknown) => None,
        Ok(found) => Some(found),
    };
    let (volume_path, path) = match &found {
        Some(found) => (found.base.to_vec(), found.path.to_vec()),
        None => (resolve(&subpath.volume_path)?, resolve(&subpath.path)?),
    };
    log!(
        TRACE,
        path = subpath.path,
        "doBindSubPath %q (%q) for volumepath %q",
        subpath.path,
        path,
        subpath.volume_path
    );
    let (fd, stat) = match found {
        Some(found) => {
            found.trace();
            (found.fd, Some(found.stat))
        }
        None => (open_sub_path(&path, &volume_path)?, None),
    };
    Ok(Opened { subpath: Subpath { path, volume_path, ..subpath.clone() }, fd, stat })
}

fn resolve(path: &[u8]) -> Result<Vec<u8>> {
    go_path::eval_symlinks(path).map_err(|error| cannot_resolve(path, error))
}

fn cannot_resolve(path: &[u8], cause: Error) -> Error {
    flatten!("error resolving symlinks in %q: %s", path, cause)
}

/// Opens the sub path below its volume (`safeOpenSubPath`).
fn open_sub_path(path: &[u8], volume_path: &[u8]) -> Result<OwnedFd> {
    if !go_path::path_within_base(path, volume_path) {
        let text = text!("subpath %q not within volume path %q", path, volume_path);
        return Err(Error::new(text).of_kind(ErrorKind::OutsideVolume));
    }
    open_beneath(path, volume_path)
        .map_err(|error| flatten!("error opening subpath %s: %s", path, error))
}

/// Logs that a source is about to be bound, with the path that the original would log.
pub(crate) fn log_bind(source: Source<'_>, target: &[u8]) {
    // If there is no path, binding by a caller's mounter fails and says why.
    log!(
        TRACE,
        target = target,
        "bind mounting %q at %q",
        source.proc_path().unwrap_or_default(),
        target
    );
}

/// Logs that a sub path is bound, as the original does.
pub(crate) fn log_bound(subpath: &Subpath, target: &[u8]) {
    log!(
        INFO,
        path = subpath.path,
        target = target,
        "Bound SubPath %s into %s",
        subpath.path,
        target
    );
}

/// Logs that a bind failed, and that what was made for it will be removed.
pub(crate) fn log_undo(target: &[u8]) {
    log!(DEBUG, target = target, "doBindSubPath() failed for %q, cleaning up subpath", target);
}

/// Returns the error for a sub path that could not be bound. If removing what was made for it failed too,
/// logs that.
pub(crate) fn not_bound(subpath: &Subpath, target: &[u8], why: Error, undone: Result<()>) -> Error {
    if let Err(error) = undone {
        log!(
            ERROR,
            target = target,
            errno = error.raw_os_error(),
            "Failed to clean subpath %q: %v",
            target,
            error
        );
    }
    flatten!("error mounting %s: %s", subpath.path, why)
}
