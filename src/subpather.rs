//! [`Subpather`]: the operations, with the mounter and the profile that they go by.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use subpath_mountinfo::internal::coroutine::{self, Direct};
use subpath_mountinfo::internal::paths::{bytes_of, into_path};
use subpath_mountinfo::{self as mountinfo, KernelMounter, Mounter, Profile, Result};

use crate::mode::DirectoryMode;
use crate::request::Subpath;
use crate::{asked, mkdir, native};

/// Prepares sub paths and cleans them up (the original's `subpath.Interface`).
///
/// It holds no state but its mounter and profile: it can be made anew for each call, copied, and
/// shared by threads. Every operation waits for the kernel; in an asynchronous program call it where
/// waiting is allowed (tokio's `spawn_blocking`).
///
/// # Examples
/// Mount for real, which needs `CAP_SYS_ADMIN`, as the newest kubernetes does:
/// ```no_run
/// use subpath::{Subpath, Subpather};
///
/// let subpather = Subpather::new();
/// let volume = "/var/lib/kubelet/pods/UID/volumes/kubernetes.io~empty-dir/data";
/// subpather.safe_make_dir("logs/web", volume, 0o2770)?;
/// let request = Subpath::builder()
///     .volume("data", volume)
///     .sub_path("logs/web")
///     .pod_dir("/var/lib/kubelet/pods/UID")
///     .container("web")
///     .build()?;
/// let target = subpather.prepare_safe_subpath(&request)?;
/// println!("bind {} into the container", target.display());
/// # Ok::<(), subpath::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Subpather<M = KernelMounter> {
    mounter: M,
    profile: Profile,
}

impl Subpather {
    /// Mounts by system calls of its own, and behaves as the newest kubernetes release known.
    pub fn new() -> Self {
        Subpather::with_mounter(KernelMounter)
    }
}

impl Default for Subpather {
    fn default() -> Self {
        Subpather::new()
    }
}

impl<M: Mounter> Subpather<M> {
    /// Asks a mounter what the original asks it, in the original's order. `&mounter` is one too.
    pub fn with_mounter(mounter: M) -> Self {
        Subpather { mounter, profile: Profile::default() }
    }

    /// Behaves as another release line of kubernetes.
    pub fn profile(self, profile: Profile) -> Self {
        Subpather { profile, ..self }
    }

    /// The mounter.
    pub fn mounter(&self) -> &M {
        &self.mounter
    }

