//! Takes sub paths away again (`CleanSubPaths`), and what a failed prepare left behind.
//!
//! It goes through the directories that prepare made, by descriptor, and no deeper: what is below a
//! mount point is the user's.

use std::os::fd::AsFd;

use mountinfo::cleanup::resumable::cleanup_mount_point;
use mountinfo::mounter::AsyncMounter;
use mountinfo::sys::{self, Kind};
use mountinfo::{Error, Place, Profile, Result, gopath, gotext, log, text};

use crate::SUBPATH_DIRECTORY_NAME;
use crate::pod_dir;
use crate::request::Subpath;

/// [`crate::clean_sub_paths`] for a mounter that answers later (`doCleanSubPaths`).
pub async fn clean_sub_paths<M: AsyncMounter>(
    mounter: &M,
    pod_dir: &[u8],
    volume_name: &[u8],
    profile: Profile,
) -> Result<()> {
    let all_dir = gopath::join(&[pod_dir, SUBPATH_DIRECTORY_NAME.as_bytes()]);
    let volume_dir = gopath::join(&[pod_dir, SUBPATH_DIRECTORY_NAME.as_bytes(), volume_name]);
    log!(DEBUG, "Cleaning up subpath mounts for ", volume_dir);
    let listed = match pod_dir::open_to_read(pod_dir, &volume_dir) {
        Ok(dir) => sys::read_dir(dir),
        Err(sys::ENOENT) => return Ok(()),
        Err(errno) => return Err(cannot_read(&volume_dir, "open", errno)),
    };
    let containers = match listed {
        (containers, None) => containers,
        (_, Some(errno)) => return Err(cannot_read(&volume_dir, "readdirent", errno)),
    };
    for container in containers {
        if container.kind != Kind::Directory {
            log!(DEBUG, "Container file is not a directory: ", container.name);
            continue;
        }
        log!(DEBUG, "Cleaning up subpath mounts for container ", container.name);
        let container_dir = gopath::join(&[&volume_dir, &container.name]);
        clean_container(mounter, pod_dir, &container_dir, profile).await.map_err(|error| {
            Error::flatten(text!("error processing ", container_dir, ": "), &error)
        })?;
        remove(mounter, pod_dir, &container_dir)?;
        log!(TRACE, "Removed ", container_dir);
    }
    remove(mounter, pod_dir, &volume_dir)?;
    log!(TRACE, "Removed ", volume_dir);
    match pod_dir::remove(pod_dir, &all_dir) {
        // Another volume's sub paths are still there.
        Err(error) if error.is_exist() => {}
        Err(error) if mounter.is_kernel() && error.is_not_exist() => {}
        Err(error) => return Err(cannot_delete(&all_dir, &error)),
        Ok(()) => {}
    }
    log!(TRACE, "Removed ", all_dir);
    Ok(())
}

fn cannot_read(path: &[u8], op: &'static str, errno: i32) -> Error {
    let cause = Error::path(op, path, errno);
    Error::flatten(text!("error reading ", path, ": "), &cause)
}

fn cannot_delete(path: &[u8], cause: &Error) -> Error {
    Error::flatten(text!("error deleting ", path, ": "), cause)
}

/// Removes a directory that has been cleaned. That another caller removed it first is an error only
/// to a mounter of the caller's own, as it is to the original.
fn remove<M: AsyncMounter>(mounter: &M, pod_dir: &[u8], path: &[u8]) -> Result<()> {
    match pod_dir::remove(pod_dir, path) {
        Err(error) if mounter.is_kernel() && error.is_not_exist() => Ok(()),
        Err(error) => Err(cannot_delete(path, &error)),
        Ok(()) => Ok(()),
    }
}

