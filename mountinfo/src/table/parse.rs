//! Turns a line of the mount table into a [`MountRecord`], with the crate procfs.
//!
//! procfs 0.18 splits a line into typed fields, but loses or rejects some of what the kernel prints.
//! Each workaround below names what procfs does. `tests/procfs_workarounds.rs` has a test for each,
//! which fails once procfs gets it right, so that the workaround can be removed.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use procfs::process::{MountInfo, MountOptFields};

use super::escape::{unescape_name, unescape_path};
use super::line::{Fields, Malformed, device, number};
use super::options::{MountOptions, OptionalFields, Propagation};
use super::record::MountRecord;
use crate::error::Result;

impl MountRecord {
    /// Parses one line of a mount table, with or without its newline.
    ///
    /// Use it for single lines, such as those of a log; [`MountTable`](super::MountTable) and
    /// [`MountReader`](super::MountReader) read whole tables.
    ///
    /// # Errors
    /// The field that is missing or wrong, as a field of line 1. There is no errno.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::table::MountRecord;
    /// # fn main() -> subpath_mountinfo::Result<()> {
    /// let record = MountRecord::parse("36 25 98:0 /a /mnt/b rw - ext3 /dev/root rw")?;
    /// assert_eq!(record.root.to_str(), Some("/a"));
    ///
    /// let error = MountRecord::parse("36 25 98 /a /mnt/b rw - ext3 /dev/root rw").unwrap_err();
    /// assert!(error.to_string().contains("line 1: major:minor"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn parse(line: impl AsRef<[u8]>) -> Result<Self> {
        let line = line.as_ref();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Parser::default().record(line).map_err(|malformed| malformed.at(b"mountinfo", 1))
    }
}

/// Parses lines one after the other, with one buffer for all of them.
#[derive(Default)]
pub(super) struct Parser {
    scratch: Vec<u8>,
}

impl Parser {
    pub(super) fn record(&mut self, line: &[u8]) -> Result<MountRecord, Malformed> {
        let fields = Fields::split(line)?;
        self.write_line_for_procfs(&fields);
        // Neither error is kept: `wrong_number` finds the field that is at fault, and names it.
        let parsed = std::str::from_utf8(&self.scratch)
            .ok()
            .and_then(|line| MountInfo::from_line(line).ok())
            .ok_or_else(|| wrong_number(&fields))?;
        let (head, wrong) = (&fields.head, || wrong_number(&fields));
        let root = OsString::from(parsed.root);
        let mount_point = parsed.mount_point.into_os_string();
        Ok(MountRecord {
            id: id(parsed.mnt_id, head.id).ok_or_else(wrong)?,
            parent_id: id(parsed.pid, head.parent_id).ok_or_else(wrong)?,
            device: device(parsed.majmin.as_bytes()).ok_or_else(wrong)?,
            root: PathBuf::from(decoded(root, head.root, unescape_path)),
            mount_point: PathBuf::from(decoded(mount_point, head.mount_point, unescape_path)),
            mount_options: MountOptions::from_bytes(fields.mount_options),
            optional_fields: OptionalFields::from_bytes(fields.optional),
            propagation: propagation(&parsed.opt_fields, fields.optional),
            fs_type: decoded(parsed.fs_type.into(), fields.fs_type, unescape_name),
            source: match parsed.mount_source {
                Some(source) => decoded(source.into(), fields.source, unescape_name),
                // procfs returns None for an empty source and for `none` alike.
                None => OsStr::from_bytes(fields.source).to_owned(),
            },
            super_options: MountOptions::from_bytes(fields.super_options),
        })
    }

