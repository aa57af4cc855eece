//! The log lines of both crates, which are klog's lines of the original.
//!
//! A line goes out as a tracing event with the target `subpath`: its message is the line as text, and
//! its fields `path`, `target` and `errno` say what it is about. INFO, DEBUG and TRACE are klog's V(3),
//! V(4) and V(5). A line that nobody wants is never put together.
//!
//! Paths need not be UTF-8. A thread can therefore have a [sink](Sink), which receives each line as bytes
//! instead of tracing. The C boundary sets one for the time of a call. So does a thread that
//! the library starts: it must meet no call site of tracing, which would note for the whole process that
//! nobody there wants it. Its lines go out on the thread that waits.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tracing::Level;
use tracing::level_filters::LevelFilter;

/// The target of every log line of both crates.
pub const TARGET: &str = "subpath";

/// Logs one line: `log!(DEBUG, path = path, "Creating %s within %q", name, base)`. The fields, any of
/// `path`, `target` and `errno` in this order, may be left out; for the format see
/// [`text!`](crate::text).
#[macro_export]
#[doc(hidden)]
macro_rules! log {
    (
        $level:ident,
        $(path = $path:expr,)? $(target = $target:expr,)? $(errno = $errno:expr,)?
        $format:literal $(, $operand:expr)* $(,)?
    ) => {{
        use $crate::internal::log;
        let sunk = log::sink_wants(::tracing::Level::$level);
        if sunk.unwrap_or_else(
            || ::tracing::enabled!(target: $crate::internal::log::TARGET, ::tracing::Level::$level)
        ) {
            #[allow(unused_mut)]
            let mut line = log::Line::new(
                ::tracing::Level::$level,
                $crate::text!($format $(, $operand)*),
            );
            $( line.path = Some(::core::convert::AsRef::<[u8]>::as_ref(&$path).to_vec()); )?
            $( line.target = Some(::core::convert::AsRef::<[u8]>::as_ref(&$target).to_vec()); )?
            $( line.errno = $errno.into(); )?
            if sunk.is_some() {
                log::sink(line);
            } else {
                $crate::event!($level, line);
            }
        }
    }};
}

