//! The lists in a line: mount options, optional fields, and the propagation these tell of.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;

use super::escape::unescape_option;

/// Mount options as the kernel printed them: in order, duplicates kept, decoded when asked for.
///
/// Kept undecoded because a comma in a value is an escape (`lowerdir=/a\054b`): only the printed
/// text can be split.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct MountOptions(Vec<u8>);

impl MountOptions {
    /// Options from the kernel's text: `rw,relatime`.
    pub fn from_bytes(text: impl Into<Vec<u8>>) -> Self {
        MountOptions(text.into())
    }

    /// The kernel's text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The options in order, each with its escapes decoded. Empty ones are left out.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        split(&self.0).map(unescape_option)
    }

    /// Whether the option stands in the list as it is.
    pub fn contains(&self, option: &[u8]) -> bool {
        self.iter().any(|o| *o == *option)
    }

    /// The values of the options `name=value`, in order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = Cow<'a, [u8]>> {
        split(&self.0).filter_map(move |option| {
            let (this, value) = option.split_at_checked(memchr(b'=', option)?)?;
            (*unescape_option(this) == *name).then(|| unescape_option(&value[1..]))
        })
    }
}

impl fmt::Debug for MountOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Splits at each comma that lies in no quotes.
///
/// security/selinux/hooks.c, `show_sid`, prints a value that holds a comma as `context="a:b,c"`.
/// So a quote opens only where a value begins, and closes only where the option ends: one inside a
/// file name (`lowerdir=/a"b,upperdir=/c`) opens nothing.
fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    // Once no quote closes, none does further on: the text is looked through only once.
    let mut quotes_close = true;
    std::iter::from_fn(move || {
        while let [b',', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return None;
        }
        let comma = memchr(b',', rest).unwrap_or(rest.len());
        let value = memchr(b'=', &rest[..comma]).map_or(0, |equals| equals + 1);
        let mut end = comma;
        if quotes_close && rest.get(value) == Some(&b'"') {
            match quoted_end(rest, value) {
                Some(closed) => end = closed,
                None => quotes_close = false,
            }
        }
        let (option, after) = rest.split_at(end);
        rest = after;
        Some(option)
    })
}

/// Where the value ends whose opening quote is at `start`, if the quote is ever closed.
fn quoted_end(text: &[u8], start: usize) -> Option<usize> {
    let closing =
        |&end: &usize| text[end - 1] == b'"' && matches!(text.get(end), None | Some(b','));
    (start + 2..=text.len()).find(closing)
}

/// The optional fields of a line: zero or more of the form `tag` or `tag:value`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct OptionalFields(Vec<u8>);

impl OptionalFields {
    /// Optional fields from the kernel's text: `shared:7 master:3`.
    pub fn from_bytes(text: impl Into<Vec<u8>>) -> Self {
        OptionalFields(text.into())
    }

    /// The kernel's text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The fields in order, those with a tag that nobody knows too.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b' ').filter(|field| !field.is_empty())
    }
}

impl fmt::Debug for OptionalFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// How mount events travel between this mount and others (mount_namespaces(7)).
///
/// A mount of which nothing is said is private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Propagation {
    /// The peer group to which the mount belongs (`shared:N`).
    pub shared: Option<u64>,
    /// The peer group from which it receives (`master:N`).
    pub master: Option<u64>,
    /// The nearest peer group above that one that the process can see (`propagate_from:N`).
    pub propagate_from: Option<u64>,
    /// Whether the mount cannot be bound (`unbindable`).
    pub unbindable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &[u8]) -> Vec<Vec<u8>> {
        MountOptions::from_bytes(text).iter().map(Cow::into_owned).collect()
    }

    #[test]
    fn a_comma_in_a_quoted_value_splits_nothing() {
        assert_eq!(
            list(br#"rw,context="u:r:t:s0:c1,c2",size=1k"#),
            [&b"rw"[..], br#"context="u:r:t:s0:c1,c2""#, b"size=1k"]
        );
        assert_eq!(list(br#"rw,context="a,b""#), [&b"rw"[..], br#"context="a,b""#]);
    }

    #[test]
    fn a_quote_inside_a_value_opens_nothing() {
        assert_eq!(
            list(br#"lowerdir=/a"b,upperdir=/c"#),
            [&br#"lowerdir=/a"b"#[..], b"upperdir=/c"]
        );
        assert_eq!(list(br#"x=",y,z"w"#), [&br#"x=""#[..], b"y", br#"z"w"#]);
        assert_eq!(list(br#"x="""#), [&br#"x="""#[..]]);
    }

    #[test]
    fn order_and_duplicates_stay_and_empty_options_go() {
        assert_eq!(list(b",rw,,a=1,rw,a=2,"), [&b"rw"[..], b"a=1", b"rw", b"a=2"]);
        assert_eq!(list(b""), [b""; 0]);
        let options = MountOptions::from_bytes(&b"a=1,b,a=2,c=x=y"[..]);
        assert_eq!(options.values(b"a").collect::<Vec<_>>(), [&b"1"[..], b"2"]);
        assert_eq!(options.values(b"c").collect::<Vec<_>>(), [&b"x=y"[..]]);
        assert_eq!(options.values(b"b").count(), 0);
        assert!(options.contains(b"b") && !options.contains(b"a"));
    }

    #[test]
    fn an_escaped_comma_belongs_to_the_value() {
        assert_eq!(list(br"lowerdir=/a\054b,ro"), [&b"lowerdir=/a,b"[..], b"ro"]);
    }
}
