//! Clean-up of a mount point in bounded time, by force if necessary (mount-utils' `CleanupMountWithForce`).
//!
//! umount2(2) may never return: it waits for a server on the way to the mount point, and for the server of
//! the mount to write back data. The kernel has no timeout for that. So each step runs on its own thread, and
//! the caller goes on without a thread that hangs.

mod entry;
mod unmount;

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use entry::Entry;
pub(crate) use entry::{PathKey, path_key};
use unmount::Outcome;

use crate::cleanup::{asked, skip};
use crate::error::{Error, Result};
use crate::internal::coroutine;
use crate::internal::paths::bytes_of;
use crate::internal::sys::{self, RawErrno, Sys};
use crate::internal::worker::Deadline;
use crate::kernel::KernelMounter;
use crate::mounter::{Mounter, Place, Source};
use crate::profile::Profile;
use crate::utab::{self, UtabTarget};
use crate::{log, wrap};

/// The shortest timeout. A shorter one, also zero, is raised to this, because force may lose data and a
/// healthy unmount may take that long on a busy machine.
pub const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);

/// The duration of a whole clean-up at most, in timeouts, however many mounts are stacked.
pub const MOST_TIMEOUTS: u32 = 10;

/// A [`Mounter`] that can unmount by force (mount-utils' `MounterForceUnmounter`).
pub trait ForceMounter: Mounter {
    /// Unmounts the topmost mount at a place, by force if that takes longer than `timeout`
    /// (`UnmountWithForce`).
    ///
    /// # Errors
    /// Those of the mounter. The kernel's returns ETIMEDOUT if force does not help either.
    fn unmount_with_force(&self, at: Place<'_>, timeout: Duration) -> Result<()>;
}

impl ForceMounter for KernelMounter {
    /// # Errors
    /// ETIMEDOUT if force does not help within another `timeout`; EBUSY if a process uses the mount and the
    /// server responds; EPERM without `CAP_SYS_ADMIN`.
    fn unmount_with_force(&self, at: Place<'_>, timeout: Duration) -> Result<()> {
        let budget = Budget::new(at.bytes(), timeout);
        let found = entry::find_at(at, budget.step()?)?;
        let mut entry = found.map_err(|errno| failed(at.bytes(), errno))?;
        match entry.mounted {
            Some(_) => {
                // Callers with an open directory unmount sub paths, which never need umount(8).
                let noted = at.dir().is_none().then(|| noted(&entry, at.bytes())).flatten();
                unmount_topmost(&mut entry, noted.as_ref(), at.bytes(), &budget)?;
            }
            None if !entry.exists => return Err(failed(at.bytes(), sys::ENOENT)),
            None => {}
        }
        unmount::wait_for_others(&entry.id, at.bytes(), budget.step()?)
    }
}

/// Unmounts everything at a path and removes the empty directory or file, in bounded time
/// (`CleanupMountWithForce`).
///
/// Use it instead of [`cleanup_mount_point`](crate::cleanup_mount_point) for volumes whose server may hang, such as NFS or FUSE.
///
/// A mount is unmounted by force (umount2(2) with `MNT_FORCE`) if the plain unmount takes longer than
/// `timeout`, or if it is busy and its server does not respond within `timeout`. Force aborts the pending
/// requests to the server, which may lose data; a warning is logged. A mount that is busy and whose server
/// responds is left mounted. With `extensive`, a caller's own mounter is asked by its exact check whether the
/// path is a mount point, else by its cheap one; the kernel's mounter ignores it.
///
/// # Time
/// With the kernel's mounter, no step takes longer than `timeout`, no mount longer than three timeouts, and
/// the whole no longer than [`MOST_TIMEOUTS`] timeouts. The root directory is assumed to respond. A timeout
/// below [`SHORTEST_TIMEOUT`] is raised to it.
///
/// Calls for the same mount share a thread, each with its own timeout. Once one of them has timed out, later
/// ones fail at once until the system call returns. A thread that hangs makes no further system call, so it
/// does not touch what is mounted there later. (If it hangs on the way to the directory, it may still
/// remove that.) [`crate::state`] counts such threads. If the process is killed, it cannot end before
/// their system calls return.
///
/// A mount with an entry in /run/mount/utab is unmounted by umount(8) first, as [`cleanup_mount_point`](crate::cleanup_mount_point) does.
/// umount(8) has half of the timeout and is then killed.
///
/// # Result
/// Success means that umount2(2) has returned. The file system has then written back its data, unless it is
/// still mounted in another mount namespace or has an open file.
///
/// A server counts as responding if the kernel answers for it: FUSE without `allow_other` refuses all other
/// users, also root, at once (EACCES), even if the server hangs. Such a mount stays busy until the processes
/// end that wait for the server.
///
/// # Errors
/// - Those of [`cleanup_mount_point`](crate::cleanup_mount_point).
/// - ETIMEDOUT if force did not help, or while an earlier unmount of the same mount still hangs.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use subpath_mountinfo::{KernelMounter, Profile, cleanup_mount_with_force};
/// let path = std::env::temp_dir().join(format!("force-example-{}", std::process::id()));
/// std::fs::create_dir(&path)?;
/// let timeout = Duration::from_secs(10);
/// cleanup_mount_with_force(&KernelMounter, &path, true, timeout, Profile::default())?;
/// assert!(!path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cleanup_mount_with_force<M: ForceMounter + ?Sized>(
    mounter: &M,
    path: impl AsRef<Path>,
    extensive: bool,
    timeout: Duration,
    profile: Profile,
) -> Result<()> {
    let path = bytes_of(&path);
    if !mounter.is_kernel() {
        let (mounter, at) = (&Forcing { mounter, timeout }, Place::at_bytes(path));
        return coroutine::run(asked::clean_up(mounter, at, extensive, profile));
    }
    let budget = Budget::new(path, timeout);
    let mut entry = match entry::find(path, budget.step()?)? {
        Ok(entry) => entry,
        Err(sys::ENOENT) => return skip(path, profile),
        Err(errno) => return Err(failed(path, errno)),
    };
    let noted = noted(&entry, path);
    // Each turn unmounts at least one mount, or is the last one.
    loop {
        while entry.mounted.is_some() {
            unmount_topmost(&mut entry, noted.as_ref(), path, &budget)?;
            log!(DEBUG, target = path, "Unmounted %s", path);
        }
        unmount::wait_for_others(&entry.id, path, budget.step()?)?;
        if !entry.exists {
            return skip(path, profile);
        }
        let removed = remove(&entry, path, &budget)?;
        if removed == Err(sys::EBUSY) {
            look_again(&mut entry, path, &budget)?;
        }
        if entry.mounted.is_none() {
            noted.inspect(|noted| noted.warn_of_rest(path));
            return removed.map_err(|errno| Error::of_call("remove", path, errno));
        }
    }
}