/// Sends out a [`Line`] by tracing.
#[macro_export]
#[doc(hidden)]
macro_rules! event {
    ($level:ident, $line:expr) => {{
        let line = &$line;
        let shown = |bytes: &Option<Vec<u8>>| {
            bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        ::tracing::event!(
            target: $crate::internal::log::TARGET,
            ::tracing::Level::$level,
            path = shown(&line.path),
            target = shown(&line.target),
            errno = line.errno,
            "{}",
            ::std::string::String::from_utf8_lossy(&line.text)
        )
    }};
}

/// One log line.
pub struct Line {
    /// Its level.
    pub level: Level,
    /// Its text, byte for byte as the original prints it.
    pub text: Vec<u8>,
    /// The path that it is about.
    pub path: Option<Vec<u8>>,
    /// Where something is mounted, or is to be.
    pub target: Option<Vec<u8>>,
    /// What the kernel answered.
    pub errno: Option<i32>,
}

impl Line {
    /// A line about nothing in particular.
    pub fn new(level: Level, text: Vec<u8>) -> Self {
        Line { level, text, path: None, target: None, errno: None }
    }

    /// Logs the line on this thread.
    pub(crate) fn log(self) {
        match sink_wants(self.level) {
            Some(true) => return sink(self),
            Some(false) => return,
            None => {}
        }
        match self.level {
            Level::ERROR => event!(ERROR, self),
            Level::WARN => event!(WARN, self),
            Level::INFO => event!(INFO, self),
            Level::DEBUG => event!(DEBUG, self),
            Level::TRACE => event!(TRACE, self),
        }
    }
}

/// What takes the lines of a thread.
pub type Sink = Rc<dyn Fn(Line)>;

thread_local! {
    /// The lines that this thread's sink wants; `None` where there is none.
    static WANTED: Cell<Option<LevelFilter>> = const { Cell::new(None) };
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

/// Whether this thread's sink wants a line of this level; `None` where there is none.
pub fn sink_wants(level: Level) -> Option<bool> {
    WANTED.get().map(|most| level <= most)
}

/// Hands a line to this thread's sink.
pub fn sink(line: Line) {
    // Not borrowed while it runs: it may log, or run an operation with another sink.
    let sink = SINK.with_borrow(Clone::clone);
    if let Some(sink) = sink {
        sink(line);
    }
}

/// Runs `body` with this thread's lines going to a sink, as far as they are wanted.
pub fn with_sink<T>(wanted: LevelFilter, sink: Sink, body: impl FnOnce() -> T) -> T {
    struct Restore(Option<LevelFilter>, Option<Sink>);
    impl Drop for Restore {
        fn drop(&mut self) {
            // Dropped when nothing is borrowed any more: it may log.
            let ended = SINK.replace(self.1.take());
            WANTED.set(self.0);
            drop(ended);
        }
    }
    let _restore = Restore(WANTED.replace(Some(wanted)), SINK.replace(Some(sink)));
    body()
}

/// Whether the lines of klog's V(5) are wanted on this thread.
pub fn wants_trace() -> bool {
    let asks = || ::tracing::enabled!(target: TARGET, Level::TRACE);
    sink_wants(Level::TRACE).unwrap_or_else(asks)
}

/// The lines that are wanted on this thread.
pub fn wanted() -> LevelFilter {
    macro_rules! first_enabled {
        ($($level:ident)+) => {
            $( if ::tracing::enabled!(target: TARGET, Level::$level) {
                return LevelFilter::$level;
            } )+
        };
    }
    if let Some(wanted) = WANTED.get() {
        return wanted;
    }
    first_enabled!(TRACE DEBUG INFO WARN ERROR);
    LevelFilter::OFF
}

/// A subscriber of tracing for unit tests.
#[cfg(test)]
pub(crate) mod recorder {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};
    use std::thread::ThreadId;

    use tracing::field::{Field, Visit};
    use tracing::{Event, Level, Metadata, Subscriber, span};

    /// The fields of an event, and the thread on which it was logged.
    type Logged = (Vec<String>, ThreadId);

    /// Records each event from DEBUG on.
    #[derive(Clone, Default)]
    pub(crate) struct Recorder(pub(crate) Arc<Mutex<Vec<Logged>>>);

    struct Fields(Vec<String>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.push(format!("{}={value:?}", field.name()));
        }
    }

    impl Subscriber for Recorder {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::DEBUG
        }
        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields(Vec::new());
            event.record(&mut fields);
            self.0.lock().unwrap().push((fields.0, std::thread::current().id()));
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{Dispatch, dispatcher};

    #[test]
    fn an_event_has_fields_beside_its_text() {
        let events = recorder::Recorder::default();
        dispatcher::with_default(&Dispatch::new(events.clone()), || {
            crate::log!(WARN, path = b"/a", errno = 2, "cannot %s %q", "open", b"/a\xff");
            crate::log!(WARN, target = b"/b", "unmounting");
        });
        let mut recorded: Vec<_> = events.0.lock().unwrap().drain(..).map(|(f, _)| f).collect();
        recorded.iter_mut().for_each(|fields| fields.sort());
        assert_eq!(
            recorded,
            [
                vec!["errno=2", r#"message=cannot open "/a\xff""#, r#"path="/a""#],
                vec!["message=unmounting", r#"target="/b""#],
            ]
        );
    }

    #[test]
    fn a_sink_gets_the_bytes_in_the_place_of_tracing() {
        let lines = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&lines);
        let sink: Sink = Rc::new(move |line| sink.borrow_mut().push((line.level, line.text)));
        with_sink(LevelFilter::DEBUG, sink, || {
            crate::log!(DEBUG, "at %s", b"/a\xff");
            crate::log!(TRACE, "not wanted");
        });
        crate::log!(DEBUG, "nobody hears it");
        assert_eq!(*lines.borrow(), [(Level::DEBUG, b"at /a\xff".to_vec())]);
    }
}
