//! Every system call of every operation fails once, with one errno after another, and then every
//! call from there on: what comes of it is what was asked for, whole (mode, tree and mounts), or an
//! error that says why; nothing is left behind, no user's file is touched, and the next call works.
//!
//! Needs the feature `fault-injection`; `make test` runs it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use common::{Layout, PROFILES, bind, in_namespace, kernel, mount_tmpfs, open_descriptors};
use nix::errno::Errno;
use subpath::{FakeMounter, KernelMounter, Mounter, Profile, Result, Subpather};
use subpath_mountinfo::internal::go_text::errno_text;
use subpath_mountinfo::internal::sys::fault;
use subpath_mountinfo::{Mount, mount_at, unmount};

const ERRNOS: [Errno; 12] = [
    Errno::EIO,
    Errno::ENOMEM,
    Errno::EMFILE,
    Errno::ENOSPC,
    Errno::EACCES,
    Errno::EPERM,
    Errno::ENOSYS,
    Errno::ENOENT,
    Errno::EEXIST,
    Errno::EBUSY,
    Errno::ENOTDIR,
    Errno::EINVAL,
];

/// An operation never makes more calls than this; where it seems to, it repeats them for ever.
const MOST_CALLS: usize = 3000;

/// One way of calling an operation, and how the world is laid out for it.
struct Scenario<'a> {
    name: &'a str,
    lay_out: &'a dyn Fn(),
    call: &'a dyn Fn() -> Result<()>,
    /// Looks at what is there after a success.
    done: &'a dyn Fn(),
    /// Looks at what is there after a failure; `true` where nothing failed but one call.
    failed: &'a dyn Fn(bool),
    tear_down: &'a dyn Fn(),
}

impl Scenario<'_> {
    fn run(&self) {
        // What is looked up once in a process's life is looked up here.
        (self.lay_out)();
        (self.call)().unwrap();
        (self.done)();
        (self.tear_down)();
        for lasting in [false, true] {
            for errno in ERRNOS {
                let mut skip = 0;
                while self.strikes(skip, errno, lasting) {
                    skip += 1;
                    assert!(skip < MOST_CALLS, "{}: it never ends", self.name);
                }
                assert!(skip > 1, "{}: {skip} calls only", self.name);
            }
        }
    }

    /// Lets one call fail; `false` when the operation does not make so many.
    fn strikes(&self, skip: usize, errno: Errno, lasting: bool) -> bool {
        let which = if lasting { "from call" } else { "call" };
        let what = format!("{}: {errno} at {which} {skip}", self.name);
        (self.lay_out)();
        let descriptors = open_descriptors();
        fault::arm(skip, errno as i32, lasting);
        let outcome = (self.call)();
        let struck = fault::disarm();
        println!("{what}: {outcome:?}");
        assert_eq!(open_descriptors(), descriptors, "{what}");
        match outcome {
            Ok(()) => {
                if struck && matches!(errno, Errno::ENOENT | Errno::EEXIST) {
                    // "Nothing is there" and "others are still in it" are answers, not failures; what
                    // was passed over for them is seen by the next call.
                    (self.call)().unwrap_or_else(|error| panic!("{what}: next call: {error}"));
                }
                (self.done)();
            }
            Err(error) => {
                assert!(struck, "{what}: {error}");
                let said =
                    error.raw_os_error().unwrap_or_else(|| panic!("{what}: no errno: {error}"));
                let text = errno_text(said).into_owned();
                assert!(error.to_string().ends_with(&text), "{what}: {error}");
                (self.failed)(!lasting);
                (self.call)().unwrap_or_else(|error| panic!("{what}: next call: {error}"));
                (self.done)();
            }
        }
        (self.tear_down)();
        struck
    }
}

fn check_user_files(layout: &Layout) {
    assert_eq!(fs::read_to_string(layout.volume.join("d/file")).unwrap(), "precious");
    assert_eq!(fs::read_to_string(layout.volume.join("f")).unwrap(), "precious");
    assert_eq!(fs::read_link(layout.volume.join("link")).unwrap(), Path::new("d"));
    for (name, mode) in [("d", 0o40711), ("d/file", 0o100_604), ("f", 0o100_640)] {
        assert_eq!(fs::metadata(layout.volume.join(name)).unwrap().mode(), mode, "{name}");
    }
}

