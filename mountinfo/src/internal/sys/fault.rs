//! Makes a system call of this thread fail, for tests (feature `fault-injection`, which nothing but
//! tests may turn on).

use std::cell::Cell;

use super::RawErrno;

#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How many calls come before the one that fails.
    left: usize,
    errno: RawErrno,
    /// Whether every later call fails too.
    lasting: bool,
    struck: bool,
}

thread_local! {
    static PLAN: Cell<Option<Plan>> = const { Cell::new(None) };
}

/// Lets the call after `skip` others fail, without being made; and all later ones if it is
/// `lasting`.
pub fn arm(skip: usize, errno: RawErrno, lasting: bool) {
    PLAN.set(Some(Plan { left: skip, errno, lasting, struck: false }));
}

/// Ends it, and tells whether a call failed.
pub fn disarm() -> bool {
    PLAN.take().is_some_and(|plan| plan.struck)
}

/// Asked before each call.
pub(super) fn inject() -> Result<(), RawErrno> {
    let Some(mut plan) = PLAN.get() else { return Ok(()) };
    let strikes = plan.left == 0 && (plan.lasting || !plan.struck);
    plan.left = plan.left.saturating_sub(1);
    plan.struck |= strikes;
    PLAN.set(Some(plan));
    if strikes { Err(plan.errno) } else { Ok(()) }
}
