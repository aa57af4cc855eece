//! Unmounting as umount(8) does it, as far as it needs only the kernel.

use std::path::Path;
use std::time::Duration;

use super::at::basics_at;
use super::described::Basics;
use super::options::Reason;
use super::perform::{Command, Failure, Outcome};
use super::{message, types};
use crate::error::{Error, Result};
use crate::force::{ForceMounter, PathKey, SHORTEST_TIMEOUT, path_key};
use crate::internal::go_path;
use crate::internal::paths::bytes_of;
use crate::internal::sys::{self, Kind, RawErrno, Unmount, mounting};
use crate::internal::worker::Workers;
use crate::kernel::{KernelMounter, unmount_once};
use crate::mounter::Place;
use crate::table::MountTable;
use crate::utab::UtabTarget;
use crate::{log, text};

/// Unmounts the topmost mount at a path, as mount-utils' `Unmount` does. If nothing is mounted there, it does
/// nothing. Symlinks are followed.
///
/// # Errors
/// - [`ErrorKind::NeedsMountProgram`](crate::ErrorKind::NeedsMountProgram), without an errno: umount(8) would do
///   more than unmount this path. It is a device, or may be an image, or is the name of a source; mount(8) has an
///   entry for it; or its type has a helper. Nothing was done.
/// - ENOENT if nothing exists at the path; EBUSY if a process uses the mount; EPERM without `CAP_SYS_ADMIN`;
///   EINVAL if the mount is locked, because it belongs to a more privileged mount namespace.
///
/// # Examples
/// ```no_run
/// subpath_mountinfo::unmount("/run/volume")?;
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
pub fn unmount(target: impl AsRef<Path>) -> Result<()> {
    let target = bytes_of(&target);
    perform(target).into_result("umount", target)
}

/// Unmounts, and reports what mount-utils would have seen.
pub fn perform(target: &[u8]) -> Outcome {
    let unmount = |at: Place<'_>| match unmount_once(at, Unmount::Plainly) {
        // It was a mount a moment ago: it is locked, unless somebody else has unmounted it.
        Ok(false) if !matches!(basics_at(at.bytes()), Ok(None)) => {
            Err(Error::at_path("unmount", at.bytes(), sys::EINVAL))
        }
        answer => answer,
    };
    match decide(target) {
        Decision::Left(why) => Outcome::NotUnderstood(why),
        Decision::Unmount => carry_out(target, unmount),
        Decision::NotMounted => carry_out(target, |_| Ok(false)),
        Decision::Failed(errno) => {
            carry_out(target, |at| Err(Error::of_call("unmount", at.bytes(), errno)))
        }
    }
}

/// Like [`perform`], but by force if it takes longer than the timeout, as
/// [`unmount_with_force`](ForceMounter::unmount_with_force) does.
pub fn perform_with_force(target: &[u8], timeout: Duration) -> Outcome {
    // Nothing was done yet, so umount(8) may try, whatever the reason.
    let (true, Ok(key)) = (sys::proc_is_there(), path_key(target)) else {
        return Outcome::NotUnderstood("what the path means cannot be found out".into());
    };
    let (path, patience) = (target.to_vec(), timeout.max(SHORTEST_TIMEOUT));
    let unmount = |at: Place<'_>| KernelMounter.unmount_with_force(at, timeout);
    match DECIDING.run_anew(&key, patience, move |_| decide(&path)) {
        Ok(Decision::Left(why)) => Outcome::NotUnderstood(why),
        Ok(Decision::Unmount) => carry_out(target, |at| unmount(at).map(|()| true)),
        // An earlier call may still be unmounting, with nothing left in the tree. It is waited for.
        Ok(Decision::NotMounted) => carry_out(target, |at| unmount(at).map(|()| false)),
        Ok(Decision::Failed(errno)) => {
            carry_out(target, |at| Err(Error::of_call("unmount", at.bytes(), errno)))
        }
        Err(unanswered) => {
            carry_out(target, |at| Err(unanswered.into_error("unmount", at.bytes())))
        }
    }
}

/// The decisions of unmounts by force, which are made on threads, because a path may lead through a server that hangs.
static DECIDING: Workers<PathKey, Decision> = Workers::new();

/// What is to be done with a target.
#[derive(Clone)]
enum Decision {
    /// umount(8) unmounts it, for this reason.
    Left(Reason),
    /// umount2(2) unmounts it.
    Unmount,
    /// Nothing is mounted there.
    NotMounted,
    /// Nothing can be mounted there.
    Failed(RawErrno),
}

impl From<&'static str> for Decision {
    fn from(why: &'static str) -> Self {
        Decision::Left(why.into())
    }
}

