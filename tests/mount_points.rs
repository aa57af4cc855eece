//! Mount point checks and clean-up by path on real mounts of every kind, also of servers that are
//! dead or hang, with each set of system calls that a kernel may lack.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::fuse::{self, Fuse};
use common::{
    BACKENDS, Layout, WAYS, bind, clean_path as clean, clean_path_within as clean_with_force,
    expect_descriptors, in_namespace, in_namespace_over, mount_tmpfs, open_descriptors, refused,
    until, with_fuse,
};
use nix::errno::Errno;
use subpath_mountinfo::table::mount_refs;
use subpath_mountinfo::{
    Error, ErrorKind, Features, KernelMounter, Place, Result, is_likely_not_mount_point,
    is_mount_point, is_not_mount_point,
};

/// The three checks and what the operations ask, which must agree on what is well.
#[track_caller]
fn check(path: &Path) -> Result<bool> {
    let mounted = is_mount_point(path);
    assert_eq!(is_not_mount_point(&KernelMounter, path).map(|not| !not), mounted);
    assert_eq!(KernelMounter.is_mounted(Place::at(&path)), mounted);
    let likely = is_likely_not_mount_point(path).map(|not| !not);
    match &mounted {
        Ok(_) => assert_eq!(likely, mounted),
        // mount-utils returns the errno alone here.
        Err(error) => {
            let likely = likely.unwrap_err();
            assert_eq!(likely.to_string(), error.to_string());
            let errno = Error::from_errno(error.raw_os_error().unwrap());
            assert_eq!(likely.original_text(), errno.original_text());
        }
    }
    mounted
}

/// Mounts of every kind below the layout's root.
fn scene(layout: &Layout) -> impl Fn(&str) -> PathBuf {
    let root = layout.root.clone();
    let at = move |name: &str| root.join(name);
    for dir in ["plain", "tmpfs", "bound", "self", "stack", "odd \n\\040", "gone", "of gone"] {
        fs::create_dir(at(dir)).unwrap();
    }
    for file in ["file", "file.bound", "file.self"] {
        fs::write(at(file), "").unwrap();
    }
    for dir in ["tmpfs", "stack", "stack", "stack", "odd \n\\040"] {
        mount_tmpfs(&at(dir));
    }
    for (source, target) in [
        ("plain", "bound"),
        ("self", "self"),
        ("file", "file.bound"),
        ("file.self", "file.self"),
        ("gone", "of gone"),
    ] {
        bind(&at(source), &at(target));
    }
    fs::remove_dir(at("gone")).unwrap();
    for (to, link) in [
        ("bound", "link"),
        ("link", "link.link"),
        ("file.bound", "link.file"),
        ("plain", "link.plain"),
        ("missing", "dangling"),
        ("loop", "loop"),
    ] {
        symlink(to, at(link)).unwrap();
    }
    at
}

#[test]
fn every_kind_of_mount_point_is_known() {
    in_namespace("every_kind_of_mount_point_is_known", |layout| {
        let descriptors = open_descriptors();
        let at = scene(layout);
        for name in [
            "",
            "tmpfs",
            "bound",
            "self",
            "stack",
            "odd \n\\040",
            "of gone",
            "file.bound",
            "file.self",
            "link",
            "link.link",
            "link.file",
            "tmpfs/",
            "tmpfs//.",
            "link///",
            "file.bound/",
            "plain/../self",
            "plain/..",
        ] {
            assert_eq!(check(&at(name)), Ok(true), "{name:?}");
        }
        for name in ["plain", "file", "link.plain", "plain//", "file/", "tmpfs/../plain"] {
            assert_eq!(check(&at(name)), Ok(false), "{name:?}");
        }
        for path in ["/", "//", "/proc", "/proc/.."] {
            assert_eq!(check(Path::new(path)), Ok(true), "{path:?}");
        }
        for name in ["missing", "dangling", "plain/missing"] {
            let error = check(&at(name)).unwrap_err();
            assert_eq!((error.kind(), error.path()), (ErrorKind::NotFound, Some(&*at(name))));
        }
        for (name, errno) in [("file/below", Errno::ENOTDIR), ("loop", Errno::ELOOP)] {
            let error = check(&at(name)).unwrap_err();
            let told = (error.raw_os_error(), error.path());
            assert_eq!(told, (Some(errno as i32), Some(&*at(name))), "{name:?}");
        }
        assert_eq!(check(Path::new("")).unwrap_err().kind(), ErrorKind::NotFound);
        // A relative path, and a file that is open.
        std::env::set_current_dir(at("bound")).unwrap();
        assert_eq!(check(Path::new(".")), Ok(true));
        assert_eq!(check(Path::new("../plain")), Ok(false));
        assert_eq!(check(Path::new("/proc/self/cwd")), Ok(true));
        std::env::set_current_dir("/").unwrap();
        assert_eq!(open_descriptors(), descriptors);
    });
}

