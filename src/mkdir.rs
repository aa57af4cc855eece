//! Makes directories in a volume level by level, each by a descriptor of its parent.
//!
//! No directory is made or opened, and no mode is set, by a path that the volume's owner could redirect.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, OFlag};
use subpath_mountinfo::internal::automount::{self, Automount};
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::sys::{self, Kind, Sys};
use subpath_mountinfo::{Error, Profile, Result, flatten, log, text, wrap};

use crate::lock::lock;
use crate::mode::DirectoryMode;
use crate::newness::{CannotSet, Newness};
use crate::open::{self, open_beneath};
use crate::symlink_free::{SymlinkFreePrefix, open_symlink_free_directory};

/// See [`Subpather::safe_make_dir`](crate::Subpather::safe_make_dir).
pub fn safe_make_dir(
    subdir: &[u8],
    base: &[u8],
    perm: DirectoryMode,
    profile: Profile,
) -> Result<()> {
    let cannot_resolve = |cause| flatten!("error resolving symlinks in %s: %s", base, cause);
    match open_symlink_free_directory(base) {
        Some(Ok((real_base, dir))) => {
            let real_path = go_path::join(&[real_base, subdir]);
            return make_dir(&real_path, real_base, Some(dir), perm, profile);
        }
        Some(Err(errno)) => {
            let cleaned = go_path::clean(base);
            let automount = automount::find(AT_FDCWD, &cleaned, cleaned.len());
            if let Some(Automount::OnTheWayTo(place)) = automount {
                return Err(cannot_resolve(Error::at_path("lstat", place, errno)));
            }
        }
        None => {}
    }
    let real_base = go_path::eval_symlinks(base).map_err(cannot_resolve)?;
    let real_path = go_path::join(&[&real_base, subdir]);
    make_dir_resolved(&real_path, &real_base, perm, profile)
}

/// [`safe_make_dir`] below a base without symlinks (`doSafeMakeDir`).
pub fn make_dir_resolved(
    pathname: &[u8],
    base: &[u8],
    perm: DirectoryMode,
    profile: Profile,
) -> Result<()> {
    make_dir(pathname, base, None, perm, profile)
}

/// [`make_dir_resolved`] with the base open for reading, if it is known that no element of its path is a
/// link.
fn make_dir(
    pathname: &[u8],
    base: &[u8],
    open_base: Option<OwnedFd>,
    perm: DirectoryMode,
    profile: Profile,
) -> Result<()> {
    log!(DEBUG, path = pathname, "Creating directory %q within base %q", pathname, base);
    if !go_path::path_within_base(pathname, base) {
        return Err(open::outside_of_base(pathname, base));
    }
    let found = match (&open_base, open::strictly_below(pathname, base)) {
        (Some(dir), Some(below)) if sys::refused(pathname).is_none() => sys::stat_at(dir, below),
        _ => sys::stat(pathname),
    };
    match found {
        Ok(stat) if stat.kind == Kind::Directory => {
            log!(DEBUG, path = pathname, "Directory %s already exists", pathname);
            return Ok(());
        }
        Ok(_) => return Err(Error::at_path("mkdir", pathname, sys::ENOTDIR)),
        Err(sys::ENOENT) => {
            if let Some(prefix) =
                open_base.and_then(|dir| SymlinkFreePrefix::find(dir, base, pathname))
            {
                let SymlinkFreePrefix { path, below_base, missing, dir } = prefix;
                let levels = Levels { base, existing: path, missing: &missing, perm, profile };
                levels.announce();
                open::trace_components(base, below_base);
                return levels.make(dir);
            }
        }
        // The steps below find the element that is wrong, and report it.
        Err(_) => {}
    }
    make_missing(pathname, base, perm, profile)
}

/// Makes the missing part of a path. The existing part is searched for with symlinks followed, and then opened
/// with none followed.
fn make_missing(pathname: &[u8], base: &[u8], perm: DirectoryMode, profile: Profile) -> Result<()> {
    let prefix = existing_prefix(base, pathname);
    if let Some(error) = prefix.error {
        return Err(flatten!("error opening directory %s: %s", pathname, error));
    }
    let existing = go_path::eval_symlinks(&prefix.path)
        .map_err(|error| flatten!("error opening directory %s: %s", prefix.path, error))?;
    if !go_path::path_within_base(&existing, base) {
        // The original prints an error that is nil in the place of the base.
        let text = text!("path %s is outside of allowed base %%!s(<nil>)", existing);
        let outside = open::outside_of_base(&existing, base);
        let shown = outside.original_text();
        return Err(Error::new(text).of_kind(outside.kind()).shown_as(shown));
    }
    let missing: Vec<&[u8]> = prefix.missing.iter().map(Vec::as_slice).collect();
    let levels = Levels { base, existing: &existing, missing: &missing, perm, profile };
    levels.announce();
    let parent = open_beneath(&existing, base)
        .map_err(|error| flatten!("cannot open directory %s: %s", prefix.path, error))?;
    levels.make(parent)
}

