//! Clean-up of a mount point in bounded time (mount-utils' `CleanupMountWithForce`).
//!
//! umount2(2) can wait for ever: for a server on the way to the mount point, or for one that is to
//! take data back first. The kernel has no timeout for that. So the calls are made on a thread, and
//! a thread that does not come back is left behind; the caller goes on.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::cleanup::{cleanup_mount_point, skip};
use crate::error::{Error, Result};
use crate::kernel::{self, KernelMounter};
use crate::mounter::{MountPoint, Mounter, Place, Source};
use crate::profile::Profile;
use crate::sys::{self, Kind, Unmount};
use crate::{check, log};

/// A mounter that can also unmount by force (mount-utils' `MounterForceUnmounter`).
pub trait ForceMounter: Mounter {
    /// Unmounts what is topmost at the place; by force when that takes longer than `timeout`
    /// (`UnmountWithForce`).
    fn unmount_with_force(&self, at: Place<'_>, timeout: Duration) -> Result<()>;
}

impl ForceMounter for KernelMounter {
    /// # Errors
    /// ETIMEDOUT when the force does not help within `timeout` either.
    fn unmount_with_force(&self, at: Place<'_>, timeout: Duration) -> Result<()> {
        let path = at.path.to_vec();
        let dir = at.dir.map(|dir| dir.try_clone_to_owned()).transpose();
        let dir = Arc::new(dir.map_err(|error| failed(at.path, &error))?);
        with_force(at.path, timeout, move |how| {
            let (path, dir) = (path.clone(), Arc::clone(&dir));
            move |_: &GivenUp| {
                let dir = dir.as_ref().as_ref().map(|dir| dir.as_fd());
                kernel::unmount_once(Place { path: &path, dir }, how).map(drop)
            }
        })
    }
}

/// Unmounts a path and removes what is left of it, in bounded time (`CleanupMountWithForce`): when
/// unmounting takes longer than `timeout`, requests to a server that does not answer are aborted
/// (umount2(2) with `MNT_FORCE`), which may lose data.
///
/// The kernel's mounter needs no longer than twice the timeout, wherever the path leads. A thread
/// that hangs in the kernel stays behind; once the kernel lets it go, it does no more than the call
/// it hung in.
///
/// # Errors
/// Those of [`cleanup_mount_point`]; ETIMEDOUT when the force did not help.
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
    let target = path.to_vec();
    with_force(path, timeout, move |how| {
        let target = target.clone();
        move |given_up: &GivenUp| clean(&target, how, profile, given_up)
    })
}

/// Cleans a path as [`cleanup_mount_point`] does by the kernel's mounter.
fn clean(path: &[u8], how: Unmount, profile: Profile, given_up: &GivenUp) -> Result<()> {
    let path = check::without_trailing_slashes(path);
    let dir = kernel::directory_of(path);
    given_up.check(path)?;
    match dir {
        Ok(Some(dir)) => kernel::clear_by(how, dir.as_fd(), path, Kind::Directory),
        Err(sys::ENOENT) => skip(path, profile),
        Err(errno) => Err(Error::path("unmount", path, errno)),
        // A symlink: what is mounted behind it goes, and the link.
        Ok(None) => {
            kernel::unmount_once(Place::at(path), how)?;
            given_up.check(path)?;
            sys::remove(path).map_err(|errno| Error::path("remove", path, errno))
        }
    }
}

/// Whether the caller went on without an answer: what would follow on it must not be done then.
struct GivenUp(AtomicBool);

impl GivenUp {
    fn check(&self, path: &[u8]) -> Result<()> {
        if self.0.load(SeqCst) { Err(timed_out(path)) } else { Ok(()) }
    }
}

/// Does the work by a plain unmount, and by force when that does not end in time.
fn with_force<W>(path: &[u8], timeout: Duration, work: impl Fn(Unmount) -> W) -> Result<()>
where
    W: FnOnce(&GivenUp) -> Result<()> + Send + 'static,
{
    if let Some(result) = within(path, timeout, work(Unmount::Plainly))? {
        return result;
    }
    log!(WARN, "Timed out waiting for unmount of ", path, ", trying with force");
    match within(path, timeout, work(Unmount::Forcibly))? {
        Some(result) => result,
        None => Err(timed_out(path)),
    }
}

/// Runs `work` on a thread; `None` when it does not end in time.
fn within<T: Send + 'static>(
    path: &[u8],
    timeout: Duration,
    work: impl FnOnce(&GivenUp) -> T + Send + 'static,
) -> Result<Option<T>> {
    let given_up = Arc::new(GivenUp(AtomicBool::new(false)));
    let (sender, receiver) = channel();
    let watched = Arc::clone(&given_up);
    // The new thread has the namespaces, the working directory and the rights of this one.
    std::thread::Builder::new()
        .name("unmount".to_owned())
        .spawn(move || {
            // A signal for the process is for a thread that comes back.
            let _ = sys::block_signals();
            drop(sender.send(work(&watched)));
        })
        .map_err(|error| failed(path, &error))?;
    match receiver.recv_timeout(timeout) {
        Ok(result) => Ok(Some(result)),
        Err(RecvTimeoutError::Timeout) => {
            given_up.0.store(true, SeqCst);
            Ok(None)
        }
        Err(RecvTimeoutError::Disconnected) => {
            Err(Error::new(crate::text!("unmount ", path, ": its thread panicked")))
        }
    }
}

fn timed_out(path: &[u8]) -> Error {
    Error::path("unmount", path, sys::ETIMEDOUT)
}

fn failed(path: &[u8], error: &std::io::Error) -> Error {
    Error::path("unmount", path, error.raw_os_error().unwrap_or(sys::EINVAL))
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
    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn work_that_ends_in_time_is_not_forced() {
        for result in [Ok(()), Err(Error::from_errno(sys::EBUSY))] {
            let expected = result.clone();
            let done = with_force(b"/p", LONG, |how| {
                let result = result.clone();
                assert_eq!(how, Unmount::Plainly);
                move |_: &GivenUp| result
            });
            assert_eq!(done, expected);
        }
    }

    #[test]
    fn work_that_hangs_is_forced_and_touches_nothing_afterwards() {
        let (release, hangs) = channel::<()>();
        let hangs = Arc::new(Mutex::new(Some(hangs)));
        let (tell, told) = channel();
        let done = with_force(b"/p", SHORT, |how| {
            let hangs = hangs.lock().unwrap().take().filter(|_| how == Unmount::Plainly);
            let tell = tell.clone();
            move |given_up: &GivenUp| {
                if let Some(hangs) = hangs {
                    let _ = hangs.recv();
                    tell.send(given_up.check(b"/p")).unwrap();
                }
                Ok(())
            }
        });
        assert_eq!(done, Ok(()));
        drop(release);
        assert_eq!(told.recv().unwrap(), Err(timed_out(b"/p")));
    }

    #[test]
    fn work_that_force_does_not_help_is_given_up() {
        let (release, hangs) = channel::<()>();
        let hangs = Arc::new(Mutex::new(hangs));
        let done = with_force(b"/p", SHORT, |_| {
            let hangs = Arc::clone(&hangs);
            move |_: &GivenUp| {
                let _ = hangs.lock().unwrap().recv();
                Ok(())
            }
        });
        assert_eq!(done.unwrap_err().to_string(), "unmount /p: connection timed out");
        drop(release);
    }

    #[test]
    fn a_panic_of_the_thread_is_an_error() {
        let done = within(b"/p", LONG, |_| -> Result<()> { panic!("for the test") });
        assert_eq!(done.unwrap_err().to_string(), "unmount /p: its thread panicked");
    }

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
