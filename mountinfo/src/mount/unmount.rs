//! Unmounting as umount(8) does it, as far as it needs only the kernel.

use std::path::Path;

use super::at::basics_at;
use super::described::Basics;
use super::perform::{Command, Failure, Outcome, Stop};
use super::{message, types};
use crate::error::Result;
use crate::internal::go_path;
use crate::internal::paths::bytes_of;
use crate::internal::sys::{self, Kind, RawErrno, Unmount, mounting};
use crate::kernel::unmount_once;
use crate::mounter::Place;
use crate::table::MountTable;
use crate::text;
use crate::utab::UtabTarget;

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
    perform(target).0.into_result("umount", target)
}

/// Unmounts, and reports what mount-utils would have seen, and whether umount(8) would have printed that nothing
/// is mounted there, which mount-utils ignores.
pub fn perform(target: &[u8]) -> (Outcome, bool) {
    let outcome = match run(target) {
        Ok(was_mounted) => return (Outcome::Done, !was_mounted),
        Err(Stop::NotUnderstood(why)) => Outcome::NotUnderstood(why),
        Err(Stop::Failed { errno, .. }) => {
            let output = text!("umount: %s: %s.\n", target, sentence(errno));
            Outcome::Failed(Failure { command: Command::First, errno, output })
        }
    };
    (outcome, false)
}

/// Returns whether anything was mounted.
fn run(target: &[u8]) -> Result<bool, Stop> {
    let left = |why: &'static str| Err(Stop::NotUnderstood(why.into()));
    if target.is_empty() || target.starts_with(b"-") || target.contains(&0) {
        return left("the target is no path");
    }
    if !mounting::is_root_user() {
        return left("umount(8) restricts other users than root");
    }
    let path = go_path::without_trailing_slashes(target);
    let Ok(mounted) = basics_at(path) else { return unmounted_by_name(target, path) };
    let Some(Basics { fs_type, .. }) = mounted else { return not_mounted(target, path) };
    let base = fs_type.split(|&byte| byte == b'.').next().unwrap_or_default();
    if types::has_helper("umount", &fs_type)
        || (base != fs_type && types::has_helper("umount", base))
    {
        return left("the type has a helper program");
    }
    if !matches!(UtabTarget::find(path), Ok(None)) {
        return left("mount(8) has an entry for it");
    }
    match unmount_once(Place::at_bytes(path), Unmount::Plainly) {
        Ok(true) => Ok(true),
        // It was a mount a moment ago: it is locked, unless somebody else has unmounted it.
        Ok(false) => match basics_at(path) {
            Ok(None) => Ok(false),
            _ => Err(sys::EINVAL.into()),
        },
        Err(error) => match error.raw_os_error() {
            Some(errno) => Err(errno.into()),
            None => left("umount2(2) cannot be called"),
        },
    }
}

/// What umount(8) does with a path at which nothing is mounted: nothing, unless it is what was mounted.
fn not_mounted(target: &[u8], path: &[u8]) -> Result<bool, Stop> {
    match sys::stat(path).map(|stat| stat.kind) {
        Ok(Kind::Directory) => check_is_no_source(path)?,
        Ok(Kind::File) => check_is_no_image(path)?,
        _ => return Err(Stop::NotUnderstood("a device may be mounted elsewhere".into())),
    }
    // Of a file that is mounted umount(8) ignores a slash at the end.
    if sys::stat(target).is_err() { Err(sys::ENOTDIR.into()) } else { Ok(false) }
}

/// What umount(8) does with what is no path.
fn unmounted_by_name(target: &[u8], path: &[u8]) -> Result<bool, Stop> {
    match sys::lstat(path) {
        Err(sys::ENOENT) if path.starts_with(b"/") && target == path => {
            check_is_no_source(path)?;
            Err(sys::ENOENT.into())
        }
        _ => Err(Stop::NotUnderstood("the target cannot be looked at".into())),
    }
}

/// Refuses the name of a source, which umount(8) takes for the mount that has it.
fn check_is_no_source(path: &[u8]) -> Result<(), Stop> {
    check_sources(|source| source == path, "it is the name of a source")
}

/// Refuses a file that may be mounted elsewhere, as umount(8) takes it for that mount: any file if there is a loop
/// device, or a source that may be a path to it.
fn check_is_no_image(path: &[u8]) -> Result<(), Stop> {
    let may_be_file = |source: &[u8]| match source.strip_prefix(b"/dev/") {
        Some(device) => device.starts_with(b"loop") || device.starts_with(b"shm/"),
        None => source.starts_with(b"/") || source == path,
    };
    check_sources(may_be_file, "an image may be mounted elsewhere")
}

fn check_sources(refused: impl Fn(&[u8]) -> bool, why: &'static str) -> Result<(), Stop> {
    let records = MountTable::current().and_then(|table| table.records());
    match records {
        Ok(records) if !records.iter().any(|record| refused(bytes_of(&record.source))) => Ok(()),
        _ => Err(Stop::NotUnderstood(why.into())),
    }
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