/// The levels that are to be made below an existing directory.
struct Levels<'a> {
    base: &'a [u8],
    existing: &'a [u8],
    missing: &'a [&'a [u8]],
    perm: DirectoryMode,
    profile: Profile,
}

impl Levels<'_> {
    fn announce(&self) {
        log!(
            DEBUG,
            path = self.existing,
            "%q already exists, %q to create",
            self.existing,
            go_path::join(self.missing)
        );
    }

    fn make(&self, mut parent: OwnedFd) -> Result<()> {
        let impossible = self.impossible_level();
        let mut newness = Newness::below(&parent);
        // Without birth times a directory may have to be empty to count as new. So no other caller in this
        // process may make a directory in it before its mode is set.
        let _one_at_a_time = (!newness.births_are_told())
            .then(|| lock(&[b"make\0", self.base].concat(), Duration::from_secs(1)));
        for (level, name) in self.missing.iter().enumerate() {
            log!(DEBUG, path = self.path_of(level), "Creating %s", name);
            self.refuse_relative(&parent, level)?;
            match impossible {
                Some((at, errno)) if at == level => return Err(self.cannot_create(level, errno)),
                Some(_) if level == 0 => match sys::lstat_at(&parent, name) {
                    Ok(_) => return Err(self.cannot_create(level, sys::EEXIST)),
                    // Nothing is made here whatever the error is, because a level below is refused.
                    Err(_) => match sys::may_change(&parent) {
                        Ok(()) => continue,
                        Err(errno) => return Err(self.cannot_create(level, errno)),
                    },
                },
                Some(_) => continue,
                None => {}
            }
            parent = self.make_level(&mut newness, &parent, level)?;
        }
        Ok(())
    }

    /// Returns the first level whose path or name mkdirat(2) refuses, and the errno. No level is made then. The
    /// original fails with the same error, but leaves the levels above.
    fn impossible_level(&self) -> Option<(usize, i32)> {
        let mut length = match self.existing {
            b"/" | b"." => 0,
            existing => existing.len(),
        };
        for (level, name) in self.missing.iter().enumerate() {
            length += name.len() + usize::from(length > 0 || self.existing == b"/");
            if sys::has_nul(name) {
                return Some((level, sys::EINVAL));
            }
            if length >= sys::PATH_MAX || name.len() > sys::NAME_MAX {
                return Some((level, sys::ENAMETOOLONG));
            }
        }
        None
    }

    /// Makes a level, opens it and sets its mode. If another caller made it first, only opens it. If the mode
    /// cannot be set, the level is removed again: the next call would find it and keep its wrong mode.
    fn make_level(&self, newness: &mut Newness, parent: &OwnedFd, level: usize) -> Result<OwnedFd> {
        let name = self.missing[level];
        // Only an empty directory is removed. If it is another one, whoever moved it here could have removed it.
        let take_away = || sys::rmdir_at(parent, name).is_ok();
        loop {
            let birth = match newness.make(parent, name, self.perm) {
                Ok(birth) => birth,
                Err(sys::EEXIST) => return self.open_level(parent, level, false),
                Err(errno) => return Err(self.cannot_create(level, errno)),
            };
            let child = self.open_level(parent, level, true).inspect_err(|error| {
                let errno = error.raw_os_error().unwrap_or_default();
                if !birth.is_closed_to_its_owner(parent, name, errno) {
                    take_away();
                }
            })?;
            match newness.set_mode(&child, &birth) {
                Ok(()) => return Ok(child),
                Err(CannotSet { may_stay: true, errno, .. }) => {
                    return Err(self.cannot_chmod(level, "", errno));
                }
                Err(CannotSet { unproven, errno, .. }) => {
                    // This happens once: from then on every directory gets a mark.
                    if take_away() && unproven && newness.begins_to_mark() {
                        continue;
                    }
                    let doubt = "it may be another directory than the one that was made: ";
                    return Err(self.cannot_chmod(level, if unproven { doubt } else { "" }, errno));
                }
            }
        }
    }

    fn cannot_chmod(&self, level: usize, why: &str, errno: i32) -> Error {
        flatten!("chmod %q failed: %s%s", self.path_of(level), why, Error::from_errno(errno))
    }

    /// Opens a level that this call has just made (`made`), or that another caller made first.
    fn open_level(&self, parent: &OwnedFd, level: usize, made: bool) -> Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        sys::openat(parent, self.missing[level], flags, 0).map_err(|errno| match errno {
            // Something that is no directory is in its place, such as a dangling symlink.
            sys::ENOTDIR | sys::ELOOP if !made => self.cannot_create(level, sys::EEXIST),
            errno => self.cannot_open(level, errno),
        })
    }

    fn cannot_open(&self, level: usize, errno: i32) -> Error {
        flatten!("cannot open %s: %s", self.path_of(level), Error::from_errno(errno))
    }

    /// Refuses a level where the original fails because its path is relative: it gives mkdirat(2)
    /// the whole path and the parent's descriptor, so the kernel looks for the path below the parent.
    fn refuse_relative(&self, parent: &OwnedFd, level: usize) -> Result<()> {
        if self.existing.starts_with(b"/") {
            return Ok(());
        }
        let no = |errno| self.cannot_create(level, errno);
        let path = self.path_of(level);
        if let Some(errno) = sys::refused(&path) {
            return Err(no(errno));
        }
        let looked_in = go_path::dir(&path);
        if looked_in == b"." {
            return Ok(());
        }
        let other = sys::openat(parent, &looked_in, OFlag::O_PATH | OFlag::O_DIRECTORY, 0);
        let other = other.map_err(no)?;
        if sys::fstat(&other).map_err(no)?.same_file(&sys::fstat(parent).map_err(no)?) {
            return Ok(()); // "../volume" from within the volume is the volume
        }
        // It is an error in any case. What follows finds out which one.
        if sys::lstat_at(&other, self.missing[level]).is_ok() {
            return Err(no(sys::EEXIST));
        }
        sys::may_change(&other).map_err(no)?;
        // The original makes it there, and then does not find it here, or finds a dangling symlink.
        let errno = match sys::lstat_at(parent, self.missing[level]) {
            Ok(stat) if stat.kind == Kind::Symlink => sys::ELOOP,
            _ => sys::ENOENT,
        };
        Err(self.cannot_open(level, errno))
    }

    fn cannot_create(&self, level: usize, errno: i32) -> Error {
        let (path, cause) = (self.path_of(level), Error::from_errno(errno));
        match self.profile.wraps_errors() {
            true => wrap!("cannot create directory %s: %w", path, cause),
            false => flatten!("cannot create directory %s: %s", path, cause),
        }
    }

    /// The path of a level, as filepath.Join makes it. It is put together only for a log line or an error:
    /// doing it for every level would make the work quadratic in the depth.
    fn path_of(&self, level: usize) -> Vec<u8> {
        go_path::join(&[&[self.existing], &self.missing[..=level]].concat())
    }
}