#[test]
fn a_dead_and_a_hung_server_are_mount_points_and_are_cleaned() {
    with_fuse(&BACKENDS, "a_dead_and_a_hung_server_are_mount_points_and_are_cleaned", |layout| {
        for clean in WAYS {
            let (dead, hung) = (layout.root.join("dead"), layout.root.join("hung"));
            let link = layout.root.join("link");
            fs::create_dir(&dead).unwrap();
            fs::create_dir(&hung).unwrap();
            symlink("hung", &link).unwrap();
            Fuse::mount(&dead, "").die();
            let server = Fuse::mount(&hung, "");
            server.hang();
            for path in [&dead, &hung, &link] {
                assert_eq!(KernelMounter.is_mounted(Place::at(&path)), Ok(true));
                assert_eq!(is_likely_not_mount_point(path), Ok(false));
            }
            assert_eq!(server.asked(), 0);
            for path in [&dead, &hung] {
                clean(path).unwrap();
                assert!(fs::symlink_metadata(path).is_err(), "{path:?}");
            }
            assert_eq!(server.asked(), 0);
            fs::remove_file(&link).unwrap();
        }
    });
}

/// Behind a symlink too, which mount-utils follows.
#[test]
fn a_link_to_a_mount_whose_server_hangs_is_cleaned() {
    with_fuse(&BACKENDS, "a_link_to_a_mount_whose_server_hangs_is_cleaned", |layout| {
        let link = layout.root.join("link");
        symlink("volume", &link).unwrap();
        let server = Fuse::mount(&layout.volume, "");
        server.hang();
        clean(&link).unwrap();
        assert_eq!(server.asked(), 0);
        assert_eq!(layout.mounts_at(&layout.volume), 0);
        assert!(fs::symlink_metadata(&link).is_err());
    });
}

/// The exact checks say what a server that is dead, or refuses, answers: drivers recover by that.
/// The cheap one and the operations ask no server.
#[test]
fn a_server_that_is_dead_or_refuses_is_told_of() {
    with_fuse(&BACKENDS, "a_server_that_is_dead_or_refuses_is_told_of", |layout| {
        let descriptors = open_descriptors();
        let tells = |path: &Path, errno: Errno| {
            let (path, errno) = (path, errno as i32);
            let told = Err(Error::at_path("statx", path.as_os_str().as_encoded_bytes(), errno));
            assert_eq!(is_mount_point(path), told);
            assert_eq!(is_not_mount_point(&KernelMounter, path), told);
            assert_eq!(is_likely_not_mount_point(path), Ok(false));
            assert_eq!(KernelMounter.is_mounted(Place::at(&path)), Ok(true));
        };
        let mut server = Fuse::mount(&layout.volume, "");
        assert_eq!(check(&layout.volume), Ok(true));
        for (answered, told) in [
            (Errno::ESTALE, Errno::ESTALE),
            (Errno::EIO, Errno::EIO),
            (Errno::EACCES, Errno::EACCES),
            (Errno::EHOSTDOWN, Errno::EHOSTDOWN),
            // What Linux 7.3 answers for a server that died before it was ready.
            (Errno::ECONNREFUSED, Errno::ENOTCONN),
            // What is mounted is there. As mount-utils' PathExists says, its handle is stale.
            (Errno::ENOENT, Errno::ESTALE),
        ] {
            server.fail(answered);
            tells(&layout.volume, told);
        }
        server.serve();
        if Features::get().statx {
            // What the kernel remembers is not what counts.
            server.be_remembered();
        }
        assert_eq!(check(&layout.volume), Ok(true));
        server.die();
        tells(&layout.volume, Errno::ENOTCONN);
        let link = layout.root.join("link");
        symlink(&layout.volume, &link).unwrap();
        tells(&link, Errno::ENOTCONN);
        drop(server);
        assert_eq!(open_descriptors(), descriptors);
        clean(&layout.volume).unwrap();
    });
}

