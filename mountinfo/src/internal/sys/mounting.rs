//! The system calls that make, change and describe mounts: those of the mount API of Linux 5.2 and newer, and
//! mount(2).

use std::os::fd::{AsFd, OwnedFd};

use nix::libc;
use nix::mount::MsFlags;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags,
};

use super::{
    EINVAL, ENOSYS, EPERM, RawErrno, Sys, fault, means_absent, or_no_proc, proc_path_of, raw, retry,
};

/// Opens a context in which a file system is made (fsopen(2), Linux 5.2).
pub fn fsopen(fs_type: &[u8]) -> Sys<OwnedFd> {
    retry(|| rustix::mount::fsopen(fs_type, FsOpenFlags::FSOPEN_CLOEXEC))
}

/// Opens a context in which the file system of a mount is reconfigured (fspick(2), Linux 5.2).
pub fn fspick(mount: impl AsFd) -> Sys<OwnedFd> {
    let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
    retry(|| rustix::mount::fspick(mount.as_fd(), c"", flags))
}

/// Sets a flag of a context (fsconfig(2) with `FSCONFIG_SET_FLAG`).
pub fn fsconfig_flag(context: impl AsFd, key: &[u8]) -> Sys<()> {
    retry(|| rustix::mount::fsconfig_set_flag(context.as_fd(), key))
}

/// Sets a parameter of a context to a text (fsconfig(2) with `FSCONFIG_SET_STRING`).
pub fn fsconfig_string(context: impl AsFd, key: &[u8], value: &[u8]) -> Sys<()> {
    retry(|| rustix::mount::fsconfig_set_string(context.as_fd(), key, value))
}

/// Makes the file system of a context (fsconfig(2) with `FSCONFIG_CMD_CREATE`).
pub fn fsconfig_create(context: impl AsFd) -> Sys<()> {
    retry(|| rustix::mount::fsconfig_create(context.as_fd()))
}

/// Reconfigures the file system of a context (fsconfig(2) with `FSCONFIG_CMD_RECONFIGURE`).
pub fn fsconfig_reconfigure(context: impl AsFd) -> Sys<()> {
    retry(|| rustix::mount::fsconfig_reconfigure(context.as_fd()))
}

/// Makes a detached mount of the file system of a context (fsmount(2)). The attributes are `MOUNT_ATTR_…`. ENOSYS if
/// they may be too new for the kernel.
pub fn fsmount(context: impl AsFd, attributes: u64) -> Sys<OwnedFd> {
    let given = MountAttrFlags::from_bits_retain(attributes as u32);
    retry(|| rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, given))
        .map_err(or_too_new(attributes))
}

/// Converts the errno of a call that takes `MOUNT_ATTR_…`: EINVAL becomes ENOSYS if there is
/// `MOUNT_ATTR_NOSYMFOLLOW`, which is younger (Linux 5.14) than the calls, and than the flag of mount(2).
fn or_too_new(attributes: u64) -> impl Fn(RawErrno) -> RawErrno {
    move |errno| match errno {
        EINVAL if attributes & libc::MOUNT_ATTR_NOSYMFOLLOW != 0 => ENOSYS,
        _ => errno,
    }
}

/// Returns the next message that the kernel wrote to a context, such as `e tmpfs: Bad value for 'size'`; `None`
/// if there is no more.
pub fn context_message(context: impl AsFd) -> Option<Vec<u8>> {
    let mut message = vec![0; 4096];
    // ENODATA at the end. Any other error also means that nothing can be told.
    let length = retry(|| nix::unistd::read(context.as_fd(), &mut message)).ok()?;
    message.truncate(length);
    Some(message)
}

/// Opens a path for mounting on it, or for moving what is mounted there. Symbolic links are followed, and an
/// automount is triggered. With open_tree(2) if that is available, else with `O_PATH`, which triggers none.
pub fn open_mount_point(path: &[u8], by_open_tree: bool) -> Sys<OwnedFd> {
    if by_open_tree {
        let flags = OpenTreeFlags::OPEN_TREE_CLOEXEC;
        match retry(|| rustix::mount::open_tree(rustix::fs::CWD, path, flags)) {
            Err(errno) if means_absent(errno) => {}
            answer => return answer,
        }
    }
    super::open(path, nix::fcntl::OFlag::O_PATH)
}

/// Makes a detached bind mount of an open file or directory, with what is mounted below it if `recursive` is
/// set (open_tree(2) with `OPEN_TREE_CLONE`).
pub fn clone_mount(source: impl AsFd, recursive: bool) -> Sys<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    retry(|| rustix::mount::open_tree(source.as_fd(), c"", flags))
}

/// Attaches a detached mount, or moves an attached one, to an open file or directory (move_mount(2)).
pub fn move_mount(mount: impl AsFd, target: impl AsFd) -> Sys<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    retry(|| rustix::mount::move_mount(mount.as_fd(), c"", target.as_fd(), c"", flags))
}

