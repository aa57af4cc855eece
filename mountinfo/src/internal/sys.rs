//! Every system call of both crates: one thin wrapper each, by nix, and by rustix for what nix
//! lacks. No policy lives here.
//!
//! All answer the raw errno, retry EINTR as Go's os package does, open with `O_CLOEXEC`, and give
//! EINVAL for a path with a NUL byte.

#[cfg(feature = "fault-injection")]
pub mod fault;
mod read_dir;
#[cfg(not(feature = "fault-injection"))]
mod fault {
    //! No call fails but by the kernel's doing.
    pub(super) fn inject() -> Result<(), super::RawErrno> {
        Ok(())
    }
}
mod identity;
mod proc;
mod statx;

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag};
use nix::mount::{MntFlags, MsFlags};
use nix::sys::stat::{FileStat, Mode, SFlag};
use nix::{fcntl, libc};
use rustix::fs::{StatxAttributes, StatxFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

pub use identity::{FileId, MountId, PathOrigin, file_id, mount_id_at, mount_on, path_origin};
pub(crate) use proc::or_no_proc;
pub use proc::{own_table, proc_is_there, proc_path_for_others, proc_path_of, real_path_of};
pub use read_dir::{Entry, is_empty, read_dir};
pub use statx::{
    CachedStat, Root, Rooted, cached_stat_at, cached_stat_fd, fs_magic, fs_user, inode_clock,
    is_automount, mount_id, mount_root_at, mount_root_fd, root_at, root_path, server_answers,
    umask,
};

/// The raw errno of a failed call.
pub type RawErrno = i32;
/// What a system call answers.
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

/// The longest path the kernel takes, with its closing NUL (limits.h).
pub const PATH_MAX: usize = libc::PATH_MAX as usize;
/// The longest name of a directory entry (limits.h).
pub const NAME_MAX: usize = 255;

/// The kind of a file.
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
    /// A block or character device, or what the kernel adds to the list.
    Device,
}

/// What stat(2) told of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The device of the file system.
    pub dev: u64,
    /// The inode number.
    pub ino: u64,
    /// What kind of file it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: i64,
}

impl Stat {
    /// Go's `os.SameFile`.
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

/// nix has no name for every errno a file system may answer; the raw one is still at hand.
fn raw(errno: Errno) -> RawErrno {
    if errno == Errno::UnknownErrno { Errno::last_raw() } else { errno as i32 }
}

/// How often a call is tried that was interrupted by a signal. There is an end to it because a FUSE
/// server may answer EINTR on its own, and for ever.
const TRIES: usize = 1000;

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> Sys<T> {
    let mut call = || {
        fault::inject().map_err(Errno::from_raw)?;
        call()
    };
    for _ in 1..TRIES {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result.map_err(raw),
        }
    }
    call().map_err(raw)
}

fn retry_rustix<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> Sys<T> {
    let mut call = || {
        fault::inject().map_err(rustix::io::Errno::from_raw_os_error)?;
        call()
    };
    for _ in 1..TRIES {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(|e| e.raw_os_error()),
        }
    }
    call().map_err(|e| e.raw_os_error())
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

/// openat2(2): opens `path` strictly below `dir`, through no symlink of any kind.
pub fn open_beneath(dir: impl AsFd, path: &[u8], flags: OFlag) -> Sys<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(dir, path, flags, resolve)
}

/// The same, through no mount point either: EXDEV.
pub fn open_beneath_on_mount(dir: impl AsFd, path: &[u8], flags: OFlag) -> Sys<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_XDEV
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(dir, path, flags, resolve)
}

/// openat2(2): opens `path`, through no symlink of any kind.
pub fn open_without_symlinks(path: &[u8], flags: OFlag) -> Sys<OwnedFd> {
    open_at_without_symlinks(fcntl::AT_FDCWD, path, flags)
}

/// openat2(2): opens `path` from `dir` on, through no symlink of any kind.
pub fn open_at_without_symlinks(dir: impl AsFd, path: &[u8], flags: OFlag) -> Sys<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(dir, path, flags, resolve)
}

/// openat2(2) with `O_PATH`, through no symlink, of what can be walked to without asking a server or an
/// automount: EAGAIN where it cannot. EINVAL before Linux 5.12 (`RESOLVE_CACHED`).
pub fn open_cached(dir: impl AsFd, path: &[u8]) -> Sys<OwnedFd> {
    let resolve = ResolveFlag::from_bits_retain(libc::RESOLVE_CACHED)
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(dir, path, OFlag::O_PATH | OFlag::O_NOFOLLOW, resolve)
}

fn openat2(dir: impl AsFd, path: &[u8], flags: OFlag, resolve: ResolveFlag) -> Sys<OwnedFd> {
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    retry(|| fcntl::openat2(dir.as_fd(), path, how))
}

/// fstat(2).
pub fn fstat(fd: impl AsFd) -> Sys<Stat> {
    retry(|| nix::sys::stat::fstat(fd.as_fd())).map(Stat::from)
}

/// lstat(2).
pub fn lstat(path: &[u8]) -> Sys<Stat> {
    lstat_at(fcntl::AT_FDCWD, path)
}