/// Logs and calls what unmounts the target, and reports what came of it. The call returns whether something was
/// mounted.
fn carry_out(target: &[u8], unmount: impl FnOnce(Place<'_>) -> Result<bool>) -> Outcome {
    log!(DEBUG, target = target, "Unmounting %s", target);
    let path = go_path::without_trailing_slashes(target);
    let error = match unmount(Place::at_bytes(path)) {
        Ok(true) => return Outcome::Done,
        Ok(false) => {
            log!(DEBUG, target = target, "ignoring 'not mounted' error for %s", target);
            return Outcome::Done;
        }
        Err(error) => error,
    };
    let told = error.original_text();
    let errno = error.raw_os_error();
    let mut output = match errno {
        Some(errno) => text!("umount: %s: %s.\n", target, sentence(errno)),
        None => Vec::new(),
    };
    if errno.is_none_or(|errno| told != Error::of_call("unmount", path, errno).original_text()) {
        output.extend(text!("        %s\n", told));
    }
    let errno = errno.unwrap_or(nix::libc::EIO);
    Outcome::Failed(Failure { command: Command::First, errno, output })
}

fn decide(target: &[u8]) -> Decision {
    if target.is_empty() || target.starts_with(b"-") || target.contains(&0) {
        return "the target is no path".into();
    }
    if !mounting::is_root_user() {
        return "umount(8) restricts other users than root".into();
    }
    let path = go_path::without_trailing_slashes(target);
    // Only if the path does not exist is the error an answer, and that is asked for again.
    let Ok(mounted) = basics_at(path) else { return unmounted_by_name(target, path) };
    let Some(Basics { fs_type, .. }) = mounted else { return not_mounted(target, path) };
    let base = fs_type.split(|&byte| byte == b'.').next().unwrap_or_default();
    if types::has_helper("umount", &fs_type)
        || (base != fs_type && types::has_helper("umount", base))
    {
        return "the type has a helper program".into();
    }
    if !matches!(UtabTarget::find(path), Ok(None)) {
        return "mount(8) has an entry for it".into();
    }
    Decision::Unmount
}

/// What umount(8) does with a path at which nothing is mounted: nothing, unless it is what was mounted.
fn not_mounted(target: &[u8], path: &[u8]) -> Decision {
    let why = match sys::stat(path).map(|stat| stat.kind) {
        Ok(Kind::Directory) => is_source(path),
        Ok(Kind::File) => is_image(path),
        _ => Some("a device may be mounted elsewhere"),
    };
    match why {
        Some(why) => why.into(),
        // Of a file that is mounted umount(8) ignores a slash at the end.
        None if sys::stat(target).is_err() => Decision::Failed(sys::ENOTDIR),
        None => Decision::NotMounted,
    }
}

/// What umount(8) does with what is no path.
fn unmounted_by_name(target: &[u8], path: &[u8]) -> Decision {
    match sys::lstat(path) {
        Err(sys::ENOENT) if path.starts_with(b"/") && target == path => {
            is_source(path).map_or(Decision::Failed(sys::ENOENT), Decision::from)
        }
        _ => "the target cannot be looked at".into(),
    }
}

/// Why a path is left to umount(8), which takes the name of a source for the mount that has it.
fn is_source(path: &[u8]) -> Option<&'static str> {
    any_source(|source| source == path).then_some("it is the name of a source")
}

/// Why a file is left to umount(8), which takes it for the mount whose image it is. That may be any file if there is
/// a loop device, or a source that may be a path to it.
fn is_image(path: &[u8]) -> Option<&'static str> {
    let may_be_file = |source: &[u8]| match source.strip_prefix(b"/dev/") {
        Some(device) => device.starts_with(b"loop") || device.starts_with(b"shm/"),
        None => source.starts_with(b"/") || source == path,
    };
    any_source(may_be_file).then_some("an image may be mounted elsewhere")
}

/// Reports whether a mount has such a source. If the table cannot be read, one may have.
fn any_source(wanted: impl Fn(&[u8]) -> bool) -> bool {
    let records = MountTable::current().and_then(|table| table.records());
    records.map_or(true, |records| records.iter().any(|record| wanted(bytes_of(&record.source))))
}

/// libmount's sentence for an errno of umount2(2) (`mnt_context_get_umount_excode`).
fn sentence(errno: RawErrno) -> Vec<u8> {
    match errno {
        sys::ENXIO => "invalid block device".into(),
        sys::EINVAL => "not mounted".into(),
        nix::libc::EIO => "can't write superblock".into(),
        sys::EBUSY => "target is busy".into(),
        sys::ENOENT => "no mount point specified".into(),
        sys::EPERM => "must be superuser to unmount".into(),
        sys::EACCES => "block devices are not permitted on filesystem".into(),
        errno => text!("umount(2) system call failed: %s", message::c_text(errno)),
    }
}
