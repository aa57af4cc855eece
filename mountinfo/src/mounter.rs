//! What the operations ask of whoever performs mounts: the [`Mounter`] trait, and the place it acts on.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::error::{Error, Result};
use crate::internal::{go_path, sys};
use crate::table::MountRecord;

/// A path, and the open directory it lies in where the caller has one.
///
/// A mounter that can should act on the pair (directory, name): nobody can exchange a parent of
/// the path under it then.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The whole path, as texts and a mounter that knows only paths need it.
    pub path: &'a [u8],
    /// The directory that holds the last component of [`Place::path`].
    pub dir: Option<BorrowedFd<'a>>,
}

impl<'a> Place<'a> {
    /// A place known by its path alone.
    pub fn at(path: &'a [u8]) -> Self {
        Place { path, dir: None }
    }

    /// The entry named by the last component of `path` in `dir`.
    pub fn beneath(dir: BorrowedFd<'a>, path: &'a [u8]) -> Self {
        Place { path, dir: Some(dir) }
    }

    /// The last component of the path.
    pub fn name(&self) -> &'a [u8] {
        match self.path.iter().rposition(|&b| b == b'/') {
            Some(slash) => &self.path[slash + 1..],
            None => self.path,
        }
    }

    /// The path of the directory that holds the place.
    pub fn parent(&self) -> Vec<u8> {
        go_path::dir(self.path)
    }
}

/// What is to be bound: an open file or directory.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The descriptor, opened with `O_PATH`.
    pub fd: BorrowedFd<'a>,
}

impl Source<'_> {
    /// `/proc/PID/fd/N`, the path by which a mounter that knows only paths reaches the descriptor, from
    /// any process. Where the calling thread has a descriptor table of its own (unshare(2) with
    /// `CLONE_FILES`) it is `/proc/TID/fd/N`.
    ///
    /// # Errors
    /// The bare errno where it cannot be told which: EMFILE or ENFILE when no descriptor is free.
    pub fn proc_path(&self) -> Result<Vec<u8>> {
        sys::proc_path_for_others(self.fd).map_err(Error::from_errno)
    }
}

/// One mounted file system, as mount-utils' `MountPoint` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MountPoint {
    /// The source: a device, or what the file system calls itself.
    pub device: Vec<u8>,
    /// Where it is mounted.
    pub path: Vec<u8>,
    /// The type of the file system.
    pub fs_type: Vec<u8>,
    /// The options, in the kernel's order.
    pub options: Vec<Vec<u8>>,
}

/// The operations of mount-utils' `mount.Interface` that sub paths and mount point clean-up need.
///
/// An error returned here reaches the caller of the operation as the original would pass it on.
pub trait Mounter {
    /// Whether something is mounted at the place (`IsMountPoint`). ENOENT when nothing is there; the
    /// errno of what is mounted there where that is dead.
    fn is_mount_point(&self, at: Place<'_>) -> Result<bool>;

    /// The cheap question (`IsLikelyNotMountPoint`): may call a bind mount no mount point.
    fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        Ok(!self.is_mount_point(at)?)
    }

    /// Whether [`Mounter::unmount`] of what is not mounted is no error
    /// (`CanSafelySkipMountPointCheck`).
    fn can_safely_skip_mount_point_check(&self) -> bool {
        false
    }

    /// Binds the open source to the place
    /// (`MountSensitiveWithoutSystemdWithMountFlags` with `bind` and `--no-canonicalize`).
    fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()>;

    /// Unmounts what is topmost at the place (`Unmount`).
    fn unmount(&self, at: Place<'_>) -> Result<()>;

    /// Detaches what is topmost at the place, busy or not (umount2(2) with `MNT_DETACH`). EINVAL where
    /// nothing is mounted.
    fn unmount_lazily(&self, at: Place<'_>) -> Result<()>;

    /// Every mount (`List`).
    fn list(&self) -> Result<Vec<MountPoint>>;

    /// Whether this is [`KernelMounter`](crate::KernelMounter), or means it. The operations then ask it
    /// nothing: they mount and look by descriptor, with system calls of their own.
    #[doc(hidden)]
    fn is_kernel(&self) -> bool {
        false
    }
}

impl From<&MountRecord> for MountPoint {
    /// The record as a line of /proc/mounts tells it (fs/proc_namespace.c, `show_vfsmnt`): one
    /// `ro` or `rw` for mount and file system together, then the kernel's flags of the file
    /// system, the options of the mount, and what the file system adds.
    fn from(record: &MountRecord) -> Self {
        const FLAGS: [&[u8]; 4] = [b"sync", b"dirsync", b"mand", b"lazytime"];
        let read_only = record.mount_options.contains("ro") || record.super_options.contains("ro");
        let is_access = |option: &[u8]| option == b"ro" || option == b"rw";
        let owned = |option: Cow<'_, OsStr>| option.into_owned().into_vec();
        let (flags, rest): (Vec<_>, Vec<_>) = record
            .super_options
            .iter()
            .map(owned)
            .filter(|option| !is_access(option))
            .partition(|option| FLAGS.contains(&&option[..]));
        let own = record.mount_options.iter().map(owned).filter(|o| !is_access(o));
        let access = if read_only { b"ro".to_vec() } else { b"rw".to_vec() };
        MountPoint {
            device: record.source.as_bytes().to_vec(),
            path: record.mount_point.as_os_str().as_bytes().to_vec(),
            fs_type: record.fs_type.as_bytes().to_vec(),
            options: std::iter::once(access).chain(flags).chain(own).chain(rest).collect(),
        }
    }
}
