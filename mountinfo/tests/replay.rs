//! Mount point checks and clean-up on replayed tables: every fixture of testdata/mountinfo, with
//! the directories that matter laid out in a scratch directory.

#![allow(clippy::unwrap_used, clippy::panic)]

mod scratch;

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use scratch::Scratch;
use serde_json::Value;
use subpath_mountinfo::internal::paths::{bytes_of, path_of};
use subpath_mountinfo::table::{MountRecord, MountTable};
use subpath_mountinfo::{Mounter, Place, Profile, ReplayMounter, Source, cleanup_mount_point};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/mountinfo").join(name)
}

fn fixture(name: &str) -> MountTable {
    MountTable::open(testdata(name).with_extension("mountinfo")).unwrap()
}

fn dir(scratch: &Scratch, path: &str) -> PathBuf {
    let path = scratch.path().join(path.strip_prefix('/').unwrap());
    fs::create_dir_all(&path).unwrap();
    path
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// The bytes of a JSON string or of `{"hex": "…"}`.
fn json_bytes(value: &Value) -> Vec<u8> {
    if let Some(text) = value.as_str() {
        return text.as_bytes().to_vec();
    }
    let hex = value["hex"].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_fixture_answers_what_is_a_mount_point() {
    let mut asked = 0;
    for entry in testdata("").read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let expected: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let Some(lookups) = expected.get("lookups") else { continue };
        let table = MountTable::open(path.with_extension("mountinfo")).unwrap();
        let plain = ReplayMounter::new(&table).unwrap();
        let rooted = ReplayMounter::rooted_at("/some/where/", &table).unwrap();
        for row in lookups.as_array().unwrap() {
            let at = json_bytes(&row["path"]);
            let what = format!("{}: {}", path.display(), at.escape_ascii());
            let is_mount_point = row["mount_point"].as_bool().unwrap();
            assert_eq!(plain.is_mount_point(Place::at_bytes(&at)), Ok(is_mount_point), "{what}");
            let here = [b"/some/where", &at[..]].concat();
            assert_eq!(rooted.is_mount_point(Place::at_bytes(&here)), Ok(is_mount_point), "{what}");
            assert_eq!(rooted.is_mount_point(Place::at_bytes(&at)), Ok(false), "{what}, outside");
            asked += 1;
        }
    }
    assert!(asked > 1_000, "only {asked} asked");
}

#[test]
fn clean_up_unmounts_and_removes_the_mount_point_only() {
    let scratch = Scratch::new();
    let mounter = ReplayMounter::rooted_at(scratch.path(), &fixture("stacked")).unwrap();
    let other = dir(&scratch, "/mnt/other");
    let before = mounter.table().records().unwrap();
    cleanup_mount_point(&mounter, &other, true, Profile::V137).unwrap();
    assert!(!other.exists());
    let mut after = mounter.table().records().unwrap();
    let gone: Vec<&MountRecord> = before.iter().filter(|mount| !after.contains(mount)).collect();
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].mount_point.to_str(), Some("/mnt/other"));

    // One of four mounts in a stack: the mount point is still one, and stays.
    let stack = dir(&scratch, "/mnt/stack");
    let error = cleanup_mount_point(&mounter, &stack, true, Profile::V137).unwrap_err();
    let wanted = format!("failed to cleanup mount point {}", stack.display());
    assert_eq!(error.to_string(), wanted);
    after = mounter.table().records().unwrap();
    assert_eq!(after.iter().filter(|mount| mount.is_mounted_at("/mnt/stack")).count(), 3);

    // What is no mount point is removed without an unmount.
    let plain = dir(&scratch, "/mnt/plain");
    cleanup_mount_point(&mounter, &plain, true, Profile::V137).unwrap();
    assert!(!plain.exists());
    assert_eq!(mounter.table().records().unwrap(), after);
}

