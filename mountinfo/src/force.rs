//! Clean-up of a mount point in bounded time (mount-utils' `CleanupMountWithForce`).
//!
//! umount2(2) can wait for ever: for a server on the way to the mount point, or for one that is to
//! take data back first. The kernel has no timeout for that. So every step is made on a thread of its
//! own, and a thread that does not come back is left behind; the caller goes on.

mod entry;
mod unmount;

use std::os::fd::AsFd;
use std::time::Duration;

use entry::Entry;
use unmount::Taken;

use crate::cleanup::{cleanup_mount_point, skip};
use crate::error::{Error, Result};
use crate::internal::go_text;
use crate::internal::sys::{self, RawErrno, Sys};
use crate::internal::worker::Deadline;
use crate::kernel::KernelMounter;
use crate::log;
use crate::mounter::{MountPoint, Mounter, Place, Source};
use crate::profile::Profile;
use crate::utab::{self, Noted};

/// The shortest timeout: a shorter one, zero too, counts as this. A healthy unmount may take as long
/// on a busy machine, and force may lose data.
pub const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);

/// How many timeouts a whole clean-up takes at most, however many mounts lie on each other.
pub const MOST_TIMEOUTS: u32 = 10;

/// A mounter that can also unmount by force (mount-utils' `MounterForceUnmounter`).
pub trait ForceMounter: Mounter {
    /// Unmounts what is topmost at the place; by force when that takes longer than `timeout`
    /// (`UnmountWithForce`).
    fn unmount_with_force(&self, at: Place<'_>, timeout: Duration) -> Result<()>;
}

impl ForceMounter for KernelMounter {
    /// # Errors
    /// ETIMEDOUT when the force does not help within `timeout` either; EBUSY while a process uses the
    /// mount and its server answers; EPERM without `CAP_SYS_ADMIN`.
    fn unmount_with_force(&self, at: Place<'_>, timeout: Duration) -> Result<()> {
        let budget = Budget::new(at.path, timeout);
        let found = entry::find_at(at, budget.step()?)?;
        let mut entry = found.map_err(|errno| failed(at.path, errno))?;
        match entry.mounted {
            Some(_) => {
                // What has an open directory is a sub path, which needs no program.
                let noted = at.dir.is_none().then(|| noted(&entry, at.path)).flatten();
                take_one_away(&mut entry, noted.as_ref(), at.path, &budget)?;
            }
            None if !entry.exists => return Err(failed(at.path, sys::ENOENT)),
            None => {}
        }
        unmount::wait_for_others(&entry.id, at.path, budget.step()?)
    }
}

/// Unmounts a path and removes what is left of it, in bounded time (`CleanupMountWithForce`).
///
/// A mount that is not unmounted within `timeout`, or that is busy and whose server does not answer
/// within it, is unmounted by force: requests to its server are aborted (umount2(2) with
/// `MNT_FORCE`), which may lose data, and a warning says so. A mount that is busy while its server
/// answers stays. Every mount that lies on the path is taken away so.
///
/// With the kernel's mounter no step takes longer than `timeout`, a mount no longer than three times
/// that, and the whole no longer than [`MOST_TIMEOUTS`] times; the root directory is taken to answer. A timeout shorter than [`SHORTEST_TIMEOUT`],
/// zero too, counts as that. Calls for the same mount wait for the same thread, each for its own
/// timeout; once that was too long for one of them, later ones fail at once until the kernel lets the
/// thread go. A thread that hangs in the kernel does no more than the call it hangs in: what is
/// mounted there later is not touched, and the directory stays, unless the call hangs on the way there,
/// in a directory whose server does not answer. [`crate::state`] counts them.
/// A process that is killed does not end before the kernel lets go of them.
///
/// What mount(8) noted in /run/mount/utab is unmounted by umount(8), as [`cleanup_mount_point`] does it;
/// it has half of the timeout, and is killed then.
///
/// Success means that umount2(2) has come back: what it took out of the tree has been written back,
/// unless another mount namespace or an open file keeps the file system.
///
/// A server is taken to answer when the kernel answers for it: FUSE without `allow_other` refuses
/// (EACCES) any other user, root too, at once, although the server hangs. Such a mount stays busy
/// until whoever waits for the server ends.
///
/// # Errors
/// Those of [`cleanup_mount_point`]; ETIMEDOUT when the force did not help, or while an earlier
/// unmount of what was mounted there has not come back.
pub fn cleanup_mount_with_force<M: ForceMounter + ?Sized>(
    mounter: &M,
    path: &[u8],
    extensive: bool,
    timeout: Duration,
    profile: Profile,
) -> Result<()> {
    if !mounter.is_kernel() {
        return cleanup_mount_point(&Forcing { mounter, timeout }, path, extensive, profile);
    }
    let budget = Budget::new(path, timeout);
    let mut entry = match entry::find(path, budget.step()?)? {
        Ok(entry) => entry,
        Err(sys::ENOENT) => return skip(path, profile),
        Err(errno) => return Err(failed(path, errno)),
    };
    let noted = noted(&entry, path);
    // Each turn takes at least one mount away.
    loop {
        while entry.mounted.is_some() {
            take_one_away(&mut entry, noted.as_ref(), path, &budget)?;
            log!(DEBUG, "Unmounted ", path);
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

/// The mount point, if something is mounted there of which mount(8) noted something.
fn noted(entry: &Entry, path: &[u8]) -> Option<Noted> {
    entry.mounted?;
    Noted::find_in(entry.dir.as_fd(), &entry.name, path).unwrap_or_else(|errno| {
        utab::warn_unread(path, errno);
        None
    })
}

/// Takes away what is topmost on an entry, which is a mount, and looks what is mounted there then.
fn take_one_away(
    entry: &mut Entry,
    noted: Option<&Noted>,
    path: &[u8],
    budget: &Budget<'_>,
) -> Result<()> {
    let Some(mount) = entry.mounted else { return Ok(()) };
    let taken = unmount::unmount(entry, mount, noted, path, budget.whole_step()?)?;
    look_again(entry, path, budget)?;
    match taken {
        Taken::NotThere(why) if entry.mounted == Some(mount) => Err(still_there(path, why)),
        _ => Ok(()),
    }
}

fn look_again(entry: &mut Entry, path: &[u8], budget: &Budget<'_>) -> Result<()> {
    match entry.look_again(path, budget.step()?)? {
        Err(sys::ENOENT) => {
            entry.mounted = None;
            Ok(())
        }
        looked => looked.map_err(|errno| failed(path, errno)),
    }
}

fn remove(entry: &Entry, path: &[u8], budget: &Budget<'_>) -> Result<Sys<()>> {
    log!(DEBUG, "Deleting path ", go_text::quote(path));
    let removed = entry.remove(path, budget.step()?)?;
    if removed == Err(sys::ENOENT) {
        log!(DEBUG, go_text::quote(path), " does not exist");
        return Ok(Ok(()));
    }
    Ok(removed)
}

/// The error of a mount of which umount2(2) says that it is none.
fn still_there(path: &[u8], why: Option<RawErrno>) -> Error {
    let errno = why.unwrap_or(sys::EBUSY);
    let what: &[u8] = match errno {
        sys::EINVAL => b": it is locked in this mount namespace (mount_namespaces(7)): ",
        _ => b": ",
    };
    Error::wrap(crate::text!("unmount ", path, what), Error::from_errno(errno))
}

fn failed(path: &[u8], errno: RawErrno) -> Error {
    Error::of_call("unmount", path, errno)
}

/// The time that is left for a clean-up.
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

    /// How long the next step may take.
    fn step(&self) -> Result<Duration> {
        match self.deadline.map_or(self.step, |deadline| deadline.left().min(self.step)) {
            Duration::ZERO => Err(failed(self.path, sys::ETIMEDOUT)),
            left => Ok(left),
        }
    }

    /// The time of a step that would be forced if it were shorter.
    fn whole_step(&self) -> Result<Duration> {
        let left = self.step()?;
        if left < self.step { Err(failed(self.path, sys::ETIMEDOUT)) } else { Ok(left) }
    }
}

/// A mounter whose every unmount is one with force.
struct Forcing<'m, M: ?Sized> {
    mounter: &'m M,
    timeout: Duration,
}

impl<M: ForceMounter + ?Sized> Mounter for Forcing<'_, M> {
    fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        self.mounter.is_mount_point(at)
    }

    fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        self.mounter.is_likely_not_mount_point(at)
    }

    fn can_safely_skip_mount_point_check(&self) -> bool {
        self.mounter.can_safely_skip_mount_point_check()
    }

    fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        self.mounter.bind(source, at)
    }

    fn unmount(&self, at: Place<'_>) -> Result<()> {
        self.mounter.unmount_with_force(at, self.timeout)
    }

    fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        self.mounter.unmount_lazily(at)
    }

    fn list(&self) -> Result<Vec<MountPoint>> {
        self.mounter.list()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeMounter;
    use std::sync::Mutex;

    const LONG: Duration = Duration::from_secs(60);

    /// Notes what it is asked to unmount by force, and how long it may take.
    #[derive(Default)]
    struct Noting(FakeMounter, Mutex<Vec<(Vec<u8>, Duration)>>);

    impl Mounter for Noting {
        fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
            self.0.is_mount_point(at)
        }
        fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
            self.0.bind(source, at)
        }
        fn unmount(&self, at: Place<'_>) -> Result<()> {
            Err(Error::path("unmount without force", at.path, sys::EBUSY))
        }
        fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
            self.unmount(at)
        }
        fn list(&self) -> Result<Vec<MountPoint>> {
            self.0.list()
        }
    }

    impl ForceMounter for Noting {
        fn unmount_with_force(&self, at: Place<'_>, timeout: Duration) -> Result<()> {
            self.1.lock().unwrap().push((at.path.to_vec(), timeout));
            self.0.unmount(at)
        }
    }

    #[test]
    fn another_mounter_is_asked_to_force_and_nothing_else() {
        let dir = std::env::temp_dir().canonicalize().unwrap();
        let dir = dir.join(format!("mountinfo-force-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.as_os_str().as_encoded_bytes();
        let mounter = Noting(FakeMounter::with_mounts([path]), Mutex::default());
        for extensive in [true, false] {
            cleanup_mount_with_force(&mounter, path, extensive, LONG, Profile::V137).unwrap();
            assert!(!dir.exists());
        }
        assert_eq!(*mounter.1.lock().unwrap(), [(path.to_vec(), LONG)]);
    }
}
