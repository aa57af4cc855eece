//! [`KernelMounter`]: the kernel's own mounts, by system calls on descriptors.
//!
//! It runs no mount(8) or umount(8), and never waits for a file system to find out what is
//! mounted.

use std::os::fd::BorrowedFd;

use nix::fcntl::OFlag;

use crate::error::{Error, Result};
use crate::features::Features;
use crate::mounter::{MountPoint, Mounter, Place, Source};
use crate::sys::{self, Kind, Sys};
use crate::table::MountTable;
use crate::{gopath, gotext, log};

/// How many mounts may lie on one place before taking them away is given up. A mount table holds
/// 100,000 by default (fs.mount-max).
const MOST_LAYERS: usize = 100_000;

/// Mounts by open_tree(2) and move_mount(2), else mount(2); unmounts by umount2(2); and asks
/// statx(2) what is mounted, else /proc/self/fdinfo.
///
/// Needs `CAP_SYS_ADMIN` in the user namespace that owns the mount namespace.
#[derive(Debug, Clone, Copy, Default)]
pub struct KernelMounter;

impl Mounter for KernelMounter {
    fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        is_mount_root(at).map_err(|errno| match errno {
            // mount-utils answers the sentinel itself.
            sys::ENOENT => Error::not_exist(),
            errno => Error::path("statx", at.path, errno),
        })
    }

    fn can_safely_skip_mount_point_check(&self) -> bool {
        true
    }

    fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        let fail = |errno| Error::path("mount", at.path, errno);
        // A symlink as target is opened itself here, and nothing can be mounted on one.
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        let target = match at.dir {
            Some(dir) => sys::openat(dir, at.name(), flags, 0),
            None => sys::open(at.path, flags),
        }
        .map_err(fail)?;
        if Features::get().open_tree {
            let attached =
                sys::clone_tree(source.fd).and_then(|tree| sys::attach_tree(&tree, &target));
            match attached {
                Ok(()) => return Ok(()),
                // A seccomp profile may know mount(2) but not these; without the privilege
                // mount(2) answers the same EPERM.
                Err(sys::ENOSYS | sys::EPERM) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
        sys::bind_by_proc(source.fd, &target).map_err(fail)
    }

    fn unmount(&self, at: Place<'_>) -> Result<()> {
        log!(DEBUG, "Unmounting ", at.path);
        unmount_once(at, false).map(drop)
    }

    fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        unmount_once(at, true).map(drop)
    }

    fn list(&self) -> Result<Vec<MountPoint>> {
        MountTable::current()?.iter().map(|record| Ok(MountPoint::from(&record?))).collect()
    }

    fn is_kernel(&self) -> bool {
        true
    }
}

/// Whether the place is the root of a mount.
///
/// By path alone links are followed, as mount-utils follows them; by descriptor they are not.
fn is_mount_root(at: Place<'_>) -> Sys<bool> {
    let told = match at.dir {
        Some(dir) => sys::mount_root_at(dir, at.name()),
        None => sys::mount_root_path(without_trailing_slashes(at.path)),
    };
    match told {
        Ok(Some(answer)) => Ok(answer),
        Err(errno @ (sys::ENOENT | sys::ENOTDIR | sys::EINVAL)) => Err(errno),
        // The kernel is older than 5.8, or the mounted file system refused to be looked at.
        Ok(None) | Err(_) => is_mount_root_by_id(at),
    }
}

/// The same by mount numbers: an entry that lies on another mount than its directory is the root
/// of that mount. It opens nothing but the entry itself, and so waits for no file system either.
fn is_mount_root_by_id(at: Place<'_>) -> Sys<bool> {
    let path = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    let Some(dir) = at.dir else {
        let real = gopath::eval_symlinks(at.path).map_err(|e| e.errno().unwrap_or(sys::EINVAL))?;
        if real == b"/" {
            return Ok(true);
        }
        let parent = sys::open(&gopath::dir(&real), OFlag::O_PATH)?;
        return Ok(sys::mount_id(&parent)? != sys::mount_id(sys::open(&real, path)?)?);
    };
    let entry = sys::openat(dir, at.name(), path, 0)?;
    Ok(sys::mount_id(dir)? != sys::mount_id(&entry)?)
}

