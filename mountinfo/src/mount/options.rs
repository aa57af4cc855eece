//! What each option of mount(8) means: the words of libmount (libmount/src/optmap.c), and which of them the
//! native mounter understands. It makes no system call.

use std::borrow::Cow;

use nix::libc;

/// Why only mount(8) can do what was asked.
pub(super) type Reason = Cow<'static, str>;

/// `MS_LAZYTIME` and `MS_NOSYMFOLLOW` (linux/mount.h), which the crate libc does not have.
pub(super) const MS_LAZYTIME: u64 = 1 << 25;
pub(super) const MS_NOSYMFOLLOW: u64 = 1 << 8;

/// The flags of mount(2) that words set, by which libmount keeps them.
pub(super) const MS_RDONLY: u64 = libc::MS_RDONLY;

/// A flag of mount(2), the word that sets it, and the word that clears it.
const FLAGS: [(&[u8], &[u8], u64); 13] = [
    (b"ro", b"rw", MS_RDONLY),
    (b"nosuid", b"suid", libc::MS_NOSUID),
    (b"nodev", b"dev", libc::MS_NODEV),
    (b"noexec", b"exec", libc::MS_NOEXEC),
    (b"sync", b"async", libc::MS_SYNCHRONOUS),
    (b"dirsync", b"", libc::MS_DIRSYNC),
    (b"mand", b"nomand", libc::MS_MANDLOCK),
    (b"noatime", b"atime", libc::MS_NOATIME),
    (b"nodiratime", b"diratime", libc::MS_NODIRATIME),
    (b"relatime", b"norelatime", libc::MS_RELATIME),
    (b"strictatime", b"nostrictatime", libc::MS_STRICTATIME),
    (b"lazytime", b"nolazytime", MS_LAZYTIME),
    (b"nosymfollow", b"symfollow", MS_NOSYMFOLLOW),
];

/// The words that change the propagation of a mount; see mount_namespaces(7).
const PROPAGATION: [(&[u8], u64); 8] = [
    (b"shared", libc::MS_SHARED),
    (b"rshared", libc::MS_SHARED | libc::MS_REC),
    (b"slave", libc::MS_SLAVE),
    (b"rslave", libc::MS_SLAVE | libc::MS_REC),
    (b"private", libc::MS_PRIVATE),
    (b"rprivate", libc::MS_PRIVATE | libc::MS_REC),
    (b"unbindable", libc::MS_UNBINDABLE),
    (b"runbindable", libc::MS_UNBINDABLE | libc::MS_REC),
];

/// Words that libmount drops: they are about fstab, or about messages.
const DROPPED: [&[u8]; 6] = [b"defaults", b"auto", b"noauto", b"nouser", b"silent", b"loud"];

/// Labels of security modules. libmount drops them where the module is off.
const SELINUX: [&[u8]; 5] = [b"context", b"fscontext", b"defcontext", b"rootcontext", b"seclabel"];
const SMACK: [&[u8]; 5] =
    [b"smackfsdef", b"smackfsfloor", b"smackfshat", b"smackfsroot", b"smackfstransmute"];

/// Words that libmount acts on itself, in a way that the native mounter does not.
const LIBMOUNTS_OWN: [&[u8]; 21] = [
    b"comment",
    b"nofail",
    b"user",
    b"users",
    b"nousers",
    b"owner",
    b"noowner",
    b"group",
    b"nogroup",
    b"_netdev",
    b"loop",
    b"offset",
    b"sizelimit",
    b"encryption",
    b"uhelper",
    b"helper",
    b"iversion",
    b"noiversion",
    b"sub",
    b"nosub",
    b"source",
];

/// What one option means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word<'o> {
    /// Sets flags of mount(2).
    Set(u64),
    /// Clears flags of mount(2).
    Clear(u64),
    /// Changes the propagation (`MS_SHARED` and so on, with `MS_REC`).
    Propagation(u64),
    /// `bind`, `rbind`, `move` or `remount`.
    Verb(Verb),
    /// Means nothing for the kernel.
    Dropped,
    /// A label of SELinux, which means nothing where SELinux is off.
    SelinuxLabel,
    /// A label of Smack, which means nothing where Smack is off.
    SmackLabel,
    /// An option of the file system.
    Data { key: &'o [u8], value: Option<&'o [u8]> },
}

/// What is done instead of mounting a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Bind,
    BindRecursively,
    Move,
    Remount,
}

