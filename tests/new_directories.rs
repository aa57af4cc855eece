//! A new directory gets the mode that was asked for, or the call fails and says so; and no other
//! directory's mode is changed. On file systems that tell no births, refuse modes, list what is not
//! there, and where descriptors run out.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::fuse::{Fuse, op};
use common::{
    BACKENDS, Layout, in_namespace, kernel, mount_ramfs, open_descriptors, with_free_descriptors,
    with_fuse,
};
use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use subpath::{Error, Profile, Result};

const SETGID_2770: u32 = 0o770 | 0o2000;

/// Makes a directory under an umask.
fn make(layout: &Layout, sub_path: &str, taken: u32, wanted: u32) -> Result<()> {
    let old = umask(Mode::from_bits_truncate(taken));
    let (mode, volume) = (wanted, &layout.volume);
    let made = kernel(Profile::V137).safe_make_dir(sub_path, volume, mode);
    umask(old);
    made
}

#[track_caller]
fn not_set(error: &Error, errno: Errno, path: &std::path::Path) {
    assert_eq!(error.raw_os_error(), Some(errno as i32), "{error}");
    let start = format!("chmod \"{}\" failed: ", path.display());
    assert!(error.to_string().starts_with(&start), "{error}");
}

#[test]
fn a_server_that_lists_an_entry_in_every_directory_gives_the_mode_that_was_asked_for() {
    let name = "a_server_that_lists_an_entry_in_every_directory_gives_the_mode_that_was_asked_for";
    with_fuse(&BACKENDS, name, |layout| {
        let server = Fuse::mount(&layout.volume, "");
        server.list_everywhere(".snapshot");
        for parents in [0o755, 0o2775] {
            server.set_mode("", parents);
            for taken in [0o000, 0o022, 0o077, 0o777] {
                for (wanted, mode) in [(0o777, 0o777), (0o750, 0o750), (SETGID_2770, 0o2770)] {
                    let row = format!("{mode:o} in {parents:o}, umask {taken:o}");
                    make(layout, "a/b", taken, wanted).unwrap_or_else(|e| panic!("{row}: {e}"));
                    for made in ["a", "a/b"] {
                        let is = server.mode(made);
                        assert_eq!(is, mode, "{row}: {made} {is:o}");
                    }
                    server.delete("a");
                }
            }
        }
    });
}

#[test]
fn a_server_that_refuses_chmod_is_not_asked_to_change_nothing() {
    with_fuse(&BACKENDS, "a_server_that_refuses_chmod_is_not_asked_to_change_nothing", |layout| {
        let server = Fuse::mount(&layout.volume, "");
        server.fail_op(op::SETATTR, Errno::EPERM);
        make(layout, "a/b", 0o022, 0o755).unwrap();
        server.set_mode("", 0o2775);
        // The server has to hand setgid down, as this one does not; what it makes has it already.
        server.fix_mode(0o2750);
        make(layout, "c/d", 0o027, 0o750 | 0o2000).unwrap();
        // A server that gives every directory the one mode that it knows.
        server.fix_mode(0o777);
        make(layout, "e/f", 0o077, 0o777).unwrap();
        // Where it would have to change something, the refusal is the answer, as in the original.
        let error = make(layout, "g", 0o022, 0o700).unwrap_err();
        not_set(&error, Errno::EPERM, &layout.volume.join("g"));
    });
}

#[test]
fn a_mode_that_is_not_kept_at_birth_and_may_not_be_set_leaves_nothing() {
    let name = "a_mode_that_is_not_kept_at_birth_and_may_not_be_set_leaves_nothing";
    with_fuse(&BACKENDS, name, |layout| {
        let server = Fuse::mount(&layout.volume, "");
        server.fail_op(op::SETATTR, Errno::EIO);
        let error = make(layout, "new", 0o022, 0o777).unwrap_err();
        not_set(&error, Errno::EIO, &layout.volume.join("new"));
        // Else the next call would find it, with the wrong mode, and say nothing.
        assert!(!server.has("new"));
        server.serve();
        make(layout, "new", 0o022, 0o777).unwrap();
        assert_eq!(server.mode("new"), 0o777);
    });
}

#[test]
fn a_directory_that_was_moved_into_the_place_of_a_new_one_keeps_its_mode() {
    let name = "a_directory_that_was_moved_into_the_place_of_a_new_one_keeps_its_mode";
    with_fuse(&BACKENDS, name, |layout| {
        let server = Fuse::mount(&layout.volume, "");
        for (round, taken) in [0o000, 0o022, 0o077].into_iter().enumerate() {
            for wanted in [0o777, SETGID_2770] {
                let new = format!("new-{round}-{wanted:o}");
                server.add_directory("theirs");
                server.set_mode("theirs", 0o700);
                server.add_file("theirs/file");
                server.exchange_next_directory_for("theirs");
                let error = make(layout, &new, taken, wanted).unwrap_err();
                not_set(&error, Errno::ENOTEMPTY, &layout.volume.join(&new));
                assert!(server.has(&format!("{new}/file")), "{new}");
                assert_eq!(server.mode(&new), 0o700, "{new}");
            }
        }
    });
}

/// The entries that keep a directory from being new may be in it by the server's doing alone.
#[test]
fn where_nothing_is_proven_the_call_fails_each_time() {
    with_fuse(&BACKENDS, "where_nothing_is_proven_the_call_fails_each_time", |layout| {
        let server = Fuse::mount(&layout.volume, "");
        server.list_everywhere(".snapshot");
        server.fix_mode(0o755);
        for _ in 0..2 {
            let error = make(layout, "new", 0o022, 0o777).unwrap_err();
            not_set(&error, Errno::ENOTEMPTY, &layout.volume.join("new"));
            assert!(!server.has("new"));
        }
    });
}

#[test]
fn few_descriptors_give_the_mode_or_an_error_and_nothing_half_made() {
    in_namespace("few_descriptors_give_the_mode_or_an_error_and_nothing_half_made", |layout| {
        mount_ramfs(&layout.volume);
        let path = layout.volume.join("new");
        let mut made = 0;
        for taken in [0o022, 0o077] {
            for (wanted, mode) in [(0o777, 0o777), (SETGID_2770, 0o2770)] {
                for free in 0..6 {
                    let row = format!("{mode:o}, umask {taken:o}, {free} free");
                    let descriptors = open_descriptors();
                    let outcome =
                        with_free_descriptors(free, || make(layout, "new", taken, wanted));
                    assert_eq!(open_descriptors(), descriptors);
                    match outcome {
                        Ok(()) => {
                            let is = fs::metadata(&path).unwrap().mode() & 0o7777;
                            assert_eq!(is, mode, "{row}: {is:o}");
                            fs::remove_dir(&path).unwrap();
                            made += 1;
                        }
                        Err(error) => {
                            assert_eq!(
                                error.raw_os_error(),
                                Some(Errno::EMFILE as i32),
                                "{row}: {error}"
                            );
                            assert!(!path.exists(), "{row}: {error}");
                        }
                    }
                }
            }
        }
        assert!(made >= 8, "{made}");
    });
}
