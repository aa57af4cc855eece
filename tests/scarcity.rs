//! Descriptors run out, or /proc is not there: whatever cannot be found out is an error that says so,
//! and nothing is taken for unmounted, empty or somebody's for want of an answer.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{
    Layout, bind, in_namespace, kernel, mount_tmpfs, open_descriptors, with_free_descriptors,
    without_proc,
};
use nix::errno::Errno;
use nix::mount::umount;
use subpath::{Error, KernelMounter, Profile, Result};

/// More than any operation holds at once.
const PLENTY: usize = 8;

fn prepare(layout: &Layout, sub_path: &str) -> Result<()> {
    let request = layout.request(sub_path);
    kernel(Profile::V137).prepare_safe_subpath(&request).map(drop)
}

fn clean(layout: &Layout) -> Result<()> {
    kernel(Profile::V137).clean_sub_paths(&layout.pod, "vol")
}

/// A volume with a directory `d` and a file in it.
fn lay_out(layout: &Layout) {
    fs::create_dir(layout.volume.join("d")).unwrap();
    fs::write(layout.volume.join("d/file"), "precious").unwrap();
    // What is asked once in a process's life is asked now.
    prepare(layout, "d").unwrap();
    clean(layout).unwrap();
}

fn in_volume_is_untouched(layout: &Layout) {
    assert_eq!(fs::read_to_string(layout.volume.join("d/file")).unwrap(), "precious");
}

/// A sub path is prepared, and then a foreign file system covers the directory that holds it, or one
/// above, with files where sub paths would be.
fn cover(layout: &Layout, above_target: usize) -> PathBuf {
    prepare(layout, "d").unwrap();
    let target = layout.target();
    let covered = target.ancestors().nth(above_target).unwrap().to_path_buf();
    mount_tmpfs(&covered);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::write(&target, "somebody's").unwrap();
    covered
}

fn uncover(layout: &Layout, covered: &Path) {
    assert_eq!(fs::read_to_string(layout.target()).unwrap(), "somebody's");
    umount(covered).unwrap();
    clean(layout).unwrap();
    assert_eq!(layout.left_in_pod(), Vec::<PathBuf>::new());
}

/// Runs a call with fewer and fewer descriptors; `failed` looks at what it left behind where it failed,
/// `done` where it succeeded.
fn with_few(
    call: impl Fn() -> Result<()>,
    failed: impl Fn(&str, &Error),
    done: impl Fn(&str),
) -> usize {
    let mut succeeded = 0;
    for free in (0..=PLENTY).rev() {
        let descriptors = open_descriptors();
        let outcome = with_free_descriptors(free, &call);
        let row = format!("{free} free: {outcome:?}");
        assert_eq!(open_descriptors(), descriptors, "{row}");
        match outcome {
            Ok(()) => {
                succeeded += 1;
                done(&row);
            }
            Err(error) => failed(&row, &error),
        }
    }
    succeeded
}

#[test]
fn what_covers_the_directories_of_sub_paths_is_kept_though_descriptors_run_out() {
    let name = "what_covers_the_directories_of_sub_paths_is_kept_though_descriptors_run_out";
    in_namespace(name, |layout| {
        lay_out(layout);
        for above_target in [1, 2] {
            let covered = cover(layout, above_target);
            let succeeded = with_few(
                || clean(layout),
                |row, error| {
                    let said = error.raw_os_error();
                    let expected = [Some(Errno::EBUSY as i32), Some(Errno::EMFILE as i32)];
                    assert!(expected.contains(&said), "{row}");
                    assert!(layout.target().exists(), "{row}");
                },
                |row| panic!("{row}"),
            );
            assert_eq!(succeeded, 0);
            uncover(layout, &covered);
        }
        in_volume_is_untouched(layout);
    });
}

#[test]
fn what_covers_the_directories_of_sub_paths_is_kept_without_proc() {
    in_namespace("what_covers_the_directories_of_sub_paths_is_kept_without_proc", |layout| {
        lay_out(layout);
        for above_target in [1, 2] {
            let covered = cover(layout, above_target);
            let error = without_proc(|| clean(layout)).unwrap_err();
            let text = error.to_string();
            let is_said = text.contains("something else is mounted") || text.contains("/proc");
            assert!(is_said, "{text}");
            uncover(layout, &covered);
        }
        in_volume_is_untouched(layout);
    });
}

