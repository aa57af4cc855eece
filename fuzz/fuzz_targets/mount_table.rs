//! The mount table on any bytes: no panic, and the same answers as a plain reading of the format.
//!
//! `cargo +nightly fuzz run mount_table fuzz/corpus/mount_table testdata/mountinfo`
#![no_main]

use std::io::BufReader;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use libfuzzer_sys::fuzz_target;
use subpath_mountinfo::table::{
    MountReader, MountRecord, MountTable, escape_name, escape_path, unescape_name, unescape_option,
    unescape_path,
};

fuzz_target!(|text: &[u8]| {
    let records = MountTable::from_bytes(text).records();
    let plain: Option<Vec<Plain>> = lines(text).map(plain_record).collect();
    match (&records, &plain) {
        (Ok(records), Some(plain)) => {
            assert_eq!(records.len(), plain.len());
            records.iter().zip(plain).for_each(|(record, plain)| plain.assert_same(record));
        }
        (Err(error), None) => assert!(error.to_string().starts_with("mountinfo: line ")),
        _ => panic!("one reading takes the table, the other does not: {records:?}"),
    }

    for capacity in [1, 7, 4096] {
        let input = BufReader::with_capacity(capacity, text);
        let streamed: subpath_mountinfo::Result<Vec<MountRecord>> =
            MountReader::new(input).collect();
        assert_eq!(streamed, records, "with a buffer of {capacity}");
    }
    round_trips(text);
});

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// The fields of a line, read without procfs and without the crate.
struct Plain {
    numbers: [u64; 4],
    root: Vec<u8>,
    mount_point: Vec<u8>,
    fs_type: Vec<u8>,
    source: Vec<u8>,
    optional: Vec<Vec<u8>>,
}

fn plain_record(line: &[u8]) -> Option<Plain> {
    let number = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok()?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    if fields.len() < 6 || fields[..6].iter().any(|field| field.is_empty()) {
        return None;
    }
    let dash = 6 + fields[6..].iter().position(|field| *field == b"-")?;
    let [fs_type, source, first_option] = fields.get(dash + 1..dash + 4)? else { return None };
    if fs_type.is_empty() || (first_option.is_empty() && fields.len() == dash + 4) {
        return None;
    }
    let device: Vec<&[u8]> = fields[2].split(|&byte| byte == b':').collect();
    let [major, minor] = device[..] else { return None };
    let (major, minor) = (number(major)?, number(minor)?);
    if major.max(minor) > u32::MAX.into() {
        return None;
    }
    Some(Plain {
        numbers: [number(fields[0])?, number(fields[1])?, major, minor],
        root: decode(fields[3], PATH),
        mount_point: decode(fields[4], PATH),
        fs_type: decode(fs_type, NAME),
        source: decode(source, NAME),
        optional: fields[6..dash].iter().filter(|f| !f.is_empty()).map(|f| f.to_vec()).collect(),
    })
}

/// The bytes that the kernel escapes in each kind of field.
const PATH: &[u8] = b" \t\n\\";
const NAME: &[u8] = b" \t\n\\#";
const OPTION: &[u8] = b" \t\n\\,=:\"";

fn decode(mut field: &[u8], escaped: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    while let Some((&byte, rest)) = field.split_first() {
        match (byte, rest) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..])
                if escaped.contains(&octal(*a, *b, *c)) =>
            {
                decoded.push(octal(*a, *b, *c));
                field = after;
            }
            _ => {
                decoded.push(byte);
                field = rest;
            }
        }
    }
    decoded
}

fn octal(a: u8, b: u8, c: u8) -> u8 {
    ((a - b'0') << 6) + ((b - b'0') << 3) + (c - b'0')
}

impl Plain {
    fn assert_same(&self, record: &MountRecord) {
        let device = record.device;
        let numbers = [record.id, record.parent_id, device.major.into(), device.minor.into()];
        assert_eq!(numbers, self.numbers);
        assert_eq!(record.root.as_os_str().as_bytes(), self.root);
        assert_eq!(record.mount_point.as_os_str().as_bytes(), self.mount_point);
        assert_eq!(record.fs_type.as_bytes(), self.fs_type);
        assert_eq!(record.source.as_bytes(), self.source);
        let fields = record.optional_fields.iter();
        let optional: Vec<Vec<u8>> = fields.map(|field| field.as_bytes().to_vec()).collect();
        assert_eq!(optional, self.optional);
    }
}

fn round_trips(text: &[u8]) {
    assert_eq!(*unescape_path(text), *decode(text, PATH));
    assert_eq!(*unescape_name(text), *decode(text, NAME));
    assert_eq!(*unescape_option(text), *decode(text, OPTION));
    assert_eq!(*unescape_path(&escape_path(text)), *text);
    assert_eq!(*unescape_name(&escape_name(text)), *text);
    for line in lines(text) {
        let Ok(record) = MountRecord::parse(line) else { continue };
        let printed = record.to_line();
        let again = MountRecord::parse(&printed).expect("what was printed can be parsed");
        assert_eq!(again.to_line(), printed);
        assert_eq!((&again.root, &again.mount_point), (&record.root, &record.mount_point));
        assert_eq!((&again.fs_type, &again.source), (&record.fs_type, &record.source));
        for options in [&record.mount_options, &record.super_options] {
            let found: Vec<_> =
                options.iter().map(|option| option.into_owned().into_vec()).collect();
            assert_eq!(found, plain_options(options.as_bytes()));
        }
    }
}

fn plain_options(text: &[u8]) -> Vec<Vec<u8>> {
    let mut options = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let comma = (start..text.len()).find(|&at| text[at] == b',').unwrap_or(text.len());
        let value = (start..comma).find(|&at| text[at] == b'=').map_or(start, |equals| equals + 1);
        let closes =
            |&at: &usize| text[at] == b'"' && (at + 1 == text.len() || text[at + 1] == b',');
        let quoted = text.get(value) == Some(&b'"');
        let end = match (value + 1..text.len()).find(closes) {
            Some(closing) if quoted => closing + 1,
            _ => comma,
        };
        if end > start {
            options.push(decode(&text[start..end], OPTION));
        }
        start = end + 1;
    }
    options
}
