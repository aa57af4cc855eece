//! The directories below a pod's own, reached by descriptor and through no symlink.
//!
//! The pod's directory itself belongs to the kubelet. Its path is trusted and may contain symlinks. Below it no
//! symlink is followed: one that is in the place of a directory was put there to mislead the kubelet.

use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use nix::fcntl::{AT_FDCWD, OFlag};
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::sys::{self, Kind, Sys};
use subpath_mountinfo::{Error, Features, Result};

/// Opens a directory only to refer to it (`O_PATH`). Fails for anything else.
const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_DIRECTORY);
/// Opens a directory to read its entries.
const TO_READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_DIRECTORY);

/// A pod's directory. It is opened at the first use and not before, because most operations do not need it: one
/// openat2(2) opens a whole path that contains no symlink.
pub(crate) struct PodDir {
    path: Vec<u8>,
    dir: OnceLock<Sys<OwnedFd>>,
}

/// An entry of a directory below the pod's: the open directory, and the entry's name.
pub(crate) struct Located<'p> {
    dir: Held<'p>,
    name: &'p [u8],
}

enum Held<'p> {
    Own(OwnedFd),
    Pods(BorrowedFd<'p>),
}

impl Located<'_> {
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        match &self.dir {
            Held::Own(dir) => dir.as_fd(),
            Held::Pods(dir) => *dir,
        }
    }

    pub(crate) fn name(&self) -> &[u8] {
        self.name
    }
}

impl PodDir {
    /// Returns the directory at a path, which is trusted and may contain symlinks. Nothing is opened yet.
    pub(crate) fn new(path: &[u8]) -> PodDir {
        PodDir { path: go_path::clean(path), dir: OnceLock::new() }
    }

    fn dir(&self) -> Sys<BorrowedFd<'_>> {
        let open = || sys::open(&self.path, OFlag::O_PATH | OFlag::O_DIRECTORY);
        self.dir.get_or_init(open).as_ref().map(AsFd::as_fd).map_err(|&errno| errno)
    }

    /// Opens a directory below the pod's with `O_PATH`.
    pub(crate) fn open_dir(&self, path: &[u8]) -> Sys<OwnedFd> {
        self.open_with(path, DIRECTORY)
    }

    /// Opens a directory below the pod's for reading its entries.
    pub(crate) fn open_to_read(&self, path: &[u8]) -> Sys<OwnedFd> {
        self.open_with(path, TO_READ)
    }

    /// Returns whether the pod's directory can be opened.
    pub(crate) fn is_there(&self) -> bool {
        self.dir().is_ok()
    }

    /// Opens a directory as [`Self::open_to_read`] does, and returns whether it is on another mount than the
    /// pod's directory.
    pub(crate) fn open_to_read_here(&self, path: &[u8]) -> Sys<(OwnedFd, Sys<bool>)> {
        let dir = self.open_to_read(path)?;
        let is_elsewhere = is_on_another_mount(&dir, self.dir()?);
        Ok((dir, is_elsewhere))
    }

    /// Opens a file of any type except a symlink for reading. For a FIFO it does not wait for a writer.
    pub(crate) fn open_anything(&self, path: &[u8]) -> Sys<OwnedFd> {
        self.open_with(
            path,
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY,
        )
    }

    fn open_with(&self, path: &[u8], flags: OFlag) -> Sys<OwnedFd> {
        if Features::get().openat2 {
            let answer = sys::open_without_symlinks(path, flags);
            // ENOENT is final: a symlink before the missing name would have given ELOOP. Any other error may
            // come from a symlink in the pod's own path, which is allowed: the steps below find out.
            if matches!(answer, Ok(_) | Err(sys::ENOENT)) {
                return answer;
            }
        }
        let split = Split::of(&self.path, path);
        if split.anchor == self.path {
            return open_below(self.dir()?, &split.below, flags);
        }
        let anchor = sys::open(&split.anchor, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        open_below(anchor.as_fd(), &split.below, flags)
    }

    /// Opens the directory that contains the entry `path`.
    pub(crate) fn locate<'p>(&'p self, path: &'p [u8]) -> Sys<Located<'p>> {
        let parent = go_path::dir(path);
        let dir = if parent == self.path {
            Held::Pods(self.dir()?)
        } else {
            Held::Own(self.open_dir(&parent)?)
        };
        Ok(Located { dir, name: go_path::base(path) })
    }

    /// Removes a directory as Go's `os.Remove` does.
    ///
    /// # Errors
    /// A path error of `remove`.
    pub(crate) fn remove(&self, path: &[u8]) -> Result<()> {
        let removed = if go_path::dir(path) == self.path {
            sys::remove_at(AT_FDCWD, path, Kind::Directory)
        } else {
            self.locate(path).and_then(|at| sys::remove_at(at.dir(), at.name(), Kind::Directory))
        };
        removed.map_err(|errno| Error::at_path("remove", path, errno))
    }
}

