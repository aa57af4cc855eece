//! Threads for system calls that may hang in the kernel: at most one thread for each key, however many
//! callers there are. All threads of the library are started here.
//!
//! ```text
//!             run                  work is done                all callers have it
//!   (none) ─────────▶ working ─────────────────────▶ ended ──────────────────────────▶ (none)
//!                        │                             ▲
//!                        │ a caller's timeout expires  │ the system call returns at last
//!                        ▼                             │
//!                      late ── the last caller leaves ──▶ stuck
//! ```
//!
//! - *working*: later callers with the same key wait for the same result, each with its own timeout.
//! - *late*: later callers fail at once with `Unanswered::OthersTimedOut`. Callers that already wait go on
//!   waiting.
//! - *stuck*: nobody waits. The work finds that out by `Caller::is_there`, and makes no further system call.
//!
//! A thread that is done is removed from the table before its result is published, so that a later call
//! starts a new one. If the process is killed, it cannot end before the system calls of stuck threads return.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::level_filters::LevelFilter;

use crate::error::Error;
use crate::internal::log::{self, Line};
use crate::internal::sys::{self, RawErrno, Sys};
use crate::{text, wrap};

/// Returns the number of threads of this process that hang in a system call and that nobody waits for.
pub fn stuck() -> usize {
    STUCK.load(SeqCst)
}

/// The time limit of a check whether a mounted file system responds. When it expires, the check fails with
/// ETIMEDOUT. Later checks of the same mount fail at once, until the system call that hangs returns.
pub const PATIENCE: Duration = Duration::from_secs(5);

static STUCK: AtomicUsize = AtomicUsize::new(0);

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// This caller started the work, and its timeout expired.
    TimedOut,
    /// Another caller started the work. The timeout of this caller expired, or one had expired before.
    OthersTimedOut,
    /// No thread could be started.
    NotStarted(RawErrno),
    /// The work panicked.
    Panicked,
}

impl Unanswered {
    /// Converts this into the error of an operation on a path: ETIMEDOUT, or a text.
    pub(crate) fn into_error(self, op: &'static str, path: &[u8]) -> Error {
        match self {
            Unanswered::TimedOut | Unanswered::OthersTimedOut => {
                Error::at_path(op, path, sys::ETIMEDOUT)
            }
            Unanswered::NotStarted(errno) => {
                let cause = Error::from_errno(errno);
                wrap!("%s %s: cannot start a thread: %w", op, path, cause)
            }
            Unanswered::Panicked => Error::new(text!("%s %s: its thread panicked", op, path)),
        }
    }
}

/// The threads for one kind of work, by key.
pub(crate) struct Workers<K, T>(Mutex<BTreeMap<K, Arc<Worker<T>>>>);

impl<K: Ord + Clone + Send + 'static, T: Clone + Send + 'static> Workers<K, T> {
    pub(crate) const fn new() -> Self {
        Workers(Mutex::new(BTreeMap::new()))
    }

    /// Returns a key with a running thread for which `fits` is true.
    pub(crate) fn find(&self, mut fits: impl FnMut(&K) -> bool) -> Option<K> {
        self.table().keys().find(|key| fits(key)).cloned()
    }

