//! Reading a directory's entries.

use std::os::fd::AsFd;

use super::{ENOENT, Kind, RawErrno, Sys, TRIES, cached_stat_at, fault};

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Vec<u8>,
    /// Its kind as the directory tells it; what is mounted on it does not show.
    pub kind: Kind,
}

/// getdents64(2): all entries but `.` and `..`, sorted by name as Go's `os.ReadDir` sorts them,
/// and the errno that ended the listing early. The directory must have been opened for reading.
///
/// A file system may leave the kind of an entry unknown; what is mounted there tells it then, and
/// an entry that is gone by now is left out, as `os.ReadDir` leaves it out.
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
                        Ok(quick) => quick.stat.kind,
                        Err(ENOENT) => continue,
                        // Something that does not answer is mounted there.
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

/// getdents64(2): whether a directory that was opened for reading has no entry. It looks at no
/// more than it needs: a FUSE server may list entries for ever.
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
