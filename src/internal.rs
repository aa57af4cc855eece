//! What the C boundary needs and nobody else may rely on: it changes with any release.

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

/// The operations on a caller's mounter, as coroutines.
pub mod asking {
    pub use crate::asked::clean::clean_sub_paths;
    pub use crate::asked::prepare::prepare as prepare_safe_subpath;
}

/// The original's inner steps, which its own tests call.
pub mod steps {
    use super::*;

    /// `doSafeOpen`.
    pub fn open_beneath(pathname: &[u8], base: &[u8]) -> Result<OwnedFd> {
        crate::open::open_beneath(pathname, base)
    }

    /// `doSafeMakeDir`.
    pub fn make_dir_resolved(
        pathname: &[u8],
        base: &[u8],
        perm: DirectoryMode,
        profile: Profile,
    ) -> Result<()> {
        crate::mkdir::make_dir_resolved(pathname, base, perm, profile)
    }

    /// `findExistingPrefix`: the prefix, what is missing, and the error.
    pub fn existing_prefix(base: &[u8], pathname: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>, Option<Error>) {
        let prefix = crate::mkdir::existing_prefix(base, pathname);
        (prefix.path, prefix.missing, prefix.error)
    }

    /// `removeEmptyDirs`.
    pub fn remove_empty_dirs(base_dir: &[u8], end_dir: &[u8]) -> Result<()> {
        crate::clean::remove_empty_dirs(base_dir, end_dir)
    }

    /// `prepareSubpathTarget` with the kernel's mounter: whether it is mounted already, and the target.
    pub fn prepare_subpath_target(subpath: &Subpath, profile: Profile) -> Result<(bool, Vec<u8>)> {
        crate::native::target::prepare(subpath, &BindSource::Path(&subpath.path), profile).map(told)
    }

    /// [`prepare_subpath_target`] with a caller's mounter.
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
