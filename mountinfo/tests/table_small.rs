//! Parser and lookups on a table that is small enough for Miri (`make sanitize`); the fixtures are not.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use subpath_mountinfo::ErrorKind;
use subpath_mountinfo::table::{Filter, MountReader, MountRecord, MountTable};

const TABLE: &[u8] = b"\
1 1 8:1 / / rw,relatime - ext4 /dev/root rw
2 1 0:5 / /a\\040b rw shared:1 - tmpfs  rw,size=1k
3 2 8:1 /d//deleted /a\\040b/\xff ro master:1 - ext4 /dev/root rw,context=\"x,y\"
";

#[test]
fn a_table_is_parsed_whole_and_line_by_line() {
    let records = MountTable::from_bytes(TABLE).records().unwrap();
    let points: Vec<&[u8]> =
        records.iter().map(|record| record.mount_point.as_os_str().as_bytes()).collect();
    assert_eq!(points, [&b"/"[..], b"/a b", b"/a b/\xff"]);
    assert_eq!(records[1].source, "");
    assert_eq!(records[2].root.as_os_str(), "/d//deleted");
    assert_eq!(records[2].root_path(), Path::new("/d"));
    let debug = format!("{:?}", records[2]);
    assert!(debug.contains(r#"mount_point: "/a b/\xFF""#), "{debug}");
    assert_eq!(records[2].super_options.iter().count(), 2);
    let streamed: subpath_mountinfo::Result<Vec<MountRecord>> = MountReader::new(TABLE).collect();
    assert_eq!(streamed.unwrap(), records);
    for (record, line) in records.iter().zip(TABLE.split(|&byte| byte == b'\n')) {
        assert_eq!(record.to_line(), line);
    }
}

#[test]
fn lookups_find_what_lies_where() {
    let table = MountTable::from_bytes(TABLE);
    let ids = |filter| -> Vec<u64> {
        table.matching(&filter).unwrap().iter().map(|record| record.id).collect()
    };
    let odd = OsStr::from_bytes(b"/a b/\xff");
    assert_eq!(ids(Filter::at("/a b/")), [2]);
    assert_eq!(ids(Filter::under("/a b")), [2, 3]);
    assert_eq!(ids(Filter::covering(Path::new(odd).join("c"))), [1, 2, 3]);
    assert_eq!(ids(Filter::children_of(1)), [2]);
    assert_eq!(table.covering("/a b/c").unwrap().unwrap().id, 2);
    assert_eq!(table.top(odd).unwrap().unwrap().id, 3);
    assert_eq!(table.search_mount_points("/d").unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn a_malformed_line_is_named() {
    let table = MountTable::from_bytes(b"1 1 8:1 / / rw - ext4 /dev/root rw\nx".as_slice());
    let error = table.records().unwrap_err();
    assert_eq!(error.to_string(), "mountinfo: line 2: parent ID: missing");
    assert_eq!(error.kind(), ErrorKind::MalformedTable { line: 2, field: "parent ID" });
}
