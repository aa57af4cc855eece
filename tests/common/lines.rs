//! What is logged: to look at it, and to do something at the moment at which a line comes, in the middle
//! of an operation.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher, span};

/// Notes the lines that are logged by its thread.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub fn of<T>(&self, operation: impl FnOnce() -> T) -> T {
        let lines = Arc::clone(&self.0);
        let here = std::thread::current().id();
        let note = move |line: &str| {
            assert_eq!(std::thread::current().id(), here, "{line}");
            lines.lock().expect("the lines").push(line.to_owned());
        };
        dispatcher::with_default(&Dispatch::new(EachLine(note)), operation)
    }

    /// The lines since it was last asked.
    pub fn all(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("the lines"))
    }
}

/// What happens when a line is logged.
pub struct AtLine<F> {
    line: &'static str,
    happens: F,
}

/// `happens` every time that a line is logged that begins with `line`.
pub fn at_line<F: Fn() + Send + Sync + 'static>(line: &'static str, happens: F) -> AtLine<F> {
    AtLine { line, happens }
}

impl<F: Fn() + Send + Sync + 'static> AtLine<F> {
    pub fn run<T>(self, operation: impl FnOnce() -> T) -> T {
        let happens = move |line: &str| {
            if line.starts_with(self.line) {
                (self.happens)();
            }
        };
        dispatcher::with_default(&Dispatch::new(EachLine(happens)), operation)
    }
}

/// Is told each line.
struct EachLine<F>(F);

impl<F: Fn(&str) + Send + Sync + 'static> Subscriber for EachLine<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "subpath"
    }
    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        (self.0)(&message.0);
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
