//! The target of a bind mount: whether something is mounted there already, and the directory or
//! file that is made for it (`prepareSubpathTarget`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{AT_FDCWD, OFlag};
use subpath_mountinfo::cleanup::{is_corrupted_errno, is_corrupted_mount};
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::sys::{self, CachedStat, Kind, Stat, Sys};
use subpath_mountinfo::mounter::AsyncMounter;
use subpath_mountinfo::{Error, Place, Profile, Result, log, text};

use crate::pod_dir::{self, PodDir};
use crate::request::Subpath;

/// Mode of the directories that are made below the pod's.
const DIRECTORY_MODE: u32 = 0o750;
/// Mode of the file that is made as target of anything but a directory.
const FILE_MODE: u32 = 0o640;
/// How often a target is made anew when a concurrent clean-up takes its directory away.
const TRIES: usize = 100;
/// How many stale mounts are taken from one target.
const MOST_LAYERS: usize = 100_000;
/// How often in succession unmounting may find nothing although something was mounted just before:
/// another process was faster each time. A mount that stays is locked (mount_namespaces(7)).
const MOST_FRUITLESS: usize = 3;

/// Where the facts about the source come from.
#[derive(Clone, Copy)]
pub(crate) enum SourceFile<'a> {
    /// The open descriptor that will be bound, and what fstat(2) told of it if it was asked.
    Open(&'a OwnedFd, Option<Stat>),
    /// The sub path's path, for a caller that has opened nothing.
    Path(&'a [u8]),
}

impl SourceFile<'_> {
    fn stat(&self) -> Result<Stat> {
        match self {
            SourceFile::Open(_, Some(stat)) => Ok(*stat),
            SourceFile::Open(fd, None) => sys::fstat(fd).map_err(Error::from_errno),
            SourceFile::Path(path) => {
                sys::lstat(path).map_err(|errno| Error::path("lstat", *path, errno))
            }
        }
    }

    /// Whether the source answers when its server is asked anew.
    fn ask(&self) -> Sys<()> {
        match self {
            SourceFile::Open(fd, _) => sys::server_answers(fd, b"", false),
            SourceFile::Path(path) => sys::server_answers(AT_FDCWD, path, false),
        }
    }
}

/// A target that is ready.
pub(crate) struct Target {
    /// Its path.
    pub(crate) path: Vec<u8>,
    /// The directory that holds it; `None` when the sub path is mounted on it already.
    pub(crate) parent: Option<OwnedFd>,
}

