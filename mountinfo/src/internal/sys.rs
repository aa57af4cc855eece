//! The system calls of both crates: one thin wrapper for each, without any policy.
//!
//! Every wrapper returns the raw errno, retries EINTR as Go's os package does, opens with `O_CLOEXEC`,
//! and returns EINVAL for a path that contains a NUL byte.
//!
//! Each call is made by one of two crates, which are used for what each is good at:
//!
//! | calls | crate | why |
//! |---|---|---|
//! | mount_setattr, statmount | raw.rs | Neither crate has them. |
//! | openat2, statx, open_tree, move_mount, fsopen, fsconfig, fsmount, fspick | rustix | Newer calls of Linux on a descriptor. rustix makes them itself, so they do not depend on the age of the C library; nix lacks all but openat2. |
//! | getdents64, fstatfs, fstatvfs, `CLOCK_REALTIME_COARSE` | rustix | It lists a directory from a borrowed descriptor into a buffer; nix has only `opendir`, which takes the descriptor over. The others come with the same feature. |
//! | openat, fstatat, readlinkat, faccessat, mkdirat, mknodat, unlinkat, fchmod, ftruncate, pipe2 | nix | The calls of POSIX, through the C library. It emulates what an old kernel lacks: faccessat with `AT_EACCESS` before Linux 5.8. |
//! | mount, umount2, unshare, setfsuid, sigprocmask, killpg, fcntl | nix | Calls on a path, a thread or a process. rustix has no setfsuid and no signal masks, and deprecates its safe unshare; the others stay with these. |

#[cfg(feature = "fault-injection")]
pub mod fault;
mod read_dir;
#[cfg(not(feature = "fault-injection"))]
mod fault {
    //! Without the feature no call is made to fail.
    pub(super) fn inject() -> Result<(), super::RawErrno> {
        Ok(())
    }
}
pub mod features;
mod identity;
pub mod mounting;
mod proc;
mod raw;
mod statx;

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{AtFlags, OFlag};
use nix::mount::{MntFlags, MsFlags};
use nix::sys::stat::{FileStat, Mode, SFlag};
use nix::{fcntl, libc};
use rustix::fs::{OFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

pub use features::Features;
pub use identity::{
    FileId, MountId, PathOrigin, UniqueRoot, file_id, mount_id_at, mount_on, path_origin,
    unique_root, unique_root_of,
};
pub(crate) use proc::or_no_proc;
pub use proc::{own_table, proc_is_there, proc_path_for_others, proc_path_of, real_path_of};
pub use read_dir::{Entry, is_empty, read_dir};
pub use statx::{
    CachedStat, MountRoot, RootCheck, cached_stat_at, cached_stat_fd, fs_magic, fs_user,
    inode_clock, is_automount, mount_id, mount_root_at, mount_root_fd, root_at, root_path,
    server_answers, umask,
};

/// The errno of a failed call, as the kernel numbers it.
pub type RawErrno = i32;
/// The result of a system call.
pub type Sys<T> = Result<T, RawErrno>;

pub use nix::libc::{
    EACCES, EAGAIN, EBUSY, ECONNREFUSED, EEXIST, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT,
    ENOSYS, ENOTCONN, ENOTDIR, ENOTEMPTY, ENXIO, EOPNOTSUPP, EPERM, ESTALE, ETIMEDOUT, EXDEV,
};

/// Reports whether an errno means that the server or the device of a mount is gone (mount-utils'
/// `IsCorruptedMnt`): ENOTCONN, ESTALE, EIO, EACCES, EHOSTDOWN, EWOULDBLOCK or ENODEV.
///
/// ECONNREFUSED is added to those of mount-utils: Linux 7.3 returns it for a FUSE server that died
/// before the FUSE_INIT handshake.
pub fn is_corrupted_errno(errno: RawErrno) -> bool {
    matches!(
        errno,
        libc::ENOTCONN
            | libc::ECONNREFUSED
            | libc::ESTALE
            | libc::EIO
            | libc::EACCES
            | libc::EHOSTDOWN
            | libc::EWOULDBLOCK
            | libc::ENODEV
    )
}

/// The length of the longest path that the kernel accepts, with the final NUL (limits.h).
pub const PATH_MAX: usize = libc::PATH_MAX as usize;
/// The length of the longest name of a directory entry (limits.h).
pub const NAME_MAX: usize = 255;

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A block or character device, or a type that the kernel may add.
    Device,
}

