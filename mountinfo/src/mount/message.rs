//! What mount(8) prints for a failure: libmount's sentence for the errno (`mnt_context_get_mount_excode` of
//! libmount 2.38), then what the kernel wrote to the context of the file system.

use std::os::fd::OwnedFd;

use nix::libc;

use super::Mount;
use super::names;
use super::perform::Command;
use super::plan::{Action, Plan};
use super::types::Needs;
use crate::internal::paths::{bytes_of, path_of};
use crate::internal::sys::{self, Kind, RawErrno, mounting};
use crate::table::MountTable;
use crate::text;

/// libmount's warning for a source that could only be mounted read-only.
pub(super) const WRITE_PROTECTED: &str = "WARNING: source write-protected, mounted read-only";

/// How many messages of the kernel are read at most. It keeps eight of a context.
const MOST_MESSAGES: usize = 16;

/// What mount(8) would have been asked to do when it failed.
pub(super) struct Situation<'a> {
    mount: &'a Mount,
    /// The source as mount(8) names it.
    source: Vec<u8>,
    /// The target as mount(8) names it: without symlinks, if there is one.
    target: Vec<u8>,
    reads_only: bool,
    remounts: bool,
    binds: bool,
    changes_propagation: bool,
}

impl<'a> Situation<'a> {
    pub(super) fn of(mount: &'a Mount, plan: &Plan<'_>, command: Command) -> Self {
        let real = |path: &[u8]| match std::fs::canonicalize(path_of(path)) {
            Ok(real) if !plan.as_is => bytes_of(&real).to_vec(),
            _ => path.to_vec(),
        };
        let binds = matches!(plan.action, Action::Bind | Action::BindAtOnce { .. });
        Situation {
            mount,
            source: match plan.action {
                Action::Create(Needs::Device) => names::block_device(&mount.source, plan.as_is)
                    .unwrap_or_else(|_| mount.source.clone()),
                Action::Create(_) => mount.source.clone(),
                _ => real(&mount.source),
            },
            target: real(&mount.target),
            reads_only: plan.set & libc::MS_RDONLY != 0 && !binds,
            remounts: matches!(plan.action, Action::Remount { .. }) || command == Command::Remount,
            binds,
            changes_propagation: plan.action == Action::Propagation,
        }
    }

    /// Everything that mount(8) prints, and the kernel's messages.
    pub(super) fn output(&self, errno: RawErrno, kernel: &[u8]) -> Vec<u8> {
        let mut output = text!("mount: %s: %s.\n", &self.target[..], self.sentence(errno));
        output.extend_from_slice(
            b"       dmesg(1) may have more information after failed mount system call.\n",
        );
        for line in kernel.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            output.extend(text!("       kernel: %s\n", line));
        }
        output
    }

    fn sentence(&self, errno: RawErrno) -> Vec<u8> {
        let source = &self.source[..];
        match errno {
            sys::EPERM if self.kind() == Some(Kind::Directory) => "permission denied".into(),
            sys::EPERM => "mount point is not a directory".into(),
            sys::EBUSY if self.remounts => "mount point is busy".into(),
            sys::EBUSY => self.busy(),
            sys::ENOENT if sys::lstat(&self.target).is_err() => "mount point does not exist".into(),
            sys::ENOENT if sys::stat(&self.target).is_err() => {
                "mount point is a symbolic link to nowhere".into()
            }
            sys::ENOENT if sys::stat(source).is_err() => {
                text!("special device %s does not exist", source)
            }
            sys::ENOTDIR if self.kind() != Some(Kind::Directory) => {
                "mount point is not a directory".into()
            }
            sys::ENOTDIR if sys::stat(source).is_err() => {
                text!("special device %s does not exist (a path prefix is not a directory)", source)
            }
            sys::EINVAL if self.remounts => "mount point not mounted or bad option".into(),
            sys::EINVAL if self.changes_propagation => "not mount point or bad option".into(),
            sys::EINVAL => text!(
                "wrong fs type, bad option, bad superblock on %s, missing codepage or helper program, or other error",
                source
            ),
            libc::EMFILE => "mount table full".into(),
            libc::EIO => text!("can't read superblock on %s", source),
            libc::ENODEV => text!("unknown filesystem type '%s'", &self.mount.fs_type[..]),
            libc::ENOTBLK => text!("%s is not a block device", source),
            sys::ENXIO => text!("%s is not a valid block device", source),
            sys::EACCES | libc::EROFS if self.reads_only => {
                text!("cannot mount %s read-only", source)
            }
            sys::EACCES | libc::EROFS if self.remounts => {
                text!("cannot remount %s read-write, is write-protected", source)
            }
            sys::EACCES | libc::EROFS if self.binds => text!("bind %s failed", source),
            libc::ENOMEDIUM => text!("no medium found on %s", source),
            libc::EBADMSG if sys::stat(source).is_ok() => {
                text!("cannot mount; probably corrupted filesystem on %s", source)
            }
            errno => text!("mount(2) system call failed: %s", c_text(errno)),
        }
    }

    fn kind(&self) -> Option<Kind> {
        // It only chooses between sentences about another error, which is told in any case.
        sys::stat(&self.target).ok().map(|stat| stat.kind)
    }

    fn busy(&self) -> Vec<u8> {
        let source = &self.source[..];
        // Without a table the other sentence about the same errno has to do.
        let table = MountTable::current().and_then(|table| table.records());
        let records = table.unwrap_or_default();
        match records.iter().find(|record| bytes_of(&record.source) == source) {
            Some(record) => {
                text!("%s already mounted on %s", source, bytes_of(&record.mount_point))
            }
            None => text!("%s already mounted or mount point busy", source),
        }
    }
}

/// The C library's text for an errno (strerror(3)).
pub(super) fn c_text(errno: RawErrno) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// What the kernel wrote to a context, a line for each message. Each begins with its level and a space.
pub(super) fn of_context(context: &OwnedFd) -> Vec<u8> {
    let messages = std::iter::from_fn(|| mounting::context_message(context)).take(MOST_MESSAGES);
    let lines: Vec<Vec<u8>> = messages
        .map(|message| match message.get(..2) {
            Some([b'e' | b'w' | b'i', b' ']) => message[2..].trim_ascii().to_vec(),
            _ => message.trim_ascii().to_vec(),
        })
        .collect();
    lines.join(&b'\n')
}
