//! Mounting and unmounting as mount-utils' Mounter does it through mount(8), and one mount's record.
//!
//! Every comment on a function here goes into the header.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use subpath_mountinfo::internal::paths::path_of;
use subpath_mountinfo::internal::{
    Command, Failure, Outcome, unmount_reporting, unmount_with_force_reporting,
};
use subpath_mountinfo::{Error, Mount, MountPoint, MountRecord};

use crate::abi::{self, Options, Step};
use crate::call::{ended, export};
use crate::memory;
use crate::mounts::Packed;
use crate::reply::Reply;

/// Mounts as mount-utils' MountSensitiveWithoutSystemdWithMountFlags, without mount(8). Arguments:
/// source, target, file system type, options, sensitive options, mount flags, log lines. The last four are
/// lists: the strings of each are packed as arguments are, and that is one argument. The log lines are those
/// of mount-utils' commands, one for each. They are logged at V(4): the first before anything is done; none if
/// only mount(8) can do this. If the list is empty, the library logs a line of its own.
///
/// RSP_DONE: rsp_step.number is RSP_MOUNT_DONE; or RSP_MOUNT_FORWARD where only mount(8) can do this:
/// nothing was done, the result is the reason, and the caller goes on with mount-utils' own Mounter.
///
/// RSP_FAILED: rsp_step.number is one of RSP_MOUNT_FAILED_…, the command of mount-utils that failed;
/// the result is what mount(8) prints there, and its exit status is 32. The error is RSP_ERROR_PATH with
/// the errno. Nothing is left mounted. No sensitive option stands in any text. If the number is 0, the
/// call itself was wrong.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_mount(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    let doing = "mounting";
    export!(doing, options, args, args_len, step, |call, [source, target, fs_type, o, s, f, l]| {
        let mut mount = Mount::new(name(source), path_of(target)).fs_type(name(fs_type));
        for option in memory::unpack_list(o)? {
            mount = mount.option(name(option));
        }
        for option in memory::unpack_list(s)? {
            mount = mount.sensitive_option(name(option));
        }
        for flag in memory::unpack_list(f)? {
            mount = mount.mount_flag(name(flag));
        }
        let mount = mount.log_as(memory::unpack_list(l)?.into_iter().map(name));
        ended(Ok(reply("mount", target, mount.perform())))
    })
}

/// Unmounts as mount-utils' Unmount, without umount(8). Argument: the target. The outcome is that of
/// rsp_mount() with RSP_MOUNT_FAILED_FIRST alone. If nothing is mounted there it is RSP_MOUNT_DONE.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_unmount(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    export!("unmounting", options, args, args_len, step, |call, [target]| {
        ended(Ok(reply("umount", target, unmount_reporting(target))))
    })
}

/// Unmounts as mount-utils' UnmountWithForce, without umount(8): as rsp_unmount(), and if that takes longer
/// than `timeout` nanoseconds, and 100 ms at least, with MNT_FORCE. Argument: the target. The call returns
/// after six times that time at the latest.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_unmount_with_force(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    timeout: u64,
    step: *mut Step,
) -> u32 {
    export!("unmounting", options, args, args_len, step, |call, [target]| {
        let timeout = Duration::from_nanos(timeout);
        ended(Ok(reply("umount", target, unmount_with_force_reporting(target, timeout))))
    })
}

/// Finds the mount whose root is at a path, the topmost of a stack, in constant time where the kernel is
/// new enough. It follows symlinks. Argument: the path. rsp_step.number is 1, or 0 if nothing is mounted
/// there.
///
/// The result is packed as that of rsp_mount_table() for one mount, and ends with one more list, the
/// options as /proc/mounts shows them.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_mount_at(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    export!("looking up a mount", options, args, args_len, step, |call, [path]| {
        let found = subpath_mountinfo::mount_at(path_of(path));
        ended(found.map(|record| record.map_or_else(Reply::default, |r| pack(&r))))
    })
}

/// See [`rsp_mount_at`].
fn pack(record: &MountRecord) -> Reply {
    let mut packed = Packed::new(1024);
    packed.record(record);
    packed.list(MountPoint::from(record).options.iter());
    packed.into()
}

/// What is handed over of an outcome; see [`rsp_mount`].
fn reply(op: &'static str, target: &[u8], outcome: Outcome) -> Reply {
    match outcome {
        Outcome::Done => Reply { number: abi::RSP_MOUNT_DONE, ..Reply::default() },
        Outcome::NotUnderstood(why) => {
            let bytes = why.into_owned().into_bytes();
            Reply { number: abi::RSP_MOUNT_FORWARD, bytes, error: None }
        }
        Outcome::Failed(Failure { command, errno, output }) => {
            let number = match command {
                Command::First => abi::RSP_MOUNT_FAILED_FIRST,
                Command::Remount => abi::RSP_MOUNT_FAILED_REMOUNT,
                Command::Statfs => abi::RSP_MOUNT_FAILED_STATFS,
            };
            Reply { number, bytes: output, error: Some(Error::at_path(op, target, errno)) }
        }
    }
}

fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}
