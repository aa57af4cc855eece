//! Cleans up every sub path of a volume by descriptor (`CleanSubPaths`), and what a failed prepare left
//! behind (`cleanSubPath`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use subpath_mountinfo::internal::sys::{self, Entry, Kind, Sys};
use subpath_mountinfo::internal::{go_path, skip_clean_up};
use subpath_mountinfo::{Error, Features, KernelMounter, Place, Profile, Result, log, wrap};

use crate::clean::{
    Directories, TO_READ, cannot_delete, cannot_process, cannot_read, cleaned, log_cleaning,
    remove_empty_dirs, remove_link_of_ours, why_unreadable,
};
use crate::pod_dir::{PodDir, is_on_another_mount};
use crate::request::Subpath;

/// Unmounts every sub path of a volume and removes their directories (`doCleanSubPaths`).
pub fn clean_sub_paths(pod_dir: &[u8], volume_name: &[u8], profile: Profile) -> Result<()> {
    let paths = Directories::of(pod_dir, volume_name)?;
    let pod = PodDir::new(pod_dir);
    let Some(volume) = open_volume(&pod, &paths, profile)? else { return Ok(()) };
    let (containers, failed) = sys::read_dir(&volume);
    match failed {
        // ENOENT: another clean-up removed the directory after it was opened. The removals below accept that.
        None | Some(sys::ENOENT) => {}
        Some(errno) => return Err(cannot_read(&paths.volume, "readdirent", errno)),
    }
    for container in containers {
        if let Some(path) = paths.container(&container) {
            clean_container(&volume, &path)?;
            log!(TRACE, path = path, "Removed %s", path);
        }
    }
    paths.remove(&pod, expect_removed)
}

/// Opens the volume's directory for reading; `None` where there is nothing to clean.
fn open_volume(pod: &PodDir, paths: &Directories, profile: Profile) -> Result<Option<OwnedFd>> {
    match pod.open_to_read_here(&paths.volume) {
        Ok((volume, is_elsewhere)) => {
            refuse_covered(&paths.volume, is_elsewhere)?;
            Ok(Some(volume))
        }
        Err(sys::ENOENT) => {
            // The directory above may be left from a clean-up that failed at its last step, and nothing
            // else removes it. Usually it holds other volumes or does not exist. Errors are dropped:
            // there is nothing to clean for this volume, which is a success.
            let _ = pod.remove(&paths.all);
            Ok(None)
        }
        Err(errno) => Err(why_unreadable(pod, &paths.volume, errno, profile)),
    }
}

/// Returns an error if something is mounted on one of the directories that prepare made, or if that could
/// not be found out. What such a directory contains is somebody's data: it must not be taken for sub paths
/// and not be deleted.
fn refuse_covered(path: &[u8], is_covered: Sys<bool>) -> Result<()> {
    let why = match is_covered {
        Ok(false) => return Ok(()),
        Ok(true) => {
            wrap!("something else is mounted there: %w", Error::from_errno(sys::EBUSY))
        }
        Err(errno) => Error::of_call("statx", path, errno),
    };
    Err(cannot_process(path, why))
}

/// Turns the outcome of removing a directory into that of the clean-up: it is no error that another caller
/// removed it first.
fn expect_removed(path: &[u8], removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if !error.is_not_exist() => Err(cannot_delete(path, error)),
        _ => Ok(()),
    }
}

/// Cleans the entries of a container's directory, and removes it.
fn clean_container(volume: &OwnedFd, path: &[u8]) -> Result<()> {
    let at = Place::in_dir(volume.as_fd(), path);
    let unread = match open_uncovered(volume, at)? {
        Ok(dir) => {
            clean_entries(volume, &dir, path).map_err(|error| cannot_process(path, error))?
        }
        Err(errno) => Some(errno),
    };
    let removed = sys::remove_at(volume, at.name_bytes(), Kind::Directory)
        .map_err(|errno| Error::at_path("remove", path, errno));
    match (removed, unread) {
        // Another clean-up removed the directory before it was opened. If the removal says that it is not
        // empty, a prepare has made it again meanwhile, and that is reported.
        (removed, Some(sys::ENOENT)) => expect_removed(path, removed),
        // The directory is not empty because it could not be read: report why it could not.
        (Err(error), Some(errno)) if error.is_exist() => {
            Err(cannot_process(path, Error::at_path("open", path, errno)))
        }
        (removed, _) => expect_removed(path, removed),
    }
}

