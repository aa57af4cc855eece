//! Dead, hung and refusing file systems under a volume, a sub path, a target and a pod's directory:
//! nothing waits that need not, nothing is claimed that is not so, and no user's file is lost.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

use common::fuse::{Fuse, op};
use common::{
    BACKENDS, BACKENDS_WITH_STATX, Layout, PROFILES, bind, clean, clean_leaves_nothing, kernel,
    make, mount_tmpfs, open_descriptors, prepare, refused, with_fuse,
};
use nix::errno::Errno;
use subpath::{Features, Profile, Subpath};

/// A volume served by FUSE with a directory `d` and a file `f`.
fn served(layout: &Layout) -> Fuse {
    let server = Fuse::mount(&layout.volume, "");
    server.add_directory("d");
    server.add_file("f");
    server
}

#[test]
fn a_volume_whose_server_is_dead_is_refused_and_leaves_nothing() {
    with_fuse(&BACKENDS, "a_volume_whose_server_is_dead_is_refused_and_leaves_nothing", |layout| {
        served(layout).die();
        let descriptors = open_descriptors();
        let gone = "transport endpoint is not connected";
        refused(&prepare(layout, "d").unwrap_err(), Errno::ENOTCONN, gone);
        refused(&make(layout, "new").unwrap_err(), Errno::ENOTCONN, gone);
        assert_eq!(layout.left_in_pod(), Vec::<std::path::PathBuf>::new());
        assert_eq!(open_descriptors(), descriptors);
        clean(layout).unwrap();
    });
}

#[test]
fn a_target_whose_server_is_dead_is_taken_away() {
    with_fuse(&BACKENDS, "a_target_whose_server_is_dead_is_taken_away", |layout| {
        for name in ["d", "f"] {
            let mut server = served(layout);
            prepare(layout, name).unwrap();
            server.die();
            assert!(fs::metadata(layout.target()).is_err());
            clean_leaves_nothing(layout);
            nix::mount::umount(&layout.volume).unwrap();
        }
    });
}

#[test]
fn a_target_whose_server_was_restarted_is_bound_anew() {
    with_fuse(&BACKENDS, "a_target_whose_server_was_restarted_is_bound_anew", |layout| {
        for profile in PROFILES {
            let mut first = served(layout);
            let request = layout.request("d");
            kernel(profile).prepare_safe_subpath(&request).unwrap();
            // Whoever still uses the dead mount does not hold the new one up.
            let _in_use = fs::File::open(layout.target()).unwrap();
            first.die();
            nix::mount::umount(&layout.volume).unwrap();
            let _second = served(layout);
            kernel(profile).prepare_safe_subpath(&request).unwrap();
            assert_eq!(layout.mounts_at(&layout.target()), 1);
            assert!(fs::metadata(layout.target()).unwrap().is_dir());
            clean_leaves_nothing(layout);
            nix::mount::umount(&layout.volume).unwrap();
        }
    });
}

#[test]
fn a_target_whose_source_was_replaced_on_the_server_is_bound_anew() {
    let name = "a_target_whose_source_was_replaced_on_the_server_is_bound_anew";
    with_fuse(&BACKENDS, name, |layout| {
        for (profile, name) in PROFILES.into_iter().flat_map(|p| [(p, "d"), (p, "f")]) {
            let server = served(layout);
            let request = layout.request(name);
            let prepare = || kernel(profile).prepare_safe_subpath(&request);
            prepare().unwrap();
            // Device and inode number stay, and so does what the kernel remembers.
            server.replace(name);
            let stale = fs::metadata(layout.target()).unwrap_err();
            assert_eq!(stale.raw_os_error(), Some(Errno::ESTALE as i32));
            for _ in 0..2 {
                prepare().unwrap();
                assert_eq!(layout.mounts_at(&layout.target()), 1);
                fs::metadata(layout.target()).unwrap();
            }
            clean_leaves_nothing(layout);
            drop(server);
            nix::mount::umount(&layout.volume).unwrap();
        }
    });
}

#[test]
fn a_target_that_is_no_worse_than_its_source_stays() {
    with_fuse(&BACKENDS, "a_target_that_is_no_worse_than_its_source_stays", |layout| {
        for profile in PROFILES {
            let server = served(layout);
            server.be_remembered();
            let request = layout.request("d");
            let prepare = || kernel(profile).prepare_safe_subpath(&request);
            prepare().unwrap();
            let table = || fs::read("/proc/thread-self/mountinfo").unwrap();
            let before = table();
            // While it is in use no other mount gets its number.
            let in_use = fs::File::open(layout.target()).unwrap();
            server.fail_op(op::GETATTR, Errno::EIO);
            prepare().unwrap();
            assert_eq!(table(), before, "it was bound anew");
            drop(in_use);
            clean_leaves_nothing(layout);
            drop(server);
            nix::mount::umount(&layout.volume).unwrap();
        }
    });
}

