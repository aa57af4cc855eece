//! Clean-up in bounded time (`cleanup_mount_with_force`) of mounts whose server the test controls: what
//! is unmounted, what is left alone, and what is told, in every order of events.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::device::{Device, volume_on_a_device};
use common::fuse::{self, Fuse};
use common::lines::Lines;
use common::{
    LONG, Layout, clean_path_within as clean, in_namespace_over, mount_tmpfs, refused, until,
    with_fuse,
};
use nix::errno::Errno;
use subpath_mountinfo::Result;
use subpath_mountinfo::internal::worker::stuck;
use subpath_mountinfo::internal::{Outcome, unmount_with_force_reporting};

/// Less than the shortest there is, for what hangs anyway.
const SHORT: Duration = Duration::ZERO;
/// Long enough for a busy machine to get to where it hangs.
const ENOUGH: Duration = Duration::from_secs(1);

#[track_caller]
fn timed_out(outcome: Result<()>) {
    let error = outcome.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ETIMEDOUT as i32), "{error}");
}

/// Cleans until the server was told to go: on a busy machine a short time may be up before.
fn clean_until_told(server: &Fuse, at: &Path, timeout: Duration) -> Result<()> {
    loop {
        let outcome = clean(at, timeout);
        if server.was_told_to_go() {
            return outcome;
        }
    }
}

/// Mounts something new, with a file in it.
fn mount_new(at: &Path) {
    mount_tmpfs(at);
    fs::write(at.join("kept"), "").unwrap();
}

#[test]
fn what_is_mounted_after_the_time_is_up_is_not_touched() {
    const NAME: &str = "what_is_mounted_after_the_time_is_up_is_not_touched";
    with_fuse(&[""], NAME, |layout| {
        let Some((server, at, _device)) = volume_on_a_device(layout, NAME) else { return };
        timed_out(clean_until_told(&server, &at, SHORT));
        assert_eq!(layout.mounts_at(&at), 0);
        mount_new(&at);
        until(|| stuck() == 1);
        fuse::let_go();
        until(|| stuck() == 0);
        assert_eq!(layout.mounts_at(&at), 1);
        assert!(at.join("kept").exists());
    });
}

#[test]
fn nothing_is_cleaned_while_the_file_system_is_shut_down() {
    const NAME: &str = "nothing_is_cleaned_while_the_file_system_is_shut_down";
    with_fuse(&[""], NAME, |layout| {
        let Some((server, at, _device)) = volume_on_a_device(layout, NAME) else { return };
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        timed_out(clean_until_told(&server, &at, SHORT));
        for _ in 0..20 {
            timed_out(clean(&at, SHORT));
            assert!(at.exists());
        }
        let outcome = unmount_with_force_reporting(at.as_os_str().as_bytes(), SHORT);
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.errno, Errno::ETIMEDOUT as i32);
        until(|| stuck() == 1);
        // One thread, however often it is tried.
        until(|| threads() == before + 1);
        fuse::let_go();
        until(|| stuck() == 0);
        let outcome = unmount_with_force_reporting(at.as_os_str().as_bytes(), LONG);
        assert_eq!(outcome, Outcome::Done);
        clean(&at, LONG).unwrap();
        assert!(!at.exists());
    });
}

/// What happens while a file system is being shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The server answers.
    Answer,
    /// The first caller's time is up.
    TimeOut,
    /// Something is mounted at the path.
    NewMount,
    /// Another caller cleans the path.
    SecondCaller,
}

use Event::{Answer, NewMount, SecondCaller, TimeOut};

fn orders(events: &[Event]) -> Vec<Vec<Event>> {
    let mut orders = vec![Vec::new()];
    for &event in events {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<Event>| {
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, event);
                    longer
                })
            })
            .collect();
    }
    orders
}

#[test]
fn every_order_of_events_ends_well() {
    const NAME: &str = "every_order_of_events_ends_well";
    with_fuse(&[""], NAME, |layout| {
        let Ok(device) = Device::new(&layout.root) else {
            return common::not_run("no loop device", NAME);
        };
        let orders = orders(&[Answer, TimeOut, NewMount, SecondCaller]);
        assert_eq!(orders.len(), 24);
        for (number, order) in orders.iter().enumerate() {
            let at = layout.root.join(number.to_string());
            fs::create_dir(&at).unwrap();
            go_through(layout, &device.0, &at, order);
        }
    });
}

