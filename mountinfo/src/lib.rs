//! What is mounted where, without losing a byte, and the mount point checks and clean-up of kubernetes'
//! `k8s.io/mount-utils`.
//!
//! | what | here | mount-utils' name |
//! |---|---|---|
//! | what is mounted where | [`MountTable`], [`table`] | `ParseMountInfo`, `List` |
//! | is something mounted at a path? | [`is_mount_point`], [`is_not_mount_point`], [`is_likely_not_mount_point`] | `IsMountPoint`, `IsNotMountPoint`, `IsLikelyNotMountPoint` |
//! | where else is it mounted? | [`table::mount_refs`] | `GetMountRefs`, `SearchMountPoints` |
//! | unmount it and remove the directory | [`cleanup_mount_point`], [`cleanup_mount_with_force`] | `CleanupMountPoint`, `CleanupMountWithForce` |
//! | what is mounted at a path? | [`mount_at`] | – |
//! | mount and unmount as mount(8) does | [`Mount`], [`unmount`] | `Mount`, `Unmount` |
//! | what mounts | [`Mounter`]: [`KernelMounter`], and for tests [`FakeMounter`], [`ReplayMounter`] | `mount.Interface` |
//!
//! # Examples
//! ```
//! use subpath_mountinfo::{MountTable, is_mount_point};
//!
//! for mount in &MountTable::current()? {
//!     let mount = mount?;
//!     println!("{:?} is mounted on {:?}", mount.source, mount.mount_point);
//! }
//! assert!(is_mount_point("/proc")?);
//! # Ok::<(), subpath_mountinfo::Error>(())
//! ```
// But for one module, internal/sys/raw.rs.
#![deny(unsafe_code)]

mod check;
mod cleanup;
mod error;
mod fake;
mod force;
mod health;
#[doc(hidden)]
pub mod internal;
mod kernel;
mod locate;
mod mount;
mod mounter;
mod profile;
mod replay;
pub mod table;
mod umount;
mod utab;

pub use check::{is_likely_not_mount_point, is_mount_point, is_not_mount_point};
pub use cleanup::{Existence, cleanup_mount_point, is_corrupted_mount, path_exists};
pub use error::{Error, ErrorKind, Result};
pub use fake::{FakeAction, FakeMounter};
pub use force::{ForceMounter, MOST_TIMEOUTS, SHORTEST_TIMEOUT, cleanup_mount_with_force};
#[doc(inline)]
pub use internal::sys::{Features, features};
pub use internal::worker::PATIENCE;
pub use kernel::KernelMounter;
pub use mount::{Mount, mount_at, unmount};
pub use mounter::{MountPoint, Mounter, Place, Source};
pub use profile::Profile;
pub use replay::ReplayMounter;
pub use table::{MountRecord, MountTable};

use std::path::Path;

/// Returns whether `path` is `base` or lies below it, without looking at the file system: `..` and repeated
/// slashes are resolved, and symlinks are not (mount-utils' `PathWithinBase`).
///
/// # Examples
/// ```
/// use subpath_mountinfo::path_within_base;
/// assert!(path_within_base("/volume/logs", "/volume"));
/// assert!(!path_within_base("/volume/../etc", "/volume"));
/// assert!(!path_within_base("/volumes", "/volume"));
/// ```
pub fn path_within_base(path: impl AsRef<Path>, base: impl AsRef<Path>) -> bool {
    use internal::paths::bytes_of;
    internal::go_path::path_within_base(bytes_of(&path), bytes_of(&base))
}

/// Returns a short text for a log or a health check: which newer kernel features this process uses, and how
/// many threads that [`cleanup_mount_with_force`] started are stuck in a system call.
///
/// # Examples
/// ```
/// let state = subpath_mountinfo::state();
/// assert!(state.starts_with("kernel features: openat2="));
/// assert!(state.ends_with("; threads stuck in the kernel: 0"));
/// ```
pub fn state() -> String {
    let (features, stuck) = (Features::get(), internal::worker::stuck());
    format!("kernel features: {features}; threads stuck in the kernel: {stuck}")
}

// So that the README's example is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
