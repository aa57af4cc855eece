//! Prepare and clean on real mounts, with the kernel's mounter.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Barrier, Mutex};

use common::lines::at_line;
use common::{
    PROFILES, bind, clean, clean_leaves_nothing, in_namespace, kernel, mount_tmpfs,
    open_descriptors, prepare,
};
use nix::libc;
use subpath::Profile;

#[test]
fn a_directory_is_bound_and_taken_away() {
    in_namespace("a_directory_is_bound_and_taken_away", |layout| {
        fs::create_dir_all(layout.volume.join("a/b")).unwrap();
        fs::write(layout.volume.join("a/b/file"), "content").unwrap();
        let descriptors = open_descriptors();
        let target = prepare(layout, "a/b").unwrap();
        assert_eq!(target, layout.target());
        assert_eq!(fs::read_to_string(layout.target().join("file")).unwrap(), "content");
        assert_eq!(layout.mounts_at(&layout.target()), 1);
        clean_leaves_nothing(layout);
        assert_eq!(fs::read_to_string(layout.volume.join("a/b/file")).unwrap(), "content");
        assert_eq!(open_descriptors(), descriptors);
    });
}

#[test]
fn every_kind_of_file_is_bound() {
    in_namespace("every_kind_of_file_is_bound", |layout| {
        fs::write(layout.volume.join("file"), "content").unwrap();
        let fifo = layout.volume.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _listener =
            std::os::unix::net::UnixListener::bind(layout.volume.join("socket")).unwrap();
        bind(Path::new("/dev/null"), &{
            fs::write(layout.volume.join("device"), "").unwrap();
            layout.volume.join("device")
        });
        for name in ["file", "fifo", "socket", "device"] {
            prepare(layout, name).unwrap();
            let (bound, original) = (
                fs::symlink_metadata(layout.target()).unwrap(),
                fs::symlink_metadata(layout.volume.join(name)).unwrap(),
            );
            assert_eq!((bound.dev(), bound.ino()), (original.dev(), original.ino()), "{name}");
            clean_leaves_nothing(layout);
        }
        assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
        assert_eq!(fs::read_to_string(layout.volume.join("file")).unwrap(), "content");
    });
}

#[test]
fn preparing_twice_mounts_once() {
    in_namespace("preparing_twice_mounts_once", |layout| {
        fs::create_dir(layout.volume.join("a")).unwrap();
        assert_eq!(prepare(layout, "a").unwrap(), prepare(layout, "a").unwrap());
        assert_eq!(layout.mounts_at(&layout.target()), 1);
        clean_leaves_nothing(layout);
    });
}

#[test]
fn something_else_that_is_mounted_is_replaced() {
    in_namespace("something_else_that_is_mounted_is_replaced", |layout| {
        for profile in PROFILES {
            fs::create_dir_all(layout.volume.join("a")).unwrap();
            fs::create_dir_all(layout.target()).unwrap();
            mount_tmpfs(&layout.target());
            mount_tmpfs(&layout.target());
            // Whoever still uses the old mount does not hold the new one up.
            let _in_use = fs::File::open(layout.target()).unwrap();
            let request = layout.request("a");
            kernel(profile).prepare_safe_subpath(&request).unwrap();
            assert_eq!(layout.mounts_at(&layout.target()), 1);
            let bound = fs::metadata(layout.target()).unwrap();
            assert_eq!(bound.ino(), fs::metadata(layout.volume.join("a")).unwrap().ino());
            clean_leaves_nothing(layout);
        }
    });
}

#[test]
fn the_target_changes_from_directory_to_file_and_back() {
    in_namespace("the_target_changes_from_directory_to_file_and_back", |layout| {
        fs::create_dir(layout.volume.join("dir")).unwrap();
        fs::write(layout.volume.join("file"), "content").unwrap();
        for name in ["dir", "file", "dir", "file"] {
            prepare(layout, name).unwrap();
            assert_eq!(layout.mounts_at(&layout.target()), 1, "{name}");
        }
        clean_leaves_nothing(layout);
        assert_eq!(fs::read_to_string(layout.volume.join("file")).unwrap(), "content");
    });
}

#[test]
fn a_file_that_another_caller_bound_is_not_emptied() {
    in_namespace("a_file_that_another_caller_bound_is_not_emptied", |layout| {
        fs::write(layout.volume.join("file"), "precious").unwrap();
        let barrier = Barrier::new(8);
        for _ in 0..20 {
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        barrier.wait();
                        prepare(layout, "file").unwrap();
                    });
                }
            });
            assert_eq!(layout.mounts_at(&layout.target()), 1);
            clean_leaves_nothing(layout);
        }
        assert_eq!(fs::read_to_string(layout.volume.join("file")).unwrap(), "precious");
    });
}

