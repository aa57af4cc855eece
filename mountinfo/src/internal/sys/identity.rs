//! Identities of mounts and files that can be compared, found without waiting for a file system.

use std::os::fd::AsFd;

use nix::fcntl::{AT_FDCWD, OFlag};
use rustix::fs::{AtFlags, Statx, StatxAttributes, StatxFlags};

use super::statx::cached_statx;
use super::{Features, Sys, mount_id, openat};

/// The identity of a mount: its unique ID (`STATX_MNT_ID_UNIQUE`, Linux 6.8) and its device. Before Linux
/// 6.8 the ID is one that another mount may get later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MountId {
    number: u64,
    device: (u32, u32),
}

/// The identity of a file: the mount on which it was found, its device and its inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    mount: u64,
    device: (u32, u32),
    inode: u64,
}

/// `STATX_MNT_ID_UNIQUE`, which rustix does not define.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// Returns the mount at an entry, the topmost of a stack; `None` if nothing is mounted there. A symbolic
/// link is not followed, an automount is not triggered, and the mounted file system is not waited for.
pub fn mount_on(dir: impl AsFd, name: &[u8]) -> Sys<Option<MountId>> {
    if Features::get().statx_mount_root {
        // A FUSE mount of another user refuses any request for attributes (EACCES), but not an empty one.
        let found =
            look(&dir, name, MNT_ID_UNIQUE).or_else(|_| look(&dir, name, StatxFlags::empty()))?;
        if found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
            let is_root = found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
            return Ok(is_root.then_some(MountId {
                number: found.stx_mnt_id,
                device: (found.stx_dev_major, found.stx_dev_minor),
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

/// Returns the device of an open file. Without statx(2) it could not be had without waiting for the file
/// system, and is 0:0.
fn device_of(file: impl AsFd) -> (u32, u32) {
    if !Features::get().statx {
        return (0, 0);
    }
    look(file, b"", StatxFlags::empty()).map_or((0, 0), |x| (x.stx_dev_major, x.stx_dev_minor))
}

/// Returns the identity of an open file.
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

/// Returns the ID of the mount that an entry is on; for a mount point, that of the mount there. It can be
/// compared with the [`mount_id`] of an open descriptor.
pub fn mount_id_at(dir: impl AsFd, name: &[u8]) -> Sys<u64> {
    if Features::get().statx_mount_root {
        let found = look(&dir, name, StatxFlags::empty())?;
        if StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID) {
            return Ok(found.stx_mnt_id);
        }
    }
    mount_id(openat(dir, name, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)?)
}

/// Where the kernel starts to resolve a path of this thread. Two threads mean the same by a path only if
/// its origin is the same for both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
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

/// statx(2) of an entry, or of the open file itself if the name is empty.
fn look(file: impl AsFd, name: &[u8], mask: StatxFlags) -> Sys<Statx> {
    let of_itself = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::empty() };
    cached_statx(file, name, AtFlags::SYMLINK_NOFOLLOW | of_itself, mask)
}

/// The mount whose root is at a path, by its unique ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueRoot {
    /// This mount.
    Mount(u64),
    /// The path is not the root of a mount.
    NotRoot,
    /// The kernel is too old to tell (before Linux 6.8).
    Unknown,
}

/// Returns the mount whose root is at a path. Symbolic links are followed, an automount is not triggered, and
/// the mounted file system is not waited for. EACCES for a FUSE mount of another user.
pub fn unique_root(path: &[u8]) -> Sys<UniqueRoot> {
    find_unique_root(AT_FDCWD, path, AtFlags::empty())
}

/// Returns the mount whose root is an open file, as [`unique_root`] does for a path.
pub fn unique_root_of(file: impl AsFd) -> Sys<UniqueRoot> {
    find_unique_root(file, b"", AtFlags::EMPTY_PATH)
}

fn find_unique_root(dir: impl AsFd, path: &[u8], flags: AtFlags) -> Sys<UniqueRoot> {
    let found = cached_statx(dir, path, flags, MNT_ID_UNIQUE)?;
    let has_id = StatxFlags::from_bits_retain(found.stx_mask).contains(MNT_ID_UNIQUE);
    Ok(match found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        true if !found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) => UniqueRoot::NotRoot,
        true if has_id => UniqueRoot::Mount(found.stx_mnt_id),
        _ => UniqueRoot::Unknown,
    })
}
