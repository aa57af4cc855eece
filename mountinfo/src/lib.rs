//! A mount table that is right, and the mount point checks of kubernetes' mount-utils.
#![forbid(unsafe_code)]

pub mod check;
pub mod cleanup;
pub mod error;
pub mod fake;
pub mod force;
pub mod health;
#[doc(hidden)]
pub mod internal;
pub mod kernel;
mod locate;
pub mod mounter;
pub mod profile;
pub mod replay;
pub mod table;
mod umount;
mod utab;

pub use check::{is_likely_not_mount_point, is_mount_point, is_not_mount_point};
pub use cleanup::{cleanup_mount_point, is_corrupted_mount, path_exists};
pub use error::{Error, ErrorKind, Foreign, Result};
pub use fake::FakeMounter;
pub use force::{ForceMounter, cleanup_mount_with_force};
#[doc(inline)]
pub use internal::sys::{Features, features};
pub use kernel::KernelMounter;
pub use mounter::{MountPoint, Mounter, Place, Source};
pub use profile::Profile;
pub use replay::ReplayMounter;
pub use table::{MountRecord, MountTable};

/// Tells in a few words which newer kernel features this process uses, and how many threads that
/// [`cleanup_mount_with_force`] started the kernel does not let go.
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
