//! Nanoseconds per line of a mount table: parsing it whole, and looking one mount up in it.
//!
//! `cargo bench -p subpath-mountinfo --bench table [FILE]`: the table in FILE, or made-up tables of
//! a node's overlay and subPath mounts. Each figure is the median of the rounds.

#![allow(clippy::expect_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use mountinfo::MountTable;
use mountinfo::table::{Filter, MountReader};

fn main() {
    // cargo bench passes --bench.
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    println!(
        "{:>8} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "lines", "B/line", "records", "stream", "at", "covering", "under", "by id"
    );
    match file {
        Some(file) => row(&std::fs::read(file).expect("a readable file")),
        None => [100, 1_000, 10_000, 100_000].map(table).iter().for_each(|text| row(text)),
    }
}

fn row(text: &[u8]) {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count();
    let table = MountTable::from_bytes(text);
    // A mount in the middle, so that no lookup ends early.
    let wanted = table.iter().nth(lines / 2).expect("a mount").expect("a whole line");
    let path = wanted.mount_point.as_slice();

    let per_line = |operation: &dyn Fn()| nanoseconds(operation) / lines as f64;
    print!("{lines:>8} {:>10}", text.len() / lines);
    print!(" {:>8.0}", per_line(&|| drop(black_box(table.records()))));
    print!(" {:>8.0}", per_line(&|| MountReader::new(text).for_each(|r| drop(black_box(r)))));
    print!(" {:>8.1}", per_line(&|| drop(black_box(table.at(path)))));
    print!(" {:>8.1}", per_line(&|| drop(black_box(table.covering(path)))));
    print!(" {:>8.1}", per_line(&|| drop(black_box(table.under(path)))));
    let filter = Filter::id(wanted.id);
    println!(" {:>8.1}", per_line(&|| drop(black_box(table.matching(&filter)))));
}

/// The median time of one call, over rounds of half a second in all.
fn nanoseconds(operation: &dyn Fn()) -> f64 {
    let begin = Instant::now();
    let mut rounds = Vec::new();
    while rounds.len() < 5 || begin.elapsed() < Duration::from_millis(500) {
        let round = Instant::now();
        operation();
        rounds.push(round.elapsed());
    }
    rounds.sort();
    rounds[rounds.len() / 2].as_nanos() as f64
}

/// The table of a node: per container an overlay, a projected token and a sub path of a volume.
fn table(lines: usize) -> Vec<u8> {
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
