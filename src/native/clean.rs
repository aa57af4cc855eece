//! Takes away every sub path of a volume by descriptor (`CleanSubPaths`), and what a failed prepare
//! left behind.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use subpath_mountinfo::internal::sys::{self, Entry, Kind, Sys};
use subpath_mountinfo::internal::{clean_up_natively, go_path};
use subpath_mountinfo::{Error, Features, KernelMounter, Place, Profile, Result, log, text};

use crate::clean::{
    Directories, TO_READ, cannot_delete, cannot_process, cannot_read, cleaned, log_cleaning,
    remove_empty_dirs, remove_link, why_unreadable,
};
use crate::pod_dir::{PodDir, is_on_another_mount};
use crate::request::Subpath;

/// Takes away every sub path of a volume (`doCleanSubPaths`).
pub fn clean_sub_paths(pod_dir: &[u8], volume_name: &[u8], profile: Profile) -> Result<()> {
    let paths = Directories::of(pod_dir, volume_name)?;
    let pod = PodDir::new(pod_dir);
    let Some(volume) = open_volume(&pod, &paths, profile)? else { return Ok(()) };
    let (containers, failed) = sys::read_dir(&volume);
    match failed {
        None => {}
        // Another clean-up removed it after it was opened.
        Some(sys::ENOENT) => {}
        Some(errno) => return Err(cannot_read(&paths.volume, "readdirent", errno)),
    }
    for container in containers {
        let path = go_path::join(&[&paths.volume, &container.name]);
        // Nothing of ours is made there; with it the directory is not empty, which is told below.
        if container.kind != Kind::Directory {
            log!(DEBUG, path = path, "Container file is not a directory: %s", container.name);
            continue;
        }
        log!(DEBUG, path = path, "Cleaning up subpath mounts for container %s", container.name);
        clean_container(&volume, &path)?;
        log!(TRACE, path = path, "Removed %s", path);
    }
    expect_removed(&paths.volume, pod.remove(&paths.volume))?;
    log!(TRACE, path = paths.volume, "Removed %s", paths.volume);
    match pod.remove(&paths.all) {
        // Another volume's sub paths are still there.
        Err(error) if error.is_exist() => {}
        removed => expect_removed(&paths.all, removed)?,
    }
    log!(TRACE, path = paths.all, "Removed %s", paths.all);
    Ok(())
}

/// Opens the volume's directory for reading; `None` where there is nothing to clean.
fn open_volume(pod: &PodDir, paths: &Directories, profile: Profile) -> Result<Option<OwnedFd>> {
    match pod.open_to_read_here(&paths.volume) {
        Ok((volume, is_elsewhere)) => {
            refuse_covered(&paths.volume, is_elsewhere)?;
            Ok(Some(volume))
        }
        Err(sys::ENOENT) => {
            // A clean-up that failed at its last step left it, and nobody else takes it away. Most
            // often it holds other volumes or is not there; what is amiss with it hurts nobody.
            let _ = pod.remove(&paths.all);
            Ok(None)
        }
        Err(errno) => Err(why_unreadable(pod, &paths.volume, errno, profile)),
    }
}

/// Refuses a directory of ours on which something is mounted, and one of which that cannot be told. What
/// it holds is somebody's data, and must be taken neither for sub paths nor for leftovers.
fn refuse_covered(path: &[u8], is_covered: Sys<bool>) -> Result<()> {
    let why = match is_covered {
        Ok(false) => return Ok(()),
        Ok(true) => {
            let busy = Error::from_errno(sys::EBUSY);
            Error::wrap(text!("something else is mounted there: %w", busy), busy)
        }
        Err(errno) => Error::of_call("statx", path, errno),
    };
    Err(cannot_process(path, &why))
}

/// That another caller removed a directory first is no error.
fn expect_removed(path: &[u8], removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if !error.is_not_exist() => Err(cannot_delete(path, &error)),
        _ => Ok(()),
    }
}