/// stat(2), following links.
pub fn stat(path: &[u8]) -> Sys<Stat> {
    stat_at(fcntl::AT_FDCWD, path)
}

/// fstatat(2), following links.
pub fn stat_at(dir: impl AsFd, path: &[u8]) -> Sys<Stat> {
    retry(|| nix::sys::stat::fstatat(dir.as_fd(), path, AtFlags::empty())).map(Stat::from)
}

/// fstatat(2) with `AT_SYMLINK_NOFOLLOW`.
pub fn lstat_at(dir: impl AsFd, name: &[u8]) -> Sys<Stat> {
    retry(|| nix::sys::stat::fstatat(dir.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW))
        .map(Stat::from)
}

/// readlinkat(2).
pub fn readlink(path: &[u8]) -> Sys<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    retry(|| fcntl::readlink(path)).map(OsStringExt::into_vec)
}

/// Whether an entry is a symbolic link (readlinkat(2)). Only a file system that holds one is asked,
/// and nothing is opened: a descriptor on a mount keeps it busy, also in a child that another thread
/// is just starting and that has not executed its program yet.
pub fn is_symlink_at(dir: impl AsFd, name: &[u8]) -> Sys<bool> {
    match retry(|| fcntl::readlinkat(dir.as_fd(), name)) {
        Ok(_) => Ok(true),
        Err(EINVAL) if !has_nul(name) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// access(2) with `F_OK`.
pub fn exists(path: &[u8]) -> Sys<()> {
    retry(|| nix::unistd::access(path, nix::unistd::AccessFlags::F_OK))
}

/// Whether entries may be made in an open directory, with the errno that mkdirat(2) would answer:
/// it looks first for the right to search, then whether the directory was removed, then whether the
/// mount is read-only, and last for the right to write.
pub fn may_change(dir: impl AsFd) -> Sys<()> {
    may_search(dir.as_fd())?;
    if retry(|| nix::sys::stat::fstat(dir.as_fd()))?.st_nlink == 0 {
        return Err(ENOENT);
    }
    let about = retry_rustix(|| rustix::fs::fstatvfs(dir.as_fd()))?;
    if about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Err(libc::EROFS);
    }
    allows(dir, nix::unistd::AccessFlags::W_OK)
}

/// Whether entries of an open directory may be looked up.
pub fn may_search(dir: impl AsFd) -> Sys<()> {
    allows(dir, nix::unistd::AccessFlags::X_OK)
}

/// faccessat(2) with `AT_EACCESS`.
fn allows(dir: impl AsFd, mode: nix::unistd::AccessFlags) -> Sys<()> {
    retry(|| nix::unistd::faccessat(dir.as_fd(), ".", mode, AtFlags::AT_EACCESS))
}

/// mkdirat(2); the umask applies.
pub fn mkdirat(dir: impl AsFd, name: &[u8], mode: u32) -> Sys<()> {
    let mode = Mode::from_bits_truncate(mode & 0o7777);
    retry(|| nix::sys::stat::mkdirat(dir.as_fd(), name, mode))
}

/// mkdir(2) by a path that the caller trusts.
pub fn mkdir(path: &[u8], mode: u32) -> Sys<()> {
    mkdirat(fcntl::AT_FDCWD, path, mode)
}

/// mknodat(2) of a regular file: what openat(2) with `O_CREAT` and `O_EXCL` does, without a
/// descriptor to close.
pub fn make_file(dir: impl AsFd, name: &[u8], mode: u32) -> Sys<()> {
    let mode = Mode::from_bits_truncate(mode);
    retry(|| nix::sys::stat::mknodat(dir.as_fd(), name, SFlag::S_IFREG, mode, 0))
}

/// fchmod(2).
pub fn fchmod(fd: impl AsFd, mode: u32) -> Sys<()> {
    retry(|| nix::sys::stat::fchmod(fd.as_fd(), Mode::from_bits_truncate(mode)))
}

/// ftruncate(2) to nothing.
pub fn truncate(fd: impl AsFd) -> Sys<()> {
    retry(|| nix::unistd::ftruncate(fd.as_fd(), 0))
}

/// Go's `os.Remove`: unlink or rmdir, whichever fits, and the more telling of the two answers.
///
/// `likely` says which to try first; it changes no answer.
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

/// The same by a path that the caller trusts.
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

/// umount2(2) of the entry `name` of `dir`; a symlink is not followed.
///
/// There is no call that takes the descriptor; /proc/thread-self/fd/N names the directory, and nobody can
/// exchange what a descriptor refers to. ENOSYS where there is no /proc.
pub fn umount_at(dir: impl AsFd, name: &[u8], how: Unmount) -> Sys<()> {
    let path = proc_path_of(dir.as_fd(), Some(name));
    umount2(&path, how.flags() | MntFlags::UMOUNT_NOFOLLOW).map_err(or_no_proc)
}

/// umount2(2) by path; a symlink is followed.
pub fn umount(path: &[u8], how: Unmount) -> Sys<()> {
    umount2(path, how.flags())
}

fn umount2(path: &[u8], flags: MntFlags) -> Sys<()> {
    retry(|| nix::mount::umount2(path, flags))
}

/// sigprocmask(2): this thread takes no signal any more, so that none is lost on a thread that hangs.
pub fn block_signals() -> Sys<()> {
    nix::sys::signal::SigSet::all().thread_block().map_err(raw)
}

/// killpg(3) with `SIGKILL`, of the group that a child process was started in.
pub fn kill_group(leader: u32) -> Sys<()> {
    let leader = i32::try_from(leader).map_err(|_| EINVAL)?;
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader), nix::sys::signal::SIGKILL)
        .map_err(raw)
}

