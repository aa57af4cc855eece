//! Does something at the moment at which a line is logged: in the middle of an operation.

use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher, span};

/// What happens when a line is logged.
pub struct AtLine<F> {
    line: &'static str,
    happens: F,
}

/// `happens` every time that `line` is logged.
pub fn at_line<F: Fn() + Send + Sync + 'static>(line: &'static str, happens: F) -> AtLine<F> {
    AtLine { line, happens }
}

impl<F: Fn() + Send + Sync + 'static> AtLine<F> {
    pub fn run<T>(self, operation: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&Dispatch::new(self), operation)
    }
}

impl<F: Fn() + Send + Sync + 'static> Subscriber for AtLine<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "subpath"
    }
    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if message.0 == self.line {
            (self.happens)();
        }
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
