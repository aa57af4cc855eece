//! Runs umount(8), for a mount of which mount(8) noted what the kernel does not know (`utab.rs`). It
//! is the only program that the library runs, and never for a sub path.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::internal::sys;
use crate::{log, text};

/// Unmounts a path as mount-utils' `Unmount` does, and waits for as long as that takes. A path that
/// could be an option is given as [`argument`] makes it.
///
/// # Errors
/// What umount(8) printed, or why it could not be run.
pub(crate) fn umount(path: &[u8]) -> Result<()> {
    let mut child = spawn(&mut command(path), path)?;
    let status = child.wait().map_err(|error| failed("wait for", &error))?;
    outcome(status, &mut child)
}

/// The longest pause between two looks whether umount(8) has ended.
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// [`umount`] that is killed, with the helper that it runs, after `timeout` or when it is not wanted
/// any more. It comes back when both have ended, which is not before the kernel lets them go.
///
/// # Errors
/// Those of [`umount`]; ETIMEDOUT where it was killed.
pub(crate) fn umount_within(
    path: &[u8],
    timeout: Duration,
    is_wanted: impl Fn() -> bool,
) -> Result<()> {
    let began = Instant::now();
    let mut child = spawn(command(path).process_group(0), path)?;
    let mut pause = Duration::from_millis(1);
    // Ends with umount(8), or with the time.
    loop {
        if let Some(status) = child.try_wait().map_err(|error| failed("wait for", &error))? {
            return outcome(status, &mut child);
        }
        if began.elapsed() >= timeout || !is_wanted() {
            break;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    // Its helper too: they have a process group of their own. It has not been waited for, so that the
    // number is still its own. Nothing can be done where it cannot be killed but wait.
    let _ = sys::kill_group(child.id());
    child.wait().map_err(|error| failed("wait for", &error))?;
    Err(Error::path("umount(8)", path, sys::ETIMEDOUT))
}

fn command(path: &[u8]) -> Command {
    let mut command = Command::new("umount");
    command.arg(OsStr::from_bytes(path));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn spawn(command: &mut Command, path: &[u8]) -> Result<Child> {
    log!(DEBUG, "Unmounting ", path);
    command.spawn().map_err(|error| failed("exec", &error))
}

/// The path as an argument that is no option, for this module or a caller that runs umount(8).
pub(crate) fn argument(path: &[u8]) -> Cow<'_, [u8]> {
    if path.starts_with(b"-") { text!("./", path).into() } else { path.into() }
}

fn failed(what: &'static str, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(errno) => Error::path(what, &b"umount"[..], errno),
        None => Error::new(format!("{what} umount: {error}")),
    }
}

fn outcome(status: ExitStatus, child: &mut Child) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let said = child.stderr.as_mut().map(said).unwrap_or_default();
    let status = status.to_string();
    Err(Error::new(text!("umount(8): ", status, ": ", said.trim_ascii())))
}

/// What was printed so far, the first part of it. A helper that stays may hold the pipe open.
fn said(pipe: &mut (impl Read + std::os::fd::AsFd)) -> Vec<u8> {
    let mut said = vec![0; 4096];
    let length = match sys::do_not_wait(&*pipe) {
        Ok(()) => pipe.read(&mut said).unwrap_or(0),
        // The status says enough.
        Err(_) => 0,
    };
    said.truncate(length);
    said
}