/// A file system that knows that it is broken says so without being waited for, to the cheap check
/// too (XFS that was shut down answers EIO so).
#[test]
fn what_the_kernel_knows_to_be_broken_is_told_of() {
    with_fuse(&BACKENDS, "what_the_kernel_knows_to_be_broken_is_told_of", |layout| {
        let server = Fuse::mount(&layout.volume, "");
        let path = &layout.volume;
        server.break_root();
        let eio = Errno::EIO as i32;
        assert_eq!(
            is_mount_point(path),
            Err(Error::at_path("statx", path.as_os_str().as_encoded_bytes(), eio))
        );
        // Without statx(2) only the mount table is asked.
        let likely = is_likely_not_mount_point(path).map_err(|error| error.original_text());
        let told = Features::get().statx.then(|| Error::from_errno(eio).original_text());
        assert_eq!(likely, told.map_or(Ok(false), Err));
        assert_eq!(KernelMounter.is_mounted(Place::at(&path)), Ok(true));
        clean(&layout.volume).unwrap();
    });
}

/// However many ask about a mount whose server hangs, one thread waits for it, and the mount comes
/// off in spite of that. Twenty times the time that one may wait is more than the test has.
#[test]
fn a_server_that_hangs_is_waited_for_by_one_thread() {
    let backends = ["", "statx", "open_tree"];
    with_fuse(&backends, "a_server_that_hangs_is_waited_for_by_one_thread", |layout| {
        let path = &layout.volume;
        let told = Err(Error::at_path(
            "statx",
            path.as_os_str().as_encoded_bytes(),
            Errno::ETIMEDOUT as i32,
        ));
        let server = Fuse::mount(&layout.volume, "");
        server.hang();
        for _ in 0..20 {
            assert_eq!(is_mount_point(path), told);
            assert_eq!(is_not_mount_point(&KernelMounter, path), told);
            assert_eq!(is_likely_not_mount_point(path), Ok(false));
            assert_eq!(KernelMounter.is_mounted(Place::at(&path)), Ok(true));
        }
        assert_eq!(server.asked(), 1);
        if !Features::get().open_tree {
            // The thread waits on the mount itself then.
            assert_eq!(
                clean(&layout.volume).unwrap_err().raw_os_error(),
                Some(Errno::EBUSY as i32)
            );
            fuse::abort_all();
            return;
        }
        clean(&layout.volume).unwrap();
        // Another mount at the path has a thread of its own.
        fs::create_dir(&layout.volume).unwrap();
        let _well = Fuse::mount(&layout.volume, "");
        assert_eq!(check(&layout.volume), Ok(true));
    });
}

/// Where else it is mounted stands in the table, whatever became of its server. What lies below it is
/// another matter: nobody knows where that leads. Nobody is told so later than after twenty turns, which
/// the test would not live to see if each waited.
#[test]
fn references_to_a_mount_whose_server_is_dead_or_hangs_are_found() {
    let name = "references_to_a_mount_whose_server_is_dead_or_hangs_are_found";
    with_fuse(&["", "statx", "openat2"], name, |layout| {
        let at = |name: &str| layout.root.join(name);
        let (twin, below, link) = (at("twin"), layout.volume.join("d/e"), at("link"));
        let mut server = Fuse::mount(&layout.volume, "");
        server.add_directory("d");
        server.add_directory("d/e");
        fs::create_dir(&twin).unwrap();
        bind(&layout.volume, &twin);
        symlink("volume", &link).unwrap();
        let found = |what: &str| {
            for (path, other) in [(&layout.volume, &twin), (&twin, &layout.volume), (&link, &twin)]
            {
                assert_eq!(mount_refs(path), Ok(vec![other.clone()]), "{what}: {path:?}");
            }
        };
        found("served");
        assert_eq!(mount_refs(&below), Ok(Vec::new()));
        server.hang();
        let asked = server.asked();
        found("hung");
        assert_eq!(server.asked(), asked, "it was asked");
        for _ in 0..20 {
            let error = mount_refs(&below).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::ETIMEDOUT as i32), "{error}");
        }
        assert_eq!(server.asked(), asked + 1);
        server.die();
        // Until the thread that asked it has come back, it counts as hung.
        until(|| subpath_mountinfo::internal::worker::stuck() == 0);
        found("dead");
        // The thread that waited has the kernel's answer by now, but may not have told it yet.
        let error = loop {
            let error = mount_refs(&below).unwrap_err();
            if error.raw_os_error() != Some(Errno::ETIMEDOUT as i32) {
                break error;
            }
        };
        assert_eq!(error.raw_os_error(), Some(Errno::ENOTCONN as i32), "{error}");
        assert!(subpath_mountinfo::is_corrupted_mount(&error), "{error}");
    });
}

