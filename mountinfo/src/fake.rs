//! [`FakeMounter`]: mounts that exist only in memory, for tests, as mount-utils' FakeMounter.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::internal::go_path;
use crate::internal::sys;
use crate::mounter::{MountPoint, Mounter, Place, Source};

/// One recorded call on a [`FakeMounter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Something was bound.
    Mount {
        /// What: the path that [`Source::proc_path`] gives.
        source: Vec<u8>,
        /// Where.
        target: Vec<u8>,
    },
    /// Something was unmounted.
    Unmount {
        /// Where.
        target: Vec<u8>,
    },
}

/// A mounter that keeps its mounts in memory and records what it is asked to do.
///
/// # Examples
/// ```
/// use subpath_mountinfo::{FakeMounter, Mounter, Place};
/// let mounter = FakeMounter::with_mounts(["/proc"]);
/// assert!(mounter.is_mount_point(Place::at(b"/proc"))?);
/// mounter.unmount(Place::at(b"/proc"))?;
/// assert!(!mounter.is_mount_point(Place::at(b"/proc"))?);
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct FakeMounter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    mounts: Vec<MountPoint>,
    log: Vec<Action>,
    fail_bind: Option<Error>,
    skip_check: bool,
}

impl FakeMounter {
    /// A mounter with nothing mounted.
    pub fn new() -> Self {
        Self::default()
    }

    /// A mounter with something mounted at each of the paths.
    pub fn with_mounts<P: AsRef<[u8]>>(paths: impl IntoIterator<Item = P>) -> Self {
        let fake = Self::new();
        fake.state().mounts = paths
            .into_iter()
            .map(|path| MountPoint { path: path.as_ref().to_vec(), ..MountPoint::default() })
            .collect();
        fake
    }

    /// Lets every later bind fail with the error.
    pub fn fail_bind(self, error: Error) -> Self {
        self.state().fail_bind = Some(error);
        self
    }

    /// Says that unmounting what is not mounted is no error.
    pub fn skip_mount_point_check(self) -> Self {
        self.state().skip_check = true;
        self
    }

    /// What was asked so far.
    pub fn log(&self) -> Vec<Action> {
        self.state().log.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn resolved(path: &[u8]) -> Vec<u8> {
    go_path::eval_symlinks(path).unwrap_or_else(|_| path.to_vec())
}

impl Mounter for FakeMounter {
    fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        sys::stat(at.path).map_err(|errno| Error::path("stat", at.path, errno))?;
        let path = resolved(at.path);
        Ok(self.state().mounts.iter().any(|m| m.path == path))
    }

    fn can_safely_skip_mount_point_check(&self) -> bool {
        self.state().skip_check
    }

    fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        let mut state = self.state();
        if let Some(error) = &state.fail_bind {
            return Err(error.clone());
        }
        let (source, target) = (source.proc_path()?, resolved(at.path));
        state.mounts.push(MountPoint {
            device: source.clone(),
            path: target.clone(),
            options: vec![b"bind".to_vec()],
            ..MountPoint::default()
        });
        state.log.push(Action::Mount { source, target });
        Ok(())
    }

    fn unmount(&self, at: Place<'_>) -> Result<()> {
        let target = resolved(at.path);
        let mut state = self.state();
        state.mounts.retain(|m| m.path != target);
        state.log.push(Action::Unmount { target });
        Ok(())
    }

    fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        self.unmount(at)
    }

    fn list(&self) -> Result<Vec<MountPoint>> {
        Ok(self.state().mounts.clone())
    }
}
