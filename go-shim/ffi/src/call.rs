//! What every export does around its operation: check what the caller passed, run, stop panics,
//! and hand over the outcome.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use subpath_mountinfo::Result;
use subpath_mountinfo::internal::Foreign;

use crate::abi::{self, Answer, Options, Step};
use crate::errors::{misuse, panicked};
use crate::log::{self, Sink};
use crate::memory::{self, StepOut};
use crate::operation::{Answered, AskingMounter, Operation, Progress};
use crate::reply::Reply;
use subpath::Profile;

/// A checked call, with its `N` arguments.
pub(crate) struct Call<'a, const N: usize> {
    pub(crate) fields: [&'a [u8]; N],
    pub(crate) profile: Profile,
    pub(crate) asks: bool,
    doing: &'static str,
    sink: Option<Sink>,
}

impl<const N: usize> Call<'_, N> {
    /// Begins an operation over the caller's mounter.
    pub(crate) fn ask<F, W, T>(&self, work: W) -> Result<Progress>
    where
        W: FnOnce(AskingMounter) -> F,
        F: Future<Output = Result<T>> + Send + 'static,
        T: Into<Reply>,
    {
        let work = |mounter| {
            let work = work(mounter);
            async move { work.await.map(Into::into) }
        };
        Ok(Operation::new(self.doing, self.sink, work).advance())
    }
}

/// An operation that ended without asking.
pub(crate) fn ended<T: Into<Reply>>(outcome: Result<T>) -> Result<Progress> {
    outcome.map(|result| Progress::Ended(Ok(result.into())))
}

/// The body of an export: runs the closure by [`begin`]. The closure takes the checked call, and
/// its arguments as the pattern names them.
macro_rules! export {
    ($doing:expr, $options:expr, $args:expr, $args_len:expr, $step:expr,
     |$call:ident, $fields:pat_param| $body:expr) => {{
        let body = |$call: $crate::call::Call<'_, _>| {
            let $fields = $call.fields;
            $body
        };
        // SAFETY: the caller of the export promises what `begin` asks for.
        unsafe { $crate::call::begin($doing, $options, $args, $args_len, $step, body) }
    }};
}
pub(crate) use export;

