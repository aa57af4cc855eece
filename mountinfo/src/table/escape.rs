//! The octal escapes of the kernel's mount tables: decoding and encoding.
//!
//! The kernel prints a byte that would break a line apart as a backslash and three octal digits, and
//! every other byte as it is, UTF-8 or not (fs/seq_file.c, `mangle_path` and `seq_escape`). Which bytes
//! it escapes depends on the field (fs/proc_namespace.c, `show_mountinfo`). Exactly those are decoded:
//!
//! | field | bytes | in the kernel |
//! |---|---|---|
//! | root, mount point | space, tab, newline, `\` | `seq_dentry`, `seq_path_root` |
//! | file system type, source | these and `#` | `mangle`; `#` from Linux 6.0 on |
//! | options | space, tab, newline, `\` and `,` `=` `"` `:` | `seq_show_option`; `"` in SELinux contexts (`show_sid`); `:` in the lowerdir of Linux 6.6 (`ovl_show_options`) |
//!
//! A backslash is always escaped in paths, types and sources, so that decoding them gives exactly what
//! was there. This is not so for options: some file systems print theirs without any escapes, among
//! them 9p and drvfs. There `\101` stays as it is, but a literal `\040`, or any other of the eight,
//! cannot be distinguished from an escape and is decoded.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memchr_iter;
use regex::bytes::Regex;

/// The bytes of a root or a mount point that are printed as escapes.
const PATH_BYTES: &[u8] = b"\t\n \\";
/// The bytes of a file system type or a source that are printed as escapes.
const NAME_BYTES: &[u8] = b"\t\n #\\";
/// The bytes of an option that are printed as escapes.
const OPTION_BYTES: &[u8] = b"\t\n \",:=\\";

static PATH: LazyLock<Regex> = LazyLock::new(|| pattern(PATH_BYTES));
static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(NAME_BYTES));
static OPTION: LazyLock<Regex> = LazyLock::new(|| pattern(OPTION_BYTES));

/// Makes a pattern for the escapes of these bytes and no others, at the start of the text.
///
/// [`unescape`] finds the backslashes by memchr and lets the pattern check only what follows them. So the
/// crate regex needs none of its features `perf` and `unicode`, which are for searching long texts and for
/// characters. With `std` alone it is 260 KB of the code in the static library, a fifth of all. `perf` would
/// add 450 KB of code (1.1 MB in the file) and decode no field faster than this by more than 0.2 µs; a
/// search by the pattern itself would take 10 to 20 µs for a long field without `perf`.
#[allow(clippy::expect_used)] // of three constants; the tests below compile them
fn pattern(bytes: &[u8]) -> Regex {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:03o}")).collect();
    Regex::new(&format!(r"(?-u)^\\(?:{})", digits.join("|"))).expect("a valid pattern")
}

/// Decodes the printed form of a root or a mount point.
///
/// Use it for other files with the kernel's escapes, such as `/proc/PID/mounts`;
/// [`MountRecord`](super::MountRecord) is decoded already. Each escape is decoded once, and a backslash
/// that starts no escape is kept. The field is borrowed if nothing is to be decoded.
///
/// # Examples
/// ```
/// use subpath_mountinfo::table::unescape_path;
/// assert_eq!(*unescape_path(br"/mnt/my\040disk"), b"/mnt/my disk"[..]);
/// assert_eq!(*unescape_path(br"/mnt/\134040"), br"/mnt/\040"[..]);
/// ```
pub fn unescape_path(field: &[u8]) -> Cow<'_, [u8]> {
    unescape(field, &PATH)
}

/// Decodes the printed form of a source or a file system type, as [`unescape_path`] does for a path.
///
/// # Examples
/// ```
/// use subpath_mountinfo::table::unescape_name;
/// assert_eq!(*unescape_name(br"my\043disk"), b"my#disk"[..]);
/// ```
pub fn unescape_name(field: &[u8]) -> Cow<'_, [u8]> {
    unescape(field, &NAME)
}

