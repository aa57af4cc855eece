//! What clean-up by the kernel's mounter and by a caller's mounter have in common: the texts of errors and
//! log lines, and the removal of empty directories.
//!
//! Clean-up opens the directories that prepare made, by descriptor, and nothing below a mount point, which
//! belongs to the pod's user.

use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::sys::{self, Entry, Kind, Sys};
use subpath_mountinfo::{Error, ErrorKind, Profile, Result, flatten, log, text};

use crate::SUBPATH_DIRECTORY_NAME;
use crate::pod_dir::{PodDir, is_on_another_mount};

/// The flags with which a directory is opened to read its entries.
pub(crate) const TO_READ: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW);

/// The directories of one volume's sub paths.
pub(crate) struct Directories {
    /// `POD_DIR/volume-subpaths`.
    pub(crate) all: Vec<u8>,
    /// `POD_DIR/volume-subpaths/VOLUME`.
    pub(crate) volume: Vec<u8>,
}

impl Directories {
    /// Returns the directories of a volume, and logs that their clean-up begins.
    ///
    /// # Errors
    /// The errno that any system call would return for the path: it contains a NUL byte or is too long.
    pub(crate) fn of(pod_dir: &[u8], volume_name: &[u8]) -> Result<Self> {
        let all = go_path::join(&[pod_dir, SUBPATH_DIRECTORY_NAME.as_bytes()]);
        let volume = go_path::join(&[pod_dir, SUBPATH_DIRECTORY_NAME.as_bytes(), volume_name]);
        log!(DEBUG, path = volume, "Cleaning up subpath mounts for %s", volume);
        match sys::refused(&volume) {
            Some(errno) => Err(cannot_read(&volume, "open", errno)),
            None => Ok(Directories { all, volume }),
        }
    }

    /// Returns the path of an entry of the volume's directory, and logs that its clean-up begins. `None` if it
    /// is not a directory.
    pub(crate) fn container(&self, entry: &Entry) -> Option<Vec<u8>> {
        let path = go_path::join(&[&self.volume, &entry.name]);
        // Prepare makes only directories here, so this is somebody else's. It stays, and the removal of the
        // volume's directory fails with ENOTEMPTY.
        if entry.kind != Kind::Directory {
            log!(DEBUG, path = path, "Container file is not a directory: %s", entry.name);
            return None;
        }
        log!(DEBUG, path = path, "Cleaning up subpath mounts for container %s", entry.name);
        Some(path)
    }

    /// Removes both directories after everything in the volume's was cleaned up. `judge` makes the outcome of
    /// the clean-up from that of removing one of them.
    pub(crate) fn remove(
        &self,
        pod: &PodDir,
        judge: impl Fn(&[u8], Result<()>) -> Result<()>,
    ) -> Result<()> {
        judge(&self.volume, pod.remove(&self.volume))?;
        log!(TRACE, path = self.volume, "Removed %s", self.volume);
        match pod.remove(&self.all) {
            // Another volume's sub paths are still there.
            Err(error) if error.is_exist() => {}
            removed => judge(&self.all, removed)?,
        }
        log!(TRACE, path = self.all, "Removed %s", self.all);
        Ok(())
    }
}

/// Returns the original's error for a directory that could not be opened with the errno `errno`.
///
/// Before v1.37 the original opened a file of any kind (ioutil.ReadDir) and failed when it read the
/// entries. For those profiles the call that failed is found out by opening the path in the same way.
pub(crate) fn why_unreadable(pod: &PodDir, path: &[u8], errno: i32, profile: Profile) -> Error {
    if errno == sys::ENOTDIR && profile.lists_with_lookups() {
        return match pod.open_anything(path) {
            Ok(_) => cannot_read(path, "readdirent", sys::ENOTDIR),
            Err(errno) => cannot_read(path, "open", errno),
        };
    }
    cannot_read(path, "open", errno)
}

/// Returns the error for a directory whose entries cannot be read; `op` is the system call that failed.
pub(crate) fn cannot_read(path: &[u8], op: &'static str, errno: i32) -> Error {
    flatten!("error reading %s: %s", path, Error::at_path(op, path, errno))
}

/// Returns the error for a directory that cannot be removed.
pub(crate) fn cannot_delete(path: &[u8], cause: Error) -> Error {
    flatten!("error deleting %s: %s", path, cause)
}

