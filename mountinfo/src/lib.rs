//! A mount table that is right, and the mount point checks of kubernetes' mount-utils.
#![forbid(unsafe_code)]

pub mod error;
pub mod gopath;
pub mod gotext;

pub use error::{Error, ErrorKind, Foreign, Result};
pub mod mounter;
