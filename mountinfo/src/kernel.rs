//! [`KernelMounter`]: mounts and unmounts by system calls on descriptors.
//!
//! It does not run mount(8) or umount(8). To find out what is mounted it never waits for a file system. Only
//! [`Mounter::is_mount_point`] checks whether a mounted file system answers, with a time limit.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, OFlag};

use crate::error::{Error, Result};
use crate::features::Features;
use crate::internal::sys::{self, Kind, Sys, Unmount};
use crate::mounter::{MountPoint, Mounter, Place, Source};
use crate::table::MountTable;
use crate::{check, log};

/// How many mounts on one place are unmounted at most. A mount namespace has 100,000 mounts at most by default
/// (fs.mount-max).
pub const MOST_LAYERS: usize = 100_000;

/// The kernel's mounter, which makes system calls: it mounts by open_tree(2) and move_mount(2), unmounts by
/// umount2(2), and finds out by statx(2) what is mounted. Where these are missing or refused it uses mount(2)
/// and /proc/thread-self/fdinfo.
///
/// Mounting and unmounting need `CAP_SYS_ADMIN` in the user namespace that owns the mount namespace.
#[derive(Debug, Clone, Copy, Default)]
pub struct KernelMounter;

impl Mounter for KernelMounter {
    /// Contacts the server of a mount with a time limit, as [`is_mount_point`](crate::is_mount_point) does.
    fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        check::is_mount_point_at(at)
    }

    fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        check::is_likely_not_mount_point_at(at)
    }

    fn can_safely_skip_mount_point_check(&self) -> bool {
        true
    }

    fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        let fail = |errno| Error::of_call("mount", at.bytes(), errno);
        // A symlink as target is opened itself here, and nothing can be mounted on one.
        let (dir, name) = match at.dir() {
            Some(dir) => (dir, at.name_bytes()),
            None => (AT_FDCWD, at.bytes()),
        };
        if Features::get().open_tree {
            let attached =
                sys::clone_tree(source.fd).and_then(|tree| sys::attach_tree(&tree, dir, name));
            match attached {
                Ok(()) => return Ok(()),
                // A seccomp profile or a security module may allow mount(2) but not these; without
                // the privilege mount(2) answers the same EPERM.
                Err(errno) if sys::means_absent(errno) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        let target = sys::openat(dir, name, flags, 0).map_err(fail)?;
        sys::bind_by_proc(source.fd, &target).map_err(fail)
    }

    fn unmount(&self, at: Place<'_>) -> Result<()> {
        log!(DEBUG, target = at.bytes(), "Unmounting %s", at.bytes());
        unmount_once(at, Unmount::Plainly).map(drop)
    }

    fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        match unmount_once(at, Unmount::Lazily)? {
            true => Ok(()),
            // umount2(2): it is no mount point, or the mount is locked.
            false => Err(Error::at_path("unmount", at.bytes(), sys::EINVAL)),
        }
    }

    fn list(&self) -> Result<Vec<MountPoint>> {
        MountTable::current()?.iter().map(|record| Ok(MountPoint::from(&record?))).collect()
    }

    fn is_kernel(&self) -> bool {
        true
    }
}

impl KernelMounter {
    /// Returns whether something is mounted at the place, whatever the state of its server, which is not
    /// contacted.
    ///
    /// # Errors
    /// ENOENT as Go's `fs.ErrNotExist` if nothing exists there, else the errno of statx(2) with the path.
    #[doc(hidden)]
    pub fn is_mounted(&self, at: Place<'_>) -> Result<bool> {
        check::is_mount_root(at).map_err(|errno| check::path_error(at, errno))
    }