    /// Writes the line in a form that procfs reads without losing anything.
    fn write_line_for_procfs(&mut self, fields: &Fields<'_>) {
        self.scratch.clear();
        for id in [fields.head.id, fields.head.parent_id] {
            // procfs fails if an ID exceeds an i32; `id` takes such an ID from the line.
            self.scratch.extend_from_slice(if fits_i32(id) { id } else { b"0" });
            self.scratch.push(b' ');
        }
        self.push_text(fields.head.device);
        self.push_text(fields.head.root);
        self.push_text(fields.head.mount_point);
        // procfs puts options into a HashMap, which loses their order and duplicates, and splits
        // them at a comma inside quotes. The record keeps the printed text; procfs gets none.
        self.scratch.push(b' ');
        if !fields.optional.is_empty() {
            for field in fields.optional.split(|&byte| byte == b' ') {
                // procfs fails if it cannot read the number of a known tag, and drops unknown
                // tags. The record keeps the printed text; procfs gets what it can read.
                if known_tag(field) {
                    self.scratch.extend_from_slice(field);
                    self.scratch.push(b' ');
                }
            }
        }
        self.scratch.extend_from_slice(b"- ");
        self.push_text(fields.fs_type);
        self.push_text(fields.source);
        // No super options, for the reason given above.
    }

    /// Appends a field and a space to the line for procfs.
    fn push_text(&mut self, field: &[u8]) {
        // procfs fails if a field is not UTF-8; `decoded` takes such a field from the line.
        let text = std::str::from_utf8(field).is_ok();
        self.scratch.extend_from_slice(if text { field } else { NOT_TEXT });
        self.scratch.push(b' ');
    }
}

/// What procfs gets for a field that is not UTF-8. A field that really has this value is taken from
/// the line too, and comes out the same.
const NOT_TEXT: &[u8] = b"\0";

/// Decodes the kernel's escapes in a path or a name, which procfs leaves as they are. `read` is what
/// procfs returned, `field` the text of the line.
fn decoded(read: OsString, field: &[u8], unescape: fn(&[u8]) -> Cow<'_, [u8]>) -> OsString {
    let read = if read.as_bytes() == NOT_TEXT { OsStr::from_bytes(field).to_owned() } else { read };
    match unescape(read.as_bytes()) {
        Cow::Owned(decoded) => OsString::from_vec(decoded),
        Cow::Borrowed(_) => read,
    }
}

/// Reports whether the text fits into procfs's i32, if it is a number at all.
fn fits_i32(digits: &[u8]) -> bool {
    digits.len() < 10 || number::<i32>(digits).is_some()
}

/// Returns the ID that procfs read, or the one in the line if that is too large for procfs.
fn id(parsed: i32, digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None; // procfs would accept a sign
    }
    if fits_i32(digits) { u64::try_from(parsed).ok() } else { number(digits) }
}

/// Reports whether procfs reads this optional field without losing anything.
fn known_tag(field: &[u8]) -> bool {
    let numbered = |digits| number::<u32>(digits).is_some();
    let mut tags = [&b"shared:"[..], b"master:", b"propagate_from:"].into_iter();
    field == b"unbindable" || tags.find_map(|tag| field.strip_prefix(tag)).is_some_and(numbered)
}

/// Collects the propagation from what procfs read, and from the line where a number exceeds a u32.
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
    for field in optional.split(|&byte| byte == b' ').filter(|field| !known_tag(field)) {
        let group = |tag: &[u8]| number(field.strip_prefix(tag)?);
        found.shared = found.shared.or_else(|| group(b"shared:"));
        found.master = found.master.or_else(|| group(b"master:"));
        found.propagate_from = found.propagate_from.or_else(|| group(b"propagate_from:"));
    }
    found
}

/// Finds the number that procfs could not read.
#[cold]
fn wrong_number(fields: &Fields<'_>) -> Malformed {
    let head = &fields.head;
    if number::<u64>(head.id).is_none() {
        Malformed::value("mount ID", head.id, "a number")
    } else if number::<u64>(head.parent_id).is_none() {
        Malformed::value("parent ID", head.parent_id, "a number")
    } else {
        Malformed::value("major:minor", head.device, "a pair of numbers")
    }
}
