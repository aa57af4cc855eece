//! Full disks, read-only volumes, files that are replaced, and directories that are covered, vanish,
//! may not be changed or have too long names: what is done is unanswered, and no user's file is lost.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use common::lines::at_line;
use common::{
    PROFILES, bind, clean, clean_leaves_nothing, clean_pod, in_namespace, in_namespace_over,
    kernel, make, mount_tmpfs, mounts_are_locked, open_descriptors, prepare, refused,
    with_locked_mounts,
};
use nix::errno::Errno;
use nix::mount::MsFlags;
use subpath::Profile;

#[test]
fn a_pods_directory_that_vanishes_under_the_call_stays_away() {
    in_namespace("a_pods_directory_that_vanishes_under_the_call_stays_away", |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        fs::write(layout.volume.join("d/file"), "precious").unwrap();
        let request = layout.request("d");
        let descriptors = open_descriptors();
        let pod = layout.pod.clone();
        let error = at_line("bind mounting", move || fs::remove_dir_all(&pod).unwrap())
            .run(|| kernel(Profile::V129).prepare_safe_subpath(&request))
            .unwrap_err();
        refused(&error, Errno::ENOENT, "error mounting");
        assert!(!layout.pod.exists());
        assert_eq!(layout.mounts_at(&layout.target()), 0);

        fs::create_dir(&layout.pod).unwrap();
        prepare(layout, "d").unwrap();
        let (target, pod) = (layout.target(), layout.pod.clone());
        at_line("Cleaning up subpath mounts for container app", move || {
            nix::mount::umount(&target).unwrap();
            fs::remove_dir_all(&pod).unwrap();
        })
        .run(|| clean(layout).unwrap());
        assert!(!layout.pod.exists());
        assert_eq!(open_descriptors(), descriptors);
        assert_eq!(fs::read_to_string(layout.volume.join("d/file")).unwrap(), "precious");
    });
}

#[test]
fn a_directory_that_a_clean_up_removes_under_the_call_is_made_again() {
    in_namespace("a_directory_that_a_clean_up_removes_under_the_call_is_made_again", |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        let times = Arc::new(AtomicUsize::new(0));
        let (counted, pod) = (Arc::clone(&times), layout.pod.clone());
        let cleaned = at_line("bind mounting", move || {
            if counted.fetch_add(1, SeqCst) < 5 {
                clean_pod(&pod).unwrap();
            }
        });
        cleaned.run(|| prepare(layout, "d")).unwrap();
        assert_eq!(times.load(SeqCst), 6);
        assert_eq!(layout.mounts_at(&layout.target()), 1);
        clean_leaves_nothing(layout);
    });
}

#[test]
fn a_stale_mount_that_a_clean_up_takes_away_under_the_call_is_no_error() {
    let name = "a_stale_mount_that_a_clean_up_takes_away_under_the_call_is_no_error";
    in_namespace(name, |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        fs::create_dir(layout.volume.join("e")).unwrap();
        prepare(layout, "d").unwrap();
        let times = Arc::new(AtomicUsize::new(0));
        let (counted, pod) = (Arc::clone(&times), layout.pod.clone());
        let cleaned = at_line("Subpath bind mount at", move || {
            counted.fetch_add(1, SeqCst);
            clean_pod(&pod).unwrap();
        });
        let request = layout.request("e");
        cleaned.run(|| kernel(Profile::V137).prepare_safe_subpath(&request)).unwrap();
        assert_eq!(times.load(SeqCst), 1);
        assert_eq!(layout.mounts_at(&layout.target()), 1);
        clean_leaves_nothing(layout);
    });
}

/// What a container's parent mounted, say. umount2(2) answers EINVAL for it, as for no mount point.
#[test]
fn a_mount_that_is_locked_is_an_error_at_once() {
    let name = "a_mount_that_is_locked_is_an_error_at_once";
    in_namespace(name, |layout| {
        if !mounts_are_locked() {
            fs::create_dir(layout.volume.join("d")).unwrap();
            fs::create_dir_all(layout.target()).unwrap();
            bind(&layout.outside, &layout.target());
        }
        with_locked_mounts(name, layout, |layout| {
            for profile in PROFILES {
                let times = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&times);
                // The newer profile logs each try.
                let tries = at_line("Subpath bind mount at", move || {
                    counted.fetch_add(1, SeqCst);
                });
                let request = layout.request("d");
                let error =
                    tries.run(|| kernel(profile).prepare_safe_subpath(&request)).unwrap_err();
                refused(&error, Errno::EINVAL, "mounting");
                let expected = if profile == Profile::V137 { 1..=3 } else { 0..=0 };
                let times = times.load(SeqCst);
                assert!(expected.contains(&times), "{times}");
                refused(&clean(layout).unwrap_err(), Errno::EBUSY, "error cleaning subpath mount");
                assert_eq!(layout.mounts_at(&layout.target()), 1);
            }
        });
    });
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_half_made() {
    in_namespace("a_full_disk_is_said_and_leaves_nothing_half_made", |layout| {
        let small = |path: &std::path::Path| {
            let flags = nix::mount::MsFlags::empty();
            let data = Some("nr_inodes=4");
            nix::mount::mount(Some("small"), path, Some("tmpfs"), flags, data).unwrap();
        };
        small(&layout.volume);
        let descriptors = open_descriptors();
        let error = make(layout, "1/2/3/4/5").unwrap_err();
        refused(&error, Errno::ENOSPC, "no space left on device");
        assert_eq!(open_descriptors(), descriptors);
        prepare(layout, "1").unwrap();
        clean_leaves_nothing(layout);

        small(&layout.pod);
        let error = prepare(layout, "1").unwrap_err();
        refused(&error, Errno::ENOSPC, "no space left on device");
        assert_eq!(layout.mounts_at(&layout.target()), 0);
        clean_leaves_nothing(layout);
    });
}

