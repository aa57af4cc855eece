//! The logic in process: paths, opening below a directory, and whole operations whose mounter touches
//! nothing. Needs no privilege.
//!
//! `cargo bench -p subpath --bench inner`; words behind `--` choose among the benchmarks. What the
//! kernel and Go add is measured by `make bench`.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use divan::Bencher;
use subpath::internal::steps;
use subpath::mountinfo::internal::{go_path, go_text};
use subpath::{FakeMounter, Profile, Subpath, Subpather};
use subpath_mountinfo::internal::paths::path_of;

const LONG: &[u8] =
    b"/var/lib/kubelet/pods/6b1f4a8e-9c55-4a8e-0242-ac120002/volumes/kubernetes.io~csi/pvc/mount";

fn main() {
    divan::main();
}

#[divan::bench]
fn clean_a_path_that_is_clean(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| go_path::clean(divan::black_box(LONG)));
}

#[divan::bench]
fn join_two_paths(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| go_path::join(&[divan::black_box(LONG), b"logs/../a"]));
}

#[divan::bench]
fn quote_a_path(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| go_text::quote(divan::black_box(LONG)));
}

#[divan::bench(args = [1, 3, 30])]
fn resolve_links(bencher: Bencher<'_, '_>, levels: usize) {
    let volume = Volume::new("resolve", levels);
    let path = volume.path(&volume.below);
    bencher.bench_local(|| go_path::eval_symlinks(&path).unwrap());
}

#[divan::bench(args = [1, 3, 30])]
fn open_beneath_a_volume(bencher: Bencher<'_, '_>, levels: usize) {
    let volume = Volume::new("open", levels);
    let (path, base) = (volume.path(&volume.below), volume.path("volume"));
    bencher.bench_local(|| steps::open_beneath(&path, &base).unwrap());
}

#[divan::bench(args = [1, 3, 30])]
fn make_a_directory_that_exists(bencher: Bencher<'_, '_>, levels: usize) {
    let volume = Volume::new("make", levels);
    let (sub_path, base) = (&volume.below["volume/".len()..], volume.path("volume"));
    let subpather = Subpather::new();
    bencher.bench_local(|| subpather.safe_make_dir(sub_path, path_of(&base), 0o750).unwrap());
}

#[divan::bench(args = [1, 3, 30])]
fn prepare_and_clean_over_a_fake_mounter(bencher: Bencher<'_, '_>, levels: usize) {
    let volume = Volume::new("fake", levels);
    let pod = volume.root.join("pod");
    let request = Subpath::builder()
        .volume("vol", volume.root.join("volume"))
        .path(volume.root.join(&volume.below))
        .pod_dir(&pod)
        .container("app")
        .build()
        .unwrap();
    bencher.bench_local(|| {
        let subpather = Subpather::with_mounter(FakeMounter::new()).profile(Profile::V129);
        subpather.prepare_safe_subpath(&request).unwrap();
        subpather.clean_sub_paths(&pod, "vol").unwrap();
    });
}

/// A volume of so many levels and a pod, removed at the end.
struct Volume {
    root: PathBuf,
    /// The deepest directory.
    below: String,
}

impl Volume {
    fn new(name: &str, levels: usize) -> Volume {
        let temporary = std::env::temp_dir().canonicalize().unwrap();
        let root = temporary.join(format!("bench-{name}-{levels}-{}", std::process::id()));
        let below = format!("volume/{}", vec!["d"; levels].join("/"));
        std::fs::create_dir_all(root.join(&below)).unwrap();
        std::fs::create_dir(root.join("pod")).unwrap();
        Volume { root, below }
    }

    fn path(&self, below: &str) -> Vec<u8> {
        self.root.join(below).into_os_string().into_encoded_bytes()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