/// The result of [`existing_prefix`].
pub struct Prefix {
    /// The part that exists. With an error it is the path that the original returns with it.
    pub path: Vec<u8>,
    /// The components that do not exist.
    pub missing: Vec<Vec<u8>>,
    /// Why the search failed, if it did.
    pub error: Option<Error>,
}

/// Finds the longest prefix of `pathname` that exists, following links (`findExistingPrefix`).
///
/// It is only a search. What it finds is opened again by [`open_beneath`], which follows no symlink.
pub fn existing_prefix(base: &[u8], pathname: &[u8]) -> Prefix {
    let fail = |path: &[u8], error| Prefix {
        path: path.to_vec(),
        missing: Vec::new(),
        error: Some(error),
    };
    let relative = match go_path::rel(base, pathname) {
        Ok(relative) => relative,
        Err(error) => return fail(base, error),
    };
    let names: Vec<&[u8]> = go_path::split_segments(&relative);
    let mut fd = match open_base_following(base) {
        Ok(fd) => fd,
        Err(errno) => {
            let cause = Error::from_errno(errno);
            return fail(pathname, flatten!("error opening %s: %s", base, cause));
        }
    };
    for (i, name) in names.iter().enumerate() {
        match sys::openat(&fd, name, OFlag::O_PATH, 0) {
            Ok(child) => fd = child,
            Err(sys::ENOENT) => {
                let path = match i {
                    0 => base.to_vec(),
                    _ => go_path::join(&[&[base], &names[..i]].concat()),
                };
                let missing = names[i..].iter().map(|n| n.to_vec()).collect();
                return Prefix { path, missing, error: None };
            }
            Err(errno) => return fail(base, Error::from_errno(errno)),
        }
    }
    Prefix { path: pathname.to_vec(), missing: Vec::new(), error: None }
}

/// Opens the base for reading. Symlinks are followed. For a FIFO it does not wait for a writer.
fn open_base_following(base: &[u8]) -> Sys<OwnedFd> {
    match sys::open(base, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
        Err(sys::ENOTDIR) => sys::open(base, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY),
        other => other,
    }
}