#[test]
fn a_read_only_volume_is_bound_read_only_and_said_when_it_is_to_change() {
    in_namespace("a_read_only_volume_is_bound_read_only_and_said_when_it_is_to_change", |layout| {
        use nix::mount::{MsFlags, mount};
        let none: Option<&str> = None;
        fs::create_dir(layout.volume.join("d")).unwrap();
        bind(&layout.volume, &layout.volume);
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        mount(none, &layout.volume, none, flags, none).unwrap();
        refused(&make(layout, "new").unwrap_err(), Errno::EROFS, "read-only file system");
        make(layout, "d").unwrap();
        prepare(layout, "d").unwrap();
        let error = fs::write(layout.target().join("file"), "").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::EROFS as i32));
        clean_leaves_nothing(layout);
    });
}

#[test]
fn a_file_that_was_replaced_is_bound_anew() {
    in_namespace("a_file_that_was_replaced_is_bound_anew", |layout| {
        // As a ConfigMap is updated: a new directory, and one rename of the link to it.
        use std::os::unix::fs::symlink;
        for round in ["1", "2", "3"] {
            fs::create_dir(layout.volume.join(round)).unwrap();
            fs::write(layout.volume.join(round).join("key"), round).unwrap();
            symlink(round, layout.volume.join("..data_tmp")).unwrap();
            fs::rename(layout.volume.join("..data_tmp"), layout.volume.join("..data")).unwrap();
            if round == "1" {
                symlink("..data/key", layout.volume.join("key")).unwrap();
            }
            prepare(layout, "key").unwrap();
            assert_eq!(layout.mounts_at(&layout.target()), 1);
            assert_eq!(fs::read_to_string(layout.target()).unwrap(), round);
        }
        clean_leaves_nothing(layout);
        assert_eq!(fs::read_to_string(layout.volume.join("1/key")).unwrap(), "1");
    });
}

#[test]
fn what_is_mounted_over_the_kubelets_own_directories_is_not_cleaned() {
    in_namespace("what_is_mounted_over_the_kubelets_own_directories_is_not_cleaned", |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        fs::create_dir_all(layout.outside.join("dir")).unwrap();
        fs::write(layout.outside.join("file"), "precious").unwrap();
        fs::write(layout.outside.join("dir/file"), "precious").unwrap();
        for level in ["volume-subpaths/vol/app", "volume-subpaths/vol", "volume-subpaths"] {
            prepare(layout, "d").unwrap();
            let covered = layout.pod.join(level);
            bind(&layout.outside, &covered);
            fs::create_dir_all(layout.outside.join("vol/app")).unwrap();
            fs::write(layout.outside.join("vol/app/0"), "precious").unwrap();
            let error = clean(layout).unwrap_err();
            refused(&error, Errno::EBUSY, "something else is mounted there");
            for file in ["file", "dir/file", "vol/app/0"] {
                let path = layout.outside.join(file);
                assert_eq!(fs::read_to_string(path).unwrap(), "precious", "{level}");
            }
            // The sub path is hidden below it, and cleaned once it is in sight again.
            nix::mount::umount(&covered).unwrap();
            clean_leaves_nothing(layout);
        }
    });
}

#[test]
fn a_mount_inside_a_sub_path_makes_it_busy_and_keeps_its_files() {
    in_namespace("a_mount_inside_a_sub_path_makes_it_busy_and_keeps_its_files", |layout| {
        fs::create_dir_all(layout.volume.join("d/inner")).unwrap();
        prepare(layout, "d").unwrap();
        let inner = layout.target().join("inner");
        mount_tmpfs(&inner);
        fs::write(inner.join("file"), "precious").unwrap();
        refused(&clean(layout).unwrap_err(), Errno::EBUSY, "device or resource busy");
        assert_eq!(fs::read_to_string(inner.join("file")).unwrap(), "precious");
        nix::mount::umount(&inner).unwrap();
        clean_leaves_nothing(layout);
    });
}

