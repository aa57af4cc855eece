//! Checks whether the file system that is mounted at a place answers, with a time limit.
//!
//! mount-utils' `IsMountPoint` calls lstat(2) on the mount point, and CSI drivers recognise a dead server by the
//! errno. Here a thread makes that call if the file system may have a server. If the server hangs, the thread
//! waits, and its caller for [`PATIENCE`] at most. There is one thread for each mount, however many callers.
//!
//! Whether there may be a server is found out from the file system's attributes
//! ([`crate::internal::sys::MountRoot`]) and not from its type. The type is only in the mount table, and with
//! more than a few mounts reading that takes longer than starting a thread.

use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::AT_FDCWD;

use crate::error::{Error, Result};
use crate::features::Features;
use crate::internal::go_path;
use crate::internal::sys::{self, MountRoot, Sys};
use crate::internal::worker::Workers;
use crate::mounter::Place;

pub use crate::internal::worker::PATIENCE;

/// The threads that wait for an answer, by number and device of their mounts. A waiting thread keeps the file
/// system alive, so no other file system gets its device number. It does not keep the mount, whose number may be
/// given to another one.
static LOOKS: Workers<(u64, u64), Sys<()>> = Workers::new();

/// Returns the answer of the file system that is mounted at a place. The place has to be the root of that mount.
///
/// # Errors
/// ETIMEDOUT with the path if it does not answer in time; an error that says so if no thread can be started.
pub(crate) fn look(at: Place<'_>, root: MountRoot) -> Result<Sys<()>> {
    let fail = |errno| Error::at_path("statx", at.bytes(), errno);
    let held = at.dir().map(|dir| dir.try_clone_to_owned()).transpose();
    let held = held.map_err(|error| fail(error.raw_os_error().unwrap_or(sys::EINVAL)))?;
    let name = if held.is_some() {
        at.name_bytes()
    } else {
        go_path::without_trailing_slashes(at.bytes())
    };
    let name = name.to_vec();
    let looked = LOOKS.run(&(root.mount, root.device), PATIENCE, move |_| match &held {
        Some(dir) => ask(dir.as_fd(), &name, false),
        None => ask(AT_FDCWD, &name, true),
    });
    looked.map_err(|unanswered| unanswered.into_error("statx", at.bytes()))
}

/// Contacts the server through a copy of the mount. A call that waits keeps the mount busy on which it was made,
/// and it has to be possible to unmount the original although its server hangs. If no copy can be made (Linux
/// before 5.2, a mount that may not be bound, or no privilege), the call is made on the mount itself.
fn ask(dir: BorrowedFd<'_>, name: &[u8], follow: bool) -> Sys<()> {
    if Features::get().open_tree
        && let Ok(copy) = sys::clone_tree_at(dir, name, follow)
    {
        return sys::server_answers(copy, b"", follow);
    }
    sys::server_answers(dir, name, follow)
}