/// Decodes the printed form of one mount option, as [`unescape_path`] does for a path.
///
/// Some file systems do not escape their options. Most backslashes in those are kept as they are.
///
/// # Examples
/// ```
/// use subpath_mountinfo::table::unescape_option;
/// assert_eq!(*unescape_option(br"lowerdir=/a\054b"), b"lowerdir=/a,b"[..]);
/// assert_eq!(*unescape_option(br"aname=drvfs;path=C:\101;uid=0"), br"aname=drvfs;path=C:\101;uid=0"[..]);
/// ```
pub fn unescape_option(option: &[u8]) -> Cow<'_, [u8]> {
    unescape(option, &OPTION)
}

fn unescape<'a>(field: &'a [u8], escape: &LazyLock<Regex>) -> Cow<'a, [u8]> {
    let mut decoded = Vec::new();
    let mut copied = 0;
    for start in memchr_iter(b'\\', field) {
        let found = field.get(start..start + 4).filter(|text| escape.is_match(text));
        let Some(found) = found else { continue };
        let digit = |at: usize| found[at] - b'0';
        if decoded.is_empty() {
            decoded.reserve(field.len());
        }
        decoded.extend_from_slice(&field[copied..start]);
        decoded.push((digit(1) << 6) | (digit(2) << 3) | digit(3));
        copied = start + 4;
    }
    if copied == 0 {
        return Cow::Borrowed(field);
    }
    decoded.extend_from_slice(&field[copied..]);
    Cow::Owned(decoded)
}

/// Encodes a root or a mount point as the kernel prints it: space, tab, newline and backslash become
/// escapes (`seq_dentry` and `seq_path_root` with `" \t\n\\"`).
///
/// Use it to search the text of a mount table for a path.
///
/// # Examples
/// ```
/// use subpath_mountinfo::table::escape_path;
/// assert_eq!(*escape_path(b"/mnt/my disk #2"), br"/mnt/my\040disk\040#2"[..]);
/// ```
pub fn escape_path(path: &[u8]) -> Cow<'_, [u8]> {
    escape(path, PATH_BYTES)
}

/// Encodes a source or a file system type as the kernel prints it: space, tab, newline, backslash and
/// `#` become escapes (`mangle` with `" \t\n\\#"`).
///
/// # Examples
/// ```
/// use subpath_mountinfo::table::escape_name;
/// assert_eq!(*escape_name(b"disk #2"), br"disk\040\0432"[..]);
/// ```
pub fn escape_name(name: &[u8]) -> Cow<'_, [u8]> {
    escape(name, NAME_BYTES)
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

/// Appends the escape for one byte.
fn push_octal(text: &mut Vec<u8>, byte: u8) {
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

    type Decode = fn(&[u8]) -> Cow<'_, [u8]>;

    const FIELDS: [(&str, Decode, &[u8]); 3] = [
        ("path", unescape_path, b" \t\n\\"),
        ("name", unescape_name, b" \t\n\\#"),
        ("option", unescape_option, b" \t\n\\,=:\""),
    ];

    #[test]
    fn each_field_decodes_the_bytes_that_the_kernel_escapes_there_and_no_others() {
        for (field, decode, escaped) in FIELDS {
            for byte in 0..=255 {
                let mut printed = b"a".to_vec();
                push_octal(&mut printed, byte);
                let decoded = decode(&printed).into_owned();
                let wanted = if escaped.contains(&byte) { vec![b'a', byte] } else { printed };
                assert_eq!(decoded, wanted, "{field}: {byte:03o}");
            }
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        for kept in [&br"\"[..], br"\0", br"\04", br"\08a", br"\400", br"\777", br"C:\;uid=0", b""]
        {
            for (field, decode, _) in FIELDS {
                assert_eq!(*decode(kept), *kept, "{field}: {}", kept.escape_ascii());
            }
        }
    }

    #[test]
    fn an_escape_is_decoded_once() {
        for (field, decode, _) in FIELDS {
            assert_eq!(*decode(br"\134134\040"), br"\134 "[..], "{field}");
            assert_eq!(*decode(br"\\040\134101"), br"\ \101"[..], "{field}");
        }
    }

    #[test]
    fn decoding_gives_every_byte_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(*unescape_path(&escape_path(&all)), *all);
        assert_eq!(*unescape_name(&escape_name(&all)), *all);
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
