//! The C boundary: the operations of the crates `subpath` and `subpath-mountinfo` as functions that a
//! C, Go or C++ program can call. Its header is
//! `go-shim/internal/boundary/rustsubpath.h`, generated from this folder. The static library made of it
//! is what the Go package links.
//!
//! | file | what it holds |
//! |---|---|
//! | `abi.rs` | the types and numbers that cross, as the header shows them |
//! | `exports.rs` | one function per operation |
//! | `mounts.rs` | the same for the mount table and the mount point checks |
//! | `mounting.rs` | the same for mounting and unmounting as mount(8) does |
//! | `call.rs` | what every export does: check, run, catch panics, hand over the outcome |
//! | `operation.rs` | an operation that waits for its caller's mounter |
//! | `reply.rs` | what an operation hands over at its end |
//! | `errors.rs` | errors as a chain of plain structures |
//! | `log.rs` | log lines on their way to the caller's function |
//! | `memory.rs` | every allocation that crosses, and its release |
//! | `scripted_caller.rs` | a caller that makes the calls a script of bytes describes, for the fuzzer |
//!
//! Rules that hold for all of it:
//!
//! * Bytes travel as pointer and length. Nothing is NUL-terminated and nothing is UTF-8.
//! * The logic never calls its caller's mounter. A call that needs an answer returns with a
//!   question ([`RSP_QUESTION`](abi::RSP_QUESTION)), the caller asks its mounter with no frame of
//!   ours below, and [`rsp_resume`](exports::rsp_resume) goes on. A mounter may therefore unwind,
//!   end its thread or call back in, and an operation may be resumed on another thread.
//! * A panic stops at the export and becomes an error.
//! * What a caller gets wrong becomes `EINVAL` wherever it can be seen: null pointers, impossible
//!   lengths, unknown numbers, another ABI version.
//! * There is no state between calls but the operation a caller holds.
//!
//! All `unsafe` code of the project is here, with a reason at each use.

pub mod abi;
mod call;
mod errors;
pub mod exports;
mod log;
mod memory;
pub mod mounting;
pub mod mounts;
mod operation;
mod reply;
#[cfg(fuzzing)]
pub mod scripted_caller;
#[cfg(test)]
mod tests;
