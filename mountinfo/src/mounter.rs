//! What the operations ask of whoever performs mounts: the [`Mounter`] trait, the place it acts
//! on, and [`AsyncMounter`], the same trait for a mounter that answers later.
//!
//! The operations are written once, against [`AsyncMounter`]. A Rust mounter answers at once
//! ([`Direct`]); the C boundary's mounter hands each question to its caller and goes on with the
//! answer, so that no foreign frame ever lies between two of ours.

use std::borrow::Cow;
use std::future::Future;
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};
use crate::internal::{go_path, sys};
use crate::table::MountRecord;
use crate::umount;

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

    /// Whether something is mounted at the place, be it dead or alive: what the operations ask. Unless
    /// the mounter tells the two apart, it is [`Mounter::is_mount_point`].
    fn is_mounted(&self, at: Place<'_>) -> Result<bool> {
        self.is_mount_point(at)
    }

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

    /// Whether this mounter means the kernel's own mounts and nothing else. The operations then
    /// ask the kernel by descriptor, take stacked mounts away to the last, and never follow a
    /// link or wait for a file system to find out what is mounted.
    fn is_kernel(&self) -> bool {
        false
    }
}

/// [`Mounter`] for one that answers later; see the module's head. Its methods mean the same, but that
/// only the operations ask them: `is_mount_point` is [`Mounter::is_mounted`] of the kernel's mounter.
#[allow(async_fn_in_trait)]
#[allow(missing_docs)]
pub trait AsyncMounter {
    async fn is_mount_point(&self, at: Place<'_>) -> Result<bool>;
    async fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool>;
    async fn can_safely_skip_mount_point_check(&self) -> bool;
    async fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()>;
    async fn unmount(&self, at: Place<'_>) -> Result<()>;
    async fn unmount_lazily(&self, at: Place<'_>) -> Result<()>;
    /// Unmounts by umount(8); only asked of the kernel's mounter, where mount(8) noted something of
    /// the mount (/run/mount/utab).
    async fn unmount_by_program(&self, path: &[u8]) -> Result<()> {
        umount::umount(path)
    }
    fn is_kernel(&self) -> bool {
        false
    }
}

/// A [`Mounter`] as an [`AsyncMounter`] that never waits.
#[derive(Debug)]
pub struct Direct<'m, M: ?Sized>(pub &'m M);

impl<M: Mounter + ?Sized> AsyncMounter for Direct<'_, M> {
    async fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        self.0.is_mounted(at)
    }
    async fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        self.0.is_likely_not_mount_point(at)
    }
    async fn can_safely_skip_mount_point_check(&self) -> bool {
        self.0.can_safely_skip_mount_point_check()
    }
    async fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        self.0.bind(source, at)
    }
    async fn unmount(&self, at: Place<'_>) -> Result<()> {
        self.0.unmount(at)
    }
    async fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        self.0.unmount_lazily(at)
    }
    fn is_kernel(&self) -> bool {
        self.0.is_kernel()
    }
}

/// Runs an operation whose mounter is [`Direct`]: it is ready at the first poll.
pub fn run_now<F: Future>(operation: F) -> F::Output {
    let mut operation = pin!(operation);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = operation.as_mut().poll(&mut context) {
            return output;
        }
    }
}

impl From<&MountRecord> for MountPoint {
    /// The record as a line of /proc/mounts tells it (fs/proc_namespace.c, `show_vfsmnt`): one
    /// `ro` or `rw` for mount and file system together, then the kernel's flags of the file
    /// system, the options of the mount, and what the file system adds.
    fn from(record: &MountRecord) -> Self {
        const FLAGS: [&[u8]; 4] = [b"sync", b"dirsync", b"mand", b"lazytime"];
        let read_only =
            record.mount_options.contains(b"ro") || record.super_options.contains(b"ro");
        let is_access = |option: &[u8]| option == b"ro" || option == b"rw";
        let (flags, rest): (Vec<_>, Vec<_>) = record
            .super_options
            .iter()
            .map(Cow::into_owned)
            .filter(|option| !is_access(option))
            .partition(|option| FLAGS.contains(&&option[..]));
        let own = record.mount_options.iter().map(Cow::into_owned).filter(|o| !is_access(o));
        let access = if read_only { b"ro".to_vec() } else { b"rw".to_vec() };
        MountPoint {
            device: record.source.clone(),
            path: record.mount_point.clone(),
            fs_type: record.fs_type.clone(),
            options: std::iter::once(access).chain(flags).chain(own).chain(rest).collect(),
        }
    }
}
