//! Finds out what is mounted on a target, and prepares the target (`prepareSubpathTarget`).

use std::os::fd::{AsFd, OwnedFd};

use subpath_mountinfo::internal::MOST_LAYERS;
use subpath_mountinfo::internal::sys::{self, CachedStat};
use subpath_mountinfo::{Error, KernelMounter, Mounter, Place, Profile, Result, wrap};

use crate::pod_dir::PodDir;
use crate::request::Subpath;
use crate::source::BindSource;
use crate::target::{self, Attempt, Made, Replace, TRIES, Target, cannot_make};

/// How often in succession unmounting may fail with ENOENT or EINVAL although something was mounted just
/// before. The usual reason is that another process was faster. A mount that is still there after so many
/// tries is locked (mount_namespaces(7)).
const MOST_FRUITLESS: usize = 3;

/// Finds out whether the sub path is mounted already, unmounts everything else on the target, and makes the
/// target.
pub(crate) fn prepare(
    subpath: &Subpath,
    source: &BindSource<'_>,
    profile: Profile,
) -> Result<Target> {
    let path = subpath.target();
    let mut last = None;
    for _ in 0..TRIES {
        let container_dir = open_container_dir(subpath, &path)?;
        if let Some(dir) = &container_dir
            && is_mounted(subpath, dir, &path, source, profile)?
        {
            return Ok(Target::already_mounted(path));
        }
        match target::make(subpath, source, &path, container_dir, Replace::Leftovers)? {
            // Another process made the target and mounted something on it meanwhile: try again, and look
            // at what it mounted.
            Attempt::Made { parent, made: Made::Found, kind }
                if is_mount_point(Place::in_dir(parent.as_fd(), &path))? =>
            {
                last = Some(cannot_make(kind, &path, sys::EBUSY));
            }
            // The target is ready, and nothing is mounted on it.
            Attempt::Made { parent, .. } => return Ok(Target { path, parent: Some(parent) }),
            // A concurrent clean-up removed its directory: try again.
            Attempt::Vanished(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::at_path("mkdir", path, sys::ENOENT)))
}

/// Opens the directory that holds the target, if it exists.
///
/// It returns `None` also if a symlink or a file is in the way or the path is not valid: making the directory
/// then fails with the original's error.
fn open_container_dir(subpath: &Subpath, path: &[u8]) -> Result<Option<OwnedFd>> {
    let container_dir = subpath.container_dir();
    match PodDir::new(&subpath.pod_dir).open_dir(&container_dir) {
        Ok(dir) => Ok(Some(dir)),
        Err(sys::ENOENT | sys::ENOTDIR | sys::ELOOP | sys::ENAMETOOLONG | sys::EINVAL) => Ok(None),
        Err(errno) => {
            let cause = Error::at_path("open", container_dir, errno);
            Err(wrap!("error checking path %s for mount: %w", path, cause))
        }
    }
}

/// Returns whether the source is mounted on the target.
///
/// Every other mount on the target is unmounted, layer by layer. No request goes to a mounted file system
/// until it is known to be the source's.
fn is_mounted(
    subpath: &Subpath,
    dir: &OwnedFd,
    path: &[u8],
    source: &BindSource<'_>,
    profile: Profile,
) -> Result<bool> {
    let at = Place::in_dir(dir.as_fd(), path);
    let stat = source.stat_to_compare(subpath)?;
    let mut fruitless = 0;
    // Each turn unmounts one layer. The turns that unmount none are counted.
    for _ in 0..MOST_LAYERS {
        // Only what the kernel remembers is read, because a mounted file system might never answer. A
        // mount that cannot be read even so is not the wanted one.
        let seen = sys::cached_stat_at(dir, at.name_bytes());
        let mounted = match seen {
            Ok(CachedStat { mount_root: Some(mounted), .. }) => mounted,
            Err(sys::ENOENT) => false,
            // statx(2) does not report mount roots (before Linux 5.8), or it failed: compare the numbers
            // of the mounts.
            Ok(CachedStat { mount_root: None, .. }) | Err(_) => is_mount_point(at)?,
        };
        if !mounted {
            return Ok(false);
        }
        // The source's device and inode number: this is the source, unless its server has given the number
        // to another file, which `gone_bad` finds out.
        let unmounted = if seen.is_ok_and(|seen| seen.stat.same_file(&stat)) {
            let Some(error) = gone_bad(at, dir, source)? else { return Ok(true) };
            unmount_bad(at, &error)
        } else {
            unmount_stale(at, profile)
        };
        match unmounted {
            Ok(()) => fruitless = 0,
            // A concurrent clean-up unmounted or removed it first, or the mount is locked.
            Err(error) if matches!(error.raw_os_error(), Some(sys::ENOENT | sys::EINVAL)) => {
                fruitless += 1;
                if fruitless == MOST_FRUITLESS {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(cannot_make(stat.kind, path, sys::EBUSY))
}

/// Returns whether something is mounted on a target. If the target was removed meanwhile, nothing is.
fn is_mount_point(at: Place<'_>) -> Result<bool> {
    match KernelMounter.is_mounted(at) {
        Err(error) if error.is_not_exist() => Ok(false),
        Err(error) => Err(wrap!("error checking path %s for mount: %w", at.bytes(), error)),
        mounted => mounted,
    }
}

/// Returns the error that makes a mount of the source useless, or `None` if the mount is good.
///
/// A server may have replaced the file that is mounted, while the kernel still remembers the old file's
/// number. This contacts the server and waits for it; it has just answered for the source.
fn gone_bad(at: Place<'_>, dir: &OwnedFd, source: &BindSource<'_>) -> Result<Option<Error>> {
    let Err(errno) = sys::server_answers(dir, at.name_bytes(), false) else { return Ok(None) };
    let error = Error::at_path("statx", at.bytes(), errno);
    // ENOENT is the answer of servers that address files by path, if the file is gone.
    if !sys::is_corrupted_errno(errno) && errno != sys::ENOENT {
        return Err(wrap!("error checking path %s for mount: %w", at.bytes(), error));
    }
    // If the source fails in the same way, another bind would be just as useless.
    Ok((source.ask_server() != Err(errno)).then_some(error))
}

/// Detaches a mount for which [`gone_bad`] returned an error, even if it is in use.
fn unmount_bad(at: Place<'_>, why: &Error) -> Result<()> {
    target::log_corrupted(at.bytes(), why);
    KernelMounter
        .unmount_lazily(at)
        .map_err(|error| target::cannot_unmount_corrupted(at.bytes(), error))
}

/// Detaches a mount of something other than the source, even if it is in use.
fn unmount_stale(at: Place<'_>, profile: Profile) -> Result<()> {
    if profile.detaches_stale() {
        target::log_stale(at.bytes());
    }
    KernelMounter
        .unmount_lazily(at)
        .map_err(|error| target::cannot_unmount_stale(at.bytes(), error, profile))
}
