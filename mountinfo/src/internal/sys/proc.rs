//! Paths in /proc that name an open descriptor, for system calls that take only a path and for other
//! processes.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::fcntl::OFlag;

use super::{ENOENT, ENOSYS, RawErrno, Sys, fstat, lstat, readlink, retry, stat};

/// Returns /proc/thread-self/fd/N, or with a name the path of that entry below it.
///
/// Not /proc/self, which is the main thread: a thread may have its own descriptor table (unshare(2) with
/// `CLONE_FILES`), in which the number refers to another file. Every /proc that shows the process has both
/// links, also one mounted with `hidepid` or `subset=pid` (proc(5), Linux 3.17).
pub fn proc_path_of(fd: BorrowedFd<'_>, name: Option<&[u8]>) -> Vec<u8> {
    let mut path = format!("/proc/thread-self/fd/{}", fd.as_raw_fd()).into_bytes();
    if let Some(name) = name {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

/// Returns /proc/thread-self/fdinfo/N.
pub(super) fn proc_info_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/thread-self/fdinfo/{}", fd.as_raw_fd())
}

/// Converts the errno of a call that used the path in /proc of a descriptor: ENOENT becomes ENOSYS if
/// /proc itself is missing, so that it is not mistaken for a missing entry.
pub(crate) fn or_no_proc(errno: RawErrno) -> RawErrno {
    if errno == ENOENT && !proc_is_there() { ENOSYS } else { errno }
}

/// Reports whether /proc shows the descriptors of this thread.
pub fn proc_is_there() -> bool {
    lstat(b"/proc/thread-self/fd") != Err(ENOENT)
}

/// Returns the path of an open file. The kernel appends " (deleted)" if it was deleted. ENOSYS if /proc is
/// not mounted.
pub fn real_path_of(fd: BorrowedFd<'_>) -> Sys<Vec<u8>> {
    readlink(&proc_path_of(fd, None)).map_err(or_no_proc)
}

/// Returns /proc/PID/fd/N, the path by which other threads and processes reach the descriptor;
/// /proc/TID/fd/N if this thread has its own descriptor table.
pub fn proc_path_for_others(fd: BorrowedFd<'_>) -> Sys<Vec<u8>> {
    // /proc/PID/fd shows the descriptor table of the main thread.
    let owner = own_table()?.unwrap_or(nix::unistd::getpid().as_raw());
    Ok(format!("/proc/{owner}/fd/{}", fd.as_raw_fd()).into_bytes())
}

/// Returns the ID of this thread if its descriptor table is not that of the main thread, else `None`.
pub fn own_table() -> Sys<Option<i32>> {
    let (process, thread) = (nix::unistd::getpid(), nix::unistd::gettid());
    Ok((thread != process && has_own_table()?).then_some(thread.as_raw()))
}

/// Reports whether this thread's descriptor table is not that of the main thread.
///
/// It opens a pipe and looks for it under the same number in both tables. Nobody else can have that pipe,
/// while any other file may be open in both, and the other thread may close its own at any moment. kcmp(2)
/// would be simpler, but sandboxes refuse it.
fn has_own_table() -> Sys<bool> {
    let (end, _other) = retry(|| nix::unistd::pipe2(OFlag::O_CLOEXEC))?;
    let pipe = fstat(&end)?;
    let is_in = |table: &str| -> Result<bool, RawErrno> {
        match stat(format!("/proc/{table}/fd/{}", end.as_raw_fd()).as_bytes()) {
            Ok(found) => Ok(found.same_file(&pipe)),
            Err(ENOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    };
    // Without /proc it is in neither. Whoever then uses the path gets the error.
    Ok(!is_in("self")? && is_in("thread-self")?)
}