/// A path below a pod's directory, split into the part that is trusted and the part that is not.
struct Split<'p> {
    /// The trusted part: the pod's directory, or an ancestor of it if a name with `..` leads out of it.
    anchor: Cow<'p, [u8]>,
    /// The rest, without `.` and `..`. Empty if the path is the anchor itself.
    below: Vec<u8>,
}

impl<'p> Split<'p> {
    /// Both paths are clean.
    fn of(pod_dir: &'p [u8], path: &'p [u8]) -> Split<'p> {
        let Ok(below) = go_path::rel(pod_dir, path) else {
            // One path is relative and the other absolute, so that they cannot be compared.
            return Split { anchor: path.into(), below: Vec::new() };
        };
        let mut anchor = Cow::from(pod_dir);
        let mut rest = &below[..];
        while go_path::starts_with_backstep(rest) {
            anchor = go_path::join(&[&anchor, b".."]).into();
            rest = rest.get(3..).unwrap_or(b".");
        }
        let below = if rest == b"." { Vec::new() } else { rest.to_vec() };
        Split { anchor, below }
    }

    fn components(&self) -> impl Iterator<Item = &[u8]> {
        components(&self.below)
    }
}

/// Returns whether two open directories are on different mounts.
pub(crate) fn is_on_another_mount(dir: impl AsFd, other: impl AsFd) -> Sys<bool> {
    Ok(sys::mount_id(dir)? != sys::mount_id(other)?)
}

fn components(below: &[u8]) -> impl Iterator<Item = &[u8]> {
    below.split(|&b| b == b'/').filter(|name| !name.is_empty())
}

fn open_below(anchor: BorrowedFd<'_>, below: &[u8], flags: OFlag) -> Sys<OwnedFd> {
    if below.is_empty() {
        return sys::openat(anchor, b".", flags, 0);
    }
    if Features::get().openat2 && below.contains(&b'/') {
        match sys::open_beneath(anchor, below, flags) {
            Ok(dir) => return Ok(dir),
            Err(sys::ENOENT) => return Err(sys::ENOENT),
            // Opening component by component gives the errno of openat(2), which is wanted.
            Err(_) => {}
        }
    }
    let mut names = components(below).peekable();
    let mut dir: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { DIRECTORY } else { flags };
        let parent = dir.as_ref().map_or(anchor, AsFd::as_fd);
        dir = Some(sys::openat(parent, name, flags, 0)?);
    }
    dir.ok_or(sys::ENOENT)
}

/// Makes a directory below the pod's with every missing level, and opens it (`os.MkdirAll`).
///
/// # Errors
/// A path error of `mkdir` that names the level, with the errno of mkdirat(2). ENOTDIR if a file or a symlink
/// is in the place of a level.
pub(crate) fn make_all(pod_dir: &[u8], path: &[u8], mode: u32) -> Result<OwnedFd> {
    let pod_dir = go_path::clean_cow(pod_dir);
    let split = Split::of(&pod_dir, path);
    let anchor = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let mut dir = match sys::open(&split.anchor, anchor) {
        Ok(dir) => dir,
        Err(_) => {
            // The reason is reported below, by making it or by opening it again.
            make_anchor(&split.anchor, mode)?;
            sys::open(&split.anchor, anchor)
                .map_err(|errno| Error::at_path("mkdir", &split.anchor[..], errno))?
        }
    };
    let mut current = split.anchor.to_vec();
    let mut names = split.components();
    // Open the levels that exist.
    let first = loop {
        let Some(name) = names.next() else {
            return Ok(dir);
        };
        match open_level(&dir, name) {
            Ok(next) => dir = next,
            Err(sys::ENOTDIR) => {
                let path = go_path::join(&[&current, name]);
                return Err(Error::at_path("mkdir", path, sys::ENOTDIR));
            }
            // Making it reports what is wrong with it.
            Err(_) => break name,
        }
        current = go_path::join(&[&current, name]);
    };
    // Make the others. Below a directory that was just made, nothing exists yet.
    let missing: Vec<&[u8]> = std::iter::once(first).chain(names).collect();
    refuse_impossible(&dir, &current, &missing)?;
    let mut is_new = true;
    for name in missing {
        current = go_path::join(&[&current, name]);
        dir = make_level(&dir, name, mode, &mut is_new)
            .map_err(|errno| Error::at_path("mkdir", &current[..], errno))?;
    }
    Ok(dir)
}

