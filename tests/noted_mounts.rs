//! Clean-up of what was mounted by mount(8), which notes in /run/mount/utab what the kernel does not
//! know: only umount(8) takes an entry away and runs the program that `helper=` names.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::device::volume_on_a_device;
use common::fuse::{self, Fuse};
use common::lines::Lines;
use common::{
    LONG, Layout, WAYS, clean_path, clean_path_within as clean_within, in_namespace_over,
    mount_tmpfs, until, with_fuse,
};
use nix::errno::Errno;
use subpath::Subpather;
use subpath_mountinfo::internal::worker::stuck;
use subpath_mountinfo::{Features, Result};

const UTAB: &str = "/run/mount/utab";

/// Runs the test of this name with an utab of its own: none of this machine's mounts is in it.
fn with_own_utab(name: &str, body: impl FnOnce(&Layout)) {
    in_namespace_over(&[""], name, |layout| {
        own_utab();
        body(layout);
    });
}

fn own_utab() {
    mount_tmpfs(Path::new("/run"));
    fs::create_dir("/run/mount").unwrap();
    fs::write(UTAB, "").unwrap();
}

fn entries() -> String {
    fs::read_to_string(UTAB).unwrap()
}

/// Mounts by mount(8) on a directory that is made for it.
fn mount8(args: &[&str], target: &Path) {
    fs::create_dir_all(target).unwrap();
    let output = Command::new("mount").args(args).arg(target).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Mounts a tmpfs by mount(8) with an option.
fn tmpfs8(option: &str, target: &Path) {
    mount8(&["-t", "tmpfs", "-o", option, "source #1"], target);
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Puts a shell script in the place of umount(8).
fn replace_umount(layout: &Layout, text: &str) {
    let fake = layout.outside.join("umount");
    script(&fake, text);
    let found = Command::new("sh").args(["-c", "command -v umount"]).output().unwrap();
    let umount = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    common::bind(&fake, &umount.canonicalize().unwrap());
}

#[track_caller]
fn expect_lines(lines: &Lines, wanted: &[String]) {
    let lines = lines.all();
    for line in wanted {
        assert!(lines.contains(line), "{line}\n{lines:#?}");
    }
}

#[test]
fn of_fifty_mounts_no_entry_stays() {
    with_own_utab("of_fifty_mounts_no_entry_stays", |layout| {
        for clean in WAYS {
            // Names that are escaped in the file, and each option that leaves an entry.
            let names = ["plain", "a b", "tab\t", "back\\", "\\040", "#hash", "new\nline"];
            let path = |number: usize| {
                layout.root.join(format!("{} {number}", names[number % names.len()]))
            };
            for number in 0..50 {
                let option = ["_netdev", "user", "x-test=1", "uhelper=no-such"][number % 4];
                tmpfs8(option, &path(number));
            }
            assert_eq!(entries().lines().count(), 50);
            for path in (0..50).map(path) {
                clean(&path).unwrap();
                assert!(!path.exists(), "{path:?}");
            }
            assert_eq!(entries(), "");
        }
    });
}

#[test]
fn the_program_that_an_entry_names_unmounts() {
    with_own_utab("the_program_that_an_entry_names_unmounts", |layout| {
        // The helper and links to what is in /sbin; an overlay takes Linux 5.11 in a user namespace.
        let sbin = Path::new("/sbin").canonicalize().unwrap();
        let (old, new) = (layout.outside.join("old"), layout.outside.join("new"));
        fs::create_dir(&old).unwrap();
        fs::create_dir(&new).unwrap();
        common::bind(&sbin, &old);
        for entry in fs::read_dir(&sbin).unwrap() {
            let name = entry.unwrap().file_name();
            symlink(old.join(&name), new.join(&name)).unwrap();
        }
        let called = layout.outside.join("called");
        let text = format!("echo \"$1\" >>{}\nexec umount -i \"$1\"", called.display());
        script(&new.join("umount.noted"), &text);
        common::bind(&new, &sbin);

        let at = layout.root.join("noted");
        for clean in WAYS {
            tmpfs8("helper=noted", &at);
            clean(&at).unwrap();
            assert!(!at.exists());
            assert_eq!(fs::read_to_string(&called).unwrap(), format!("{}\n", at.display()));
            assert_eq!(entries(), "");
            fs::remove_file(&called).unwrap();
        }
    });
}

#[test]
fn every_layer_and_every_name_of_a_mount_point() {
    with_own_utab("every_layer_and_every_name_of_a_mount_point", |layout| {
        let dir = layout.root.join("dir");
        symlink(&dir, layout.root.join("link")).unwrap();
        for clean in WAYS {
            let at = dir.join("mount point");
            for option in ["_netdev", "rw", "x-a"] {
                tmpfs8(option, &at);
            }
            clean(&at).unwrap();
            assert!(!at.exists() && layout.mounts_at(&at) == 0);
            assert_eq!(entries(), "");

            for path in ["link/below", "dir/below/", "link/below//"] {
                tmpfs8("_netdev", &dir.join("below"));
                clean(&layout.root.join(path)).unwrap();
                assert_eq!(entries(), "", "{path}");
                assert!(!dir.join("below").exists(), "{path}");
            }
            // A link to the mount point: what it leads to is unmounted, and the link removed.
            tmpfs8("_netdev", &dir.join("below"));
            let link = layout.root.join("link to below");
            symlink(dir.join("below"), &link).unwrap();
            clean(&link).unwrap();
            assert_eq!(entries(), "");
            assert!(fs::symlink_metadata(&link).is_err() && dir.join("below").exists());
        }
    });
}

/// umount(8) resolves the link, and does not find the entry: mount-utils leaves it as well.
#[test]
fn an_entry_under_a_links_name_is_told_of() {
    with_own_utab("an_entry_under_a_links_name_is_told_of", |layout| {
        let (at, link) = (layout.root.join("mount point"), layout.root.join("link"));
        fs::create_dir(&at).unwrap();
        for clean in WAYS {
            own_utab();
            symlink(&at, &link).unwrap();
            mount8(&["--no-canonicalize", "-t", "tmpfs", "-o", "_netdev", "source"], &link);
            let lines = Lines::default();
            lines.of(|| clean(&link)).unwrap();
            assert_eq!(layout.mounts_at(&at), 0);
            assert_eq!(entries().lines().count(), 1);
            let told = format!("Unmounting {} left its entry in {UTAB}", link.display());
            expect_lines(&lines, &[told]);
        }
    });
}

#[test]
fn where_umount_fails_the_mount_goes_and_the_entry_is_told_of() {
    let name = "where_umount_fails_the_mount_goes_and_the_entry_is_told_of";
    with_own_utab(name, |layout| {
        let at = layout.root.join("noted");
        for clean in WAYS {
            own_utab();
            tmpfs8("_netdev", &at);
            replace_umount(layout, "echo for the test >&2; exit 32");
            let lines = Lines::default();
            lines.of(|| clean(&at)).unwrap();
            assert!(!at.exists());
            let at = at.display();
            let why = "umount(8): exit status: 32: for the test";
            expect_lines(
                &lines,
                &[
                    format!("umount(8) of {at} failed, trying umount2(2): {why}"),
                    format!("Unmounting {at} left its entry in {UTAB}"),
                ],
            );
        }
    });
}

#[test]
fn without_an_entry_no_program_is_run_nor_for_a_sub_path() {
    with_own_utab("without_an_entry_no_program_is_run_nor_for_a_sub_path", |layout| {
        let at = |name: &str| layout.root.join(name);
        fs::create_dir(layout.volume.join("dir")).unwrap();
        let target = layout.target();
        tmpfs8("_netdev", &target);
        let stale = format!("SRC=x TARGET={} ROOT=/ OPTS=x\n", at("gone").display());
        fs::write(UTAB, entries() + &stale).unwrap();
        let ran = layout.outside.join("ran");
        replace_umount(layout, &format!("echo \"$@\" >>{}", ran.display()));
        for clean in WAYS {
            tmpfs8("nosuid", &at("not noted"));
            fs::create_dir(at("gone")).unwrap();
            clean(&at("not noted")).unwrap();
            clean(&at("gone")).unwrap();
            clean(&at("nothing there")).unwrap();
        }
        // The stale mount on the target goes, the sub path's own too.
        Subpather::new().prepare_safe_subpath(&layout.request("dir")).unwrap();
        Subpather::new().clean_sub_paths(&layout.pod, "vol").unwrap();
        assert!(!target.exists() && !ran.exists());
        for clean in WAYS {
            tmpfs8("_netdev", &at("noted"));
            clean(&at("noted")).unwrap();
            assert_eq!(fs::read_to_string(&ran).unwrap(), format!("{}\n", at("noted").display()));
            fs::remove_file(&ran).unwrap();
        }
    });
}

/// Whether a process is there, and no zombie.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn an_umount_that_hangs_is_killed_with_its_helper() {
    with_own_utab("an_umount_that_hangs_is_killed_with_its_helper", |layout| {
        let at = layout.root.join("noted");
        tmpfs8("_netdev", &at);
        let pids = layout.outside.join("pids");
        replace_umount(layout, &format!("sleep 1000 & echo $$ $! >{}; wait", pids.display()));
        let lines = Lines::default();
        lines.of(|| clean_within(&at, Duration::from_secs(4))).unwrap();
        assert!(!at.exists());
        let why = format!("umount(8) {}: connection timed out", at.display());
        let lines = lines.all();
        assert!(lines.iter().any(|line| line.ends_with(&why)), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("force")), "{lines:#?}");
        let pids = fs::read_to_string(&pids).unwrap();
        assert_eq!(pids.split_whitespace().count(), 2);
        until(|| !pids.split_whitespace().any(runs));
        assert_eq!(stuck(), 0);
    });
}

