//! Gives a directory that mkdirat(2) made a moment ago the mode that is wanted, and does so to no
//! other directory.
//!
//! mkdirat(2) answers no descriptor, and the umask takes bits of its mode away. Until the new
//! directory is open, whoever may write to its parent can move another one into its place: one of
//! root's, say, whose mode is not ours to change. An open descriptor refers to one directory for
//! good; that it is the new one is told by the first of these that answers:
//!
//! | proof | where | why no other directory has it |
//! |---|---|---|
//! | its birth | local file systems that keep it | stamped by this machine's clock, and no call sets it |
//! | a mark | where no birth is told, and mkdirat(2) alone does not give the mode | it is made with the mode 01700, which only its owner could give to another |
//! | it is empty | file servers that make modes up | it holds nothing that a mode could protect |
//!
//! A birth that lies before the call proves the contrary, and so does another owner on a local file
//! system: what is there is somebody's, and stays as it is, like any directory that exists already.
//! Where nothing is proven the mode is not set, and that is an error.

use std::os::fd::{AsFd, OwnedFd};

use subpath_mountinfo::internal::sys::{self, CachedStat, Sys};

use crate::mode::DirectoryMode;

/// Sticky, and for its owner alone: nobody uses that, a sticky bit protects entries from others who
/// may write. It opens nothing to anybody if this process ends before the mode is set.
const MARK: u32 = 0o1700;
const SETGID: u32 = 0o2000;
const OWNER_READS: u32 = 0o400;

/// What is known of the file system on which directories are made.
pub(crate) struct Newness {
    births_are_told: bool,
    /// The device that was asked about last, and whether it is local.
    device: Option<(u64, bool)>,
    user: Option<u32>,
    umask: Option<u32>,
    /// Whether each directory is marked, although mkdirat(2) alone should give the mode.
    marks_all: bool,
}

/// One directory that is to be made.
pub(crate) struct Birth {
    /// Not born before this.
    after: i128,
    /// What shows that it is the one that was made.
    mark: Option<u32>,
    wanted: DirectoryMode,
}

/// Why a mode could not be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CannotSet {
    pub(crate) errno: i32,
    /// Whether it was not tried, because the directory may be another one.
    pub(crate) unproven: bool,
    /// Whether the directory may stay, as the original leaves it: a server refused fchmod(2), as
    /// some always do, and what is there has the mode that the server gives to all.
    pub(crate) may_stay: bool,
}

impl Newness {
    /// Looks at the directory below which others are to be made.
    pub(crate) fn below(parent: &OwnedFd) -> Newness {
        let mut newness = Newness {
            births_are_told: false,
            device: None,
            user: None,
            umask: None,
            marks_all: false,
        };
        // What cannot be asked is taken for a file server, of which more proof is wanted.
        if let Ok(quick) = sys::cached_stat_fd(parent) {
            let is_local = newness.is_local(parent, quick.stat.dev);
            newness.births_are_told = is_local && quick.born.is_some();
        }
        if !newness.births_are_told {
            // Without an answer each directory gets a mark, as under any umask that takes bits away.
            newness.umask = sys::umask().ok();
        }
        newness
    }

    pub(crate) fn births_are_told(&self) -> bool {
        self.births_are_told
    }

    /// Marks each directory from now on, as this file system does otherwise than expected (it hands
    /// setgid down to none, say); `false` where it marks them already.
    pub(crate) fn begins_to_mark(&mut self) -> bool {
        !std::mem::replace(&mut self.marks_all, true)
    }

    /// mkdirat(2), in such a way that the directory can be told from others.
    pub(crate) fn make(&self, parent: &OwnedFd, name: &[u8], wanted: DirectoryMode) -> Sys<Birth> {
        let after = sys::inode_clock();
        if self.marks_all || self.needs_mark(parent, wanted) {
            match sys::mkdirat(parent, name, MARK) {
                Ok(()) => {
                    let mark = MARK & !self.umask.unwrap_or(0);
                    return Ok(Birth { after, mark: Some(mark), wanted });
                }
                Err(sys::EEXIST) => return Err(sys::EEXIST),
                // A server may refuse just this mode. If not, the call below answers again.
                Err(_) => {}
            }
        }
        sys::mkdirat(parent, name, wanted.for_mkdir)?;
        Ok(Birth { after, mark: None, wanted })
    }

