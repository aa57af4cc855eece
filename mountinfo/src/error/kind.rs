//! What kinds of failures there are.

use std::io;

use crate::internal::sys;

/// What kind of failure an [`Error`](crate::Error) tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing is at the path (ENOENT).
    NotFound,
    /// Something is at the path already (EEXIST).
    AlreadyExists,
    /// A component of the path is no directory (ENOTDIR), which a file or a symlink may be that was put
    /// there meanwhile.
    NotADirectory,
    /// A directory is at the path where something else is wanted (EISDIR).
    IsADirectory,
    /// A directory is not empty (ENOTEMPTY).
    DirectoryNotEmpty,
    /// A symlink is in the way, where none is followed (ELOOP).
    Symlink,
    /// The path leads out of the volume, or out of the base.
    OutsideVolume,
    /// Something is used by a process, or mounted where nothing may be (EBUSY).
    Busy,
    /// A server did not answer in time (ETIMEDOUT).
    TimedOut,
    /// The caller may not do this (EPERM, EACCES).
    PermissionDenied,
    /// The file system is read-only (EROFS).
    ReadOnly,
    /// The mount's server or device is gone (ENOTCONN, ESTALE, EIO, EHOSTDOWN, ENODEV, ECONNREFUSED).
    DeadMount,
    /// No space or quota is left (ENOSPC, EDQUOT).
    StorageFull,
    /// No descriptor, memory or thread is left (EMFILE, ENFILE, ENOMEM, EAGAIN).
    ResourcesExhausted,
    /// The input is none that can be right: a NUL byte in a path, a path or name that is too long, a
    /// mode with unknown bits, nothing mounted where something is to be unmounted (EINVAL, ENAMETOOLONG).
    InvalidInput,
    /// The kernel or the file system knows no such call (ENOSYS, EOPNOTSUPP).
    Unsupported,
    /// A line of a mount table is malformed.
    MalformedTable {
        /// The line's number, from 1 on.
        line: usize,
        /// The field's name, as proc_pid_mountinfo(5) has it.
        field: &'static str,
    },
    /// Any other failure; see [`Error::raw_os_error`](crate::Error::raw_os_error).
    Other,
}

impl ErrorKind {
    /// The kind that follows from an errno.
    pub(super) fn of_errno(errno: i32) -> Self {
        use nix::libc;
        match errno {
            libc::ENOENT => ErrorKind::NotFound,
            libc::EEXIST => ErrorKind::AlreadyExists,
            libc::ENOTDIR => ErrorKind::NotADirectory,
            libc::EISDIR => ErrorKind::IsADirectory,
            libc::ENOTEMPTY => ErrorKind::DirectoryNotEmpty,
            libc::ELOOP => ErrorKind::Symlink,
            libc::EBUSY => ErrorKind::Busy,
            libc::ETIMEDOUT => ErrorKind::TimedOut,
            libc::EPERM | libc::EACCES => ErrorKind::PermissionDenied,
            libc::EROFS => ErrorKind::ReadOnly,
            libc::ENOSPC | libc::EDQUOT => ErrorKind::StorageFull,
            libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN => {
                ErrorKind::ResourcesExhausted
            }
            libc::EINVAL | libc::ENAMETOOLONG => ErrorKind::InvalidInput,
            libc::ENOSYS | libc::EOPNOTSUPP => ErrorKind::Unsupported,
            errno if sys::is_corrupted_errno(errno) => ErrorKind::DeadMount,
            _ => ErrorKind::Other,
        }
    }

    /// The standard library's kind: that of the errno, or the nearest.
    pub(super) fn to_io(self, errno: Option<i32>) -> io::ErrorKind {
        if let Some(errno) = errno {
            return io::Error::from_raw_os_error(errno).kind();
        }
        match self {
            ErrorKind::OutsideVolume | ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
            ErrorKind::MalformedTable { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        }
    }
}
