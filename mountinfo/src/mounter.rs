//! What the operations ask of whoever performs mounts: the [`Mounter`] trait, and the place it acts on.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::internal::paths::{bytes_of, path_of};
use crate::internal::sys;
use crate::table::MountRecord;

/// A path, and the open directory it lies in where the caller has one.
///
/// A mounter that can should act on the pair (directory, name): nobody can exchange a parent of
/// the path under it then.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    path: &'a [u8],
    dir: Option<BorrowedFd<'a>>,
}

impl<'a> Place<'a> {
    /// A place known by its path alone.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::{KernelMounter, Mounter, Place};
    /// assert!(KernelMounter.is_mount_point(Place::at("/proc"))?);
    /// # Ok::<(), subpath_mountinfo::Error>(())
    /// ```
    pub fn at<P: AsRef<Path> + ?Sized>(path: &'a P) -> Self {
        Place { path: bytes_of(path), dir: None }
    }

    /// The entry named by the last component of `path` in the open directory `dir`.
    pub fn beneath<P: AsRef<Path> + ?Sized>(dir: BorrowedFd<'a>, path: &'a P) -> Self {
        Place { path: bytes_of(path), dir: Some(dir) }
    }

    /// The whole path, as messages and a mounter that knows only paths need it.
    pub fn path(&self) -> &'a Path {
        path_of(self.path)
    }

    /// The directory that holds the last component of [`Place::path`].
    pub fn dir(&self) -> Option<BorrowedFd<'a>> {
        self.dir
    }

    /// The last component of the path: what follows its last slash.
    pub fn name(&self) -> &'a OsStr {
        OsStr::from_bytes(self.name_bytes())
    }
}

#[doc(hidden)]
impl<'a> Place<'a> {
    /// [`Place::at`] of a path as bytes.
    pub fn at_bytes(path: &'a [u8]) -> Self {
        Place { path, dir: None }
    }

    /// [`Place::beneath`] of a path as bytes, with the directory if there is one.
    pub fn in_dir(dir: impl Into<Option<BorrowedFd<'a>>>, path: &'a [u8]) -> Self {
        Place { path, dir: dir.into() }
    }

    /// The bytes of [`Place::path`].
    pub fn bytes(&self) -> &'a [u8] {
        self.path
    }

    /// The bytes of [`Place::name`].
    pub fn name_bytes(&self) -> &'a [u8] {
        match self.path.iter().rposition(|&b| b == b'/') {
            Some(slash) => &self.path[slash + 1..],
            None => self.path,
        }
    }
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("path", &self.path()).field("dir", &self.dir).finish()
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
    pub fn proc_path(&self) -> Result<PathBuf> {
        sys::proc_path_for_others(self.fd)
            .map(|path| PathBuf::from(OsString::from_vec(path)))
            .map_err(|errno| Error::from_errno(errno).about("pipe2", "/proc/self/fd"))
    }
}

/// One mounted file system, as mount-utils' `MountPoint` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct MountPoint {
    /// The source: a device, or what the file system calls itself.
    pub device: OsString,
    /// Where it is mounted.
    pub path: PathBuf,
    /// The type of the file system.
    pub fs_type: OsString,
    /// The options, in the kernel's order.
    pub options: Vec<OsString>,
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

impl<M: Mounter + ?Sized> Mounter for &M {
    fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        (**self).is_mount_point(at)
    }
    fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        (**self).is_likely_not_mount_point(at)
    }
    fn can_safely_skip_mount_point_check(&self) -> bool {
        (**self).can_safely_skip_mount_point_check()
    }
    fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        (**self).bind(source, at)
    }
    fn unmount(&self, at: Place<'_>) -> Result<()> {
        (**self).unmount(at)
    }
    fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        (**self).unmount_lazily(at)
    }
    fn list(&self) -> Result<Vec<MountPoint>> {
        (**self).list()
    }
    fn is_kernel(&self) -> bool {
        (**self).is_kernel()
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
            device: record.source.clone(),
            path: record.mount_point.clone(),
            fs_type: record.fs_type.clone(),
            options: std::iter::once(access)
                .chain(flags)
                .chain(own)
                .chain(rest)
                .map(OsString::from_vec)
                .collect(),
        }
    }
}