/// Makes a directory and opens it. Another caller may make or remove it at the same time. `is_new` tells whether
/// the parent is new, and is set to whether this directory is.
fn make_level(parent: impl AsFd, name: &[u8], mode: u32, is_new: &mut bool) -> Sys<OwnedFd> {
    const TRIES: usize = 100;
    if !*is_new {
        match open_level(&parent, name) {
            Err(sys::ENOTDIR) => return Err(sys::ENOTDIR),
            // Making it reports what is wrong with it.
            Err(_) => {}
            dir => return dir,
        }
    }
    for _ in 0..TRIES {
        match sys::mkdirat(&parent, name, mode) {
            Ok(()) => *is_new = true,
            Err(sys::EEXIST) => *is_new = false,
            Err(errno) => return Err(errno),
        }
        match open_level(&parent, name) {
            Err(sys::ENOENT) => {}
            other => return other,
        }
    }
    Err(sys::ENOENT)
}

fn open_level(parent: impl AsFd, name: &[u8]) -> Sys<OwnedFd> {
    sys::openat(parent, name, DIRECTORY, 0)
        .map_err(|errno| if errno == sys::ELOOP { sys::ENOTDIR } else { errno })
}

/// Returns an error if one of the missing levels can never be made, because its path or its name is too long,
/// before any level is made.
fn refuse_impossible(dir: &OwnedFd, existing: &[u8], missing: &[&[u8]]) -> Result<()> {
    let mut current = existing.to_vec();
    for (level, name) in missing.iter().enumerate() {
        current = go_path::join(&[&current, name]);
        let too_long = (name.len() > sys::NAME_MAX).then_some(sys::ENAMETOOLONG);
        if let Some(errno) = sys::refused(&current).or(too_long) {
            if level > 0
                && let Err(errno) = sys::may_change(dir)
            {
                let first = go_path::join(&[existing, missing[0]]);
                return Err(Error::at_path("mkdir", first, errno));
            }
            return Err(Error::at_path("mkdir", current, errno));
        }
    }
    Ok(())
}

/// Makes the pod's directory itself, as Go's `os.MkdirAll` does. Symlinks are followed.
fn make_anchor(path: &[u8], mode: u32) -> Result<()> {
    match sys::stat(path) {
        Ok(stat) if stat.kind == sys::Kind::Directory => return Ok(()),
        Ok(_) => return Err(Error::at_path("mkdir", path, sys::ENOTDIR)),
        // As in Go, making it reports what is wrong with it.
        Err(_) => {}
    }
    let parent = go_path::dir(path);
    if parent != path && parent != b"." {
        make_anchor(&parent, mode)?;
    }
    match sys::mkdir(path, mode) {
        Ok(()) => Ok(()),
        // As os.MkdirAll: somebody else made it meanwhile.
        Err(_) if sys::lstat(path).is_ok_and(|s| s.kind == sys::Kind::Directory) => Ok(()),
        Err(errno) => Err(Error::at_path("mkdir", path, errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pod_dir: &str, path: &str) -> (String, String) {
        let split = Split::of(pod_dir.as_bytes(), path.as_bytes());
        (String::from_utf8(split.anchor.to_vec()).unwrap(), String::from_utf8(split.below).unwrap())
    }

    #[test]
    fn trust_ends_at_the_pods_directory() {
        let same = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            split("/pods/u", "/pods/u/volume-subpaths/v"),
            same("/pods/u", "volume-subpaths/v")
        );
        assert_eq!(split("/pods/u", "/pods/u"), same("/pods/u", ""));
        assert_eq!(split("/pods/u", "/pods/x/c"), same("/pods", "x/c"));
        assert_eq!(split("/pods/u", "/pods"), same("/pods", ""));
        assert_eq!(split("/pods/u", "/x"), same("/", "x"));
        assert_eq!(split(".", "volume-subpaths/v"), same(".", "volume-subpaths/v"));
        assert_eq!(split("pods", "/abs"), same("/abs", ""));
    }
}
