//! What a call asks for, decided from its words alone: no system call is made here, but for the one that asks
//! whether a security module is on.

use std::path::Path;

use nix::libc;

use super::Mount;
use super::options::{MS_LAZYTIME, Reason, Verb, Word, split};
use super::types::{Needs, needs_of};

/// The longest list of options that is understood. The kernel takes one page.
const LONGEST: usize = 4095;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Mounts a file system.
    Create(Needs),
    /// Makes a bind mount, as mount-utils does with two commands (`["bind", …]`).
    Bind,
    /// Makes a bind mount as one mount(8) does (`bind,…` in one option, or `rbind`).
    BindAtOnce {
        /// With what is mounted below the source.
        recursive: bool,
    },
    /// Moves a mount.
    Move,
    /// Changes the attributes of a mount and the options of its file system.
    Remount {
        /// Only those of the mount (`bind,remount` in one option).
        mount_only: bool,
    },
    /// Changes the propagation of a mount, and nothing else.
    Propagation,
}

/// A call that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan<'m> {
    pub(super) action: Action,
    /// The flags of mount(2) that words set, the last word on each.
    pub(super) set: u64,
    /// The flags that words cleared.
    pub(super) cleared: u64,
    /// The changes of the propagation, in order.
    pub(super) propagation: Vec<u64>,
    /// The options of the file system, in order.
    pub(super) data: Vec<(&'m [u8], Option<&'m [u8]>)>,
    /// Whether paths are taken as they are (`--no-canonicalize`).
    pub(super) as_is: bool,
    /// Whether a label of SELinux, or of Smack, is given, which has a meaning where that is on.
    pub(super) labels: (bool, bool),
}

/// The flags that belong to a file system, and their names for fsconfig(2): set and cleared.
pub(super) const OF_FILE_SYSTEM: [(u64, &[u8], &[u8]); 5] = [
    (libc::MS_RDONLY, b"ro", b"rw"),
    (libc::MS_SYNCHRONOUS, b"sync", b"async"),
    (libc::MS_DIRSYNC, b"dirsync", b""),
    (libc::MS_MANDLOCK, b"mand", b"nomand"),
    (MS_LAZYTIME, b"lazytime", b"nolazytime"),
];

/// Decides what a call asks for. `list` holds all of its options, separated by commas.
pub(super) fn plan<'m>(mount: &Mount, list: &'m [u8]) -> Result<Plan<'m>, Reason> {
    check_names(mount)?;
    if list.len() > LONGEST {
        return Err("the options are longer than 4,095 bytes".into());
    }
    let mut plan = Plan {
        action: Action::Bind,
        set: 0,
        cleared: 0,
        propagation: Vec::new(),
        data: Vec::new(),
        as_is: as_is(mount)?,
        labels: (false, false),
    };
    let is_bind = mount.is_bind();
    if is_bind && has_secret_words(mount)? {
        // mount-utils passes them to both commands, the others only to the second.
        return Err("a sensitive option of a bind is a word".into());
    }
    let mut verbs = Vec::new();
    for option in split(list)? {
        match Word::of(option)? {
            // mount-utils takes these out, and makes two commands of the rest.
            Word::Verb(Verb::Bind | Verb::Remount) if is_bind && mount.has(option) => {}
            Word::Verb(verb) => verbs.push(verb),
            word => plan.take(word),
        }
    }
    plan.action = plan.action(mount, is_bind, &verbs)?;
    Ok(plan)
}

/// Refuses names that mount(8) takes for something else.
fn check_names(mount: &Mount) -> Result<(), Reason> {
    let names = [&mount.source[..], &mount.target, &mount.fs_type];
    if names.iter().any(|name| name.starts_with(b"-") || name.contains(&0)) {
        return Err("a name begins with a dash, or holds a NUL byte".into());
    }
    if mount.target.is_empty() {
        return Err("there is no target".into());
    }
    if !mount.source.starts_with(b"/") && mount.source.contains(&b'=') {
        return Err("the source is a tag such as LABEL=".into());
    }
    Ok(())
}

/// Reports whether paths are taken as they are; an error if there are other flags.
fn as_is(mount: &Mount) -> Result<bool, Reason> {
    match mount.flags.iter().all(|flag| flag == b"--no-canonicalize") {
        true => Ok(!mount.flags.is_empty()),
        false => Err("a mount flag is not known".into()),
    }
}