/// Opens a directory to read its entries, unless something is mounted on it. A mounted file system is not
/// opened, because that could wait for its server. The inner result is that of openat(2).
fn open_uncovered(parent: &OwnedFd, at: Place<'_>) -> Result<Sys<OwnedFd>> {
    // openat2(2) with RESOLVE_NO_XDEV checks and opens in one call. Where it is missing or fails, the steps
    // below find out why.
    if Features::get().openat2
        && let Ok(dir) = sys::open_beneath_on_mount(parent, at.name_bytes(), TO_READ)
    {
        return Ok(Ok(dir));
    }
    match KernelMounter.is_mounted(at) {
        Ok(is_covered) => refuse_covered(at.bytes(), Ok(is_covered))?,
        // Another caller removed it; openat(2) says so too.
        Err(error) if error.is_not_exist() => {}
        Err(error) => return Err(cannot_process(at.bytes(), error)),
    }
    let opened = sys::openat(parent, at.name_bytes(), TO_READ, 0);
    if let Ok(dir) = &opened {
        // Something may have been mounted between the check and the open.
        refuse_covered(at.bytes(), is_on_another_mount(dir, parent))?;
    }
    Ok(opened)
}

/// Cleans the entries of a container's directory up to the first error. Returns the errno with which reading
/// the entries ended early, if it did.
fn clean_entries(volume: &OwnedFd, dir: &OwnedFd, path: &[u8]) -> Result<Option<i32>> {
    let (entries, unread) = sys::read_dir(dir);
    for entry in entries {
        match entry.kind {
            Kind::Symlink => remove_link_of_ours(volume, dir, &entry.name, path)?,
            // A sub path: a directory or a file on which it is mounted.
            _ => clean_entry(dir.as_fd(), path, &entry)?,
        }
    }
    Ok(unread)
}

/// Unmounts one sub path and removes its target (`doCleanSubPath`).
fn clean_entry(dir: BorrowedFd<'_>, container_dir: &[u8], entry: &Entry) -> Result<()> {
    let path = go_path::join(&[container_dir, &entry.name]);
    log_cleaning(&path, &entry.name);
    cleaned(&path, KernelMounter.clear(dir, &path, entry.kind))
}

/// Unmounts and removes the target of a bind that failed, and removes the directories above it that are
/// empty (`cleanSubPath`).
pub(crate) fn clean_sub_path(subpath: &Subpath, profile: Profile) -> Result<()> {
    let container_dir = subpath.container_dir();
    let entry = Entry { name: subpath.index().into_bytes(), kind: Kind::Directory };
    match PodDir::new(&subpath.pod_dir).open_dir(&container_dir) {
        Ok(dir) => clean_entry(dir.as_fd(), &container_dir, &entry)?,
        // The directory does not exist. The clean-up by path finds nothing either, and logs what the
        // original logs.
        Err(sys::ENOENT) => {
            let path = subpath.target();
            log_cleaning(&path, &entry.name);
            cleaned(&path, skip_clean_up(&path, profile))?;
        }
        // A symlink or a file is in the way, or the directory cannot be opened. A clean-up by path could
        // follow the symlink, so it is an error.
        Err(errno) => {
            let cause = Error::at_path("open", &container_dir[..], errno);
            return cleaned(&subpath.target(), Err(cause));
        }
    }
    remove_empty_dirs(&subpath.pod_dir, &container_dir)
}