fn lay_out_volume(layout: &Layout) {
    fs::create_dir_all(layout.volume.join("d")).unwrap();
    fs::write(layout.volume.join("d/file"), "precious").unwrap();
    fs::write(layout.volume.join("f"), "precious").unwrap();
    symlink("d", layout.volume.join("link")).unwrap();
    for (name, mode) in [("d", 0o711), ("d/file", 0o604), ("f", 0o640)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(layout.volume.join(name), mode).unwrap();
    }
}

/// The sub path, and nothing else, is bound on the target.
fn check_bound(layout: &Layout, sub_path: &str) {
    assert_eq!(layout.mounts_at(&layout.target()), 1);
    let id = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).unwrap();
    assert_eq!(id(&layout.target()), id(&layout.volume.join(sub_path)));
    for dir in layout.target().ancestors().skip(1).take(3) {
        assert_eq!(fs::metadata(dir).unwrap().mode() & 0o7777, 0o750, "{}", dir.display());
    }
    check_user_files(layout);
}

/// Takes the pod's sub paths away by hand.
fn tear_down(layout: &Layout) {
    while nix::mount::umount(&layout.target()).is_ok() {}
    check_user_files(layout);
    let all = layout.pod.join("volume-subpaths");
    if all.exists() {
        fs::remove_dir_all(all).unwrap();
    }
}

fn prepare<M: Mounter>(layout: &Layout, m: &M, sub_path: &str, profile: Profile) -> Result<()> {
    Subpather::with_mounter(m)
        .profile(profile)
        .prepare_safe_subpath(&layout.request(sub_path))
        .map(drop)
}

fn clean<M: Mounter>(layout: &Layout, m: &M, profile: Profile) -> Result<()> {
    Subpather::with_mounter(m).profile(profile).clean_sub_paths(&layout.pod, "vol")
}

/// Levels that are made, and what they are made in.
const MADE: [&str; 3] = ["new", "new/deep", "d/new"];

/// Makes directories that the umask leaves nothing of, and looks at each level that is there.
fn make_dirs(layout: &Layout, volume: &Path) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let check_modes = || {
        for made in MADE {
            if let Ok(dir) = fs::metadata(volume.join(made)) {
                assert_eq!(dir.mode(), 0o42775, "{made}: {:o}", dir.mode());
            }
        }
    };
    let forget = || {
        for made in ["new", "d/new"] {
            let _ = fs::remove_dir_all(volume.join(made)); // most often one is not there
        }
        check_user_files(layout);
    };
    for (name, sub_path) in [("new", "new/deep"), ("below a link", "link/new"), ("old", "d")] {
        Scenario {
            name,
            lay_out: &|| {},
            call: &|| {
                let mode = 0o775 | 0o2000;
                kernel(Profile::V137).safe_make_dir(sub_path, volume, mode)
            },
            done: &|| {
                assert!(volume.join(sub_path).is_dir());
                check_modes();
            },
            failed: &|once| {
                if once {
                    check_modes();
                }
                // Where every call fails, a level that cannot be given its mode cannot be removed either,
                // and would be taken for one that was there.
                forget();
            },
            tear_down: &forget,
        }
        .run();
    }
}

#[test]
fn safe_make_dir_survives_every_fault() {
    in_namespace("safe_make_dir_survives_every_fault", |layout| {
        lay_out_volume(layout);
        make_dirs(layout, &layout.volume);
        assert_eq!(fs::read_dir(&layout.outside).unwrap().count(), 0);
    });
}

#[test]
fn where_no_births_are_told_safe_make_dir_survives_every_fault_too() {
    in_namespace("where_no_births_are_told_safe_make_dir_survives_every_fault_too", |layout| {
        common::mount_ramfs(&layout.volume);
        lay_out_volume(layout);
        make_dirs(layout, &layout.volume);
    });
}

