//! The octal escapes in which the kernel prints the fields of a mount table.
//!
//! fs/seq_file.c, `mangle_path` and `seq_escape`: a byte that would break the line apart is printed
//! as a backslash and three octal digits, every other byte as it is, UTF-8 or not. Which bytes those
//! are depends on the field (fs/proc_namespace.c, `show_mountinfo`); the backslash is always among
//! them, so that decoding once gives exactly what was there.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memchr;
use regex::bytes::Regex;

/// One escape: a backslash and the octal digits of one byte. `\400` and above is no byte and stays.
#[allow(clippy::expect_used)] // a constant; the tests below compile it
static OCTAL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?-u)\\[0-3][0-7]{2}").expect("a valid pattern"));

/// Decodes every escape of a field, once.
///
/// A backslash that starts no escape stays: the kernel prints none in a field that it escapes, and
/// in one that it does not escape the backslash is itself.
///
/// # Examples
/// ```
/// use mountinfo::table::unescape;
/// assert_eq!(*unescape(br"/mnt/my\040disk"), b"/mnt/my disk"[..]);
/// assert_eq!(*unescape(br"/mnt/\134040"), br"/mnt/\040"[..]);
/// ```
pub fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    // Nearly every field has none: one look for a backslash spares the pattern.
    if memchr(b'\\', field).is_none() {
        return Cow::Borrowed(field);
    }
    let mut decoded = Vec::with_capacity(field.len());
    let mut copied = 0;
    for escape in OCTAL.find_iter(field) {
        decoded.extend_from_slice(&field[copied..escape.start()]);
        let digit = |at: usize| field[escape.start() + at] - b'0';
        decoded.push((digit(1) << 6) | (digit(2) << 3) | digit(3));
        copied = escape.end();
    }
    decoded.extend_from_slice(&field[copied..]);
    Cow::Owned(decoded)
}

/// Encodes a root or a mount point as the kernel prints it: space, tab, newline and backslash
/// become escapes (`seq_dentry` and `seq_path_root` with `" \t\n\\"`).
///
/// # Examples
/// ```
/// use mountinfo::table::escape_path;
/// assert_eq!(*escape_path(b"/mnt/my disk #2"), br"/mnt/my\040disk\040#2"[..]);
/// ```
pub fn escape_path(path: &[u8]) -> Cow<'_, [u8]> {
    escape(path, b" \t\n\\")
}

/// Encodes a source or a file system type as the kernel prints it: as a path, and `#` too
/// (`mangle` with `" \t\n\\#"`).
pub fn escape_name(name: &[u8]) -> Cow<'_, [u8]> {
    escape(name, b" \t\n\\#")
}

fn escape<'a>(bytes: &'a [u8], special: &[u8]) -> Cow<'a, [u8]> {
    if !bytes.iter().any(|byte| special.contains(byte)) {
        return Cow::Borrowed(bytes);
    }
    let mut encoded = Vec::with_capacity(bytes.len() + 16);
    for &byte in bytes {
        if special.contains(&byte) {
            push_octal(&mut encoded, byte);
        } else {
            encoded.push(byte);
        }
    }
    Cow::Owned(encoded)
}

/// Appends one byte as an escape.
pub(super) fn push_octal(text: &mut Vec<u8>, byte: u8) {
    text.extend_from_slice(&[
        b'\\',
        b'0' + (byte >> 6),
        b'0' + ((byte >> 3) & 7),
        b'0' + (byte & 7),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_escape_stays() {
        for kept in [&br"\"[..], br"\0", br"\04", br"\08a", br"\400", br"\777", br"C:\;uid=0", b""]
        {
            assert_eq!(*unescape(kept), *kept, "{}", kept.escape_ascii());
        }
    }

    #[test]
    fn an_escape_is_decoded_once() {
        assert_eq!(*unescape(br"\134134\040"), br"\134 "[..]);
        assert_eq!(*unescape(br"\377\000\043\101"), b"\xff\0#A"[..]);
    }

    #[test]
    fn decoding_gives_every_byte_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(*unescape(&escape_path(&all)), *all);
        assert_eq!(*unescape(&escape_name(&all)), *all);
        let mut octal = Vec::new();
        all.iter().for_each(|&byte| push_octal(&mut octal, byte));
        assert_eq!(*unescape(&octal), *all);
    }

    #[test]
    fn only_the_kernels_bytes_are_escaped() {
        assert_eq!(
            *escape_path(b" \t\n\\#\r\x0b\x80,\""),
            b"\\040\\011\\012\\134#\r\x0b\x80,\""[..]
        );
        assert_eq!(*escape_name(b" \t\n\\#\r"), b"\\040\\011\\012\\134\\043\r"[..]);
    }
}
