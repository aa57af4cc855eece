//! What is mounted, and what it is, without waiting for a file system: statx(2), and what stands in
//! for it.

use std::os::fd::AsFd;

use nix::fcntl::AtFlags;
use nix::{fcntl, libc};
use rustix::fs::{StatxAttributes, StatxFlags};

use super::proc::proc_info_of;
use super::{Stat, Sys, fault, kind_of, retry, retry_rustix};
use crate::features::Features;

/// What statx(2) tells without asking a remote server or waking an automount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quick {
    /// Device, inode, kind and size as the kernel knows them.
    pub stat: Stat,
    /// Whether the entry is the root of a mount; `None` where the kernel does not tell.
    pub mount_root: Option<bool>,
    /// When the inode was made, in nanoseconds of the file system's clock, if it keeps that.
    pub born: Option<i128>,
    /// Who owns it.
    pub owner: u32,
    /// Its permissions and special bits.
    pub mode: u32,
}

/// statx(2) of an entry: no link followed, no automount, no answer awaited from a server
/// (`AT_STATX_DONT_SYNC`), so that a hung file system cannot hold it up. Without statx(2) it can.
///
/// The size is not asked for: CIFS would write out the file first, whatever the flag says.
pub fn quick_stat_at(dir: impl AsFd, name: &[u8]) -> Sys<Quick> {
    let mask = StatxFlags::TYPE | StatxFlags::INO;
    quick_stat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW, mask)
}

/// The same of an open descriptor, with all that [`Quick`] holds.
pub fn quick_stat_fd(fd: impl AsFd) -> Sys<Quick> {
    let ids = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::INO | StatxFlags::UID;
    let mask = ids | StatxFlags::SIZE | StatxFlags::BTIME;
    quick_stat(fd, b"", rustix::fs::AtFlags::EMPTY_PATH, mask)
}

/// Whether an entry is the root of a mount, as statx(2) tells it; `None` where it does not.
///
/// Nothing is asked of the file system itself, which therefore cannot refuse either: FUSE answers
/// EACCES to whoever is not the mount's owner, but not to a question about nothing.
pub fn mount_root_at(dir: impl AsFd, name: &[u8]) -> Sys<Option<bool>> {
    mount_root(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
}

/// The same of an open descriptor.
pub fn mount_root_fd(fd: impl AsFd) -> Sys<Option<bool>> {
    mount_root(fd, b"", rustix::fs::AtFlags::EMPTY_PATH)
}

/// The same by path, following links.
pub fn mount_root_path(path: &[u8]) -> Sys<Option<bool>> {
    mount_root(fcntl::AT_FDCWD, path, rustix::fs::AtFlags::empty())
}

fn mount_root(dir: impl AsFd, name: &[u8], flags: rustix::fs::AtFlags) -> Sys<Option<bool>> {
    if !Features::get().statx_mount_root {
        return Ok(None);
    }
    quick_stat(dir, name, flags, StatxFlags::empty()).map(|quick| quick.mount_root)
}

fn quick_stat(
    dir: impl AsFd,
    name: &[u8],
    flags: rustix::fs::AtFlags,
    mask: StatxFlags,
) -> Sys<Quick> {
    if !Features::get().statx {
        let flags = AtFlags::from_bits_truncate(flags.bits() as i32) | AtFlags::AT_NO_AUTOMOUNT;
        let stat = retry(|| nix::sys::stat::fstatat(dir.as_fd(), name, flags))?;
        let (owner, mode) = (stat.st_uid, stat.st_mode & 0o7777);
        return Ok(Quick { stat: Stat::from(stat), mount_root: None, born: None, owner, mode });
    }
    let flags = flags | rustix::fs::AtFlags::NO_AUTOMOUNT | rustix::fs::AtFlags::STATX_DONT_SYNC;
    let x = retry_rustix(|| rustix::fs::statx(dir.as_fd(), name, flags, mask))?;
    let tells = x.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    let mount_root = (tells && Features::get().statx_mount_root)
        .then(|| x.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    let born = StatxFlags::from_bits_retain(x.stx_mask)
        .contains(StatxFlags::BTIME)
        .then(|| nanoseconds(x.stx_btime.tv_sec, x.stx_btime.tv_nsec));
    Ok(Quick {
        stat: Stat {
            dev: rustix::fs::makedev(x.stx_dev_major, x.stx_dev_minor),
            ino: x.stx_ino,
            kind: kind_of(u32::from(x.stx_mode)),
            size: i64::try_from(x.stx_size).unwrap_or(i64::MAX),
        },
        mount_root,
        born,
        owner: x.stx_uid,
        mode: u32::from(x.stx_mode) & 0o7777,
    })
}

/// The user that this thread makes files as (setfsuid(2), which changes nothing when asked for an
/// impossible one).
pub fn fs_user() -> u32 {
    nix::unistd::setfsuid(nix::unistd::Uid::from_raw(u32::MAX)).as_raw()
}

fn nanoseconds(seconds: i64, nanoseconds: u32) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

/// The bits that this thread's umask takes from the mode of what it makes, without changing it for a
/// moment, as umask(2) would for every thread: `Umask` of /proc/thread-self/status (kernel 4.7).
pub fn umask() -> Sys<u32> {
    fault::strike()?;
    let status = std::fs::read("/proc/thread-self/status");
    let status = status.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    let told = status.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"Umask:"));
    told.and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u32::from_str_radix(digits.trim(), 8).ok())
        .ok_or(libc::ENOSYS)
}

