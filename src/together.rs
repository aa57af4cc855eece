//! Does the same with many things, in a few threads where each thing is long in coming: umount2(2)
//! waits for an RCU grace period (fs/namespace.c, `namespace_unlock`), and waits of several threads
//! overlap.
//!
//! The outcome is that of doing it in order: the error is that of the first thing that fails.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use mountinfo::{Error, Result, sys};

/// What takes longer waits. An unmount takes some 5 µs, or 40 µs and more when it has to wait for
/// another processor that is not idle.
const WAITS: Duration = Duration::from_micros(25);
/// After so many things that waited the rest will wait too.
const ENOUGH: usize = 3;
/// For fewer things a thread costs more than it saves.
const WORTH_HELP: usize = 12;
/// How many threads help the caller's own.
const HELPERS: usize = 4;

/// Does `work` with each of the things, and tells the error of the first that fails.
///
/// Nothing behind a failed one is begun any more; what other threads had begun by then is done, which
/// in order it would not have been. The work must be one whose outcome for a thing does not depend on
/// the others. Threads inherit the caller's namespaces, credentials and descriptors.
pub(crate) fn do_all<T: Sync>(things: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let queue = Queue { things, next: AtomicUsize::new(0), failed: Mutex::new(None), work };
    let mut waited = 0;
    loop {
        let begun = Instant::now();
        if !queue.do_next() {
            break;
        }
        waited += usize::from(begun.elapsed() > WAITS);
        if waited >= ENOUGH && queue.left() >= WORTH_HELP {
            queue.do_rest(HELPERS);
            break;
        }
    }
    queue.outcome()
}

/// The things, and how far several threads are with them.
struct Queue<'t, T, W> {
    things: &'t [T],
    next: AtomicUsize,
    /// The first of those that failed, and its error.
    failed: Mutex<Option<(usize, Error)>>,
    work: W,
}

impl<T: Sync, W: Fn(&T) -> Result<()> + Sync> Queue<'_, T, W> {
    /// `false` when nothing is left.
    ///
    /// They are begun in order: whatever comes before a failed one has been begun too.
    fn do_next(&self) -> bool {
        let i = self.next.fetch_add(1, Relaxed);
        let Some(thing) = self.things.get(i) else { return false };
        if let Err(error) = (self.work)(thing) {
            self.next.fetch_max(self.things.len(), Relaxed);
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.as_ref().is_none_or(|(first, _)| i < *first) {
                *failed = Some((i, error));
            }
        }
        true
    }

    fn left(&self) -> usize {
        self.things.len().saturating_sub(self.next.load(Relaxed))
    }

    fn do_rest(&self, helpers: usize) {
        thread::scope(|scope| {
            for _ in 0..helpers {
                let help = || {
                    // The program's signals are not for a thread that it does not know.
                    let _ = sys::block_signals();
                    while self.do_next() {}
                };
                // Where no thread can be had the others do its work.
                let _ = Builder::new().name("subpath".into()).spawn_scoped(scope, help);
            }
            while self.do_next() {}
        });
    }

    fn outcome(self) -> Result<()> {
        match self.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{SigSet, Signal};
    use std::sync::atomic::AtomicBool;

    /// Numbers from 0 to 99, of which some fail; those before `waiting` wait. Tells the error, and how
    /// many did not fail.
    fn run(failing: &[usize], waiting: usize) -> (Option<i32>, usize) {
        let done = AtomicUsize::new(0);
        let numbers: Vec<usize> = (0..100).collect();
        let outcome = do_all(&numbers, |&i| {
            if i < waiting {
                thread::sleep(WAITS * 2);
            }
            if failing.contains(&i) {
                return Err(Error::from_errno(i as i32));
            }
            done.fetch_add(1, Relaxed);
            Ok(())
        });
        (outcome.err().and_then(|error| error.errno()), done.into_inner())
    }

    #[test]
    fn each_thing_is_done_once() {
        for waiting in [0, 10, 100] {
            assert_eq!(run(&[], waiting), (None, 100));
        }
        assert_eq!(do_all(&[(); 0], |()| Err(Error::from_errno(1))), Ok(()));
    }

    #[test]
    fn the_error_is_that_of_the_first_that_fails() {
        for _ in 0..20 {
            for failing in [&[40, 42, 43, 44, 60, 99][..], &[0, 1], &[98, 99]] {
                for waiting in [0, 10, 100] {
                    let (error, done) = run(failing, waiting);
                    assert_eq!(error, Some(failing[0] as i32));
                    assert!(done >= failing[0], "{done}");
                }
            }
        }
    }

    #[test]
    fn threads_help_with_what_waits_and_live_where_their_caller_does() {
        let here = || std::fs::read_link("/proc/thread-self/ns/uts").unwrap();
        let apart = thread::spawn(move || {
            // An ordinary user may not; then there is one namespace, and all stay in it.
            let _ = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUTS);
            let (mine, mask) = (here(), SigSet::thread_get_mask().unwrap());
            let caller = thread::current().id();
            let helped = AtomicBool::new(false);
            let numbers: Vec<usize> = (0..100).collect();
            let long_enough = Instant::now() + Duration::from_secs(20);
            do_all(&numbers, |&i| {
                let is_caller = thread::current().id() == caller;
                helped.fetch_or(!is_caller, Relaxed);
                while i >= ENOUGH && !helped.load(Relaxed) && Instant::now() < long_enough {
                    thread::yield_now();
                }
                thread::sleep(WAITS * 2);
                assert_eq!(here(), mine);
                let blocked = SigSet::thread_get_mask().unwrap();
                assert_eq!(blocked.contains(Signal::SIGTERM), !is_caller);
                Ok(())
            })
            .unwrap();
            assert!(helped.into_inner(), "nobody helped");
            assert_eq!(SigSet::thread_get_mask().unwrap(), mask);
            mine
        });
        let apart = apart.join().unwrap();
        assert!(!nix::unistd::geteuid().is_root() || apart != here());
    }
}
