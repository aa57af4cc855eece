//! kubernetes' safe subPath mounting: bind-mounts a part of a volume for a container, although the
//! pod's user owns the volume and may exchange any directory for a symlink at any moment.
//!
//! A port of kubernetes' `pkg/volume/util/subpath`; its texts, log lines and order of calls are
//! kept, its races and hangs are not (see SECURITY.md).
//!
//! | room | what is in it | the original's name |
//! |---|---|---|
//! | [`safe_make_dir`] | makes directories inside a volume | `SafeMakeDir`, `doSafeMakeDir` |
//! | [`prepare_safe_subpath`] | binds a sub path into the pod's directory | `PrepareSafeSubpath` |
//! | [`clean_sub_paths`] | takes a volume's sub paths away again | `CleanSubPaths` |
//! | [`mountinfo`] | mounters, the mount table, mount point checks | `k8s.io/mount-utils` |
//!
//! # Examples
//! Prepare a sub path and clean it up again. With [`FakeMounter`] nothing is mounted, so this runs
//! anywhere; [`KernelMounter`] mounts for real and needs `CAP_SYS_ADMIN`.
//! ```
//! use subpath::{FakeMounter, FileMode, Profile, Subpath};
//!
//! # let root = std::env::temp_dir().join(format!("subpath-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(root.join("volume")).unwrap();
//! # std::fs::create_dir_all(root.join("pod")).unwrap();
//! # let dir = |name: &str| root.join(name).into_os_string().into_encoded_bytes();
//! let (volume, pod) = (dir("volume"), dir("pod"));
//! subpath::safe_make_dir(b"logs/web", &volume, FileMode::new(0o750), Profile::V129)?;
//!
//! let request = Subpath {
//!     path: [&volume[..], b"/logs/web"].concat(),
//!     volume_path: volume,
//!     volume_name: b"data".to_vec(),
//!     pod_dir: pod.clone(),
//!     container_name: b"web".to_vec(),
//!     volume_mount_index: 0,
//! };
//! let mounter = FakeMounter::new();
//! let target = subpath::prepare_safe_subpath(&mounter, &request, Profile::V129)?;
//! assert!(target.ends_with(b"/pod/volume-subpaths/data/web/0"));
//!
//! subpath::clean_sub_paths(&mounter, &pod, b"data", Profile::V129)?;
//! # std::fs::remove_dir_all(root).unwrap();
//! # Ok::<(), subpath::Error>(())
//! ```
#![forbid(unsafe_code)]

mod asked;
mod clean;
#[doc(hidden)]
pub mod internal;
mod lock;
mod mkdir;
mod native;
mod newness;
mod open;
mod pod_dir;
mod request;
mod source;
mod target;

pub use subpath_mountinfo as mountinfo;
pub use subpath_mountinfo::{
    Error, ErrorKind, FakeMounter, Features, KernelMounter, Mounter, Place, Profile, Result, Source,
};

pub use mkdir::safe_make_dir;
pub use request::{FileMode, Subpath};

use subpath_mountinfo::internal::coroutine::{self, Direct};

/// The name of the directory below the pod's in which sub paths are mounted.
pub const SUBPATH_DIRECTORY_NAME: &str = "volume-subpaths";

/// Binds a sub path of a volume into the pod's directory and tells where
/// (`PrepareSafeSubpath`, `doBindSubPath`).
///
/// The result is `POD_DIR/volume-subpaths/VOLUME/CONTAINER/INDEX`. It is below the volume when it
/// is opened, and stays what was opened whatever the volume's owner does afterwards. A sub path
/// that is bound already is left as it is; something else that is mounted there is replaced.
///
/// # Errors
/// The text names what was tried on which path; [`Error::errno`] tells the kernel's answer. ELOOP
/// and ENOTDIR where a symlink was swapped in; `subpath "…" not within volume path "…"` where the
/// sub path leaves the volume; what the mounter answers. Nothing is left mounted after an error.
pub fn prepare_safe_subpath<M: Mounter + ?Sized>(
    mounter: &M,
    subpath: &Subpath,
    profile: Profile,
) -> Result<Vec<u8>> {
    if mounter.is_kernel() {
        return native::prepare::prepare(subpath, profile);
    }
    coroutine::run(asked::prepare::prepare(&Direct(mounter), subpath, profile))
}

/// Unmounts every sub path of a volume that was prepared for a pod, and removes the directories
/// made for them (`CleanSubPaths`, `doCleanSubPaths`).
///
/// Only the entries of `POD_DIR/volume-subpaths/VOLUME/CONTAINER` are touched, never what is below
/// a mount point. Nothing to clean is no error.
///
/// # Errors
/// The text names what was tried on which path; EBUSY while a process uses a sub path; ENOTEMPTY
/// where something else was left in the directories; what the mounter answers. Nothing more is begun
/// after the first error; it can be called again.
pub fn clean_sub_paths<M: Mounter + ?Sized>(
    mounter: &M,
    pod_dir: &[u8],
    volume_name: &[u8],
    profile: Profile,
) -> Result<()> {
    if mounter.is_kernel() {
        return native::clean::clean_sub_paths(pod_dir, volume_name, profile);
    }
    coroutine::run(asked::clean::clean_sub_paths(&Direct(mounter), pod_dir, volume_name, profile))
}

/// Tells in one line the crate's version, the newer kernel features it uses, how many of its threads
/// the kernel does not let go, the profile, and which way it mounts: for a log line or a health check.
///
/// # Examples
/// ```
/// let line = subpath::info(&subpath::KernelMounter, subpath::Profile::V137);
/// assert!(line.contains("profile v1.37; mounts by system calls of its own"));
/// assert!(line.contains("kernel features: openat2="));
/// ```
pub fn info<M: Mounter + ?Sized>(mounter: &M, profile: Profile) -> String {
    let profile = profile.name();
    let way = if mounter.is_kernel() { "system calls of its own" } else { "the caller's mounter" };
    let (version, state) = (env!("CARGO_PKG_VERSION"), subpath_mountinfo::state());
    format!("subpath {version}, {state}; profile {profile}; mounts by {way}")
}
