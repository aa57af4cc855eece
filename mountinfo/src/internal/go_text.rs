//! Go's text for an errno, and Go's quoting of strings (`%q`).
//!
//! The texts of errors are made of these two and are compared with the original's, so both follow Go byte
//! for byte. The tables come from Go.

mod errno;
mod format;
mod isprint;

use std::borrow::Cow;

pub use format::{Operand, count_verbs, format};

/// Returns Go's text for an errno (`syscall.Errno.Error`). It is `errno N` if Go has no text for it.
pub fn errno_text(errno: i32) -> Cow<'static, str> {
    match usize::try_from(errno).ok().and_then(|n| errno::TEXTS.get(n)) {
        Some(&text) if !text.is_empty() => Cow::Borrowed(text),
        // Go's table for amd64 ends before EHWPOISON.
        None if errno == 133 && cfg!(target_arch = "aarch64") => {
            Cow::Borrowed("memory page has hardware error")
        }
        _ => Cow::Owned(format!("errno {errno}")),
    }
}

/// Quotes bytes as Go's `%q` does (`strconv.Quote`).
///
/// # Examples
/// ```
/// assert_eq!(subpath_mountinfo::internal::go_text::quote(b"a\"\n\xff\xc3\xa9"), "\"a\\\"\\n\\xffé\"".as_bytes());
/// ```
pub fn quote(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    quote_into(&mut out, bytes);
    out
}

/// Appends the bytes to `out`, quoted as [`quote`] does.
pub fn quote_into(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            quote_char(out, c);
        }
        // This is an invalid start byte and the continuation bytes after it. Go decodes each of them as a
        // separate error, which gives the same text.
        for &byte in chunk.invalid() {
            push_hex(out, b"\\x", u32::from(byte), 2);
        }
    }
    out.push(b'"');
}

fn quote_char(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' | '\\' => c as u8,
        '\x07' => b'a',
        '\x08' => b'b',
        '\x0c' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\x0b' => b'v',
        _ if is_print(c) => {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
        '\0'..='\x7f' => return push_hex(out, b"\\x", c as u32, 2),
        '\u{80}'..='\u{ffff}' => return push_hex(out, b"\\u", c as u32, 4),
        _ => return push_hex(out, b"\\U", c as u32, 8),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn push_hex(out: &mut Vec<u8>, prefix: &[u8], value: u32, digits: u32) {
    out.extend_from_slice(prefix);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * place) & 0xf) as usize]);
    }
}

/// Reports whether Go prints a character as it is (`strconv.IsPrint`).
fn is_print(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\0'..='\x7f' => false,
        _ => isprint::CHANGES.partition_point(|&change| change <= c as u32) % 2 == 1,
    }
}
