//! Items for the C boundary, without any promise of stability: they may change with every release.

use std::os::fd::OwnedFd;

use subpath_mountinfo::internal::coroutine::AsyncMounter;
use subpath_mountinfo::{Error, Profile, Result};

use crate::request::Subpath;
use crate::source::BindSource;
use crate::target::Target;

pub use crate::mkdir::safe_make_dir;
pub use crate::mode::DirectoryMode;

/// The operations with the kernel's mounter.
pub mod native {
    pub use crate::native::clean::clean_sub_paths;
    pub use crate::native::prepare::prepare as prepare_safe_subpath;
}

/// The operations with a caller's mounter, as coroutines.
pub mod asking {
    pub use crate::asked::clean::clean_sub_paths;
    pub use crate::asked::prepare::prepare as prepare_safe_subpath;
}

/// The original's inner steps, for kubernetes' own tests of them.
pub mod steps {
    use super::*;

    /// Opens a path below a base without following links (`doSafeOpen`).
    pub fn open_beneath(pathname: &[u8], base: &[u8]) -> Result<OwnedFd> {
        crate::open::open_beneath(pathname, base)
    }

    /// Makes a directory below a base, both without links (`doSafeMakeDir`).
    pub fn make_dir_resolved(
        pathname: &[u8],
        base: &[u8],
        perm: DirectoryMode,
        profile: Profile,
    ) -> Result<()> {
        crate::mkdir::make_dir_resolved(pathname, base, perm, profile)
    }

    /// Returns the part of a path that exists, the names that are missing, and the error that ended the search
    /// (`findExistingPrefix`).
    pub fn existing_prefix(base: &[u8], pathname: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>, Option<Error>) {
        let prefix = crate::mkdir::existing_prefix(base, pathname);
        (prefix.path, prefix.missing, prefix.error)
    }

    /// Removes empty directories upwards from `end_dir` (`removeEmptyDirs`).
    pub fn remove_empty_dirs(base_dir: &[u8], end_dir: &[u8]) -> Result<()> {
        crate::clean::remove_empty_dirs(base_dir, end_dir)
    }

    /// Prepares a target with the kernel's mounter, and returns whether the sub path is already mounted on it,
    /// and its path (`prepareSubpathTarget`).
    pub fn prepare_subpath_target(subpath: &Subpath, profile: Profile) -> Result<(bool, Vec<u8>)> {
        crate::native::target::prepare(subpath, &BindSource::Path(&subpath.path), profile).map(told)
    }

    /// Prepares a target with a caller's mounter, as [`prepare_subpath_target`] does with the kernel's.
    pub async fn prepare_subpath_target_asking<M: AsyncMounter>(
        mounter: &M,
        subpath: &Subpath,
        profile: Profile,
    ) -> Result<(bool, Vec<u8>)> {
        let source = BindSource::Path(&subpath.path);
        crate::asked::target::prepare(mounter, subpath, &source, profile).await.map(told)
    }

    fn told(target: Target) -> (bool, Vec<u8>) {
        (target.parent.is_none(), target.path)
    }
}