    /// Binds a sub path of a volume into the pod's directory, and tells where (`PrepareSafeSubpath`,
    /// `doBindSubPath`).
    ///
    /// The result is `POD_DIR/volume-subpaths/VOLUME/CONTAINER/INDEX`. What is bound there was below the
    /// volume when it was opened, and stays that file or directory whatever the volume's owner does
    /// afterwards. A sub path that is bound already is left as it is; something else that is mounted
    /// there is replaced. Nothing is left mounted after an error.
    ///
    /// # Errors
    /// [`OutsideVolume`](crate::ErrorKind::OutsideVolume) where the sub path leads out of the volume;
    /// [`Symlink`](crate::ErrorKind::Symlink) (ELOOP) and
    /// [`NotADirectory`](crate::ErrorKind::NotADirectory) (ENOTDIR) where a component was exchanged
    /// meanwhile; [`PermissionDenied`](crate::ErrorKind::PermissionDenied) (EPERM) without
    /// `CAP_SYS_ADMIN`; what the mounter answers.
    ///
    /// # Examples
    /// With [`FakeMounter`](crate::FakeMounter) nothing is mounted, so that this runs anywhere:
    /// ```
    /// use subpath::{ErrorKind, FakeMounter, Subpath, Subpather};
    /// # let root = std::env::temp_dir().join(format!("subpath-doc-{}", std::process::id()));
    /// let (volume, pod) = (root.join("volume"), root.join("pod"));
    /// std::fs::create_dir_all(volume.join("logs"))?;
    /// std::fs::create_dir_all(&pod)?;
    ///
    /// let subpather = Subpather::with_mounter(FakeMounter::new());
    /// let request = Subpath::builder().volume("data", &volume).pod_dir(&pod).container("web");
    /// let target = subpather.prepare_safe_subpath(&request.clone().sub_path("logs").build()?)?;
    /// assert_eq!(target, pod.join("volume-subpaths/data/web/0"));
    ///
    /// let error = subpather.prepare_safe_subpath(&request.sub_path("..").build()?).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::OutsideVolume);
    /// subpather.clean_sub_paths(&pod, "data")?;
    /// # std::fs::remove_dir_all(root)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prepare_safe_subpath(&self, subpath: &Subpath) -> Result<PathBuf> {
        let target = if self.mounter.is_kernel() {
            native::prepare::prepare(subpath, self.profile)
        } else {
            coroutine::run(asked::prepare::prepare(&Direct(&self.mounter), subpath, self.profile))
        };
        target.map(into_path)
    }

    /// Unmounts every sub path of a volume that was prepared for a pod, and removes the directories
    /// made for them (`CleanSubPaths`, `doCleanSubPaths`).
    ///
    /// Only the entries of `POD_DIR/volume-subpaths/VOLUME/CONTAINER` are touched, never what is below
    /// a mount point. Nothing to clean is no error. Nothing more is begun after the first error; it can
    /// be called again.
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy) (EBUSY) while a process uses a sub path;
    /// [`DirectoryNotEmpty`](crate::ErrorKind::DirectoryNotEmpty) (ENOTEMPTY) where something else was
    /// left in the directories; what the mounter answers.
    pub fn clean_sub_paths(
        &self,
        pod_dir: impl AsRef<Path>,
        volume_name: impl AsRef<OsStr>,
    ) -> Result<()> {
        let (pod_dir, volume) = (bytes_of(&pod_dir), volume_name.as_ref().as_bytes());
        if self.mounter.is_kernel() {
            return native::clean::clean_sub_paths(pod_dir, volume, self.profile);
        }
        let mounter = Direct(&self.mounter);
        coroutine::run(asked::clean::clean_sub_paths(&mounter, pod_dir, volume, self.profile))
    }

    /// Makes the directory `subdir` below `base` with every missing level, and gives each level that it
    /// makes exactly the mode `mode`, whatever the umask says (`SafeMakeDir`).
    ///
    /// `mode` is one of inode(7): 0o2770 is setgid. `base` may be a symlink; below it links are
    /// followed only where they end inside `base`. A directory that exists already is left as it is,
    /// and one that a concurrent caller made first counts as made. The mounter is not asked.
    ///
    /// # Errors
    /// [`OutsideVolume`](crate::ErrorKind::OutsideVolume) where `subdir` leads out of `base`;
    /// [`NotADirectory`](crate::ErrorKind::NotADirectory) (ENOTDIR) where something else is at the path;
    /// [`Symlink`](crate::ErrorKind::Symlink) (ELOOP) where a component was exchanged meanwhile; what
    /// mkdirat(2) and fchmod(2) answer.
    ///
    /// # Examples
    /// ```
    /// use std::os::unix::fs::PermissionsExt;
    /// use subpath::{ErrorKind, Subpather};
    /// # let base = std::env::temp_dir().join(format!("subpath-mkdir-{}", std::process::id()));
    /// # std::fs::create_dir_all(&base)?;
    /// Subpather::new().safe_make_dir("a/b", &base, 0o2770)?;
    /// assert_eq!(base.join("a/b").metadata()?.permissions().mode() & 0o7777, 0o2770);
    ///
    /// let error = Subpather::new().safe_make_dir("../elsewhere", &base, 0o750).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::OutsideVolume);
    /// # std::fs::remove_dir_all(base)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn safe_make_dir(
        &self,
        subdir: impl AsRef<Path>,
        base: impl AsRef<Path>,
        mode: u32,
    ) -> Result<()> {
        let mode = DirectoryMode::from_unix(mode)?;
        mkdir::safe_make_dir(bytes_of(&subdir), bytes_of(&base), mode, self.profile)
    }

    /// Tells in one line the crate's version, the newer kernel features that it uses, how many of its
    /// threads the kernel does not let go, the profile, and which way it mounts: for a log line or a
    /// health check.
    ///
    /// # Examples
    /// ```
    /// let line = subpath::Subpather::new().info();
    /// assert!(line.contains("profile v1.37; mounts by system calls of its own"));
    /// assert!(line.contains("kernel features: openat2="));
    /// ```
    pub fn info(&self) -> String {
        let (version, state, profile) =
            (env!("CARGO_PKG_VERSION"), mountinfo::state(), self.profile.name());
        let way = match self.mounter.is_kernel() {
            true => "system calls of its own",
            false => "the caller's mounter",
        };
        format!("subpath {version}, {state}; profile {profile}; mounts by {way}")
    }
}

impl<M> fmt::Debug for Subpather<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subpather").field("profile", &self.profile).finish_non_exhaustive()
    }
}
