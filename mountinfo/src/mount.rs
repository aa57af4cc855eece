//! Mounting and unmounting as mount(8) does it, by system calls alone, and the record of one mount.
//!
//! A call is understood as a whole or not at all. What only mount(8) can do, such as mounting by label, is an
//! error of its own ([`ErrorKind::NeedsMountProgram`](crate::ErrorKind::NeedsMountProgram)), and nothing was done.
//!
//! | file | what it holds |
//! |---|---|
//! | `options.rs` | what each option means |
//! | `types.rs` | which file systems need no help |
//! | `plan.rs` | what a call asks for |
//! | `attributes.rs` | flags of mount(2) as attributes of a mount, and back |
//! | `perform.rs` | does what was planned |
//! | `create.rs`, `bind.rs`, `remount.rs` | the ways to mount |
//! | `names.rs` | sources, targets, and what mount(8) notes about them |
//! | `message.rs` | what mount(8) prints for a failure |
//! | `unmount.rs` | unmounting |
//! | `at.rs`, `described.rs` | the record of one mount |

mod at;
mod attributes;
mod bind;
mod create;
mod described;
mod message;
mod names;
mod options;
mod perform;
mod plan;
mod remount;
mod types;
mod unmount;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use at::mount_at;
pub use perform::{Command, Failure, Outcome};
pub use unmount::{
    perform as unmount_reporting, perform_with_force as unmount_with_force_reporting, unmount,
};

use crate::error::Result;
use crate::internal::paths::bytes_of;
use crate::log;

/// What mount-utils' `Interface` passes to mount(8): a source, a target, a type of file system and options.
/// [`Mount::mount`] does it by system calls.
///
/// Options are words of mount(8), and options of the file system. Each may hold several, separated by commas.
/// With the option `bind`, the source is bound to the target, with the attributes of the source's mount and
/// those that the options name, as mount-utils does with two commands. `rbind`, `move`, `remount` and the words
/// for the propagation (`rslave` and so on) mean what they mean to mount(8).
///
/// # Examples
/// ```no_run
/// use subpath_mountinfo::{ErrorKind, Mount};
///
/// Mount::new("tmpfs", "/run/volume").fs_type("tmpfs").option("size=1m").option("noexec").mount()?;
/// Mount::new("/run/volume/data", "/srv").options(["bind", "ro"]).mount()?;
/// Mount::new("", "/run/volume").options(["remount", "size=2m"]).mount()?;
///
/// let by_label = Mount::new("LABEL=data", "/mnt").fs_type("ext4").mount().unwrap_err();
/// assert_eq!(by_label.kind(), ErrorKind::NeedsMountProgram);
/// # Ok::<(), subpath_mountinfo::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
#[must_use = "nothing is mounted until `mount` is called"]
pub struct Mount {
    source: Vec<u8>,
    target: Vec<u8>,
    fs_type: Vec<u8>,
    options: Vec<Vec<u8>>,
    sensitive: Vec<Vec<u8>>,
    flags: Vec<Vec<u8>>,
    /// What is logged; see [`log_as`](Mount::log_as).
    lines: Vec<Vec<u8>>,
}

fn bytes(text: impl AsRef<OsStr>) -> Vec<u8> {
    text.as_ref().as_bytes().to_vec()
}

impl Mount {
    /// Describes the mounting of `source` on `target`, without options.
    pub fn new(source: impl AsRef<OsStr>, target: impl AsRef<Path>) -> Self {
        let (source, target) = (bytes(source), bytes_of(&target).to_vec());
        Mount { source, target, ..Mount::default() }
    }

    /// Sets the type of the file system. A bind mount has none.
    pub fn fs_type(mut self, fs_type: impl AsRef<OsStr>) -> Self {
        self.fs_type = bytes(fs_type);
        self
    }

    /// Adds an option.
    pub fn option(mut self, option: impl AsRef<OsStr>) -> Self {
        self.options.push(bytes(option));
        self
    }

    /// Adds options.
    pub fn options(mut self, options: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.options.extend(options.into_iter().map(bytes));
        self
    }

