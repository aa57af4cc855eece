//! Mounting by the native mounter beside the bare system calls, in a private mount namespace.
//!
//! `cargo bench -p subpath --bench mounting`, as root; words behind `--` choose among the benchmarks. What
//! mount-utils takes is measured by `make bench`.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use divan::Bencher;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use subpath_mountinfo::{Mount, MountTable, mount_at, unmount};

const NOTHING: Option<&str> = None;

/// A directory on a tmpfs of its own, with a directory `source` and a directory `target`.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = std::env::temp_dir().join(format!("subpath-bench-{}", std::process::id()));
    std::fs::create_dir(&place).unwrap();
    mount(Some("tmpfs"), &place, Some("tmpfs"), MsFlags::empty(), NOTHING).unwrap();
    for name in ["source", "target"] {
        std::fs::create_dir(place.join(name)).unwrap();
    }
    place
});

fn main() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(NOTHING, "/", NOTHING, MsFlags::MS_PRIVATE | MsFlags::MS_REC, NOTHING).unwrap();
    divan::main();
    umount2(&*PLACE, MntFlags::MNT_DETACH).unwrap();
    std::fs::remove_dir(&*PLACE).unwrap();
}

fn paths() -> (PathBuf, PathBuf) {
    (PLACE.join("source"), PLACE.join("target"))
}

fn unmount_bare(target: &Path) {
    umount2(target, MntFlags::empty()).unwrap();
}

#[divan::bench]
fn tmpfs_by_bare_calls(bencher: Bencher<'_, '_>) {
    let (_, target) = paths();
    bencher.bench_local(|| {
        mount(Some("tmpfs"), &target, Some("tmpfs"), MsFlags::empty(), Some("size=1m")).unwrap();
        unmount_bare(&target);
    });
}

#[divan::bench]
fn tmpfs_natively(bencher: Bencher<'_, '_>) {
    let (_, target) = paths();
    let tmpfs = Mount::new("tmpfs", &target).fs_type("tmpfs").option("size=1m");
    bencher.bench_local(|| {
        tmpfs.mount().unwrap();
        unmount(&target).unwrap();
    });
}

#[divan::bench]
fn read_only_bind_by_bare_calls(bencher: Bencher<'_, '_>) {
    let (source, target) = paths();
    bencher.bench_local(|| {
        let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        mount(Some(&source), &target, NOTHING, MsFlags::MS_BIND, NOTHING).unwrap();
        mount(NOTHING, &target, NOTHING, again, NOTHING).unwrap();
        unmount_bare(&target);
    });
}

#[divan::bench]
fn read_only_bind_natively(bencher: Bencher<'_, '_>) {
    let (source, target) = paths();
    let bind = Mount::new(source, &target).options(["bind", "ro"]);
    bencher.bench_local(|| {
        bind.mount().unwrap();
        unmount(&target).unwrap();
    });
}

#[divan::bench]
fn remount_by_bare_calls(bencher: Bencher<'_, '_>) {
    let place = &*PLACE;
    bencher.bench_local(|| {
        mount(NOTHING, place, NOTHING, MsFlags::MS_REMOUNT, Some("size=50%")).unwrap();
    });
}

#[divan::bench]
fn remount_natively(bencher: Bencher<'_, '_>) {
    let remount = Mount::new("", &*PLACE).options(["remount", "size=50%"]);
    bencher.bench_local(|| remount.mount().unwrap());
}

#[divan::bench]
fn one_record_by_its_path(bencher: Bencher<'_, '_>) {
    let place = &*PLACE;
    bencher.bench_local(|| mount_at(place).unwrap().unwrap());
}

#[divan::bench]
fn the_whole_table(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| MountTable::current().unwrap());
}