#[test]
fn a_path_below_a_dead_server_tells_of_it() {
    with_fuse(&BACKENDS, "a_path_below_a_dead_server_tells_of_it", |layout| {
        let mut server = Fuse::mount(&layout.volume, "");
        server.add_directory("d");
        server.die();
        let below = layout.volume.join("d");
        let error = check(&below).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::ENOTCONN as i32), "{error}");
        assert!(subpath_mountinfo::is_corrupted_mount(&error));
        for clean in WAYS {
            refused(&clean(&below).unwrap_err(), Errno::ENOTCONN, below.to_str().unwrap());
        }
    });
}

#[test]
fn cleaning_takes_everything_away_that_is_mounted_there() {
    in_namespace("cleaning_takes_everything_away_that_is_mounted_there", |layout| {
        let descriptors = open_descriptors();
        let at = scene(layout);
        fs::write(at("plain").join("kept"), "").unwrap();
        for (number, name) in [
            "tmpfs//",
            "self",
            "stack",
            "odd \n\\040",
            "of gone",
            "file.bound",
            "file.self",
            "link",
        ]
        .into_iter()
        .enumerate()
        {
            let path = at(name);
            WAYS[number % 2](&path).unwrap();
            let path = layout.root.join(name.trim_end_matches('/'));
            assert!(fs::symlink_metadata(&path).is_err(), "{name:?}");
            assert_eq!(layout.mounts_at(&path), 0, "{name:?}");
        }
        // Behind the link it was unmounted, and nothing of what is there was touched.
        assert_eq!(check(&at("bound")), Ok(false));
        assert!(at("plain").join("kept").exists());
        for clean in WAYS {
            let error = clean(&at("plain")).unwrap_err();
            let text = format!("remove {}: directory not empty", at("plain").display());
            assert_eq!(error.to_string(), text);
            clean(&at("missing")).unwrap();
            clean(&at("missing/below")).unwrap();
        }
        assert!(at("file").exists());
        expect_descriptors(descriptors);
    });
}

#[test]
fn a_mount_in_use_is_an_error_and_stays() {
    in_namespace("a_mount_in_use_is_an_error_and_stays", |layout| {
        let at = scene(layout);
        let held = fs::File::open(at("tmpfs")).unwrap();
        for clean in WAYS {
            let error = clean(&at("tmpfs")).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::EBUSY as i32), "{error}");
            assert_eq!(check(&at("tmpfs")), Ok(true));
        }
        drop(held);
        clean(&at("tmpfs")).unwrap();
    });
}

/// A process that is forked holds every descriptor until it executes its program. One on the mount
/// would keep it busy.
#[test]
fn processes_that_start_meanwhile_keep_no_mount_busy() {
    in_namespace_over(&[""], "processes_that_start_meanwhile_keep_no_mount_busy", |layout| {
        let (target, ended) = (layout.root.join("mounted"), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !ended.load(Ordering::SeqCst) {
                        std::process::Command::new("true").status().unwrap();
                    }
                });
            }
            let outcomes: Vec<_> = (0..1000)
                .map(|number| {
                    fs::create_dir(&target).unwrap();
                    mount_tmpfs(&target);
                    let cleaned = WAYS[number % 2](&target);
                    if cleaned.is_err() {
                        nix::mount::umount2(&target, nix::mount::MntFlags::MNT_DETACH).unwrap();
                        fs::remove_dir(&target).unwrap();
                    }
                    cleaned
                })
                .filter(Result::is_err)
                .collect();
            ended.store(true, Ordering::SeqCst);
            assert_eq!(outcomes, Vec::new());
        });
    });
}

/// The way to the mount point leads through a server that hangs: neither the plain unmount nor the
/// one with force comes back.
#[test]
fn the_caller_comes_back_although_the_unmount_hangs() {
    with_fuse(&[""], "the_caller_comes_back_although_the_unmount_hangs", |layout| {
        let server = Fuse::mount(&layout.volume, "");
        server.add_directory("d");
        let target = layout.volume.join("d");
        mount_tmpfs(&target);
        server.hang();
        let error = clean_with_force(&target, Duration::from_millis(200)).unwrap_err();
        let text = format!("unmount {}: connection timed out", target.display());
        assert_eq!(error.to_string(), text);
        assert!(server.asked() > 0);
        assert_eq!(layout.mounts_at(&target), 1);
        // Lets the threads go that hang in the kernel.
        fuse::abort_all();
    });
}
