//! The operations with the kernel's mounter: plain synchronous code that works by descriptor.
//!
//! It never follows a symlink below the pod's directory, never waits for a file system to find out what is
//! mounted, and unmounts every mount of a stack.

pub(crate) mod clean;
pub(crate) mod prepare;
pub(crate) mod target;
