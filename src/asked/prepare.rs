//! Binds a sub path into the pod's directory with a caller's mounter (`doBindSubPath`).

use std::os::fd::AsFd;
use std::time::Duration;

use subpath_mountinfo::internal::coroutine::AsyncMounter;
use subpath_mountinfo::{Place, Profile, Result, Source};

use super::clean::clean_sub_path;
use super::target;
use crate::lock::lock;
use crate::request::Subpath;
use crate::source::{self, BindSource, Opened};

/// How long to wait for another caller's prepare of the same target. It is short because the mounter may itself
/// prepare that target; that call then goes on without the lock, as in the original.
const PATIENCE: Duration = Duration::from_secs(1);

/// Binds a sub path and returns the path of its target.
pub async fn prepare<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    profile: Profile,
) -> Result<Vec<u8>> {
    let Opened { subpath, fd, stat } = source::open(subpath)?;
    let _one_at_a_time = lock(&subpath.target(), PATIENCE);
    let source = BindSource::Open(fd.as_fd(), stat);
    let target = target::prepare(mounter, &subpath, &source, profile).await?;
    let Some(parent) = target.parent else { return Ok(target.path) };
    let at = Place::in_dir(parent.as_fd(), &target.path);
    let source = Source { fd: fd.as_fd() };
    source::log_bind(source, &target.path);
    match mounter.bind(source, at).await {
        Ok(()) => {
            source::log_bound(&subpath, &target.path);
            Ok(target.path)
        }
        Err(error) => {
            source::log_undo(&target.path);
            let undone = clean_sub_path(mounter, &subpath, profile).await;
            Err(source::not_bound(&subpath, &target.path, error, undone))
        }
    }
}