#[test]
fn a_target_whose_server_hangs_is_taken_away_without_asking_it() {
    with_fuse(&BACKENDS, "a_target_whose_server_hangs_is_taken_away_without_asking_it", |layout| {
        for name in ["d", "f"] {
            let server = served(layout);
            prepare(layout, name).unwrap();
            server.hang();
            let asked = server.asked();
            clean_leaves_nothing(layout);
            assert_eq!(server.asked(), asked);
            drop(server);
            nix::mount::umount(&layout.volume).unwrap();
        }
    });
}

#[test]
fn a_target_whose_server_hangs_is_replaced_without_asking_it() {
    let name = "a_target_whose_server_hangs_is_replaced_without_asking_it";
    with_fuse(&BACKENDS_WITH_STATX, name, |layout| {
        if !Features::get().statx {
            return common::not_run("there is no statx(2) here", name);
        }
        for profile in PROFILES {
            let server = served(layout);
            prepare(layout, "d").unwrap();
            server.hang();
            let asked = server.asked();
            // The volume is a healthy one now.
            nix::mount::umount2(&layout.volume, nix::mount::MntFlags::MNT_DETACH).unwrap();
            fs::create_dir_all(layout.volume.join("d")).unwrap();
            let request = layout.request("d");
            kernel(profile).prepare_safe_subpath(&request).unwrap();
            assert_eq!(server.asked(), asked);
            assert_eq!(layout.mounts_at(&layout.target()), 1);
            let inode = |path| fs::metadata(path).unwrap().ino();
            assert_eq!(inode(layout.target()), inode(layout.volume.join("d")));
            clean_leaves_nothing(layout);
        }
    });
}

/// One caller waits for the server in a prepare of `d`; meanwhile another volume of the same pod is
/// prepared and cleaned, and this one cleaned.
fn waiting_holds_nobody_else_up(layout: &Layout, mut server: Fuse) {
    server.hang();
    let asked = server.asked();
    let came_back = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let outcome = prepare(layout, "d");
            came_back.store(true, Ordering::SeqCst);
            outcome
        });
        while server.asked() == asked {
            std::thread::yield_now();
        }
        fs::create_dir(layout.outside.join("d")).unwrap();
        let other = Subpath::builder()
            .volume("other", &layout.outside)
            .sub_path("d")
            .pod_dir(&layout.pod)
            .container("app")
            .build()
            .unwrap();
        kernel(Profile::V129).prepare_safe_subpath(&other).unwrap();
        let pod = &layout.pod;
        kernel(Profile::V129).clean_sub_paths(pod, "other").unwrap();
        clean_leaves_nothing(layout);
        assert!(!came_back.load(Ordering::SeqCst));
        // It ends with the server, and leaves nothing.
        server.die();
        assert!(waiting.join().unwrap().is_err());
    });
    assert_eq!(layout.left_in_pod(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn who_waits_for_a_hung_volume_holds_nobody_else_up() {
    with_fuse(&BACKENDS, "who_waits_for_a_hung_volume_holds_nobody_else_up", |layout| {
        let server = served(layout);
        prepare(layout, "d").unwrap();
        waiting_holds_nobody_else_up(layout, server);
    });
}

#[test]
fn who_waits_for_a_hung_sub_path_holds_nobody_else_up() {
    with_fuse(&BACKENDS, "who_waits_for_a_hung_sub_path_holds_nobody_else_up", |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        let server = Fuse::mount(&layout.volume.join("d"), "");
        prepare(layout, "d").unwrap();
        waiting_holds_nobody_else_up(layout, server);
    });
}

#[test]
fn a_sub_path_whose_server_is_dead_is_refused_and_its_mount_taken_away() {
    let name = "a_sub_path_whose_server_is_dead_is_refused_and_its_mount_taken_away";
    with_fuse(&BACKENDS, name, |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        fs::write(layout.volume.join("file"), "precious").unwrap();
        for mounted_before in [false, true] {
            let mut server = Fuse::mount(&layout.volume.join("d"), "");
            if mounted_before {
                prepare(layout, "d").unwrap();
            }
            server.die();
            let descriptors = open_descriptors();
            for profile in PROFILES {
                let request = layout.request("d");
                let refusal = kernel(profile).prepare_safe_subpath(&request);
                let gone = "transport endpoint is not connected";
                refused(&refusal.unwrap_err(), Errno::ENOTCONN, gone);
                assert_eq!(layout.mounts_at(&layout.target()), usize::from(mounted_before));
                assert_eq!(open_descriptors(), descriptors);
            }
            clean_leaves_nothing(layout);
            nix::mount::umount(&layout.volume.join("d")).unwrap();
        }
        assert_eq!(fs::read_to_string(layout.volume.join("file")).unwrap(), "precious");
    });
}

