//! Lookups in a table that is in memory as a whole: a substring search instead of a walk over the
//! lines.

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memchr2_iter, memrchr};

use super::filter::Filter;
use super::line::Malformed;
use super::parse::Parser;
use super::record::MountRecord;

/// A malformed line, and its number.
type NumberedMalformed = (Malformed, usize);

/// Reports whether every path in the text is printed as the kernel prints it, so that searching for
/// the printed form of a path finds it.
///
/// This looks at the whole text and not at single fields. A tab that is not escaped makes the answer
/// `false`, and so does an escape that no path has, although the kernel uses some in sources and
/// options. Lookups then go line by line, which is slower and gives the same result.
pub(super) fn is_as_printed(text: &[u8]) -> bool {
    memchr2_iter(b'\\', b'\t', text).all(|at| {
        let digits = text.get(at + 1..at + 4);
        text[at] == b'\\' && matches!(digits, Some(b"040" | b"011" | b"012" | b"134"))
    })
}

/// Parses the lines that contain `needle` and match the filter.
pub(super) fn matching(
    text: &[u8],
    needle: &[u8],
    filter: &Filter,
) -> Result<Vec<MountRecord>, NumberedMalformed> {
    let finder = Finder::new(needle);
    let mut parser = Parser::default();
    let mut records = Vec::new();
    let mut position = 0;
    while let Some(hit) = text.get(position..).and_then(|rest| finder.find(rest)) {
        let hit = position + hit;
        let start = memrchr(b'\n', &text[..hit]).map_or(0, |newline| newline + 1);
        let end = memchr(b'\n', &text[hit..]).map_or(text.len(), |length| hit + length);
        let line = &text[start..end];
        if filter.matches(line) {
            let record = parser.record(line);
            let number = |malformed| (malformed, 1 + memchr_iter(b'\n', &text[..start]).count());
            records.push(record.map_err(number)?);
        }
        position = end + 1;
    }
    Ok(records)
}
