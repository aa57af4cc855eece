//! Makes a mount's record of what statmount(2) tells (linux/mount.h, `struct statmount`), byte for byte as the
//! mount table would have it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use nix::libc;

use crate::internal::paths::into_path;
use crate::internal::sys::mounting;
use crate::table::{DeviceNumber, MountOptions, MountRecord, OptionalFields, Propagation};

const SB_BASIC: u64 = 0x1;
const MNT_BASIC: u64 = 0x2;
const PROPAGATE_FROM: u64 = 0x4;
const MNT_ROOT: u64 = 0x8;
const MNT_POINT: u64 = 0x10;
const FS_TYPE: u64 = 0x20;
// From Linux 6.13 on. The kernel answers the last three only if there is something to tell, but the source
// always, unless it is empty; so where the source is answered, the others are known.
const FS_SUBTYPE: u64 = 0x100;
const SB_SOURCE: u64 = 0x200;
const OPT_ARRAY: u64 = 0x400;
const OPT_SEC_ARRAY: u64 = 0x800;

const NEEDED: u64 =
    SB_BASIC | MNT_BASIC | PROPAGATE_FROM | MNT_ROOT | MNT_POINT | FS_TYPE | SB_SOURCE;
const WANTED: u64 = NEEDED | FS_SUBTYPE | OPT_ARRAY | OPT_SEC_ARRAY;

/// The largest answer that is asked for. A mount with more text is looked up in the table.
const MOST: usize = 256 * 1024;

/// What mounting and unmounting have to know about a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Basics {
    /// The type of the file system, with a subtype where there is one.
    pub(super) fs_type: Vec<u8>,
    /// The attributes of the mount (`MOUNT_ATTR_…`).
    pub(super) attributes: u64,
}

/// Returns what mounting and unmounting have to know about a mount, which is named by its unique ID; `None` if the
/// kernel does not tell it, or the mount is gone.
pub(super) fn basics(id: u64) -> Option<Basics> {
    let mut answer = [0; 1024];
    mounting::statmount(id, MNT_BASIC | FS_TYPE, &mut answer).ok()?;
    let answer = Answer(&answer);
    let fs_type = answer.text(36)?;
    // Only FUSE has subtypes.
    let is_told = answer.u64(8)? & (MNT_BASIC | FS_TYPE) == MNT_BASIC | FS_TYPE;
    (is_told && !fs_type.starts_with(b"fuse"))
        .then_some(Basics { fs_type: fs_type.to_vec(), attributes: answer.u64(64)? })
}

/// Returns the record of a mount, which is named by its unique ID; `None` if the kernel does not tell all of it,
/// or the mount is gone.
pub(super) fn described(id: u64) -> Option<MountRecord> {
    let mut answer = vec![0; 4096];
    loop {
        match mounting::statmount(id, WANTED, &mut answer) {
            Ok(()) => return Answer(&answer).record(),
            Err(libc::EOVERFLOW) if answer.len() < MOST => answer.resize(answer.len() * 4, 0),
            // Whoever asks looks into the mount table then, whose errors are told.
            Err(_) => return None,
        }
    }
}