/// Returns the mount point if something is mounted there that has an entry in mount(8)'s table.
fn noted(entry: &Entry, path: &[u8]) -> Option<UtabTarget> {
    entry.mounted?;
    UtabTarget::find_in(entry.dir.as_fd(), &entry.name, path).unwrap_or_else(|errno| {
        utab::warn_unread(path, errno);
        None
    })
}

/// Unmounts the topmost mount at an entry, and updates what is mounted there.
fn unmount_topmost(
    entry: &mut Entry,
    noted: Option<&UtabTarget>,
    path: &[u8],
    budget: &Budget<'_>,
) -> Result<()> {
    let Some(mount) = entry.mounted else { return Ok(()) };
    let outcome = unmount::unmount(entry, mount, noted, path, budget.whole_step()?)?;
    look_again(entry, path, budget)?;
    match outcome {
        Outcome::NotMounted(why) if entry.mounted == Some(mount) => Err(still_there(path, why)),
        _ => Ok(()),
    }
}

/// Updates what is mounted at an entry. It is no error if the entry no longer exists.
fn look_again(entry: &mut Entry, path: &[u8], budget: &Budget<'_>) -> Result<()> {
    match entry.look_again(path, budget.step()?)? {
        Err(sys::ENOENT) => {
            entry.mounted = None;
            Ok(())
        }
        looked => looked.map_err(|errno| failed(path, errno)),
    }
}

/// Removes the entry. It is no error if the entry no longer exists.
fn remove(entry: &Entry, path: &[u8], budget: &Budget<'_>) -> Result<Sys<()>> {
    log!(DEBUG, target = path, "Deleting path %q", path);
    let removed = entry.remove(path, budget.step()?)?;
    if removed == Err(sys::ENOENT) {
        log!(DEBUG, target = path, "%q does not exist", path);
        return Ok(Ok(()));
    }
    Ok(removed)
}

