//! One error type for both crates, shaped so that a Go caller gets the error that the original
//! package would have returned: a bare errno, a `*PathError`, a formatted text, a text that wraps
//! another error, or the caller's own error back.
//!
//! It must never lose the errno the kernel answered, nor turn bytes of a path into anything else.

use std::fmt;

use crate::internal::{go_text, sys};
use crate::text;

/// What kind of failure an [`Error`] tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The kernel's answer alone (Go: `syscall.Errno`).
    Errno,
    /// An operation on a path and the kernel's answer (Go: `*fs.PathError`).
    Path,
    /// A sentence; what it was made from is only in its text (Go: `fmt.Errorf` without `%w`).
    Text,
    /// A sentence that wraps the error it was made from (Go: `fmt.Errorf` with `%w`).
    Wrap,
    /// The mounter's own error, passed through (Go: the caller's value itself).
    Foreign,
    /// `fs.ErrNotExist` itself.
    NotExist,
}

/// Why an operation failed: what was tried, on which path, and what the kernel said.
///
/// [`Error::text`] is byte for byte what the original prints; [`fmt::Display`] shows the same with
/// bytes that are not UTF-8 replaced.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Repr>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Repr {
    Errno(i32),
    Path { op: &'static str, path: Vec<u8>, errno: i32 },
    Text { text: Vec<u8>, cause: Option<i32> },
    Wrap { text: Vec<u8>, source: Error },
    Foreign(Foreign),
    NotExist,
}

/// An error that came from a mounter, as much as the operations need to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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