    /// Whether a directory of this mode is made with a mark.
    fn needs_mark(&self, parent: &OwnedFd, wanted: DirectoryMode) -> bool {
        // Who may not read what the original would make (mkdirat(2) gives it to its owner without that
        // right, and CAP_DAC_OVERRIDE is missing) may not open it either, and that is the answer.
        let is_readable = wanted.for_mkdir & !self.umask.unwrap_or(0) & OWNER_READS != 0;
        !self.births_are_told && is_readable && !self.is_given_by_mkdir(parent, wanted.for_chmod)
    }

    /// Whether mkdirat(2) alone gives this mode, as far as the umask and the parent's own mode say: a
    /// directory inherits setgid (inode(7)), and can be made with none of the other special bits but
    /// sticky.
    fn is_given_by_mkdir(&self, parent: &OwnedFd, mode: u32) -> bool {
        // Without an answer it is not, and gets a mark.
        let parent = sys::cached_stat_fd(parent);
        let inherits = |quick: &CachedStat| quick.mode & SETGID == mode & 0o6000;
        let is_local = self.device.is_some_and(|(_, local)| local);
        self.umask.is_some_and(|umask| umask & mode == 0)
            && parent.is_ok_and(|quick| inherits(&quick))
            && !needs_chmod(is_local, mode)
    }

    /// Sets the mode of a directory that was made and opened.
    pub(crate) fn set_mode(&mut self, dir: &OwnedFd, birth: &Birth) -> Result<(), CannotSet> {
        let unproven = |errno| CannotSet { errno, unproven: true, may_stay: false };
        let mode = birth.wanted.for_chmod;
        let quick = sys::cached_stat_fd(dir).map_err(unproven)?;
        let is_local = self.is_local(dir, quick.stat.dev);
        if quick.mode == mode && !needs_chmod(is_local, mode) {
            return Ok(());
        }
        let is_marked = birth.mark == Some(quick.mode & !SETGID);
        if !self.is_new(dir, birth, &quick, is_local, is_marked).map_err(unproven)? {
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

    /// Whether an open directory is the one that was made; an error where neither is proven.
    fn is_new(
        &mut self,
        dir: &OwnedFd,
        birth: &Birth,
        quick: &CachedStat,
        is_local: bool,
        is_marked: bool,
    ) -> Sys<bool> {
        // The user that this process's files belong to; a server may have users of its own.
        if is_local && quick.owner != *self.user.get_or_insert_with(sys::fs_user) {
            return Ok(false);
        }
        if let (true, Some(born)) = (is_local, quick.born) {
            if born >= birth.after {
                // Another directory that the same user made in this moment gains nothing that its
                // maker could not give it.
                return Ok(true);
            }
            // Had the clock been set back meanwhile, the stamp would say nothing.
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

    /// Whether a file system stamps by this machine's clock, knows no users but this machine's, and
    /// keeps the mode that it is given.
    fn is_local(&mut self, dir: impl AsFd, device: u64) -> bool {
        // statfs(2): ext2/3/4, XFS, btrfs, tmpfs, F2FS, ZFS, ramfs. Not overlayfs, whose upper layer
        // may be remote.
        const LOCAL: [i64; 7] =
            [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010, 0x2FC1_2FC1, 0x8584_58F6];
        match self.device {
            Some((known, local)) if known == device => local,
            _ => {
                let magic = sys::fs_magic(dir);
                // What cannot be asked is taken for a file server.
                let local = magic.is_ok_and(|magic| LOCAL.contains(&(magic & 0xFFFF_FFFF)));
                self.device = Some((device, local));
                local
            }
        }
    }
}

impl Birth {
    /// Whether a directory that could not be opened may stay, as the original leaves it: its own mode is
    /// what its owner was refused by.
    pub(crate) fn is_closed_to_its_owner(&self, parent: &OwnedFd, name: &[u8], errno: i32) -> bool {
        errno == sys::EACCES
            && self.mark.is_none()
            && sys::cached_stat_at(parent, name).is_ok_and(|quick| quick.mode & OWNER_READS == 0)
    }
}

/// Whether fchmod(2) is called although the mode is right: on a local file system it may clear a
/// special bit (setgid of a group that is not the caller's), and the original calls it. A server may
/// refuse it although it changes nothing.
fn needs_chmod(is_local: bool, mode: u32) -> bool {
    is_local && mode & 0o7000 != 0
}
