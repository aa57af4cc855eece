//! What the kernel has mounted on a target, and the target itself (`prepareSubpathTarget`).

use std::os::fd::{AsFd, OwnedFd};

use subpath_mountinfo::internal::MOST_LAYERS;
use subpath_mountinfo::internal::sys::{self, CachedStat};
use subpath_mountinfo::{Error, KernelMounter, Mounter, Place, Profile, Result, text};

use crate::pod_dir::PodDir;
use crate::request::Subpath;
use crate::source::BindSource;
use crate::target::{self, Attempt, Made, Replace, TRIES, Target, cannot_make};

/// How often in succession unmounting may find nothing although something was mounted just before:
/// another process was faster each time. A mount that stays is locked (mount_namespaces(7)).
const MOST_FRUITLESS: usize = 3;

/// Finds out whether the sub path is mounted already, takes stale mounts away, and makes the target.
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
            // Another process was faster: what it mounted has to be looked at.
            Attempt::Made { parent, made: Made::Found, kind }
                if is_mount_point(Place::in_dir(parent.as_fd(), &path))? =>
            {
                last = Some(cannot_make(kind, &path, sys::EBUSY));
            }
            Attempt::Made { parent, .. } => return Ok(Target { path, parent: Some(parent) }),
            Attempt::Vanished(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::at_path("mkdir", path, sys::ENOENT)))
}

/// Opens the directory that holds the target, if it exists. What stands in its way shows when it is
/// made.
fn open_container_dir(subpath: &Subpath, path: &[u8]) -> Result<Option<OwnedFd>> {
    let container_dir = subpath.container_dir();
    match PodDir::new(&subpath.pod_dir).open_dir(&container_dir) {
        Ok(dir) => Ok(Some(dir)),
        Err(sys::ENOENT | sys::ENOTDIR | sys::ELOOP | sys::ENAMETOOLONG | sys::EINVAL) => Ok(None),
        Err(errno) => {
            let cause = Error::at_path("open", container_dir, errno);
            Err(Error::wrap(text!("error checking path %s for mount: %w", path, cause), cause))
        }
    }
}

/// Whether the source is mounted on the target. Every other mount that lies there is taken away, layer
/// by layer, and nothing is asked of what is mounted until it is known to be the source.
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
    // Each turn takes a layer away; those that take none are counted.
    for _ in 0..MOST_LAYERS {
        // An answer of the mounted file system, were one awaited, might never come; whatever it
        // is, a mount that cannot even be looked at is not the one that is wanted.
        let seen = sys::cached_stat_at(dir, at.name_bytes());
        let mounted = match seen {
            Ok(CachedStat { mount_root: Some(mounted), .. }) => mounted,
            Err(sys::ENOENT) => false,
            // Without statx's mount root, or where the look failed, the mount numbers tell.
            Ok(CachedStat { mount_root: None, .. }) | Err(_) => is_mount_point(at)?,
        };
        if !mounted {
            return Ok(false);
        }
        let unmounted = if seen.is_ok_and(|seen| seen.stat.same_file(&stat)) {
            let Some(error) = gone_bad(at, dir, source)? else { return Ok(true) };
            unmount_bad(at, &error)
        } else {
            unmount_stale(at, profile)
        };
        match unmounted {
            Ok(()) => fruitless = 0,
            // A clean-up was faster.
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

/// Whether something is mounted on a target, which may have been removed meanwhile.
fn is_mount_point(at: Place<'_>) -> Result<bool> {
    match KernelMounter.is_mounted(at) {
        Err(error) if error.is_not_exist() => Ok(false),
        Err(error) => {
            let text = text!("error checking path %s for mount: %w", at.bytes(), error);
            Err(Error::wrap(text, error))
        }
        mounted => mounted,
    }
}

/// Why what is mounted on the target, and was the source once, is of no use any more: its server has
/// put another file into its place, under the number that the kernel remembers.
///
/// The server is asked and waited for. It has just answered for the source.
fn gone_bad(at: Place<'_>, dir: &OwnedFd, source: &BindSource<'_>) -> Result<Option<Error>> {
    let Err(errno) = sys::server_answers(dir, at.name_bytes(), false) else { return Ok(None) };
    let error = Error::at_path("statx", at.bytes(), errno);
    // ENOENT is what servers that go by path say of a file that is gone.
    if !sys::is_corrupted_errno(errno) && errno != sys::ENOENT {
        let text = text!("error checking path %s for mount: %w", at.bytes(), error);
        return Err(Error::wrap(text, error));
    }
    // Where the source is no better another bind would not be either.
    Ok((source.ask_server() != Err(errno)).then_some(error))
}

/// Detaches what [`gone_bad`] tells of, whoever uses it.
fn unmount_bad(at: Place<'_>, why: &Error) -> Result<()> {
    target::log_corrupted(at.bytes(), why);
    KernelMounter
        .unmount_lazily(at)
        .map_err(|error| target::cannot_unmount_corrupted(at.bytes(), error))
}

/// Detaches something else that lies on the target, whoever uses it.
fn unmount_stale(at: Place<'_>, profile: Profile) -> Result<()> {
    if profile.detaches_stale() {
        target::log_stale(at.bytes());
    }
    KernelMounter
        .unmount_lazily(at)
        .map_err(|error| target::cannot_unmount_stale(at.bytes(), error, profile))
}