    /// Adds an option, such as a password, that appears in no error, no log and no [`Debug`](fmt::Debug) text.
    pub fn sensitive_option(mut self, option: impl AsRef<OsStr>) -> Self {
        self.sensitive.push(bytes(option));
        self
    }

    /// Adds a flag of mount(8). `--no-canonicalize` is understood, which takes the source as it is.
    pub fn mount_flag(mut self, flag: impl AsRef<OsStr>) -> Self {
        self.flags.push(bytes(flag));
        self
    }

    /// Mounts, in the mount namespace of the calling thread.
    ///
    /// If it fails, nothing is left mounted. Only a remount that fails half-way may have changed options.
    ///
    /// # Errors
    /// - [`ErrorKind::NeedsMountProgram`](crate::ErrorKind::NeedsMountProgram), without an errno: only mount(8)
    ///   can do this. The text says why. Nothing was done.
    /// - The errno of the kernel or the file system: EPERM without `CAP_SYS_ADMIN`; ENOENT if source or target
    ///   do not exist; ENOTDIR if one is a directory and the other is not; EINVAL for an option that the file
    ///   system does not know; EBUSY if the file system is in use in another way; EROFS, ENODEV and others. The
    ///   text has the kernel's own message, if there is one and no option is sensitive.
    pub fn mount(&self) -> Result<()> {
        perform::perform(self).into_result("mount", &self.target)
    }

    /// Sets the lines that mount-utils logs for its commands, one for each. The first is logged before anything is
    /// done; none if only mount(8) can do this. The second follows when the bind is done, or its remount has failed.
    #[doc(hidden)]
    pub fn log_as(mut self, lines: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.lines = lines.into_iter().map(bytes).collect();
        self
    }

    /// Mounts, and reports what mount-utils would have seen.
    #[doc(hidden)]
    pub fn perform(&self) -> Outcome {
        perform::perform(self)
    }

    /// All options, separated by commas, as mount-utils passes them to mount(8).
    fn list(&self) -> Vec<u8> {
        let all: Vec<&[u8]> = self.options.iter().chain(&self.sensitive).map(|o| &o[..]).collect();
        all.join(&b',')
    }

    /// Logs what is about to be done: in mount-utils' words, if the caller has them.
    fn log(&self, command: Command) {
        let target = &self.target;
        match (self.lines.get(usize::from(command == Command::Remount)), command) {
            (Some(line), _) => log!(DEBUG, target = target, "%s", line),
            (None, Command::First) => {
                log!(DEBUG, target = target, "Mounting %q at %s", self.source, target);
            }
            (None, _) => {}
        }
    }

    /// Reports whether an option is given, as one of its own.
    fn has(&self, option: &[u8]) -> bool {
        self.options.iter().chain(&self.sensitive).any(|given| given == option)
    }

    /// Reports whether mount-utils takes this for a bind mount.
    fn is_bind(&self) -> bool {
        self.has(b"bind")
    }
}

/// Returns the flags of mount(2) that a list of options for a file system sets, those for the propagation
/// included, and the options that are the file system's own; `None` if it is left to mount(8).
pub fn option_flags(list: &[u8]) -> Option<(u64, Vec<u8>)> {
    let mount = Mount::new("source", "/target").fs_type("tmpfs");
    let plan = plan::plan(&mount, list).ok()?;
    matches!(plan.action, plan::Action::Create(_)).then(|| {
        let propagation = plan.propagation.iter().fold(0, |all, change| all | change);
        (plan.set | propagation, plan.data_list())
    })
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let texts = |list: &[Vec<u8>]| list.iter().map(|bytes| text(bytes)).collect::<Vec<_>>();
        f.debug_struct("Mount")
            .field("source", &text(&self.source))
            .field("target", &text(&self.target))
            .field("fs_type", &text(&self.fs_type))
            .field("options", &texts(&self.options))
            .field("sensitive", &format_args!("{} masked", self.sensitive.len()))
            .field("flags", &texts(&self.flags))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensitive_options_are_masked() {
        let mount = Mount::new("a", "/b").option("ro").sensitive_option("password=secret");
        let shown = format!("{mount:?}");
        assert!(shown.contains("\"ro\"") && shown.contains("1 masked"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("password"), "{shown}");
    }
}
