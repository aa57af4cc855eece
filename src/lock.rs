//! Keeps two callers in this process from preparing the same target at once: both would see that
//! nothing is mounted, and the second mount would lie on the first.
//!
//! The kernel has no call that mounts only where nothing is mounted, so the check and the mount
//! have to be one step. Waiting is bounded: a mounter of the caller's own may itself call back for
//! the same target, and then the second call goes on as the original would.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

static STATE: Mutex<State> = Mutex::new(State { held: BTreeSet::new(), waiting: 0 });
static RELEASED: Condvar = Condvar::new();

#[derive(Debug)]
struct State {
    held: BTreeSet<Vec<u8>>,
    /// Waking nobody costs a system call too.
    waiting: usize,
}

/// A target that nobody else in this process prepares until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    target: Option<Vec<u8>>,
}

/// Waits for the target, but no longer than `patience`.
pub(crate) fn lock(target: &[u8], patience: Duration) -> Lock {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if state.held.contains(target) {
        state.waiting += 1;
        (state, _) = RELEASED
            .wait_timeout_while(state, patience, |state| state.held.contains(target))
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
    }
    let free = state.held.insert(target.to_vec());
    Lock { target: free.then(|| target.to_vec()) }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(target) = self.target.take() {
            let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
            state.held.remove(&target);
            if state.waiting > 0 {
                RELEASED.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_caller_waits_and_then_goes_on() {
        let first = lock(b"same target", Duration::from_secs(10));
        assert!(lock(b"same target", Duration::from_millis(5)).target.is_none());
        assert!(lock(b"another target", Duration::from_millis(5)).target.is_some());
        let waiter = std::thread::spawn(|| lock(b"same target", Duration::from_secs(10)));
        drop(first);
        assert!(waiter.join().unwrap().target.is_some());
    }
}
