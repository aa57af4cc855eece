//! [`ErrorKind`]: the kinds of failures.

use std::io;

use crate::internal::sys;

/// The kind of failure that an [`Error`](crate::Error) reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing exists at the path (ENOENT).
    NotFound,
    /// Something exists at the path already (EEXIST).
    AlreadyExists,
    /// A component of the path is not a directory (ENOTDIR). It may be a file or a symlink that was put there
    /// meanwhile.
    NotADirectory,
    /// A directory is at the path, where something else is expected (EISDIR).
    IsADirectory,
    /// A directory is not empty (ENOTEMPTY).
    DirectoryNotEmpty,
    /// A component of the path is a symlink, and none may be followed (ELOOP).
    Symlink,
    /// The path leads out of the volume, or out of the base.
    OutsideVolume,
    /// A process uses the mount, or something is mounted where nothing should be (EBUSY).
    Busy,
    /// A server did not answer in time (ETIMEDOUT).
    TimedOut,
    /// The caller lacks the permission (EPERM, EACCES).
    PermissionDenied,
    /// The file system is read-only (EROFS).
    ReadOnly,
    /// The mount's server or device is gone (ENOTCONN, ESTALE, EIO, EHOSTDOWN, ENODEV, ECONNREFUSED).
    DeadMount,
    /// The file system is full, or the quota is used up (ENOSPC, EDQUOT).
    StorageFull,
    /// No descriptor, memory or thread is left (EMFILE, ENFILE, ENOMEM, EAGAIN).
    ResourcesExhausted,
    /// The input cannot be valid: a path with a NUL byte, a path or name that is too long, a mode with unknown
    /// bits, or a path to unmount at which nothing is mounted (EINVAL, ENAMETOOLONG).
    InvalidInput,
    /// The kernel or the file system does not support the call (ENOSYS, EOPNOTSUPP).
    Unsupported,
    /// Only mount(8) or umount(8) can do this; the text says why. Nothing was done.
    NeedsMountProgram,
    /// A line of a mount table is malformed.
    MalformedTable {
        /// The line's number, from 1 on.
        line: usize,
        /// The field's name, as in proc_pid_mountinfo(5).
        field: &'static str,
    },
    /// Any other failure; see [`Error::raw_os_error`](crate::Error::raw_os_error).
    Other,
}

impl ErrorKind {
    /// Returns the kind for an errno.
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

    /// Returns the standard library's kind: that of the errno if there is one, else the nearest.
    pub(super) fn to_io(self, errno: Option<i32>) -> io::ErrorKind {
        if let Some(errno) = errno {
            return io::Error::from_raw_os_error(errno).kind();
        }
        match self {
            ErrorKind::OutsideVolume | ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
            ErrorKind::MalformedTable { .. } => io::ErrorKind::InvalidData,
            ErrorKind::NeedsMountProgram => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::Other,
        }
    }
}