/// fcntl(2): reading what nobody has written yet is EAGAIN from now on.
pub fn do_not_wait(fd: impl AsFd) -> Sys<()> {
    let nonblocking = nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
    nix::fcntl::fcntl(fd.as_fd(), nonblocking).map(drop).map_err(raw)
}

/// unshare(2) of `CLONE_FS`: this thread has a working directory, a root directory and a umask of its
/// own from now on.
pub fn unshare_directories() -> Sys<()> {
    retry(|| nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS))
}

/// How to unmount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmount {
    /// Unless it is busy.
    Plainly,
    /// Out of the tree at once, busy or not (`MNT_DETACH`).
    Lazily,
    /// Requests to a server that does not answer are aborted first (`MNT_FORCE`).
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

/// mount(2) with `MS_BIND` of one descriptor on another, by their /proc/thread-self/fd paths.
/// ENOSYS where there is no /proc.
pub fn bind_by_proc(source: impl AsFd, target: impl AsFd) -> Sys<()> {
    let source = proc_path_of(source.as_fd(), None);
    let target = proc_path_of(target.as_fd(), None);
    let none: Option<&[u8]> = None;
    retry(|| nix::mount::mount(Some(&source[..]), &target[..], none, MsFlags::MS_BIND, none))
        .map_err(or_no_proc)
}

/// open_tree(2) with `OPEN_TREE_CLONE`: a detached bind mount of an open file or directory.
pub fn clone_tree(source: impl AsFd) -> Sys<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    retry_rustix(|| rustix::mount::open_tree(source.as_fd(), c"", flags))
}

/// The same of what lies at an entry. An automount is not triggered; a link is followed where that is
/// wanted.
pub fn clone_tree_at(dir: impl AsFd, name: &[u8], follow: bool) -> Sys<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_NO_AUTOMOUNT;
    flags.set(OpenTreeFlags::AT_SYMLINK_NOFOLLOW, !follow);
    retry_rustix(|| rustix::mount::open_tree(dir.as_fd(), name, flags))
}

/// move_mount(2): attaches a detached mount on the entry `name` of `dir`; a symlink is not followed,
/// an automount not triggered.
pub fn attach_tree(tree: impl AsFd, dir: impl AsFd, name: &[u8]) -> Sys<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    retry_rustix(|| rustix::mount::move_mount(tree.as_fd(), c"", dir.as_fd(), name, flags))
}

/// Whether openat2(2) is here and allowed.
pub(crate) fn probe_openat2() -> bool {
    !matches!(open_without_symlinks(b"/", OFlag::O_PATH), Err(errno) if means_absent(errno))
}

/// Whether statx(2) is here and allowed, and whether it tells mount roots.
pub(crate) fn probe_statx() -> Option<bool> {
    let flags = rustix::fs::AtFlags::STATX_DONT_SYNC;
    match retry_rustix(|| rustix::fs::statx(rustix::fs::CWD, c"/", flags, StatxFlags::TYPE)) {
        Ok(x) => Some(x.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)),
        Err(errno) if means_absent(errno) => None,
        // Each answer says for itself whether it tells mount roots.
        Err(_) => Some(true),
    }
}

/// Whether open_tree(2) is here and allowed; opening without a clone needs no privilege.
pub(crate) fn probe_open_tree() -> bool {
    let flags = OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let opened = retry_rustix(|| rustix::mount::open_tree(rustix::fs::CWD, c"/", flags));
    !matches!(opened, Err(errno) if means_absent(errno))
}

/// Whether an errno of a probe, of open_tree(2) or of move_mount(2) tells that the call is not to be
/// had: the kernel is too old (ENOSYS), a seccomp profile refuses it (EPERM), or a security module does
/// (EACCES; from Linux 6.7 on AppArmor looks at detached mounts too). Any other, EMFILE say, will pass,
/// while a fallback once chosen stays.
pub(crate) fn means_absent(errno: RawErrno) -> bool {
    matches!(errno, ENOSYS | EPERM | EACCES)
}

/// What any call with this path answers, whatever the file system holds: EINVAL where Go refuses a
/// NUL, ENAMETOOLONG where the kernel refuses the length.
pub fn refused(path: &[u8]) -> Option<RawErrno> {
    if has_nul(path) {
        Some(EINVAL)
    } else if path.len() >= PATH_MAX {
        Some(ENAMETOOLONG)
    } else {
        None
    }
}

/// Whether a path holds a NUL byte, which no system call takes.
pub fn has_nul(path: &[u8]) -> bool {
    path.contains(&0)
}