#[test]
fn a_clean_up_without_descriptors_says_so_and_the_next_one_does_it() {
    in_namespace("a_clean_up_without_descriptors_says_so_and_the_next_one_does_it", |layout| {
        lay_out(layout);
        prepare(layout, "d").unwrap();
        let succeeded = with_few(
            || clean(layout),
            |row, error| assert_eq!(error.raw_os_error(), Some(Errno::EMFILE as i32), "{row}"),
            |row| {
                assert_eq!(layout.left_in_pod(), Vec::<PathBuf>::new(), "{row}");
                prepare(layout, "d").unwrap();
            },
        );
        assert!(succeeded > 2, "{succeeded}");
        clean(layout).unwrap();
        in_volume_is_untouched(layout);
    });
}

#[test]
fn without_proc_a_clean_up_does_it_or_names_proc() {
    in_namespace("without_proc_a_clean_up_does_it_or_names_proc", |layout| {
        lay_out(layout);
        prepare(layout, "d").unwrap();
        let error = without_proc(|| clean(layout)).unwrap_err();
        assert!(error.to_string().contains("/proc"), "{error}");
        assert_eq!(layout.mounts_at(&layout.target()), 1);
        clean(layout).unwrap();
        assert_eq!(layout.left_in_pod(), Vec::<PathBuf>::new());
        in_volume_is_untouched(layout);
    });
}

#[test]
fn without_proc_a_prepare_does_it_or_names_proc() {
    in_namespace("without_proc_a_prepare_does_it_or_names_proc", |layout| {
        lay_out(layout);
        for stale in [false, true] {
            if stale {
                fs::create_dir_all(layout.target()).unwrap();
                bind(&layout.outside, &layout.target());
            }
            let outcome = without_proc(|| prepare(layout, "d"));
            match outcome {
                Ok(()) => assert!(layout.target().join("file").exists(), "stale {stale}"),
                Err(error) => {
                    assert!(error.to_string().contains("/proc"), "stale {stale}: {error}");
                    assert_eq!(layout.mounts_at(&layout.target()), usize::from(stale));
                }
            }
            clean(layout).unwrap();
        }
        in_volume_is_untouched(layout);
    });
}

#[test]
fn a_prepare_without_descriptors_says_so_and_leaves_no_mount() {
    in_namespace("a_prepare_without_descriptors_says_so_and_leaves_no_mount", |layout| {
        lay_out(layout);
        let succeeded = with_few(
            || prepare(layout, "d"),
            |row, error| {
                assert_eq!(error.raw_os_error(), Some(Errno::EMFILE as i32), "{row}");
                assert_eq!(layout.mounts_at(&layout.target()), 0, "{row}");
            },
            |row| {
                assert_eq!(layout.mounts_at(&layout.target()), 1, "{row}");
                clean(layout).unwrap();
            },
        );
        assert!(succeeded > 2, "{succeeded}");
        in_volume_is_untouched(layout);
    });
}

#[test]
fn a_clean_up_by_path_without_descriptors_says_so_and_touches_nothing() {
    in_namespace("a_clean_up_by_path_without_descriptors_says_so_and_touches_nothing", |layout| {
        lay_out(layout);
        prepare(layout, "d").unwrap();
        let target = &layout.target();
        let cleaned =
            || subpath_mountinfo::cleanup_mount_point(&KernelMounter, target, true, Profile::V137);
        let succeeded = with_few(
            cleaned,
            |row, error| {
                assert_eq!(error.raw_os_error(), Some(Errno::EMFILE as i32), "{row}");
                assert_eq!(layout.mounts_at(&layout.target()), 1, "{row}");
            },
            |row| {
                assert!(!layout.target().exists(), "{row}");
                prepare(layout, "d").unwrap();
            },
        );
        // A descriptor of the directory is all that is needed.
        assert_eq!(succeeded, PLENTY);
        clean(layout).unwrap();
    });
}