/// Cleans every entry of a container's directory; the first error ends it.
async fn clean_container<M: AsyncMounter>(
    mounter: &M,
    pod_dir: &[u8],
    container_dir: &[u8],
    profile: Profile,
) -> Result<()> {
    // What cannot be read shows when the directory is removed.
    let Ok(dir) = pod_dir::open_to_read(pod_dir, container_dir) else {
        return Ok(());
    };
    let Ok(again) = dir.try_clone() else {
        return Ok(());
    };
    let (entries, _) = sys::read_dir(again);
    for entry in entries {
        if entry.kind == Kind::Symlink {
            // Whatever it points to is not ours: the link goes, and nothing else.
            match sys::unlink_at(&dir, &entry.name) {
                Ok(()) | Err(sys::ENOENT | sys::EISDIR) => {}
                Err(errno) => {
                    let path = gopath::join(&[container_dir, &entry.name]);
                    let cause = Error::path("remove", &path[..], errno);
                    let prefix = text!("error cleaning subpath mount ", path, ": ");
                    return Err(Error::flatten(prefix, &cause));
                }
            }
            continue;
        }
        clean_entry(mounter, Some(dir.as_fd()), container_dir, &entry.name, profile).await?;
    }
    Ok(())
}

/// Takes one sub path away (`doCleanSubPath`).
async fn clean_entry<M: AsyncMounter>(
    mounter: &M,
    dir: Option<std::os::fd::BorrowedFd<'_>>,
    container_dir: &[u8],
    name: &[u8],
    profile: Profile,
) -> Result<()> {
    log!(DEBUG, "Cleaning up subpath mounts for subpath ", name);
    let path = gopath::join(&[container_dir, name]);
    let at = Place { path: &path, dir };
    cleanup_mount_point(mounter, at, true, profile).await.map_err(|error| {
        Error::flatten(text!("error cleaning subpath mount ", path, ": "), &error)
    })?;
    log!(DEBUG, "Successfully cleaned subpath directory ", path);
    Ok(())
}

/// Takes away the target of a bind that failed, and the directories above it that are empty
/// (`cleanSubPath`).
pub(crate) async fn clean_sub_path<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    profile: Profile,
) -> Result<()> {
    let container_dir = subpath.container_dir();
    let held = pod_dir::open(&subpath.pod_dir, &container_dir).ok();
    clean_entry(
        mounter,
        held.as_ref().map(AsFd::as_fd),
        &container_dir,
        subpath.index().as_bytes(),
        profile,
    )
    .await?;
    remove_empty_dirs(&subpath.pod_dir, &container_dir)
}

/// Removes `end_dir` and the directories above it, up to but not `base_dir`, as long as they are
/// empty (`removeEmptyDirs`).
pub(crate) fn remove_empty_dirs(base_dir: &[u8], end_dir: &[u8]) -> Result<()> {
    if !gopath::path_within_base(end_dir, base_dir) {
        return Err(Error::new(text!(
            "endDir ",
            gotext::quote(end_dir),
            " is not within baseDir ",
            gotext::quote(base_dir)
        )));
    }
    let mut current = end_dir.to_vec();
    while current != base_dir {
        let quoted = gotext::quote(&current);
        let kind = pod_dir::locate(base_dir, &current)
            .and_then(|at| sys::lstat_at(&at.dir, &at.name))
            .map(|stat| stat.kind);
        match kind {
            Ok(Kind::Directory) => {}
            Ok(_) => return Err(Error::new(text!("path ", quoted, " not a directory"))),
            Err(sys::ENOENT) => {
                log!(TRACE, "curDir ", quoted, " doesn't exist, skipping");
                current = gopath::dir(&current);
                continue;
            }
            Err(errno) => {
                let cause = Error::path("stat", &current[..], errno);
                return Err(Error::flatten(text!("error stat ", quoted, ": "), &cause));
            }
        }
        match pod_dir::remove(base_dir, &current) {
            Ok(()) => log!(TRACE, "Removed directory ", quoted),
            Err(error) if error.is_exist() => {
                log!(TRACE, "Directory ", quoted, " not empty, not removing");
                break;
            }
            Err(error) => {
                return Err(Error::flatten(
                    text!("error removing directory ", quoted, ": "),
                    &error,
                ));
            }
        }
        current = gopath::dir(&current);
    }
    Ok(())
}
