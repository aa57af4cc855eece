//! Mounts a file system: by fsopen(2), fsmount(2) and move_mount(2), or where these are missing by mount(2).

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::libc;

use super::attributes;
use super::names::{self, Target};
use super::options::MS_RDONLY;
use super::perform::{Command, Stop, begin, propagate};
use super::plan::{OF_FILE_SYSTEM, Plan};
use super::types::Needs;
use super::{Mount, message};
use crate::features::Features;
use crate::internal::paths::bytes_of;
use crate::internal::sys::{self, RawErrno, Sys, Unmount, mounting};
use crate::mounter::Place;
use crate::table::MountTable;
use crate::{locate, log};

/// The longest text that fsconfig(2) takes, without the final NUL.
const LONGEST_TEXT: usize = 255;

/// A file system that is to be mounted.
struct New<'a> {
    fs_type: &'a [u8],
    source: &'a [u8],
    plan: &'a Plan<'a>,
    needs: Needs,
    target: &'a Target<'a>,
}

/// Mounts a file system. A source that is write-protected, or mounted read-only elsewhere, is mounted read-only,
/// with a warning, as libmount does it.
pub(super) fn create(mount: &Mount, plan: &mut Plan<'_>, needs: Needs) -> Result<(), Stop> {
    let source = match needs {
        Needs::Device => names::block_device(&mount.source, plan.as_is)?,
        Needs::Nothing | Needs::NothingShared => mount.source.clone(),
    };
    let target = &begin(mount)?;
    let new = |plan: &Plan<'_>| {
        New { fs_type: &mount.fs_type, source: &source, plan, needs, target }.mount()
    };
    let mut mounted = new(plan);
    let is_protected = match mounted {
        Err(Stop::Failed { errno: libc::EROFS | libc::EACCES, .. }) => true,
        Err(Stop::Failed { errno: sys::EBUSY, .. }) => is_mounted_read_only(&source),
        _ => false,
    };
    if is_protected && plan.set & MS_RDONLY == 0 {
        plan.set |= MS_RDONLY;
        mounted = new(plan);
        if mounted.is_ok() {
            let path = target.path;
            log!(WARN, target = path, "mount: %s: %s.", path, message::WRITE_PROTECTED);
        }
    }
    let mounted = mounted?;
    propagate(&mounted, &plan.propagation).map_err(|errno| {
        detach(&mounted);
        Stop::from(errno)
    })
}

/// Reports whether a source is mounted with a file system that is read-only.
fn is_mounted_read_only(source: &[u8]) -> bool {
    let records = MountTable::current().and_then(|table| table.records()).unwrap_or_default();
    let mut of_source = records.iter().filter(|record| bytes_of(&record.source) == source);
    of_source.any(|record| record.super_options.contains("ro"))
}

/// Takes a mount away that was just attached. It is busy, because it is open here. umount2(2) goes from an open
/// file to what is mounted on it, wherever that is now, so a mount can also be named by what it was mounted on.
pub(super) fn detach(mounted: &OwnedFd) {
    let path = sys::proc_path_of(mounted.as_fd(), None);
    if let Err(errno) = sys::umount(&path, Unmount::Lazily) {
        log!(WARN, errno = errno, "A mount that failed half-way is left at %s", path);
    }
}