/// Something that is somebody's covers the directories of sub paths, with files where targets would be.
#[test]
fn what_covers_the_directories_of_sub_paths_survives_every_fault() {
    in_namespace("what_covers_the_directories_of_sub_paths_survives_every_fault", |layout| {
        lay_out_volume(layout);
        for above_target in [1, 2] {
            prepare(layout, &KernelMounter, "d", Profile::V137).unwrap();
            let target = layout.target();
            let covered = target.ancestors().nth(above_target).unwrap();
            mount_tmpfs(covered);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(&target, "somebody's").unwrap();
            for lasting in [false, true] {
                for errno in ERRNOS {
                    let mut skip = 0;
                    loop {
                        fault::arm(skip, errno as i32, lasting);
                        let outcome = clean(layout, &KernelMounter, Profile::V137);
                        let struck = fault::disarm();
                        let row = format!("{errno} at call {skip}, lasting {lasting}: {outcome:?}");
                        println!("{row}");
                        assert_eq!(fs::read_to_string(&target).unwrap(), "somebody's", "{row}");
                        assert_eq!(layout.mounts_at(covered), 1, "{row}");
                        if !struck {
                            assert_eq!(
                                outcome.unwrap_err().raw_os_error(),
                                Some(Errno::EBUSY as i32)
                            );
                            break;
                        }
                        skip += 1;
                    }
                    assert!(skip > 1, "{skip} calls only");
                }
            }
            nix::mount::umount(covered).unwrap();
            clean(layout, &KernelMounter, Profile::V137).unwrap();
        }
        check_user_files(layout);
    });
}

#[test]
fn prepare_survives_every_fault() {
    in_namespace("prepare_survives_every_fault", |layout| {
        lay_out_volume(layout);
        for profile in PROFILES {
            for sub_path in ["d", "f", "link"] {
                let bound = || check_bound(layout, sub_path);
                Scenario {
                    name: sub_path,
                    lay_out: &|| {},
                    call: &|| prepare(layout, &KernelMounter, sub_path, profile),
                    done: &bound,
                    failed: &|once| {
                        assert_eq!(layout.mounts_at(&layout.target()), 0);
                        // With nothing else amiss, what was made for the mount is taken away; the
                        // original too leaves directories when it gets no further than them.
                        let target = fs::symlink_metadata(layout.target());
                        assert!(!once || target.is_err(), "the target is left");
                        check_user_files(layout);
                    },
                    tear_down: &|| tear_down(layout),
                }
                .run();
            }
            Scenario {
                name: "already bound",
                lay_out: &|| prepare(layout, &KernelMounter, "d", profile).unwrap(),
                call: &|| prepare(layout, &KernelMounter, "d", profile),
                done: &|| check_bound(layout, "d"),
                failed: &|once| {
                    let mounts = layout.mounts_at(&layout.target());
                    assert!(mounts == 1 || mounts == 0 && !once, "{mounts} mounts");
                },
                tear_down: &|| tear_down(layout),
            }
            .run();
            Scenario {
                name: "something else is bound",
                lay_out: &|| {
                    prepare(layout, &KernelMounter, "d", profile).unwrap();
                    nix::mount::umount(&layout.target()).unwrap();
                    bind(&layout.outside, &layout.target());
                },
                call: &|| prepare(layout, &KernelMounter, "f", profile),
                done: &|| check_bound(layout, "f"),
                failed: &|_| assert!(layout.mounts_at(&layout.target()) <= 1),
                tear_down: &|| tear_down(layout),
            }
            .run();
        }
    });
}

#[test]
fn clean_survives_every_fault() {
    in_namespace("clean_survives_every_fault", |layout| {
        lay_out_volume(layout);
        for profile in PROFILES {
            for sub_path in ["d", "f"] {
                Scenario {
                    name: sub_path,
                    lay_out: &|| {
                        prepare(layout, &KernelMounter, sub_path, profile).unwrap();
                        // Beside it a leftover, and a mount on the mount.
                        fs::create_dir(layout.target().with_file_name("1")).unwrap();
                        bind(&layout.volume.join(sub_path), &layout.target());
                    },
                    call: &|| clean(layout, &KernelMounter, profile),
                    done: &|| {
                        check_user_files(layout);
                        assert_eq!(layout.left_in_pod(), Vec::<std::path::PathBuf>::new());
                    },
                    failed: &|_| check_user_files(layout),
                    tear_down: &|| tear_down(layout),
                }
                .run();
            }
        }
    });
}

#[test]
fn clean_up_by_path_survives_every_fault() {
    in_namespace("clean_up_by_path_survives_every_fault", |layout| {
        lay_out_volume(layout);
        for (sub_path, profile) in ["d", "f"].into_iter().zip(PROFILES) {
            Scenario {
                name: sub_path,
                lay_out: &|| {
                    prepare(layout, &KernelMounter, sub_path, profile).unwrap();
                    bind(&layout.volume.join(sub_path), &layout.target());
                },
                call: &|| {
                    let target = &layout.target();
                    subpath_mountinfo::cleanup_mount_point(&KernelMounter, target, true, profile)
                },
                done: &|| {
                    assert!(fs::symlink_metadata(layout.target()).is_err());
                    check_user_files(layout);
                },
                failed: &|_| check_user_files(layout),
                tear_down: &|| tear_down(layout),
            }
            .run();
        }
    });
}

