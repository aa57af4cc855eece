//! The inner steps by their own names, for tests of the original that call them; no stable API.

use std::os::fd::OwnedFd;

use subpath_mountinfo::mounter::AsyncMounter;
use subpath_mountinfo::{Error, Profile, Result};

use crate::request::{FileMode, Subpath};
use crate::target::{self, SourceFile};

/// `doSafeOpen`.
pub fn open_beneath(pathname: &[u8], base: &[u8]) -> Result<OwnedFd> {
    crate::open::open_beneath(pathname, base)
}

/// `doSafeMakeDir`.
pub fn make_dir_resolved(
    pathname: &[u8],
    base: &[u8],
    perm: FileMode,
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

/// `prepareSubpathTarget`: whether it is mounted already, and the target.
pub async fn prepare_subpath_target<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    profile: Profile,
) -> Result<(bool, Vec<u8>)> {
    let source = SourceFile::Path(&subpath.path);
    let target = target::prepare(mounter, subpath, source, profile).await?;
    Ok((target.parent.is_none(), target.path))
}