fn without_trailing_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&b| b != b'/').map_or(path.len().min(1), |i| i + 1);
    &path[..end]
}

/// Takes away the topmost mount of the place; `false` when nothing is mounted there.
fn unmount_once(at: Place<'_>, detach: bool) -> Result<bool> {
    let answer = match at.dir {
        Some(dir) => sys::umount_at(dir, at.name(), detach),
        None => sys::umount(at.path, false, detach),
    };
    match answer {
        Ok(()) => Ok(true),
        // What is no mount point; a mount that is locked is one too (mount_namespaces(7)), and
        // whoever removes its mount point is told EBUSY.
        Err(sys::EINVAL) => Ok(false),
        // The privilege is asked for before anything is looked up.
        Err(sys::EPERM) if is_mount_root(at) == Ok(false) => Ok(false),
        Err(errno) => Err(Error::path("unmount", at.path, errno)),
    }
}

/// Takes away every mount that lies on an entry of an open directory, then the entry itself.
///
/// It asks nothing of the mounted file system: a source that was deleted, a server that is dead or
/// hangs, and a stale handle are unmounted like any other. What lies below the mount point is never
/// entered. A symlink is removed, not followed. `likely` is the entry's kind, as far as the caller
/// knows it.
///
/// # Errors
/// EBUSY while a process uses the mount; EPERM without `CAP_SYS_ADMIN`; ENOTEMPTY where the entry
/// is a directory that is not empty.
pub fn clear(dir: BorrowedFd<'_>, path: &[u8], likely: Kind) -> Result<()> {
    let at = Place::beneath(dir, path);
    for _ in 0..MOST_LAYERS {
        let unmounted = match unmount_once(at, false) {
            Err(error) if error.errno() == Some(sys::ENOENT) => false,
            answer => answer?,
        };
        if unmounted {
            log!(DEBUG, "Unmounted ", path);
        }
        log!(DEBUG, "Deleting path ", gotext::quote(path));
        match sys::remove_at(dir, at.name(), likely) {
            Ok(()) => return Ok(()),
            Err(sys::ENOENT) => {
                log!(DEBUG, gotext::quote(path), " does not exist");
                return Ok(());
            }
            // Another mount lay below the one that was taken away.
            Err(sys::EBUSY) if unmounted => {}
            Err(errno) => return Err(Error::path("remove", path, errno)),
        }
    }
    Err(Error::path("unmount", path, sys::EBUSY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_what_proc_mounts_says() {
        let told = std::fs::read("/proc/self/mounts").unwrap();
        let told: Vec<Vec<u8>> = told
            .split(|&b| b == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| crate::table::unescape(line).into_owned())
            .collect();
        let listed: Vec<Vec<u8>> = KernelMounter
            .list()
            .unwrap()
            .into_iter()
            .map(|m| {
                [m.device, m.path, m.fs_type, m.options.join(&b','), b"0 0".to_vec()].join(&b' ')
            })
            .collect();
        // Other tests mount and unmount meanwhile; what was there all the time must agree.
        let shared = told.iter().filter(|line| listed.contains(line)).count();
        assert!(shared * 10 >= told.len() * 9 && shared > 0, "{shared} of {}", told.len());
    }

    #[test]
    fn trailing_slashes_do_not_count() {
        assert_eq!(without_trailing_slashes(b"/proc///"), b"/proc");
        assert_eq!(without_trailing_slashes(b"///"), b"/");
        assert_eq!(without_trailing_slashes(b""), b"");
        for path in [&b"/"[..], b"/proc", b"/proc/", b"/../proc//"] {
            assert_eq!(KernelMounter.is_mount_point(Place::at(path)), Ok(true), "{path:?}");
        }
        assert_eq!(KernelMounter.is_mount_point(Place::at(b"/proc/self")), Ok(false));
        let missing = KernelMounter.is_mount_point(Place::at(b"/no such file")).unwrap_err();
        assert!(missing.is_not_exist());
        assert_eq!(missing.to_string(), "file does not exist");
    }
}
