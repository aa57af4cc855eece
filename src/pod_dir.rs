//! The directories below a pod's own, reached by descriptor and through no symlink.
//!
//! The pod's directory itself is the kubelet's; its path may contain links and is trusted. Below it
//! a link is never followed: one that stands where a directory belongs was put there to lead the
//! kubelet astray.

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};

use mountinfo::sys::{self, Sys};
use mountinfo::{Error, Features, Result, gopath};
use nix::fcntl::OFlag;

const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_DIRECTORY);

/// A path below a pod's directory, split where trust ends.
struct Split {
    /// The pod's directory; an ancestor of it if the path climbs out by `..` in a name.
    anchor: Vec<u8>,
    /// What follows, without `.` and `..`; empty for the anchor itself.
    below: Vec<u8>,
}

impl Split {
    fn of(pod_dir: &[u8], path: &[u8]) -> Split {
        let mut anchor = gopath::clean(pod_dir);
        let path = gopath::clean(path);
        let below = match gopath::rel(&anchor, &path) {
            Ok(below) => below,
            // A relative path below an absolute one, or the reverse, has nothing to hold on to.
            Err(_) => return Split { anchor: path, below: Vec::new() },
        };
        let mut below = &below[..];
        while gopath::starts_with_backstep(below) {
            anchor = gopath::join(&[&anchor, b".."]);
            below = below.get(3..).unwrap_or(b".");
        }
        let below = if below == b"." { Vec::new() } else { below.to_vec() };
        Split { anchor, below }
    }

    fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.below.split(|&b| b == b'/').filter(|name| !name.is_empty())
    }
}

/// Opens a directory below the pod's with `O_PATH`.
pub(crate) fn open(pod_dir: &[u8], path: &[u8]) -> Sys<OwnedFd> {
    let split = Split::of(pod_dir, path);
    let mut dir = sys::open(&split.anchor, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
    if split.below.is_empty() {
        return Ok(dir);
    }
    if Features::get().openat2
        && let Ok(dir) = sys::open_beneath(&dir, &split.below, DIRECTORY)
    {
        return Ok(dir);
    }
    for name in split.components() {
        dir = sys::openat(&dir, name, DIRECTORY, 0)?;
    }
    Ok(dir)
}

/// Opens a directory below the pod's for reading its entries.
pub(crate) fn open_to_read(pod_dir: &[u8], path: &[u8]) -> Sys<OwnedFd> {
    let dir = open(pod_dir, path)?;
    sys::openat(dir, b".", OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)
}

/// An entry of a directory below the pod's: the open directory, and the entry's name.
pub(crate) struct Located<'p> {
    pub(crate) dir: OwnedFd,
    pub(crate) name: Cow<'p, [u8]>,
}

/// Opens the directory that holds `path`.
pub(crate) fn locate<'p>(pod_dir: &[u8], path: &'p [u8]) -> Sys<Located<'p>> {
    let name = gopath::base(path).into();
    Ok(Located { dir: open(pod_dir, &gopath::dir(path))?, name })
}

/// Removes an entry as Go's `os.Remove` does.
///
/// # Errors
/// A path error of `remove`.
pub(crate) fn remove(pod_dir: &[u8], path: &[u8]) -> Result<()> {
    locate(pod_dir, path)
        .and_then(|at| sys::remove_at(&at.dir, &at.name))
        .map_err(|errno| Error::path("remove", path, errno))
}

/// Makes a directory below the pod's with every missing level, and opens it (`os.MkdirAll`).
///
/// # Errors
/// A path error of `mkdir` that names the level, with the errno of mkdirat(2); ENOTDIR where
/// something else, or a symlink, stands in the way.
pub(crate) fn make_all(pod_dir: &[u8], path: &[u8], mode: u32) -> Result<OwnedFd> {
    if let Ok(dir) = open(pod_dir, path) {
        return Ok(dir);
    }
    let split = Split::of(pod_dir, path);
    refuse_too_long(&split)?;
    make_anchor(&split.anchor, mode)?;
    let mut dir = sys::open(&split.anchor, OFlag::O_PATH | OFlag::O_DIRECTORY)
        .map_err(|errno| Error::path("mkdir", &split.anchor[..], errno))?;
    let mut current = split.anchor.clone();
    for name in split.components() {
        current = gopath::join(&[&current, name]);
        dir = make_one(&dir, name, mode)
            .map_err(|errno| Error::path("mkdir", &current[..], errno))?;
    }
    Ok(dir)
}

/// Opens a directory, or makes it first; another caller may make or remove it meanwhile.
fn make_one(parent: impl AsFd, name: &[u8], mode: u32) -> Sys<OwnedFd> {
    const TRIES: usize = 100;
    let mut last = sys::ENOENT;
    for _ in 0..TRIES {
        match sys::openat(parent.as_fd(), name, DIRECTORY, 0) {
            Ok(dir) => return Ok(dir),
            Err(sys::ENOTDIR | sys::ELOOP) => return Err(sys::ENOTDIR),
            Err(_) => {}
        }
        match sys::mkdirat(parent.as_fd(), name, mode) {
            Ok(()) | Err(sys::EEXIST) => last = sys::ENOENT,
            Err(errno) => return Err(errno),
        }
    }
    Err(last)
}

/// Go's `os.MkdirAll` of the pod's directory itself, links followed.
fn make_anchor(path: &[u8], mode: u32) -> Result<()> {
    match sys::stat(path) {
        Ok(stat) if stat.kind == sys::Kind::Directory => return Ok(()),
        Ok(_) => return Err(Error::path("mkdir", path, sys::ENOTDIR)),
        Err(_) => {}
    }
    let parent = gopath::dir(path);
    if parent != path && parent != b"." {
        make_anchor(&parent, mode)?;
    }
    match sys::mkdir(path, mode) {
        Ok(()) => Ok(()),
        Err(_) if sys::lstat(path).is_ok_and(|s| s.kind == sys::Kind::Directory) => Ok(()),
        Err(errno) => Err(Error::path("mkdir", path, errno)),
    }
}

/// A path that becomes too long halfway is refused before anything is made.
fn refuse_too_long(split: &Split) -> Result<()> {
    let mut current = split.anchor.clone();
    for name in split.components() {
        current = gopath::join(&[&current, name]);
        if current.len() >= sys::PATH_MAX || name.len() > sys::NAME_MAX {
            return Err(Error::path("mkdir", current, sys::ENAMETOOLONG));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pod_dir: &str, path: &str) -> (String, String) {
        let split = Split::of(pod_dir.as_bytes(), path.as_bytes());
        (String::from_utf8(split.anchor).unwrap(), String::from_utf8(split.below).unwrap())
    }

    #[test]
    fn trust_ends_at_the_pods_directory() {
        let same = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            split("/pods/u/", "/pods/u/volume-subpaths/v"),
            same("/pods/u", "volume-subpaths/v")
        );
        assert_eq!(split("/pods/u", "/pods/u"), same("/pods/u", ""));
        assert_eq!(split("/pods/u", "/pods/x/c"), same("/pods", "x/c"));
        assert_eq!(split("/pods/u", "/pods"), same("/pods", ""));
        assert_eq!(split("/pods/u", "/x"), same("/", "x"));
        assert_eq!(split("", "volume-subpaths/v"), same(".", "volume-subpaths/v"));
        assert_eq!(split("pods", "/abs"), same("/abs", ""));
    }
}
