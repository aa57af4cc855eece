//! Changes what is mounted: the attributes of a mount by mount_setattr(2), the options of its file system by
//! fspick(2). What no option names is kept.

use nix::libc;

use super::Mount;
use super::at::basics_of;
use super::attributes::{self, OF_MOUNT};
use super::create::set_data;
use super::message;
use super::names::{self, Target};
use super::perform::{Command, Stop, propagate};
use super::plan::{OF_FILE_SYSTEM, Plan};
use super::types;
use crate::features::Features;
use crate::internal::sys::{self, Sys, mounting};

/// Remounts what is mounted at the target.
pub(super) fn remount(
    mount: &Mount,
    plan: &Plan<'_>,
    mount_only: bool,
    target: &Target<'_>,
) -> Result<(), Stop> {
    names::check_not_noted(target)?;
    if mount.source.is_empty() {
        names::check_not_in_fstab(target)?;
    }
    let basics = match basics_of(&target.file) {
        Ok(Some(basics)) => basics,
        Ok(None) => return Err(sys::EINVAL.into()),
        Err(_) => return Err(Stop::NotUnderstood("the mount cannot be looked at".into())),
    };
    let fs_type = &basics.fs_type;
    if types::needs_of(fs_type).is_none() || types::has_helper("mount", fs_type) {
        return Err(Stop::NotUnderstood("the type of file system is left to mount(8)".into()));
    }
    if !mount_only {
        reconfigure(plan, target, fs_type)?;
    }
    change_attributes(plan, target, basics.attributes)?;
    Ok(propagate(&target.file, &plan.propagation)?)
}

/// Changes the flags and options of the file system, if any is named.
fn reconfigure(plan: &Plan<'_>, target: &Target<'_>, fs_type: &[u8]) -> Result<(), Stop> {
    let named = plan.set | plan.cleared;
    let flags = OF_FILE_SYSTEM.iter().filter(|(flag, ..)| named & flag != 0);
    if plan.data.is_empty() && flags.clone().next().is_none() {
        return Ok(());
    }
    if matches!(fs_type, b"devpts" | b"debugfs" | b"tracefs") {
        // On most kernels they set every option that is not named to its default.
        return Err(Stop::NotUnderstood("a remount may reset options that are not named".into()));
    }
    let refused = || Stop::NotUnderstood("fspick(2) is missing or refused".into());
    if !Features::get().fsopen {
        return Err(refused());
    }
    let context = match mounting::fspick(&target.file) {
        Err(errno) if sys::means_absent(errno) => return Err(refused()),
        answer => answer?,
    };
    let configure = || -> Sys<()> {
        for &(flag, set, clear) in flags {
            mounting::fsconfig_flag(&context, if plan.set & flag != 0 { set } else { clear })?;
        }
        set_data(&context, plan)?;
        mounting::fsconfig_reconfigure(&context)
    };
    configure().map_err(|errno| {
        let kernel = message::of_context(&context);
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
