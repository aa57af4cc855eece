//! The mode of a directory that is made.

use subpath_mountinfo::{Error, ErrorKind, Result, text};

/// What mkdirat(2) and fchmod(2) are given for one directory. They differ: mkdirat(2) ignores the
/// special bits of most file systems, and the original hands it Go's bits as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryMode {
    /// For mkdirat(2), which takes the umask away.
    pub for_mkdir: u32,
    /// For fchmod(2).
    pub for_chmod: u32,
}

impl DirectoryMode {
    /// The mode of inode(7): permissions, and setuid (0o4000), setgid (0o2000) and sticky (0o1000).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where it has other bits.
    pub fn from_unix(mode: u32) -> Result<Self> {
        if mode & !0o7777 != 0 {
            let text = text!("0o%s is no mode of a directory", format!("{mode:o}"));
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
