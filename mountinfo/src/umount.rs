//! Runs umount(8), for a mount of which mount(8) noted what the kernel does not know (`utab.rs`). It
//! is the only program that the library runs, and never for a sub path.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};
use crate::{log, text};

/// Unmounts a path as mount-utils' `Unmount` does, and waits for as long as that takes. A path that
/// could be an option is given as [`argument`] makes it.
///
/// # Errors
/// What umount(8) printed, or why it could not be run.
pub(crate) fn umount(path: &[u8]) -> Result<()> {
    log!(DEBUG, "Unmounting ", path);
    command(path).output().map_err(|error| failed(&error)).and_then(|output| outcome(&output))
}

fn command(path: &[u8]) -> Command {
    let mut command = Command::new("umount");
    command.arg(OsStr::from_bytes(path)).stdin(Stdio::null());
    command
}

/// The path as an argument that is no option, for this module or a caller that runs umount(8).
pub(crate) fn argument(path: &[u8]) -> Cow<'_, [u8]> {
    if path.starts_with(b"-") { text!("./", path).into() } else { path.into() }
}

fn failed(error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(errno) => Error::path("exec", &b"umount"[..], errno),
        None => Error::new(format!("exec umount: {error}")),
    }
}

fn outcome(output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let status = output.status.to_string();
    Err(Error::new(text!("umount(8): ", status, ": ", output.stderr.trim_ascii())))
}
