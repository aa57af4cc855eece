//! statx(2) and its fallbacks: attributes of files and mounts, without waiting for a file system.

use std::os::fd::AsFd;

use nix::{fcntl, libc};
use rustix::fs::{AtFlags, Statx, StatxAttributes, StatxFlags};

use super::proc::{or_no_proc, proc_info_of};
use super::{Features, Stat, Sys, fault, kind_of, retry};

/// The attributes of a file that the kernel knows without asking a server or triggering an automount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedStat {
    /// Device, inode number, type and size, as the kernel has them cached.
    pub stat: Stat,
    /// Whether the file is the root of a mount; `None` if the kernel is too old to say (before 5.8).
    pub mount_root: Option<bool>,
    /// The birth time in nanoseconds, on the clock of the file system; `None` if it keeps none.
    pub born: Option<i128>,
    /// The user ID of the owner.
    pub owner: u32,
    /// The permissions, with setuid, setgid and sticky bit.
    pub mode: u32,
}

/// Returns the attributes of an entry by statx(2) with `AT_STATX_DONT_SYNC`: a symbolic link is not
/// followed, an automount is not triggered, and a server that hangs is not waited for. Without statx(2)
/// it is fstatat(2), which waits.
///
/// The size is not requested: CIFS would write out the file first, in spite of the flag.
pub fn cached_stat_at(dir: impl AsFd, name: &[u8]) -> Sys<CachedStat> {
    let mask = StatxFlags::TYPE | StatxFlags::INO;
    dont_sync_stat(dir, name, AtFlags::SYMLINK_NOFOLLOW, mask)
}

/// Returns the attributes of an open file, the size included, as [`cached_stat_at`] does for an entry.
pub fn cached_stat_fd(fd: impl AsFd) -> Sys<CachedStat> {
    let ids = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::INO | StatxFlags::UID;
    let mask = ids | StatxFlags::SIZE | StatxFlags::BTIME;
    dont_sync_stat(fd, b"", AtFlags::EMPTY_PATH, mask)
}

/// Reports whether an entry is the root of a mount; `None` if statx(2) does not say.
///
/// No attributes are requested. So the mounted file system cannot refuse: a FUSE mount refuses (EACCES)
/// requests of other users than its owner, but not an empty one.
pub fn mount_root_at(dir: impl AsFd, name: &[u8]) -> Sys<Option<bool>> {
    mount_root(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Reports whether an open file is the root of a mount, as [`mount_root_at`] does for an entry.
pub fn mount_root_fd(fd: impl AsFd) -> Sys<Option<bool>> {
    mount_root(fd, b"", AtFlags::EMPTY_PATH)
}

fn mount_root(dir: impl AsFd, name: &[u8], flags: AtFlags) -> Sys<Option<bool>> {
    if !Features::get().statx_mount_root {
        return Ok(None);
    }
    dont_sync_stat(dir, name, flags, StatxFlags::empty()).map(|cached| cached.mount_root)
}

/// Whether a place is the root of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootCheck {
    /// It is the root of this mount.
    Root(MountRoot),
    /// It is not the root of a mount.
    NotRoot,
    /// The kernel does not say: it is older than 5.8, or statx(2) is refused.
    Unknown,
}

/// A mount, as statx(2) of its root describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountRoot {
    /// The ID of the mount. A later mount may get the same one.
    pub mount: u64,
    /// The device number of the file system. No other gets the same one while the file system is in use.
    pub device: u64,
    /// Whether the file system is known to need no server.
    ///
    /// The sign is that it supports the attribute "no dump" of chattr(1) (`STATX_ATTR_NODUMP`). ext4, XFS,
    /// Btrfs, F2FS do, tmpfs does from Linux 6.0 on, and overlayfs if its upper layer does. None of the file
    /// systems of Linux that need a server does: NFS, SMB, Ceph, FUSE, virtiofs, 9p, AFS.
    pub local: bool,
}