/// Lets the events happen in their order while a call is at work, and holds what each caller is told
/// and what is left against what it must be.
fn go_through(layout: &Layout, device: &str, at: &Path, order: &[Event]) {
    let when = |event| order.iter().position(|&e| e == event).unwrap();
    let server = Fuse::mount_block(device, at);
    server.hold_at_the_end();
    let in_time = when(Answer) < when(TimeOut);
    std::thread::scope(|scope| {
        let timeout = if in_time { LONG } else { SHORT };
        let server = &server;
        let mut first = Some(scope.spawn(move || clean_until_told(server, at, timeout)));
        until(|| server.was_told_to_go());
        for event in order {
            match event {
                Answer => {
                    fuse::let_go();
                    if in_time {
                        first.take().unwrap().join().unwrap().unwrap();
                        assert!(!at.exists(), "{order:?}: the first caller cleaned it");
                        fs::create_dir(at).unwrap();
                    } else {
                        until(|| stuck() == 0);
                    }
                }
                // Where the answer was faster, there is nothing to wait for any more.
                TimeOut if in_time => {}
                TimeOut => timed_out(first.take().unwrap().join().unwrap()),
                NewMount => mount_new(at),
                SecondCaller if when(Answer) < when(SecondCaller) => {
                    clean(at, LONG).unwrap();
                    assert!(!at.exists(), "{order:?}");
                    fs::create_dir(at).unwrap();
                }
                SecondCaller => {
                    timed_out(clean(at, ENOUGH));
                    assert!(at.exists(), "{order:?}");
                }
            }
        }
    });
    // Whoever is asked to clean the path while the new mount is there takes it away, nobody else.
    let cleaned = when(NewMount) < when(SecondCaller) || in_time && when(NewMount) < when(Answer);
    assert_eq!(layout.mounts_at(at), usize::from(!cleaned), "{order:?}");
    assert_eq!(at.join("kept").exists(), !cleaned, "{order:?}");
    until(|| stuck() == 0);
}

/// A directory with one below it, of which the kernel remembers all, so that it answers for the server.
fn remembered(layout: &Layout) -> (Fuse, PathBuf) {
    let server = Fuse::mount(&layout.volume, "");
    server.be_remembered();
    server.add_directory("sub");
    assert!(layout.volume.join("sub").exists());
    (server, layout.volume.clone())
}

/// Whether a server can be asked for what the kernel remembers; where not, which is said, a busy mount
/// whose server hangs looks like any other.
fn asks_servers(name: &str) -> bool {
    let asks = subpath_mountinfo::Features::get().statx;
    if !asks {
        common::not_run("statx(2) is refused", name);
    }
    asks
}

