//! One mount taken away in bounded time.
//!
//! ```text
//!   plain ── umount2(2) comes back ──────────────────────────▶ taken away, not mounted, or an error
//!     │ └─ EBUSY ─▶ asked ── the file system answers ──▶ EBUSY; an error: umount2(2) again
//!     │                │
//!     │ time is up     │ time is up
//!     ▼                ▼
//!   overdue ── the mount is still there, and umount2(2) was called ──▶ forced ── umount2(2) with
//!     │                                                MNT_FORCE comes back ──▶ as above
//!     │ it is out of the tree                              │ time is up again
//!     ▼                                                    ▼
//!   ending ── the first thread comes back ──▶ taken away   ETIMEDOUT
//!     │ time is up again
//!     ▼
//!   ETIMEDOUT
//! ```
//!
//! Where mount(8) noted something of the mount (`utab.rs`), *plain* runs umount(8) first, for half of the
//! time, and umount2(2) only where that fails.
//!
//! *plain* and *asked* are one thread, *forced* is a second, which other calls about the mount join.
//! Each compares the mount's number just before it unmounts, so that it takes no other mount away, and
//! begins no further system call once nobody waits for it. Nothing is told to be taken away before
//! every umount2(2) has come back: a driver may detach the device then.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::entry::{Entry, EntryId};
use crate::error::{Error, Result};
use crate::internal::sys::{self, MountId, RawErrno, Sys, Unmount};
use crate::internal::worker::{Caller, Deadline, Undone, Workers};
use crate::log;
use crate::umount::{argument, umount_within};
use crate::utab::{self, Noted};

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
    let deadline = Deadline::after(timeout);
    while let Some(key) = UNMOUNTING.find(|key| key.entry == *entry) {
        if let Some(Err(undone)) = UNMOUNTING.join(&key, deadline.left()) {
            return Err(undone.into_error("unmount", path));
        }
    }
    Ok(())
}

/// How far a thread came, as the one that began it sees it although it may not have ended.
#[derive(Debug, Default)]
struct Course {
    /// Whether it called umount2(2).
    called: AtomicBool,
    answer: OnceLock<Sys<Taken>>,
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
    let target = Target::of(entry, mount, path);
    let course = Arc::clone(&target.course);
    let answer = UNMOUNTING.join(&forced, timeout).unwrap_or_else(|| {
        let noted = noted.cloned();
        UNMOUNTING.run(&plain, timeout, move |caller| {
            let answer = match noted {
                Some(noted) => target.unmount_noted(caller, &noted, timeout / 2),
                None => target.unmount_plainly(caller),
            };
            // Set by this thread alone.
            let _ = target.course.answer.set(answer);
            answer
        })
    });
    match answer {
        Ok(answer) => answer.map_err(|errno| Error::of_call("unmount", path, errno)),
        Err(Undone::TimedOut) => unmount_overdue(entry, &plain, &course, path, timeout),
        Err(undone) => Err(undone.into_error("unmount", path)),
    }
}

/// Goes on when the time for the plain unmount is up.
fn unmount_overdue(
    entry: &mut Entry,
    plain: &Key,
    course: &Course,
    path: &[u8],
    timeout: Duration,
) -> Result<Taken> {
    let deadline = Deadline::after(timeout);
    match entry.look_again(path, deadline.left())? {
        Ok(()) | Err(sys::ENOENT) => {}
        Err(errno) => return Err(Error::of_call("unmount", path, errno)),
    }
    // It may have been only just too late; then its answer counts, and nothing is forced.
    let is_stuck = course.answer.get().is_none() && course.called.load(SeqCst);
    if entry.mounted != Some(plain.mount) || !is_stuck {
        UNMOUNTING.end_of(plain, deadline).map_err(|undone| undone.into_error("unmount", path))?;
        let answer = course.answer.get().copied().unwrap_or(Ok(Taken::NotThere(None)));
        return answer.map_err(|errno| Error::of_call("unmount", path, errno));
    }
    log!(WARN, "Timed out waiting for unmount of ", path, ", trying with force");
    let target = Target::of(entry, plain.mount, path);
    let by_force = Arc::clone(&target.course);
    let forced = Key { forced: true, ..plain.clone() };
    let answer = UNMOUNTING
        .run(&forced, deadline.left(), move |caller| target.unmount_by_force(caller, deadline))
        .and_then(|answer| UNMOUNTING.end_of(plain, deadline).map(|()| answer));
    let answer = match (answer, course.answer.get()) {
        // The first thread took it away, once the force had freed it.
        (Ok(_), Some(Ok(Taken::Away))) => Ok(Taken::Away),
        (Ok(answer), _) => answer.map_err(|errno| Error::of_call("unmount", path, errno)),
        (Err(undone), _) => Err(undone.into_error("unmount", path)),
    };
    after_force(answer, by_force.called.load(SeqCst), path)
}

