//! Takes sub paths away again (`CleanSubPaths`), and what a failed prepare left behind.
//!
//! It goes through the directories that prepare made, by descriptor, and no deeper: what is below a
//! mount point is the user's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mountinfo::cleanup::resumable::cleanup_mount_point;
use mountinfo::mounter::AsyncMounter;
use mountinfo::sys::{self, Entry, Kind};
use mountinfo::{Error, Features, Place, Profile, Result, gopath, gotext, kernel, log, text};
use nix::fcntl::OFlag;

use crate::SUBPATH_DIRECTORY_NAME;
use crate::pod_dir::PodDir;
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
    if let Some(errno) = sys::refused(&volume_dir) {
        return Err(cannot_read(&volume_dir, "open", errno));
    }
    let pod = PodDir::new(pod_dir);
    let opened = if mounter.is_kernel() {
        pod.open_to_read_if_here(&volume_dir)
    } else {
        pod.open_to_read(&volume_dir).map(|volume| (volume, false))
    };
    let volume = match opened {
        Ok((_, true)) => return Err(is_covered(&volume_dir)),
        Ok((volume, false)) => volume,
        Err(sys::ENOENT) => {
            if mounter.is_kernel() {
                // A clean-up that failed at its last step left it, and nobody else takes it away.
                let _ = pod.remove(&all_dir);
            }
            return Ok(());
        }
        Err(errno) => return Err(why_unreadable(&pod, &volume_dir, errno, profile)),
    };
    let (containers, failed) = sys::read_dir(&volume);
    match failed {
        None => {}
        // Another clean-up removed it after it was opened.
        Some(sys::ENOENT) if mounter.is_kernel() => {}
        Some(errno) => return Err(cannot_read(&volume_dir, "readdirent", errno)),
    }
    if profile.lists_with_lookups()
        && !mounter.is_kernel()
        && !containers.is_empty()
        && let Err(errno) = sys::may_search(&volume)
    {
        // Before v1.37 the original looked each entry up while it listed them (ioutil.ReadDir).
        return Err(cannot_read(&volume_dir, "fstatat", errno));
    }
    for container in containers {
        if container.kind != Kind::Directory {
            log!(DEBUG, "Container file is not a directory: ", container.name);
            continue;
        }
        log!(DEBUG, "Cleaning up subpath mounts for container ", container.name);
        let container_dir = gopath::join(&[&volume_dir, &container.name]);
        let mut opened = None;
        if mounter.is_kernel() {
            opened = open_uncovered(&volume, &container.name);
            let at = Place::beneath(volume.as_fd(), &container_dir);
            if opened.is_none() && matches!(mounter.is_mount_point(at).await, Ok(true)) {
                return Err(is_covered(&container_dir));
            }
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let opened = opened.or_else(|| sys::openat(&volume, &container.name, flags, 0).ok());
        // What cannot be read shows when the directory is removed.
        if let Some(dir) = opened {
            let cleaned = clean_container(mounter, &volume, &dir, &container_dir, profile).await;
            cleaned.map_err(|error| {
                Error::flatten(text!("error processing ", container_dir, ": "), &error)
            })?;
        }
        let removed = sys::remove_at(&volume, &container.name, Kind::Directory)
            .map_err(|errno| Error::path("remove", &container_dir[..], errno));
        expect_removed(mounter, &container_dir, removed)?;
        log!(TRACE, "Removed ", container_dir);
    }
    expect_removed(mounter, &volume_dir, pod.remove(&volume_dir))?;
    log!(TRACE, "Removed ", volume_dir);
    match pod.remove(&all_dir) {
        // Another volume's sub paths are still there.
        Err(error) if error.is_exist() => {}
        removed => expect_removed(mounter, &all_dir, removed)?,
    }
    log!(TRACE, "Removed ", all_dir);
    Ok(())
}

/// The error of a directory that could not be opened. Before v1.37 the original opened whatever was
/// there (ioutil.ReadDir) and failed in reading its entries.
fn why_unreadable(pod: &PodDir, path: &[u8], errno: i32, profile: Profile) -> Error {
    if errno == sys::ENOTDIR && profile.lists_with_lookups() {
        return match pod.open_anything(path) {
            Ok(_) => cannot_read(path, "readdirent", sys::ENOTDIR),
            Err(errno) => cannot_read(path, "open", errno),
        };
    }
    cannot_read(path, "open", errno)
}

fn cannot_read(path: &[u8], op: &'static str, errno: i32) -> Error {
    let cause = Error::path(op, path, errno);
    Error::flatten(text!("error reading ", path, ": "), &cause)
}

/// Something is mounted where only directories of ours belong. What it holds is somebody's data,
/// and must be taken neither for sub paths nor for leftovers.
fn is_covered(path: &[u8]) -> Error {
    let cause = Error::from_errno(sys::EBUSY);
    Error::flatten(text!("error processing ", path, ": something else is mounted there: "), &cause)
}