    /// Unmounts every mount on an entry of an open directory, and removes the entry.
    ///
    /// It does not contact the mounted file system: mounts whose source was deleted, whose server is dead or
    /// hangs, or whose handle is stale are unmounted like any other. It never enters what is below the mount
    /// point. A symlink is removed, not followed. `likely` is the entry's kind, as far as the caller knows.
    ///
    /// # Errors
    /// EBUSY while a process uses the mount; EPERM without `CAP_SYS_ADMIN`; ENOTEMPTY if the entry is a directory
    /// that is not empty.
    #[doc(hidden)]
    pub fn clear(&self, dir: BorrowedFd<'_>, path: &[u8], likely: Kind) -> Result<()> {
        let at = Place::in_dir(dir, path);
        // Each turn unmounts one mount, or is the last.
        for _ in 0..MOST_LAYERS {
            let unmounted = match unmount_once(at, Unmount::Plainly) {
                // Nothing is there; or there is no /proc, which matters only if something is mounted.
                Err(error) if matches!(error.raw_os_error(), Some(sys::ENOENT | sys::ENOSYS)) => {
                    Err(error)
                }
                answer => Ok(answer?),
            };
            if unmounted == Ok(true) {
                log!(DEBUG, target = path, "Unmounted %s", path);
            }
            log!(DEBUG, target = path, "Deleting path %q", path);
            match sys::remove_at(dir, at.name_bytes(), likely) {
                Ok(()) => return Ok(()),
                Err(sys::ENOENT) => {
                    log!(DEBUG, target = path, "%q does not exist", path);
                    return Ok(());
                }
                Err(sys::EBUSY) => match unmounted {
                    // Another mount lay below the one that was taken away.
                    Ok(true) => {}
                    Err(error) if error.raw_os_error() == Some(sys::ENOSYS) => return Err(error),
                    Ok(false) | Err(_) => return Err(Error::at_path("remove", path, sys::EBUSY)),
                },
                Err(errno) => return Err(Error::at_path("remove", path, errno)),
            }
        }
        Err(Error::at_path("unmount", path, sys::EBUSY))
    }
}

/// Unmounts the topmost mount of the place, and returns `false` if nothing is mounted there.
pub(crate) fn unmount_once(at: Place<'_>, how: Unmount) -> Result<bool> {
    let answer = unmount_patiently(at, how);
    match answer {
        Ok(()) => Ok(true),
        // What is no mount point; a mount that is locked is one too (mount_namespaces(7)), and
        // whoever removes its mount point is told EBUSY.
        Err(sys::EINVAL) => Ok(false),
        // The privilege is asked for before anything is looked up.
        Err(sys::EPERM) if check::is_mount_root(at) == Ok(false) => Ok(false),
        Err(errno) => Err(Error::of_call("unmount", at.bytes(), errno)),
    }
}

/// The pauses, in milliseconds, between tries to unmount something that is busy.
const PATIENCE: [u64; 6] = [1, 2, 4, 8, 16, 32];

/// Unmounts something, and tries again for some milliseconds while it is busy.
///
/// A mount is busy as long as a descriptor refers to it. Until it executes its program, a process that was just
/// forked has a copy of every descriptor, including the one by which [`KernelMounter::bind`] made the mount.
fn unmount_patiently(at: Place<'_>, how: Unmount) -> Sys<()> {
    let unmount = || match at.dir() {
        Some(dir) => sys::umount_at(dir, at.name_bytes(), how),
        None => sys::umount(at.bytes(), how),
    };
    for pause in PATIENCE {
        match unmount() {
            Err(sys::EBUSY) if how == Unmount::Plainly => {}
            answer => return answer,
        }
        log!(TRACE, target = at.bytes(), "Unmounting %s again, it is busy", at.bytes());
        std::thread::sleep(Duration::from_millis(pause));
    }
    unmount()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    /// A line of /proc/mounts with its fields decoded: source, mount point, type, options, numbers.
    fn printed_alike(line: &[u8]) -> Vec<u8> {
        use crate::table::{unescape_name, unescape_option, unescape_path};
        let fields: Vec<&[u8]> = line.splitn(4, |&byte| byte == b' ').collect();
        let [source, path, fs_type, rest] = fields[..] else { return line.to_vec() };
        let (source, fs_type) = (unescape_name(source), unescape_name(fs_type));
        [source, unescape_path(path), fs_type, unescape_option(rest)].join(&b' ')
    }

    #[test]
    fn the_list_is_what_proc_mounts_says() {
        let told = std::fs::read("/proc/self/mounts").unwrap();
        let told: Vec<Vec<u8>> = told
            .split(|&b| b == b'\n')
            .filter(|line| !line.is_empty())
            .map(printed_alike)
            .collect();
        let listed: Vec<Vec<u8>> = KernelMounter
            .list()
            .unwrap()
            .into_iter()
            .map(|m| {
                let options = m.options.join(",".as_ref());
                [m.device, m.path.into(), m.fs_type, options, "0 0".into()]
                    .map(OsString::into_encoded_bytes)
                    .join(&b' ')
            })
            .collect();
        // Other tests mount and unmount meanwhile; what was there all the time must agree.
        let shared = told.iter().filter(|line| listed.contains(line)).count();
        assert!(shared * 10 >= told.len() * 9 && shared > 0, "{shared} of {}", told.len());
    }
}
