//! Runs umount(8), for mounts with an entry in mount(8)'s own table (`utab.rs`). This is the only program
//! that the library runs, and never for a sub path.

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

/// Unmounts a path as mount-utils' `Unmount` does, and waits for umount(8) without a timeout. The path must
/// not look like an option; see [`argument`].
///
/// # Errors
/// The exit status of umount(8) and what it printed, or the errno if it could not be run.
pub(crate) fn umount(path: &[u8]) -> Result<()> {
    let mut child = spawn(&mut command(path), path)?;
    let status = child.wait().map_err(|error| failed("wait for", &error))?;
    outcome(status, &mut child)
}

/// The longest pause between two checks whether umount(8) has ended.
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// Runs umount(8) as [`umount`] does, but kills it, and the helper that it may run, after `timeout` or once
/// `is_wanted` returns `false`. It returns when both have ended. A process that hangs in the kernel does
/// not end before the system call returns.
///
/// # Errors
/// Those of [`umount`]; ETIMEDOUT if it was killed.
pub(crate) fn umount_within(
    path: &[u8],
    timeout: Duration,
    is_wanted: impl Fn() -> bool,
) -> Result<()> {
    let began = Instant::now();
    let mut child = spawn(command(path).process_group(0), path)?;
    let mut pause = Duration::from_millis(1);
    // Ends when umount(8) does, or when the time is up.
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
    // umount(8) and its helper are in a process group of their own. The ID is still that of umount(8),
    // since nobody has waited for it. If it cannot be killed, all that is left is to wait.
    let _ = sys::kill_group(child.id());
    child.wait().map_err(|error| failed("wait for", &error))?;
    Err(Error::at_path("umount(8)", path, sys::ETIMEDOUT))
}

fn command(path: &[u8]) -> Command {
    let mut command = Command::new("umount");
    command.arg(OsStr::from_bytes(path));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn spawn(command: &mut Command, path: &[u8]) -> Result<Child> {
    log!(DEBUG, target = path, "Unmounting %s", path);
    command.spawn().map_err(|error| failed("exec", &error))
}

/// Returns a path as an argument for umount(8) that cannot be taken for an option.
pub(crate) fn argument(path: &[u8]) -> Cow<'_, [u8]> {
    if path.starts_with(b"-") { text!("./%s", path).into() } else { path.into() }
}

fn failed(what: &'static str, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(errno) => Error::at_path(what, &b"umount"[..], errno),
        None => Error::new(format!("{what} umount: {error}")),
    }
}

fn outcome(status: ExitStatus, child: &mut Child) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let printed = child.stderr.as_mut().map(printed).unwrap_or_default();
    let status = status.to_string();
    Err(Error::new(text!("umount(8): %s: %s", status, printed.trim_ascii())))
}

/// Returns the start of what was printed. It does not wait for the end of the pipe, which a helper that is
/// still running may hold open.
fn printed(pipe: &mut (impl Read + std::os::fd::AsFd)) -> Vec<u8> {
    let mut text = vec![0; 4096];
    let length = match sys::do_not_wait(&*pipe) {
        Ok(()) => pipe.read(&mut text).unwrap_or(0),
        // The exit status has to do.
        Err(_) => 0,
    };
    text.truncate(length);
    text
}