/// The clock by which local file systems stamp inodes (`CLOCK_REALTIME_COARSE`), in nanoseconds.
pub fn inode_clock() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    nanoseconds(now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The magic number of the file system that holds an open file (statfs(2)).
#[allow(clippy::unnecessary_cast)] // its type differs between architectures
pub fn fs_magic(fd: impl AsFd) -> Sys<i64> {
    retry_rustix(|| rustix::fs::fstatfs(fd.as_fd())).map(|s| s.f_type as i64)
}

/// Whether an open directory is an automount on which nothing is mounted, or may hold such: it lies on
/// autofs, or is where another file system would mount one of its own (`STATX_ATTR_AUTOMOUNT`). An
/// error of the question means no: whoever asks goes the long way then.
pub fn is_automount(fd: &impl AsFd) -> bool {
    const AUTOFS: i64 = 0x0187;
    let flags = rustix::fs::AtFlags::EMPTY_PATH
        | rustix::fs::AtFlags::NO_AUTOMOUNT
        | rustix::fs::AtFlags::STATX_DONT_SYNC;
    let attributes =
        retry_rustix(|| rustix::fs::statx(fd.as_fd(), c"", flags, StatxFlags::empty()))
            .map(|x| x.stx_attributes);
    attributes.is_ok_and(|told| told.contains(StatxAttributes::AUTOMOUNT))
        || fs_magic(fd) == Ok(AUTOFS)
}

/// The mount that an open descriptor lies on: statx(2), or `mnt_id` of /proc/thread-self/fdinfo/N where it
/// does not tell (kernel 3.15). Two descriptors' numbers can be compared.
pub fn mount_id(fd: impl AsFd) -> Sys<u64> {
    if Features::get().statx_mount_root {
        let flags = rustix::fs::AtFlags::EMPTY_PATH | rustix::fs::AtFlags::STATX_DONT_SYNC;
        let told = retry_rustix(|| rustix::fs::statx(fd.as_fd(), c"", flags, StatxFlags::MNT_ID));
        if let Ok(x) = told
            && StatxFlags::from_bits_retain(x.stx_mask).contains(StatxFlags::MNT_ID)
        {
            return Ok(x.stx_mnt_id);
        }
    }
    fault::strike()?;
    let info = std::fs::read(proc_info_of(fd.as_fd()))
        .map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
    info.split(|&b| b == b'\n')
        .find_map(|line| line.strip_prefix(b"mnt_id:"))
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok())
        .ok_or(libc::EIO)
}
