//! [`Error`]: one type for both crates.
//!
//! It has a [kind](Error::kind) that a Rust program can match, and it holds the error that the original would
//! have returned in Go: a bare errno, a `*PathError`, a formatted text, a text that wraps another error, or
//! the error of a caller's mounter. It keeps the errno that the kernel returned, and the bytes of paths.

mod go;
mod kind;

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use go::{Foreign, GoError};
pub use kind::ErrorKind;

use crate::internal::{go_text, sys};
use crate::text;

/// Why an operation failed: what was tried, on which path, and with which errno.
///
/// [`fmt::Display`] shows all of that in one line. Bytes that are not UTF-8 are replaced.
/// [`Error::original_text`] is what kubernetes prints for the same failure.
///
/// # Examples
/// ```
/// use subpath_mountinfo::{ErrorKind, is_mount_point};
///
/// let error = is_mount_point("/no such file").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(error.raw_os_error(), Some(2)); // ENOENT
/// assert_eq!(error.to_string(), "statx /no such file: no such file or directory");
///
/// // As an error of the standard library: with text and path, or as a bare OS error.
/// let whole = std::io::Error::from(error.clone());
/// assert_eq!(whole.kind(), std::io::ErrorKind::NotFound);
/// assert_eq!(error.to_os_error().unwrap().raw_os_error(), Some(2));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Repr>);

/// The result of every fallible function of both crates.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Clone, PartialEq, Eq)]
struct Repr {
    go: GoError,
    /// The kind, where it does not follow from the errno.
    kind: Option<ErrorKind>,
    /// What was tried on which path, where the original's error does not say it.
    about: Option<(&'static str, Vec<u8>)>,
    /// What is shown in place of the original's text, where that is of no use.
    shown: Option<Vec<u8>>,
}

impl From<GoError> for Error {
    fn from(go: GoError) -> Self {
        Error(Box::new(Repr { go, kind: None, about: None, shown: None }))
    }
}

impl Error {
    /// Returns the kind of failure, for matching.
    pub fn kind(&self) -> ErrorKind {
        if let Some(kind) = self.0.kind {
            return kind;
        }
        match (self.cause(), self.raw_os_error()) {
            (Some(cause), _) => cause.kind(),
            (None, Some(errno)) => ErrorKind::of_errno(errno),
            (None, None) => ErrorKind::Other,
        }
    }

    /// Returns the errno of the system call that failed, even if it is wrapped in other errors. It is `None` if
    /// no system call failed.
    pub fn raw_os_error(&self) -> Option<i32> {
        match &self.0.go {
            GoError::Errno(errno) | GoError::Path { errno, .. } => Some(*errno),
            GoError::Text { cause, .. } => cause.as_ref()?.raw_os_error(),
            GoError::Wrap { source, .. } => source.raw_os_error(),
            GoError::Foreign(f) => (f.errno != 0).then_some(f.errno),
            GoError::NotExist => Some(sys::ENOENT),
        }
    }

    /// Returns the path that the failed system call was given. It is `None` if no system call failed, or if it
    /// has no path.
    pub fn path(&self) -> Option<&Path> {
        let path = match (&self.0.go, &self.0.about) {
            (GoError::Path { path, .. }, _) | (_, Some((_, path))) => path,
            _ => return self.cause()?.path(),
        };
        Some(Path::new(OsStr::from_bytes(path)))
    }

    /// Returns the bare OS error, without text and path, as the standard library returns it for a failed system
    /// call. It is `None` if no system call failed.
    pub fn to_os_error(&self) -> Option<io::Error> {
        self.raw_os_error().map(io::Error::from_raw_os_error)
    }