#[test]
fn a_stack_of_broken_mounts_is_taken_away_to_the_last_and_nothing_below_touched() {
    let name = "a_stack_of_broken_mounts_is_taken_away_to_the_last_and_nothing_below_touched";
    with_fuse(&BACKENDS, name, |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        fs::write(layout.volume.join("d/file"), "precious").unwrap();
        prepare(layout, "d").unwrap();
        // Each hides the ones below it, and each is another that does not answer well.
        Fuse::mount(&layout.target(), "").die();
        mount_tmpfs(&layout.target());
        let hung = Fuse::mount(&layout.target(), "");
        hung.hang();
        bind(&layout.volume, &layout.target());
        let refusing = Fuse::mount(&layout.target(), "");
        refusing.fail(Errno::ESTALE);
        assert_eq!(layout.mounts_at(&layout.target()), 6);
        clean_leaves_nothing(layout);
        assert_eq!((hung.asked(), refusing.asked()), (0, 0));
        assert_eq!(fs::read_to_string(layout.volume.join("d/file")).unwrap(), "precious");
    });
}

#[test]
fn a_stale_or_refusing_target_is_taken_away_whatever_its_server_answers() {
    let name = "a_stale_or_refusing_target_is_taken_away_whatever_its_server_answers";
    with_fuse(&BACKENDS, name, |layout| {
        let server = served(layout);
        for errno in [
            Errno::ESTALE,
            Errno::ETIMEDOUT,
            Errno::EPERM,
            Errno::EACCES,
            Errno::EHOSTUNREACH,
            Errno::EIO,
            Errno::ENOENT,
            Errno::EINVAL,
            Errno::EINTR,
        ] {
            for sub_path in ["d", "f"] {
                prepare(layout, sub_path).unwrap();
                server.fail(errno);
                clean_leaves_nothing(layout);
                server.serve();
            }
        }
    });
}

#[test]
fn a_volume_whose_server_refuses_is_refused_with_its_errno() {
    with_fuse(&BACKENDS, "a_volume_whose_server_refuses_is_refused_with_its_errno", |layout| {
        let server = served(layout);
        let descriptors = open_descriptors();
        for errno in [
            Errno::ESTALE,
            Errno::ETIMEDOUT,
            Errno::EPERM,
            Errno::EACCES,
            Errno::EHOSTUNREACH,
            Errno::EIO,
            // One that is answered for ever is no interruption.
            Errno::EINTR,
        ] {
            server.fail(errno);
            refused(&prepare(layout, "d").unwrap_err(), errno, "error resolving symlinks in");
            assert_eq!(make(layout, "x/y").unwrap_err().raw_os_error(), Some(errno as i32));
            assert_eq!(layout.left_in_pod(), Vec::<std::path::PathBuf>::new());
            assert_eq!(open_descriptors(), descriptors);
        }
        server.serve();
        prepare(layout, "d").unwrap();
        clean_leaves_nothing(layout);
    });
}

#[test]
fn a_volume_of_another_user_is_taken_away_though_it_may_not_be_looked_at() {
    let name = "a_volume_of_another_user_is_taken_away_though_it_may_not_be_looked_at";
    with_fuse(&BACKENDS, name, |layout| {
        // FUSE answers EACCES to everybody but its owner. Where this process may become no other
        // user, in a user namespace with one user, the next best is a server that answers it.
        let source = layout.outside.join("fuse");
        fs::create_dir(&source).unwrap();
        let map = fs::read_to_string("/proc/self/uid_map").unwrap();
        let one_user = map.split_whitespace().nth(2) == Some("1");
        let owner = if one_user { "" } else { ",user_id=1000,group_id=1000" };
        let server = Fuse::mount(&source, owner);
        if one_user {
            server.fail(Errno::EACCES);
        }
        fs::create_dir_all(layout.target()).unwrap();
        bind(&source, &layout.target());
        assert_eq!(fs::metadata(layout.target()).unwrap_err().raw_os_error(), Some(13));
        clean_leaves_nothing(layout);

        fs::create_dir_all(layout.target()).unwrap();
        bind(&source, &layout.target());
        fs::create_dir(layout.volume.join("d")).unwrap();
        prepare(layout, "d").unwrap();
        assert_eq!(layout.mounts_at(&layout.target()), 1);
        assert!(fs::metadata(layout.target()).is_ok());
        clean_leaves_nothing(layout);
    });
}

