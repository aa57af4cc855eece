//! What is mounted, and what it is, without waiting for a file system: statx(2), and what stands in
//! for it.

use std::os::fd::AsFd;

use nix::fcntl::AtFlags;
use nix::{fcntl, libc};
use rustix::fs::{StatxAttributes, StatxFlags};

use super::proc::{or_no_proc, proc_info_of};
use super::{Stat, Sys, fault, kind_of, retry, retry_rustix};
use crate::features::Features;

/// What statx(2) tells without asking a remote server or waking an automount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedStat {
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
pub fn cached_stat_at(dir: impl AsFd, name: &[u8]) -> Sys<CachedStat> {
    let mask = StatxFlags::TYPE | StatxFlags::INO;
    quick_stat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW, mask)
}

/// The same of an open descriptor, with all that [`CachedStat`] holds.
pub fn cached_stat_fd(fd: impl AsFd) -> Sys<CachedStat> {
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

fn mount_root(dir: impl AsFd, name: &[u8], flags: rustix::fs::AtFlags) -> Sys<Option<bool>> {
    if !Features::get().statx_mount_root {
        return Ok(None);
    }
    quick_stat(dir, name, flags, StatxFlags::empty()).map(|quick| quick.mount_root)
}

/// What statx(2) tells of a mount point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// The entry is the root of a mount.
    Of(Rooted),
    /// It is the root of no mount.
    OfNone,
    /// The kernel does not tell.
    Untold,
}

/// A mount whose root was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rooted {
    /// The mount's number, which a later mount may get.
    pub mount: u64,
    /// The device of its file system, which no other gets as long as anything holds that.
    pub device: u64,
    /// Whether its file system is known to have no server. One that does not go by `chattr +d` here
    /// (`STATX_ATTR_NODUMP`) may have one, and those of Linux that have one do not: NFS, SMB, Ceph,
    /// FUSE, virtiofs, 9p, AFS. ext4, XFS, Btrfs, F2FS and from Linux 6.0 tmpfs do, and overlayfs as
    /// its upper layer does.
    pub local: bool,
}

/// The mount that an entry is the root of; nothing is asked of what is mounted there, see
/// [`mount_root_at`]. A file system that was shut down may fail all the same (XFS answers EIO).
pub fn root_at(dir: impl AsFd, name: &[u8]) -> Sys<Root> {
    root(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
}

/// The same by path, following links.
pub fn root_path(path: &[u8]) -> Sys<Root> {
    root(fcntl::AT_FDCWD, path, rustix::fs::AtFlags::empty())
}

fn root(dir: impl AsFd, name: &[u8], flags: rustix::fs::AtFlags) -> Sys<Root> {
    let features = Features::get();
    if !features.statx {
        return Ok(Root::Untold);
    }
    let flags = flags | rustix::fs::AtFlags::NO_AUTOMOUNT | rustix::fs::AtFlags::STATX_DONT_SYNC;
    // Nothing is asked for, the unique number (Linux 6.8) neither: FUSE refuses any question (EACCES) of
    // who is not the mount's owner.
    let nothing = StatxFlags::empty();
    let x = retry_rustix(|| rustix::fs::statx(dir.as_fd(), name, flags, nothing))?;
    let told = StatxFlags::from_bits_retain(x.stx_mask);
    let tells = features.statx_mount_root
        && x.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
        && told.contains(StatxFlags::MNT_ID);
    Ok(match (tells, x.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)) {
        (false, _) => Root::Untold,
        (true, false) => Root::OfNone,
        (true, true) => Root::Of(Rooted {
            mount: x.stx_mnt_id,
            device: rustix::fs::makedev(x.stx_dev_major, x.stx_dev_minor),
            local: x.stx_attributes_mask.contains(StatxAttributes::NODUMP),
        }),
    })
}

/// Asks the server of a file for its attributes, whatever is known of them already
/// (`AT_STATX_FORCE_SYNC`; without statx(2) as stat(2) does). Waits for ever where it hangs. Without a
/// name it is the open file itself; a link is followed where that is wanted.
pub fn server_answers(dir: impl AsFd, name: &[u8], follow: bool) -> Sys<()> {
    let mut flags = rustix::fs::AtFlags::NO_AUTOMOUNT;
    flags.set(rustix::fs::AtFlags::SYMLINK_NOFOLLOW, !follow);
    flags.set(rustix::fs::AtFlags::EMPTY_PATH, name.is_empty());
    if !Features::get().statx {
        let flags = AtFlags::from_bits_truncate(flags.bits() as i32);
        return retry(|| nix::sys::stat::fstatat(dir.as_fd(), name, flags)).map(drop);
    }
    let flags = flags | rustix::fs::AtFlags::STATX_FORCE_SYNC;
    // Not the size, see cached_stat_at().
    let mask = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::NLINK | StatxFlags::INO;
    retry_rustix(|| rustix::fs::statx(dir.as_fd(), name, flags, mask)).map(drop)
}

fn quick_stat(
    dir: impl AsFd,
    name: &[u8],
    flags: rustix::fs::AtFlags,
    mask: StatxFlags,
) -> Sys<CachedStat> {
    if !Features::get().statx {
        let flags = AtFlags::from_bits_truncate(flags.bits() as i32) | AtFlags::AT_NO_AUTOMOUNT;
        let stat = retry(|| nix::sys::stat::fstatat(dir.as_fd(), name, flags))?;
        let (owner, mode) = (stat.st_uid, stat.st_mode & 0o7777);
        return Ok(CachedStat {
            stat: Stat::from(stat),
            mount_root: None,
            born: None,
            owner,
            mode,
        });
    }
    let flags = flags | rustix::fs::AtFlags::NO_AUTOMOUNT | rustix::fs::AtFlags::STATX_DONT_SYNC;
    let x = retry_rustix(|| rustix::fs::statx(dir.as_fd(), name, flags, mask))?;
    let tells = x.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    let mount_root = (tells && Features::get().statx_mount_root)
        .then(|| x.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    let born = StatxFlags::from_bits_retain(x.stx_mask)
        .contains(StatxFlags::BTIME)
        .then(|| nanoseconds(x.stx_btime.tv_sec, x.stx_btime.tv_nsec));
    Ok(CachedStat {
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
    fault::inject()?;
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
/// does not tell (kernel 3.15). Two descriptors' numbers can be compared. ENOSYS where there is no /proc.
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
    fault::inject()?;
    let info = std::fs::read(proc_info_of(fd.as_fd()))
        .map_err(|error| or_no_proc(error.raw_os_error().unwrap_or(libc::EIO)))?;
    info.split(|&b| b == b'\n')
        .find_map(|line| line.strip_prefix(b"mnt_id:"))
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok())
        .ok_or(libc::EIO)
}