/// A `struct statmount` and its texts.
struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn u32(&self, offset: usize) -> Option<u32> {
        self.0.get(offset..)?.first_chunk().copied().map(u32::from_ne_bytes)
    }

    fn u64(&self, offset: usize) -> Option<u64> {
        self.0.get(offset..)?.first_chunk().copied().map(u64::from_ne_bytes)
    }

    /// The texts begin after the fields of the structure.
    fn texts_at(&self, offset: usize) -> Option<&'a [u8]> {
        const TEXTS: usize = 512;
        let start = TEXTS.checked_add(usize::try_from(self.u32(offset)?).ok()?)?;
        self.0.get(start..)
    }

    /// The text whose place is told by the field at the offset.
    fn text(&self, offset: usize) -> Option<&'a [u8]> {
        self.texts_at(offset)?.split(|&byte| byte == 0).next()
    }

    /// The texts of an array: its field with their number is followed by the one with their place.
    fn array(&self, offset: usize) -> Option<impl Iterator<Item = &'a [u8]>> {
        let (count, texts) = (self.u32(offset)?, self.texts_at(offset + 4)?);
        Some(texts.split(|&byte| byte == 0).take(usize::try_from(count).ok()?))
    }

    fn record(&self) -> Option<MountRecord> {
        let answered = self.u64(8)?;
        if answered & NEEDED != NEEDED {
            return None;
        }
        let mut fs_type = self.text(36)?.to_vec();
        if answered & FS_SUBTYPE != 0 {
            fs_type.push(b'.');
            fs_type.extend_from_slice(self.text(120)?);
        }
        let (optional_fields, propagation) = self.propagation()?;
        Some(MountRecord {
            id: self.u32(56)?.into(),
            parent_id: self.u32(60)?.into(),
            device: DeviceNumber { major: self.u32(16)?, minor: self.u32(20)? },
            root: into_path(self.text(104)?.to_vec()),
            mount_point: into_path(self.text(108)?.to_vec()),
            mount_options: self.mount_options()?,
            optional_fields,
            propagation,
            fs_type: OsString::from_vec(fs_type),
            source: OsString::from_vec(self.text(124)?.to_vec()),
            super_options: self.super_options(answered)?,
        })
    }

    /// The options of the mount, in the order of the table (fs/proc_namespace.c, `show_mnt_opts`).
    fn mount_options(&self) -> Option<MountOptions> {
        const ATIME: u64 = libc::MOUNT_ATTR__ATIME;
        let attributes = self.u64(64)?;
        let has = |attribute| attributes & attribute != 0;
        let mut text = if has(libc::MOUNT_ATTR_RDONLY) { b"ro".to_vec() } else { b"rw".to_vec() };
        for (is_set, name) in [
            (has(libc::MOUNT_ATTR_NOSUID), &b",nosuid"[..]),
            (has(libc::MOUNT_ATTR_NODEV), b",nodev"),
            (has(libc::MOUNT_ATTR_NOEXEC), b",noexec"),
            (attributes & ATIME == libc::MOUNT_ATTR_NOATIME, b",noatime"),
            (has(libc::MOUNT_ATTR_NODIRATIME), b",nodiratime"),
            (attributes & ATIME == libc::MOUNT_ATTR_RELATIME, b",relatime"),
            (has(libc::MOUNT_ATTR_NOSYMFOLLOW), b",nosymfollow"),
            (has(libc::MOUNT_ATTR_IDMAP), b",idmapped"),
        ] {
            if is_set {
                text.extend_from_slice(name);
            }
        }
        Some(MountOptions::from_bytes(text))
    }

    /// The options of the file system: its flags, those of a security module, its own (fs/proc_namespace.c,
    /// `show_sb_opts`). The kernel decoded them; `None` if one of them is escaped in the table.
    fn super_options(&self, answered: u64) -> Option<MountOptions> {
        let flags = u64::from(self.u32(32)?);
        let has = |flag| flags & flag != 0;
        let mut text = if has(libc::MS_RDONLY) { b"ro".to_vec() } else { b"rw".to_vec() };
        for (flag, name) in [
            (libc::MS_SYNCHRONOUS, &b",sync"[..]),
            (libc::MS_DIRSYNC, b",dirsync"),
            (1 << 25, b",lazytime"),
        ] {
            if has(flag) {
                text.extend_from_slice(name);
            }
        }
        for (array, offset) in [(OPT_SEC_ARRAY, 136), (OPT_ARRAY, 128)] {
            if answered & array == 0 {
                continue;
            }
            for option in self.array(offset)? {
                if !option.iter().all(|&byte| is_printed_as_it_is(byte)) {
                    return None;
                }
                text.push(b',');
                text.extend_from_slice(option);
            }
        }
        Some(MountOptions::from_bytes(text))
    }

    /// The optional fields, in the order of the table (fs/proc_namespace.c, `show_mountinfo`).
    fn propagation(&self) -> Option<(OptionalFields, Propagation)> {
        let kind = self.u64(72)?;
        let has = |flag| kind & flag != 0;
        let master = has(libc::MS_SLAVE).then_some(self.u64(88)?);
        let found = Propagation {
            shared: has(libc::MS_SHARED).then_some(self.u64(80)?),
            master,
            propagate_from: Some(self.u64(96)?)
                .filter(|&from| master.is_some_and(|master| from != 0 && from != master)),
            unbindable: has(libc::MS_UNBINDABLE),
        };
        let numbered = [
            ("shared", found.shared),
            ("master", found.master),
            ("propagate_from", found.propagate_from),
        ];
        let mut fields: Vec<String> = numbered
            .into_iter()
            .filter_map(|(tag, group)| Some(format!("{tag}:{}", group?)))
            .collect();
        if found.unbindable {
            fields.push("unbindable".to_owned());
        }
        Some((OptionalFields::from_bytes(fields.join(" ")), found))
    }
}

/// Reports whether a byte of an option stands in the table as it is, in every file system.
fn is_printed_as_it_is(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b',' | b'\\' | b'"' | b'#')
}
