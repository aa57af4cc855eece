//! One mount taken away in bounded time.
//!
//! ```text
//!   plain ── umount2(2) comes back ─────────────────────────▶ taken away, not mounted, or an error
//!     │ └─ EBUSY ─▶ asked ── the file system answers ───────▶ EBUSY
//!     │                │
//!     │  time is up    │ time is up
//!     ▼                ▼
//!   overdue ── the mount is still there ─▶ forced ── umount2(2) with MNT_FORCE comes back ─▶ as above
//!     │                                      │ time is up again
//!     │ it is gone: umount2(2) took it away  ▼
//!     │ and shuts the file system down      ETIMEDOUT
//!     ▼
//!   ending ── the first thread comes back ──▶ taken away
//!     │ time is up again
//!     ▼
//!   ETIMEDOUT
//! ```
//!
//! Where mount(8) noted something of the mount (`utab.rs`), *plain* runs umount(8) first, for half of the
//! time, and umount2(2) only where that fails.
//!
//! *plain* and *asked* are one thread, *forced* is a second; neither is ever there twice for a mount.
//! Each compares the mount's number just before it unmounts, so that it takes no other mount away, and
//! begins no further system call once nobody waits for it. Nothing is told to be taken away before
//! every umount2(2) has come back: a driver may detach the device then.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::entry::{Entry, EntryId};
use crate::error::{Error, Result};
use crate::log;
use crate::sys::{self, MountId, RawErrno, Sys, Unmount};
use crate::umount::{argument, umount_within};
use crate::utab::{self, Noted};
use crate::worker::{Caller, Undone, Workers};

/// What became of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was taken away.
    Away,
    /// It was not there any more; with the errno by which umount2(2) said so.
    NotThere(Option<RawErrno>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    mount: MountId,
    entry: EntryId,
    forced: bool,
}

static UNMOUNTING: Workers<Key, Sys<Taken>> = Workers::new();

/// Waits until the kernel unmounts nothing from the entry any more.
pub(super) fn wait_for_others(entry: &EntryId, path: &[u8], timeout: Duration) -> Result<()> {
    let until = Instant::now().checked_add(timeout);
    while let Some(key) = UNMOUNTING.find(|key| key.entry == *entry) {
        if let Some(Err(undone)) = UNMOUNTING.join(&key, left(until)) {
            return Err(undone.into_error("unmount", path));
        }
    }
    Ok(())
}

/// Takes one mount away from an entry; see the head of this file. A call that comes while another is
/// about the same mount waits for that one's outcome.
pub(super) fn unmount(
    entry: &mut Entry,
    mount: MountId,
    noted: Option<&Noted>,
    path: &[u8],
    timeout: Duration,
) -> Result<Taken> {
    let plain = Key { mount, entry: entry.id.clone(), forced: false };
    let forced = Key { forced: true, ..plain.clone() };
    let told = Arc::new(OnceLock::new());
    let answer = UNMOUNTING.join(&forced, timeout).unwrap_or_else(|| {
        let (target, tell) = (Target::of(entry, mount, path), Arc::clone(&told));
        let noted = noted.cloned();
        UNMOUNTING.run(&plain, timeout, move |caller| {
            let answer = match noted {
                Some(noted) => target.unmount_noted(caller, &noted, timeout / 2),
                None => target.unmount_plainly(caller),
            };
            // Set by this thread alone.
            let _ = tell.set(answer);
            answer
        })
    });
    match answer {
        Ok(answer) => answer.map_err(|errno| Error::path("unmount", path, errno)),
        Err(Undone::TimedOut) => {
            let until = Instant::now().checked_add(timeout);
            let force = unmount_overdue(entry, &forced, path, until)?;
            if let Err(undone) = UNMOUNTING.end_of(&plain, left(until)) {
                return Err(after_force(force, undone.into_error("unmount", path)));
            }
            match (told.get(), force) {
                (Some(Ok(Taken::Away)), _) => Ok(Taken::Away),
                (_, Some(answer)) => {
                    answer.map_err(|errno| after_force(force, Error::path("unmount", path, errno)))
                }
                (_, None) => Ok(Taken::NotThere(None)),
            }
        }
        Err(undone) => Err(undone.into_error("unmount", path)),
    }
}

