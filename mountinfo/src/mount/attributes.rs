//! The flags of mount(2) that belong to a mount, and the attributes of mount_setattr(2) that are the same: how
//! the kernel makes one of the other (fs/namespace.c, `path_mount`).

use std::os::unix::ffi::OsStrExt;

use nix::libc;

use super::options::{MS_NOSYMFOLLOW, MS_RDONLY, Word};
use crate::internal::sys::mounting::AttributeChange;
use crate::table::MountRecord;

const ATIME: u64 = libc::MOUNT_ATTR__ATIME;
/// The flags that decide on access times. Unless one is given, a remount leaves access times as they are.
const ATIME_FLAGS: u64 =
    libc::MS_NOATIME | libc::MS_NODIRATIME | libc::MS_RELATIME | libc::MS_STRICTATIME;

/// Each attribute that is a flag on its own.
const SAME: [(u64, u64); 5] = [
    (MS_RDONLY, libc::MOUNT_ATTR_RDONLY),
    (libc::MS_NOSUID, libc::MOUNT_ATTR_NOSUID),
    (libc::MS_NODEV, libc::MOUNT_ATTR_NODEV),
    (libc::MS_NOEXEC, libc::MOUNT_ATTR_NOEXEC),
    (MS_NOSYMFOLLOW, libc::MOUNT_ATTR_NOSYMFOLLOW),
];

/// All flags that belong to a mount and not to its file system.
pub(super) const OF_MOUNT: u64 =
    ATIME_FLAGS | MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC | MS_NOSYMFOLLOW;

/// Every attribute that a word can change.
const EVERY: u64 = ATIME
    | libc::MOUNT_ATTR_NODIRATIME
    | libc::MOUNT_ATTR_RDONLY
    | libc::MOUNT_ATTR_NOSUID
    | libc::MOUNT_ATTR_NODEV
    | libc::MOUNT_ATTR_NOEXEC
    | libc::MOUNT_ATTR_NOSYMFOLLOW;

/// Returns the attributes of a new mount with these flags of mount(2).
pub(super) fn of_flags(flags: u64) -> u64 {
    let mut attributes = if flags & libc::MS_STRICTATIME != 0 {
        libc::MOUNT_ATTR_STRICTATIME
    } else if flags & libc::MS_NOATIME != 0 {
        libc::MOUNT_ATTR_NOATIME
    } else {
        libc::MOUNT_ATTR_RELATIME
    };
    if flags & libc::MS_NODIRATIME != 0 {
        attributes |= libc::MOUNT_ATTR_NODIRATIME;
    }
    for (flag, attribute) in SAME {
        if flags & flag != 0 {
            attributes |= attribute;
        }
    }
    attributes
}

/// Returns the flags by which mount(2) makes a mount with these attributes.
pub(super) fn to_flags(attributes: u64) -> u64 {
    let mut flags = match attributes & ATIME {
        libc::MOUNT_ATTR_NOATIME => libc::MS_NOATIME,
        libc::MOUNT_ATTR_STRICTATIME => libc::MS_STRICTATIME,
        _ => libc::MS_RELATIME,
    };
    if attributes & libc::MOUNT_ATTR_NODIRATIME != 0 {
        flags |= libc::MS_NODIRATIME;
    }
    for (flag, attribute) in SAME {
        if attributes & attribute != 0 {
            flags |= flag;
        }
    }
    flags
}

/// Returns the attributes that a mount with `current` ones has after a remount with these flags, if it loses
/// none but by a flag: access times stay as they are unless a flag is about them.
pub(super) fn with_flags(current: u64, flags: u64) -> u64 {
    let times = ATIME | libc::MOUNT_ATTR_NODIRATIME;
    current & !times | remounted(current, flags)
}

/// Returns the change that a remount with these flags makes if the mount loses nothing but by a flag, whatever
/// attributes it has.
pub(super) fn change_by(flags: u64) -> AttributeChange {
    let times = ATIME | libc::MOUNT_ATTR_NODIRATIME;
    match flags & ATIME_FLAGS {
        0 => AttributeChange { set: of_flags(flags) & !times, clear: 0 },
        _ => AttributeChange { set: of_flags(flags), clear: times },
    }
}

/// Returns the attributes that mount(2) gives a mount with some attributes in a remount with these flags: those of
/// the flags, and the access times that it has unless a flag is about them.
pub(super) fn remounted(from: u64, flags: u64) -> u64 {
    let times = ATIME | libc::MOUNT_ATTR_NODIRATIME;
    match flags & ATIME_FLAGS {
        0 => of_flags(flags) & !times | from & times,
        _ => of_flags(flags),
    }
}

