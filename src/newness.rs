//! Sets the mode of a directory that mkdirat(2) has just made, and of no other directory.
//!
//! mkdirat(2) returns no descriptor, and the umask removes bits from its mode. Until the new directory is
//! open, anybody who may write to its parent can move another directory into its place, for example one of
//! root's, whose mode must not change. An open descriptor always refers to one directory. The first of these
//! proofs that applies shows that it is the new one:
//!
//! | proof | where | why no other directory has it |
//! |---|---|---|
//! | its birth time | local file systems that keep one | it is set by this machine's clock, and no call changes it |
//! | a mark | file systems without birth times, if mkdirat(2) alone does not give the wanted mode | the directory is made with the mode 01700, which only its owner could give to another |
//! | it is empty | file servers that do not keep modes | it contains nothing that a mode could protect |
//!
//! A birth time before the call proves that it is another directory, and so does another owner on a local file
//! system. Such a directory is somebody's and stays as it is, like any directory that existed before. If
//! nothing is proven the mode is not set, which is an error.

use std::os::fd::{AsFd, OwnedFd};

use subpath_mountinfo::internal::sys::{self, CachedStat, Sys};

use crate::mode::DirectoryMode;

/// The mode that marks a new directory: sticky, and accessible to its owner only. Nobody uses that
/// combination, because a sticky bit protects entries from other users who may write. If this process ends
/// before the mode is set, the directory gives access to nobody else.
const MARK: u32 = 0o1700;
const SETGID: u32 = 0o2000;
const OWNER_READS: u32 = 0o400;

/// What is known about the file system on which directories are made.
pub(crate) struct Newness {
    births_are_told: bool,
    /// The device that was looked at last, and whether it is local.
    device: Option<(u64, bool)>,
    user: Option<u32>,
    umask: Option<u32>,
    /// Whether every directory gets a mark, even if mkdirat(2) alone should give the mode.
    marks_all: bool,
}

/// What is known about one directory from the moment at which it was made.
pub(crate) struct Birth {
    /// The time just before it was made: its birth time is not earlier.
    after: i128,
    /// The mode with which it was made as a mark, if it has one.
    mark: Option<u32>,
    wanted: DirectoryMode,
}

/// Why a mode could not be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CannotSet {
    pub(crate) errno: i32,
    /// Whether setting the mode was not tried, because the directory may be another one.
    pub(crate) unproven: bool,
    /// Whether the directory may stay, as in the original: a server refused fchmod(2), as some servers always
    /// do, and the directory has the mode that the server gives to all.
    pub(crate) may_stay: bool,
}

impl Newness {
    /// Looks at the directory below which others will be made.
    pub(crate) fn below(parent: &OwnedFd) -> Newness {
        let mut newness = Newness {
            births_are_told: false,
            device: None,
            user: None,
            umask: None,
            marks_all: false,
        };
        // If this fails, assume a file server, for which more proof is needed.
        if let Ok(cached) = sys::cached_stat_fd(parent) {
            let is_local = newness.is_local(parent, cached.stat.dev);
            newness.births_are_told = is_local && cached.born.is_some();
        }
        if !newness.births_are_told {
            // If the umask is not known, every directory gets a mark, as with a umask that removes bits.
            newness.umask = sys::umask().ok();
        }
        newness
    }

    pub(crate) fn births_are_told(&self) -> bool {
        self.births_are_told
    }

    /// Gives every directory a mark from now on, because this file system does not behave as expected (for
    /// example its directories do not inherit setgid). Returns `false` if it does so already.
    pub(crate) fn begins_to_mark(&mut self) -> bool {
        !std::mem::replace(&mut self.marks_all, true)
    }

    /// Makes a directory by mkdirat(2) so that it can be told from others.
    pub(crate) fn make(&self, parent: &OwnedFd, name: &[u8], wanted: DirectoryMode) -> Sys<Birth> {
        let after = sys::inode_clock();
        if self.marks_all || self.needs_mark(parent, wanted) {
            match sys::mkdirat(parent, name, MARK) {
                Ok(()) => {
                    let mark = MARK & !self.umask.unwrap_or(0);
                    return Ok(Birth { after, mark: Some(mark), wanted });
                }
                Err(sys::EEXIST) => return Err(sys::EEXIST),
                // A server may refuse just this mode. Any other error is returned by the call below.
                Err(_) => {}
            }
        }
        sys::mkdirat(parent, name, wanted.for_mkdir)?;
        Ok(Birth { after, mark: None, wanted })
    }

    /// Returns whether a directory of this mode is made with a mark.
    fn needs_mark(&self, parent: &OwnedFd, wanted: DirectoryMode) -> bool {
        // A directory that its owner may not read cannot be opened without CAP_DAC_OVERRIDE. It is made
        // without a mark, so that opening it fails as in the original.
        let is_readable = wanted.for_mkdir & !self.umask.unwrap_or(0) & OWNER_READS != 0;
        !self.births_are_told && is_readable && !self.is_given_by_mkdir(parent, wanted.for_chmod)
    }