/// What is done when the time for the plain unmount is up: by force, if the mount is still there and
/// the thread is still at work; its answer.
fn unmount_overdue(
    entry: &mut Entry,
    forced: &Key,
    path: &[u8],
    until: Option<Instant>,
) -> Result<Option<Sys<Taken>>> {
    match entry.look_again(path, left(until))? {
        Ok(()) if entry.mounted == Some(forced.mount) => {}
        Ok(()) | Err(sys::ENOENT) => return Ok(None),
        Err(errno) => return Err(Error::path("unmount", path, errno)),
    }
    log!(WARN, "Timed out waiting for unmount of ", path, ", trying with force");
    let target = Target::of(entry, forced.mount, path);
    let answer = UNMOUNTING
        .run(forced, left(until), move |caller| target.unmount_by_force(caller))
        .map_err(|undone| after_force(Some(Ok(Taken::Away)), undone.into_error("unmount", path)))?;
    if answer == Ok(Taken::Away) {
        log!(
            WARN,
            "Unmounted ",
            path,
            " by force: requests to its server were aborted, data may be lost"
        );
    }
    Ok(Some(answer))
}

/// An error, which says so where force was used.
fn after_force(force: Option<Sys<Taken>>, error: Error) -> Error {
    match force {
        None => error,
        Some(_) => Error::wrap(
            b"after force, by which requests to its server were aborted and data may be lost: "
                .to_vec(),
            error,
        ),
    }
}

fn left(until: Option<Instant>) -> Duration {
    until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
}

/// How many milliseconds lie between the tries to unmount what is busy: a process that was just forked
/// has a copy of every descriptor until it executes its program.
const PATIENCE: [u64; 6] = [1, 2, 4, 8, 16, 32];
/// The same after force: whoever waited for the server has to leave first.
const PATIENCE_AFTER_FORCE: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 64, 128, 128];

/// What a thread unmounts.
struct Target {
    dir: Arc<OwnedFd>,
    name: Vec<u8>,
    mount: MountId,
    path: Vec<u8>,
}

impl Target {
    fn of(entry: &Entry, mount: MountId, path: &[u8]) -> Self {
        let (dir, name) = (Arc::clone(&entry.dir), entry.name.clone());
        Target { dir, name, mount, path: path.to_vec() }
    }

    /// Unmounts by umount(8), which takes the entry in utab away too; where that does not end within
    /// `timeout`, or fails, plainly.
    fn unmount_noted(
        &self,
        caller: &Caller<'_, Sys<Taken>>,
        noted: &Noted,
        timeout: Duration,
    ) -> Sys<Taken> {
        // Under a mount without an entry another may lie that has one.
        if noted.is_there() && self.is_mounted()? {
            caller.is_there()?;
            let path = argument(&self.path);
            let ran = umount_within(&path, timeout, || caller.is_there().is_ok());
            caller.is_there()?;
            if let Err(error) = ran {
                utab::warn_failed(&self.path, &error);
            }
            if !self.is_mounted()? {
                return Ok(Taken::Away);
            }
        }
        self.unmount_plainly(caller)
    }

    /// Whether the mount is still the topmost one there.
    fn is_mounted(&self) -> Sys<bool> {
        match sys::mount_on(&*self.dir, &self.name) {
            Ok(mounted) => Ok(mounted == Some(self.mount)),
            Err(sys::ENOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    fn unmount_plainly(&self, caller: &Caller<'_, Sys<Taken>>) -> Sys<Taken> {
        let answer = self.unmount_patiently(caller, Unmount::Plainly, &PATIENCE);
        if answer == Err(sys::EBUSY) {
            caller.is_there()?;
            // Any answer will do, an errno too: what counts is that one comes before time is up.
            let _ = sys::server_answers(&*self.dir, &self.name, false);
        }
        answer
    }

    fn unmount_by_force(&self, caller: &Caller<'_, Sys<Taken>>) -> Sys<Taken> {
        self.unmount_patiently(caller, Unmount::Forcibly, &PATIENCE_AFTER_FORCE)
    }

    fn unmount_patiently(
        &self,
        caller: &Caller<'_, Sys<Taken>>,
        how: Unmount,
        patience: &[u64],
    ) -> Sys<Taken> {
        for &pause in patience {
            match self.unmount_once(caller, how) {
                Err(sys::EBUSY) => {}
                answer => return answer,
            }
            log!(DEBUG, "Unmounting ", self.path, " again, it is busy");
            std::thread::sleep(Duration::from_millis(pause));
            caller.is_there()?;
        }
        self.unmount_once(caller, how)
    }

    /// The kernel has no call that unmounts by number: what is mounted on top of it between the two
    /// is taken away in its place.
    fn unmount_once(&self, caller: &Caller<'_, Sys<Taken>>, how: Unmount) -> Sys<Taken> {
        if !self.is_mounted()? {
            return Ok(Taken::NotThere(None));
        }
        caller.is_there()?;
        match sys::umount_at(&*self.dir, &self.name, how) {
            Ok(()) => Ok(Taken::Away),
            Err(errno @ (sys::EINVAL | sys::ENOENT)) => Ok(Taken::NotThere(Some(errno))),
            Err(errno) => Err(errno),
        }
    }
}