/// Finds out whether the sub path is mounted already, takes a stale mount away, and makes the
/// target.
pub(crate) async fn prepare<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    source: SourceFile<'_>,
    profile: Profile,
) -> Result<Target> {
    let path = subpath.target();
    let container_dir = go_path::dir(&path);
    let already_mounted = |path| {
        log!(TRACE, "Skipping bind-mounting subpath ", path, ": already mounted");
        Ok(Target { path, parent: None })
    };
    if !mounter.is_kernel() && is_mounted(mounter, subpath, &path, &source, profile).await? {
        return already_mounted(path);
    }

    let mut last = None;
    for _ in 0..TRIES {
        let existing = if mounter.is_kernel() {
            open_existing(subpath, &container_dir, &path)?
        } else {
            // It exists by now for every sub path but a container's first; what else is wrong shows when
            // it is made.
            PodDir::new(&subpath.pod_dir).open_dir(&container_dir).ok()
        };
        if let (Some(dir), true) = (&existing, mounter.is_kernel()) {
            let at = Place::beneath(dir.as_fd(), &path);
            if is_mounted_in_kernel(mounter, subpath, at, &source, profile).await? {
                return already_mounted(path);
            }
        }
        let parent = match existing {
            Some(dir) => Some(dir),
            None => match pod_dir::make_all(&subpath.pod_dir, &container_dir, DIRECTORY_MODE) {
                Ok(dir) => Some(dir),
                // A dangling link in the pod's own path: the original lets it pass here (os.IsExist)
                // and fails at the target.
                Err(error) if error.is_exist() => None,
                Err(error) => {
                    let prefix = text!("error creating directory ", container_dir, ": ");
                    let failed = Error::flatten(prefix, &error);
                    if error.errno() != Some(sys::ENOENT) {
                        return Err(failed);
                    }
                    // A clean-up removed a level after it was opened.
                    last = Some(failed);
                    continue;
                }
            },
        };
        let stat = source
            .stat()
            .map_err(|error| Error::flatten(text!("lstat ", subpath.path, " failed: "), &error))?;
        let Some(parent) = parent else {
            let opened = sys::open(&container_dir, OFlag::O_PATH | OFlag::O_DIRECTORY);
            return Err(cannot_make(stat.kind, &path, opened.err().unwrap_or(sys::ENOENT)));
        };
        let at = Place::beneath(parent.as_fd(), &path);
        let made = match stat.kind {
            Kind::Directory => make_directory(at, mounter.is_kernel()),
            _ => make_file(at, mounter.is_kernel()),
        };
        match made {
            // Another process was faster: what it mounted has to be looked at.
            Ok(Made::Found) if mounter.is_kernel() && is_mount_point(mounter, at).await? => {
                last = Some(cannot_make(stat.kind, &path, sys::EBUSY));
            }
            Ok(_) => return Ok(Target { path, parent: Some(parent) }),
            // The directory was removed after it was opened. For a moment more it can be opened, until
            // rmdir(2) is done: mkdirat(2) waits for that, so that the tries are not spent on it.
            Err(error) if error.errno() == Some(sys::ENOENT) => {
                let _shown_by_the_next_try =
                    pod_dir::make_all(&subpath.pod_dir, &container_dir, DIRECTORY_MODE);
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::path("mkdir", path, sys::ENOENT)))
}

/// Opens the directory that holds the target, if it exists. What stands in its way shows when it is
/// made.
fn open_existing(subpath: &Subpath, container_dir: &[u8], path: &[u8]) -> Result<Option<OwnedFd>> {
    match PodDir::new(&subpath.pod_dir).open_dir(container_dir) {
        Ok(dir) => Ok(Some(dir)),
        Err(sys::ENOENT | sys::ENOTDIR | sys::ELOOP | sys::ENAMETOOLONG | sys::EINVAL) => Ok(None),
        Err(errno) => {
            let cause = Error::path("open", container_dir, errno);
            Err(Error::wrap(text!("error checking path ", path, " for mount: "), cause))
        }
    }
}

/// Whether a target is new, or was found.
enum Made {
    New,
    Found,
}

/// Asks the caller's mounter, as the original does.
async fn is_mounted<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    path: &[u8],
    source: &SourceFile<'_>,
    profile: Profile,
) -> Result<bool> {
    let at = Place::at(path);
    let mounted = match mounter.is_mount_point(at).await {
        Ok(mounted) => mounted,
        Err(error) if error.is_not_exist() => false,
        Err(error) if profile.recovers_corrupted() && is_corrupted_mount(&error) => {
            log_corrupted(path, &error);
            mounter.unmount(at).await.map_err(|error| cannot_unmount_corrupted(path, error))?;
            false
        }
        Err(error) => {
            let prefix = text!("error checking path ", path, " for mount: ");
            return Err(match profile.wraps_errors() {
                true => Error::wrap(prefix, error),
                false => Error::flatten(prefix, &error),
            });
        }
    };
    if !mounted {
        return Ok(false);
    }
    let same = same_file(subpath, path, source).map_err(|error| {
        Error::flatten(text!("error checking subpath mount info for ", path, ": "), &error)
    })?;
    if !same {
        unmount_stale(mounter, at, profile).await?;
    }
    Ok(same)
}

