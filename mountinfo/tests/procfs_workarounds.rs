//! What procfs gets wrong in a mount table, one test for each, and our answer to the same line.
//!
//! A test here that fails because procfs now answers right is good news: the step in
//! src/table/parse.rs that it names can go, and the test with it.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use procfs::process::{MountInfo, MountInfos, MountOptFields};
use procfs::{FromBufRead, ProcResult};
use subpath_mountinfo::MountRecord;

fn procfs_line(line: &str) -> ProcResult<MountInfo> {
    MountInfo::from_line(line)
}

fn procfs_table(text: &[u8]) -> ProcResult<MountInfos> {
    MountInfos::from_buf_read(text)
}

fn ours(line: impl AsRef<[u8]>) -> MountRecord {
    MountRecord::parse(line).unwrap()
}

#[test]
fn one_byte_that_is_not_utf8_costs_procfs_the_whole_table() {
    let line = b"1 0 8:1 / /mnt/\xff rw - ext4 /dev/sda1 rw";
    let table = [b"2 0 8:2 / / rw - ext4 /dev/sda2 rw\n".as_slice(), line, b"\n"].concat();
    assert!(procfs_table(&table).is_err(), "push_text can pass every byte to procfs");
    assert_eq!(ours(line).mount_point.as_os_str().as_bytes(), b"/mnt/\xff");
}

#[test]
fn procfs_leaves_escapes_as_they_are() {
    let line = r"1 0 8:1 /a\134b /mnt/c\040d rw - fuse.e\043f g\011h rw";
    let theirs = procfs_line(line).unwrap();
    assert_eq!(theirs.root, r"/a\134b", "decoded() of the root can go");
    assert_eq!(theirs.mount_point.to_str(), Some(r"/mnt/c\040d"), "decoded() can go");
    assert_eq!(theirs.fs_type, r"fuse.e\043f", "decoded() of the type can go");
    assert_eq!(theirs.mount_source.as_deref(), Some(r"g\011h"), "decoded() of the source can go");

    let record = ours(line);
    assert_eq!(record.root.to_str(), Some(r"/a\b"));
    assert_eq!(record.mount_point.to_str(), Some("/mnt/c d"));
    assert_eq!(record.fs_type, "fuse.e#f");
    assert_eq!(record.source, "g\th");
}

#[test]
fn procfs_cannot_hold_an_id_beyond_i32() {
    let line = "4294967296 2147483648 8:1 / / rw - ext4 /dev/sda1 rw";
    assert!(procfs_line(line).is_err(), "fits_i32() can go");
    let record = ours(line);
    assert_eq!((record.id, record.parent_id), (1 << 32, 1 << 31));
}

#[test]
fn procfs_takes_a_sign_in_an_id() {
    for line in ["-1 0 8:1 / / rw - ext4 a rw", "+1 0 8:1 / / rw - ext4 a rw"] {
        assert!(procfs_line(line).is_ok(), "the look at the digits in id() can go");
        let error = MountRecord::parse(line).unwrap_err().to_string();
        assert!(error.contains("mount ID"), "{error}");
    }
}

#[test]
fn procfs_drops_an_optional_field_that_it_does_not_know() {
    let line = "1 0 8:1 / / rw shared:2 new_tag:x future - ext4 /dev/sda1 rw";
    assert_eq!(procfs_line(line).unwrap().opt_fields.len(), 1, "it may keep the others now");
    let record = ours(line);
    let fields: Vec<_> = record.optional_fields.iter().collect();
    assert_eq!(fields, ["shared:2", "new_tag:x", "future"]);
    assert_eq!(record.propagation.shared, Some(2));
}

#[test]
fn procfs_fails_at_a_peer_group_that_it_cannot_read() {
    for group in ["xyz", "4294967296", ""] {
        let line = format!("1 0 8:1 / / rw shared:{group} - ext4 /dev/sda1 rw");
        assert!(procfs_line(&line).is_err(), "known_tag() can go: {line}");
        let record = ours(line);
        assert_eq!(record.optional_fields.as_bytes(), format!("shared:{group}").as_bytes());
        assert_eq!(record.propagation.shared, group.parse().ok());
    }
}

#[test]
fn procfs_cuts_a_peer_group_at_a_second_colon() {
    let line = "1 0 8:1 / / rw master:3:4 - ext4 /dev/sda1 rw";
    let theirs = procfs_line(line).unwrap();
    assert!(matches!(theirs.opt_fields[..], [MountOptFields::Master(3)]), "known_tag() can go");
    let record = ours(line);
    assert_eq!(record.propagation.master, None);
    assert_eq!(record.optional_fields.as_bytes(), b"master:3:4");
}

#[test]
fn procfs_says_the_same_of_an_empty_source_and_of_none() {
    for source in ["", "none"] {
        let line = format!("1 0 0:1 / / rw - tmpfs {source} rw");
        let theirs = procfs_line(&line).unwrap().mount_source;
        assert_eq!(theirs, None, "the source can come from procfs alone");
        assert_eq!(ours(line).source, source);
    }
}

#[test]
fn procfs_loses_the_order_and_the_duplicates_of_options() {
    let line = "1 0 0:1 / / rw - overlay o rw,lowerdir+=/a,lowerdir+=/b";
    assert_eq!(procfs_line(line).unwrap().super_options.len(), 2, "it may keep all three now");
    let record = ours(line);
    let options: Vec<_> = record.super_options.iter().collect();
    assert_eq!(options, ["rw", "lowerdir+=/a", "lowerdir+=/b"].map(OsStr::new));
}

#[test]
fn procfs_splits_an_option_at_a_comma_in_quotes() {
    let line = r#"1 0 0:1 / / rw - tmpfs t rw,context="u:r:t:s0:c1,c2""#;
    let theirs = procfs_line(line).unwrap().super_options;
    assert!(theirs.contains_key(r#"c2""#), "options can come from procfs");
    let record = ours(line);
    let options: Vec<_> = record.super_options.iter().collect();
    assert_eq!(options, ["rw", r#"context="u:r:t:s0:c1,c2""#].map(OsStr::new));
}

#[test]
fn procfs_fails_at_a_blank_line() {
    let table = b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\n";
    assert!(procfs_table(table).is_err(), "tables can be read by procfs");
    assert_eq!(subpath_mountinfo::MountTable::from_bytes(&table[..]).records().unwrap().len(), 1);
}

#[test]
fn procfs_cuts_options_at_a_space() {
    let line = "1 0 0:1 / / rw - cifs //host/share rw,username=John Doe,uid=0";
    let theirs = procfs_line(line).unwrap().super_options;
    assert!(!theirs.contains_key("uid"), "options can come from procfs");
    assert!(ours(line).super_options.contains("uid=0"));
}

#[test]
fn procfs_names_no_line_and_no_field_in_its_errors() {
    let text = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 0 8.1 / / rw - ext4 /dev/sda1 rw\n";
    let table = procfs_table(text.as_bytes()).unwrap();
    assert_eq!(table.0[1].majmin, "8.1", "wrong_number() may be able to go");
    let error = subpath_mountinfo::MountTable::from_bytes(text).records().unwrap_err();
    let wanted = "mountinfo: line 2: major:minor: \"8.1\" is not a pair of numbers";
    assert_eq!(error.to_string(), wanted);
}
