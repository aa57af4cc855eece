//! kubernetes' safe subPath mounting: bind-mounts a part of a volume for a container, although the
//! pod's user owns the volume and may exchange any directory for a symlink at any moment.
//!
//! A port of kubernetes' `pkg/volume/util/subpath`; its texts, log lines and order of calls are
//! kept, its races and hangs are not (see SECURITY.md).
//!
//! [`Subpather`] has the operations, [`Subpath`] says what is to be bound, [`Mounter`] is who mounts:
//! the kernel ([`KernelMounter`]), a test ([`FakeMounter`]), or the caller. The mount table and the
//! mount point checks are in [`mountinfo`].
//!
//! # Errors
//! [`Error::kind`] is to be matched, [`Error::raw_os_error`] is the kernel's answer, and the message
//! names what was tried on which path.
//!
//! # Logging
//! Log lines are `tracing` events with the target `subpath`; the fields `path`, `target` and `errno`
//! say what they are about.
#![forbid(unsafe_code)]

mod asked;
mod clean;
#[doc(hidden)]
pub mod internal;
mod lock;
mod mkdir;
mod mode;
mod native;
mod newness;
mod open;
mod pod_dir;
mod request;
mod source;
mod subpather;
mod target;

pub use subpath_mountinfo as mountinfo;
pub use subpath_mountinfo::{
    Error, ErrorKind, FakeAction, FakeMounter, Features, KernelMounter, MountPoint, Mounter, Place,
    Profile, Result, Source,
};

pub use request::{Subpath, SubpathBuilder};
pub use subpather::Subpather;

/// The name of the directory below the pod's in which sub paths are mounted.
pub const SUBPATH_DIRECTORY_NAME: &str = "volume-subpaths";

// So that the README's examples are compiled, and run where they mount nothing.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
