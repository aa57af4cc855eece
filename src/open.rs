//! Opens a path strictly below a directory, through no symlink.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use subpath_mountinfo::internal::automount::{self, Automount};
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::log::wants_trace;
use subpath_mountinfo::internal::sys::{self, Kind, Sys};
use subpath_mountinfo::{Error, ErrorKind, Features, Result, flatten, log, text};

/// Opens the last component itself and not what it may point to, and only to refer to it (`O_PATH`).
pub(crate) const PATH: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW);
/// [`PATH`] of a directory. It triggers an automount of the last component, as a path with a
/// trailing slash does (openat(2), "automount").
pub(crate) const DIRECTORY: OFlag = PATH.union(OFlag::O_DIRECTORY);

/// Opens `pathname` below `base` with `O_PATH`; neither may contain a symlink (`doSafeOpen`).
///
/// Only the components below `base` are guarded: `base` is the caller's own, and its last component
/// must not be a symlink. Where the kernel has openat2(2) one call does it; otherwise, and to find
/// the component to name in an error, the path is opened component by component.
pub fn open_beneath(pathname: &[u8], base: &[u8]) -> Result<OwnedFd> {
    let pathname = go_path::clean(pathname);
    let base = go_path::clean(base);
    let relative = go_path::rel(&base, &pathname)?;
    let parent = open_base(&base).map_err(|errno| {
        flatten!("cannot open directory %s: %s", base, Error::from_errno(errno))
    })?;
    if Features::get().openat2
        && !go_path::starts_with_backstep(&relative)
        && let Ok(opened) = open_at_once(&parent, &relative)
    {
        trace_components(&base, &relative);
        return Ok(opened);
    }
    open_by_component(parent, &base, &relative)
}

/// Opens an automount point whose automount has just failed, without triggering it again: the directory that
/// lies below the missing mount. Returns `None` if `relative` is not an automount point.
pub(crate) fn open_unmounted(base: &OwnedFd, relative: &[u8]) -> Option<OwnedFd> {
    if automount::find(base, relative, relative.len()) != Some(Automount::Itself) {
        return None;
    }
    // On an error the caller reports the one that it met before.
    let dir = sys::open_beneath(base, relative, PATH).ok()?;
    sys::fstat(&dir).is_ok_and(|stat| stat.kind == Kind::Directory).then_some(dir)
}

/// Returns the part of a clean path below `base`, which must be clean except for slashes at its end. Returns
/// `None` for the base itself, for a path that is not below it, and if the base is the root directory.
pub(crate) fn strictly_below<'p>(path: &'p [u8], base: &[u8]) -> Option<&'p [u8]> {
    let base = go_path::without_trailing_slashes(base);
    let is_root = matches!(base, b"" | b"/");
    go_path::below(path, base).filter(|below| !below.is_empty() && !is_root)
}

/// Opens the base for reading, as the original does. If it is a FIFO, does not wait for a writer.
fn open_base(base: &[u8]) -> Sys<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW;
    match sys::open(base, flags | OFlag::O_DIRECTORY) {
        // It is a symlink or no directory. Opening it as the original does gives the original's errno.
        Err(sys::ENOTDIR) => sys::open(base, flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY),
        other => other,
    }
}

/// Opens the whole path by one openat2(2). After any error the caller uses [`open_by_component`].
fn open_at_once(base: &OwnedFd, relative: &[u8]) -> Sys<OwnedFd> {
    match sys::open_beneath(base, relative, DIRECTORY) {
        Err(sys::ENOTDIR) => {
            let fd = sys::open_beneath(base, relative, PATH)?;
            match sys::fstat(&fd)?.kind {
                // `O_PATH` with `O_NOFOLLOW` opens a symlink itself (openat2(2)).
                Kind::Symlink => Err(sys::ELOOP),
                _ => Ok(fd),
            }
        }
        Err(errno) => open_unmounted(base, relative).ok_or(errno),
        Ok(opened) => Ok(opened),
    }
}

fn open_by_component(mut parent: OwnedFd, base: &[u8], relative: &[u8]) -> Result<OwnedFd> {
    let mut current = base.to_vec();
    for segment in go_path::split_segments(relative) {
        current = go_path::join(&[&current, segment]);
        if !go_path::path_within_base(&current, base) {
            return Err(outside_of_base(&current, base));
        }
        log!(TRACE, path = current, "Opening path %s", current);
        parent = open_component(&parent, segment, &current)?;
    }
    Ok(parent)
}

/// Returns the error for a path that leads out of the directory below which it has to be.
pub(crate) fn outside_of_base(path: &[u8], base: &[u8]) -> Error {
    Error::new(text!("path %s is outside of allowed base %s", path, base))
        .of_kind(ErrorKind::OutsideVolume)
}

fn open_component(parent: impl AsFd, segment: &[u8], current: &[u8]) -> Result<OwnedFd> {
    if let Ok(fd) = sys::openat(parent.as_fd(), segment, DIRECTORY, 0) {
        return Ok(fd);
    }
    // It is no directory, or its automount failed. Opening it without O_DIRECTORY tells which.
    let fd = sys::openat(parent, segment, PATH, 0)
        .map_err(|errno| flatten!("cannot open %s: %s", current, Error::from_errno(errno)))?;
    let stat = sys::fstat(&fd).map_err(|errno| {
        flatten!("error running fstat on %s with %s", current, Error::from_errno(errno))
    })?;
    if stat.kind == Kind::Symlink {
        let text = text!("unexpected symlink found %s", current);
        return Err(Error::new(text).of_kind(ErrorKind::Symlink));
    }
    Ok(fd)
}

/// Logs the lines that [`open_by_component`] would log for the path.
pub(crate) fn trace_components(base: &[u8], relative: &[u8]) {
    if wants_trace() {
        let mut current = base.to_vec();
        for segment in go_path::split_segments(relative) {
            current = go_path::join(&[&current, segment]);
            log!(TRACE, path = current, "Opening path %s", current);
        }
    }
}
