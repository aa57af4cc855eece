//! Lists the entries of an open directory.

use std::os::fd::AsFd;

use super::{ENOENT, Kind, RawErrno, Sys, TRIES, cached_stat_at, fault};

/// An entry of a directory.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// The type in the directory, which does not show what may be mounted on the entry.
    pub kind: Kind,
}

/// Returns all entries except `.` and `..`, sorted by name as Go's `os.ReadDir` sorts them, and the errno
/// if the listing ended early (getdents64(2)). The directory must be open for reading.
///
/// A file system may not know the type of an entry. Then it is that of a lookup, and an entry that no
/// longer exists is omitted, as `os.ReadDir` does.
pub fn read_dir(dir: impl AsFd) -> (Vec<Entry>, Option<RawErrno>) {
    let mut buffer = Vec::with_capacity(8 * 1024);
    let mut listing = rustix::fs::RawDir::new(dir.as_fd(), buffer.spare_capacity_mut());
    let mut entries = Vec::new();
    let mut failed = None;
    if let Err(errno) = fault::inject() {
        return (entries, Some(errno));
    }
    let mut tries = 0;
    while let Some(entry) = listing.next() {
        match entry {
            Ok(entry) => {
                let name = entry.file_name().to_bytes();
                if name == b"." || name == b".." {
                    continue;
                }
                let kind = match kind_of_entry(entry.file_type()) {
                    Some(kind) => kind,
                    None => match cached_stat_at(dir.as_fd(), name) {
                        Ok(cached) => cached.stat.kind,
                        Err(ENOENT) => continue,
                        // Something is mounted there that returns an error.
                        Err(_) => Kind::Directory,
                    },
                };
                entries.push(Entry { name: name.to_vec(), kind });
            }
            Err(rustix::io::Errno::INTR) if tries < TRIES => tries += 1,
            Err(errno) => {
                failed = Some(errno.raw_os_error());
                break;
            }
        }
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    (entries, failed)
}

/// Reports whether a directory has no entries. It must be open for reading. At most three entries are
/// read, because a FUSE server may list entries without end.
pub fn is_empty(dir: impl AsFd) -> Sys<bool> {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
    let mut listing = rustix::fs::RawDir::new(dir.as_fd(), &mut buffer);
    fault::inject()?;
    // `.` and `..` come once each.
    for _ in 0..3 {
        match listing.next() {
            None => return Ok(true),
            Some(Ok(entry)) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            Some(Ok(_)) => return Ok(false),
            Some(Err(errno)) => return Err(errno.raw_os_error()),
        }
    }
    Ok(false)
}

fn kind_of_entry(kind: rustix::fs::FileType) -> Option<Kind> {
    use rustix::fs::FileType;
    Some(match kind {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice | FileType::BlockDevice => Kind::Device,
        FileType::Unknown => return None,
    })
}
