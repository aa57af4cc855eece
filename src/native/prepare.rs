//! Binds a sub path into the pod's directory with the kernel's mounter (`doBindSubPath`): resolves the path,
//! opens it below the volume, makes the target, binds the open descriptor, and undoes all of that if the bind
//! fails.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use subpath_mountinfo::internal::sys;
use subpath_mountinfo::{KernelMounter, Mounter, Place, Profile, Result, Source};

use super::clean::clean_sub_path;
use super::target;
use crate::lock::lock;
use crate::pod_dir::PodDir;
use crate::request::Subpath;
use crate::source::{self, BindSource, Opened};
use crate::target::TRIES;

/// How long to wait for another caller's prepare of the same target.
const PATIENCE: Duration = Duration::from_secs(10);

/// Binds a sub path and returns the path of its target.
pub fn prepare(subpath: &Subpath, profile: Profile) -> Result<Vec<u8>> {
    let Opened { subpath, fd, stat } = source::open(subpath)?;
    let _one_at_a_time = lock(&subpath.target(), PATIENCE);
    let (source, fd) = (BindSource::Open(fd.as_fd(), stat), fd.as_fd());
    bind(&subpath, &source, fd, profile)
}

fn bind(
    subpath: &Subpath,
    source: &BindSource<'_>,
    fd: BorrowedFd<'_>,
    profile: Profile,
) -> Result<Vec<u8>> {
    let mut tries = 0;
    // Bounded by TRIES. It repeats only if the target was removed before the bind.
    loop {
        tries += 1;
        let target = target::prepare(subpath, source, profile)?;
        let Some(parent) = target.parent else { return Ok(target.path) };
        let at = Place::in_dir(parent.as_fd(), &target.path);
        source::log_bind(Source { fd }, &target.path);
        let error = match KernelMounter.bind(Source { fd }, at) {
            Ok(()) => {
                source::log_bound(subpath, &target.path);
                return Ok(target.path);
            }
            Err(error) => error,
        };
        // A concurrent clean-up removed the target: make it again. If the pod's directory itself is gone,
        // do not make that again, because whoever removed it expects no mount in it.
        let vanished = error.raw_os_error() == Some(sys::ENOENT);
        if vanished && tries < TRIES && PodDir::new(&subpath.pod_dir).is_there() {
            continue;
        }
        source::log_undo(&target.path);
        let undone = clean_sub_path(subpath, profile);
        return Err(source::not_bound(subpath, &target.path, error, undone));
    }
}
