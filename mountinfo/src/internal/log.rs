//! Texts of bytes, and the log lines made of them.
//!
//! A line goes out as a tracing event with target `subpath`: its message is the line as text, and
//! the field `raw` holds its exact bytes, since a path need not be UTF-8. INFO, DEBUG and TRACE are
//! klog's V(3), V(4) and V(5). A line that nobody wants is never put together.
//!
//! A thread that the library starts meets no call site of tracing, which would note for the whole
//! process that nobody there wants it: its lines are captured, and go out on the thread that waits.

use std::cell::{Cell, RefCell};

use tracing::Level;
use tracing::level_filters::LevelFilter;

/// The target of every log line of both crates.
pub const TARGET: &str = "subpath";

/// Puts byte strings together: `text!("lstat ", path, " failed: ", error.text())`.
#[macro_export]
#[doc(hidden)]
macro_rules! text {
    ($($part:expr),+ $(,)?) => {{
        let mut text: Vec<u8> = Vec::with_capacity(128);
        $( text.extend_from_slice(::core::convert::AsRef::<[u8]>::as_ref(&$part)); )+
        text
    }};
}

/// Logs one line: `log!(DEBUG, "Creating ", name)`.
#[macro_export]
#[doc(hidden)]
macro_rules! log {
    ($level:ident, $($part:expr),+ $(,)?) => {
        match $crate::internal::log::captures(::tracing::Level::$level) {
            Some(true) => $crate::internal::log::capture(::tracing::Level::$level, $crate::text!($($part),+)),
            Some(false) => {}
            None if ::tracing::enabled!(target: $crate::internal::log::TARGET, ::tracing::Level::$level) => {
                let line = $crate::text!($($part),+);
                $crate::event!($level, &line);
            }
            None => {}
        }
    };
}

/// Sends out a line that is put together already.
#[macro_export]
#[doc(hidden)]
macro_rules! event {
    ($level:ident, $line:expr) => {
        ::tracing::event!(
            target: $crate::internal::log::TARGET,
            ::tracing::Level::$level,
            raw = &$line[..],
            "{}",
            ::std::string::String::from_utf8_lossy($line)
        )
    };
}

/// A line that was captured.
#[derive(Debug)]
pub(crate) struct Line {
    level: Level,
    text: Vec<u8>,
}

impl Line {
    /// Logs the line on this thread.
    pub(crate) fn log(&self) {
        match self.level {
            Level::ERROR => event!(ERROR, &self.text),
            Level::WARN => event!(WARN, &self.text),
            Level::INFO => event!(INFO, &self.text),
            Level::DEBUG => event!(DEBUG, &self.text),
            Level::TRACE => event!(TRACE, &self.text),
        }
    }
}

type Sink = Box<dyn Fn(Line)>;

thread_local! {
    /// Which lines of this thread are captured; `None` on a thread that is not the library's.
    static CAPTURED: Cell<Option<LevelFilter>> = const { Cell::new(None) };
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

/// Whether a line of this level is captured on this thread; `None` where none is.
pub fn captures(level: Level) -> Option<bool> {
    CAPTURED.get().map(|most| level <= most)
}

/// Hands a line to whoever captures this thread's.
pub fn capture(level: Level, text: Vec<u8>) {
    SINK.with_borrow(|sink| sink.as_ref().map(|sink| sink(Line { level, text })));
}

/// Captures this thread's lines from now on, as far as they are wanted.
pub(crate) fn capture_all(wanted: LevelFilter, sink: impl Fn(Line) + 'static) {
    SINK.set(Some(Box::new(sink)));
    CAPTURED.set(Some(wanted));
}

/// The lines that are wanted on this thread.
pub(crate) fn wanted() -> LevelFilter {
    macro_rules! first_enabled {
        ($($level:ident)+) => {
            $( if ::tracing::enabled!(target: TARGET, Level::$level) {
                return LevelFilter::$level;
            } )+
        };
    }
    first_enabled!(TRACE DEBUG INFO WARN ERROR);
    LevelFilter::OFF
}