/// The attributes of a file that stat(2) returns, as far as they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The device number of the file system.
    pub dev: u64,
    /// The inode number.
    pub ino: u64,
    /// The type of the file.
    pub kind: Kind,
    /// The size in bytes.
    pub size: i64,
}

impl Stat {
    /// Reports whether both are the same file, as Go's `os.SameFile` does.
    pub fn same_file(&self, other: &Stat) -> bool {
        self.dev == other.dev && self.ino == other.ino
    }
}

impl From<FileStat> for Stat {
    fn from(stat: FileStat) -> Self {
        Stat { dev: stat.st_dev, ino: stat.st_ino, kind: kind_of(stat.st_mode), size: stat.st_size }
    }
}

fn kind_of(mode: u32) -> Kind {
    match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFLNK => Kind::Symlink,
        SFlag::S_IFIFO => Kind::Fifo,
        SFlag::S_IFSOCK => Kind::Socket,
        _ => Kind::Device,
    }
}

/// An errno of nix or of rustix.
trait Errno {
    fn raw(self) -> RawErrno;
}

impl Errno for nix::errno::Errno {
    fn raw(self) -> RawErrno {
        // nix does not know every errno that a file system may return; the C library still has it.
        if self == nix::errno::Errno::UnknownErrno { Self::last_raw() } else { self as i32 }
    }
}

impl Errno for rustix::io::Errno {
    fn raw(self) -> RawErrno {
        self.raw_os_error()
    }
}

/// How often a call is tried that is interrupted by signals. The number is finite because a FUSE server
/// may itself return EINTR, any number of times.
const TRIES: usize = 1000;

/// Makes a system call, and repeats it while it is interrupted (EINTR).
fn retry<T, E: Errno>(mut call: impl FnMut() -> Result<T, E>) -> Sys<T> {
    let mut call = || {
        fault::inject()?;
        call().map_err(E::raw)
    };
    for _ in 1..TRIES {
        match call() {
            Err(libc::EINTR) => {}
            result => return result,
        }
    }
    call()
}

/// open(2) by a path that the caller trusts.
pub fn open(path: &[u8], flags: OFlag) -> Sys<OwnedFd> {
    openat(fcntl::AT_FDCWD, path, flags, 0)
}

/// openat(2).
pub fn openat(dir: impl AsFd, path: &[u8], flags: OFlag, mode: u32) -> Sys<OwnedFd> {
    let mode = Mode::from_bits_truncate(mode);
    retry(|| fcntl::openat(dir.as_fd(), path, flags | OFlag::O_CLOEXEC, mode))
}

/// No symbolic link is followed, not even one of /proc (`RESOLVE_NO_MAGICLINKS`).
const NO_LINKS: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);

/// openat2(2) of a path below `dir` that cannot lead out of it (`RESOLVE_BENEATH`) and follows no
/// symbolic link: ELOOP if there is one.
pub fn open_beneath(dir: impl AsFd, path: &[u8], flags: OFlag) -> Sys<OwnedFd> {
    openat2(dir, path, flags, ResolveFlags::BENEATH | NO_LINKS)
}

/// Like [`open_beneath`], and crosses no mount point (`RESOLVE_NO_XDEV`): EXDEV if there is one.
pub fn open_beneath_on_mount(dir: impl AsFd, path: &[u8], flags: OFlag) -> Sys<OwnedFd> {
    openat2(dir, path, flags, ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | NO_LINKS)
}

/// openat2(2) of a path that follows no symbolic link: ELOOP if there is one.
pub fn open_without_symlinks(path: &[u8], flags: OFlag) -> Sys<OwnedFd> {
    open_at_without_symlinks(fcntl::AT_FDCWD, path, flags)
}

/// openat2(2) of a path relative to `dir` that follows no symbolic link. Unlike with [`open_beneath`],
/// the path may lead out of `dir` (`..`, or an absolute path).
pub fn open_at_without_symlinks(dir: impl AsFd, path: &[u8], flags: OFlag) -> Sys<OwnedFd> {
    openat2(dir, path, flags, NO_LINKS)
}

/// openat2(2) with `O_PATH` that follows no symbolic link and uses only what the kernel has cached
/// (`RESOLVE_CACHED`): EAGAIN if it would have to ask a server or trigger an automount. EINVAL before
/// Linux 5.12.
pub fn open_cached(dir: impl AsFd, path: &[u8]) -> Sys<OwnedFd> {
    openat2(dir, path, OFlag::O_PATH | OFlag::O_NOFOLLOW, ResolveFlags::CACHED | NO_LINKS)
}