#[test]
fn paths_that_are_too_long_are_refused_before_anything_is_made() {
    in_namespace("paths_that_are_too_long_are_refused_before_anything_is_made", |layout| {
        let long_name = "n".repeat(256);
        for sub_path in ["a/b/".to_owned() + &long_name, "a/".repeat(2500)] {
            let error = make(layout, &sub_path).unwrap_err();
            refused(&error, Errno::ENAMETOOLONG, "file name too long");
            assert!(!layout.volume.join("a").exists());
        }
        fs::create_dir(layout.volume.join("d")).unwrap();
        let request = layout.builder().sub_path("d").container(&long_name).build().unwrap();
        let error = kernel(Profile::V129).prepare_safe_subpath(&request).unwrap_err();
        refused(&error, Errno::ENAMETOOLONG, "file name too long");
        assert_eq!(layout.left_in_pod(), Vec::<std::path::PathBuf>::new());

        // What no prepare can have made, there is nothing to clean of.
        prepare(layout, "d").unwrap();
        for volume_name in ["n".repeat(256), "n/".repeat(2500)] {
            let pod = &layout.pod;
            let (pod, name) = (pod.as_os_str().as_encoded_bytes(), volume_name.as_bytes());
            let error = subpath::internal::native::clean_sub_paths(pod, name, Profile::V129);
            refused(&error.unwrap_err(), Errno::ENAMETOOLONG, "file name too long");
            assert_eq!(layout.mounts_at(&layout.target()), 1);
        }
        clean_leaves_nothing(layout);
    });
}

/// Whether chattr(1) can make files of this file system immutable: not without
/// `CAP_LINUX_IMMUTABLE`, and tmpfs before kernel 6.6 has no such files.
fn immutable(path: &std::path::Path, yes: bool) -> bool {
    let how = if yes { "+i" } else { "-i" };
    let output = std::process::Command::new("chattr").arg(how).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn immutable_files_are_bound_and_kept_and_what_they_forbid_is_said() {
    in_namespace("immutable_files_are_bound_and_kept_and_what_they_forbid_is_said", |layout| {
        let volume = |name: &str| layout.volume.join(name);
        fs::create_dir(volume("d")).unwrap();
        fs::write(volume("f"), "precious").unwrap();
        if !immutable(&volume("f"), true) {
            return common::not_run("chattr +i fails here", "immutable files");
        }
        immutable(&volume("d"), true);
        for name in ["d", "f"] {
            prepare(layout, name).unwrap();
            clean_leaves_nothing(layout);
        }
        refused(&make(layout, "d/new").unwrap_err(), Errno::EPERM, "operation not permitted");
        assert_eq!(fs::read_to_string(volume("f")).unwrap(), "precious");

        // A target, and then the directory that holds it, that somebody made immutable.
        for (sub_path, place) in [("f", layout.target()), ("d", layout.pod.clone())] {
            prepare(layout, sub_path).unwrap();
            nix::mount::umount(&layout.target()).unwrap();
            immutable(&place, true);
            let error = clean(layout).unwrap_err();
            refused(&error, Errno::EPERM, "operation not permitted");
            immutable(&place, false);
            clean_leaves_nothing(layout);
        }
        immutable(&volume("d"), false);
        immutable(&volume("f"), false);
    });
}

#[test]
fn a_process_that_runs_in_a_sub_path_makes_it_busy_until_it_ends() {
    in_namespace("a_process_that_runs_in_a_sub_path_makes_it_busy_until_it_ends", |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        fs::write(layout.volume.join("d/file"), "precious").unwrap();
        for profile in PROFILES {
            prepare(layout, "d").unwrap();
            let mut sleeper = std::process::Command::new("sleep");
            let mut running = sleeper.arg("100").current_dir(layout.target()).spawn().unwrap();
            let pod = &layout.pod;
            let busy = kernel(profile).clean_sub_paths(pod, "vol");
            refused(&busy.unwrap_err(), Errno::EBUSY, "device or resource busy");
            assert_eq!(layout.mounts_at(&layout.target()), 1);
            assert_eq!(fs::read_to_string(layout.target().join("file")).unwrap(), "precious");
            running.kill().unwrap();
            running.wait().unwrap();
            clean_leaves_nothing(layout);
        }
        assert_eq!(fs::read_to_string(layout.volume.join("d/file")).unwrap(), "precious");
    });
}

#[test]
fn a_hundred_thousand_leftovers_are_removed() {
    // The number of entries is what counts here, not how they are asked about.
    in_namespace_over(&[""], "a_hundred_thousand_leftovers_are_removed", |layout| {
        // By default a tmpfs holds half as many files as the machine has pages, which may be large.
        let none: Option<&str> = None;
        let (flags, files) = (MsFlags::MS_REMOUNT, Some("nr_inodes=200000"));
        nix::mount::mount(none, &layout.root, none, flags, files).unwrap();
        let container = layout.target().parent().unwrap().to_path_buf();
        fs::create_dir_all(&container).unwrap();
        for i in 0..100_000 {
            if i % 2 == 0 {
                fs::create_dir(container.join(i.to_string())).unwrap();
            } else {
                fs::write(container.join(i.to_string()), "").unwrap();
            }
        }
        let descriptors = open_descriptors();
        clean_leaves_nothing(layout);
        assert_eq!(open_descriptors(), descriptors);
    });
}