/// Runs one operation. `doing` names it in the error a panic becomes.
///
/// # Safety
/// As the header says: `options` and `step` point to whole structures, `args` to `args_len` bytes,
/// and nobody else touches them until the call returns.
pub(crate) unsafe fn begin<const N: usize>(
    doing: &'static str,
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
    body: impl FnOnce(Call<'_, N>) -> Result<Progress>,
) -> u32 {
    // SAFETY: the caller's promise.
    let step = match unsafe { StepOut::new(step) } {
        Ok(step) => step,
        Err(state) => return state,
    };
    settle(doing, step, || {
        // SAFETY: the caller's promise.
        let options = unsafe { memory::read(options, "options") }?;
        let (profile, asks) = check(&options)?;
        // SAFETY: the caller's promise.
        let packed = unsafe { memory::borrow(args, args_len) }?;
        let fields = memory::unpack(packed)?;
        let sink = Sink::of(&options);
        log::to(sink, || body(Call { fields, profile, asks, doing, sink }))
    })
}

/// Goes on with an operation.
///
/// # Safety
/// As [`begin`]; and `operation` was given out in a step and is handed back for the first time.
pub(crate) unsafe fn resume(
    operation: *mut abi::Operation,
    answer: *const Answer,
    texts: *const u8,
    texts_len: usize,
    step: *mut Step,
) -> u32 {
    // Taken first, so that no misuse below leaks it.
    // SAFETY: the caller's promise.
    let operation = unsafe { memory::take_operation(operation) };
    // SAFETY: the caller's promise.
    let step = match unsafe { StepOut::new(step) } {
        Ok(step) => step,
        Err(state) => {
            discard(operation.ok());
            return state;
        }
    };
    let doing = operation.as_ref().map_or("resuming an operation", |operation| operation.doing);
    settle(doing, step, move || {
        let operation = operation?;
        log::to(operation.sink, move || {
            // SAFETY: the caller's promise.
            let answer = unsafe { memory::read(answer, "answer") }?;
            // SAFETY: the caller's promise.
            let texts = unsafe { memory::borrow(texts, texts_len) }?;
            let answer = understand(&answer, texts, operation.may_fail())?;
            Ok(operation.answer(answer))
        })
    })
}

/// Drops an operation, whatever its destructors do.
pub(crate) fn discard(operation: Option<Box<Operation>>) {
    let Some(operation) = operation else { return };
    let sink = operation.sink;
    // A panic while descriptors are closed has nobody to tell; the panic hook printed it.
    drop(catch_unwind(AssertUnwindSafe(|| log::to(sink, || drop(operation)))));
}

/// Runs `body`, stops a panic, and writes the outcome to the step.
fn settle(doing: &str, mut step: StepOut, body: impl FnOnce() -> Result<Progress>) -> u32 {
    // What the body owned is dropped by the unwinding; what it borrowed is the caller's and was
    // only read.
    let progress = catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|payload| Err(panicked(doing, payload.as_ref())))
        .unwrap_or_else(|error| Progress::Ended(Err(error)));
    match progress {
        Progress::Ended(Ok(reply)) => {
            step.result(reply.number, reply.bytes);
            match reply.error {
                None => step.state(abi::RSP_DONE),
                Some(error) => {
                    step.error(&error);
                    step.state(abi::RSP_FAILED)
                }
            }
        }
        Progress::Ended(Err(error)) => {
            step.error(&error);
            step.state(abi::RSP_FAILED)
        }
        Progress::Aborted => step.state(abi::RSP_ABORTED),
        Progress::Asks(operation) => {
            step.question(operation);
            step.state(abi::RSP_QUESTION)
        }
    }
}

/// The profile, and whether the caller's mounter is to be asked.
fn check(options: &Options) -> Result<(Profile, bool)> {
    if options.abi != abi::RSP_ABI_VERSION {
        return Err(misuse(&format!(
            "by a caller made for version {} of its boundary, which is at version {}",
            options.abi,
            abi::RSP_ABI_VERSION
        )));
    }
    let profile = match options.profile {
        abi::RSP_PROFILE_V129 => Profile::V129,
        abi::RSP_PROFILE_V137 => Profile::V137,
        other => return Err(misuse(&format!("profile {other} is unknown"))),
    };
    match options.mounter {
        abi::RSP_MOUNTER_KERNEL => Ok((profile, false)),
        abi::RSP_MOUNTER_CALLER => Ok((profile, true)),
        other => Err(misuse(&format!("mounter {other} is unknown"))),
    }
}

/// A yes or no that crossed as a number.
pub(crate) fn flag(name: &str, value: u32) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(misuse(&format!("{name} is {other}, neither 0 nor 1"))),
    }
}

fn understand(answer: &Answer, texts: &[u8], may_fail: bool) -> Result<Answered> {
    match answer.kind {
        abi::RSP_ANSWER_OK => Ok(Answered::Value(flag("value", answer.value)?)),
        abi::RSP_ANSWER_ABORTED => Ok(Answered::Aborted),
        abi::RSP_ANSWER_ERROR if !may_fail => {
            Err(misuse("an error answers a question that has none"))
        }
        abi::RSP_ANSWER_ERROR => {
            let (text, rest) = memory::unpack_one(texts)?;
            let text_v = match rest {
                [] => None,
                rest => Some(memory::unpack::<1>(rest)?[0].to_vec()),
            };
            Ok(Answered::Failed(Foreign {
                token: answer.token,
                text: text.to_vec(),
                text_v,
                errno: answer.os_error,
                not_exist: flag("not_exist", answer.not_exist)?,
                corrupted: flag("corrupted", answer.corrupted)?,
                beside: flag("value", answer.value)?,
            }))
        }
        other => Err(misuse(&format!("answer {other} is unknown"))),
    }
}
