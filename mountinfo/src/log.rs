//! Texts of bytes, and the log lines made of them.
//!
//! A line goes out as a tracing event with target `subpath`: its message is the line as text, and
//! the field `raw` holds its exact bytes, since a path need not be UTF-8. INFO, DEBUG and TRACE are
//! klog's V(3), V(4) and V(5). A line that nobody wants is never put together.

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
        if ::tracing::enabled!(target: $crate::log::TARGET, ::tracing::Level::$level) {
            let line = $crate::text!($($part),+);
            ::tracing::event!(
                target: $crate::log::TARGET,
                ::tracing::Level::$level,
                raw = &line[..],
                "{}",
                ::std::string::String::from_utf8_lossy(&line)
            );
        }
    };
}
