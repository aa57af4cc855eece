//! The [`Mounter`] trait, by which the operations mount and unmount, and the [`Place`] that it acts on.

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

/// A path, and the open directory that contains it if the caller has that.
///
/// A mounter should use the directory and the name if it can: then nobody can replace a parent directory
/// while it works.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    path: &'a [u8],
    dir: Option<BorrowedFd<'a>>,
}

impl<'a> Place<'a> {
    /// Returns the place at a path, without an open directory.
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

    /// Returns the place at a path whose last component is an entry of the open directory `dir`.
    pub fn beneath<P: AsRef<Path> + ?Sized>(dir: BorrowedFd<'a>, path: &'a P) -> Self {
        Place { path: bytes_of(path), dir: Some(dir) }
    }

    /// Returns the full path, for messages and for mounters that use only paths.
    pub fn path(&self) -> &'a Path {
        path_of(self.path)
    }

    /// Returns the open directory that contains the last component of [`Place::path`], if there is one.
    pub fn dir(&self) -> Option<BorrowedFd<'a>> {
        self.dir
    }

    /// Returns the last component of the path: what follows its last slash.
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

/// The source of a bind: an open file or directory.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The descriptor, opened with `O_PATH`.
    pub fd: BorrowedFd<'a>,
}

impl Source<'_> {
    /// Returns `/proc/PID/fd/N`, the path by which any process reaches the descriptor, for mounters that use
    /// only paths. If the calling thread has a descriptor table of its own (unshare(2) with `CLONE_FILES`),
    /// it is `/proc/TID/fd/N`.
    ///
    /// # Errors
    /// EMFILE or ENFILE if no descriptor is free to find out which of them it is.
    pub fn proc_path(&self) -> Result<PathBuf> {
        sys::proc_path_for_others(self.fd)
            .map(|path| PathBuf::from(OsString::from_vec(path)))
            .map_err(|errno| Error::from_errno(errno).about("pipe2", "/proc/self/fd"))
    }
}

/// One mounted file system, with the fields of mount-utils' `MountPoint`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct MountPoint {
    /// The source: a device, or another name that the file system gives.
    pub device: OsString,
    /// Where it is mounted.
    pub path: PathBuf,
    /// The type of the file system.
    pub fs_type: OsString,
    /// The options, in the kernel's order.
    pub options: Vec<OsString>,
}

/// What mounts and unmounts: the methods of mount-utils' `mount.Interface` that sub paths and the clean-up of
/// mount points need.
///
/// A program can implement it, for example around [`FakeMounter`](crate::FakeMounter) in a test. An error that
/// a method returns reaches the caller of the operation. An [`std::io::Error`] converts to [`Error`].
pub trait Mounter {
    /// Returns whether something is mounted at the place (`IsMountPoint`).
    ///
    /// # Errors
    /// ENOENT if nothing exists there, and the errno of the mounted file system if that is dead.
    fn is_mount_point(&self, at: Place<'_>) -> Result<bool>;

    /// Returns whether nothing is mounted at the place by a cheaper check (`IsLikelyNotMountPoint`), which may
    /// miss bind mounts.
    fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        Ok(!self.is_mount_point(at)?)
    }

    /// Returns whether [`Mounter::unmount`] succeeds if nothing is mounted
    /// (`CanSafelySkipMountPointCheck`).
    fn can_safely_skip_mount_point_check(&self) -> bool {
        false
    }

    /// Binds the open source to the place
    /// (`MountSensitiveWithoutSystemdWithMountFlags` with `bind` and `--no-canonicalize`).
    fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()>;

    /// Unmounts the topmost mount at the place (`Unmount`).
    fn unmount(&self, at: Place<'_>) -> Result<()>;

    /// Detaches the topmost mount at the place, even if it is in use (umount2(2) with `MNT_DETACH`).
    ///
    /// # Errors
    /// EINVAL if nothing is mounted there.
    fn unmount_lazily(&self, at: Place<'_>) -> Result<()>;

    /// Returns all mounts (`List`).
    fn list(&self) -> Result<Vec<MountPoint>>;

    /// Returns whether this is [`KernelMounter`](crate::KernelMounter) or a reference to it. The operations then
    /// do not call its methods but work by descriptor, with system calls of their own.
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
    /// Converts a record to what its line in /proc/mounts shows (fs/proc_namespace.c, `show_vfsmnt`): one `ro`
    /// or `rw` for mount and file system together, then the kernel's flags of the file system, the options of
    /// the mount, and the file system's own options.
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