/// The result of every fallible function here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The kernel's answer alone.
    pub fn from_errno(errno: i32) -> Self {
        Error(Box::new(Repr::Errno(errno)))
    }

    /// `op path: errno`, Go's `*fs.PathError`.
    pub fn path(op: &'static str, path: impl Into<Vec<u8>>, errno: i32) -> Self {
        Error(Box::new(Repr::Path { op, path: path.into(), errno }))
    }

    /// What a system call answered for a path, as [`Error::path`] puts it; where the call needed /proc
    /// and that is not mounted, a sentence that says so.
    pub fn of_call(op: &'static str, path: &[u8], errno: i32) -> Self {
        if errno == sys::ENOSYS && !sys::proc_is_there() {
            let why = text!(op, " ", path, ": it needs /proc, which is not mounted: ");
            return Error::flatten(why, &Error::from_errno(errno));
        }
        Error::path(op, path, errno)
    }

    /// A sentence that keeps nothing of its cause for `errors.Is`.
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        Error(Box::new(Repr::Text { text: text.into(), cause: None }))
    }

    /// A sentence made from `prefix` and the text of `cause`; the errno stays readable from Rust
    /// by [`Error::errno`], while Go sees the text alone, as with `fmt.Errorf("…: %s", err)`.
    pub fn flatten(prefix: impl Into<Vec<u8>>, cause: &Error) -> Self {
        let mut text = prefix.into();
        text.extend_from_slice(&cause.text());
        Error(Box::new(Repr::Text { text, cause: cause.errno() }))
    }

    /// A sentence made from `prefix` and the text of `source`, which Go can unwrap, as with
    /// `fmt.Errorf("…: %w", err)`.
    pub fn wrap(prefix: impl Into<Vec<u8>>, source: Error) -> Self {
        let mut text = prefix.into();
        text.extend_from_slice(&source.text_v());
        Error(Box::new(Repr::Wrap { text, source }))
    }

    /// The mounter's own error.
    pub fn foreign(foreign: Foreign) -> Self {
        Error(Box::new(Repr::Foreign(foreign)))
    }

    /// `fs.ErrNotExist` itself.
    pub fn not_exist() -> Self {
        Error(Box::new(Repr::NotExist))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match &*self.0 {
            Repr::Errno(_) => ErrorKind::Errno,
            Repr::Path { .. } => ErrorKind::Path,
            Repr::Text { .. } => ErrorKind::Text,
            Repr::Wrap { .. } => ErrorKind::Wrap,
            Repr::Foreign(_) => ErrorKind::Foreign,
            Repr::NotExist => ErrorKind::NotExist,
        }
    }

    /// The errno the kernel answered, however deep it lies; `None` where no system call failed.
    pub fn errno(&self) -> Option<i32> {
        match &*self.0 {
            Repr::Errno(errno) | Repr::Path { errno, .. } => Some(*errno),
            Repr::Text { cause, .. } => *cause,
            Repr::Wrap { source, .. } => source.errno(),
            Repr::Foreign(f) => (f.errno != 0).then_some(f.errno),
            Repr::NotExist => Some(libc_enoent()),
        }
    }

    /// The operation of a [`ErrorKind::Path`] error: `open`, `mkdir`, `lstat`, …
    pub fn op(&self) -> Option<&'static str> {
        match &*self.0 {
            Repr::Path { op, .. } => Some(op),
            _ => None,
        }
    }

    /// The path of a [`ErrorKind::Path`] error.
    pub fn path_bytes(&self) -> Option<&[u8]> {
        match &*self.0 {
            Repr::Path { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The error that a [`ErrorKind::Wrap`] error wraps.
    pub fn wrapped(&self) -> Option<&Error> {
        match &*self.0 {
            Repr::Wrap { source, .. } => Some(source),
            _ => None,
        }
    }

    /// The mounter's own error, if this is one.
    pub fn as_foreign(&self) -> Option<&Foreign> {
        match &*self.0 {
            Repr::Foreign(f) => Some(f),
            _ => None,
        }
    }

    /// The text, byte for byte as Go's `%s` prints the original's error.
    pub fn text(&self) -> Vec<u8> {
        match &*self.0 {
            Repr::Errno(errno) => go_text::errno_text(*errno).into_owned().into_bytes(),
            Repr::Path { op, path, errno } => {
                let mut text = Vec::with_capacity(op.len() + path.len() + 32);
                text.extend_from_slice(op.as_bytes());
                text.push(b' ');
                text.extend_from_slice(path);
                text.extend_from_slice(b": ");
                text.extend_from_slice(go_text::errno_text(*errno).as_bytes());
                text
            }
            Repr::Text { text, .. } | Repr::Wrap { text, .. } => text.clone(),
            Repr::Foreign(f) => f.text.clone(),
            Repr::NotExist => b"file does not exist".to_vec(),
        }
    }

    /// The text as Go's `%v` prints it: the same but for a mounter's error that formats itself.
    pub fn text_v(&self) -> Vec<u8> {
        match self.as_foreign() {
            Some(Foreign { text_v: Some(text), .. }) => text.clone(),
            _ => self.text(),
        }
    }

    /// Go's `os.IsNotExist`: true for ENOENT alone or in a path error, never through a wrap.
    pub fn is_not_exist(&self) -> bool {
        match &*self.0 {
            Repr::Errno(errno) | Repr::Path { errno, .. } => *errno == libc_enoent(),
            Repr::Foreign(f) => f.not_exist,
            Repr::NotExist => true,
            Repr::Text { .. } | Repr::Wrap { .. } => false,
        }
    }

    /// Go's `os.IsExist`: EEXIST or ENOTEMPTY, alone or in a path error.
    pub fn is_exist(&self) -> bool {
        use rustix::io::Errno;
        match &*self.0 {
            Repr::Errno(errno) | Repr::Path { errno, .. } => {
                *errno == Errno::EXIST.raw_os_error() || *errno == Errno::NOTEMPTY.raw_os_error()
            }
            _ => false,
        }
    }
}

fn libc_enoent() -> i32 {
    rustix::io::Errno::NOENT.raw_os_error()
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Self {
        Error::from_errno(errno.raw_os_error())
    }
}

impl From<nix::errno::Errno> for Error {
    fn from(errno: nix::errno::Errno) -> Self {
        Error::from_errno(errno as i32)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind())
            .field("errno", &self.errno())
            .field("text", &String::from_utf8_lossy(&self.text()))
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.wrapped().map(|e| e as _)
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = error
            .errno()
            .map_or(std::io::ErrorKind::Other, |e| std::io::Error::from_raw_os_error(e).kind());
        std::io::Error::new(kind, error)
    }
}
