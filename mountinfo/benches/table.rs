//! The mount table in memory: parsing it whole, and looking one mount up in it.
//!
//! `cargo bench -p subpath-mountinfo`; words behind `--` choose among the benchmarks. What the items
//! per second count are lines of a made-up node's table.

#![allow(clippy::expect_used)]

use std::io::Cursor;

use divan::Bencher;
use divan::counter::ItemsCount;
use subpath_mountinfo::MountTable;
use subpath_mountinfo::table::{Filter, MountReader, MountRecord};

const LINES: [usize; 3] = [100, 1_000, 10_000];

fn main() {
    divan::main();
}

#[divan::bench(args = LINES)]
fn parse_whole(bencher: Bencher<'_, '_>, lines: usize) {
    let table = MountTable::from_bytes(text(lines));
    bencher.counter(ItemsCount::new(lines)).bench_local(|| table.records());
}

#[divan::bench(args = LINES)]
fn parse_record_by_record(bencher: Bencher<'_, '_>, lines: usize) {
    let text = text(lines);
    bencher
        .counter(ItemsCount::new(lines))
        .bench_local(|| MountReader::new(Cursor::new(&text)).filter_map(Result::ok).count());
}

#[divan::bench(args = LINES)]
fn look_up_a_mount_point(bencher: Bencher<'_, '_>, lines: usize) {
    look_up(bencher, lines, |table, mount| table.at(&mount.mount_point).map(|found| found.len()));
}

#[divan::bench(args = LINES)]
fn look_up_what_covers_a_path(bencher: Bencher<'_, '_>, lines: usize) {
    look_up(bencher, lines, |table, mount| {
        table.covering(&mount.mount_point).map(|found| usize::from(found.is_some()))
    });
}

#[divan::bench(args = LINES)]
fn look_up_what_lies_below_a_path(bencher: Bencher<'_, '_>, lines: usize) {
    look_up(bencher, lines, |table, mount| table.under(&mount.mount_point).map(|all| all.len()));
}

#[divan::bench(args = LINES)]
fn look_up_an_id(bencher: Bencher<'_, '_>, lines: usize) {
    look_up(bencher, lines, |table, mount| {
        table.matching(&Filter::id(mount.id)).map(|found| found.len())
    });
}

/// Looks for a mount in the middle, so that no lookup ends early.
fn look_up(
    bencher: Bencher<'_, '_>,
    lines: usize,
    find: impl Fn(&MountTable, &MountRecord) -> subpath_mountinfo::Result<usize>,
) {
    let table = MountTable::from_bytes(text(lines));
    let wanted = table.iter().nth(lines / 2).expect("a mount").expect("a whole line");
    bencher.counter(ItemsCount::new(lines)).bench_local(|| {
        assert_eq!(find(&table, &wanted), Ok(1));
    });
}

/// The table of a node: per container an overlay, a projected token and a sub path of a volume.
fn text(lines: usize) -> Vec<u8> {
    let mut text =
        b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n".to_vec();
    for n in 1..lines {
        let id = 100 + n;
        let pod = format!("{:08x}-1c2d-4e5f-8a9b-{:012x}", n / 3 * 2_654_435, n / 3);
        let snapshots = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots";
        text.extend_from_slice(match n % 3 {
            0 => format!(
                "{id} 22 0:{id} / /run/containerd/io.containerd.runtime.v2.task/k8s.io/{n:064x}/rootfs \
                 rw,relatime shared:{id} - overlay overlay rw,lowerdir={snapshots}/{id}/fs:\
                 {snapshots}/17/fs:{snapshots}/16/fs:{snapshots}/15/fs,upperdir={snapshots}/{n}/fs,\
                 workdir={snapshots}/{n}/work\n"
            ),
            1 => format!(
                "{id} 22 0:{id} / /var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~projected/\
                 kube-api-access-{:05x} rw,relatime shared:{id} - tmpfs tmpfs rw,size=1024000k,\
                 inode64,noswap\n",
                n
            ),
            _ => format!(
                "{id} 22 8:17 /data/{n} /var/lib/kubelet/pods/{pod}/volume-subpaths/data/app/0 \
                 rw,relatime shared:2 - ext4 /dev/sdb1 rw,discard,stripe=16\n"
            ),
        }.as_bytes());
    }
    text
}