/// umount(8) looks at the mount and would wait for ever.
#[test]
fn a_mount_whose_server_hangs_goes_without_umount() {
    const NAME: &str = "a_mount_whose_server_hangs_goes_without_umount";
    with_fuse(&[""], NAME, |layout| {
        if !Features::get().open_tree {
            // The look at the mount keeps it busy then.
            return common::not_run("there is no open_tree(2) here", NAME);
        }
        own_utab();
        let (at, link) = (layout.root.join("hung"), layout.root.join("link"));
        fs::create_dir(&at).unwrap();
        symlink(&at, &link).unwrap();
        let ran = layout.outside.join("ran");
        replace_umount(layout, &format!("echo \"$@\" >>{}", ran.display()));
        for (path, noted) in [(&at, true), (&link, true), (&link, false)] {
            fs::create_dir_all(&at).unwrap();
            let server = Fuse::mount(&at, "");
            server.hang();
            let target = if noted { &at } else { &layout.root };
            fs::write(UTAB, format!("SRC=x TARGET={} ROOT=/ OPTS=x\n", target.display())).unwrap();
            let lines = Lines::default();
            lines.of(|| clean_path(path)).unwrap();
            assert_eq!(layout.mounts_at(&at), 0);
            assert!(!ran.exists() && path.symlink_metadata().is_err());
            if noted {
                let path = path.display();
                let why = format!("statx {path}: connection timed out");
                expect_lines(
                    &lines,
                    &[
                        format!("umount(8) of {path} failed, trying umount2(2): {why}"),
                        format!("Unmounting {path} left its entry in {UTAB}"),
                    ],
                );
            } else {
                assert!(!lines.all().iter().any(|line| line.contains(UTAB)));
            }
            drop(server);
            let _ = fs::remove_file(&link);
            symlink(&at, &link).unwrap();
        }
    });
}

