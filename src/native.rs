//! The operations on the kernel's own mounts: plain synchronous code that goes by descriptor.
//!
//! It never follows a link below the pod's directory, never waits for a file system to find out what
//! is mounted, and takes stacked mounts away to the last.

pub(crate) mod clean;
pub(crate) mod prepare;
pub(crate) mod target;
