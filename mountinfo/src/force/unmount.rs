//! Unmounts a single mount in bounded time.
//!
//! ```text
//!   plain ── umount2(2) returns ─────────────────────────────▶ unmounted, not mounted, or an error
//!     │ └─ EBUSY ─▶ asked ── the file system responds ──▶ EBUSY; with an error: umount2(2) again
//!     │                │
//!     │ timeout        │ timeout
//!     ▼                ▼
//!   overdue ── the mount is still there, and umount2(2) was called ──▶ forced ── umount2(2) with
//!     │                                                     MNT_FORCE returns ──▶ as for plain
//!     │ it is no longer in the tree                            │ second timeout
//!     ▼                                                        ▼
//!   ending ── the first thread returns ──▶ unmounted           ETIMEDOUT
//!     │ second timeout
//!     ▼
//!   ETIMEDOUT
//! ```
//!
//! If the mount has an entry in mount(8)'s table (`utab.rs`), *plain* first runs umount(8) for half of the
//! time, and calls umount2(2) if that fails.
//!
//! *plain* and *asked* run on one thread, *forced* on a second, which other callers for the mount join. Each
//! thread checks the ID of the mount just before it unmounts, so that it does not unmount another one, and
//! makes no further system call once nobody waits for it. A mount is reported as unmounted only after every
//! umount2(2) has returned, because a driver may detach the device then.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::entry::{Entry, EntryId};
use crate::error::{Error, Result};
use crate::internal::sys::{self, MountId, RawErrno, Sys, Unmount};
use crate::internal::worker::{Caller, Deadline, Unanswered, Workers};
use crate::umount::{argument, umount_within};
use crate::utab::{self, UtabTarget};
use crate::{log, wrap};

/// The outcome of an unmount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was unmounted.
    Unmounted,
    /// It was no longer mounted; with the errno if umount2(2) reported that.
    NotMounted(Option<RawErrno>),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    mount: MountId,
    entry: EntryId,
    forced: bool,
}

static UNMOUNTING: Workers<Key, Sys<Outcome>> = Workers::new();

/// Waits until no thread unmounts anything from the entry any more.
pub(super) fn wait_for_others(entry: &EntryId, path: &[u8], timeout: Duration) -> Result<()> {
    let deadline = Deadline::after(timeout);
    while let Some(key) = UNMOUNTING.find(|key| key.entry == *entry) {
        if let Some(Err(unanswered)) = UNMOUNTING.join(&key, deadline.left()) {
            return Err(unanswered.into_error("unmount", path));
        }
    }
    Ok(())
}

/// How far a thread has come. The caller that started it can see this while the thread hangs.
#[derive(Debug, Default)]
struct Progress {
    /// Whether the thread has called umount2(2).
    called: AtomicBool,
    answer: OnceLock<Sys<Outcome>>,
}

/// Unmounts a mount from an entry, as described at the top of this file. While another call is unmounting
/// the same mount, this one waits for its outcome.
pub(super) fn unmount(
    entry: &mut Entry,
    mount: MountId,
    noted: Option<&UtabTarget>,
    path: &[u8],
    timeout: Duration,
) -> Result<Outcome> {
    let plain = Key { mount, entry: entry.id.clone(), forced: false };
    let forced = Key { forced: true, ..plain.clone() };
    let target = Target::of(entry, mount, path);
    let progress = Arc::clone(&target.progress);
    let answer = UNMOUNTING.join(&forced, timeout).unwrap_or_else(|| {
        let noted = noted.cloned();
        UNMOUNTING.run(&plain, timeout, move |caller| {
            let answer = match noted {
                Some(noted) => target.unmount_noted(caller, &noted, timeout / 2),
                None => target.unmount_plainly(caller),
            };
            // Only this thread sets it, so that it does not fail.
            let _ = target.progress.answer.set(answer);
            answer
        })
    });
    match answer {
        Ok(answer) => answer.map_err(|errno| Error::of_call("unmount", path, errno)),
        Err(Unanswered::TimedOut) => unmount_overdue(entry, &plain, &progress, path, timeout),
        Err(unanswered) => Err(unanswered.into_error("unmount", path)),
    }
}

/// Continues after the timeout of the plain unmount.
fn unmount_overdue(
    entry: &mut Entry,
    plain: &Key,
    progress: &Progress,
    path: &[u8],
    timeout: Duration,
) -> Result<Outcome> {
    let deadline = Deadline::after(timeout);
    match entry.look_again(path, deadline.left())? {
        Ok(()) | Err(sys::ENOENT) => {}
        Err(errno) => return Err(Error::of_call("unmount", path, errno)),
    }
    // It may have returned just after the timeout. Then its result counts, and force is not used.
    let is_stuck = progress.answer.get().is_none() && progress.called.load(SeqCst);
    if entry.mounted != Some(plain.mount) || !is_stuck {
        UNMOUNTING
            .end_of(plain, deadline)
            .map_err(|unanswered| unanswered.into_error("unmount", path))?;
        let answer = progress.answer.get().copied().unwrap_or(Ok(Outcome::NotMounted(None)));
        return answer.map_err(|errno| Error::of_call("unmount", path, errno));
    }
    log!(WARN, target = path, "Timed out waiting for unmount of %s, trying with force", path);
    let target = Target::of(entry, plain.mount, path);
    let by_force = Arc::clone(&target.progress);
    let forced = Key { forced: true, ..plain.clone() };
    let answer = UNMOUNTING
        .run(&forced, deadline.left(), move |caller| target.unmount_by_force(caller, deadline))
        .and_then(|answer| UNMOUNTING.end_of(plain, deadline).map(|()| answer));
    let answer = match (answer, progress.answer.get()) {
        // The first thread unmounted it, after force had ended its wait.
        (Ok(_), Some(Ok(Outcome::Unmounted))) => Ok(Outcome::Unmounted),
        (Ok(answer), _) => answer.map_err(|errno| Error::of_call("unmount", path, errno)),
        (Err(unanswered), _) => Err(unanswered.into_error("unmount", path)),
    };
    after_force(answer, by_force.called.load(SeqCst), path)
}