impl<'o> Word<'o> {
    /// Returns what an option means; the reason if only mount(8) knows.
    pub(super) fn of(option: &'o [u8]) -> Result<Self, Reason> {
        let equals = option.iter().skip(1).position(|&byte| byte == b'=').map(|at| at + 1);
        let (key, value) = match equals {
            Some(at) => (&option[..at], Some(&option[at + 1..])),
            None => (option, None),
        };
        if !key.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte)) {
            return Err("an option has a name of unusual bytes".into());
        }
        if SELINUX.contains(&key) {
            return Ok(Word::SelinuxLabel);
        }
        if SMACK.contains(&key) {
            return Ok(Word::SmackLabel);
        }
        let is_plain = |&byte: &u8| byte >= b' ' && !matches!(byte, b'"' | b'\\' | 0x7f);
        if !value.unwrap_or_default().iter().all(is_plain) {
            return Err("the value of an option has quotes, backslashes or control bytes".into());
        }
        Word::of_pair(key, value)
    }

    fn of_pair(key: &'o [u8], value: Option<&'o [u8]>) -> Result<Self, Reason> {
        if let Some(word) = Word::of_name(key) {
            return match value {
                None => Ok(word),
                // `ro=recursive` and the like, of libmount 2.39 and newer.
                Some(_) => Err("a word that takes no value has one".into()),
            };
        }
        match (key, value) {
            (b"comment", Some(_)) => return Ok(Word::Dropped),
            (b"uid" | b"gid", Some([first, ..])) if !first.is_ascii_digit() => {
                return Err("a user or a group is named, not numbered".into());
            }
            _ => {}
        }
        let own = LIBMOUNTS_OWN.contains(&key)
            || [&b"x-"[..], b"X-", b"verity."].iter().any(|prefix| key.starts_with(prefix));
        if own {
            return Err("an option is libmount's own".into());
        }
        Ok(Word::Data { key, value })
    }

    /// The words that have no value.
    fn of_name(name: &[u8]) -> Option<Self> {
        let verb = match name {
            b"bind" => Some(Verb::Bind),
            b"rbind" => Some(Verb::BindRecursively),
            b"move" => Some(Verb::Move),
            b"remount" => Some(Verb::Remount),
            _ => None,
        };
        if let Some(verb) = verb {
            return Some(Word::Verb(verb));
        }
        if let Some((set, _, flag)) =
            FLAGS.iter().find(|(set, clear, _)| [*set, *clear].contains(&name))
        {
            return Some(if *set == name { Word::Set(*flag) } else { Word::Clear(*flag) });
        }
        if let Some((_, change)) = PROPAGATION.iter().find(|(word, _)| *word == name) {
            return Some(Word::Propagation(*change));
        }
        DROPPED.contains(&name).then_some(Word::Dropped)
    }
}

/// Splits a list of options as libmount does (lib/strutils.c, `ul_optstr_next`): at each comma that is not
/// between double quotes and does not follow a backslash. Empty options are skipped.
///
/// libmount ignores what follows a quote that is never closed, so that is an error here.
pub(super) fn split(list: &[u8]) -> Result<Vec<&[u8]>, Reason> {
    let (mut options, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, &byte) in list.iter().enumerate() {
        // A backslash before the list's first byte, or before an option's, is not one.
        let escaped = at > start && list[at - 1] == b'\\';
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b',' if !quoted && !escaped => {
                options.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return Err("a quote is never closed".into());
    }
    options.push(&list[start..]);
    options.retain(|option| !option.is_empty());
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_as_libmount_does() {
        for (list, expected) in [
            (&b""[..], &[][..]),
            (b"ro,,nosuid,", &[&b"ro"[..], b"nosuid"]),
            (b"a=\"b,c\",d", &[b"a=\"b,c\"", b"d"]),
            (b"a=b\\,c,d", &[b"a=b\\,c", b"d"]),
            (b"size=1m", &[b"size=1m"]),
        ] {
            assert_eq!(split(list).unwrap(), expected, "{}", list.escape_ascii());
        }
        assert!(split(b"a=\"b,c").is_err());
    }

    #[test]
    fn words_mean_what_libmount_says() {
        let data = |key, value| Word::Data { key, value };
        for (option, expected) in [
            (&b"ro"[..], Word::Set(libc::MS_RDONLY)),
            (b"rw", Word::Clear(libc::MS_RDONLY)),
            (b"exec", Word::Clear(libc::MS_NOEXEC)),
            (b"rslave", Word::Propagation(libc::MS_SLAVE | libc::MS_REC)),
            (b"rbind", Word::Verb(Verb::BindRecursively)),
            (b"defaults", Word::Dropped),
            (b"comment=a b", Word::Dropped),
            (b"context=\"a,b\"", Word::SelinuxLabel),
            (b"size=1m", data(b"size", Some(b"1m"))),
            (b"size=", data(b"size", Some(b""))),
            (b"uid=0", data(b"uid", Some(b"0"))),
            (b"noload", data(b"noload", None)),
        ] {
            assert_eq!(Word::of(option).unwrap(), expected, "{}", option.escape_ascii());
        }
    }

    #[test]
    fn what_only_mount_knows_is_not_understood() {
        for option in [
            &b" ro"[..],
            b"=",
            b"=x",
            b"ro=recursive",
            b"user",
            b"user=me",
            b"_netdev",
            b"x-systemd.automount",
            b"X-mount.mkdir",
            b"verity.roothash=1",
            b"loop",
            b"loop=/dev/loop0",
            b"uid=root",
            b"iversion",
            b"comment",
            b"nofail",
            b"lowerdir=a\\:b",
            b"a=\"b\"",
            b"a=b\nc",
        ] {
            assert!(Word::of(option).is_err(), "{}", option.escape_ascii());
        }
    }
}
