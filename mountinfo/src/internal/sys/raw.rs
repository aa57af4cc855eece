//! System calls that neither rustix nor nix has: mount_setattr(2) and statmount(2). This is the only module of
//! the crate with unsafe code. Each function passes the kernel nothing but numbers and buffers that it borrows.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc::{self, c_long};

/// statmount(2), Linux 6.8, which the crate libc does not have. Calls as new as these have numbers at the same
/// distance on each architecture: 442 and 457 on most, 4442 and 4457 on MIPS.
const SYS_STATMOUNT: c_long = libc::SYS_mount_setattr + 15;

/// mount_setattr(2), Linux 5.12, of an open file, with `AT_EMPTY_PATH` and the given flags.
pub(super) fn mount_setattr(
    file: BorrowedFd<'_>,
    flags: i32,
    attributes: &libc::mount_attr,
) -> Result<(), Errno> {
    let path: &CStr = c"";
    let attributes: *const libc::mount_attr = attributes;
    // SAFETY: the path ends in NUL and the structure has the size that is passed; both are borrowed for the
    // whole call, and the kernel only reads them.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            file.as_raw_fd(),
            path.as_ptr(),
            flags | libc::AT_EMPTY_PATH,
            attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(answer).map(drop)
}

/// mount_setattr(2) with a structure of no size, which the kernel refuses (EINVAL) before it asks for a
/// privilege or looks at anything else.
pub(super) fn mount_setattr_of_nothing() -> Result<(), Errno> {
    let (path, nothing): (&CStr, *const libc::mount_attr) = (c"", std::ptr::null());
    // SAFETY: the path ends in NUL; the kernel reads nothing of the structure, whose size is 0.
    let answer =
        unsafe { libc::syscall(libc::SYS_mount_setattr, -1, path.as_ptr(), 0, nothing, 0_usize) };
    Errno::result(answer).map(drop)
}

/// What statmount(2) is asked: `struct mnt_id_req` of its first version (linux/mount.h).
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount: u64,
    wanted: u64,
}

/// statmount(2), Linux 6.8, of a mount that is named by its unique ID. The answer is a `struct statmount` and
/// the texts that it refers to. EOVERFLOW if the buffer is too small for them. EINVAL if `flags` is not 0.
pub(super) fn statmount(
    mount: u64,
    wanted: u64,
    answer: &mut [u8],
    flags: u32,
) -> Result<(), Errno> {
    let size = size_of::<Request>() as u32;
    let request = Request { size, spare: 0, mount, wanted };
    let (request, length): (*const Request, usize) = (&raw const request, answer.len());
    // SAFETY: the request has the size that it names, the answer is writable for as many bytes as are passed,
    // and both are borrowed for the whole call.
    let done = unsafe { libc::syscall(SYS_STATMOUNT, request, answer.as_mut_ptr(), length, flags) };
    Errno::result(done).map(drop)
}