#[test]
fn callers_that_prepare_and_clean_one_sub_path_at_once_meet_no_other_error_than_each_others_mounts()
{
    let name = "callers_that_prepare_and_clean_one_sub_path_at_once_meet_no_other_error_than_each_others_mounts";
    in_namespace(name, |layout| {
        for sub_path in ["d", "e"] {
            fs::create_dir(layout.volume.join(sub_path)).unwrap();
            fs::write(layout.volume.join(sub_path).join("file"), "precious").unwrap();
        }
        std::thread::scope(|scope| {
            for number in 0..6 {
                scope.spawn(move || {
                    for round in 0..200 {
                        let profile = PROFILES[round % 2];
                        let request = layout.request(["d", "e"][(number + round / 2) % 2]);
                        kernel(profile).prepare_safe_subpath(&request).unwrap();
                        match clean(layout) {
                            Ok(()) => {}
                            // Somebody is just mounting on the target, or made another.
                            Err(error) => assert!(
                                matches!(error.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY)),
                                "{error}"
                            ),
                        }
                    }
                });
            }
        });
        clean_leaves_nothing(layout);
        for sub_path in ["d", "e"] {
            let file = layout.volume.join(sub_path).join("file");
            assert_eq!(fs::read_to_string(file).unwrap(), "precious");
        }
    });
}

#[test]
fn stacked_mounts_are_all_taken_away() {
    in_namespace("stacked_mounts_are_all_taken_away", |layout| {
        let source = layout.volume.join("a");
        fs::create_dir(&source).unwrap();
        prepare(layout, "a").unwrap();
        bind(&source, &layout.target());
        mount_tmpfs(&layout.target());
        assert_eq!(layout.mounts_at(&layout.target()), 3);
        clean_leaves_nothing(layout);
    });
}

#[test]
fn a_mount_whose_source_was_deleted_is_taken_away() {
    in_namespace("a_mount_whose_source_was_deleted_is_taken_away", |layout| {
        for name in ["dir", "file"] {
            let source = layout.volume.join(name);
            if name == "dir" {
                fs::create_dir(&source).unwrap();
            } else {
                fs::write(&source, "").unwrap();
            }
            prepare(layout, name).unwrap();
            fs::rename(&source, layout.volume.join("gone")).unwrap();
            let _ = fs::remove_dir(layout.volume.join("gone"));
            let _ = fs::remove_file(layout.volume.join("gone"));
            assert!(fs::read_to_string("/proc/self/mountinfo").unwrap().contains("//deleted"));
            clean_leaves_nothing(layout);
        }
    });
}

#[test]
fn a_mount_in_use_is_said_to_be_busy_and_cleaned_later() {
    in_namespace("a_mount_in_use_is_said_to_be_busy_and_cleaned_later", |layout| {
        fs::create_dir(layout.volume.join("a")).unwrap();
        prepare(layout, "a").unwrap();
        let in_use = fs::File::open(layout.target()).unwrap();
        let error = clean(layout).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::EBUSY as i32));
        assert!(error.to_string().ends_with("device or resource busy"), "{error}");
        assert_eq!(layout.mounts_at(&layout.target()), 1);
        drop(in_use);
        clean_leaves_nothing(layout);
    });
}

#[test]
fn a_symlink_as_target_is_replaced_and_what_it_points_to_is_left_alone() {
    in_namespace("a_symlink_as_target_is_replaced_and_what_it_points_to_is_left_alone", |layout| {
        fs::write(layout.outside.join("file"), "precious").unwrap();
        fs::write(layout.volume.join("file"), "content").unwrap();
        fs::create_dir_all(layout.target().parent().unwrap()).unwrap();
        symlink(layout.outside.join("file"), layout.target()).unwrap();
        prepare(layout, "file").unwrap();
        assert_eq!(layout.mounts_at(&layout.target()), 1);
        clean_leaves_nothing(layout);

        mount_tmpfs(&layout.outside);
        fs::write(layout.outside.join("file"), "precious").unwrap();
        fs::create_dir_all(layout.target().parent().unwrap()).unwrap();
        symlink(&layout.outside, layout.target()).unwrap();
        clean_leaves_nothing(layout);
        assert_eq!(fs::read_to_string(layout.outside.join("file")).unwrap(), "precious");
    });
}

#[test]
fn a_symlink_below_the_pods_directory_is_never_followed() {
    in_namespace("a_symlink_below_the_pods_directory_is_never_followed", |layout| {
        fs::create_dir(layout.volume.join("a")).unwrap();
        for level in ["volume-subpaths", "volume-subpaths/vol", "volume-subpaths/vol/app"] {
            let link = layout.pod.join(level);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(&layout.outside, &link).unwrap();
            let error = prepare(layout, "a").unwrap_err();
            assert!(error.to_string().contains("not a directory"), "{error}");
            let _ = clean(layout);
            assert_eq!(fs::read_dir(&layout.outside).unwrap().count(), 0, "{level}");
            fs::remove_file(&link).unwrap();
            let _ = fs::remove_dir_all(layout.pod.join("volume-subpaths"));
        }
    });
}

