//! Asks a caller's mounter what is mounted on a target, and prepares the target (`prepareSubpathTarget`).

use subpath_mountinfo::internal::coroutine::AsyncMounter;
use subpath_mountinfo::internal::sys;
use subpath_mountinfo::{Error, Place, Profile, Result, flatten, is_corrupted_mount, wrap};

use crate::pod_dir::PodDir;
use crate::request::Subpath;
use crate::source::BindSource;
use crate::target::{self, Attempt, Replace, TRIES, Target};

/// Finds out whether the sub path is mounted already, has the mounter unmount something else on the target,
/// and makes the target.
pub(crate) async fn prepare<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    source: &BindSource<'_>,
    profile: Profile,
) -> Result<Target> {
    let path = subpath.target();
    if is_mounted(mounter, subpath, &path, source, profile).await? {
        return Ok(Target::already_mounted(path));
    }
    let mut last = None;
    for _ in 0..TRIES {
        // The directory exists already, unless this is the container's first sub path. If it cannot be
        // opened, making it fails with the original's error.
        let container_dir = PodDir::new(&subpath.pod_dir).open_dir(&subpath.container_dir()).ok();
        match target::make(subpath, source, &path, container_dir, Replace::Symlinks)? {
            Attempt::Made { parent, .. } => return Ok(Target { path, parent: Some(parent) }),
            // A concurrent clean-up removed its directory: try again.
            Attempt::Vanished(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::at_path("mkdir", path, sys::ENOENT)))
}

/// Returns whether the source is mounted on the target, found out as the original does.
async fn is_mounted<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    path: &[u8],
    source: &BindSource<'_>,
    profile: Profile,
) -> Result<bool> {
    let at = Place::at_bytes(path);
    let mounted = match mounter.is_mount_point(at).await {
        Ok(mounted) => mounted,
        // The target does not exist yet.
        Err(error) if error.is_not_exist() => false,
        // Since v1.37 a mount that is dead or stale is unmounted, and the sub path is bound again.
        Err(error) if profile.recovers_corrupted() && is_corrupted_mount(&error) => {
            target::log_corrupted(path, &error);
            mounter
                .unmount(at)
                .await
                .map_err(|error| target::cannot_unmount_corrupted(path, error))?;
            false
        }
        // Anything else ends the operation. Before v1.37 the original kept only the text of the cause.
        Err(error) => {
            return Err(match profile.wraps_errors() {
                true => wrap!("error checking path %s for mount: %w", path, error),
                false => flatten!("error checking path %s for mount: %s", path, error),
            });
        }
    };
    if !mounted {
        return Ok(false);
    }
    let same = same_file(subpath, path, source)
        .map_err(|error| flatten!("error checking subpath mount info for %s: %s", path, error))?;
    if !same {
        unmount_stale(mounter, at, profile).await?;
    }
    Ok(same)
}

/// Has the mounter unmount something other than the source: since v1.37 lazily, before in the ordinary way.
async fn unmount_stale<M: AsyncMounter>(
    mounter: &M,
    at: Place<'_>,
    profile: Profile,
) -> Result<()> {
    let unmounted = if profile.detaches_stale() {
        target::log_stale(at.bytes());
        mounter.unmount_lazily(at).await
    } else {
        mounter.unmount(at).await
    };
    unmounted.map_err(|error| target::cannot_unmount_stale(at.bytes(), error, profile))
}

/// Returns whether source and target are the same file, which means that the source is mounted on the target
/// (`checkSubPathFileEqual`).
fn same_file(subpath: &Subpath, path: &[u8], source: &BindSource<'_>) -> Result<bool> {
    let source = source.stat_to_compare(subpath)?;
    let target = match sys::refused(path) {
        Some(errno) => Err(errno),
        None => PodDir::new(&subpath.pod_dir)
            .locate(path)
            .and_then(|at| sys::lstat_at(at.dir(), at.name())),
    }
    .map_err(|errno| flatten!("lstat %s failed: %s", path, Error::at_path("lstat", path, errno)))?;
    Ok(source.same_file(&target))
}
