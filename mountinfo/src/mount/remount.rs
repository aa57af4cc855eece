//! Changes what is mounted: the attributes of a mount by mount_setattr(2), the options of its file system by
//! fspick(2). What no option names is kept.

use std::os::fd::OwnedFd;

use nix::libc;

use super::Mount;
use super::at::basics_of;
use super::attributes::{self, OF_MOUNT};
use super::create::set_data;
use super::described::Basics;
use super::message;
use super::names::{self, Target};
use super::perform::{Command, Stop, propagate};
use super::plan::{OF_FILE_SYSTEM, Plan};
use super::types;
use crate::features::Features;
use crate::internal::sys::{self, Sys, mounting};

/// Remounts what is mounted at the target.
pub(super) fn remount(mount: &Mount, plan: &Plan<'_>, mount_only: bool) -> Result<(), Stop> {
    let looked = look(mount, plan, mount_only);
    if !matches!(looked, Err(Stop::NotUnderstood(_))) {
        mount.log(Command::First);
    }
    let Looked { target, attributes, context } = looked?;
    if let Some(context) = context {
        reconfigure(plan, &context)?;
    }
    change_attributes(plan, &target, attributes)?;
    Ok(propagate(&target.file, &plan.propagation)?)
}

/// What is known before anything is changed.
struct Looked<'p> {
    target: Target<'p>,
    /// The attributes of the mount.
    attributes: u64,
    /// The context in which the file system is reconfigured, if anything of it changes.
    context: Option<OwnedFd>,
}

fn look<'m>(mount: &'m Mount, plan: &Plan<'_>, mount_only: bool) -> Result<Looked<'m>, Stop> {
    names::check_not_noted(&mount.target)?;
    let target = Target::open(&mount.target)?;
    if mount.source.is_empty() {
        names::check_not_in_fstab(&target)?;
    }
    let Basics { attributes, fs_type } = match basics_of(&target.file) {
        Ok(Some(basics)) => basics,
        Ok(None) => return Err(sys::EINVAL.into()),
        Err(_) => return Err(Stop::NotUnderstood("the mount cannot be looked at".into())),
    };
    if types::needs_of(&fs_type).is_none() || types::has_helper("mount", &fs_type) {
        return Err(Stop::NotUnderstood("the type of file system is left to mount(8)".into()));
    }
    let is_reconfigured =
        !mount_only && (!plan.data.is_empty() || changed_flags(plan).next().is_some());
    let context = is_reconfigured.then(|| pick(&target, &fs_type)).transpose()?;
    Ok(Looked { target, attributes, context })
}

/// The flags of the file system that words name.
fn changed_flags(plan: &Plan<'_>) -> impl Iterator<Item = (u64, &'static [u8], &'static [u8])> {
    let named = plan.set | plan.cleared;
    OF_FILE_SYSTEM.into_iter().filter(move |(flag, ..)| named & flag != 0)
}

/// Opens a context for the file system of a mount.
fn pick(target: &Target<'_>, fs_type: &[u8]) -> Result<OwnedFd, Stop> {
    if matches!(fs_type, b"devpts" | b"debugfs" | b"tracefs") {
        // On most kernels they set every option that is not named to its default.
        return Err(Stop::NotUnderstood("a remount may reset options that are not named".into()));
    }
    let picked = match Features::get().fsopen {
        true => mounting::fspick(&target.file),
        false => Err(sys::ENOSYS),
    };
    match picked {
        Err(errno) if sys::means_absent(errno) => {
            Err(Stop::NotUnderstood("fspick(2) is missing or refused".into()))
        }
        answer => Ok(answer?),
    }
}

/// Changes the flags and options of the file system.
fn reconfigure(plan: &Plan<'_>, context: &OwnedFd) -> Result<(), Stop> {
    let configure = || -> Sys<()> {
        for (flag, set, clear) in changed_flags(plan) {
            mounting::fsconfig_flag(context, if plan.set & flag != 0 { set } else { clear })?;
        }
        set_data(context, plan)?;
        mounting::fsconfig_reconfigure(context)
    };
    configure().map_err(|errno| {
        let kernel = message::of_context(context);
        Stop::Failed { command: Command::First, errno, kernel }
    })
}

/// Changes the attributes of the mount, if any is named.
fn change_attributes(plan: &Plan<'_>, target: &Target<'_>, from: u64) -> Result<(), Stop> {
    if (plan.set | plan.cleared) & OF_MOUNT == 0 {
        return Ok(());
    }
    let words = attributes::to_words(from);
    let to = attributes::remounted(from, words & !plan.cleared | plan.set);
    let change = attributes::change(from, to);
    if Features::get().mount_setattr {
        match mounting::change_attributes(&target.file, change) {
            Err(errno) if sys::means_absent(errno) => {}
            answer => return Ok(answer?),
        }
    }
    let flags = libc::MS_REMOUNT | libc::MS_BIND | attributes::to_flags(to);
    Ok(mounting::mount_flags(&target.file, flags)?)
}
