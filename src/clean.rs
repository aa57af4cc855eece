//! Takes sub paths away again (`CleanSubPaths`), and what a failed prepare left behind.
//!
//! It goes through the directories that prepare made, by descriptor, and no deeper: what is below a
//! mount point is the user's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use subpath_mountinfo::cleanup::resumable::cleanup_mount_point;
use subpath_mountinfo::internal::sys::{self, Entry, Kind, Sys};
use subpath_mountinfo::internal::{go_path, go_text};
use subpath_mountinfo::mounter::AsyncMounter;
use subpath_mountinfo::{Error, Features, Place, Profile, Result, kernel, log, text};

use crate::SUBPATH_DIRECTORY_NAME;
use crate::pod_dir::{PodDir, is_on_another_mount};
use crate::request::Subpath;

/// [`crate::clean_sub_paths`] for a mounter that answers later (`doCleanSubPaths`).
pub async fn clean_sub_paths<M: AsyncMounter>(
    mounter: &M,
    pod_dir: &[u8],
    volume_name: &[u8],
    profile: Profile,
) -> Result<()> {
    let all_dir = go_path::join(&[pod_dir, SUBPATH_DIRECTORY_NAME.as_bytes()]);
    let volume_dir = go_path::join(&[pod_dir, SUBPATH_DIRECTORY_NAME.as_bytes(), volume_name]);
    log!(DEBUG, "Cleaning up subpath mounts for ", volume_dir);
    if let Some(errno) = sys::refused(&volume_dir) {
        return Err(cannot_read(&volume_dir, "open", errno));
    }
    let pod = PodDir::new(pod_dir);
    let opened = if mounter.is_kernel() {
        pod.open_to_read_here(&volume_dir)
    } else {
        pod.open_to_read(&volume_dir).map(|volume| (volume, Ok(false)))
    };
    let volume = match opened {
        Ok((volume, is_elsewhere)) => {
            refuse_covered(&volume_dir, is_elsewhere)?;
            volume
        }
        Err(sys::ENOENT) => {
            if mounter.is_kernel() {
                // A clean-up that failed at its last step left it, and nobody else takes it away. Most
                // often it holds other volumes or is not there; what is amiss with it hurts nobody.
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
        let container_dir = go_path::join(&[&volume_dir, &container.name]);
        clean_container(mounter, &volume, &container_dir, profile).await?;
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

/// Refuses a directory of ours on which something is mounted, and one of which that cannot be told. What
/// it holds is somebody's data, and must be taken neither for sub paths nor for leftovers.
fn refuse_covered(path: &[u8], is_covered: Sys<bool>) -> Result<()> {
    let why = match is_covered {
        Ok(false) => return Ok(()),
        Ok(true) => Error::wrap("something else is mounted there: ", Error::from_errno(sys::EBUSY)),
        Err(errno) => kernel::cannot("statx", path, errno),
    };
    Err(Error::flatten(text!("error processing ", path, ": "), &why))
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

/// Cleans a container's directory, and removes it.
async fn clean_container<M: AsyncMounter>(
    mounter: &M,
    volume: &OwnedFd,
    path: &[u8],
    profile: Profile,
) -> Result<()> {
    let at = Place::beneath(volume.as_fd(), path);
    let opened = match mounter.is_kernel() {
        true => open_uncovered(mounter, volume, at).await?,
        false => sys::openat(volume, at.name(), TO_READ, 0),
    };
    let unread = match opened {
        Ok(dir) => clean_entries(mounter, volume, &dir, path, profile)
            .await
            .map_err(|error| Error::flatten(text!("error processing ", path, ": "), &error))?,
        Err(errno) => Some(errno),
    };
    let removed = sys::remove_at(volume, at.name(), Kind::Directory)
        .map_err(|errno| Error::path("remove", path, errno));
    match (removed, unread) {
        // Another clean-up removed it before it was opened, and a prepare made it again.
        (removed, Some(sys::ENOENT)) => expect_removed(mounter, path, removed),
        // It is not empty because it could not be read. (Of a directory that may not be read the
        // original says no more than that it is not empty.)
        (Err(error), Some(errno))
            if error.is_exist() && (mounter.is_kernel() || errno != sys::EACCES) =>
        {
            let cause = Error::path("open", path, errno);
            Err(Error::flatten(text!("error processing ", path, ": "), &cause))
        }
        (removed, _) => expect_removed(mounter, path, removed),
    }
}

/// To read a directory's entries.
const TO_READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW);

/// Opens a directory for reading on which nothing is mounted; what is mounted is not opened, for that
/// could wait for its server. The inner result is that of openat(2).
async fn open_uncovered<M: AsyncMounter>(
    mounter: &M,
    parent: &OwnedFd,
    at: Place<'_>,
) -> Result<Sys<OwnedFd>> {
    // In one call where that is possible; else, and where it fails, step by step.
    if Features::get().openat2
        && let Ok(dir) = sys::open_beneath_on_mount(parent, at.name(), TO_READ)
    {
        return Ok(Ok(dir));
    }
    match mounter.is_mount_point(at).await {
        Ok(is_covered) => refuse_covered(at.path, Ok(is_covered))?,
        // Another caller removed it.
        Err(error) if error.is_not_exist() => {}
        Err(error) => {
            return Err(Error::flatten(text!("error processing ", at.path, ": "), &error));
        }
    }
    let opened = sys::openat(parent, at.name(), TO_READ, 0);
    if let Ok(dir) = &opened {
        // Mounted meanwhile.
        refuse_covered(at.path, is_on_another_mount(dir, parent))?;
    }
    Ok(opened)
}

/// Cleans every entry of a container's directory; the first error ends it. Gives the errno that ended
/// the listing early.
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
            Kind::Symlink => {
                let is_elsewhere = is_on_another_mount(dir, volume)
                    .map_err(|errno| kernel::cannot("statx", path, errno))?;
                // On another mount it is somebody's, and is left where it is.
                if !is_elsewhere {
                    remove_link(dir, &entry.name, path)?;
                }
            }
            _ => clean_entry(mounter, Some(dir.as_fd()), path, &entry, profile).await?,
        }
    }
    Ok(unread)
}

/// Removes a symlink and nothing else: whatever it points to is not ours.
fn remove_link(dir: &OwnedFd, name: &[u8], container_dir: &[u8]) -> Result<()> {
    match sys::unlink_at(dir, name) {
        Ok(()) | Err(sys::ENOENT) => Ok(()),
        Err(errno) => {
            let path = go_path::join(&[container_dir, name]);
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
            let path = go_path::join(&[container_dir, &entry.name]);
            let at = Place { path: &path, dir };
            cleaned(&path, cleanup_mount_point(mounter, at, true, profile).await)
        }
    }
}

/// The same with the kernel's mounter.
fn clear_entry(dir: BorrowedFd<'_>, container_dir: &[u8], entry: &Entry) -> Result<()> {
    log!(DEBUG, "Cleaning up subpath mounts for subpath ", entry.name);
    let path = go_path::join(&[container_dir, &entry.name]);
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
    let held = match PodDir::new(&subpath.pod_dir).open_dir(&container_dir) {
        Ok(dir) => Some(dir),
        // Nothing is there.
        Err(sys::ENOENT) => None,
        // By path the target may be reached through a link.
        Err(errno) => {
            let cause = Error::path("open", &container_dir[..], errno);
            return cleaned(&subpath.target(), Err(cause));
        }
    };
    let dir = held.as_ref().map(AsFd::as_fd);
    let entry = Entry { name: subpath.index().into_bytes(), kind: Kind::Directory };
    clean_entry(mounter, dir, &container_dir, &entry, profile).await?;
    remove_empty_dirs(&subpath.pod_dir, &container_dir)
}

/// Removes `end_dir` and the directories above it, up to but not `base_dir`, as long as they are
/// empty (`removeEmptyDirs`).
pub(crate) fn remove_empty_dirs(base_dir: &[u8], end_dir: &[u8]) -> Result<()> {
    if !go_path::path_within_base(end_dir, base_dir) {
        return Err(Error::new(text!(
            "endDir ",
            go_text::quote(end_dir),
            " is not within baseDir ",
            go_text::quote(base_dir)
        )));
    }
    let clean_base = go_path::clean(base_dir);
    let pod = PodDir::new(base_dir);
    let mut current = end_dir.to_vec();
    while current != base_dir {
        let quoted = go_text::quote(&current);
        // A base that is not clean ("pod/") is never met on the way up: like the original this goes
        // on above it then, by path, as the base's own path is the caller's. So does what any
        // call refuses.
        let is_below = sys::refused(&current).is_none()
            && go_path::clean(&current) == current
            && current != clean_base
            && go_path::path_within_base(&current, &clean_base);
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
                current = go_path::dir(&current);
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
        current = go_path::dir(&current);
    }
    Ok(())
}
