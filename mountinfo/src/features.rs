//! Which of the newer system calls this kernel, and the sandbox around this process, allow.
//!
//! Each is probed once; ENOSYS (an old kernel), EPERM (a seccomp profile that refuses what it does not
//! know) and EACCES (a security module) all mean "not here". A fallback can be forced by naming the
//! calls to do without in the environment variable `SUBPATH_WITHOUT`, separated by commas.
//!
//! | feature | kernel | without it |
//! |---|---|---|
//! | `openat2` | 5.6 | component by component with openat(2) |
//! | `statx_mount_root` | 5.8 | `mnt_id` of /proc/thread-self/fdinfo of the entry and its directory |
//! | `open_tree`, `move_mount` | 5.2 | mount(2) of /proc/thread-self/fd/N |
//! | `statx` | 4.11 | fstatat(2) |

use std::sync::OnceLock;

use crate::internal::sys;

/// The newer system calls in use; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// openat2(2) with its `RESOLVE_` flags.
    pub openat2: bool,
    /// statx(2).
    pub statx: bool,
    /// statx(2) that tells `STATX_ATTR_MOUNT_ROOT`.
    pub statx_mount_root: bool,
    /// open_tree(2) and move_mount(2).
    pub open_tree: bool,
}

impl Features {
    /// What is in use in this process.
    pub fn get() -> Features {
        static FEATURES: OnceLock<Features> = OnceLock::new();
        *FEATURES.get_or_init(|| {
            let without = std::env::var_os("SUBPATH_WITHOUT").unwrap_or_default();
            Features::probe(&without.to_string_lossy())
        })
    }

    /// Asks the kernel, except for the calls that `without` names.
    fn probe(without: &str) -> Features {
        let allowed = |name: &str| !without.split(',').any(|w| w.trim() == name);
        let statx = allowed("statx").then(sys::probe_statx).flatten();
        Features {
            openat2: allowed("openat2") && sys::probe_openat2(),
            statx: statx.is_some(),
            statx_mount_root: allowed("statx_mount_root") && statx == Some(true),
            open_tree: allowed("open_tree") && allowed("move_mount") && sys::probe_open_tree(),
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
