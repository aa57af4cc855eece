//! Replays every fixture of testdata/mountinfo: what the table holds, on which mount a path lies,
//! where else it is mounted, and which line and field of a malformed one is named.
//!
//! The expected answers come from the kernel itself and from a second reading of the format; see
//! testdata/README.md.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::BufReader;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use subpath_mountinfo::table::{Filter, MountReader, MountRecord, MountTable};

struct Fixture {
    name: String,
    text: Vec<u8>,
    expected: Value,
}

impl Fixture {
    fn table(&self) -> MountTable {
        MountTable::from_bytes(self.text.as_slice())
    }

    /// The rows of a list of the JSON; none when it has no such list.
    fn rows(&self, key: &str) -> &[Value] {
        self.expected.get(key).map_or(&[], |rows| rows.as_array().unwrap())
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/mountinfo")
}

/// Every fixture that is a table, or every one that is none.
fn fixtures(malformed: bool) -> Vec<Fixture> {
    let mut paths: Vec<PathBuf> =
        directory().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "mountinfo"));
    let fixtures = paths.iter().map(|path| Fixture {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        text: std::fs::read(path).unwrap(),
        expected: serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap())
            .unwrap(),
    });
    fixtures.filter(|fixture| fixture.expected.get("malformed").is_some() == malformed).collect()
}

/// The path in a JSON string or in `{"hex": "…"}`.
fn path(value: &Value) -> PathBuf {
    if let Some(text) = value.as_str() {
        return PathBuf::from(text);
    }
    let hex = value["hex"].as_str().unwrap();
    let bytes =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    PathBuf::from(OsString::from_vec(bytes.collect()))
}

#[test]
fn every_fixture_has_both_files_and_a_line_on_where_it_comes_from() {
    let readme = std::fs::read_to_string(directory().join("../README.md")).unwrap();
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in directory().read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (stem, extension) = name.rsplit_once('.').unwrap();
        files.entry(stem.to_owned()).or_default().push(extension.to_owned());
    }
    for (stem, mut extensions) in files {
        extensions.sort();
        assert_eq!(extensions, ["json", "mountinfo"], "{stem}");
        assert!(
            readme.contains(&format!("| {stem} |")),
            "testdata/README.md says nothing of {stem}"
        );
    }
}

#[test]
fn records_are_what_the_fixture_expects() {
    for fixture in fixtures(false) {
        let records = fixture.table().records().unwrap();
        let expected = fixture.rows("records");
        assert_eq!(records.len(), expected.len(), "{}", fixture.name);
        for (number, (record, expected)) in records.iter().zip(expected).enumerate() {
            let record = serde_json::to_value(record).unwrap();
            assert_eq!(record, *expected, "{}: record {}", fixture.name, number + 1);
        }
    }
}

#[test]
fn records_read_one_by_one_are_those_of_the_whole_table() {
    for fixture in fixtures(false) {
        let whole = fixture.table().records().unwrap();
        for capacity in [1, 100, 4096] {
            let input = BufReader::with_capacity(capacity, fixture.text.as_slice());
            let streamed: Vec<MountRecord> =
                MountReader::new(input).collect::<subpath_mountinfo::Result<_>>().unwrap();
            assert_eq!(streamed, whole, "{}, buffer of {capacity}", fixture.name);
        }
    }
}

#[test]
fn records_give_the_kernels_lines_back() {
    for fixture in fixtures(false) {
        let lines = fixture.text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        for (record, line) in fixture.table().records().unwrap().iter().zip(lines) {
            let printed = record.to_line();
            if fixture.name == "foreign-escapes" {
                // Not as the kernel prints it, but it must mean the same.
                assert_eq!(MountRecord::parse(&printed).unwrap(), *record);
            } else {
                let printed = printed.escape_ascii().to_string();
                assert_eq!(printed, line.escape_ascii().to_string(), "{}", fixture.name);
            }
        }
    }
}