    /// Returns whether mkdirat(2) alone should give this mode, judging by the umask and the parent's mode: a
    /// directory inherits setgid (inode(7)), and sticky is the only other special bit that it can be made
    /// with.
    fn is_given_by_mkdir(&self, parent: &OwnedFd, mode: u32) -> bool {
        // If the parent's mode or the umask is not known, the answer is no, and the directory gets a mark.
        let parent = sys::cached_stat_fd(parent);
        let inherits = |cached: &CachedStat| cached.mode & SETGID == mode & 0o6000;
        let is_local = self.device.is_some_and(|(_, local)| local);
        self.umask.is_some_and(|umask| umask & mode == 0)
            && parent.is_ok_and(|cached| inherits(&cached))
            && !needs_chmod(is_local, mode)
    }

    /// Sets the mode of a directory that was made and opened.
    pub(crate) fn set_mode(&mut self, dir: &OwnedFd, birth: &Birth) -> Result<(), CannotSet> {
        let unproven = |errno| CannotSet { errno, unproven: true, may_stay: false };
        let mode = birth.wanted.for_chmod;
        let cached = sys::cached_stat_fd(dir).map_err(unproven)?;
        let is_local = self.is_local(dir, cached.stat.dev);
        if cached.mode == mode && !needs_chmod(is_local, mode) {
            return Ok(());
        }
        let is_marked = birth.mark == Some(cached.mode & !SETGID);
        if !self.is_new(dir, birth, &cached, is_local, is_marked).map_err(unproven)? {
            return Ok(());
        }
        sys::fchmod(dir, mode).map_err(|errno| {
            let is_refused = matches!(
                errno,
                sys::EPERM | sys::EACCES | sys::ENOSYS | sys::EOPNOTSUPP | sys::EINVAL
            );
            let may_stay = is_refused && !is_local && !is_marked;
            CannotSet { errno, unproven: false, may_stay }
        })
    }

    /// Returns whether an open directory is the one that was made, and an error if neither that nor the contrary
    /// is proven.
    fn is_new(
        &mut self,
        dir: &OwnedFd,
        birth: &Birth,
        cached: &CachedStat,
        is_local: bool,
        is_marked: bool,
    ) -> Sys<bool> {
        // On a local file system a new directory belongs to this process's file system user. A server may
        // map users.
        if is_local && cached.owner != *self.user.get_or_insert_with(sys::fs_user) {
            return Ok(false);
        }
        if let (true, Some(born)) = (is_local, cached.born) {
            if born >= birth.after {
                // It may also be another directory that the same user made just now, which its maker could
                // give any mode anyway.
                return Ok(true);
            }
            // An earlier birth time proves that it is another directory, unless the clock was set back.
            if sys::inode_clock() >= birth.after {
                return Ok(false);
            }
        }
        if is_marked {
            return Ok(true);
        }
        if is_local && birth.mark.is_some() {
            return Err(sys::EEXIST); // this file system would have kept the mark
        }
        if sys::is_empty(dir)? { Ok(true) } else { Err(sys::ENOTEMPTY) }
    }

    /// Returns whether a file system uses this machine's clock for time stamps and this machine's users, and
    /// keeps the modes that it is given.
    fn is_local(&mut self, dir: impl AsFd, device: u64) -> bool {
        // statfs(2): ext2/3/4, XFS, btrfs, tmpfs, F2FS, ZFS, ramfs. Not overlayfs, whose upper layer
        // may be remote.
        const LOCAL: [i64; 7] =
            [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010, 0x2FC1_2FC1, 0x8584_58F6];
        match self.device {
            Some((known, local)) if known == device => local,
            _ => {
                let magic = sys::fs_magic(dir);
                // If this fails, assume a file server.
                let local = magic.is_ok_and(|magic| LOCAL.contains(&(magic & 0xFFFF_FFFF)));
                self.device = Some((device, local));
                local
            }
        }
    }
}

impl Birth {
    /// Returns whether a directory that could not be opened may stay, as in the original: it could not be opened
    /// because its mode does not let its owner read it.
    pub(crate) fn is_closed_to_its_owner(&self, parent: &OwnedFd, name: &[u8], errno: i32) -> bool {
        errno == sys::EACCES
            && self.mark.is_none()
            && sys::cached_stat_at(parent, name).is_ok_and(|cached| cached.mode & OWNER_READS == 0)
    }
}

/// Returns whether fchmod(2) is called even if the mode is already right. On a local file system it may clear a
/// special bit (setgid for a group that the caller is not in), and the original calls it. On others it is left
/// out, because a server may refuse it even if nothing changes.
fn needs_chmod(is_local: bool, mode: u32) -> bool {
    is_local && mode & 0o7000 != 0
}
