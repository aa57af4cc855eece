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
//! | `open_tree`, `move_mount` | 5.2 | mount(2) with /proc/thread-self/fd/N |
//! | `statx` | 4.11 | fstatat(2) |

use std::sync::OnceLock;

use super::{probe_open_tree, probe_openat2, probe_statx};

/// The newer system calls that this process uses. Each has a fallback with the same results.
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
        let none = Features::probe("openat2, statx,open_tree");
        assert_eq!(
            none,
            Features { openat2: false, statx: false, statx_mount_root: false, open_tree: false }
        );
        assert!(!Features::probe("move_mount").open_tree);
        assert!(!Features::probe("statx_mount_root").statx_mount_root);
    }

    #[test]
    fn they_are_listed_by_name() {
        let text = Features::probe("openat2").to_string();
        assert!(text.starts_with("openat2=no statx="), "{text}");
    }
}