/// Lists a directory, and waits for the server.
fn list(directory: &Path) -> Child {
    Command::new("ls").arg(directory).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn what_waits_for_a_hung_server_is_freed_by_force() {
    const NAME: &str = "what_waits_for_a_hung_server_is_freed_by_force";
    with_fuse(&[""], NAME, |layout| {
        if !asks_servers(NAME) {
            return;
        }
        let (server, at) = remembered(layout);
        let asked = server.asked();
        server.hang();
        let mut waits = list(&at.join("sub"));
        until(|| server.asked() > asked);
        let lines = Lines::default();
        lines.of(|| clean(&at, ENOUGH)).unwrap();
        assert!(!waits.wait().unwrap().success());
        assert!(!at.exists());
        let said = lines.all();
        let path = at.display();
        for line in [
            format!("Timed out waiting for unmount of {path}, trying with force"),
            format!(
                "Unmounted {path} by force: requests to its server were aborted, data may be lost"
            ),
        ] {
            assert!(said.contains(&line), "{line}\n{said:#?}");
        }
        until(|| stuck() == 0);
    });
}

#[test]
fn the_mounter_unmounts_by_force_in_bounded_time() {
    const NAME: &str = "the_mounter_unmounts_by_force_in_bounded_time";
    with_fuse(&[""], NAME, |layout| {
        if !asks_servers(NAME) {
            return;
        }
        let (server, at) = remembered(layout);
        server.hang();
        let below = at.join("sub/unknown");
        let Outcome::Failed(failure) =
            unmount_with_force_reporting(below.as_os_str().as_bytes(), SHORT)
        else {
            panic!("it is not known what is there");
        };
        assert_eq!(failure.errno, Errno::ETIMEDOUT as i32);
        let said = String::from_utf8_lossy(&failure.output).into_owned();
        let path = below.display();
        assert!(said.starts_with(&format!("umount: {path}: ")), "{said}");
        let lines = Lines::default();
        let outcome = lines.of(|| unmount_with_force_reporting(at.as_os_str().as_bytes(), ENOUGH));
        assert_eq!(outcome, Outcome::Done);
        let line = format!("Unmounting {}", at.display());
        assert_eq!(lines.all().first(), Some(&line));
        assert_eq!(layout.mounts_at(&at), 0);
        until(|| stuck() == 0);
    });
}

#[test]
fn what_uses_a_healthy_mount_keeps_it_busy() {
    with_fuse(&[""], "what_uses_a_healthy_mount_keeps_it_busy", |layout| {
        let (server, at) = remembered(layout);
        let mut sleeper = Command::new("sleep").arg("1000").current_dir(&at).spawn().unwrap();
        for _ in 0..5 {
            let error = clean(&at, LONG).unwrap_err();
            let text = format!("unmount {}: device or resource busy", at.display());
            refused(&error, Errno::EBUSY, &text);
        }
        assert_eq!(layout.mounts_at(&at), 1);
        let asked = server.asked();
        assert!(at.join("nothing").symlink_metadata().is_err());
        assert!(server.asked() > asked, "it serves still");
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        clean(&at, LONG).unwrap();
    });
}

#[test]
fn what_stays_in_a_hung_mount_is_an_error_that_says_what_force_did() {
    const NAME: &str = "what_stays_in_a_hung_mount_is_an_error_that_says_what_force_did";
    with_fuse(&[""], NAME, |layout| {
        if !asks_servers(NAME) {
            return;
        }
        let (server, at) = remembered(layout);
        let mut sleeper = Command::new("sleep").arg("1000").current_dir(&at).spawn().unwrap();
        server.hang();
        refused(&clean(&at, ENOUGH).unwrap_err(), Errno::EBUSY, "data may be lost");
        assert_eq!(layout.mounts_at(&at), 1);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        clean(&at, LONG).unwrap();
    });
}

/// setns(2) refuses a thread that shares its directories, also for the moment in which a thread starts.
#[test]
fn the_caller_may_change_its_namespace_afterwards() {
    let name = "the_caller_may_change_its_namespace_afterwards";
    in_namespace_over(&[""], name, |layout| {
        let at = layout.root.join("at");
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
        let here = fs::File::open("/proc/thread-self/ns/mnt").unwrap();
        for turn in 0..300 {
            fs::create_dir(&at).unwrap();
            mount_tmpfs(&at);
            clean(&at, LONG).unwrap();
            let set = nix::sched::setns(&here, nix::sched::CloneFlags::CLONE_NEWNS);
            assert_eq!(set, Ok(()), "turn {turn}");
        }
    });
}

#[test]
fn lines_are_logged_by_the_caller_and_those_of_later_calls_too() {
    let name = "lines_are_logged_by_the_caller_and_those_of_later_calls_too";
    in_namespace_over(&[""], name, |layout| {
        let at = layout.root.join("at");
        let lines = Lines::default();
        let mount = || {
            fs::create_dir(&at).unwrap();
            mount_tmpfs(&at);
        };
        mount();
        // Nobody listens: what is met first by this call must not be taken for unwanted for ever.
        clean(&at, LONG).unwrap();
        let expected = [format!("Unmounted {}", at.display()), format!("Deleting path {at:?}")];
        for clean in common::WAYS {
            mount();
            lines.of(|| clean(&at)).unwrap();
            assert_eq!(lines.all(), expected);
        }
    });
}

#[test]
fn a_directory_that_somebody_removed_is_not_clean_before_umount_comes_back() {
    const NAME: &str = "a_directory_that_somebody_removed_is_not_clean_before_umount_comes_back";
    with_fuse(&[""], NAME, |layout| {
        let Some((server, at, _device)) = volume_on_a_device(layout, NAME) else { return };
        timed_out(clean_until_told(&server, &at, SHORT));
        fs::remove_dir(&at).unwrap();
        timed_out(clean(&at, SHORT));
        fuse::let_go();
        until(|| stuck() == 0);
        clean(&at, LONG).unwrap();
    });
}

/// The time goes by on the way to the mount, which is healthy.
#[test]
fn what_was_not_unmounted_plainly_is_not_forced() {
    with_fuse(&[""], "what_was_not_unmounted_plainly_is_not_forced", |layout| {
        let parent = Fuse::mount(&layout.volume, "");
        parent.add_directory("d");
        let at = layout.volume.join("d");
        mount_tmpfs(&at);
        // The directory is looked up once to tell it from a link, once to find the mount, and once
        // more just before it is unmounted.
        parent.delay_lookup(2, Duration::from_secs(3));
        let lines = Lines::default();
        timed_out(lines.of(|| clean(&at, ENOUGH)));
        until(|| stuck() == 0);
        assert_eq!(layout.mounts_at(&at), 1);
        assert!(lines.all().iter().all(|line| !line.contains("force")));
    });
}

/// A server that hangs is asked for, and answers, or does not, while two callers clean.
#[test]
fn every_order_of_events_at_a_busy_mount_ends_well() {
    const NAME: &str = "every_order_of_events_at_a_busy_mount_ends_well";
    with_fuse(&[""], NAME, |layout| {
        if !asks_servers(NAME) {
            return;
        }
        for (number, order) in orders(&[Answer, TimeOut, SecondCaller]).iter().enumerate() {
            let at = layout.root.join(number.to_string());
            fs::create_dir(&at).unwrap();
            go_through_busy(layout, &at, order);
        }
    });
}

fn go_through_busy(layout: &Layout, at: &Path, order: &[Event]) {
    let when = |event| order.iter().position(|&e| e == event).unwrap();
    let server = Fuse::mount(at, "");
    server.be_remembered();
    server.add_directory("sub");
    assert!(at.join("sub").exists());
    let asked = server.asked();
    server.hang();
    let mut waits = list(&at.join("sub"));
    until(|| server.asked() > asked);
    let in_time = when(Answer) < when(TimeOut);
    let (first, second) = std::thread::scope(|scope| {
        let timeout = if in_time { LONG } else { ENOUGH };
        let asked = server.asked();
        let mut first = Some(scope.spawn(move || clean(at, timeout)));
        until(|| server.asked() > asked);
        let (mut told, mut second) = (None, None);
        for event in order {
            match event {
                Answer => server.serve(),
                TimeOut | NewMount => told = first.take().map(|first| first.join().unwrap()),
                SecondCaller => second = Some(scope.spawn(move || clean(at, LONG))),
            }
        }
        (told.unwrap(), second.unwrap().join().unwrap())
    });
    waits.wait().unwrap();
    let mounted = layout.mounts_at(at);
    for outcome in [&first, &second] {
        match outcome {
            Ok(()) => assert_eq!((mounted, at.exists()), (0, false), "{order:?}"),
            // Whoever waited for the server may not have left yet.
            Err(error) if in_time => {
                assert_eq!(error.raw_os_error(), Some(Errno::EBUSY as i32), "{order:?}: {error}");
                assert!(!error.to_string().contains("force"), "{order:?}: {error}");
            }
            // Told at once, because it came when the time of the first was up.
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(Errno::ETIMEDOUT as i32), "{order:?}")
            }
        }
    }
    assert!(in_time || first.is_ok(), "{order:?}: {first:?}");
    if mounted > 0 {
        clean(at, LONG).unwrap();
    }
    until(|| stuck() == 0);
}