fn openat2(dir: impl AsFd, path: &[u8], flags: OFlag, resolve: ResolveFlags) -> Sys<OwnedFd> {
    let flags = OFlags::from_bits_retain((flags | OFlag::O_CLOEXEC).bits().cast_unsigned());
    let mode = rustix::fs::Mode::empty();
    retry(|| rustix::fs::openat2(dir.as_fd(), path, flags, mode, resolve))
}

/// fstat(2).
pub fn fstat(fd: impl AsFd) -> Sys<Stat> {
    retry(|| nix::sys::stat::fstat(fd.as_fd())).map(Stat::from)
}

/// lstat(2): a symbolic link at the end of the path is not followed.
pub fn lstat(path: &[u8]) -> Sys<Stat> {
    lstat_at(fcntl::AT_FDCWD, path)
}

/// stat(2): symbolic links are followed.
pub fn stat(path: &[u8]) -> Sys<Stat> {
    stat_at(fcntl::AT_FDCWD, path)
}

/// fstatat(2): symbolic links are followed.
pub fn stat_at(dir: impl AsFd, path: &[u8]) -> Sys<Stat> {
    retry(|| nix::sys::stat::fstatat(dir.as_fd(), path, AtFlags::empty())).map(Stat::from)
}

/// fstatat(2) with `AT_SYMLINK_NOFOLLOW`: a symbolic link at the end of the path is not followed.
pub fn lstat_at(dir: impl AsFd, name: &[u8]) -> Sys<Stat> {
    retry(|| nix::sys::stat::fstatat(dir.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW))
        .map(Stat::from)
}

/// readlink(2).
pub fn readlink(path: &[u8]) -> Sys<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    retry(|| fcntl::readlink(path)).map(OsStringExt::into_vec)
}