#[test]
fn a_path_lies_on_the_mount_where_the_kernel_finds_it() {
    let mut looked_up = 0;
    for fixture in fixtures(false) {
        let table = fixture.table();
        for row in fixture.rows("lookups") {
            let path = path(&row["path"]);
            let what = format!("{}: {path:?}", fixture.name);
            let mount = table.covering(&path).unwrap();
            assert_eq!(mount.map(|mount| mount.id), row["mount"].as_u64(), "{what}");
            let top = table.top(&path).unwrap();
            let is_mount_point = row["mount_point"].as_bool().unwrap();
            assert_eq!(top.map(|mount| mount.id), row["mount"].as_u64().filter(|_| is_mount_point));
            looked_up += 1;
        }
    }
    assert!(looked_up > 1_000, "only {looked_up} lookups");
}

#[test]
fn search_mount_points_finds_the_other_mounts_of_a_path() {
    let mut searched = 0;
    for fixture in fixtures(false) {
        for row in fixture.rows("references") {
            let source = path(&row["source"]);
            let expected: Vec<PathBuf> =
                row["mount_points"].as_array().unwrap().iter().map(path).collect();
            let found = fixture.table().search_mount_points(&source).unwrap();
            assert_eq!(found, expected, "{}: {source:?}", fixture.name);
            searched += 1;
        }
    }
    assert!(searched > 50, "only {searched} searches");
}

/// Lookups by a filter are those of all records that are so, however the table is read.
#[test]
fn filters_find_what_a_look_at_every_record_finds() {
    for fixture in fixtures(false) {
        let table = fixture.table();
        let records = table.records().unwrap();
        for record in records.iter().step_by(1 + records.len() / 20) {
            let (path, device) = (record.mount_point_path(), record.device);
            let above = path.parent().unwrap_or(path);
            type Wanted<'a> = (&'a str, Filter, Box<dyn Fn(&MountRecord) -> bool + 'a>);
            let at = |other: &MountRecord, path: &Path| {
                [&other.mount_point, other.mount_point_path()].contains(&path)
            };
            let under = |other: &MountRecord, base: &Path| {
                other.mount_point.starts_with(base) || other.mount_point_path().starts_with(base)
            };
            let wanted: [Wanted<'_>; 8] = [
                ("at", Filter::at(path), Box::new(|r| at(r, path))),
                ("under", Filter::under(path), Box::new(|r| under(r, path))),
                ("under its parent", Filter::under(above), Box::new(|r| under(r, above))),
                ("nowhere", Filter::at("/nowhere"), Box::new(|_| false)),
                ("device", Filter::device(device), Box::new(|r| r.device == device)),
                (
                    "root",
                    Filter::root(device, &record.root),
                    Box::new(|r| r.device == device && r.root == record.root),
                ),
                ("id", Filter::id(record.id), Box::new(|r| r.id == record.id)),
                (
                    "children",
                    Filter::children_of(record.id),
                    Box::new(|r| r.parent_id == record.id && r.id != record.id),
                ),
            ];
            for (what, filter, is_wanted) in &wanted {
                let what = format!("{}: {what} of {path:?}", fixture.name);
                let expected: Vec<_> = records.iter().filter(|r| is_wanted(r)).cloned().collect();
                assert_eq!(table.matching(filter).unwrap(), expected, "{what}");
                let reader = MountReader::new(fixture.text.as_slice());
                let streamed: Vec<_> = reader.matching(filter).map(|r| r.unwrap()).collect();
                assert_eq!(streamed, expected, "{what}, line by line");
            }
        }
    }
}

#[test]
fn a_malformed_table_names_the_line_and_the_field_and_gives_nothing() {
    let fixtures = fixtures(true);
    assert!(fixtures.len() > 10, "only {} malformed fixtures", fixtures.len());
    for fixture in fixtures {
        let line = fixture.expected["malformed"]["line"].as_u64().unwrap();
        let field = fixture.expected["malformed"]["field"].as_str().unwrap();
        let path = directory().join(&fixture.name).with_extension("mountinfo");
        let begin = format!("{}: line {line}: {field}: ", path.display());

        let error = MountTable::open(&path).unwrap().records().unwrap_err().to_string();
        assert!(error.starts_with(&begin), "{}: {error}", fixture.name);

        let mut reader = MountReader::open(&path).unwrap();
        let read = reader.by_ref().take_while(|record| record.is_ok()).count() as u64;
        assert!(read < line, "{}: {read} records before line {line}", fixture.name);
        assert!(reader.next().is_none(), "{}: goes on after the error", fixture.name);
    }
}