impl New<'_> {
    fn mount(&self) -> Result<OwnedFd, Stop> {
        if Features::get().fsopen && self.fits_fsconfig() {
            match self.by_context() {
                Err(Tried::Refused) => {}
                Err(Tried::Stop(stop)) => return Err(stop),
                Ok(mounted) => return Ok(mounted),
            }
        }
        self.by_mount()
    }

    fn fits_fsconfig(&self) -> bool {
        let fits = |text: &[u8]| text.len() <= LONGEST_TEXT;
        fits(self.source)
            && self
                .plan
                .data
                .iter()
                .all(|(key, value)| fits(key) && fits(value.unwrap_or_default()))
    }

    /// Mounts by a context. The mount is complete before it is attached.
    fn by_context(&self) -> Result<OwnedFd, Tried> {
        let context = refusable(mounting::fsopen(self.fs_type))?;
        self.configure(&context).map_err(|errno| {
            let kernel = message::of_context(&context);
            Tried::Stop(Stop::Failed { command: Command::First, errno, kernel })
        })?;
        let attributes = attributes::of_flags(self.plan.set);
        let mounted = refusable(mounting::fsmount(&context, attributes))?;
        if self.needs != Needs::Nothing && self.is_there_already(&mounted).map_err(Stop::from)? {
            return Err(Tried::Stop(sys::EBUSY.into()));
        }
        refusable(self.target.attach(&mounted))?;
        Ok(mounted)
    }

    fn configure(&self, context: &OwnedFd) -> Sys<()> {
        mounting::fsconfig_string(context, b"source", self.source)?;
        for (flag, name, _) in OF_FILE_SYSTEM {
            if self.plan.set & flag != 0 {
                mounting::fsconfig_flag(context, name)?;
            }
        }
        set_data(context, self.plan)?;
        mounting::fsconfig_create(context)
    }

    /// Reports whether the same file system is mounted on the target, which mount(2) refuses (EBUSY) and
    /// move_mount(2) does not.
    fn is_there_already(&self, mounted: &OwnedFd) -> Sys<bool> {
        let (there, new) = (sys::cached_stat_fd(&self.target.file)?, sys::cached_stat_fd(mounted)?);
        Ok(there.mount_root != Some(false) && there.stat.dev == new.stat.dev)
    }

    fn by_mount(&self) -> Result<OwnedFd, Stop> {
        let target = sys::proc_path_of(self.target.file.as_fd(), None);
        let data = self.plan.data_list();
        mount_and_open(self.target, || {
            mounting::mount(self.source, &target, self.fs_type, self.plan.set, &data)
        })
    }
}

/// Sets the options of the file system.
pub(super) fn set_data(context: &OwnedFd, plan: &Plan<'_>) -> Sys<()> {
    plan.data.iter().try_for_each(|(key, value)| match value {
        Some(value) => mounting::fsconfig_string(context, key, value),
        None => mounting::fsconfig_flag(context, key),
    })
}

/// Mounts on a target by a call of mount(2), and opens what was mounted. If that cannot be opened, it is detached.
///
/// A mount point cannot be renamed, so its name in its directory, which is open, leads to the mount. Until then
/// another entry may get that name, or the directory may be another one than the target's.
pub(super) fn mount_and_open(
    target: &Target<'_>,
    mount: impl FnOnce() -> Sys<()>,
) -> Result<OwnedFd, Stop> {
    let left = || Stop::NotUnderstood("the directory of the target cannot be found".into());
    let path = target.real_path().map_err(|_| left())?;
    // Nothing was done yet, so mount(8) may try, whatever the reason.
    let dir = locate::parent_of(&path).ok().flatten().ok_or_else(left)?;
    let open = || {
        let name = Place::at_bytes(&path).name_bytes();
        sys::openat(&dir, name, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)
    };
    let found = open().and_then(sys::file_id).map_err(|_| left())?;
    if sys::file_id(&target.file) != Ok(found) {
        return Err(left());
    }
    let under = sys::mount_id(&target.file)?;
    mount()?;
    // Its server, which may hang, is not asked.
    let errno = match open().and_then(|file| Ok((sys::mount_id(&file)?, file))) {
        Ok((mounted, file)) if mounted != under => return Ok(file),
        // The target was renamed before it became a mount point.
        Ok(_) => sys::ESTALE,
        Err(errno) => errno,
    };
    detach(&target.file);
    Err(errno.into())
}

/// Why mounting by a context ended.
enum Tried {
    /// A call is missing, or a sandbox refuses it.
    Refused,
    Stop(Stop),
}

impl From<Stop> for Tried {
    fn from(stop: Stop) -> Self {
        Tried::Stop(stop)
    }
}

/// The outcome of a call of which a sandbox may refuse the use while it allows mount(2).
fn refusable<T>(answer: Sys<T>) -> Result<T, Tried> {
    answer.map_err(|errno: RawErrno| match sys::means_absent(errno) {
        true => Tried::Refused,
        false => Tried::Stop(errno.into()),
    })
}