#[test]
fn a_source_that_the_server_deleted_is_taken_away_or_replaced() {
    with_fuse(&BACKENDS, "a_source_that_the_server_deleted_is_taken_away_or_replaced", |layout| {
        let server = served(layout);
        prepare(layout, "d").unwrap();
        server.delete("d");
        assert!(fs::metadata(layout.target()).is_err());
        clean_leaves_nothing(layout);

        prepare(layout, "f").unwrap();
        server.delete("f");
        server.add_directory("e");
        prepare(layout, "e").unwrap();
        assert_eq!(layout.mounts_at(&layout.target()), 1);
        assert!(fs::metadata(layout.target()).unwrap().is_dir());
        clean_leaves_nothing(layout);
    });
}

#[test]
fn a_server_that_lists_entries_for_ever_does_not_hold_a_new_directory_up() {
    let name = "a_server_that_lists_entries_for_ever_does_not_hold_a_new_directory_up";
    with_fuse(&BACKENDS, name, |layout| {
        let server = served(layout);
        server.list_without_end();
        make(layout, "d/new/deeper").unwrap();
        assert!(server.has("d/new/deeper"));
    });
}

#[test]
fn a_full_quota_is_said_and_leaves_nothing_half_made() {
    with_fuse(&BACKENDS, "a_full_quota_is_said_and_leaves_nothing_half_made", |layout| {
        let server = served(layout);
        server.fail_op(op::MKDIR, Errno::EDQUOT);
        refused(&make(layout, "new").unwrap_err(), Errno::EDQUOT, "cannot create directory");
        assert!(!server.has("new"));
        server.serve();
        make(layout, "new").unwrap();
        prepare(layout, "new").unwrap();
        clean_leaves_nothing(layout);
    });
}

#[test]
fn a_pods_directory_that_takes_no_more_is_said_and_the_next_call_works() {
    let name = "a_pods_directory_that_takes_no_more_is_said_and_the_next_call_works";
    with_fuse(&BACKENDS, name, |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        fs::write(layout.volume.join("f"), "content").unwrap();
        let pod = Fuse::mount(&layout.pod, "");
        let descriptors = open_descriptors();
        for errno in [Errno::ENOSPC, Errno::EDQUOT, Errno::EROFS] {
            for (op, sub_path) in [(op::MKDIR, "d"), (op::MKNOD, "f")] {
                pod.fail_op(op, errno);
                refused(&prepare(layout, sub_path).unwrap_err(), errno, "error creating");
                assert_eq!(layout.mounts_at(&layout.target()), 0);
                assert_eq!(open_descriptors(), descriptors);
                pod.serve();
                prepare(layout, sub_path).unwrap();
                clean_leaves_nothing(layout);
            }
        }
    });
}

#[test]
fn a_target_that_may_not_be_removed_is_said_and_cleaned_later() {
    with_fuse(&BACKENDS, "a_target_that_may_not_be_removed_is_said_and_cleaned_later", |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        fs::write(layout.volume.join("f"), "content").unwrap();
        let pod = Fuse::mount(&layout.pod, "");
        for (op, sub_path) in [(op::RMDIR, "d"), (op::UNLINK, "f")] {
            prepare(layout, sub_path).unwrap();
            // What the kernel says of an immutable file, and of one in an immutable directory.
            pod.fail_op(op, Errno::EPERM);
            let error = clean(layout).unwrap_err();
            refused(&error, Errno::EPERM, "operation not permitted");
            assert_eq!(layout.mounts_at(&layout.target()), 0);
            pod.serve();
            clean_leaves_nothing(layout);
        }
        assert_eq!(fs::read_to_string(layout.volume.join("f")).unwrap(), "content");
    });
}

#[test]
fn a_hung_file_system_mounted_over_a_containers_directory_is_not_waited_for() {
    let name = "a_hung_file_system_mounted_over_a_containers_directory_is_not_waited_for";
    with_fuse(&BACKENDS, name, |layout| {
        fs::create_dir(layout.volume.join("d")).unwrap();
        prepare(layout, "d").unwrap();
        let covered = layout.target().parent().unwrap().to_path_buf();
        let server = Fuse::mount(&covered, "");
        server.hang();
        refused(&clean(layout).unwrap_err(), Errno::EBUSY, "something else is mounted there");
        nix::mount::umount(&covered).unwrap();
        clean_leaves_nothing(layout);
    });
}
