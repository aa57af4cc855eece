//! Lookups in any mount table: each finds what a search through all its records finds.
//!
//! The first line of the input is the path, the second a number, and the rest the table.
#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::table::{Filter, MountReader, MountRecord, MountTable};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |&byte| byte == b'\n');
    let (Some(path), Some(number), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let number = std::str::from_utf8(number).ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let table = MountTable::from_bytes(text);
    let Ok(records) = table.records() else { return };
    let path = go_path::clean(path);
    let at_path = Path::new(OsStr::from_bytes(&path));
    let mut devices: Vec<_> = records.iter().map(|record| record.device).collect();
    devices.dedup();
    let roots: Vec<PathBuf> = records.iter().map(|record| record.root.clone()).collect();

    same(&table, &records, &Filter::at(at_path), |record| record.is_mounted_at(at_path));
    same(&table, &records, &Filter::under(at_path), |record| {
        mount_points(record).any(|mount_point| is_within(mount_point, &path))
    });
    same(&table, &records, &Filter::covering(at_path), |record| {
        mount_points(record).any(|mount_point| is_within(&path, mount_point))
    });
    same(&table, &records, &Filter::id(number), |record| record.id == number);
    same(&table, &records, &Filter::children_of(number), |record| {
        record.parent_id == number && record.id != number
    });
    for (device, root) in devices.iter().copied().zip(&roots).take(4) {
        same(&table, &records, &Filter::device(device), |record| record.device == device);
        same(&table, &records, &Filter::root(device, root), |record| {
            record.device == device && record.root.as_os_str() == root
        });
    }

    let at: Vec<_> =
        records.iter().filter(|record| record.is_mounted_at(at_path)).cloned().collect();
    assert_eq!(table.at(at_path).as_ref(), Ok(&at));
    let top = table.top(at_path).expect("every line was parsed before");
    assert!(top.is_none_or(|top| at.contains(&top)));
    let covering = table.covering(at_path).expect("every line was parsed before");
    if let Some(covering) = &covering {
        assert!(mount_points(covering).any(|mount_point| is_within(&path, mount_point)));
    }
    match (table.search_mount_points(at_path), covering) {
        (Ok(found), Some(mount)) => found.iter().for_each(|other| {
            let same = |record: &&MountRecord| {
                record.mount_point.as_os_str() == other
                    && record.device == mount.device
                    && record.id != mount.id
            };
            assert!(records.iter().find(same).is_some(), "{other:?}");
        }),
        (Err(_), None) => {}
        (found, covering) => panic!("{found:?} of what lies on {covering:?}"),
    }
});

/// What a filter finds in the table and in a stream is what the question picks of all records.
fn same(
    table: &MountTable,
    records: &[MountRecord],
    filter: &Filter,
    wanted: impl Fn(&MountRecord) -> bool,
) {
    let expected: Vec<_> = records.iter().filter(|record| wanted(record)).cloned().collect();
    assert_eq!(table.matching(filter).as_ref(), Ok(&expected), "{filter:?}");
    let streamed: subpath_mountinfo::Result<Vec<_>> =
        MountReader::new(table.as_bytes()).matching(filter).collect();
    assert_eq!(streamed.as_ref(), Ok(&expected), "{filter:?}");
}

/// The mount point as it is printed, and without the mark of a deleted root.
fn mount_points(record: &MountRecord) -> impl Iterator<Item = &[u8]> {
    [&record.mount_point, record.mount_point_path()]
        .map(|path| path.as_os_str().as_bytes())
        .into_iter()
}

/// As bytes: a mount point with a slash too many, which no kernel prints, is no other path's.
fn is_within(path: &[u8], base: &[u8]) -> bool {
    let below = [base, b"/"].concat();
    path == base || path.starts_with(&below) || base.ends_with(b"/") && path.starts_with(base)
}
