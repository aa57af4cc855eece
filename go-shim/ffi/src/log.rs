//! Log lines on their way to the caller, for as long as a call runs.
//!
//! A line reaches the caller's function at once, so that the last line before a hang is seen.

use std::rc::Rc;

use subpath_mountinfo::internal::log::{self, Line};
use tracing::Level;
use tracing::level_filters::LevelFilter;

use crate::abi::{self, Options};

type LogFn = extern "C" fn(handle: u64, level: i32, line: *const u8, line_len: usize);

/// Where a call's lines go, and which of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sink {
    verbosity: i32,
    log: LogFn,
    handle: u64,
}

impl Sink {
    pub(crate) fn of(options: &Options) -> Option<Self> {
        let (verbosity, handle) = (options.verbosity, options.log_handle);
        options.log.map(|log| Sink { verbosity, log, handle })
    }

    /// Warnings and errors always.
    fn wanted(self) -> LevelFilter {
        match self.verbosity {
            abi::RSP_LOG_V5.. => LevelFilter::TRACE,
            abi::RSP_LOG_V4 => LevelFilter::DEBUG,
            abi::RSP_LOG_V3 => LevelFilter::INFO,
            _ => LevelFilter::WARN,
        }
    }
}

/// Runs `body` with its lines going to `sink`.
pub(crate) fn to<T>(sink: Option<Sink>, body: impl FnOnce() -> T) -> T {
    let Some(sink) = sink else {
        return log::with_sink(LevelFilter::OFF, Rc::new(drop), body);
    };
    let hand_over = move |line: Line| {
        (sink.log)(sink.handle, number(line.level), line.text.as_ptr(), line.text.len());
    };
    log::with_sink(sink.wanted(), Rc::new(hand_over), body)
}

/// The level as the boundary numbers it.
fn number(level: Level) -> i32 {
    match level {
        Level::ERROR => abi::RSP_LOG_ERROR,
        Level::WARN => abi::RSP_LOG_WARNING,
        Level::INFO => abi::RSP_LOG_V3,
        Level::DEBUG => abi::RSP_LOG_V4,
        Level::TRACE => abi::RSP_LOG_V5,
    }
}
