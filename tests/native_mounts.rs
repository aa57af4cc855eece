//! The native mounter on real mounts: what it mounts is compared with what mount(8) of this machine mounts.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Layout, in_namespace_over};
use subpath_mountinfo::{MountTable, mount_at};

/// The calls that the native mounter does without.
const BACKENDS: [&str; 4] =
    ["", "statmount", "fsopen,mount_setattr", "fsopen,mount_setattr,open_tree,statx_mount_root"];

/// Runs a shell script at a directory of its own.
fn sh(directory: &Path, script: &str) {
    let status = Command::new("sh").args(["-euc", script]).current_dir(directory).status();
    assert!(status.expect("sh").success(), "{script}");
}

#[test]
fn each_mount_is_described_as_the_table_has_it() {
    const NAME: &str = "each_mount_is_described_as_the_table_has_it";
    in_namespace_over(&BACKENDS, NAME, |layout: &Layout| {
        sh(
            &layout.outside,
            r#"
            mkdir bound shared slave deep 'a b' gone deleted cover
            mount -t tmpfs -o size=1m,mode=750,nosuid,nodev,noexec,noatime 'my source' 'a b'
            mount --bind 'a b' bound; mount -o remount,bind,ro,nosymfollow bound 2>/dev/null || true
            mount -t tmpfs -o nr_inodes=100 'x#y\z' shared; mount --make-shared shared
            mount --bind shared slave; mount --make-slave slave; mount --make-shared slave
            mount -t tmpfs -o ro none deep; mount -t tmpfs over deep; mount --make-unbindable deep
            mount --bind gone deleted; rmdir gone
            touch file target; mount --bind file target
            mount -t tmpfs -o strictatime,sync,dirsync,nodiratime tmp cover
            "#,
        );
        let table = MountTable::current().unwrap();
        let mut compared = 0;
        for record in table.records().unwrap() {
            // Others lie below it, or it cannot be reached in a sandbox.
            let Ok(found) = mount_at(record.mount_point_path()) else { continue };
            if found.as_ref().map(|found| found.id) == Some(record.id) {
                assert_eq!(found.unwrap(), record);
                compared += 1;
            }
        }
        assert!(compared >= 8, "{compared} of {table:?}");
        assert_eq!(mount_at(layout.outside.join("file")).unwrap(), None);
        assert_eq!(mount_at(layout.outside.join("none")).unwrap_err().raw_os_error(), Some(2));
    });
}
