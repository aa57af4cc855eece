//! [`DirectoryMode`]: the mode of a directory that is to be made.

use subpath_mountinfo::{Error, ErrorKind, Result};

/// The modes that mkdirat(2) and fchmod(2) are called with for one directory.
///
/// They differ: on most file systems mkdirat(2) ignores the special bits, and the original passes it Go's bits
/// unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryMode {
    /// The mode for mkdirat(2), from which the kernel removes the bits of the umask.
    pub for_mkdir: u32,
    /// The mode for fchmod(2), which the directory has in the end.
    pub for_chmod: u32,
}

impl DirectoryMode {
    /// Converts a mode of inode(7): permissions, and setuid (0o4000), setgid (0o2000) and sticky (0o1000).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it has other bits.
    pub fn from_unix(mode: u32) -> Result<Self> {
        if mode & !0o7777 != 0 {
            let text = format!("0o{mode:o} is no mode of a directory");
            return Err(Error::new(text).of_kind(ErrorKind::InvalidInput));
        }
        Ok(DirectoryMode { for_mkdir: mode & 0o777, for_chmod: mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_bits_are_unixs() {
        let mode = DirectoryMode::from_unix(0o2770).unwrap();
        assert_eq!(mode, DirectoryMode { for_mkdir: 0o770, for_chmod: 0o2770 });
        let error = DirectoryMode::from_unix(0o10_000).unwrap_err();
        assert_eq!(error.to_string(), "0o10000 is no mode of a directory");
    }
}
