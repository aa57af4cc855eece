//! Splits a line of the mount table into its fields.
//!
//! Splitting looks at each byte once and copies nothing, so that a lookup can skip lines cheaply.

use memchr::memchr;

use super::record::DeviceNumber;
use crate::error::{Error, ErrorKind};
use crate::text;

/// The fields of a line, in the kernel's order (proc_pid_mountinfo(5)):
///
/// ```text
/// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
/// id │  │    │     │     │          │        │ │    │         super options
///    parent  root  │     mount      optional │ type source
///       device     mount options    fields   separator
///                  point
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) head: Head<'a>,
    pub(super) mount_options: &'a [u8],
    pub(super) optional: &'a [u8],
    pub(super) fs_type: &'a [u8],
    pub(super) source: &'a [u8],
    pub(super) super_options: &'a [u8],
}

/// The fields by which lines are looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) id: &'a [u8],
    pub(super) parent_id: &'a [u8],
    pub(super) device: &'a [u8],
    pub(super) root: &'a [u8],
    pub(super) mount_point: &'a [u8],
}

/// Why a line is malformed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    /// The name of the field.
    pub(super) field: &'static str,
    pub(super) problem: Vec<u8>,
}

impl Malformed {
    pub(super) fn missing(field: &'static str) -> Self {
        Malformed { field, problem: b"missing".to_vec() }
    }

    /// A field with a wrong value, which the message shows. Not for options, which may hold a secret:
    /// some network file systems have a password there.
    pub(super) fn value(field: &'static str, value: &[u8], wanted: &str) -> Self {
        let problem = format!("\"{}\" is not {wanted}", value.escape_ascii()).into_bytes();
        Malformed { field, problem }
    }

    /// Makes the error, with the name of the file and the number of the line.
    pub(super) fn at(self, file: &[u8], line: usize) -> Error {
        let Malformed { field, problem } = self;
        let text = text!("%s: line %d: %s: %s", file, line, field, problem);
        Error::new(text).of_kind(ErrorKind::MalformedTable { line, field })
    }
}

/// Takes a field off the front of `rest`, and the space after it.
fn cut<'a>(rest: &mut Option<&'a [u8]>, field: &'static str) -> Result<&'a [u8], Malformed> {
    let text = rest.ok_or_else(|| Malformed::missing(field))?;
    match memchr(b' ', text) {
        Some(space) => {
            *rest = Some(&text[space + 1..]);
            Ok(&text[..space])
        }
        None => {
            *rest = None;
            Ok(text)
        }
    }
}

/// Takes a field that must not be empty off the front of `rest`.
fn cut_filled<'a>(rest: &mut Option<&'a [u8]>, field: &'static str) -> Result<&'a [u8], Malformed> {
    let text = cut(rest, field)?;
    if text.is_empty() { Err(Malformed::missing(field)) } else { Ok(text) }
}

impl<'a> Head<'a> {
    /// Takes the first five fields off the front of `rest`.
    fn cut(rest: &mut Option<&'a [u8]>) -> Result<Self, Malformed> {
        Ok(Head {
            id: cut_filled(rest, "mount ID")?,
            parent_id: cut_filled(rest, "parent ID")?,
            device: cut_filled(rest, "major:minor")?,
            root: cut_filled(rest, "root")?,
            mount_point: cut_filled(rest, "mount point")?,
        })
    }

    pub(super) fn split(line: &'a [u8]) -> Result<Self, Malformed> {
        Head::cut(&mut Some(line))
    }
}

impl<'a> Fields<'a> {
    pub(super) fn split(line: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = Some(line);
        let head = Head::cut(&mut rest)?;
        let mount_options = cut_filled(&mut rest, "mount options")?;

        let optional_start = rest.ok_or_else(|| Malformed::missing("separator"))?;
        let mut optional_len = 0;
        loop {
            let field = cut(&mut rest, "separator")?;
            if field == b"-" {
                break;
            }
            optional_len += field.len() + 1;
        }
        let optional = optional_start[..optional_len].trim_ascii_end();

        let fs_type = cut_filled(&mut rest, "file system type")?;
        // Empty if the mount was made with an empty name: two spaces in a row.
        let source = cut(&mut rest, "source")?;
        // The rest of the line, with any spaces: file systems printed them unescaped before Linux 4.0
        // added seq_show_option(), and may still.
        let super_options = match rest {
            Some(text) if !text.is_empty() => text,
            _ => return Err(Malformed::missing("super options")),
        };
        Ok(Fields { head, mount_options, optional, fs_type, source, super_options })
    }
}

/// Parses a number as the kernel prints it: digits only.
pub(super) fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None; // str::parse would accept a sign
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Parses `MAJOR:MINOR`.
pub(super) fn device(text: &[u8]) -> Option<DeviceNumber> {
    let (major, minor) = text.split_at_checked(memchr(b':', text)?)?;
    Some(DeviceNumber { major: number(major)?, minor: number(&minor[1..])? })
}
