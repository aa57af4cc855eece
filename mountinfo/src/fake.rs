//! [`FakeMounter`]: mounts that exist only in memory, for tests, like mount-utils' FakeMounter.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::internal::go_path;
use crate::internal::paths::into_path;
use crate::internal::sys;
use crate::mounter::{MountPoint, Mounter, Place, Source};

/// One recorded call on a [`FakeMounter`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FakeAction {
    /// Something was bound.
    Mount {
        /// The source, as the path that [`Source::proc_path`] returns.
        source: PathBuf,
        /// The path at which it was bound.
        target: PathBuf,
    },
    /// Something was unmounted.
    Unmount {
        /// The path that was unmounted.
        target: PathBuf,
    },
}

/// A mounter for tests, which keeps its mounts in memory and records the calls that change them.
///
/// # Examples
/// ```
/// use subpath_mountinfo::{FakeMounter, Mounter, Place};
/// let mounter = FakeMounter::with_mounts(["/proc"]);
/// assert!(mounter.is_mount_point(Place::at("/proc"))?);
/// mounter.unmount(Place::at("/proc"))?;
/// assert!(!mounter.is_mount_point(Place::at("/proc"))?);
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct FakeMounter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    mounts: Vec<MountPoint>,
    log: Vec<FakeAction>,
    fail_bind: Option<Error>,
    skip_check: bool,
}

impl FakeMounter {
    /// Returns a mounter with nothing mounted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a mounter with something mounted at each of the paths.
    pub fn with_mounts<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        let fake = Self::new();
        fake.state().mounts = paths
            .into_iter()
            .map(|path| MountPoint { path: path.into(), ..MountPoint::default() })
            .collect();
        fake
    }

    /// Makes every later bind fail with an error, such as an [`std::io::Error`].
    pub fn fail_bind(self, error: impl Into<Error>) -> Self {
        self.state().fail_bind = Some(error.into());
        self
    }

    /// Makes [`Mounter::can_safely_skip_mount_point_check`] return `true`.
    pub fn skip_mount_point_check(self) -> Self {
        self.state().skip_check = true;
        self
    }

    /// Returns the calls so far that mounted or unmounted something.
    pub fn log(&self) -> Vec<FakeAction> {
        self.state().log.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the path with its symlinks resolved, as in a mount table, or unchanged if that fails.
fn resolved(path: &[u8]) -> PathBuf {
    into_path(go_path::eval_symlinks(path).unwrap_or_else(|_| path.to_vec()))
}

impl Mounter for FakeMounter {
    fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        sys::stat(at.bytes()).map_err(|errno| Error::at_path("stat", at.bytes(), errno))?;
        let path = resolved(at.bytes());
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
        let (source, target) = (source.proc_path()?, resolved(at.bytes()));
        state.mounts.push(MountPoint {
            device: source.clone().into(),
            path: target.clone(),
            options: vec!["bind".into()],
            ..MountPoint::default()
        });
        state.log.push(FakeAction::Mount { source, target });
        Ok(())
    }

    fn unmount(&self, at: Place<'_>) -> Result<()> {
        let target = resolved(at.bytes());
        let mut state = self.state();
        state.mounts.retain(|m| m.path != target);
        state.log.push(FakeAction::Unmount { target });
        Ok(())
    }

    fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        self.unmount(at)
    }

    fn list(&self) -> Result<Vec<MountPoint>> {
        Ok(self.state().mounts.clone())
    }
}