/// Reports that force was used and that data may be lost: in the error, or in a warning.
fn after_force(answer: Result<Outcome>, was_begun: bool, path: &[u8]) -> Result<Outcome> {
    if !was_begun {
        return answer;
    }
    if answer.is_ok() {
        log!(
            WARN,
            target = path,
            "Unmounted %s by force: requests to its server were aborted, data may be lost",
            path
        );
    }
    answer.map_err(|error| {
        wrap!(
            "after force, by which requests to its server were aborted and data may be lost: %w",
            error
        )
    })
}

/// The pauses in milliseconds between attempts to unmount a busy mount. A process that was just forked has
/// copies of all descriptors, which keep the mount busy until it executes its program.
const PATIENCE: [u64; 6] = [1, 2, 4, 8, 16, 32];
/// The pauses in milliseconds between attempts after force: the processes that waited for the server have
/// to return from their system calls first.
const PATIENCE_AFTER_FORCE: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 64, 128, 128];

/// What a thread is to unmount.
struct Target {
    dir: Arc<OwnedFd>,
    name: Vec<u8>,
    mount: MountId,
    path: Vec<u8>,
    progress: Arc<Progress>,
}

impl Target {
    fn of(entry: &Entry, mount: MountId, path: &[u8]) -> Self {
        let (dir, name) = (Arc::clone(&entry.dir), entry.name.clone());
        Target { dir, name, mount, path: path.to_vec(), progress: Arc::default() }
    }

    /// Unmounts by umount(8), which also removes the entry in utab. If that fails or does not end within
    /// `timeout`, unmounts by umount2(2).
    fn unmount_noted(
        &self,
        caller: &Caller<'_, Sys<Outcome>>,
        noted: &UtabTarget,
        timeout: Duration,
    ) -> Sys<Outcome> {
        // The topmost mount may have no entry, and one below it may have one.
        if noted.has_entry() && self.is_mounted()? {
            caller.is_there()?;
            let path = argument(&self.path);
            let ran = umount_within(&path, timeout, || caller.is_there().is_ok());
            caller.is_there()?;
            if let Err(error) = ran {
                utab::warn_failed(&self.path, &error);
            }
            if !self.is_mounted()? {
                return Ok(Outcome::Unmounted);
            }
        }
        self.unmount_plainly(caller)
    }

    /// Reports whether the mount is still the topmost one at the entry.
    fn is_mounted(&self) -> Sys<bool> {
        match sys::mount_on(&*self.dir, &self.name) {
            Ok(mounted) => Ok(mounted == Some(self.mount)),
            Err(sys::ENOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Unmounts without force. If the mount is busy, asks its server, so that the caller's timeout expires if
    /// the server hangs.
    fn unmount_plainly(&self, caller: &Caller<'_, Sys<Outcome>>) -> Sys<Outcome> {
        let answer = self.unmount_patiently(caller, Unmount::Plainly, &PATIENCE, None);
        if answer != Err(sys::EBUSY) {
            return answer;
        }
        caller.is_there()?;
        // It only matters that the server responds in time, be it with an error.
        let answered = sys::server_answers(&*self.dir, &self.name, false);
        caller.is_there()?;
        match answered {
            Ok(()) => answer,
            // Force, by another thread or from outside, may have ended the waits for the server.
            Err(_) => {
                let patience = &PATIENCE_AFTER_FORCE;
                self.unmount_patiently(caller, Unmount::Plainly, patience, None)
            }
        }
    }

    fn unmount_by_force(
        &self,
        caller: &Caller<'_, Sys<Outcome>>,
        deadline: Deadline,
    ) -> Sys<Outcome> {
        let patience = &PATIENCE_AFTER_FORCE;
        self.unmount_patiently(caller, Unmount::Forcibly, patience, Some(deadline))
    }

    /// Tries again while the mount is busy, after each pause of `patience`. With a deadline, ends earlier if a
    /// pause would take more than half of the remaining time.
    fn unmount_patiently(
        &self,
        caller: &Caller<'_, Sys<Outcome>>,
        how: Unmount,
        patience: &[u64],
        deadline: Option<Deadline>,
    ) -> Sys<Outcome> {
        for &pause in patience {
            let pause = Duration::from_millis(pause);
            match self.unmount_once(caller, how) {
                Err(sys::EBUSY) if deadline.is_none_or(|until| until.left() > 2 * pause) => {}
                answer => return answer,
            }
            log!(TRACE, target = self.path, "Unmounting %s again, it is busy", self.path);
            std::thread::sleep(pause);
            caller.is_there()?;
        }
        self.unmount_once(caller, how)
    }

    /// Unmounts the mount if it is the topmost one. No system call unmounts by ID: if something is mounted on
    /// top of it between the check and the call, that is unmounted instead.
    fn unmount_once(&self, caller: &Caller<'_, Sys<Outcome>>, how: Unmount) -> Sys<Outcome> {
        if !self.is_mounted()? {
            return Ok(Outcome::NotMounted(None));
        }
        caller.is_there()?;
        self.progress.called.store(true, SeqCst);
        match sys::umount_at(&*self.dir, &self.name, how) {
            Ok(()) => Ok(Outcome::Unmounted),
            Err(errno @ (sys::EINVAL | sys::ENOENT)) => Ok(Outcome::NotMounted(Some(errno))),
            Err(errno) => Err(errno),
        }
    }
}