/// That another caller removed a directory first is an error only to a mounter of the caller's own,
/// as it is to the original.
fn expect_removed<M: AsyncMounter>(mounter: &M, path: &[u8], removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if mounter.is_kernel() && error.is_not_exist() => Ok(()),
        Err(error) => Err(Error::flatten(text!("error deleting ", path, ": "), &error)),
        Ok(()) => Ok(()),
    }
}

/// Opens a directory for reading in the one call that also sees that nothing is mounted on it. `None`
/// says nothing.
fn open_uncovered(parent: &OwnedFd, name: &[u8]) -> Option<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let openat2 = Features::get().openat2;
    openat2.then(|| sys::open_beneath_on_mount(parent, name, flags).ok()).flatten()
}

/// Cleans every entry of a container's directory; the first error ends it.
async fn clean_container<M: AsyncMounter>(
    mounter: &M,
    volume: &OwnedFd,
    dir: &OwnedFd,
    path: &[u8],
    profile: Profile,
) -> Result<()> {
    let (entries, _) = sys::read_dir(dir);
    let remove_link = |name: &[u8]| match sys::mount_id(dir) == sys::mount_id(volume) {
        true => remove_link(dir, name, path),
        // On another mount it is somebody's, and is left where it is.
        false => Ok(()),
    };
    for entry in entries {
        match entry.kind {
            Kind::Symlink => remove_link(&entry.name)?,
            _ => clean_entry(mounter, Some(dir.as_fd()), path, &entry, profile).await?,
        }
    }
    Ok(())
}

/// Removes a symlink and nothing else: whatever it points to is not ours.
fn remove_link(dir: &OwnedFd, name: &[u8], container_dir: &[u8]) -> Result<()> {
    match sys::unlink_at(dir, name) {
        Ok(()) | Err(sys::ENOENT) => Ok(()),
        Err(errno) => {
            let path = gopath::join(&[container_dir, name]);
            let cause = Error::path("remove", &path[..], errno);
            Err(Error::flatten(text!("error cleaning subpath mount ", path, ": "), &cause))
        }
    }
}

/// Takes one sub path away (`doCleanSubPath`).
async fn clean_entry<M: AsyncMounter>(
    mounter: &M,
    dir: Option<BorrowedFd<'_>>,
    container_dir: &[u8],
    entry: &Entry,
    profile: Profile,
) -> Result<()> {
    match dir {
        Some(dir) if mounter.is_kernel() => clear_entry(dir, container_dir, entry),
        _ => {
            log!(DEBUG, "Cleaning up subpath mounts for subpath ", entry.name);
            let path = gopath::join(&[container_dir, &entry.name]);
            let at = Place { path: &path, dir };
            cleaned(&path, cleanup_mount_point(mounter, at, true, profile).await)
        }
    }
}

/// The same with the kernel's mounter.
fn clear_entry(dir: BorrowedFd<'_>, container_dir: &[u8], entry: &Entry) -> Result<()> {
    log!(DEBUG, "Cleaning up subpath mounts for subpath ", entry.name);
    let path = gopath::join(&[container_dir, &entry.name]);
    cleaned(&path, kernel::clear(dir, &path, entry.kind))
}

fn cleaned(path: &[u8], outcome: Result<()>) -> Result<()> {
    outcome.map_err(|error| {
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
    let held = PodDir::new(&subpath.pod_dir).open_dir(&container_dir).ok();
    let dir = held.as_ref().map(AsFd::as_fd);
    let entry = Entry { name: subpath.index().into_bytes(), kind: Kind::Directory };
    clean_entry(mounter, dir, &container_dir, &entry, profile).await?;
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
    let clean_base = gopath::clean(base_dir);
    let pod = PodDir::new(base_dir);
    let mut current = end_dir.to_vec();
    while current != base_dir {
        let quoted = gotext::quote(&current);
        // A base that is not clean ("pod/") is never met on the way up: like the original this goes
        // on above it then, by path, as the base's own path is the caller's. So does what any
        // call refuses.
        let is_below = sys::refused(&current).is_none()
            && gopath::clean(&current) == current
            && current != clean_base
            && gopath::path_within_base(&current, &clean_base);
        let held = is_below.then(|| pod.locate(&current));
        let kind = match &held {
            None => sys::stat(&current),
            Some(Ok(at)) => sys::lstat_at(at.dir(), at.name()),
            Some(Err(errno)) => Err(*errno),
        };
        match kind.map(|stat| stat.kind) {
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
        let removed = match held {
            None => sys::remove(&current),
            Some(held) => held.and_then(|at| sys::remove_at(at.dir(), at.name(), Kind::Directory)),
        }
        .map_err(|errno| Error::path("remove", &current[..], errno));
        match removed {
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
