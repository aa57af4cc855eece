//! The paths in /proc by which a system call, or another process, reaches an open descriptor.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::fcntl::OFlag;

use super::{ENOENT, ENOSYS, RawErrno, Sys, fstat, lstat, readlink, retry, stat};

/// /proc/thread-self/fd/N, or an entry below it.
///
/// Not /proc/self, which is the process's first thread: a thread may have a descriptor table of its own
/// (unshare(2) with `CLONE_FILES`), where the number names another file. Every /proc that shows the
/// process has both links, also one with `hidepid` or `subset=pid` (proc(5), Linux 3.17).
pub fn proc_path_of(fd: BorrowedFd<'_>, name: Option<&[u8]>) -> Vec<u8> {
    let mut path = format!("/proc/thread-self/fd/{}", fd.as_raw_fd()).into_bytes();
    if let Some(name) = name {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

/// /proc/thread-self/fdinfo/N.
pub(super) fn proc_info_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/thread-self/fdinfo/{}", fd.as_raw_fd())
}

/// The errno of a call by the path in /proc of an open descriptor: ENOENT becomes ENOSYS where /proc is
/// what is missing, which says nothing of the entry that was asked for.
pub(crate) fn or_no_proc(errno: RawErrno) -> RawErrno {
    if errno == ENOENT && !proc_is_there() { ENOSYS } else { errno }
}

/// Whether this thread's descriptors are to be seen in /proc.
pub fn proc_is_there() -> bool {
    lstat(b"/proc/thread-self/fd") != Err(ENOENT)
}

/// The path of an open file, which the kernel marks by " (deleted)" where it was deleted. ENOSYS where
/// there is no /proc.
pub fn real_path_of(fd: BorrowedFd<'_>) -> Sys<Vec<u8>> {
    readlink(&proc_path_of(fd, None)).map_err(or_no_proc)
}

/// /proc/PID/fd/N, by which other threads and processes reach the descriptor; /proc/TID/fd/N where this
/// thread has a descriptor table of its own.
pub fn proc_path_for_others(fd: BorrowedFd<'_>) -> Sys<Vec<u8>> {
    // The first thread's table is what /proc/PID/fd shows.
    let owner = own_table()?.unwrap_or(nix::unistd::getpid().as_raw());
    Ok(format!("/proc/{owner}/fd/{}", fd.as_raw_fd()).into_bytes())
}

/// This thread's number, if its descriptor table is another than that of the process's first thread.
pub fn own_table() -> Sys<Option<i32>> {
    let (process, thread) = (nix::unistd::getpid(), nix::unistd::gettid());
    Ok((thread != process && has_own_table()?).then_some(thread.as_raw()))
}

/// Whether this thread's descriptor table is another than that of the process's first thread.
///
/// A pipe is made, and looked for under its number in both tables: nobody else can have that pipe. A
/// comparison of files that may be open in both would not do: the other thread may close its own at any
/// moment. kcmp(2) would tell too, but sandboxes refuse it.
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
    // Without /proc it is in neither, and whoever is given the path will say so.
    Ok(!is_in("self")? && is_in("thread-self")?)
}
