//! A lock by name, which keeps two callers in this process from preparing the same target at once. Without it
//! both could find nothing mounted, and the second would mount on top of the first.
//!
//! The kernel has no call that mounts only if nothing is mounted, so check and mount need a lock around them.
//! Waiting has a limit, because a caller's mounter may itself prepare the same target. After the limit the
//! second call goes on without the lock, as the original would.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

static STATE: Mutex<State> = Mutex::new(State { held: BTreeSet::new(), waiting: 0 });
static RELEASED: Condvar = Condvar::new();

struct State {
    held: BTreeSet<Vec<u8>>,
    /// How many callers wait, so that nobody is notified (a system call) if there are none.
    waiting: usize,
}

/// A lock on a target, which ends when this is dropped.
pub(crate) struct Lock {
    target: Option<Vec<u8>>,
}

/// Locks a target. If another caller has locked it, waits for `patience` at most, and then goes on without the
/// lock.
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