/// Cleans a container's directory, and removes it.
fn clean_container(volume: &OwnedFd, path: &[u8]) -> Result<()> {
    let at = Place::in_dir(volume.as_fd(), path);
    let unread = match open_uncovered(volume, at)? {
        Ok(dir) => {
            clean_entries(volume, &dir, path).map_err(|error| cannot_process(path, &error))?
        }
        Err(errno) => Some(errno),
    };
    let removed = sys::remove_at(volume, at.name_bytes(), Kind::Directory)
        .map_err(|errno| Error::at_path("remove", path, errno));
    match (removed, unread) {
        // Another clean-up removed it before it was opened, and a prepare made it again.
        (removed, Some(sys::ENOENT)) => expect_removed(path, removed),
        // It is not empty because it could not be read.
        (Err(error), Some(errno)) if error.is_exist() => {
            Err(cannot_process(path, &Error::at_path("open", path, errno)))
        }
        (removed, _) => expect_removed(path, removed),
    }
}

/// Opens a directory for reading on which nothing is mounted; what is mounted is not opened, for that
/// could wait for its server. The inner result is that of openat(2).
fn open_uncovered(parent: &OwnedFd, at: Place<'_>) -> Result<Sys<OwnedFd>> {
    // In one call where that is possible; else, and where it fails, step by step.
    if Features::get().openat2
        && let Ok(dir) = sys::open_beneath_on_mount(parent, at.name_bytes(), TO_READ)
    {
        return Ok(Ok(dir));
    }
    match KernelMounter.is_mounted(at) {
        Ok(is_covered) => refuse_covered(at.bytes(), Ok(is_covered))?,
        // Another caller removed it.
        Err(error) if error.is_not_exist() => {}
        Err(error) => return Err(cannot_process(at.bytes(), &error)),
    }
    let opened = sys::openat(parent, at.name_bytes(), TO_READ, 0);
    if let Ok(dir) = &opened {
        // Mounted meanwhile.
        refuse_covered(at.bytes(), is_on_another_mount(dir, parent))?;
    }
    Ok(opened)
}

/// Cleans every entry of a container's directory; the first error ends it. Gives the errno that ended
/// the listing early.
fn clean_entries(volume: &OwnedFd, dir: &OwnedFd, path: &[u8]) -> Result<Option<i32>> {
    let (entries, unread) = sys::read_dir(dir);
    for entry in entries {
        match entry.kind {
            Kind::Symlink => {
                let is_elsewhere = is_on_another_mount(dir, volume)
                    .map_err(|errno| Error::of_call("statx", path, errno))?;
                // On another mount it is somebody's, and is left where it is.
                if !is_elsewhere {
                    remove_link(dir, &entry.name, path)?;
                }
            }
            _ => clean_entry(dir.as_fd(), path, &entry)?,
        }
    }
    Ok(unread)
}

/// Takes one sub path away (`doCleanSubPath`).
fn clean_entry(dir: BorrowedFd<'_>, container_dir: &[u8], entry: &Entry) -> Result<()> {
    let path = go_path::join(&[container_dir, &entry.name]);
    log_cleaning(&path, &entry.name);
    cleaned(&path, KernelMounter.clear(dir, &path, entry.kind))
}

/// Takes away the target of a bind that failed, and the directories above it that are empty
/// (`cleanSubPath`).
pub(crate) fn clean_sub_path(subpath: &Subpath, profile: Profile) -> Result<()> {
    let container_dir = subpath.container_dir();
    let entry = Entry { name: subpath.index().into_bytes(), kind: Kind::Directory };
    match PodDir::new(&subpath.pod_dir).open_dir(&container_dir) {
        Ok(dir) => clean_entry(dir.as_fd(), &container_dir, &entry)?,
        // Nothing is there.
        Err(sys::ENOENT) => {
            let path = subpath.target();
            log_cleaning(&path, &entry.name);
            cleaned(&path, clean_up_natively(&path, profile))?;
        }
        // By path the target may be reached through a link.
        Err(errno) => {
            let cause = Error::at_path("open", &container_dir[..], errno);
            cleaned(&subpath.target(), Err(cause))?;
        }
    }
    remove_empty_dirs(&subpath.pod_dir, &container_dir)
}
