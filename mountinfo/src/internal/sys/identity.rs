//! Which mount, and which file, without waiting for a file system: what tells two of them apart.

use std::os::fd::AsFd;

use nix::fcntl::{AT_FDCWD, OFlag};
use rustix::fs::{AtFlags, Statx, StatxAttributes, StatxFlags};

use super::{Sys, mount_id, openat, retry_rustix};
use crate::features::Features;

/// One mount: its unique number (`STATX_MNT_ID_UNIQUE`, Linux 6.8); before that its mount id, which
/// another mount may get later, and its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MountId {
    number: u64,
    device: (u32, u32),
}

/// One file: the mount that it was found on, its device and its inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    mount: u64,
    device: (u32, u32),
    inode: u64,
}

/// rustix has no name for it.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The mount whose root an entry is, the topmost of a stack; `None` where nothing is mounted. A
/// symlink is not followed, an automount not triggered, an answer of the mounted file system not
/// awaited.
pub fn mount_on(dir: impl AsFd, name: &[u8]) -> Sys<Option<MountId>> {
    if Features::get().statx_mount_root {
        // To be asked for anything at all is refused (EACCES) by a FUSE server of another user's.
        let told =
            look(&dir, name, MNT_ID_UNIQUE).or_else(|_| look(&dir, name, StatxFlags::empty()))?;
        if told.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
            let is_root = told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
            return Ok(is_root.then_some(MountId {
                number: told.stx_mnt_id,
                device: (told.stx_dev_major, told.stx_dev_minor),
            }));
        }
    }
    let entry = openat(&dir, name, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)?;
    let number = mount_id(&entry)?;
    if number == mount_id(&dir)? {
        return Ok(None);
    }
    Ok(Some(MountId { number, device: device_of(&entry) }))
}

/// The device of an open file; that of no file where statx(2), which does not wait, is missing.
fn device_of(file: impl AsFd) -> (u32, u32) {
    if !Features::get().statx {
        return (0, 0);
    }
    look(file, b"", StatxFlags::empty()).map_or((0, 0), |x| (x.stx_dev_major, x.stx_dev_minor))
}

/// Tells an open file from every other.
pub fn file_id(file: impl AsFd) -> Sys<FileId> {
    let mount = mount_id(&file)?;
    if !Features::get().statx {
        let stat = super::fstat(&file)?;
        let (major, minor) = (rustix::fs::major(stat.dev), rustix::fs::minor(stat.dev));
        return Ok(FileId { mount, device: (major, minor), inode: stat.ino });
    }
    let x = look(&file, b"", StatxFlags::INO)?;
    Ok(FileId { mount, device: (x.stx_dev_major, x.stx_dev_minor), inode: x.stx_ino })
}

/// The mount that an entry lies on, its own where it is a mount's root. Comparable with that of an
/// open descriptor.
pub fn mount_id_at(dir: impl AsFd, name: &[u8]) -> Sys<u64> {
    if Features::get().statx_mount_root {
        let told = look(&dir, name, StatxFlags::empty())?;
        if StatxFlags::from_bits_retain(told.stx_mask).contains(StatxFlags::MNT_ID) {
            return Ok(told.stx_mnt_id);
        }
    }
    mount_id(openat(dir, name, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)?)
}

/// Where the kernel starts to resolve a path of this thread. Two threads mean the same by a path only if
/// its origin is the same for both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathOrigin {
    root: FileId,
    /// The path of the working directory; empty for an absolute path.
    directory: Vec<u8>,
}

/// Returns the origin of a path for the calling thread. The server of the working directory is not
/// asked. ENOSYS for a relative path if /proc is not mounted.
pub fn path_origin(path: &[u8]) -> Sys<PathOrigin> {
    let root = file_id(openat(AT_FDCWD, b"/", OFlag::O_PATH, 0)?)?;
    let directory = match path.starts_with(b"/") {
        true => Vec::new(),
        false => super::readlink(b"/proc/thread-self/cwd").map_err(super::or_no_proc)?,
    };
    Ok(PathOrigin { root, directory })
}

fn look(file: impl AsFd, name: &[u8], mask: StatxFlags) -> Sys<Statx> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let flags = if name.is_empty() { flags | AtFlags::EMPTY_PATH } else { flags };
    retry_rustix(|| rustix::fs::statx(file.as_fd(), name, flags, mask))
}
