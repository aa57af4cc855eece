//! Texts by Go's format strings, as far as the original uses them: `%s`, `%v`, `%w`, `%q` and `%d`.

use super::quote_into;
use crate::error::Error;
use crate::internal::paths::bytes_of;

/// Puts a text together: `text!("lstat %s failed: %v", path, error)`. The number of the operands is
/// checked when it is compiled.
#[macro_export]
#[doc(hidden)]
macro_rules! text {
    ($format:literal $(, $operand:expr)* $(,)?) => {{
        const {
            assert!(
                $crate::internal::go_text::count_verbs($format) == 0 $(+ {
                    let _ = stringify!($operand);
                    1
                })*,
                "each verb of the format needs an operand"
            );
        }
        $crate::internal::go_text::format($format, &[$(&$operand),*])
    }};
}

/// What can be formatted.
pub trait Operand {
    /// Appends it as Go does for `%s` (also `%d`), `%v` (also `%w`) or `%q`.
    fn append(&self, verb: u8, out: &mut Vec<u8>);
}

macro_rules! bytes {
    ($($type:ty),*) => { $(
        impl Operand for $type {
            fn append(&self, verb: u8, out: &mut Vec<u8>) {
                let bytes: &[u8] = self.as_ref();
                match verb {
                    b'q' => quote_into(out, bytes),
                    _ => out.extend_from_slice(bytes),
                }
            }
        }
    )* };
}
bytes!([u8], Vec<u8>, str, String, std::borrow::Cow<'_, [u8]>);

impl<const N: usize> Operand for [u8; N] {
    fn append(&self, verb: u8, out: &mut Vec<u8>) {
        self[..].append(verb, out);
    }
}

impl Operand for std::path::PathBuf {
    fn append(&self, verb: u8, out: &mut Vec<u8>) {
        bytes_of(self).append(verb, out);
    }
}

macro_rules! printed {
    ($($type:ty),*) => { $(
        impl Operand for $type {
            fn append(&self, _: u8, out: &mut Vec<u8>) {
                out.extend_from_slice(self.to_string().as_bytes());
            }
        }
    )* };
}
printed!(bool, u32, u64, usize, i32, i64);

impl Operand for Error {
    fn append(&self, verb: u8, out: &mut Vec<u8>) {
        let text = match verb {
            b'v' | b'w' => self.text_v(),
            _ => self.original_text(),
        };
        text.append(verb, out);
    }
}

impl<T: Operand + ?Sized> Operand for &T {
    fn append(&self, verb: u8, out: &mut Vec<u8>) {
        (**self).append(verb, out);
    }
}

/// How many operands a format takes.
pub const fn count_verbs(format: &str) -> usize {
    let bytes = format.as_bytes();
    let (mut at, mut verbs) = (0, 0);
    while at < bytes.len() {
        if bytes[at] == b'%' {
            at += 1;
            if at < bytes.len() && bytes[at] != b'%' {
                verbs += 1;
            }
        }
        at += 1;
    }
    verbs
}

/// See [`text!`].
pub fn format(format: &str, operands: &[&dyn Operand]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let mut operands = operands.iter();
    let mut bytes = format.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match (bytes.next(), operands.as_slice()) {
                (Some(verb), [operand, ..]) if verb != b'%' => {
                    operand.append(verb, &mut out);
                    operands.next();
                }
                _ => out.push(b'%'),
            },
            byte => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::internal::sys;

    #[test]
    fn verbs_take_the_operands_in_order() {
        let path: &[u8] = b"/a\xff";
        let cause = Error::at_path("open", path, sys::ENOENT);
        assert_eq!(
            text!("doBindSubPath %q (%s) at %d%%: %v", path, path, 7, cause),
            b"doBindSubPath \"/a\\xff\" (/a\xff) at 7%: open /a\xff: no such file or directory"
        );
        assert_eq!(text!("%s%s", "", String::from("x")), b"x");
        assert_eq!(text!("%%!s(<nil>)"), b"%!s(<nil>)");
    }
}