/// Returns the flags by which mount(8) adds the options of a mount to those of a call: those that are words in
/// the mount table, where `strictatime` is none.
pub(super) fn to_words(attributes: u64) -> u64 {
    to_flags(attributes) & !libc::MS_STRICTATIME
}

/// Returns the attributes of a mount in the table.
pub(super) fn of_record(record: &MountRecord) -> u64 {
    let flags =
        record.mount_options.iter().fold(0, |flags, word| match Word::of(word.as_bytes()) {
            Ok(Word::Set(flag)) => flags | flag,
            _ => flags,
        });
    of_flags(match flags & (libc::MS_NOATIME | libc::MS_RELATIME) {
        0 => flags | libc::MS_STRICTATIME,
        _ => flags,
    })
}

/// Returns the change from some attributes to others.
pub(super) fn change(from: u64, to: u64) -> AttributeChange {
    let (set, clear) = (to & !from, from & !to & EVERY);
    // Access times are one number, which is set as a whole (mount_setattr(2)).
    match (from ^ to) & ATIME {
        0 => AttributeChange { set, clear },
        _ => AttributeChange { set: set & !ATIME | to & ATIME, clear: clear | ATIME },
    }
}

/// Returns the attributes that statfs(2) tells of a mount. They include `ro` if the file system is read-only.
pub(super) fn of_statfs(flags: u64) -> u64 {
    const ST_RELATIME: u64 = 1 << 12;
    const ST_NOSYMFOLLOW: u64 = 1 << 13;
    let same = MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let mut found = flags & (same | libc::MS_NOATIME | libc::MS_NODIRATIME);
    if flags & (ST_RELATIME | libc::MS_NOATIME) == 0 {
        found |= libc::MS_STRICTATIME;
    }
    if flags & ST_NOSYMFOLLOW != 0 {
        found |= MS_NOSYMFOLLOW;
    }
    of_flags(found)
}

#[cfg(test)]
mod tests {
    use super::{AttributeChange, change, change_by, of_flags, to_flags, with_flags};
    use nix::libc::*;

    #[test]
    fn flags_become_attributes_as_in_the_kernel() {
        for (flags, attributes) in [
            (0, MOUNT_ATTR_RELATIME),
            (MS_RDONLY | MS_NODEV, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV),
            (MS_NOATIME | MS_RELATIME, MOUNT_ATTR_NOATIME),
            (MS_STRICTATIME | MS_NOATIME, MOUNT_ATTR_STRICTATIME),
            (MS_NODIRATIME, MOUNT_ATTR_NODIRATIME),
        ] {
            assert_eq!(of_flags(flags), attributes, "{flags:x}");
        }
    }

    #[test]
    fn flags_and_attributes_go_both_ways() {
        for attributes in [
            MOUNT_ATTR_RELATIME,
            MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW,
            MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC,
        ] {
            assert_eq!(of_flags(to_flags(attributes)), attributes, "{attributes:x}");
        }
    }

    #[test]
    fn a_remount_keeps_what_is_not_named() {
        let strict = MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NOSUID;
        assert_eq!(with_flags(strict, MS_RDONLY), strict | MOUNT_ATTR_RDONLY);
        assert_eq!(
            with_flags(strict, MS_NODIRATIME),
            MOUNT_ATTR_NOSUID | MOUNT_ATTR_RELATIME | MOUNT_ATTR_NODIRATIME
        );
    }

    #[test]
    fn a_change_by_flags_keeps_what_is_not_named() {
        let strict = MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NOSUID;
        for flags in [0, MS_RDONLY, MS_NODIRATIME, MS_NOATIME | MS_NOEXEC, MS_STRICTATIME] {
            let change = change_by(flags);
            assert_eq!(strict & !change.clear | change.set, with_flags(strict, flags), "{flags:x}");
        }
    }

    #[test]
    fn a_change_of_access_times_clears_them_all() {
        let changed = change(MOUNT_ATTR_NOATIME | MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME);
        let clear = MOUNT_ATTR__ATIME | MOUNT_ATTR_RDONLY;
        assert_eq!(changed, AttributeChange { set: MOUNT_ATTR_STRICTATIME, clear });
        assert_eq!(change(0, 0), AttributeChange::default());
    }
}