/// A change of the attributes of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttributeChange {
    /// The `MOUNT_ATTR_…` to set.
    pub set: u64,
    /// The `MOUNT_ATTR_…` to clear, first.
    pub clear: u64,
}

/// Changes the attributes of a mount (mount_setattr(2), Linux 5.12). ENOSYS if they may be too new for the kernel.
pub fn change_attributes(mount: impl AsFd, change: AttributeChange) -> Sys<()> {
    let attributes = libc::mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: 0,
        userns_fd: 0,
    };
    retry(|| raw::mount_setattr(mount.as_fd(), 0, &attributes))
        .map_err(or_too_new(change.set | change.clear))
}

/// Changes attributes or propagation by mount(2): `flags` are `MS_…`. The target is an open file or directory,
/// which is named by its path in /proc; ENOSYS if /proc is not mounted.
pub fn mount_flags(target: impl AsFd, flags: u64) -> Sys<()> {
    mount(b"", &proc_path_of(target.as_fd(), None), b"", flags, b"").map_err(or_no_proc)
}

/// Moves a mount by mount(2) with `MS_MOVE`. Both are open, and are named by their paths in /proc.
pub fn move_by_mount(mount_point: impl AsFd, target: impl AsFd) -> Sys<()> {
    let path = |file: std::os::fd::BorrowedFd<'_>| proc_path_of(file, None);
    let (source, target) = (path(mount_point.as_fd()), path(target.as_fd()));
    mount(&source, &target, b"", libc::MS_MOVE, b"").map_err(or_no_proc)
}

/// Returns the flags that statfs(2) tells of an open file (`ST_…`): those of its mount, and `ST_RDONLY` if the
/// file system is read-only. Waits for a server that hangs.
pub fn statfs_flags(file: impl AsFd) -> Sys<u64> {
    retry(|| rustix::fs::fstatvfs(file.as_fd())).map(|answer| answer.f_flag.bits())
}

/// Reports whether an open file is a block device.
pub fn is_block_device(file: impl AsFd) -> Sys<bool> {
    use nix::sys::stat::SFlag;
    let stat = retry(|| nix::sys::stat::fstat(file.as_fd()))?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    Ok(kind == SFlag::S_IFBLK)
}

/// Reports whether mount(8) takes this process for root's.
pub fn is_root_user() -> bool {
    nix::unistd::getresuid().is_ok_and(|user| user.real.is_root() && user.effective.is_root())
}

/// mount(2). An empty source, type or data is passed as NULL.
pub fn mount(source: &[u8], target: &[u8], fs_type: &[u8], flags: u64, data: &[u8]) -> Sys<()> {
    fn given(text: &[u8]) -> Option<&[u8]> {
        (!text.is_empty()).then_some(text)
    }
    let flags = MsFlags::from_bits_retain(flags as libc::c_ulong);
    retry(|| nix::mount::mount(given(source), target, given(fs_type), flags, given(data)))
}

/// Describes a mount by statmount(2), Linux 6.8: `wanted` is a mask of `STATMOUNT_…`, `mount` its unique ID.
pub fn statmount(mount: u64, wanted: u64, answer: &mut [u8]) -> Sys<()> {
    retry(|| raw::statmount(mount, wanted, answer, 0))
}

/// Reports whether statmount(2) is available. A flag that it does not know is refused before all else.
pub(crate) fn probe_statmount() -> bool {
    is_present(retry(|| raw::statmount(0, 0, &mut [], u32::MAX)))
}

/// Reports whether mount_setattr(2) is available, which needs no privilege to find out.
pub(crate) fn probe_mount_setattr() -> bool {
    is_present(retry(raw::mount_setattr_of_nothing))
}

/// Reports whether fsopen(2), fsconfig(2), fsmount(2), fspick(2) and move_mount(2) are available, by making a tmpfs
/// that is attached nowhere: a file system is not to be made that cannot be attached then. fsopen(2) asks for the
/// privilege first, so its EPERM decides only if this thread has the privilege.
pub(crate) fn probe_fsopen() -> bool {
    let context = match fsopen(b"tmpfs") {
        Err(EPERM) => return !has_admin_capability(),
        Err(errno) => return !means_absent(errno),
        Ok(context) => context,
    };
    is_present(fsconfig_create(&context))
        && is_present(fsmount(&context, 0).map(drop))
        // A context is not a mount.
        && is_present(fspick(&context).map(drop))
        && is_present(move_mount(&context, &context))
}

fn is_present(answer: Sys<()>) -> bool {
    !matches!(answer, Err(errno) if means_absent(errno))
}

/// Reports whether this thread has `CAP_SYS_ADMIN`, by `CapEff` in /proc/thread-self/status.
fn has_admin_capability() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    if fault::inject().is_err() {
        return false;
    }
    // What cannot be read or parsed shows no privilege; fsopen(2) then decides at the first mount.
    let Ok(status) = std::fs::read_to_string("/proc/thread-self/status") else { return false };
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .is_some_and(|capabilities| capabilities & CAP_SYS_ADMIN != 0)
}