/// Reports whether an entry is a symbolic link, by readlinkat(2).
///
/// The server of a mount at the entry is not asked. Nothing is opened either, because a descriptor
/// would keep that mount busy, also as a copy in a child process that another thread is starting.
pub fn is_symlink_at(dir: impl AsFd, name: &[u8]) -> Sys<bool> {
    match retry(|| fcntl::readlinkat(dir.as_fd(), name)) {
        Ok(_) => Ok(true),
        Err(EINVAL) if !has_nul(name) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// access(2) with `F_OK`: ENOENT if nothing is at the path.
pub fn exists(path: &[u8]) -> Sys<()> {
    retry(|| nix::unistd::access(path, nix::unistd::AccessFlags::F_OK))
}

/// Checks whether entries may be made in an open directory, without making one. The errno is the one
/// that mkdirat(2) would return. As there, the first of these conditions decides: no permission to search
/// (EACCES), the directory was removed (ENOENT), a read-only mount (EROFS), no permission to write
/// (EACCES).
pub fn may_change(dir: impl AsFd) -> Sys<()> {
    may_search(dir.as_fd())?;
    if retry(|| nix::sys::stat::fstat(dir.as_fd()))?.st_nlink == 0 {
        return Err(ENOENT);
    }
    let file_system = retry(|| rustix::fs::fstatvfs(dir.as_fd()))?;
    if file_system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Err(libc::EROFS);
    }
    allows(dir, nix::unistd::AccessFlags::W_OK)
}

/// Checks whether entries of an open directory may be looked up (EACCES if not).
pub fn may_search(dir: impl AsFd) -> Sys<()> {
    allows(dir, nix::unistd::AccessFlags::X_OK)
}

/// faccessat(2) with `AT_EACCESS`.
fn allows(dir: impl AsFd, mode: nix::unistd::AccessFlags) -> Sys<()> {
    retry(|| nix::unistd::faccessat(dir.as_fd(), ".", mode, AtFlags::AT_EACCESS))
}

/// mkdirat(2). The umask of the process is applied to the mode.
pub fn mkdirat(dir: impl AsFd, name: &[u8], mode: u32) -> Sys<()> {
    let mode = Mode::from_bits_truncate(mode & 0o7777);
    retry(|| nix::sys::stat::mkdirat(dir.as_fd(), name, mode))
}

/// mkdir(2) by a path that the caller trusts.
pub fn mkdir(path: &[u8], mode: u32) -> Sys<()> {
    mkdirat(fcntl::AT_FDCWD, path, mode)
}

/// Makes a regular file by mknodat(2). It is like openat(2) with `O_CREAT` and `O_EXCL`, but there is no
/// descriptor to close.
pub fn make_file(dir: impl AsFd, name: &[u8], mode: u32) -> Sys<()> {
    let mode = Mode::from_bits_truncate(mode);
    retry(|| nix::sys::stat::mknodat(dir.as_fd(), name, SFlag::S_IFREG, mode, 0))
}

/// fchmod(2).
pub fn fchmod(fd: impl AsFd, mode: u32) -> Sys<()> {
    retry(|| nix::sys::stat::fchmod(fd.as_fd(), Mode::from_bits_truncate(mode)))
}

/// ftruncate(2) to the length 0.
pub fn truncate(fd: impl AsFd) -> Sys<()> {
    retry(|| nix::unistd::ftruncate(fd.as_fd(), 0))
}

/// Removes an entry of any type, as Go's `os.Remove` does: by unlinkat(2) or, for a directory, with
/// `AT_REMOVEDIR`. If both fail, the errno is the one of the call that fits the type.
///
/// `likely` decides which is tried first. It does not change the result.
pub fn remove_at(dir: impl AsFd, name: &[u8], likely: Kind) -> Sys<()> {
    let unlinked = match likely {
        Kind::Directory => None,
        _ => match unlink_at(dir.as_fd(), name) {
            Ok(()) => return Ok(()),
            Err(errno) => Some(errno),
        },
    };
    match (rmdir_at(dir.as_fd(), name), unlinked) {
        (Err(ENOTDIR), None) => unlink_at(dir, name),
        (Err(ENOTDIR), Some(errno)) => Err(errno),
        (answer, _) => answer,
    }
}

/// Removes a file or an empty directory by a path that the caller trusts; see [`remove_at`].
pub fn remove(path: &[u8]) -> Sys<()> {
    remove_at(fcntl::AT_FDCWD, path, Kind::File)
}

/// unlinkat(2) of anything but a directory.
pub fn unlink_at(dir: impl AsFd, name: &[u8]) -> Sys<()> {
    use nix::unistd::{UnlinkatFlags, unlinkat};
    retry(|| unlinkat(dir.as_fd(), name, UnlinkatFlags::NoRemoveDir))
}

/// unlinkat(2) of an empty directory.
pub fn rmdir_at(dir: impl AsFd, name: &[u8]) -> Sys<()> {
    use nix::unistd::{UnlinkatFlags, unlinkat};
    retry(|| unlinkat(dir.as_fd(), name, UnlinkatFlags::RemoveDir))
}

/// umount2(2) of the entry `name` of `dir`. A symbolic link is not followed.
///
/// No system call takes the descriptor, so the directory is named by /proc/thread-self/fd/N. Nobody can
/// replace what a descriptor refers to. ENOSYS if /proc is not mounted.
pub fn umount_at(dir: impl AsFd, name: &[u8], how: Unmount) -> Sys<()> {
    let path = proc_path_of(dir.as_fd(), Some(name));
    umount2(&path, how.flags() | MntFlags::UMOUNT_NOFOLLOW).map_err(or_no_proc)
}

/// umount2(2) by path. Symbolic links are followed.
pub fn umount(path: &[u8], how: Unmount) -> Sys<()> {
    umount2(path, how.flags())
}

fn umount2(path: &[u8], flags: MntFlags) -> Sys<()> {
    retry(|| nix::mount::umount2(path, flags))
}

/// Blocks all signals for this thread (pthread_sigmask(3)). A signal for the process then goes to another
/// thread, and is not lost if this one hangs in a system call.
pub fn block_signals() -> Sys<()> {
    nix::sys::signal::SigSet::all().thread_block().map_err(Errno::raw)
}

/// Kills a process group by `SIGKILL` (killpg(3)). `leader` is the process that the group is named after.
pub fn kill_group(leader: u32) -> Sys<()> {
    let leader = i32::try_from(leader).map_err(|_| EINVAL)?;
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader), nix::sys::signal::SIGKILL)
        .map_err(Errno::raw)
}

/// Sets `O_NONBLOCK` (fcntl(2)): a read that would wait returns EAGAIN.
pub fn do_not_wait(fd: impl AsFd) -> Sys<()> {
    let nonblocking = nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
    nix::fcntl::fcntl(fd.as_fd(), nonblocking).map(drop).map_err(Errno::raw)
}

/// unshare(2) with `CLONE_FS`: gives this thread its own working directory, root directory and umask.
pub fn unshare_directories() -> Sys<()> {
    retry(|| nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS))
}

