//! Log lines on their way to the caller: a `tracing` subscriber without state, and the thread's
//! current sink, set for as long as a call runs.
//!
//! A line reaches the caller's function at once, so that the last line before a hang is seen.

use std::cell::Cell;
use std::sync::LazyLock;

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, dispatcher};

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

    fn wants(self, level: i32) -> bool {
        level <= abi::RSP_LOG_WARNING || level <= self.verbosity
    }
}

thread_local! {
    static CURRENT: Cell<Option<Sink>> = const { Cell::new(None) };
}

/// One for the process and without state: who listens is in [`CURRENT`].
static DISPATCH: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Lines));

/// Runs `body` with its lines going to `sink`.
pub(crate) fn to<T>(sink: Option<Sink>, body: impl FnOnce() -> T) -> T {
    struct Restore(Option<Sink>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(sink));
    dispatcher::with_default(&DISPATCH, body)
}

/// The level as the boundary numbers it.
fn number(level: &Level) -> i32 {
    match *level {
        Level::ERROR => abi::RSP_LOG_ERROR,
        Level::WARN => abi::RSP_LOG_WARNING,
        Level::INFO => abi::RSP_LOG_V3,
        Level::DEBUG => abi::RSP_LOG_V4,
        Level::TRACE => abi::RSP_LOG_V5,
    }
}

/// Whether an event, or the question whether one is wanted, is a klog line's.
fn is_line(metadata: &Metadata<'_>) -> bool {
    !metadata.is_span() && metadata.target() == subpath_mountinfo::internal::log::TARGET
}

struct Lines;

impl Subscriber for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Whether a line is wanted differs from call to call.
        if is_line(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_line(metadata) && CURRENT.get().is_some_and(|sink| sink.wants(number(metadata.level())))
    }

    fn event(&self, event: &Event<'_>) {
        let Some(sink) = CURRENT.get() else { return };
        let mut line = Line::default();
        event.record(&mut line);
        let line = line.raw.or(line.message).unwrap_or_default();
        (sink.log)(sink.handle, number(event.metadata().level()), line.as_ptr(), line.len());
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The fields of an event that make a line: the exact bytes, or else the message.
#[derive(Default)]
struct Line {
    raw: Option<Vec<u8>>,
    message: Option<Vec<u8>>,
}

impl Visit for Line {
    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        if field.name() == "raw" {
            self.raw = Some(value.to_vec());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" && self.raw.is_none() {
            self.message = Some(format!("{value:?}").into_bytes());
        }
    }
}
