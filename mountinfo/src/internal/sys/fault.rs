//! Makes system calls of the calling thread fail, for tests. Only tests enable the feature
//! `fault-injection`.

use std::cell::Cell;

use super::RawErrno;

#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How many calls are made before the one that fails.
    left: usize,
    errno: RawErrno,
    /// Whether all later calls fail too.
    lasting: bool,
    /// Whether a call has failed.
    failed: bool,
}

thread_local! {
    static PLAN: Cell<Option<Plan>> = const { Cell::new(None) };
}

/// Makes the system call after the next `skip` ones fail with `errno`, and all later ones too if
/// `lasting` is set. A call that fails is not made.
pub fn arm(skip: usize, errno: RawErrno, lasting: bool) {
    PLAN.set(Some(Plan { left: skip, errno, lasting, failed: false }));
}

/// Ends what [`arm`] started, and reports whether a call failed.
pub fn disarm() -> bool {
    PLAN.take().is_some_and(|plan| plan.failed)
}

/// Returns the errno with which the next call is to fail, if it is.
pub(super) fn inject() -> Result<(), RawErrno> {
    let Some(mut plan) = PLAN.get() else { return Ok(()) };
    let fails = plan.left == 0 && (plan.lasting || !plan.failed);
    plan.left = plan.left.saturating_sub(1);
    plan.failed |= fails;
    PLAN.set(Some(plan));
    if fails { Err(plan.errno) } else { Ok(()) }
}