#[test]
fn clean_up_knows_mount_points_of_every_name() {
    let scratch = Scratch::new();
    let table = fixture("odd-names");
    let mounter = ReplayMounter::rooted_at(scratch.path(), &table).unwrap();
    let mut cleaned = 0;
    // Inner mounts first, as whoever unmounts has to.
    for mount in table.under("/mnt").unwrap().into_iter().rev() {
        let here = [bytes(scratch.path()), bytes(&mount.mount_point)].concat();
        fs::create_dir_all(Path::new(&std::ffi::OsString::from_vec(here.clone()))).unwrap();
        cleanup_mount_point(&mounter, path_of(&here), true, Profile::V137).unwrap();
        cleaned += 1;
    }
    assert!(cleaned > 30, "{cleaned}");
    assert_eq!(mounter.table().under("/mnt").unwrap(), []);
    assert_eq!(fs::read_dir(scratch.path().join("mnt")).unwrap().count(), 0);
}

#[test]
fn a_bind_shows_the_file_system_on_which_the_source_lies() {
    let scratch = Scratch::new();
    let mounter = ReplayMounter::rooted_at(scratch.path(), &fixture("btrfs-layout")).unwrap();
    let source = dir(&scratch, "/home/user/data");
    let target = dir(&scratch, "/var/lib/target");
    let place = Place::at_bytes(bytes(&target));
    for binds in 1..=2 {
        mounter.bind(Source { fd: File::open(&source).unwrap().as_fd() }, place).unwrap();
        let at = mounter.table().at("/var/lib/target").unwrap();
        assert_eq!(at.len(), binds);
        assert_eq!(at[binds - 1].root.to_str(), Some("/@/home/user/data"));
        assert_eq!(at[binds - 1].source, "/dev/sda2");
    }
    let table = mounter.table();
    let top = table.top("/var/lib/target").unwrap().unwrap();
    let below = table.parent(&top).unwrap().unwrap();
    assert_eq!(below.mount_point.to_str(), Some("/var/lib/target"));
    assert_eq!(table.parent(&below).unwrap().unwrap().mount_point.to_str(), Some("/var"));
    let references = table.search_mount_points("/home/user/data").unwrap();
    assert_eq!(references, [Path::new("/var/lib/target"), Path::new("/var/lib/target")]);

    mounter.unmount(place).unwrap();
    mounter.unmount(place).unwrap();
    let error = mounter.unmount(place).unwrap_err();
    assert_eq!(error.to_string(), format!("unmount {}: invalid argument", target.display()));
    assert_eq!(mounter.table(), ReplayMounter::new(&fixture("btrfs-layout")).unwrap().table());
}

#[test]
fn a_mount_that_has_others_on_it_goes_only_lazily() {
    let mounter = ReplayMounter::new(&fixture("systemd-desktop")).unwrap();
    let run = Place::at_bytes(b"/run");
    let error = mounter.unmount(run).unwrap_err();
    assert_eq!(error.to_string(), "unmount /run: device or resource busy");
    let before = mounter.list().unwrap().len();
    mounter.unmount_lazily(run).unwrap();
    assert!(mounter.list().unwrap().iter().all(|mount| !mount.path.starts_with("/run")));
    assert_eq!(mounter.list().unwrap().len(), before - 6);
}

#[test]
fn the_list_has_the_paths_of_this_side() {
    let mounter = ReplayMounter::rooted_at("/jail", &fixture("wsl2")).unwrap();
    let list = mounter.list().unwrap();
    let paths: Vec<Vec<u8>> = list.iter().map(|mount| bytes_of(&mount.path).to_vec()).collect();
    assert!(paths.contains(&b"/jail".to_vec()) && paths.contains(&b"/jail/mnt/c".to_vec()));
    assert!(paths.iter().all(|path| path.starts_with(b"/jail")));
}

#[test]
fn a_malformed_table_is_not_replayed() {
    assert!(ReplayMounter::new(&fixture("malformed-parent")).is_err());
}
