//! Cleans up every sub path of a volume with a caller's mounter (`CleanSubPaths`), and what a failed prepare
//! left behind (`cleanSubPath`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use subpath_mountinfo::internal::clean_up_asking;
use subpath_mountinfo::internal::coroutine::AsyncMounter;
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::sys::{self, Kind};
use subpath_mountinfo::{Error, Place, Profile, Result, log};

use crate::clean::{
    Directories, TO_READ, cannot_delete, cannot_process, cannot_read, cleaned, log_cleaning,
    remove_empty_dirs, remove_link_of_ours, why_unreadable,
};
use crate::pod_dir::PodDir;
use crate::request::Subpath;

/// Has every sub path of a volume unmounted, and removes their directories (`doCleanSubPaths`).
pub async fn clean_sub_paths<M: AsyncMounter>(
    mounter: &M,
    pod_dir: &[u8],
    volume_name: &[u8],
    profile: Profile,
) -> Result<()> {
    let paths = Directories::of(pod_dir, volume_name)?;
    let pod = PodDir::new(pod_dir);
    let volume = match pod.open_to_read(&paths.volume) {
        Ok(volume) => volume,
        // No sub path of the volume was prepared.
        Err(sys::ENOENT) => return Ok(()),
        Err(errno) => return Err(why_unreadable(&pod, &paths.volume, errno, profile)),
    };
    let (containers, failed) = sys::read_dir(&volume);
    if let Some(errno) = failed {
        return Err(cannot_read(&paths.volume, "readdirent", errno));
    }
    if profile.lists_with_lookups()
        && !containers.is_empty()
        && let Err(errno) = sys::may_search(&volume)
    {
        // Before v1.37 the original called lstat(2) for each entry (ioutil.ReadDir), which fails without
        // the right to search the directory.
        return Err(cannot_read(&paths.volume, "fstatat", errno));
    }
    for container in containers {
        if let Some(path) = paths.container(&container) {
            clean_container(mounter, &volume, &path, profile).await?;
            log!(TRACE, path = path, "Removed %s", path);
        }
    }
    paths.remove(&pod, |path, removed| removed.map_err(|error| cannot_delete(path, error)))
}

/// Cleans the entries of a container's directory, and removes it.
async fn clean_container<M: AsyncMounter>(
    mounter: &M,
    volume: &OwnedFd,
    path: &[u8],
    profile: Profile,
) -> Result<()> {
    let name = go_path::base(path);
    let unread = match sys::openat(volume, name, TO_READ, 0) {
        Ok(dir) => clean_entries(mounter, volume, &dir, path, profile)
            .await
            .map_err(|error| cannot_process(path, error))?,
        Err(errno) => Some(errno),
    };
    let removed = sys::remove_at(volume, name, Kind::Directory)
        .map_err(|errno| Error::at_path("remove", path, errno));
    match (removed, unread) {
        // The directory is not empty because it could not be read: report why it could not. With EACCES
        // the original reports only that it is not empty.
        (Err(error), Some(errno))
            if error.is_exist() && !matches!(errno, sys::EACCES | sys::ENOENT) =>
        {
            Err(cannot_process(path, Error::at_path("open", path, errno)))
        }
        (removed, _) => removed.map_err(|error| cannot_delete(path, error)),
    }
}

/// Cleans the entries of a container's directory up to the first error. Returns the errno with which reading
/// the entries ended early, if it did.
async fn clean_entries<M: AsyncMounter>(
    mounter: &M,
    volume: &OwnedFd,
    dir: &OwnedFd,
    path: &[u8],
    profile: Profile,
) -> Result<Option<i32>> {
    let (entries, unread) = sys::read_dir(dir);
    for entry in entries {
        match entry.kind {
            Kind::Symlink => remove_link_of_ours(volume, dir, &entry.name, path)?,
            // A sub path: a directory or a file on which it is mounted.
            _ => clean_entry(mounter, Some(dir.as_fd()), path, &entry.name, profile).await?,
        }
    }
    Ok(unread)
}

/// Has one sub path unmounted, and removes its target (`doCleanSubPath`).
async fn clean_entry<M: AsyncMounter>(
    mounter: &M,
    dir: Option<BorrowedFd<'_>>,
    container_dir: &[u8],
    name: &[u8],
    profile: Profile,
) -> Result<()> {
    let path = go_path::join(&[container_dir, name]);
    log_cleaning(&path, name);
    let at = Place::in_dir(dir, &path);
    cleaned(&path, clean_up_asking(mounter, at, true, profile).await)
}

/// Has the target of a bind that failed unmounted, and removes it and the directories above it that are
/// empty (`cleanSubPath`).
pub(crate) async fn clean_sub_path<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    profile: Profile,
) -> Result<()> {
    let container_dir = subpath.container_dir();
    let held = match PodDir::new(&subpath.pod_dir).open_dir(&container_dir) {
        Ok(dir) => Some(dir),
        // The directory does not exist. The mounter is asked by path, as the original asks it.
        Err(sys::ENOENT) => None,
        // A symlink or a file is in the way, or the directory cannot be opened. A clean-up by path could
        // follow the symlink, so it is an error.
        Err(errno) => {
            let cause = Error::at_path("open", &container_dir[..], errno);
            return cleaned(&subpath.target(), Err(cause));
        }
    };
    let dir = held.as_ref().map(AsFd::as_fd);
    let name = subpath.index();
    clean_entry(mounter, dir, &container_dir, name.as_bytes(), profile).await?;
    remove_empty_dirs(&subpath.pod_dir, &container_dir)
}
