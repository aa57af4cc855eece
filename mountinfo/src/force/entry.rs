//! What a clean-up by path is about: an entry of an open directory, and what is mounted on it. Found
//! and removed in bounded time, since the way there may lead through a server that hangs.

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
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: Vec<u8>,
    pub(super) id: EntryId,
    /// What was topmost on it when it was looked at.
    pub(super) mounted: Option<MountId>,
    /// Whether there is such an entry in the directory.
    pub(super) exists: bool,
    /// Whether the path names it by a symlink, or by no name of its own (`..`).
    pub(super) indirect: bool,
}

/// Tells an entry from every other: its directory, and its name in there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId {
    dir: FileId,
    name: Vec<u8>,
}

/// A path means the same only to threads with the same root and working directory and the same user,
/// and what it is opened to only to those with the same descriptor table.
type PathKey = (Vec<u8>, PathOrigin, u32, Option<i32>);

static FINDING: Workers<PathKey, Sys<Entry>> = Workers::new();
static LOOKING: Workers<EntryId, Sys<Option<MountId>>> = Workers::new();
static REMOVING: Workers<EntryId, Sys<()>> = Workers::new();
static REMOVING_PATHS: Workers<PathKey, Sys<()>> = Workers::new();

/// Finds the entry that a path names, links followed, and what is mounted on it.
pub(super) fn find(path: &[u8], timeout: Duration) -> Result<Sys<Entry>> {
    let wanted = go_path::without_trailing_slashes(path).to_vec();
    let key = match path_key(&wanted) {
        Ok(key) => key,
        Err(errno) => return Ok(Err(errno)),
    };
    FINDING
        .run_anew(&key, timeout, move |caller| find_now(caller, &wanted))
        .map_err(|undone| undone.into_error("unmount", path))
}

/// Finds the entry at a place, by its directory where the caller has that open.
pub(super) fn find_at(at: Place<'_>, timeout: Duration) -> Result<Sys<Entry>> {
    let Some(dir) = at.dir else { return find(at.path, timeout) };
    let entry = dir
        .try_clone_to_owned()
        .map_err(|error| error.raw_os_error().unwrap_or(sys::EINVAL))
        .and_then(|dir| Entry::new(dir, at.name(), Ok(None), false));
    let mut entry = match entry {
        Ok(entry) => entry,
        Err(errno) => return Ok(Err(errno)),
    };
    Ok(entry.look_again(at.path, timeout)?.map(|()| entry))
}

fn path_key(path: &[u8]) -> Sys<PathKey> {
    Ok((path.to_vec(), sys::path_origin(path)?, sys::fs_user(), sys::own_table()?))
}

fn find_now(caller: &Caller<'_, Sys<Entry>>, path: &[u8]) -> Sys<Entry> {
    let Some(dir) = locate::parent_of(path)? else { return find_behind(caller, path) };
    let name = Place::at(path).name();
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

/// Finds what a symlink, or a path that ends in `..`, leads to. The kernel tells its path; that it is
/// the same mount still is seen by its number.
fn find_behind(caller: &Caller<'_, Sys<Entry>>, path: &[u8]) -> Sys<Entry> {
    caller.is_there()?;
    // While it is open the mount is busy.
    let (mount, real) = {
        let file = sys::open(path, OFlag::O_PATH)?;
        (sys::mount_id(&file)?, sys::real_path_of(file.as_fd())?)
    };
    // The kernel marks the path of a file that was deleted, also of one that is mounted.
    let unmarked = real.strip_suffix(b" (deleted)");
    let mut errno = sys::ENOENT;
    for real in [Some(&real[..]), unmarked].into_iter().flatten() {
        caller.is_there()?;
        let name = Place::at(real).name();
        if name.is_empty() {
            // umount2(2) of the root directory makes the whole file system read-only.
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
    /// `mounted` is what [`sys::mount_on`] told.
    fn new(dir: OwnedFd, name: &[u8], mounted: Sys<Option<MountId>>, indirect: bool) -> Sys<Entry> {
        let (mounted, exists) = match mounted {
            Err(sys::ENOENT) => (None, false),
            mounted => (mounted?, true),
        };
        let id = EntryId { dir: sys::file_id(&dir)?, name: name.to_vec() };
        Ok(Entry { dir: Arc::new(dir), name: name.to_vec(), id, mounted, exists, indirect })
    }

    /// Looks again what is mounted on it.
    pub(super) fn look_again(&mut self, path: &[u8], timeout: Duration) -> Result<Sys<()>> {
        let (dir, name) = (Arc::clone(&self.dir), self.name.clone());
        let looked = LOOKING
            .run_anew(&self.id, timeout, move |_| sys::mount_on(&*dir, &name))
            .map_err(|undone| undone.into_error("unmount", path))?;
        Ok(looked.map(|mounted| self.mounted = mounted))
    }

    /// Removes it, or the link by which `path` names it.
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
        removed.map_err(|undone| undone.into_error("remove", path))
    }
}
