//! Bind mounts, which are complete before anybody can see them: open_tree(2), mount_setattr(2), move_mount(2). Where
//! these are missing it is mount(2), and a remount that adds the attributes.

use std::os::fd::{AsFd, OwnedFd};

use nix::libc;

use super::Mount;
use super::at::basics_of;
use super::attributes;
use super::create::{detach, mount_and_open};
use super::names::{self, Target};
use super::perform::{Command, Stop, begin, propagate};
use super::plan::Plan;
use crate::features::Features;
use crate::internal::sys::mounting::{self, AttributeChange};
use crate::internal::sys::{self, RawErrno, Sys};

/// Makes a bind mount with the attributes of its source's mount and those of the options.
///
/// mount-utils binds, asks the source's file system by statfs(2) for its flags, and remounts with these flags and
/// the options, so that `rw` never undoes `ro`. Here the mount has the same attributes from the beginning, and
/// also those that statfs(2) does not tell it about, such as `nosymfollow`.
pub(super) fn bind(mount: &Mount, plan: &Plan<'_>) -> Result<(), Stop> {
    names::check_not_noted(&mount.target)?;
    let target = begin(mount)?;
    let source = Target::open(&mount.source)?;
    let told = mounting::statfs_flags(&source.file).map_err(of(Command::Statfs))?;
    let current = attributes::of_statfs(told);
    let times = told & (libc::MS_NOATIME | libc::MS_NODIRATIME);
    let wanted = attributes::with_flags(current, plan.set | times);
    // A file system that is read-only has mounts that are not.
    let mut change = attributes::change(current, wanted);
    change.set |= wanted & libc::MOUNT_ATTR_RDONLY;
    let current = Some(current);
    let later = Command::Remount;
    let made = Bind { source, target, plan, recursive: false, change, current, later }.make();
    if matches!(made, Ok(()) | Err(Stop::Failed { command: Command::Remount, .. })) {
        mount.log(later);
    }
    made
}

/// Makes a bind mount as one mount(8) does, which does not ask the source's file system. Of what is mounted below
/// the source, no attributes are changed.
pub(super) fn bind_at_once(mount: &Mount, plan: &Plan<'_>, recursive: bool) -> Result<(), Stop> {
    names::check_not_noted(&mount.target)?;
    let target = begin(mount)?;
    let source = Target::open(&mount.source)?;
    let change = attributes::change_by(plan.set);
    let later = Command::First;
    Bind { source, target, plan, recursive, change, current: None, later }.make()
}

struct Bind<'a> {
    source: Target<'a>,
    target: Target<'a>,
    plan: &'a Plan<'a>,
    recursive: bool,
    /// What differs from the source's mount.
    change: AttributeChange,
    /// The attributes of the source's mount, if they are known.
    current: Option<u64>,
    /// The command of mount-utils that fails if the attributes cannot be set.
    later: Command,
}

impl Bind<'_> {
    fn make(&self) -> Result<(), Stop> {
        let mounted = match self.by_tree()? {
            Some(mounted) => mounted,
            None => self.by_mount()?,
        };
        propagate(&mounted, &self.plan.propagation).map_err(|errno| {
            detach(&mounted);
            of(self.later)(errno)
        })
    }

    /// Binds by a detached tree; `None` if a call is missing or refused, and nothing was done.
    fn by_tree(&self) -> Result<Option<OwnedFd>, Stop> {
        let features = Features::get();
        let is_changed = self.change != AttributeChange::default();
        if !features.open_tree || (is_changed && !features.mount_setattr) {
            return Ok(None);
        }
        let Some(tree) = unless_absent(mounting::clone_mount(&self.source.file, self.recursive))?
        else {
            return Ok(None);
        };
        if is_changed {
            match mounting::change_attributes(&tree, self.change) {
                Err(errno) if sys::means_absent(errno) => return Ok(None),
                answer => answer.map_err(of(self.later))?,
            }
        }
        let attached = unless_absent(self.target.attach(&tree))?;
        Ok(attached.map(|()| tree))
    }

    /// Binds by mount(2), which takes a second call to set attributes. Between the two the mount has only those
    /// of its source.
    fn by_mount(&self) -> Result<OwnedFd, Stop> {
        let path = |file: &OwnedFd| sys::proc_path_of(file.as_fd(), None);
        let recursive = if self.recursive { libc::MS_REC } else { 0 };
        let (source, target) = (path(&self.source.file), path(&self.target.file));
        let mounted = mount_and_open(&self.target, || {
            mounting::mount(&source, &target, b"", libc::MS_BIND | recursive, b"")
        })?;
        if self.change != AttributeChange::default() {
            self.change_by_mount(&mounted).inspect_err(|_| detach(&mounted))?;
        }
        Ok(mounted)
    }

    fn change_by_mount(&self, mounted: &OwnedFd) -> Result<(), Stop> {
        let current = match self.current {
            Some(current) => current,
            // Whatever it was that hid its attributes, they cannot be kept, so the mount is taken away.
            None => basics_of(mounted).ok().flatten().ok_or(sys::EINVAL)?.attributes,
        };
        let wanted = current & !self.change.clear | self.change.set;
        let flags = libc::MS_REMOUNT | libc::MS_BIND | attributes::to_flags(wanted);
        mounting::mount_flags(mounted, flags).map_err(of(self.later))
    }
}

/// A failure of one of the commands.
fn of(command: Command) -> impl Fn(RawErrno) -> Stop {
    move |errno| Stop::Failed { command, errno, kernel: Vec::new() }
}

/// `None` if the errno means that the call is missing, or that a sandbox refuses it.
fn unless_absent<T>(answer: Sys<T>) -> Sys<Option<T>> {
    match answer {
        Err(errno) if sys::means_absent(errno) => Ok(None),
        answer => answer.map(Some),
    }
}
