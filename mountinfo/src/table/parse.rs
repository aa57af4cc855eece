//! From a line to a record, by the crate procfs.
//!
//! procfs 0.18 parses a line of text into its fields, but it does not give every field back as it
//! was. Each step below that stands between the line and procfs works around one such thing and
//! names it; the tests at the end show procfs's own answer for each, and fail on the day that
//! procfs gives the right one, so that the step can go.

use std::borrow::Cow;
use std::os::unix::ffi::OsStringExt;

use procfs::process::{MountInfo, MountOptFields};

use super::escape::{unescape_name, unescape_path};
use super::line::{Field, Fields, Malformed, device, number};
use super::options::{MountOptions, OptionalFields, Propagation};
use super::record::MountRecord;
use crate::error::Result;

impl MountRecord {
    /// Parses one line, without its newline.
    ///
    /// # Errors
    /// Names the field that is missing or wrong.
    pub fn parse(line: &[u8]) -> Result<Self> {
        Parser::default().record(line).map_err(|malformed| malformed.at(b"mountinfo", 1))
    }
}

/// Parses lines, one after the other, with one scratch text for all.
#[derive(Debug, Default)]
pub(super) struct Parser {
    scratch: Vec<u8>,
}

impl Parser {
    pub(super) fn record(&mut self, line: &[u8]) -> Result<MountRecord, Malformed> {
        let fields = Fields::split(line)?;
        self.write_line_for_procfs(&fields);
        let parsed = std::str::from_utf8(&self.scratch)
            .ok()
            .and_then(|line| MountInfo::from_line(line).ok())
            .ok_or_else(|| wrong_number(&fields))?;

        let device = device(parsed.majmin.as_bytes()).ok_or_else(|| wrong_number(&fields))?;
        Ok(MountRecord {
            id: id(parsed.mnt_id, fields.head.id).ok_or_else(|| wrong_number(&fields))?,
            parent_id: id(parsed.pid, fields.head.parent_id)
                .ok_or_else(|| wrong_number(&fields))?,
            device,
            root: decoded(parsed.root.into_bytes(), fields.head.root, unescape_path),
            mount_point: decoded(
                parsed.mount_point.into_os_string().into_vec(),
                fields.head.mount_point,
                unescape_path,
            ),
            mount_options: MountOptions::from_bytes(fields.mount_options),
            optional_fields: OptionalFields::from_bytes(fields.optional),
            propagation: propagation(&parsed.opt_fields, fields.optional),
            fs_type: decoded(parsed.fs_type.into_bytes(), fields.fs_type, unescape_name),
            source: match parsed.mount_source {
                Some(source) => decoded(source.into_bytes(), fields.source, unescape_name),
                // procfs says None for an empty source and for `none` alike.
                None => fields.source.to_vec(),
            },
            super_options: MountOptions::from_bytes(fields.super_options),
        })
    }

    /// Writes the line as procfs can read it without losing anything.
    fn write_line_for_procfs(&mut self, fields: &Fields<'_>) {
        self.scratch.clear();
        for id in [fields.head.id, fields.head.parent_id] {
            // procfs has i32 for an ID and fails beyond; `id` takes such a one from the line.
            self.scratch.extend_from_slice(if fits_i32(id) { id } else { b"0" });
            self.scratch.push(b' ');
        }
        self.push_text(fields.head.device);
        self.push_text(fields.head.root);
        self.push_text(fields.head.mount_point);
        // procfs puts options into a HashMap, where their order and duplicates are lost, and splits
        // at a comma in quotes. They are kept as they are printed; procfs gets none.
        self.scratch.push(b' ');
        if !fields.optional.is_empty() {
            for field in fields.optional.split(|&byte| byte == b' ') {
                // procfs fails at a known tag whose number it cannot read, and drops an unknown
                // tag. All are kept as they are printed; procfs gets those that it can read.
                if known_tag(field) {
                    self.scratch.extend_from_slice(field);
                    self.scratch.push(b' ');
                }
            }
        }
        self.scratch.extend_from_slice(b"- ");
        self.push_text(fields.fs_type);
        self.push_text(fields.source);
        // The super options: none, as above.
    }

    /// Appends a field and a space.
    fn push_text(&mut self, field: &[u8]) {
        // procfs takes text only: one byte that is not UTF-8 costs the whole table. `decoded` takes
        // such a field from the line.
        let text = std::str::from_utf8(field).is_ok();
        self.scratch.extend_from_slice(if text { field } else { NOT_TEXT });
        self.scratch.push(b' ');
    }
}

/// What procfs gets for a field that is no text. A field that is this already comes out the same.
const NOT_TEXT: &[u8] = b"\0";

/// Decodes a path or a name, in which procfs leaves the kernel's escapes: the one that it read, or
/// the line's where that is no text.
fn decoded(read: Vec<u8>, field: &[u8], unescape: fn(&[u8]) -> Cow<'_, [u8]>) -> Vec<u8> {
    let read = if read == NOT_TEXT { field.to_vec() } else { read };
    match unescape(&read) {
        Cow::Owned(decoded) => decoded,
        Cow::Borrowed(_) => read,
    }
}

/// Whether the text goes into procfs's i32, if it is a number at all.
fn fits_i32(digits: &[u8]) -> bool {
    digits.len() < 10 || number::<i32>(digits).is_some()
}

/// The ID that procfs read, or the line's where it was too large for procfs.
fn id(parsed: i32, digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None; // procfs takes a sign
    }
    if fits_i32(digits) { u64::try_from(parsed).ok() } else { number(digits) }
}

/// Whether procfs reads this optional field and gives it back whole.
fn known_tag(field: &[u8]) -> bool {
    let numbered = |digits| number::<u32>(digits).is_some();
    let mut tags = [&b"shared:"[..], b"master:", b"propagate_from:"].into_iter();
    field == b"unbindable" || tags.find_map(|tag| field.strip_prefix(tag)).is_some_and(numbered)
}

/// What procfs understood of the optional fields, and the numbers that it could not hold.
fn propagation(parsed: &[MountOptFields], optional: &[u8]) -> Propagation {
    let mut found = Propagation::default();
    for field in parsed {
        match *field {
            MountOptFields::Shared(group) => found.shared = Some(group.into()),
            MountOptFields::Master(group) => found.master = Some(group.into()),
            MountOptFields::PropagateFrom(group) => found.propagate_from = Some(group.into()),
            MountOptFields::Unbindable => found.unbindable = true,
        }
    }
    // The numbers that procfs's u32 cannot hold.
    for field in optional.split(|&byte| byte == b' ').filter(|field| !known_tag(field)) {
        let group = |tag: &[u8]| number(field.strip_prefix(tag)?);
        found.shared = found.shared.or_else(|| group(b"shared:"));
        found.master = found.master.or_else(|| group(b"master:"));
        found.propagate_from = found.propagate_from.or_else(|| group(b"propagate_from:"));
    }
    found
}

/// Which of the numbers procfs could not read.
#[cold]
fn wrong_number(fields: &Fields<'_>) -> Malformed {
    let head = &fields.head;
    if number::<u64>(head.id).is_none() {
        Malformed::value(Field::Id, head.id, "a number")
    } else if number::<u64>(head.parent_id).is_none() {
        Malformed::value(Field::ParentId, head.parent_id, "a number")
    } else {
        Malformed::value(Field::Device, head.device, "a pair of numbers")
    }
}
