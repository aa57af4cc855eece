//! Which of the newer system calls are available in this process.
//!
//! Each is tried once. ENOSYS (an old kernel), EPERM (a seccomp profile) and EACCES (a security module) all
//! mean that it is not available, and a fallback is used. Tests can force a fallback: the environment variable
//! `SUBPATH_WITHOUT` is a list of features not to use, separated by commas.
//!
//! | feature | since Linux | fallback |
//! |---|---|---|
//! | `openat2` | 5.6 | openat(2) for each component of the path |
//! | `statx_mount_root` | 5.8 | `mnt_id` in /proc/thread-self/fdinfo, of the entry and of its directory |
//! | `statmount` | 6.8 | /proc/thread-self/mountinfo |
//! | `mount_setattr` | 5.12 | mount(2) with `MS_REMOUNT` and `MS_BIND` |
//! | `fsopen` (and fsconfig, fsmount, fspick) | 5.2 | mount(2); for options of a mounted file system, mount(8) |
//! | `open_tree`, `move_mount` | 5.2 | mount(2) with /proc/thread-self/fd/N |
//! | `statx` | 4.11 | fstatat(2) |

use std::sync::OnceLock;

use super::mounting::{probe_fsopen, probe_mount_setattr, probe_statmount};
use super::{probe_open_tree, probe_openat2, probe_statx};

/// The newer system calls that this process uses. Each has a fallback with the same results, except that only
/// mount(8) changes the options of a mounted file system without fspick(2).
///
/// Use it to report what a node supports, or why something is slow there.
///
/// # Examples
/// ```
/// let features = subpath_mountinfo::Features::get();
/// assert!(features.to_string().starts_with("openat2="));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// openat2(2), Linux 5.6.
    pub openat2: bool,
    /// statx(2), Linux 4.11.
    pub statx: bool,
    /// statx(2) with `STATX_ATTR_MOUNT_ROOT`, Linux 5.8.
    pub statx_mount_root: bool,
    /// open_tree(2) and move_mount(2), Linux 5.2.
    pub open_tree: bool,
    /// fsopen(2), fsconfig(2), fsmount(2) and fspick(2), Linux 5.2.
    pub fsopen: bool,
    /// mount_setattr(2), Linux 5.12.
    pub mount_setattr: bool,
    /// statmount(2), Linux 6.8.
    pub statmount: bool,
}

impl Features {
    /// Returns the features of this process. They are determined at the first call and do not change.
    pub fn get() -> Features {
        static FEATURES: OnceLock<Features> = OnceLock::new();
        *FEATURES.get_or_init(|| {
            let without = std::env::var_os("SUBPATH_WITHOUT").unwrap_or_default();
            Features::probe(&without.to_string_lossy())
        })
    }

    /// Tries each feature that `without` does not name.
    fn probe(without: &str) -> Features {
        let allowed = |name: &str| !without.split(',').any(|w| w.trim() == name);
        let statx = allowed("statx").then(probe_statx).flatten();
        Features {
            openat2: allowed("openat2") && probe_openat2(),
            statx: statx.is_some(),
            statx_mount_root: allowed("statx_mount_root") && statx == Some(true),
            open_tree: allowed("open_tree") && allowed("move_mount") && probe_open_tree(),
            fsopen: allowed("fsopen") && allowed("move_mount") && probe_fsopen(),
            mount_setattr: allowed("mount_setattr") && probe_mount_setattr(),
            statmount: allowed("statmount") && statx == Some(true) && probe_statmount(),
        }
    }
}

impl std::fmt::Display for Features {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("openat2", self.openat2),
            ("statx", self.statx),
            ("statx_mount_root", self.statx_mount_root),
            ("open_tree", self.open_tree),
            ("fsopen", self.fsopen),
            ("mount_setattr", self.mount_setattr),
            ("statmount", self.statmount),
        ];
        for (i, (name, on)) in parts.into_iter().enumerate() {
            write!(f, "{}{name}={}", if i == 0 { "" } else { " " }, if on { "yes" } else { "no" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_is_named_is_done_without() {
        let none = Features::probe("openat2, statx,open_tree,fsopen, mount_setattr,statmount");
        assert!(!none.to_string().contains("=yes"), "{none}");
        let without = Features::probe("move_mount");
        assert!(!without.open_tree && !without.fsopen);
        assert!(!Features::probe("statx_mount_root").statx_mount_root);
    }

    #[test]
    fn they_are_listed_by_name() {
        let text = Features::probe("openat2").to_string();
        assert!(text.starts_with("openat2=no statx="), "{text}");
    }
}