    /// Returns the text of the error that kubernetes' code returns for this failure, byte for byte.
    pub fn original_text(&self) -> Vec<u8> {
        match &self.0.go {
            GoError::Errno(errno) => go_text::errno_text(*errno).into_owned().into_bytes(),
            GoError::Path { op, path, errno } => {
                text!("%s %s: %s", op, path, go_text::errno_text(*errno).as_bytes())
            }
            GoError::Text { text, .. } | GoError::Wrap { text, .. } => text.clone(),
            GoError::Foreign(f) => f.text.clone(),
            GoError::NotExist => b"file does not exist".to_vec(),
        }
    }

    /// What this error was made from.
    fn cause(&self) -> Option<&Error> {
        match &self.0.go {
            GoError::Text { cause, .. } => cause.as_ref(),
            GoError::Wrap { source, .. } => Some(source),
            _ => None,
        }
    }

    fn shown(&self) -> Vec<u8> {
        match (&self.0.shown, &self.0.about, self.raw_os_error()) {
            (Some(shown), ..) => shown.clone(),
            (None, Some((op, path)), Some(errno)) => {
                text!("%s %s: %s", op, path, go_text::errno_text(errno).as_bytes())
            }
            _ => self.original_text(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.shown()))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind())
            .field("raw_os_error", &self.raw_os_error())
            .field("path", &self.path())
            .field("message", &self.to_string())
            .finish()
    }
}

impl std::error::Error for Error {
    /// Returns the error from which this one was made. Its text is part of this one's.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().map(|cause| cause as _)
    }
}

/// Keeps kind, text and path. To get the errno, downcast the inner error to [`Error`]. For the bare OS error
/// use [`Error::to_os_error`].
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = error.kind().to_io(error.raw_os_error());
        io::Error::new(kind, error)
    }
}

/// For a program's own [`Mounter`](crate::Mounter): keeps errno and text. If the `io::Error` was made from an
/// [`Error`], returns that.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(inner) => inner,
            Err(error) => Error::from(GoError::Foreign(Foreign {
                text: error.to_string().into_bytes(),
                errno: error.raw_os_error().unwrap_or(0),
                not_exist: error.kind() == io::ErrorKind::NotFound,
                corrupted: error.raw_os_error().is_some_and(sys::is_corrupted_errno),
                // As mount-utils answers beside its errors: no mount point.
                beside: true,
                ..Foreign::default()
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flatten, wrap};
    use std::error::Error as _;

    #[test]
    fn the_errno_is_found_however_deep_it_lies() {
        let path = Error::at_path("mkdir", "/a", sys::EBUSY);
        let text = flatten!("error creating %s: %s", b"/a", path.clone());
        let wrap = wrap!("failed: %w", text.clone());
        assert_eq!(wrap.kind(), ErrorKind::Busy);
        assert_eq!(wrap.raw_os_error(), Some(sys::EBUSY));
        assert_eq!(wrap.path(), Some(Path::new("/a")));
        assert_eq!(
            wrap.to_string(),
            "failed: error creating /a: mkdir /a: device or resource busy"
        );
        assert_eq!(wrap.source().unwrap().to_string(), text.to_string());
        assert!(path.source().is_none());
    }

    #[test]
    fn a_bare_errno_names_its_path_to_rust_and_not_to_go() {
        let error = Error::from_errno(sys::ENOENT).about("statx", b"/a\xff");
        assert_eq!(error.to_string(), "statx /a\u{fffd}: no such file or directory");
        assert_eq!(error.original_text(), b"no such file or directory");
    }

    #[test]
    fn errors_of_the_standard_library_go_in_and_out() {
        let error = Error::at_path("umount", "/a", sys::EBUSY);
        let whole = io::Error::from(error.clone());
        assert_eq!(whole.kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(Error::from(whole), error);
        let bare = Error::from(io::Error::from_raw_os_error(sys::ENOTCONN));
        assert_eq!(bare.kind(), ErrorKind::DeadMount);
        assert_eq!(bare.to_os_error().unwrap().raw_os_error(), Some(sys::ENOTCONN));
        let other = Error::from(io::Error::other("it rains"));
        assert_eq!((other.kind(), other.to_string()), (ErrorKind::Other, "it rains".to_owned()));
    }
}
