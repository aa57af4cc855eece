//! [`Subpather`]: the operations, with the mounter and the profile that they use.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use subpath_mountinfo::internal::coroutine;
use subpath_mountinfo::internal::paths::{bytes_of, into_path};
use subpath_mountinfo::{self as mountinfo, KernelMounter, Mounter, Profile, Result, text};

use crate::mode::DirectoryMode;
use crate::request::{self, Subpath};
use crate::{asked, mkdir, native};

/// Prepares sub paths and cleans them up (the original's `subpath.Interface`).
///
/// Its only state is the mounter and the profile. One can be made for each call, copied, or shared by
/// threads. Every operation blocks the thread; in an asynchronous program call it where that is allowed
/// (tokio's `spawn_blocking`).
///
/// # Examples
/// Mount with the kernel's mounter, which needs `CAP_SYS_ADMIN`:
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
    /// Returns a `Subpather` that mounts by system calls ([`KernelMounter`]) and behaves as the newest
    /// kubernetes release ([`Profile::default`]).
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
    /// Returns a `Subpather` that mounts with `mounter`, whose methods it calls in the order in which
    /// kubernetes does. [`KernelMounter`] stands for the system calls of this crate. A reference to a mounter
    /// is a mounter too.
    pub fn with_mounter(mounter: M) -> Self {
        Subpather { mounter, profile: Profile::default() }
    }

    /// Selects the kubernetes releases whose behaviour is wanted where they differ.
    pub fn profile(self, profile: Profile) -> Self {
        Subpather { profile, ..self }
    }

    /// Returns the mounter.
    pub fn mounter(&self) -> &M {
        &self.mounter
    }

    /// Binds a sub path of a volume into the pod's directory, and returns the path at which it is mounted
    /// (`PrepareSafeSubpath`, `doBindSubPath`).
    ///
    /// The path is `POD_DIR/volume-subpaths/VOLUME/CONTAINER/INDEX`. What is mounted there was inside the
    /// volume when it was opened, and remains that file or directory whatever the volume's owner does
    /// afterwards. A sub path that is already mounted is left as it is. Something else that is mounted there
    /// is replaced. After an error, nothing that this call mounted is left.
    ///
    /// # Errors
    /// - [`OutsideVolume`](crate::ErrorKind::OutsideVolume) if the sub path leads out of the volume.
    /// - [`Symlink`](crate::ErrorKind::Symlink) (ELOOP) or
    ///   [`NotADirectory`](crate::ErrorKind::NotADirectory) (ENOTDIR) if a component was replaced while the
    ///   path was opened.
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied) (EPERM) without `CAP_SYS_ADMIN`.
    /// - Any error of the mounter.
    ///
    /// # Examples
    /// [`FakeMounter`](crate::FakeMounter) mounts nothing, so this runs without privileges:
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
            coroutine::run(asked::prepare::prepare(&self.mounter, subpath, self.profile))
        };
        target.map(into_path)
    }

    /// Unmounts every sub path of a volume that was prepared for a pod, and removes the directories
    /// made for them (`CleanSubPaths`, `doCleanSubPaths`).
    ///
    /// It touches only the entries of `POD_DIR/volume-subpaths/VOLUME/CONTAINER`, and nothing below a mount
    /// point. If there is nothing to clean up it succeeds. It stops at the first error and can be called
    /// again.
    ///
    /// # Errors
    /// - [`Busy`](crate::ErrorKind::Busy) (EBUSY) while a process uses a sub path.
    /// - [`DirectoryNotEmpty`](crate::ErrorKind::DirectoryNotEmpty) (ENOTEMPTY) if the directories contain
    ///   something that was not prepared.
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput) if the volume's name cannot be that of a directory, or
    ///   the pod's directory is empty.
    /// - Any error of the mounter.
    pub fn clean_sub_paths(
        &self,
        pod_dir: impl AsRef<Path>,
        volume_name: impl AsRef<OsStr>,
    ) -> Result<()> {
        let (pod_dir, volume) = (bytes_of(&pod_dir), volume_name.as_ref().as_bytes());
        request::check_name("volume", volume)?;
        if pod_dir.is_empty() {
            return Err(request::invalid(text!("the pod's directory is missing")));
        }
        if self.mounter.is_kernel() {
            return native::clean::clean_sub_paths(pod_dir, volume, self.profile);
        }
        coroutine::run(asked::clean::clean_sub_paths(&self.mounter, pod_dir, volume, self.profile))
    }

    /// Makes the directory `subdir` below `base` with every missing level, and gives each level that it
    /// makes exactly the mode `mode`, whatever the umask is (`SafeMakeDir`).
    ///
    /// `mode` has the bits of inode(7), so that 0o2770 sets setgid. `base` may be a symlink. Symlinks below it
    /// are followed only if they lead to something inside `base`. A directory that exists already keeps its
    /// mode, also if a concurrent caller made it first. The mounter is not used.
    ///
    /// # Errors
    /// - [`OutsideVolume`](crate::ErrorKind::OutsideVolume) if `subdir` leads out of `base`.
    /// - [`NotADirectory`](crate::ErrorKind::NotADirectory) (ENOTDIR) if a component exists and is not a
    ///   directory.
    /// - [`Symlink`](crate::ErrorKind::Symlink) (ELOOP) if a component was replaced while the path was opened.
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput) if `mode` has other bits than those of inode(7).
    /// - Any errno of mkdirat(2) and fchmod(2).
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

    /// Returns one line for a log or a health check: the crate's version, the newer kernel features in use,
    /// how many of its threads are stuck in a system call, the profile, and how it mounts.
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

#[cfg(test)]
mod tests {
    use super::*;
    use subpath_mountinfo::ErrorKind;

    #[test]
    fn a_volume_name_that_leads_elsewhere_is_not_cleaned() {
        for name in ["", ".", "..", "../volumes", "a/b"] {
            let error = Subpather::new().clean_sub_paths("/pod", name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}: {error}");
        }
        let error = Subpather::new().clean_sub_paths("", "data").unwrap_err();
        assert_eq!(error.to_string(), "the pod's directory is missing");
    }
}
