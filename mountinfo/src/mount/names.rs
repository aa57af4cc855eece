//! Sources and targets of mounts, and what mount(8) knows about them: helpers, fstab and its own table.

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;

use super::Mount;
use super::perform::Stop;
use super::plan::{Action, Plan};
use super::types;
use crate::features::Features;
use crate::internal::go_path;
use crate::internal::paths::path_of;
use crate::internal::sys::{self, Kind, Sys, mounting};
use crate::table::unescape_name;
use crate::utab::{self, UtabTarget};

/// An open file or directory, and the path by which the caller named it.
#[derive(Debug)]
pub(super) struct Target<'p> {
    pub(super) file: OwnedFd,
    pub(super) path: &'p [u8],
}

impl<'p> Target<'p> {
    /// Opens a path. Symlinks are followed once, here, and an automount is triggered.
    pub(super) fn open(path: &'p [u8]) -> Sys<Self> {
        let file = mounting::open_mount_point(path, Features::get().open_tree)?;
        Ok(Target { file, path })
    }

    /// Returns the path without symlinks, by which mount(8) knows it.
    pub(super) fn real_path(&self) -> Sys<Vec<u8>> {
        sys::real_path_of(self.file.as_fd())
    }

    /// Attaches a detached mount here (move_mount(2)). If one is a directory and the other is not, the errno is
    /// that of mount(2): ENOTDIR.
    pub(super) fn attach(&self, mount: &OwnedFd) -> Sys<()> {
        let answer = mounting::move_mount(mount, &self.file);
        if answer != Err(sys::EINVAL) {
            return answer;
        }
        let is_directory = |file: &OwnedFd| {
            sys::cached_stat_fd(file).map(|found| found.stat.kind == Kind::Directory)
        };
        match is_directory(&self.file)? == is_directory(mount)? {
            true => answer,
            false => Err(sys::ENOTDIR),
        }
    }
}

/// Refuses a type that mount(8) has a helper for, where it looks for one.
pub(super) fn check_helper(mount: &Mount, plan: &Plan<'_>) -> Result<(), Stop> {
    let looks = match plan.action {
        Action::Create(_) => true,
        Action::Remount { .. } => !mount.fs_type.is_empty(),
        _ => false,
    };
    if looks && (mount.fs_type.contains(&b'/') || types::has_helper("mount", &mount.fs_type)) {
        return Err(Stop::NotUnderstood("the type has a helper program".into()));
    }
    Ok(())
}

/// Refuses a mount that mount(8) keeps an entry for in its own table.
pub(super) fn check_not_noted(path: &[u8]) -> Result<(), Stop> {
    match UtabTarget::find(path) {
        Ok(None) => Ok(()),
        // What cannot be read is left to mount(8) as well.
        Ok(Some(_)) | Err(_) => Err(Stop::NotUnderstood("mount(8) has an entry for it".into())),
    }
}

/// Refuses a target that fstab may have options for, which mount(8) adds if no source is given.
pub(super) fn check_not_in_fstab(target: &Target<'_>) -> Result<(), Stop> {
    let text = match std::fs::read("/etc/fstab") {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(_) => return Err(Stop::NotUnderstood("fstab cannot be read".into())),
    };
    if lines_of(&text).next().is_none() {
        return Ok(());
    }
    let names = [go_path::without_trailing_slashes(target.path).to_vec(), target.real_path()?];
    // libmount resolves symlinks too, but asks no file system that is mounted there.
    match names_one_of(&text, &names, utab::resolved) {
        true => Err(Stop::NotUnderstood("it is in fstab".into())),
        false => Ok(()),
    }
}

/// Reports whether a line of fstab has one of the names as its source or its mount point, as it is or resolved. What
/// cannot be resolved may be one.
fn names_one_of(
    fstab: &[u8],
    names: &[Vec<u8>],
    resolved: impl Fn(&[u8]) -> Sys<Option<Vec<u8>>>,
) -> bool {
    lines_of(fstab).any(|line| {
        let fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).take(2);
        fields.into_iter().any(|field| {
            let field: Cow<'_, [u8]> = unescape_name(field);
            let field = go_path::without_trailing_slashes(&field);
            let is_one = |path: &[u8]| names.iter().any(|name| name == path);
            is_one(field)
                || field.starts_with(b"/")
                    && resolved(field).map_or(true, |path| path.is_some_and(|path| is_one(&path)))
        })
    })
}

/// The lines of fstab that have entries.
fn lines_of(fstab: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = fstab.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// Returns a block device as mount(8) names it: without symlinks, and /dev/mapper/NAME for /dev/dm-N if there is
/// such a name. Anything else than a block device is left to mount(8), which may set up a loop device.
pub(super) fn block_device(source: &[u8], as_is: bool) -> Result<Vec<u8>, Stop> {
    let left = |why: &'static str| Stop::NotUnderstood(why.into());
    let device = sys::open(source, OFlag::O_PATH).map_err(|_| left("there is no such device"))?;
    let unseen = |_| left("the source cannot be looked at");
    if !mounting::is_block_device(&device).map_err(unseen)? {
        return Err(left("the source is not a block device"));
    }
    if as_is {
        return Ok(source.to_vec());
    }
    let path = sys::real_path_of(device.as_fd()).map_err(unseen)?;
    let Some(number) = path.strip_prefix(b"/dev/dm-") else { return Ok(path) };
    let name = [b"/sys/block/dm-", number, b"/dm/name"].concat();
    let Ok(name) = std::fs::read(path_of(&name)) else { return Ok(path) };
    let mapped = [b"/dev/mapper/", name.trim_ascii()].concat();
    Ok(if sys::exists(&mapped).is_ok() { mapped } else { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fstab_is_searched_by_source_and_mount_point() {
        let fstab = b"# /a /b\n/dev/sda1  /mnt/a\\040b ext4 ro\n\tUUID=1 /c/ xfs\n";
        let resolved = |path: &[u8]| match path {
            b"/c" => Ok(Some(b"/real".to_vec())),
            b"/mnt/a b" => Ok(None),
            path => Ok(Some(path.to_vec())),
        };
        for (name, found) in [
            ("/dev/sda1", true),
            ("/mnt/a b", true),
            ("/c", true),
            ("/real", true),
            ("/a", false),
            ("ext4", false),
        ] {
            assert_eq!(names_one_of(fstab, &[name.into()], resolved), found, "{name}");
        }
        assert!(names_one_of(fstab, &[b"/a".to_vec()], |_| Err(sys::EACCES)));
    }
}