/// Without /proc no descriptor has a path, and some kernels tell of no mount.
#[test]
fn without_proc_a_mount_that_stays_is_an_error_that_names_it() {
    let name = "without_proc_a_mount_that_stays_is_an_error_that_names_it";
    in_namespace_over(&common::BACKENDS, name, |layout| {
        let (at, link) = (layout.root.join("at"), layout.root.join("link"));
        fs::create_dir(&at).unwrap();
        std::os::unix::fs::symlink("at", &link).unwrap();
        mount_tmpfs(&at);
        let below = |path: &Path| fs::metadata(path).unwrap().dev();
        let mounted = below(&at) != below(&layout.root);
        assert!(mounted);
        std::env::set_current_dir(&layout.root).unwrap();
        for path in [&at, &link, Path::new("at")] {
            let error = common::without_proc(|| clean(path, LONG)).unwrap_err();
            assert!(error.to_string().contains("/proc"), "{path:?}: {error}");
            assert!(below(&at) != below(&layout.root), "{path:?}");
        }
        std::env::set_current_dir("/").unwrap();
    });
}

/// umount2(2) of the root directory would make the whole file system read-only.
#[test]
fn the_root_directory_is_left_alone() {
    in_namespace_over(&[""], "the_root_directory_is_left_alone", |layout| {
        for path in [Path::new("/"), Path::new("///"), Path::new("/proc/..")] {
            let error = clean(path, LONG).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::EBUSY as i32), "{error}");
        }
        fs::write(layout.root.join("writable"), "").unwrap();
    });
}