/// Says what force may have cost: in the error, or in a line.
fn after_force(answer: Result<Taken>, was_begun: bool, path: &[u8]) -> Result<Taken> {
    if !was_begun {
        return answer;
    }
    if answer.is_ok() {
        let lost: &[u8] = b" by force: requests to its server were aborted, data may be lost";
        log!(WARN, "Unmounted ", path, lost);
    }
    answer.map_err(|error| {
        let lost =
            b"after force, by which requests to its server were aborted and data may be lost: ";
        Error::wrap(lost.to_vec(), error)
    })
}

/// How many milliseconds lie between the tries to unmount what is busy: a process that was just forked
/// has a copy of every descriptor until it executes its program.
const PATIENCE: [u64; 6] = [1, 2, 4, 8, 16, 32];
/// How many milliseconds lie between the tries after force: whoever waited for the server has to leave
/// first.
const PATIENCE_AFTER_FORCE: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 64, 128, 128];

/// What a thread unmounts.
struct Target {
    dir: Arc<OwnedFd>,
    name: Vec<u8>,
    mount: MountId,
    path: Vec<u8>,
    course: Arc<Course>,
}

impl Target {
    fn of(entry: &Entry, mount: MountId, path: &[u8]) -> Self {
        let (dir, name) = (Arc::clone(&entry.dir), entry.name.clone());
        Target { dir, name, mount, path: path.to_vec(), course: Arc::default() }
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
        let answer = self.unmount_patiently(caller, Unmount::Plainly, &PATIENCE, None);
        if answer != Err(sys::EBUSY) {
            return answer;
        }
        caller.is_there()?;
        // Any answer will do, an errno too: what counts is that one comes before time is up.
        let answered = sys::server_answers(&*self.dir, &self.name, false);
        caller.is_there()?;
        match answered {
            Ok(()) => answer,
            // Force, by another thread or from outside, may have freed whoever waited for the server.
            Err(_) => {
                let patience = &PATIENCE_AFTER_FORCE;
                self.unmount_patiently(caller, Unmount::Plainly, patience, None)
            }
        }
    }

    fn unmount_by_force(&self, caller: &Caller<'_, Sys<Taken>>, deadline: Deadline) -> Sys<Taken> {
        let patience = &PATIENCE_AFTER_FORCE;
        self.unmount_patiently(caller, Unmount::Forcibly, patience, Some(deadline))
    }

    /// Tries again while it is busy, as long as the pauses last and half of the time is left.
    fn unmount_patiently(
        &self,
        caller: &Caller<'_, Sys<Taken>>,
        how: Unmount,
        patience: &[u64],
        deadline: Option<Deadline>,
    ) -> Sys<Taken> {
        for &pause in patience {
            let pause = Duration::from_millis(pause);
            match self.unmount_once(caller, how) {
                Err(sys::EBUSY) if deadline.is_none_or(|until| until.left() > 2 * pause) => {}
                answer => return answer,
            }
            log!(DEBUG, "Unmounting ", self.path, " again, it is busy");
            std::thread::sleep(pause);
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
        self.course.called.store(true, SeqCst);
        match sys::umount_at(&*self.dir, &self.name, how) {
            Ok(()) => Ok(Taken::Away),
            Err(errno @ (sys::EINVAL | sys::ENOENT)) => Ok(Taken::NotThere(Some(errno))),
            Err(errno) => Err(errno),
        }
    }
}