/// umount(8) waits in umount2(2) then, and cannot be killed before the server answers.
#[test]
fn nothing_is_cleaned_while_umount_waits_for_the_server() {
    const NAME: &str = "nothing_is_cleaned_while_umount_waits_for_the_server";
    with_fuse(&[""], NAME, |layout| {
        own_utab();
        let Some((server, at, device)) = volume_on_a_device(layout, NAME) else { return };
        fs::write(UTAB, format!("SRC={} TARGET={} ROOT=/ OPTS=x\n", device.0, at.display()))
            .unwrap();
        let timed_out = |outcome: Result<()>| {
            assert_eq!(outcome.unwrap_err().raw_os_error(), Some(Errno::ETIMEDOUT as i32));
        };
        while !server.was_told_to_go() {
            timed_out(clean_within(&at, Duration::from_secs(1)));
        }
        assert!(at.exists() && layout.mounts_at(&at) == 0);
        timed_out(clean_within(&at, Duration::ZERO));
        mount_tmpfs(&at);
        fs::write(at.join("kept"), "").unwrap();
        fuse::let_go();
        until(|| stuck() == 0);
        assert!(at.join("kept").exists(), "a killed umount(8) took a later mount away");
        clean_within(&at, LONG).unwrap();
        assert!(!at.exists());
    });
}
