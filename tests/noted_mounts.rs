//! Clean-up of what was mounted by mount(8), which notes in /run/mount/utab what the kernel does not
//! know: only umount(8) takes an entry away and runs the program that `helper=` names.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::lines::Lines;
use common::{Layout, bytes, in_namespace_over, mount_tmpfs};
use mountinfo::{KernelMounter, Profile, Result, cleanup_mount_point};

const UTAB: &str = "/run/mount/utab";

/// A place of its own for utab: none of this machine's mounts is in it.
fn own_utab() {
    mount_tmpfs(Path::new("/run"));
    fs::create_dir("/run/mount").unwrap();
}

fn clean(path: &Path) -> Result<()> {
    cleanup_mount_point(&KernelMounter, &bytes(path), true, Profile::V137)
}

/// Mounts a tmpfs by mount(8) on a directory that is made for it.
fn mount8(args: &[&str], target: &Path) {
    fs::create_dir_all(target).unwrap();
    let output = Command::new("mount").args(args).arg(target).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn entries() -> String {
    fs::read_to_string(UTAB).unwrap_or_default()
}

/// Puts a shell script in the place of umount(8).
fn replace_umount(layout: &Layout, script: &str) {
    let fake = layout.outside.join("umount");
    fs::write(&fake, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let found = Command::new("sh").args(["-c", "command -v umount"]).output().unwrap();
    let umount = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    common::bind(&fake, &umount.canonicalize().unwrap());
}

#[test]
fn of_fifty_mounts_no_entry_stays() {
    in_namespace_over(&[""], "of_fifty_mounts_no_entry_stays", |layout| {
        own_utab();
        for number in 0..50 {
            // Names that are escaped in the file, and each option that leaves an entry.
            let names =
                ["plain", "a b", "tab\t", "back\\slash", "back\\040slash", "#hash", "new\nline"];
            let at = layout.root.join(format!("{} {number}", names[number % names.len()]));
            let option = ["_netdev", "user", "x-test=1", "uhelper=no-such"][number % 4];
            mount8(&["-t", "tmpfs", "-o", option, "source #1"], &at);
        }
        assert_eq!(entries().lines().count(), 50);
        for entry in fs::read_dir(&layout.root).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().contains(' ') {
                clean(&path).unwrap();
                assert!(!path.exists(), "{path:?}");
            }
        }
        assert_eq!(entries(), "");
    });
}

#[test]
fn the_program_that_an_entry_names_unmounts() {
    in_namespace_over(&[""], "the_program_that_an_entry_names_unmounts", |layout| {
        own_utab();
        let (upper, work) = (layout.outside.join("upper"), layout.outside.join("work"));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let called = layout.outside.join("called");
        let helper = upper.join("umount.noted");
        let script =
            format!("#!/bin/sh\necho \"$1\" >>{}\nexec umount -i \"$1\"\n", called.display());
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        let sbin = Path::new("/sbin").canonicalize().unwrap();
        let dirs = [("lowerdir", &sbin), ("upperdir", &upper), ("workdir", &work)];
        let dirs = dirs.map(|(name, dir)| format!("{name}={}", dir.display())).join(",");
        mount8(&["-t", "overlay", "-o", &dirs, "overlay"], &sbin);

        let at = layout.root.join("noted");
        mount8(&["-t", "tmpfs", "-o", "helper=noted", "source"], &at);
        clean(&at).unwrap();
        assert!(!at.exists());
        assert_eq!(fs::read_to_string(&called).unwrap(), format!("{}\n", at.display()));
        assert_eq!(entries(), "");
    });
}

#[test]
fn every_layer_and_every_name_of_a_mount_point() {
    in_namespace_over(&[""], "every_layer_and_every_name_of_a_mount_point", |layout| {
        own_utab();
        let at = layout.root.join("dir/mount point");
        for option in ["_netdev", "rw", "x-a"] {
            mount8(&["-t", "tmpfs", "-o", option, "source"], &at);
        }
        clean(&at).unwrap();
        assert!(!at.exists() && layout.mounts_at(&at) == 0);
        assert_eq!(entries(), "");

        symlink(layout.root.join("dir"), layout.root.join("link")).unwrap();
        for path in ["link/below", "dir/below/", "link/below//"] {
            mount8(&["-t", "tmpfs", "-o", "_netdev", "source"], &layout.root.join("dir/below"));
            clean(&layout.root.join(path)).unwrap();
            assert_eq!(entries(), "", "{path}");
            assert!(!layout.root.join("dir/below").exists(), "{path}");
        }
        // A link to the mount point: what it leads to is unmounted, and the link removed.
        mount8(&["-t", "tmpfs", "-o", "_netdev", "source"], &layout.root.join("dir/below"));
        let link = layout.root.join("link to below");
        symlink(layout.root.join("dir/below"), &link).unwrap();
        clean(&link).unwrap();
        assert_eq!(entries(), "");
        assert!(fs::symlink_metadata(&link).is_err() && layout.root.join("dir/below").exists());
    });
}

/// umount(8) resolves the link, and does not find the entry: mount-utils leaves it as well.
#[test]
fn an_entry_under_a_links_name_is_told_of() {
    in_namespace_over(&[""], "an_entry_under_a_links_name_is_told_of", |layout| {
        own_utab();
        let (at, link) = (layout.root.join("mount point"), layout.root.join("link"));
        fs::create_dir(&at).unwrap();
        symlink(&at, &link).unwrap();
        mount8(&["--no-canonicalize", "-t", "tmpfs", "-o", "_netdev", "source"], &link);
        let lines = Lines::default();
        lines.of(|| clean(&link)).unwrap();
        assert_eq!(layout.mounts_at(&at), 0);
        assert_eq!(entries().lines().count(), 1);
        let told = format!(
            "Unmounting {} leaves its entry in {UTAB}: umount(8) did not take it away",
            link.display()
        );
        assert!(lines.all().contains(&told));
    });
}

#[test]
fn where_umount_fails_the_mount_goes_and_the_entry_is_told_of() {
    in_namespace_over(
        &[""],
        "where_umount_fails_the_mount_goes_and_the_entry_is_told_of",
        |layout| {
            own_utab();
            let at = layout.root.join("noted");
            mount8(&["-t", "tmpfs", "-o", "_netdev", "source"], &at);
            replace_umount(layout, "echo for the test >&2; exit 32");
            let lines = Lines::default();
            lines.of(|| clean(&at)).unwrap();
            assert!(!at.exists());
            let told = format!(
                "Unmounting {} leaves its entry in {UTAB}: umount(8): exit status: 32: for the test",
                at.display()
            );
            assert!(lines.all().contains(&told));
        },
    );
}

#[test]
fn without_an_entry_no_program_is_run_nor_for_a_sub_path() {
    in_namespace_over(&[""], "without_an_entry_no_program_is_run_nor_for_a_sub_path", |layout| {
        own_utab();
        let at = |name: &str| layout.root.join(name);
        let request = layout.request("dir");
        fs::create_dir(layout.volume.join("dir")).unwrap();
        let target = layout.target();
        mount8(&["-t", "tmpfs", "-o", "_netdev", "source"], &target);
        mount8(&["-t", "tmpfs", "-o", "_netdev", "source"], &at("noted"));
        mount8(&["-t", "tmpfs", "-o", "nosuid", "source"], &at("not noted"));
        fs::create_dir(at("gone")).unwrap();
        fs::write(
            UTAB,
            format!("{}SRC=x TARGET={} ROOT=/ OPTS=x\n", entries(), at("gone").display()),
        )
        .unwrap();
        let ran = layout.outside.join("ran");
        replace_umount(layout, &format!("echo \"$@\" >>{}", ran.display()));
        clean(&at("not noted")).unwrap();
        clean(&at("gone")).unwrap();
        clean(&at("nothing there")).unwrap();
        // The stale mount on the target goes, the sub path's own too.
        let mounter = &KernelMounter;
        subpath::prepare_safe_subpath(mounter, &request, Profile::V137).unwrap();
        subpath::clean_sub_paths(mounter, &bytes(&layout.pod), b"vol", Profile::V137).unwrap();
        assert!(!target.exists() && !ran.exists());
        clean(&at("noted")).unwrap();
        assert_eq!(fs::read_to_string(&ran).unwrap(), format!("{}\n", at("noted").display()));
    });
}