/// Asks the kernel, by descriptor and without waiting for the mounted file system; every stale
/// layer is taken away.
async fn is_mounted_in_kernel<M: AsyncMounter>(
    mounter: &M,
    subpath: &Subpath,
    at: Place<'_>,
    source: &SourceFile<'_>,
    profile: Profile,
) -> Result<bool> {
    let dir = at.dir.ok_or_else(|| Error::path("statx", at.path, sys::EINVAL))?;
    let stat = source
        .stat()
        .map_err(|error| Error::flatten(text!("stat ", subpath.path, " failed: "), &error))?;
    let mut fruitless = 0;
    // Each turn takes a layer away; those that take none are counted.
    for _ in 0..MOST_LAYERS {
        // An answer of the mounted file system, were one awaited, might never come; whatever it
        // is, a mount that cannot even be looked at is not the one that is wanted.
        let quick = sys::cached_stat_at(dir, at.name());
        let mounted = match quick {
            Ok(CachedStat { mount_root: Some(mounted), .. }) => mounted,
            Err(sys::ENOENT) => false,
            _ => is_mount_point(mounter, at).await?,
        };
        if !mounted {
            return Ok(false);
        }
        let unmounted = if quick.is_ok_and(|quick| quick.stat.same_file(&stat)) {
            let Some(error) = gone_bad(dir, at, source)? else { return Ok(true) };
            unmount_bad(mounter, at, &error).await
        } else {
            unmount_stale(mounter, at, profile).await
        };
        match unmounted {
            Ok(()) => fruitless = 0,
            // A clean-up was faster.
            Err(error) if matches!(error.errno(), Some(sys::ENOENT | sys::EINVAL)) => {
                fruitless += 1;
                if fruitless == MOST_FRUITLESS {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(cannot_make(stat.kind, at.path, sys::EBUSY))
}

/// Whether something is mounted on a target that may have been removed meanwhile.
async fn is_mount_point<M: AsyncMounter>(mounter: &M, at: Place<'_>) -> Result<bool> {
    match mounter.is_mount_point(at).await {
        Err(error) if error.is_not_exist() => Ok(false),
        Err(error) => {
            let prefix = text!("error checking path ", at.path, " for mount: ");
            Err(Error::wrap(prefix, error))
        }
        mounted => mounted,
    }
}

/// Why what is mounted on the target, and was the source once, is of no use any more: its server has
/// put another file into its place, under the number that the kernel remembers.
///
/// The server is asked and waited for. It has just answered for the source.
fn gone_bad(dir: BorrowedFd<'_>, at: Place<'_>, source: &SourceFile<'_>) -> Result<Option<Error>> {
    let Err(errno) = sys::server_answers(dir, at.name(), false) else { return Ok(None) };
    let error = Error::path("statx", at.path, errno);
    // ENOENT is what servers that go by path say of a file that is gone.
    if !is_corrupted_errno(errno) && errno != sys::ENOENT {
        let prefix = text!("error checking path ", at.path, " for mount: ");
        return Err(Error::wrap(prefix, error));
    }
    // Where the source is no better another bind would not be either.
    Ok((source.ask() != Err(errno)).then_some(error))
}

/// Detaches what [`gone_bad`] tells of, whoever uses it.
async fn unmount_bad<M: AsyncMounter>(mounter: &M, at: Place<'_>, why: &Error) -> Result<()> {
    log_corrupted(at.path, why);
    let unmounted = mounter.unmount_lazily(at).await;
    unmounted.map_err(|error| cannot_unmount_corrupted(at.path, error))
}

fn log_corrupted(path: &[u8], why: &Error) {
    log!(WARN, "Detected corrupted mount at ", path, " (error: ", why.text_v(), "), unmounting");
}

fn cannot_unmount_corrupted(path: &[u8], cause: Error) -> Error {
    Error::wrap(text!("error unmounting corrupted mount ", path, ": "), cause)
}

/// Unmounts something else that lies on the target.
async fn unmount_stale<M: AsyncMounter>(
    mounter: &M,
    at: Place<'_>,
    profile: Profile,
) -> Result<()> {
    if profile.detaches_stale() {
        log!(
            DEBUG,
            "Subpath bind mount at ",
            at.path,
            " points to a different inode/device than source, will lazy-unmount and recreate"
        );
        return mounter.unmount_lazily(at).await.map_err(|error| {
            Error::wrap(text!("error lazy-unmounting stale subpath mount ", at.path, ": "), error)
        });
    }
    let unmounted = if mounter.is_kernel() {
        mounter.unmount_lazily(at).await
    } else {
        mounter.unmount(at).await
    };
    unmounted.map_err(|error| Error::flatten(text!("error ummounting ", at.path, ": "), &error))
}

/// Whether the source is what is mounted on the target (`checkSubPathFileEqual`).
fn same_file(subpath: &Subpath, path: &[u8], source: &SourceFile<'_>) -> Result<bool> {
    let source = source
        .stat()
        .map_err(|error| Error::flatten(text!("stat ", subpath.path, " failed: "), &error))?;
    let target = match sys::refused(path) {
        Some(errno) => Err(errno),
        None => PodDir::new(&subpath.pod_dir)
            .locate(path)
            .and_then(|at| sys::lstat_at(at.dir(), at.name())),
    }
    .map_err(|errno| {
        let cause = Error::path("lstat", path, errno);
        Error::flatten(text!("lstat ", path, " failed: "), &cause)
    })?;
    Ok(source.same_file(&target))
}

fn cannot_make(source: Kind, path: &[u8], errno: i32) -> Error {
    let (what, op) = match source {
        Kind::Directory => ("directory ", "mkdir"),
        _ => ("file ", "open"),
    };
    Error::flatten(text!("error creating ", what, path, ": "), &Error::path(op, path, errno))
}

/// Makes the target of a directory. One that exists is kept; a symlink is replaced, and with the
/// kernel's mounter so is a file that was left behind.
fn make_directory(at: Place<'_>, replace: bool) -> Result<Made> {
    let dir = at.dir.ok_or_else(|| Error::path("mkdir", at.path, sys::EINVAL))?;
    let fail = |errno| cannot_make(Kind::Directory, at.path, errno);
    for _ in 0..TRIES {
        match sys::mkdirat(dir, at.name(), DIRECTORY_MODE) {
            Ok(()) => return Ok(Made::New),
            Err(sys::EEXIST) => match kind_of(dir, at.name()) {
                Ok(Kind::Directory) => return Ok(Made::Found),
                Ok(Kind::Symlink) => unlink(dir, at.name()).map_err(fail)?,
                Ok(_) if replace => unlink(dir, at.name()).map_err(fail)?,
                Ok(_) => return Ok(Made::Found),
                Err(sys::ENOENT) => {}
                Err(errno) => return Err(fail(errno)),
            },
            Err(errno) => return Err(fail(errno)),
        }
    }
    Err(fail(sys::EEXIST))
}

/// Makes the target of a file, socket, device or FIFO: an empty file serves them all.
///
/// What was left behind is emptied, as the original's os.WriteFile empties it, but only if it is a
/// file on which nothing is mounted: a caller that was faster may have bound the user's file there.
fn make_file(at: Place<'_>, replace: bool) -> Result<Made> {
    let dir = at.dir.ok_or_else(|| Error::path("open", at.path, sys::EINVAL))?;
    let fail = |errno| cannot_make(Kind::File, at.path, errno);
    let new = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    for _ in 0..TRIES {
        let made = match sys::make_file(dir, at.name(), FILE_MODE) {
            Err(errno) if errno != sys::EEXIST => {
                // A sandbox or a server may know only how to create files.
                sys::openat(dir, at.name(), new, FILE_MODE).map(drop)
            }
            made => made,
        };
        match made {
            Ok(()) => return Ok(Made::New),
            Err(sys::EEXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        match kind_of(dir, at.name()) {
            Ok(Kind::File | Kind::Device) => {
                return empty_leftover(dir, at.name()).map(|()| Made::Found).map_err(fail);
            }
            // Good enough to be mounted on; the original would wait for a reader for ever.
            Ok(Kind::Fifo) => return Ok(Made::Found),
            Ok(Kind::Socket) => return Err(fail(sys::ENXIO)),
            Ok(Kind::Symlink) => unlink(dir, at.name()).map_err(fail)?,
            Ok(Kind::Directory) if replace => match sys::rmdir_at(dir, at.name()) {
                Ok(()) | Err(sys::ENOENT) => {}
                // As the original's open of a directory answers.
                Err(_) => return Err(fail(sys::EISDIR)),
            },
            Ok(Kind::Directory) => return Err(fail(sys::EISDIR)),
            Err(sys::ENOENT) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
    Err(fail(sys::EEXIST))
}

/// The kind of an entry, or of what another process has mounted on it meanwhile, which is not
/// waited for.
fn kind_of(dir: impl AsFd, name: &[u8]) -> Sys<Kind> {
    sys::cached_stat_at(dir, name).map(|quick| quick.stat.kind)
}

fn empty_leftover(dir: impl AsFd, name: &[u8]) -> Sys<()> {
    if sys::mount_root_at(dir.as_fd(), name)? == Some(true) {
        return Ok(());
    }
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = sys::openat(dir.as_fd(), name, flags, 0)?;
    let quick = sys::cached_stat_fd(&file)?;
    if quick.stat.size == 0 || quick.stat.kind != Kind::File {
        return Ok(());
    }
    let mounted = match quick.mount_root {
        Some(mounted) => mounted,
        None => sys::mount_id(&file)? != sys::mount_id(dir)?,
    };
    if mounted { Ok(()) } else { sys::truncate(&file) }
}

fn unlink(dir: impl AsFd, name: &[u8]) -> Sys<()> {
    match sys::unlink_at(dir, name) {
        Err(sys::ENOENT) => Ok(()),
        other => other,
    }
}
