//! The original's errors: how they are made, and the results of Go's functions on them, such as
//! `os.IsNotExist`. Only the crates of this project use it.

use super::Error;
use crate::error::ErrorKind;
use crate::internal::sys;

/// Makes an error whose text ends with that of its cause, which is the last operand:
/// `flatten!("lstat %s failed: %s", path, cause)`. In Go nothing but that text is left of the cause
/// (`fmt.Errorf("…: %s", err)`). For the format see [`text!`](crate::text).
#[macro_export]
#[doc(hidden)]
macro_rules! flatten {
    ($format:literal, $($operand:expr),+ $(,)?) => {
        $crate::with_cause!(flatten, $format, [] $($operand),+)
    };
}

/// Makes an error as [`flatten!`](crate::flatten) does, but one of which Go can unwrap the cause
/// (`fmt.Errorf("…: %w", err)`).
#[macro_export]
#[doc(hidden)]
macro_rules! wrap {
    ($format:literal, $($operand:expr),+ $(,)?) => {
        $crate::with_cause!(wrap, $format, [] $($operand),+)
    };
}

/// Moves the operands before the cause into the brackets, one at a time.
#[macro_export]
#[doc(hidden)]
macro_rules! with_cause {
    ($make:ident, $format:literal, [$($before:expr,)*] $cause:expr) => {{
        let cause: $crate::Error = $cause;
        $crate::Error::$make($crate::text!($format $(, $before)*, cause), cause)
    }};
    ($make:ident, $format:literal, [$($before:expr,)*] $next:expr, $($rest:expr),+) => {
        $crate::with_cause!($make, $format, [$($before,)* $next,] $($rest),+)
    };
}

/// The error that the original would have returned.
#[derive(Clone, PartialEq, Eq)]
pub enum GoError {
    /// The kernel's answer alone (`syscall.Errno`).
    Errno(i32),
    /// An operation on a path and the kernel's answer (`*fs.PathError`).
    Path {
        /// The operation: `open`, `mkdir`, `lstat`, …
        op: &'static str,
        /// The path.
        path: Vec<u8>,
        /// The kernel's answer.
        errno: i32,
    },
    /// A text that contains the text of its cause, if it has one (`fmt.Errorf` without `%w`).
    Text {
        /// The sentence.
        text: Vec<u8>,
        /// What it was made from.
        cause: Option<Error>,
    },
    /// A text that wraps its cause (`fmt.Errorf` with `%w`).
    Wrap {
        /// The sentence.
        text: Vec<u8>,
        /// What it was made from.
        source: Error,
    },
    /// The error of a caller's mounter, passed through.
    Foreign(Foreign),
    /// `fs.ErrNotExist` itself.
    NotExist,
}

/// An error of a caller's mounter, with what the operations need to know about it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Foreign {
    /// A number by which the mounter's owner finds its own error value again; 0 for none.
    pub token: u64,
    /// The error's text, as Go's `%s` prints it.
    pub text: Vec<u8>,
    /// The error's text as Go's `%v` prints it, where that differs.
    pub text_v: Option<Vec<u8>>,
    /// The errno behind it, if one is known; 0 for none.
    pub errno: i32,
    /// Whether Go's `os.IsNotExist` says yes.
    pub not_exist: bool,
    /// Whether mount-utils' `IsCorruptedMnt` says yes.
    pub corrupted: bool,
    /// The boolean that Go's mounter answered beside the error.
    pub beside: bool,
}

#[doc(hidden)]
impl Error {
    /// The kernel's answer alone.
    pub fn from_errno(errno: i32) -> Self {
        GoError::Errno(errno).into()
    }

    /// `op path: errno`, Go's `*fs.PathError`.
    pub fn at_path(op: &'static str, path: impl AsRef<[u8]>, errno: i32) -> Self {
        GoError::Path { op, path: path.as_ref().to_vec(), errno }.into()
    }

    /// Returns the error of a system call on a path, as [`Error::at_path`] does. If the call needed /proc, and
    /// that is not mounted, the text says so.
    pub fn of_call(op: &'static str, path: &[u8], errno: i32) -> Self {
        if errno == sys::ENOSYS && !sys::proc_is_there() {
            let errno = Error::from_errno(errno);
            return flatten!("%s %s: it needs /proc, which is not mounted: %s", op, path, errno);
        }
        Error::at_path(op, path, errno)
    }

    /// Makes an error with a text and no cause.
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        GoError::Text { text: text.into(), cause: None }.into()
    }

    /// What [`flatten!`](crate::flatten) makes.
    pub fn flatten(text: Vec<u8>, cause: Error) -> Self {
        GoError::Text { text, cause: Some(cause) }.into()
    }

    /// What [`wrap!`](crate::wrap) makes.
    pub fn wrap(text: Vec<u8>, source: Error) -> Self {
        GoError::Wrap { text, source }.into()
    }

    /// `fs.ErrNotExist` itself.
    pub fn not_exist() -> Self {
        GoError::NotExist.into()
    }

    /// Sets the kind of an error for which no errno gives it.
    pub fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = Some(kind);
        self
    }

    /// Adds the operation and its path, for an error whose original does not have them.
    pub fn about(mut self, op: &'static str, path: impl AsRef<[u8]>) -> Self {
        self.0.about = Some((op, path.as_ref().to_vec()));
        self
    }

    /// Sets the text that is displayed instead of the original's, if that does not help.
    pub fn shown_as(mut self, text: Vec<u8>) -> Self {
        self.0.shown = Some(text);
        self
    }

    /// The error that the original would have returned.
    pub fn as_go(&self) -> &GoError {
        &self.0.go
    }

    /// The mounter's own error, if this is one.
    pub fn as_foreign(&self) -> Option<&Foreign> {
        match self.as_go() {
            GoError::Foreign(foreign) => Some(foreign),
            _ => None,
        }
    }

    /// The text as Go's `%v` prints it: that of `%s` but for a mounter's error that formats itself.
    pub fn text_v(&self) -> Vec<u8> {
        match self.as_foreign() {
            Some(Foreign { text_v: Some(text), .. }) => text.clone(),
            _ => self.original_text(),
        }
    }

    /// Go's `os.IsNotExist`: true for ENOENT alone or in a path error, never through a wrap.
    pub fn is_not_exist(&self) -> bool {
        match self.as_go() {
            GoError::Errno(errno) | GoError::Path { errno, .. } => *errno == sys::ENOENT,
            GoError::Foreign(f) => f.not_exist,
            GoError::NotExist => true,
            GoError::Text { .. } | GoError::Wrap { .. } => false,
        }
    }

    /// Go's `os.IsExist`: EEXIST or ENOTEMPTY, alone or in a path error.
    pub fn is_exist(&self) -> bool {
        match self.as_go() {
            GoError::Errno(errno) | GoError::Path { errno, .. } => {
                matches!(*errno, sys::EEXIST | sys::ENOTEMPTY)
            }
            _ => false,
        }
    }
}
