//! Items for the C boundary, without any promise of stability: they may change with every release.

use subpath_mountinfo::internal::coroutine::AsyncMounter;
use subpath_mountinfo::{Profile, Result};

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

    pub use crate::clean::remove_empty_dirs;
    pub use crate::mkdir::{existing_prefix, make_dir_resolved};
    pub use crate::open::open_beneath;

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
