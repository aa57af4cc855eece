//! The port of Go's path and text functions against Go itself, over many seeded inputs.
//!
//! tests/go/gosem answers for Go; it is built here, so these tests need `go` and fail where it
//! is missing. `GOSEM_CASES=n` sets the number of inputs for each function (200,000 without it).

// A helper that panics fails its test, as it should; clippy.toml's leave covers the tests alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lexical;
mod links;
mod oracle;
mod random;
#[path = "../scratch/mod.rs"]
mod scratch;
