//! The lists in a line: mount options and optional fields, and the mount propagation that the
//! optional fields describe.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use memchr::memchr;

use super::escape::unescape_option;

/// A list of mount options, in the kernel's order and with duplicates.
///
/// The list keeps the text that the kernel printed, and decodes an option when it is asked for: a
/// comma inside a value is an escape (`lowerdir=/a\054b`), so only the printed text can be split.
///
/// # Examples
/// ```
/// use std::ffi::OsStr;
/// use subpath_mountinfo::table::MountOptions;
/// let options = MountOptions::from_bytes(r"rw,lowerdir+=/a\054b,lowerdir+=/c");
/// assert!(options.contains("rw"));
/// assert_eq!(options.values("lowerdir+").collect::<Vec<_>>(), ["/a,b", "/c"].map(OsStr::new));
/// assert_eq!(options.iter().count(), 3);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct MountOptions(Vec<u8>);

impl MountOptions {
    /// Makes a list from the kernel's text, such as `rw,relatime`.
    pub fn from_bytes(text: impl Into<Vec<u8>>) -> Self {
        MountOptions(text.into())
    }

    /// Returns the kernel's text, with its escapes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Iterates over the options in order, each with its escapes decoded. Empty options are skipped.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, OsStr>> {
        split(&self.0).map(|option| os_str(unescape_option(option)))
    }

    /// Reports whether an option is in the list. It is compared whole: `size` is not `size=1k`.
    pub fn contains(&self, option: impl AsRef<OsStr>) -> bool {
        let option = option.as_ref().as_bytes();
        split(&self.0).any(|printed| *unescape_option(printed) == *option)
    }

    /// Iterates over the values of the options `name=value` with this name, in order and decoded. A
    /// name may occur more than once (`lowerdir+` of overlayfs); an option without a value is skipped.
    pub fn values<N: AsRef<OsStr>>(
        &self,
        name: N,
    ) -> impl Iterator<Item = Cow<'_, OsStr>> + use<'_, N> {
        split(&self.0).filter_map(move |option| {
            let (this, value) = option.split_at_checked(memchr(b'=', option)?)?;
            let is_wanted = *unescape_option(this) == *name.as_ref().as_bytes();
            is_wanted.then(|| os_str(unescape_option(&value[1..])))
        })
    }
}

impl fmt::Debug for MountOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

fn os_str(bytes: Cow<'_, [u8]>) -> Cow<'_, OsStr> {
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(OsStr::from_bytes(bytes)),
        Cow::Owned(bytes) => Cow::Owned(OsString::from_vec(bytes)),
    }
}

/// Splits a list of options at each comma that is not inside quotes.
///
/// SELinux quotes a value that contains a comma (security/selinux/hooks.c, `show_sid`):
/// `context="a:b,c"`. A quote therefore opens only at the start of a value and closes only at the end
/// of an option. One inside a file name (`lowerdir=/a"b,upperdir=/c`) is an ordinary byte.
fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    // Once a quote is never closed, no later one is: this keeps the search for it linear.
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

/// Returns the end of the value whose opening quote is at `start`, or `None` if that quote is never
/// closed.
fn quoted_end(text: &[u8], start: usize) -> Option<usize> {
    let closing =
        |&end: &usize| text[end - 1] == b'"' && matches!(text.get(end), None | Some(b','));
    (start + 2..=text.len()).find(closing)
}

/// The optional fields of a line: zero or more, each of the form `tag` or `tag:value`.
///
/// The kernel may add tags at any time. [`Propagation`] has the known ones as numbers.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct OptionalFields(Vec<u8>);

impl OptionalFields {
    /// Makes a list from the kernel's text, such as `shared:7 master:3`.
    pub fn from_bytes(text: impl Into<Vec<u8>>) -> Self {
        OptionalFields(text.into())
    }

    /// Returns the kernel's text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Iterates over the fields in order, those with unknown tags included.
    ///
    /// # Examples
    /// ```
    /// use subpath_mountinfo::table::OptionalFields;
    /// let fields = OptionalFields::from_bytes("shared:7 new_tag");
    /// assert_eq!(fields.iter().collect::<Vec<_>>(), ["shared:7", "new_tag"]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &OsStr> {
        let fields = self.0.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
        fields.map(OsStr::from_bytes)
    }
}

impl fmt::Debug for OptionalFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// How mount and unmount events propagate between this mount and others (mount_namespaces(7)).
///
/// The default value is that of a private mount, for which the kernel prints no field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Propagation {
    /// The peer group with which the mount exchanges events (`shared:N`).
    pub shared: Option<u64>,
    /// The peer group from which the mount receives events (`master:N`).
    pub master: Option<u64>,
    /// The nearest group above [`Propagation::master`] that the process can see
    /// (`propagate_from:N`). The kernel prints it only if that is not the master itself.
    pub propagate_from: Option<u64>,
    /// Whether bind mounts of the mount are refused (`unbindable`).
    pub unbindable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<OsString> {
        MountOptions::from_bytes(text).iter().map(Cow::into_owned).collect()
    }

    #[test]
    fn a_comma_in_a_quoted_value_splits_nothing() {
        assert_eq!(
            list(r#"rw,context="u:r:t:s0:c1,c2",size=1k"#),
            ["rw", r#"context="u:r:t:s0:c1,c2""#, "size=1k"]
        );
        assert_eq!(list(r#"rw,context="a,b""#), ["rw", r#"context="a,b""#]);
    }

    #[test]
    fn a_quote_inside_a_value_opens_nothing() {
        assert_eq!(list(r#"lowerdir=/a"b,upperdir=/c"#), [r#"lowerdir=/a"b"#, "upperdir=/c"]);
        assert_eq!(list(r#"x=",y,z"w"#), [r#"x=""#, "y", r#"z"w"#]);
        assert_eq!(list(r#"x="""#), [r#"x="""#]);
    }

    #[test]
    fn order_and_duplicates_stay_and_empty_options_go() {
        assert_eq!(list(",rw,,a=1,rw,a=2,"), ["rw", "a=1", "rw", "a=2"]);
        assert_eq!(list(""), Vec::<OsString>::new());
        let options = MountOptions::from_bytes("a=1,b,a=2,c=x=y");
        assert_eq!(options.values("a").collect::<Vec<_>>(), ["1", "2"].map(OsStr::new));
        assert_eq!(options.values("c").collect::<Vec<_>>(), ["x=y"].map(OsStr::new));
        assert_eq!(options.values("b").count(), 0);
        assert!(options.contains("b") && !options.contains("a"));
    }

    #[test]
    fn an_escaped_comma_belongs_to_the_value() {
        assert_eq!(list(r"lowerdir=/a\054b,ro"), ["lowerdir=/a,b", "ro"]);
    }
}