#[test]
fn with_a_mounter_of_the_callers_own_they_survive_every_fault_too() {
    in_namespace("with_a_mounter_of_the_callers_own_they_survive_every_fault_too", |layout| {
        lay_out_volume(layout);
        for profile in PROFILES {
            let mounter = FakeMounter::new();
            let mounts = || mounter.list().unwrap().len();
            let forget = || {
                for mount in mounter.list().unwrap() {
                    mounter.unmount(subpath::Place::at(&mount.path)).unwrap();
                }
                tear_down(layout);
            };
            Scenario {
                name: "prepare",
                lay_out: &|| {},
                call: &|| prepare(layout, &mounter, "d", profile),
                done: &|| assert_eq!(mounts(), 1),
                failed: &|_| assert_eq!(mounts(), 0),
                tear_down: &forget,
            }
            .run();
            Scenario {
                name: "clean",
                lay_out: &|| prepare(layout, &mounter, "f", profile).unwrap(),
                call: &|| clean(layout, &mounter, profile),
                done: &|| {
                    check_user_files(layout);
                    // As with the original, a clean-up that failed at its very last step leaves
                    // an empty directory that the next one does not look at.
                    for left in layout.left_in_pod() {
                        assert_eq!(left, layout.pod.join("volume-subpaths"));
                        assert_eq!(fs::read_dir(left).unwrap().count(), 0);
                    }
                },
                failed: &|_| check_user_files(layout),
                tear_down: &forget,
            }
            .run();
        }
    });
}

/// A mount is there as it was asked for, or nothing is mounted.
#[test]
fn mounting_survives_every_fault() {
    in_namespace("mounting_survives_every_fault", |layout| {
        let (source, target) = (&layout.volume, &layout.outside);
        mount_tmpfs(source);
        let tmpfs = Mount::new("tmpfs", target).fs_type("tmpfs").options(["ro", "size=64k"]);
        let calls = [
            tmpfs.clone(),
            tmpfs.option("shared"),
            Mount::new(source, target).options(["bind", "ro"]),
            Mount::new(source, target).options(["bind", "ro", "private"]),
            Mount::new(source, target).options(["rbind", "ro"]),
        ];
        for call in &calls {
            // What is looked up once in a process's life is looked up here.
            call.mount().unwrap();
            unmount(target).unwrap();
            for (lasting, errno) in [false, true].into_iter().flat_map(|l| ERRNOS.map(|e| (l, e))) {
                let strikes = |skip| mount_strikes(layout, call, (skip, errno, lasting));
                let calls = (0..MOST_CALLS).take_while(|&skip| strikes(skip)).count();
                assert!((2..MOST_CALLS).contains(&calls), "{call:?}: {calls} calls");
            }
        }
    });
}

/// Lets one call fail, or all from it on; `false` when mounting does not make so many.
fn mount_strikes(layout: &Layout, call: &Mount, fault: (usize, Errno, bool)) -> bool {
    let (target, (skip, errno, lasting)) = (&layout.outside, fault);
    let what = format!("{call:?}: {errno} at call {skip}, lasting {lasting}");
    let descriptors = open_descriptors();
    fault::arm(skip, errno as i32, lasting);
    let outcome = call.mount();
    let struck = fault::disarm();
    println!("{what}: {outcome:?}");
    assert_eq!(open_descriptors(), descriptors, "{what}");
    match outcome {
        Ok(()) => {
            let mount = mount_at(target).unwrap().unwrap();
            assert!(mount.mount_options.contains("ro"), "{what}: {mount:?}");
            assert_eq!(layout.mounts_at(target), 1, "{what}");
            unmount(target).unwrap();
        }
        // Where every call fails, what was attached cannot be detached either.
        Err(error) if !lasting => {
            assert!(struck, "{what}: {error}");
            assert_eq!(layout.mounts_at(target), 0, "{what}: {error}");
        }
        Err(_) => while nix::mount::umount(target).is_ok() {},
    }
    struck
}