    /// Does the work on a thread and waits for it, for at most `timeout`. If the key already has a thread,
    /// waits for the result of that one instead.
    ///
    /// The thread has the namespaces and the credentials of the caller that starts it. Before this returns,
    /// the thread stops sharing its working directory and root directory with the process, because setns(2)
    /// fails for a caller that shares them. The caller that started the thread logs the thread's log lines,
    /// as long as it waits.
    pub(crate) fn run(
        &'static self,
        key: &K,
        timeout: Duration,
        work: impl FnOnce(&Caller<'_, T>) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        // Called before the lock is taken, because a log subscriber may call this function.
        let wanted = log::wanted();
        let table = self.table();
        match table.get(key).map(Arc::clone) {
            Some(worker) => {
                drop(table);
                worker.join(timeout)
            }
            None => self.start(table, key, wanted, work)?.wait(timeout, true),
        }
    }

    /// Like [`Workers::run`], but does not take the result of work that started before this call: it waits
    /// for the end of that first, and then does the work anew.
    pub(crate) fn run_anew(
        &'static self,
        key: &K,
        timeout: Duration,
        work: impl FnOnce(&Caller<'_, T>) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let deadline = Deadline::after(timeout);
        let before = self.table().get(key).map(Arc::clone);
        if let Some(worker) = before {
            worker.await_end(deadline, false)?;
        }
        self.run(key, deadline.left(), work)
    }

    /// Waits for the result of the key's thread; `None` if the key has no thread.
    pub(crate) fn join(&self, key: &K, timeout: Duration) -> Option<Result<T, Unanswered>> {
        let worker = self.table().get(key).map(Arc::clone)?;
        Some(worker.join(timeout))
    }

    /// Waits until the thread of the key has ended, even if it is late. Succeeds at once if the key has no
    /// thread.
    pub(crate) fn end_of(&self, key: &K, deadline: Deadline) -> Result<(), Unanswered> {
        let worker = self.table().get(key).map(Arc::clone);
        worker.map_or(Ok(()), |worker| worker.await_end(deadline, true))
    }

    fn start(
        &'static self,
        mut table: MutexGuard<'_, BTreeMap<K, Arc<Worker<T>>>>,
        key: &K,
        wanted: LevelFilter,
        work: impl FnOnce(&Caller<'_, T>) -> T + Send + 'static,
    ) -> Result<Arc<Worker<T>>, Unanswered> {
        let worker = Arc::new(Worker::new());
        let (at_work, key_of_it) = (Arc::clone(&worker), key.clone());
        std::thread::Builder::new()
            .name("subpath-bounded".to_owned())
            .spawn(move || {
                let result = at_work.work(wanted, work);
                self.table().remove(&key_of_it);
                at_work.end(result);
            })
            .map_err(|error| Unanswered::NotStarted(error.raw_os_error().unwrap_or(sys::EINVAL)))?;
        table.insert(key.clone(), Arc::clone(&worker));
        Ok(worker)
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<K, Arc<Worker<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thread and its callers share.
struct Worker<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// Whether the thread has stopped sharing its working directory and root directory with the process.
    apart: bool,
    /// The number of callers that wait.
    waiting: usize,
    /// Whether the caller that started the thread still waits, so that it can log the thread's lines.
    listening: bool,
    /// Lines of the thread that are not logged yet.
    lines: Vec<Line>,
    /// Whether the timeout of a caller has expired.
    late: bool,
    result: Option<Result<T, Unanswered>>,
}

impl<T: Clone + Send + 'static> Worker<T> {
    fn new() -> Self {
        let state = State {
            apart: false,
            waiting: 1,
            listening: true,
            lines: Vec::new(),
            late: false,
            result: None,
        };
        Worker { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work. Runs on the thread that was started for it.
    fn work(
        self: &Arc<Self>,
        wanted: LevelFilter,
        work: impl FnOnce(&Caller<'_, T>) -> T,
    ) -> Result<T, Unanswered> {
        // Needed for setns(2) only. A sandbox that refuses this call refuses setns(2), too.
        let _ = sys::unshare_directories();
        // The kernel must deliver the signals of the process to threads that do not hang.
        let _ = sys::block_signals();
        let listener = Arc::clone(self);
        let sink = Rc::new(move |line| {
            let mut state = listener.state();
            if state.listening {
                state.lines.push(line);
                listener.changed.notify_all();
            }
        });
        self.state().apart = true;
        self.changed.notify_all();
        let work = || log::with_sink(wanted, sink, || work(&Caller(self)));
        catch_unwind(AssertUnwindSafe(work)).map_err(|_| Unanswered::Panicked)
    }

    fn end(&self, result: Result<T, Unanswered>) {
        let mut state = self.state();
        if state.waiting == 0 {
            STUCK.fetch_sub(1, SeqCst);
        }
        state.result = Some(result);
        self.changed.notify_all();
    }

    /// Waits for the result of work that another caller started.
    fn join(&self, timeout: Duration) -> Result<T, Unanswered> {
        let mut state = self.state();
        if state.late && state.result.is_none() {
            return Err(Unanswered::OthersTimedOut);
        }
        state.waiting += 1;
        drop(state);
        self.wait(timeout, false)
    }

    /// Waits for the result. The caller that started the work (`began`) also logs the thread's lines.
    fn wait(&self, timeout: Duration, began: bool) -> Result<T, Unanswered> {
        let deadline = Deadline::after(timeout);
        // Dropped also if a log subscriber panics.
        let _leaving = Leaving { worker: self, began };
        let mut state = self.state();
        loop {
            if began && !state.lines.is_empty() {
                let lines = std::mem::take(&mut state.lines);
                drop(state);
                lines.into_iter().for_each(Line::log);
                state = self.state();
                continue;
            }
            if let Some(result) = &state.result {
                return result.clone();
            }
            if state.apart && deadline.is_over() {
                return Err(if began { Unanswered::TimedOut } else { Unanswered::OthersTimedOut });
            }
            let deadline = if state.apart { deadline } else { Deadline(None) };
            state = self.pause(state, deadline);
        }
    }

    /// Waits for the end of the work without counting as one of its callers. Fails if the work is late,
    /// unless `though_late` is set.
    fn await_end(&self, deadline: Deadline, though_late: bool) -> Result<(), Unanswered> {
        let mut state = self.state();
        while state.result.is_none() {
            if deadline.is_over() || (state.late && !though_late) {
                return Err(Unanswered::OthersTimedOut);
            }
            state = self.pause(state, deadline);
        }
        Ok(())
    }

    /// Releases the lock and waits until the state changes or the deadline has passed.
    fn pause<'s>(
        &self,
        state: MutexGuard<'s, State<T>>,
        deadline: Deadline,
    ) -> MutexGuard<'s, State<T>> {
        match deadline.0 {
            Some(_) => {
                let waited = self.changed.wait_timeout(state, deadline.left());
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// A caller that waits. When this is dropped, the caller no longer counts as waiting.
struct Leaving<'w, T: Clone + Send + 'static> {
    worker: &'w Worker<T>,
    began: bool,
}

impl<T: Clone + Send + 'static> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        let mut state = self.worker.state();
        state.waiting -= 1;
        if self.began {
            state.listening = false;
        }
        if state.result.is_none() {
            state.late = true;
            self.worker.changed.notify_all();
            if state.waiting == 0 {
                STUCK.fetch_add(1, SeqCst);
            }
        }
    }
}

/// The time at which a caller stops waiting; `None` if the clock cannot represent it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        Deadline(Instant::now().checked_add(timeout))
    }

    pub(crate) fn left(self) -> Duration {
        self.0.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

/// Tells the work whether a caller still waits for it.
pub(crate) struct Caller<'w, T>(&'w Worker<T>);

impl<T: Clone + Send + 'static> Caller<'_, T> {
    /// Returns ETIMEDOUT if no caller waits any more. The work checks this before each system call except
    /// the first.
    pub(crate) fn is_there(&self) -> Sys<()> {
        if self.0.state().waiting == 0 { Err(sys::ETIMEDOUT) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::internal::log::recorder::Recorder;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    type Answers = Workers<&'static str, u32>;

    /// Work that waits until the test sends its result.
    fn answer_from(answers: Receiver<u32>) -> impl FnOnce(&Caller<'_, u32>) -> u32 {
        move |_| answers.recv().unwrap_or(0)
    }

    fn until(condition: impl Fn() -> bool) {
        while !condition() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_second_caller_gets_the_answer_of_the_first() {
        static WORKERS: Answers = Workers::new();
        let (answer, answers) = channel();
        let first = std::thread::spawn(move || WORKERS.run(&"key", LONG, answer_from(answers)));
        until(|| WORKERS.find(|_| true).is_some());
        let second = std::thread::spawn(|| WORKERS.run(&"key", LONG, |_| unreachable!()));
        let other = WORKERS.run(&"another key", LONG, |_| 2);
        until(|| WORKERS.table()["key"].state().waiting == 2);
        answer.send(1).unwrap();
        assert_eq!(first.join().unwrap(), Ok(1));
        assert_eq!(second.join().unwrap(), Ok(1));
        assert_eq!(other, Ok(2));
        assert_eq!(WORKERS.find(|_| true), None);
    }

    #[test]
    fn a_time_that_is_up_is_up_for_all_who_come_later_and_for_nobody_who_waits() {
        static WORKERS: Answers = Workers::new();
        let (answer, answers) = channel();
        let first = std::thread::spawn(move || WORKERS.run(&"key", LONG, answer_from(answers)));
        until(|| WORKERS.find(|_| true).is_some());
        for timeout in [SHORT, LONG] {
            let late = WORKERS.run(&"key", timeout, |_| unreachable!());
            assert_eq!(late, Err(Unanswered::OthersTimedOut), "{timeout:?}");
            assert_eq!(WORKERS.table().len(), 1, "it starts no other thread");
        }
        answer.send(1).unwrap();
        assert_eq!(first.join().unwrap(), Ok(1));
        assert_eq!(WORKERS.run(&"key", LONG, |_| 3), Ok(3), "it begins anew");
    }

    #[test]
    fn work_that_nobody_waits_for_knows_it_and_is_counted() {
        static WORKERS: Answers = Workers::new();
        let (go_on, gone): (Sender<()>, _) = channel();
        let (tell, heard) = channel();
        let result = WORKERS.run(&"key", SHORT, move |caller| {
            let _ = gone.recv();
            tell.send(caller.is_there()).unwrap();
            1
        });
        assert_eq!(result, Err(Unanswered::TimedOut));
        assert!(stuck() > 0);
        drop(go_on);
        assert_eq!(heard.recv().unwrap(), Err(sys::ETIMEDOUT));
        until(|| WORKERS.find(|_| true).is_none());
    }

    #[test]
    fn work_done_anew_takes_no_answer_from_before() {
        static WORKERS: Answers = Workers::new();
        let (answer, answers) = channel();
        let first = std::thread::spawn(move || WORKERS.run(&"key", LONG, answer_from(answers)));
        until(|| WORKERS.find(|_| true).is_some());
        let early = WORKERS.run_anew(&"key", SHORT, |_| unreachable!());
        assert_eq!(early, Err(Unanswered::OthersTimedOut));
        let second = std::thread::spawn(|| WORKERS.run_anew(&"key", LONG, |_| 2));
        // That timeout does not make the first work late: the call only waited for its end.
        answer.send(1).unwrap();
        assert_eq!(first.join().unwrap(), Ok(1));
        assert_eq!(second.join().unwrap(), Ok(2));
    }

    #[test]
    fn the_end_of_late_work_can_be_waited_for() {
        static WORKERS: Answers = Workers::new();
        let (answer, answers) = channel();
        assert_eq!(WORKERS.end_of(&"key", Deadline::after(LONG)), Ok(()));
        assert_eq!(WORKERS.run(&"key", SHORT, answer_from(answers)), Err(Unanswered::TimedOut));
        assert_eq!(WORKERS.end_of(&"key", Deadline::after(SHORT)), Err(Unanswered::OthersTimedOut));
        answer.send(1).unwrap();
        assert_eq!(WORKERS.end_of(&"key", Deadline::after(LONG)), Ok(()));
    }

    #[test]
    fn its_directories_and_its_signals_are_its_own() {
        static WORKERS: Workers<(), (bool, bool)> = Workers::new();
        let here = std::env::current_dir().unwrap();
        let done = WORKERS.run(&(), LONG, |_| {
            let blocked = nix::sys::signal::SigSet::thread_get_mask().unwrap();
            (
                std::env::set_current_dir("/proc").is_ok(),
                blocked.contains(nix::sys::signal::Signal::SIGTERM),
            )
        });
        assert_eq!(done, Ok((true, true)));
        assert_eq!(std::env::current_dir().unwrap(), here);
    }

    /// The log statements run on the library's thread first. If tracing saw them there, it would take them for
    /// disabled on every thread from then on.
    #[test]
    fn lines_are_logged_in_order_by_the_thread_that_waits_and_none_afterwards() {
        static WORKERS: Answers = Workers::new();
        fn say(what: &str) {
            crate::log!(DEBUG, "said %s", what);
            crate::log!(TRACE, "not wanted: %s", what);
        }
        let noted = Recorder::default();
        let here = std::thread::current().id();
        tracing::dispatcher::with_default(&tracing::Dispatch::new(noted.clone()), || {
            let mut time = SHORT;
            // A thread may start so late on a busy machine that nobody waits for its lines any more.
            while noted.0.lock().unwrap().len() < 2 {
                assert!(time < LONG, "no line is logged");
                noted.0.lock().unwrap().clear();
                let (go_on, gone): (Sender<()>, _) = channel();
                let (ended, end): (Sender<()>, _) = channel();
                let result = WORKERS.run(&"key", time, move |_| {
                    say("one");
                    say("two");
                    let _ = gone.recv();
                    say("nothing");
                    drop(ended);
                    1
                });
                assert_eq!(result, Err(Unanswered::TimedOut));
                drop(go_on);
                let _ = end.recv();
                until(|| WORKERS.find(|_| true).is_none());
                time *= 4;
            }
            say("here");
            let lines = ["said one", "said two", "said here"];
            assert_eq!(
                *noted.0.lock().unwrap(),
                lines.map(|line| (vec![format!("message={line}")], here))
            );
        });
    }

    #[test]
    fn a_panic_is_an_error() {
        static WORKERS: Answers = Workers::new();
        let done = WORKERS.run(&"key", LONG, |_| panic!("for the test"));
        assert_eq!(done, Err(Unanswered::Panicked));
        assert_eq!(WORKERS.find(|_| true), None);
    }
}
