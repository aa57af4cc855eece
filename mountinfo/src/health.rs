//! Whether the file system that is mounted at a place answers, found out in bounded time.
//!
//! mount-utils' `IsMountPoint` looks at the mount point as lstat(2) does, and drivers recover from
//! a dead server by the errno of that look. Here the look is made where a server may be, by a
//! thread of its own: a server that hangs holds up the thread, and its caller only for
//! [`PATIENCE`]. One thread looks at one mount, however many ask.
//!
//! Where a server may be is told by the file system's attributes ([`crate::internal::sys::MountRoot`]) and not by
//! its type: that stands in the mount table alone, which takes longer to read than a thread to
//! start as soon as there are more than a few mounts.

use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::AT_FDCWD;

use crate::error::{Error, Result};
use crate::features::Features;
use crate::internal::go_path;
use crate::internal::sys::{self, MountRoot, Sys};
use crate::internal::worker::Workers;
use crate::mounter::Place;

pub use crate::internal::worker::PATIENCE;

/// What mounts answer, by their numbers and devices. A thread that waits holds the file system, so that
/// no other gets its device, but not the mount, whose number may be that of another.
static LOOKS: Workers<(u64, u64), Sys<()>> = Workers::new();

/// What the file system answers that is mounted at a place, which is the root of that mount.
///
/// # Errors
/// A path error of `statx` with ETIMEDOUT; where no thread can be started, a sentence that says so.
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

/// Asks by a copy of the mount that nobody else has: a call that waits keeps busy what it was made on,
/// and the mount itself must come off although its server hangs. Where there is no copy (Linux before
/// 5.2, a mount that may not be bound, no privilege) the mount itself is asked.
fn ask(dir: BorrowedFd<'_>, name: &[u8], follow: bool) -> Sys<()> {
    if Features::get().open_tree
        && let Ok(copy) = sys::clone_tree_at(dir, name, follow)
    {
        return sys::server_answers(copy, b"", follow);
    }
    sys::server_answers(dir, name, follow)
}
