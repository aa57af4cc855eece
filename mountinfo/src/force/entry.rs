//! [`Entry`]: what is cleaned up, as an entry of an open directory, and the mount on it. It is found and
//! removed in bounded time, since a server on the way may hang.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, OFlag};

use crate::error::Result;
use crate::internal::go_path;
use crate::internal::sys::{self, FileId, MountId, PathOrigin, Sys};
use crate::internal::worker::{Caller, Workers};
use crate::locate;
use crate::mounter::Place;

/// An entry of an open directory.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: Vec<u8>,
    pub(super) id: EntryId,
    /// The topmost mount on it when it was last looked at.
    pub(super) mounted: Option<MountId>,
    /// Whether the directory has such an entry.
    pub(super) exists: bool,
    /// Whether the path leads to it by a symbolic link, or does not end in a name (`..`).
    pub(super) indirect: bool,
}

/// The identity of an entry: its directory, and its name in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId {
    dir: FileId,
    name: Vec<u8>,
}

/// A path and all that its meaning depends on: where it starts, the user who looks it up, and the descriptor
/// table in which it is opened.
pub(crate) type PathKey = (Vec<u8>, PathOrigin, u32, Option<i32>);

static FINDING: Workers<PathKey, Sys<Entry>> = Workers::new();
static LOOKING: Workers<EntryId, Sys<Option<MountId>>> = Workers::new();
static REMOVING: Workers<EntryId, Sys<()>> = Workers::new();
static REMOVING_PATHS: Workers<PathKey, Sys<()>> = Workers::new();

/// Finds the entry that a path names and the mount on it. Symbolic links are followed.
pub(super) fn find(path: &[u8], timeout: Duration) -> Result<Sys<Entry>> {
    let wanted = go_path::without_trailing_slashes(path).to_vec();
    let key = match path_key(&wanted) {
        Ok(key) => key,
        Err(errno) => return Ok(Err(errno)),
    };
    FINDING
        .run_anew(&key, timeout, move |caller| find_now(caller, &wanted))
        .map_err(|unanswered| unanswered.into_error("unmount", path))
}

/// Finds the entry at a place: by the open directory if the caller has it, else by the path.
pub(super) fn find_at(at: Place<'_>, timeout: Duration) -> Result<Sys<Entry>> {
    let Some(dir) = at.dir() else { return find(at.bytes(), timeout) };
    let entry = dir
        .try_clone_to_owned()
        .map_err(|error| error.raw_os_error().unwrap_or(sys::EINVAL))
        .and_then(|dir| Entry::new(dir, at.name_bytes(), Ok(None), false));
    let mut entry = match entry {
        Ok(entry) => entry,
        Err(errno) => return Ok(Err(errno)),
    };
    Ok(entry.look_again(at.bytes(), timeout)?.map(|()| entry))
}

pub(crate) fn path_key(path: &[u8]) -> Sys<PathKey> {
    Ok((path.to_vec(), sys::path_origin(path)?, sys::fs_user(), sys::own_table()?))
}

fn find_now(caller: &Caller<'_, Sys<Entry>>, path: &[u8]) -> Sys<Entry> {
    let Some(dir) = locate::parent_of(path)? else { return find_behind(caller, path) };
    let name = Place::at_bytes(path).name_bytes();
    caller.is_there()?;
    match sys::is_symlink_at(&dir, name) {
        Ok(true) => find_behind(caller, path),
        Ok(false) => {
            caller.is_there()?;
            let mounted = sys::mount_on(&dir, name);
            Entry::new(dir, name, mounted, false)
        }
        Err(errno) => Entry::new(dir, name, Err(errno), false),
    }
}

/// Finds the entry to which a symbolic link, or a path that ends in `..`, leads. /proc has its path; the ID
/// of the mount shows whether that path still leads to the same mount.
fn find_behind(caller: &Caller<'_, Sys<Entry>>, path: &[u8]) -> Sys<Entry> {
    caller.is_there()?;
    // The mount is busy while the file is open.
    let (mount, real) = {
        let file = sys::open(path, OFlag::O_PATH)?;
        (sys::mount_id(&file)?, sys::real_path_of(file.as_fd())?)
    };
    // The kernel appends " (deleted)" to the path of a deleted file, also if it is mounted.
    let unmarked = real.strip_suffix(b" (deleted)");
    let mut errno = sys::ENOENT;
    for real in [Some(&real[..]), unmarked].into_iter().flatten() {
        caller.is_there()?;
        let name = Place::at_bytes(real).name_bytes();
        if name.is_empty() {
            // umount2(2) of the root directory would remount the root file system read-only.
            return Err(sys::EBUSY);
        }
        let there = locate::directory_of(real).and_then(|dir| match dir {
            Some(dir) if sys::mount_id_at(&dir, name)? == mount => {
                let mounted = sys::mount_on(&dir, name);
                Entry::new(dir, name, mounted, true)
            }
            _ => Err(sys::ENOENT),
        });
        match there {
            Err(other) => errno = other,
            found => return found,
        }
    }
    Err(errno)
}

impl Entry {
    /// Makes an entry. `mounted` is the result of [`sys::mount_on`].
    fn new(dir: OwnedFd, name: &[u8], mounted: Sys<Option<MountId>>, indirect: bool) -> Sys<Entry> {
        let (mounted, exists) = match mounted {
            Err(sys::ENOENT) => (None, false),
            mounted => (mounted?, true),
        };
        let id = EntryId { dir: sys::file_id(&dir)?, name: name.to_vec() };
        Ok(Entry { dir: Arc::new(dir), name: name.to_vec(), id, mounted, exists, indirect })
    }

    /// Updates which mount is on the entry.
    pub(super) fn look_again(&mut self, path: &[u8], timeout: Duration) -> Result<Sys<()>> {
        let (dir, name) = (Arc::clone(&self.dir), self.name.clone());
        let looked = LOOKING
            .run_anew(&self.id, timeout, move |_| sys::mount_on(&*dir, &name))
            .map_err(|unanswered| unanswered.into_error("unmount", path))?;
        Ok(looked.map(|mounted| self.mounted = mounted))
    }

    /// Removes the entry, or the symbolic link by which `path` names it.
    pub(super) fn remove(&self, path: &[u8], timeout: Duration) -> Result<Sys<()>> {
        let removed = if self.indirect {
            let link = go_path::without_trailing_slashes(path).to_vec();
            match path_key(&link) {
                Ok(key) => {
                    REMOVING_PATHS.run_anew(&key, timeout, move |caller| {
                        match sys::unlink_at(AT_FDCWD, &link) {
                            Err(sys::EISDIR) => {
                                caller.is_there()?;
                                sys::rmdir_at(AT_FDCWD, &link)
                            }
                            answer => answer,
                        }
                    })
                }
                Err(errno) => return Ok(Err(errno)),
            }
        } else {
            let (dir, name) = (Arc::clone(&self.dir), self.name.clone());
            REMOVING.run_anew(&self.id, timeout, move |caller| match sys::rmdir_at(&*dir, &name) {
                Err(sys::ENOTDIR) => {
                    caller.is_there()?;
                    sys::unlink_at(&*dir, &name)
                }
                answer => answer,
            })
        };
        removed.map_err(|unanswered| unanswered.into_error("remove", path))
    }
}
