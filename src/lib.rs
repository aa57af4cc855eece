//! kubernetes' safe subPath mounting: bind-mounts a part of a volume for a container, although the
//! pod's user owns the volume and can replace any directory in it with a symlink at any moment.
//!
//! It is a port of kubernetes' `pkg/volume/util/subpath`. It keeps the original's error texts, log lines and
//! order of calls on the mounter, and removes its races and hangs (see SECURITY.md).
//!
//! - [`Subpather`] has the operations: make a directory in a volume, prepare a sub path, clean up.
//! - [`Subpath`] describes the sub path that is to be bound; [`Subpath::builder`] makes one.
//! - [`Mounter`] is what mounts. [`KernelMounter`], the default, makes system calls. [`FakeMounter`] keeps its
//!   mounts in memory for tests. A program can implement its own.
//! - [`mountinfo`] has the mount table and the mount point checks.
//!
//! # Errors
//! Match [`Error::kind`] to tell errors apart. [`Error::raw_os_error`] is the errno that the kernel returned.
//! The message says what was tried, and on which path. Errors convert to and from [`std::io::Error`].
//!
//! # Logging
//! Log lines are `tracing` events with the target `subpath`. Their fields `path`, `target` and `errno` say
//! what a line is about.
//!
//! # Asynchronous programs
//! Every operation blocks its thread while the kernel works. Call it where that is allowed, such as in
//! tokio's `spawn_blocking`; `examples/node_agent.rs` shows how.
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
mod symlink_free;
mod target;

pub use subpath_mountinfo as mountinfo;
pub use subpath_mountinfo::{
    Error, ErrorKind, FakeAction, FakeMounter, Features, KernelMounter, MountPoint, Mounter, Place,
    Profile, Result, Source,
};

pub use request::{Subpath, SubpathBuilder};
pub use subpather::Subpather;

/// The name of the directory below the pod's directory in which sub paths are mounted.
pub const SUBPATH_DIRECTORY_NAME: &str = "volume-subpaths";

// So that the README's examples are compiled, and run where they mount nothing.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