/// The error for a mount that is still there although umount2(2) reported that it is none.
fn still_there(path: &[u8], why: Option<RawErrno>) -> Error {
    let errno = why.unwrap_or(sys::EBUSY);
    let what: &[u8] = match errno {
        sys::EINVAL => b": it is locked in this mount namespace (mount_namespaces(7)): ",
        _ => b": ",
    };
    wrap!("unmount %s%s%w", path, what, Error::from_errno(errno))
}

fn failed(path: &[u8], errno: RawErrno) -> Error {
    Error::of_call("unmount", path, errno)
}

/// The remaining time of a clean-up.
struct Budget<'p> {
    path: &'p [u8],
    step: Duration,
    deadline: Option<Deadline>,
}

impl<'p> Budget<'p> {
    fn new(path: &'p [u8], timeout: Duration) -> Self {
        let step = timeout.max(SHORTEST_TIMEOUT);
        let whole = step.checked_mul(MOST_TIMEOUTS);
        Budget { path, step, deadline: whole.map(Deadline::after) }
    }

    /// Returns the timeout of the next step; ETIMEDOUT if no time is left.
    fn step(&self) -> Result<Duration> {
        match self.deadline.map_or(self.step, |deadline| deadline.left().min(self.step)) {
            Duration::ZERO => Err(failed(self.path, sys::ETIMEDOUT)),
            left => Ok(left),
        }
    }

    /// Returns the timeout of a step after which force is used; ETIMEDOUT if there is not enough time left
    /// for a full one.
    fn whole_step(&self) -> Result<Duration> {
        let left = self.step()?;
        if left < self.step { Err(failed(self.path, sys::ETIMEDOUT)) } else { Ok(left) }
    }
}

/// A mounter that unmounts by [`ForceMounter::unmount_with_force`] whatever it is asked to unmount.
struct Forcing<'m, M: ?Sized> {
    mounter: &'m M,
    timeout: Duration,
}

impl<M: ForceMounter + ?Sized> coroutine::AsyncMounter for Forcing<'_, M> {
    async fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        self.mounter.is_mount_point(at)
    }
    async fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        self.mounter.is_likely_not_mount_point(at)
    }
    async fn can_safely_skip_mount_point_check(&self) -> bool {
        self.mounter.can_safely_skip_mount_point_check()
    }
    async fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        self.mounter.bind(source, at)
    }
    async fn unmount(&self, at: Place<'_>) -> Result<()> {
        self.mounter.unmount_with_force(at, self.timeout)
    }
    async fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        self.mounter.unmount_lazily(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeMounter;
    use crate::mounter::MountPoint;
    use std::sync::Mutex;

    const LONG: Duration = Duration::from_secs(60);

    /// Records what it is asked to unmount by force, and the timeout.
    #[derive(Default)]
    struct Recorder(FakeMounter, Mutex<Vec<(Vec<u8>, Duration)>>);

    impl Mounter for Recorder {
        fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
            self.0.is_mount_point(at)
        }
        fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
            self.0.bind(source, at)
        }
        fn unmount(&self, at: Place<'_>) -> Result<()> {
            Err(Error::at_path("unmount without force", at.bytes(), sys::EBUSY))
        }
        fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
            self.unmount(at)
        }
        fn list(&self) -> Result<Vec<MountPoint>> {
            self.0.list()
        }
    }

    impl ForceMounter for Recorder {
        fn unmount_with_force(&self, at: Place<'_>, timeout: Duration) -> Result<()> {
            self.1.lock().unwrap().push((at.bytes().to_vec(), timeout));
            self.0.unmount(at)
        }
    }

    #[test]
    fn another_mounter_is_asked_to_force_and_nothing_else() {
        let dir = std::env::temp_dir().canonicalize().unwrap();
        let dir = dir.join(format!("mountinfo-force-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let mounter = Recorder(FakeMounter::with_mounts([&dir]), Mutex::default());
        for extensive in [true, false] {
            cleanup_mount_with_force(&mounter, &dir, extensive, LONG, Profile::V137).unwrap();
            assert!(!dir.exists());
        }
        assert_eq!(*mounter.1.lock().unwrap(), [(bytes_of(&dir).to_vec(), LONG)]);
    }
}