#[test]
fn a_symlink_in_the_volume_that_leaves_it_is_refused() {
    in_namespace("a_symlink_in_the_volume_that_leaves_it_is_refused", |layout| {
        fs::create_dir(layout.outside.join("secret")).unwrap();
        symlink(&layout.outside, layout.volume.join("link")).unwrap();
        let error = prepare(layout, "link/secret").unwrap_err();
        assert!(error.to_string().contains("not within volume path"), "{error}");
        // One that leaves the volume and comes back is allowed.
        fs::create_dir(layout.volume.join("a")).unwrap();
        symlink(layout.volume.join("a"), layout.outside.join("back")).unwrap();
        prepare(layout, "link/back").unwrap();
        clean_leaves_nothing(layout);
    });
}

#[test]
fn leftovers_are_removed_and_users_files_kept() {
    in_namespace("leftovers_are_removed_and_users_files_kept", |layout| {
        fs::create_dir_all(layout.volume.join("a")).unwrap();
        prepare(layout, "a").unwrap();
        let container = layout.target().parent().unwrap().to_path_buf();
        fs::write(container.join("7"), "").unwrap();
        fs::create_dir(container.join("8")).unwrap();
        clean_leaves_nothing(layout);

        // A directory with something in it is nobody's leftover.
        fs::create_dir_all(container.join("9/kept")).unwrap();
        let error = clean(layout).unwrap_err();
        assert!(error.to_string().ends_with("directory not empty"), "{error}");
        assert!(container.join("9/kept").exists());
    });
}

#[test]
fn callers_that_make_directories_at_once_give_each_its_mode() {
    in_namespace("callers_that_make_directories_at_once_give_each_its_mode", |layout| {
        // Nobody is left anything, so that a mode that was not set shows.
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o777));
        let (barrier, volume) = (Barrier::new(8), &layout.volume);
        for round in 0..40 {
            let made = |name: &str| format!("{round}/shared/{name}");
            std::thread::scope(|scope| {
                for caller in 0..8 {
                    let (barrier, volume, path) =
                        (&barrier, &volume, made(["one/two", "two/one"][caller % 2]));
                    scope.spawn(move || {
                        barrier.wait();
                        let mode = 0o775;
                        kernel(Profile::V137).safe_make_dir(path, volume, mode).unwrap();
                    });
                }
            });
            for name in ["", "one", "one/two", "two", "two/one", ".."] {
                let mode = fs::metadata(layout.volume.join(made(name))).unwrap().mode();
                assert_eq!(mode & 0o7777, 0o775, "round {round}: {name:?}");
            }
        }
    });
}

#[test]
fn modes_are_the_originals() {
    in_namespace("modes_are_the_originals", |layout| {
        fs::write(layout.volume.join("file"), "").unwrap();
        let old = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
        prepare(layout, "file").unwrap();
        nix::sys::stat::umask(old);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&layout.pod.join("volume-subpaths")), 0o750);
        assert_eq!(mode(layout.target().parent().unwrap()), 0o750);
        nix::mount::umount(&layout.target()).unwrap();
        assert_eq!(mode(&layout.target()), 0o640);
        clean_leaves_nothing(layout);
    });
}

#[test]
fn a_new_directory_has_the_mode_that_was_asked_for() {
    in_namespace("a_new_directory_has_the_mode_that_was_asked_for", |layout| {
        use nix::sys::stat::{Mode, umask};
        let volume = &layout.volume;
        for parents in [0o755, 0o2775, 0o1777] {
            for taken in [0o000, 0o022, 0o077, 0o777] {
                for (wanted, mode) in [
                    (0o750, 0o750),
                    (0o777, 0o777),
                    (0o700, 0o700),
                    (0o770 | 0o2000, 0o2770),
                    (0o777 | 0o1000, 0o1777),
                ] {
                    let row = format!("{mode:o} in {parents:o}, umask {taken:o}");
                    let parent = layout.volume.join("parent");
                    fs::create_dir(&parent).unwrap();
                    fs::set_permissions(&parent, fs::Permissions::from_mode(parents)).unwrap();
                    let old = umask(Mode::from_bits_truncate(taken));
                    let made = kernel(Profile::V129).safe_make_dir("parent/a/b", volume, wanted);
                    umask(old);
                    made.unwrap();
                    for dir in [parent.join("a"), parent.join("a/b")] {
                        let is = fs::metadata(dir).unwrap().permissions().mode() & 0o7777;
                        assert_eq!(is, mode, "{row}: {is:o}");
                    }
                    fs::remove_dir_all(parent).unwrap();
                }
            }
        }
    });
}

/// A process that another thread is just starting holds a copy of the descriptor by which the mount
/// was made.
#[test]
fn a_mount_that_is_busy_for_a_moment_is_unmounted_all_the_same() {
    in_namespace("a_mount_that_is_busy_for_a_moment_is_unmounted_all_the_same", |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        prepare(layout, "d").unwrap();
        let held = Mutex::new(Some(fs::File::open(layout.target()).unwrap()));
        let line = format!("Unmounting {} again, it is busy", layout.target().display());
        let closes = at_line(line.leak(), move || drop(held.lock().unwrap().take()));
        closes.run(|| clean_leaves_nothing(layout));
    });
}
