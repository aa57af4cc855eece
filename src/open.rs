//! Opens a path strictly below a directory, through no symlink.

use std::os::fd::{AsFd, OwnedFd};

use mountinfo::sys::{self, Kind, Sys};
use mountinfo::{Error, Features, Result, gopath, log, text};
use nix::fcntl::OFlag;

/// Opens the last component itself, with no right but to refer to it.
const PATH: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW);
/// The same of a directory; it triggers an automount of the last component, as a path with a
/// trailing slash does (openat(2), "automount").
const DIRECTORY: OFlag = PATH.union(OFlag::O_DIRECTORY);

/// A file or directory that was opened with `O_PATH` below its base.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) fd: OwnedFd,
    /// Whether it is a directory, as the open descriptor says.
    pub(crate) is_directory: bool,
}

/// Opens `pathname` below `base` with `O_PATH`; neither may contain a symlink (`doSafeOpen`).
///
/// Only the components below `base` are guarded: `base` is the caller's own, and its last component
/// must not be a symlink. Where the kernel has openat2(2) one call does it; otherwise, and to find
/// the component to name in an error, the path is opened component by component.
pub(crate) fn open_beneath(pathname: &[u8], base: &[u8]) -> Result<Opened> {
    let pathname = gopath::clean(pathname);
    let base = gopath::clean(base);
    let relative = gopath::rel(&base, &pathname)?;
    let parent = open_base(&base).map_err(|errno| {
        let cause = Error::from_errno(errno);
        Error::flatten(text!("cannot open directory ", base, ": "), &cause)
    })?;
    if Features::get().openat2
        && !gopath::starts_with_backstep(&relative)
        && let Ok(opened) = open_at_once(&parent, &relative)
    {
        trace_components(&base, &relative);
        return Ok(opened);
    }
    open_by_component(parent, &base, &relative)
}

/// Opens the base for reading, as the original does, but never waits for a FIFO's writer.
fn open_base(base: &[u8]) -> Sys<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW;
    match sys::open(base, flags | OFlag::O_DIRECTORY) {
        // No directory, or a symlink: the errno of the original's plain open is wanted.
        Err(sys::ENOTDIR) => sys::open(base, flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY),
        other => other,
    }
}

/// openat2(2) of the whole path. Any error sends the caller to [`open_by_component`].
fn open_at_once(base: &OwnedFd, relative: &[u8]) -> Sys<Opened> {
    match sys::open_beneath(base, relative, DIRECTORY) {
        Ok(fd) => Ok(Opened { fd, is_directory: true }),
        Err(sys::ENOTDIR) => {
            let fd = sys::open_beneath(base, relative, PATH)?;
            match sys::fstat(&fd)?.kind {
                // `O_PATH` with `O_NOFOLLOW` opens a symlink itself (openat2(2)).
                Kind::Symlink => Err(sys::ELOOP),
                kind => Ok(Opened { fd, is_directory: kind == Kind::Directory }),
            }
        }
        Err(errno) => Err(errno),
    }
}

fn open_by_component(mut parent: OwnedFd, base: &[u8], relative: &[u8]) -> Result<Opened> {
    let mut current = base.to_vec();
    let mut is_directory = true;
    for segment in gopath::split_segments(relative) {
        current = gopath::join(&[&current, segment]);
        if !gopath::path_within_base(&current, base) {
            return Err(Error::new(text!("path ", current, " is outside of allowed base ", base)));
        }
        log!(TRACE, "Opening path ", current);
        let opened = open_component(&parent, segment, &current)?;
        (parent, is_directory) = (opened.fd, opened.is_directory);
    }
    Ok(Opened { fd: parent, is_directory })
}

fn open_component(parent: impl AsFd, segment: &[u8], current: &[u8]) -> Result<Opened> {
    if let Ok(fd) = sys::openat(parent.as_fd(), segment, DIRECTORY, 0) {
        return Ok(Opened { fd, is_directory: true });
    }
    // No directory, or an automount that failed: what counts is the plain open.
    let fd = sys::openat(parent, segment, PATH, 0).map_err(|errno| {
        Error::flatten(text!("cannot open ", current, ": "), &Error::from_errno(errno))
    })?;
    let stat = sys::fstat(&fd).map_err(|errno| {
        let cause = Error::from_errno(errno);
        Error::flatten(text!("error running fstat on ", current, " with "), &cause)
    })?;
    if stat.kind == Kind::Symlink {
        return Err(Error::new(text!("unexpected symlink found ", current)));
    }
    Ok(Opened { fd, is_directory: stat.kind == Kind::Directory })
}

/// The lines that [`open_by_component`] would have logged.
fn trace_components(base: &[u8], relative: &[u8]) {
    if tracing::enabled!(target: log::TARGET, tracing::Level::TRACE) {
        let mut current = base.to_vec();
        for segment in gopath::split_segments(relative) {
            current = gopath::join(&[&current, segment]);
            log!(TRACE, "Opening path ", current);
        }
    }
}