/// The way to unmount: the flags of umount2(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmount {
    /// Fails with EBUSY if the mount is in use.
    Plainly,
    /// Detaches the mount at once, even if it is in use (`MNT_DETACH`).
    Lazily,
    /// Aborts pending requests to the server first (`MNT_FORCE`).
    Forcibly,
}

impl Unmount {
    fn flags(self) -> MntFlags {
        match self {
            Unmount::Plainly => MntFlags::empty(),
            Unmount::Lazily => MntFlags::MNT_DETACH,
            Unmount::Forcibly => MntFlags::MNT_FORCE,
        }
    }
}

/// mount(2) with `MS_BIND` of one descriptor on another. mount(2) takes paths, so both are named by
/// /proc/thread-self/fd/N; ENOSYS if /proc is not mounted.
pub fn bind_by_proc(source: impl AsFd, target: impl AsFd) -> Sys<()> {
    let source = proc_path_of(source.as_fd(), None);
    let target = proc_path_of(target.as_fd(), None);
    let none: Option<&[u8]> = None;
    retry(|| nix::mount::mount(Some(&source[..]), &target[..], none, MsFlags::MS_BIND, none))
        .map_err(or_no_proc)
}

/// Makes a detached bind mount of an open file or directory (open_tree(2) with `OPEN_TREE_CLONE`).
pub fn clone_tree(source: impl AsFd) -> Sys<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    retry(|| rustix::mount::open_tree(source.as_fd(), c"", flags))
}

/// Makes a detached bind mount of an entry (open_tree(2) with `OPEN_TREE_CLONE`). An automount is not
/// triggered, and a symbolic link is followed only if `follow` is set.
pub fn clone_tree_at(dir: impl AsFd, name: &[u8], follow: bool) -> Sys<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_NO_AUTOMOUNT;
    flags.set(OpenTreeFlags::AT_SYMLINK_NOFOLLOW, !follow);
    retry(|| rustix::mount::open_tree(dir.as_fd(), name, flags))
}

/// Attaches a detached mount to the entry `name` of `dir` (move_mount(2)). A symbolic link is not
/// followed and an automount is not triggered.
pub fn attach_tree(tree: impl AsFd, dir: impl AsFd, name: &[u8]) -> Sys<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    retry(|| rustix::mount::move_mount(tree.as_fd(), c"", dir.as_fd(), name, flags))
}

/// Reports whether openat2(2) is available: in the kernel, and not refused by a sandbox.
pub(crate) fn probe_openat2() -> bool {
    !matches!(open_without_symlinks(b"/", OFlag::O_PATH), Err(errno) if means_absent(errno))
}

/// Reports whether statx(2) is available: `None` if not, else whether it has `STATX_ATTR_MOUNT_ROOT`.
pub(crate) fn probe_statx() -> Option<bool> {
    let flags = rustix::fs::AtFlags::STATX_DONT_SYNC;
    match retry(|| rustix::fs::statx(rustix::fs::CWD, c"/", flags, StatxFlags::TYPE)) {
        Ok(x) => Some(x.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)),
        Err(errno) if means_absent(errno) => None,
        // The mask of each later result shows whether it has the attribute.
        Err(_) => Some(true),
    }
}

/// Reports whether open_tree(2) is available. Without `OPEN_TREE_CLONE` it needs no privilege.
pub(crate) fn probe_open_tree() -> bool {
    let flags = OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let opened = retry(|| rustix::mount::open_tree(rustix::fs::CWD, c"/", flags));
    !matches!(opened, Err(errno) if means_absent(errno))
}

/// Reports whether an errno of a probe, of open_tree(2) or of move_mount(2) means that the call is not
/// available: the kernel is too old (ENOSYS), or it is refused by a seccomp profile (EPERM) or a security
/// module (EACCES; AppArmor checks detached mounts since Linux 6.7).
///
/// Any other errno, such as EMFILE, is temporary. It must not decide on a fallback, which is permanent.
pub(crate) fn means_absent(errno: RawErrno) -> bool {
    matches!(errno, ENOSYS | EPERM | EACCES)
}

/// Returns the errno with which every system call refuses this path: EINVAL if it contains a NUL byte
/// (as Go returns it), ENAMETOOLONG if it is too long. `None` if it depends on the file system.
pub fn refused(path: &[u8]) -> Option<RawErrno> {
    if has_nul(path) {
        Some(EINVAL)
    } else if path.len() >= PATH_MAX {
        Some(ENAMETOOLONG)
    } else {
        None
    }
}

/// Reports whether a path contains a NUL byte, which no system call accepts.
pub fn has_nul(path: &[u8]) -> bool {
    path.contains(&0)
}