/// Finds out whether an entry is the root of a mount, and of which. A symbolic link is not followed. No
/// attributes are requested, as in [`mount_root_at`]. A file system that was shut down may still return an
/// error (XFS: EIO).
pub fn root_at(dir: impl AsFd, name: &[u8]) -> Sys<RootCheck> {
    root(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Finds out whether a path is the root of a mount, and of which, as [`root_at`] does for an entry.
/// Symbolic links are followed.
pub fn root_path(path: &[u8]) -> Sys<RootCheck> {
    root(fcntl::AT_FDCWD, path, AtFlags::empty())
}

fn root(dir: impl AsFd, name: &[u8], flags: AtFlags) -> Sys<RootCheck> {
    let features = Features::get();
    if !features.statx {
        return Ok(RootCheck::Unknown);
    }
    // Not even the unique ID (Linux 6.8) is requested: FUSE would refuse that to other users (EACCES).
    let x = cached_statx(dir, name, flags, StatxFlags::empty())?;
    let mask = StatxFlags::from_bits_retain(x.stx_mask);
    let is_known = features.statx_mount_root
        && x.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
        && mask.contains(StatxFlags::MNT_ID);
    Ok(match (is_known, x.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)) {
        (false, _) => RootCheck::Unknown,
        (true, false) => RootCheck::NotRoot,
        (true, true) => RootCheck::Root(MountRoot {
            mount: x.stx_mnt_id,
            device: rustix::fs::makedev(x.stx_dev_major, x.stx_dev_minor),
            local: x.stx_attributes_mask.contains(StatxAttributes::NODUMP),
        }),
    })
}

/// Asks the server of a file for its attributes, even if they are cached (`AT_STATX_FORCE_SYNC`; without
/// statx(2) as fstatat(2) does). Never returns if the server hangs.
///
/// With an empty name it is the open file itself. A symbolic link is followed only if `follow` is set.
pub fn server_answers(dir: impl AsFd, name: &[u8], follow: bool) -> Sys<()> {
    let mut flags = AtFlags::NO_AUTOMOUNT;
    flags.set(AtFlags::SYMLINK_NOFOLLOW, !follow);
    flags.set(AtFlags::EMPTY_PATH, name.is_empty());
    if !Features::get().statx {
        let flags = nix::fcntl::AtFlags::from_bits_truncate(flags.bits() as i32);
        return retry(|| nix::sys::stat::fstatat(dir.as_fd(), name, flags)).map(drop);
    }
    let flags = flags | AtFlags::STATX_FORCE_SYNC;
    // The size is not requested for the reason given at cached_stat_at().
    let mask = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::NLINK | StatxFlags::INO;
    retry(|| rustix::fs::statx(dir.as_fd(), name, flags, mask)).map(drop)
}

fn dont_sync_stat(
    dir: impl AsFd,
    name: &[u8],
    flags: AtFlags,
    mask: StatxFlags,
) -> Sys<CachedStat> {
    if !Features::get().statx {
        let flags = nix::fcntl::AtFlags::from_bits_truncate(flags.bits() as i32)
            | nix::fcntl::AtFlags::AT_NO_AUTOMOUNT;
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
    let x = cached_statx(dir, name, flags, mask)?;
    let is_known = x.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    let mount_root = (is_known && Features::get().statx_mount_root)
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

/// statx(2) that triggers no automount and takes what the kernel has cached (`AT_STATX_DONT_SYNC`).
pub(super) fn cached_statx(
    dir: impl AsFd,
    name: &[u8],
    flags: AtFlags,
    mask: StatxFlags,
) -> Sys<Statx> {
    let flags = flags | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    retry(|| rustix::fs::statx(dir.as_fd(), name, flags, mask))
}

/// Returns the user ID with which this thread accesses files. setfsuid(2) returns it, and changes nothing
/// if the new one is invalid.
pub fn fs_user() -> u32 {
    nix::unistd::setfsuid(nix::unistd::Uid::from_raw(u32::MAX)).as_raw()
}

fn nanoseconds(seconds: i64, nanoseconds: u32) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

/// Returns the umask of this thread, from `Umask` in /proc/thread-self/status (Linux 4.7); ENOSYS if it is
/// not there. umask(2) could only return it by changing it, for all threads.
pub fn umask() -> Sys<u32> {
    fault::inject()?;
    let status = std::fs::read("/proc/thread-self/status");
    let status = status.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    let umask = status.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"Umask:"));
    // A line that is no number is as good as none: this kernel does not say it.
    umask
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u32::from_str_radix(digits.trim(), 8).ok())
        .ok_or(libc::ENOSYS)
}

/// Returns the time of the clock from which local file systems take the times of inodes
/// (`CLOCK_REALTIME_COARSE`), in nanoseconds.
pub fn inode_clock() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    nanoseconds(now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Returns the magic number of the file system of an open file (statfs(2)).
#[allow(clippy::unnecessary_cast)] // its type differs between architectures
pub fn fs_magic(fd: impl AsFd) -> Sys<i64> {
    retry(|| rustix::fs::fstatfs(fd.as_fd())).map(|s| s.f_type as i64)
}

/// Reports whether an open directory is an automount point on which nothing is mounted, or may contain
/// one: it is on autofs, or a file system would mount another one there (`STATX_ATTR_AUTOMOUNT`).
/// `false` if that cannot be determined; callers then take the slower way.
pub fn is_automount(fd: &impl AsFd) -> bool {
    const AUTOFS: i64 = 0x0187;
    cached_statx(fd, b"", AtFlags::EMPTY_PATH, StatxFlags::empty())
        .is_ok_and(|x| x.stx_attributes.contains(StatxAttributes::AUTOMOUNT))
        || fs_magic(fd) == Ok(AUTOFS)
}

/// Returns the ID of the mount that an open file is on: from statx(2), or before Linux 5.8 the `mnt_id` in
/// /proc/thread-self/fdinfo/N (Linux 3.15). ENOSYS if /proc is needed and not mounted.
pub fn mount_id(fd: impl AsFd) -> Sys<u64> {
    if Features::get().statx_mount_root {
        let found = cached_statx(&fd, b"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
        if let Ok(x) = found
            && StatxFlags::from_bits_retain(x.stx_mask).contains(StatxFlags::MNT_ID)
        {
            return Ok(x.stx_mnt_id);
        }
    }
    fault::inject()?;
    let info = std::fs::read(proc_info_of(fd.as_fd()))
        .map_err(|error| or_no_proc(error.raw_os_error().unwrap_or(libc::EIO)))?;
    // A line that is no number is as good as none.
    info.split(|&b| b == b'\n')
        .find_map(|line| line.strip_prefix(b"mnt_id:"))
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok())
        .ok_or(libc::EIO)
}