/// Returns the error for a container's directory that cannot be cleaned.
pub(crate) fn cannot_process(path: &[u8], cause: Error) -> Error {
    flatten!("error processing %s: %s", path, cause)
}

/// Removes a symlink from a container's directory, and not what it points to. If the directory lies on
/// another mount than the volume's, the link is somebody's and stays.
pub(crate) fn remove_link_of_ours(
    volume: &OwnedFd,
    dir: &OwnedFd,
    name: &[u8],
    container_dir: &[u8],
) -> Result<()> {
    let is_elsewhere = is_on_another_mount(dir, volume)
        .map_err(|errno| Error::of_call("statx", container_dir, errno))?;
    if is_elsewhere {
        return Ok(());
    }
    match sys::unlink_at(dir, name) {
        Ok(()) | Err(sys::ENOENT) => Ok(()),
        Err(errno) => {
            let path = go_path::join(&[container_dir, name]);
            let cause = Error::at_path("remove", &path[..], errno);
            Err(flatten!("error cleaning subpath mount %s: %s", path, cause))
        }
    }
}

/// Logs that a sub path is about to be unmounted and removed.
pub(crate) fn log_cleaning(target: &[u8], name: &[u8]) {
    log!(DEBUG, target = target, "Cleaning up subpath mounts for subpath %s", name);
}

/// Logs that a sub path was unmounted and removed. If `outcome` is an error, returns it with the path.
pub(crate) fn cleaned(path: &[u8], outcome: Result<()>) -> Result<()> {
    outcome.map_err(|error| flatten!("error cleaning subpath mount %s: %s", path, error))?;
    log!(DEBUG, target = path, "Successfully cleaned subpath directory %s", path);
    Ok(())
}

/// Removes `end_dir` and the directories above it up to `base_dir`, which stays, and stops at the first
/// that is not empty (`removeEmptyDirs`).
pub fn remove_empty_dirs(base_dir: &[u8], end_dir: &[u8]) -> Result<()> {
    if !go_path::path_within_base(end_dir, base_dir) {
        let text = text!("endDir %q is not within baseDir %q", end_dir, base_dir);
        return Err(Error::new(text).of_kind(ErrorKind::OutsideVolume));
    }
    let clean_base = go_path::clean(base_dir);
    let pod = PodDir::new(base_dir);
    let mut current = end_dir.to_vec();
    // Each turn goes up one level; the parent of `/` is `/`, which is never empty.
    while current != base_dir {
        // The usual case: a directory strictly below the base, which is reached by descriptor. The rest
        // goes by path, as in the original: the base itself and what is above it, whose path is the
        // caller's, and a path that no system call accepts. The first two are met only if the base is not
        // clean ("pod/"), because the loop compares with it byte by byte and so goes on above it.
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
            // Also a symlink below the base, which the original would follow.
            Ok(_) => {
                let text = text!("path %q not a directory", current);
                return Err(Error::new(text).of_kind(ErrorKind::NotADirectory));
            }
            // Another caller removed it, or it was never made: go on with its parent.
            Err(sys::ENOENT) => {
                log!(TRACE, path = current, "curDir %q doesn't exist, skipping", current);
                current = go_path::dir(&current);
                continue;
            }
            Err(errno) => {
                let cause = Error::at_path("stat", &current[..], errno);
                return Err(flatten!("error stat %q: %s", current, cause));
            }
        }
        let removed = match held {
            None => sys::remove(&current),
            Some(held) => held.and_then(|at| sys::remove_at(at.dir(), at.name(), Kind::Directory)),
        };
        if !was_removed(&current, removed)? {
            break;
        }
        current = go_path::dir(&current);
    }
    Ok(())
}

/// Returns whether a directory was removed, given the outcome of the call that removes it. It is `false`
/// if the directory is not empty, which is no error.
fn was_removed(path: &[u8], removed: Sys<()>) -> Result<bool> {
    match removed.map_err(|errno| Error::at_path("remove", path, errno)) {
        Ok(()) => {
            log!(TRACE, path = path, "Removed directory %q", path);
            Ok(true)
        }
        Err(error) if error.is_exist() => {
            log!(TRACE, path = path, "Directory %q not empty, not removing", path);
            Ok(false)
        }
        Err(error) => Err(flatten!("error removing directory %q: %s", path, error)),
    }
}
