//! Prepare and clean on every mount table of testdata/mountinfo: the volume's directories are real,
//! laid out in a scratch directory, the mounts are the table's.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../mountinfo/tests/scratch/mod.rs"]
mod scratch;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use scratch::Scratch;
use subpath::{Profile, Subpath, Subpather};
use subpath_mountinfo::table::{MountRecord, MountTable};
use subpath_mountinfo::{Mounter, Place, ReplayMounter};

const POD: &[u8] = b"/pod of the test";
/// Below a volume; its name misleads a parser of mount tables.
const SUB_PATH: &[u8] = b"/data \n\\040/sub";

/// How many mounts of a table are tried as a volume.
const VOLUMES: usize = 8;

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// The path in the directory that stands for the table's `/`.
fn here(root: &Scratch, in_table: &[u8]) -> Vec<u8> {
    [root.path().as_os_str().as_bytes(), in_table].concat()
}

fn tables() -> Vec<(String, MountTable)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mountinfo");
    let mut files: Vec<PathBuf> =
        data.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let names = files.iter().filter(|file| file.extension().is_some_and(|e| e == "mountinfo"));
    names
        .map(|file| (file.file_stem().unwrap().to_string_lossy().into_owned(), file))
        .filter(|(name, _)| !name.starts_with("malformed"))
        .map(|(name, file)| (name, MountTable::open(file).unwrap()))
        .collect()
}

/// Mounts spread over the table, of those that can be seen at their mount point, and whose mount
/// point is short enough for a path.
fn volumes(table: &MountTable) -> Vec<MountRecord> {
    let mounts = table.records().unwrap();
    let step = mounts.len().div_ceil(VOLUMES).max(1);
    let seen = |mount: &&MountRecord| {
        let at = mount.mount_point_path();
        at.as_os_str().len() < 2048 && table.top(at).unwrap().is_some_and(|top| top.id == mount.id)
    };
    mounts.iter().step_by(step).filter(seen).cloned().collect()
}

/// Prepares a sub path of the volume, twice, and cleans it up.
fn play(what: &str, root: &Scratch, table: &MountTable, volume: &MountRecord, profile: Profile) {
    let mounter = ReplayMounter::rooted_at(root.path(), table).unwrap();
    let before = mounter.table();
    let volume_path = match volume.mount_point_path().as_os_str().as_bytes() {
        b"/" => here(root, b""),
        at => here(root, at),
    };
    let source = [&volume_path[..], SUB_PATH].concat();
    let pod_dir = here(root, POD);
    fs::create_dir_all(path(&source)).unwrap();
    fs::create_dir_all(path(&pod_dir)).unwrap();
    let request = Subpath::builder()
        .volume("volume", path(&volume_path))
        .path(path(&source))
        .pod_dir(path(&pod_dir))
        .container("container")
        .volume_mount_index(3)
        .build()
        .unwrap();

    let subpather = Subpather::with_mounter(&mounter).profile(profile);
    let target = subpather.prepare_safe_subpath(&request).unwrap();
    assert_eq!(target, path(&pod_dir).join("volume-subpaths/volume/container/3"), "{what}");
    assert!(mounter.is_mount_point(Place::at(&target)).unwrap(), "{what}");
    assert_eq!(subpather.prepare_safe_subpath(&request).unwrap(), target, "{what}");
    let prepared = mounter.table();
    let in_table = Path::new("/").join(target.strip_prefix(root.path()).unwrap());
    let bound = prepared.top(in_table).unwrap().unwrap();
    assert_eq!(bound.device, volume.device, "{what}");
    assert_eq!(bound.source, volume.source, "{what}");
    if !volume.is_deleted() {
        let of = volume.root.as_os_str().as_bytes();
        let wanted = [of.strip_suffix(b"/").unwrap_or(of), SUB_PATH].concat();
        assert_eq!(bound.root.as_os_str(), path(&wanted), "{what}");
    }
    let mounts = (before.records().unwrap(), prepared.records().unwrap());
    assert_eq!(mounts.0.len() + 1, mounts.1.len(), "{what}");

    subpather.clean_sub_paths(path(&pod_dir), "volume").unwrap();
    assert_eq!(mounter.table(), before, "{what}");
    assert_eq!(fs::read_dir(path(&pod_dir)).unwrap().count(), 0, "{what}");
    assert!(path(&source).is_dir(), "{what}");
}

#[test]
fn a_sub_path_of_every_kind_of_mount_is_prepared_and_cleaned() {
    let (mut played, mut passed_over) = (0, Vec::new());
    for (name, table) in tables() {
        if table.covering(path(POD)).unwrap().is_none() {
            passed_over.push(name);
            continue;
        }
        for (number, volume) in volumes(&table).iter().enumerate() {
            let profile = [Profile::V129, Profile::V137][number % 2];
            let root = Scratch::new();
            play(&format!("{name}: mount {}", volume.id), &root, &table, volume, profile);
            played += 1;
        }
    }
    // No mount of these holds a pod's directory: nothing can be bound in what is not seen.
    assert_eq!(passed_over, ["chroot-below-a-mount", "empty"]);
    assert!(played > 200, "only {played} volumes");
}