/// Reports whether a sensitive option is other than an option of a file system.
fn has_secret_words(mount: &Mount) -> Result<bool, Reason> {
    for option in mount.sensitive.iter().filter(|option| !is_bind_verb(option)) {
        for option in split(option)? {
            if !matches!(Word::of(option)?, Word::Data { .. }) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Reports whether mount-utils takes an option out of those of a bind.
fn is_bind_verb(option: &[u8]) -> bool {
    matches!(option, b"bind" | b"remount")
}

impl<'m> Plan<'m> {
    fn take(&mut self, word: Word<'m>) {
        match word {
            Word::Set(flag) => (self.set, self.cleared) = (self.set | flag, self.cleared & !flag),
            Word::Clear(flag) => (self.set, self.cleared) = (self.set & !flag, self.cleared | flag),
            Word::Propagation(change) => self.propagation.push(change),
            Word::Data { key, value } => self.data.push((key, value)),
            Word::SelinuxLabel => self.labels.0 = true,
            Word::SmackLabel => self.labels.1 = true,
            Word::Dropped | Word::Verb(_) => {}
        }
    }

    fn action(&self, mount: &Mount, is_bind: bool, verbs: &[Verb]) -> Result<Action, Reason> {
        let has_source = !mount.source.is_empty();
        match (verbs, is_bind) {
            ([Verb::Remount], false) => return Ok(Action::Remount { mount_only: false }),
            ([Verb::Bind, Verb::Remount] | [Verb::Remount, Verb::Bind], false) => {
                return Ok(Action::Remount { mount_only: true });
            }
            _ if !has_source => return Err("there is no source, so fstab is asked".into()),
            ([], true) => return Ok(Action::Bind),
            ([Verb::Bind], false) => return Ok(Action::BindAtOnce { recursive: false }),
            ([Verb::BindRecursively], false) => return Ok(Action::BindAtOnce { recursive: true }),
            ([Verb::Move], false) if self.data.is_empty() && self.propagation.is_empty() => {
                return Ok(Action::Move);
            }
            ([], false) => {}
            _ => return Err("bind, move and remount are combined".into()),
        }
        if is_none(&mount.fs_type) && is_none(&mount.source) && !self.propagation.is_empty() {
            return match self.set | self.cleared == 0 && self.data.is_empty() {
                true => Ok(Action::Propagation),
                false => Err("a change of propagation has other options".into()),
            };
        }
        match needs_of(&mount.fs_type) {
            Some(Needs::Device) if mount.source.len() > LONGEST => Err("the source is long".into()),
            Some(needs) => Ok(Action::Create(needs)),
            None => Err("the type of file system is left to mount(8)".into()),
        }
    }

    /// Reports whether a label of a security module is given that is on.
    pub(super) fn has_label_in_use(&self) -> bool {
        (self.labels.0 && Path::new("/sys/fs/selinux/enforce").exists())
            || (self.labels.1 && Path::new("/sys/fs/smackfs/load2").exists())
    }

    /// The options of the file system as mount(2) takes them.
    pub(super) fn data_list(&self) -> Vec<u8> {
        let pair = |(key, value): &(&[u8], Option<&[u8]>)| match value {
            Some(value) => [key, &b"="[..], value].concat(),
            None => key.to_vec(),
        };
        self.data.iter().map(pair).collect::<Vec<_>>().join(&b',')
    }
}

fn is_none(name: &[u8]) -> bool {
    matches!(name, b"" | b"none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(source: &str, fs_type: &str, options: &[&str]) -> Result<Action, Reason> {
        let mount = Mount::new(source, "/target").fs_type(fs_type).options(options);
        plan(&mount, &mount.list()).map(|plan| plan.action)
    }

    #[test]
    fn calls_are_planned_by_their_words() {
        for (source, fs_type, options, expected) in [
            ("tmpfs", "tmpfs", &[][..], Action::Create(Needs::Nothing)),
            ("/dev/sda", "ext4", &["defaults", "ro"], Action::Create(Needs::Device)),
            ("/a", "", &["bind"], Action::Bind),
            ("/a", "nosuchfs", &["bind", "remount", "ro", "size=1"], Action::Bind),
            ("/a", "", &["bind,ro"], Action::BindAtOnce { recursive: false }),
            ("/a", "", &["rbind", "ro"], Action::BindAtOnce { recursive: true }),
            ("", "", &["remount", "ro"], Action::Remount { mount_only: false }),
            ("/a", "", &["remount,bind,ro"], Action::Remount { mount_only: true }),
            ("none", "", &["rslave"], Action::Propagation),
            ("none", "none", &["slave", "shared"], Action::Propagation),
            ("/a", "", &["move", "ro"], Action::Move),
            ("none", "tmpfs", &["shared"], Action::Create(Needs::Nothing)),
        ] {
            assert_eq!(planned(source, fs_type, options), Ok(expected), "{options:?}");
        }
    }

    #[test]
    fn what_is_not_understood_has_a_reason() {
        for (source, fs_type, options) in [
            ("", "tmpfs", &[][..]),
            ("", "", &["bind"]),
            ("", "", &["shared"]),
            ("/a", "", &[]),
            ("/a", "auto", &[]),
            ("/a", "ext4,xfs", &[]),
            ("/a", "fuse.sshfs", &[]),
            ("LABEL=a", "ext4", &[]),
            ("-a", "tmpfs", &[]),
            ("/a", "", &["bind", "rbind"]),
            ("/a", "", &["move", "remount"]),
            ("/a", "", &["bind", "_netdev"]),
            ("/a", "", &["make-shared"]),
            ("none", "", &["shared", "ro"]),
        ] {
            assert!(planned(source, fs_type, options).is_err(), "{source} {fs_type} {options:?}");
        }
        let flagged = Mount::new("/a", "/b").option("bind").mount_flag("--verbose");
        assert!(plan(&flagged, &flagged.list()).is_err());
    }

    #[test]
    fn the_last_word_on_a_flag_counts() {
        let mount = Mount::new("t", "/t").fs_type("tmpfs").options(["ro", "rw", "exec,noexec"]);
        let list = mount.list();
        let plan = plan(&mount, &list).unwrap();
        assert_eq!((plan.set, plan.cleared), (libc::MS_NOEXEC, libc::MS_RDONLY));
    }
}
