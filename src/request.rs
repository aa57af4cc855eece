//! What a caller asks for: the sub path, and the mode of a directory in Go's terms.

use subpath_mountinfo::internal::go_path;

use crate::SUBPATH_DIRECTORY_NAME;

/// One sub path of one volume for one container. All paths are bytes, as the kernel takes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Subpath {
    /// The index of the volume mount in the container.
    pub volume_mount_index: i64,
    /// The whole path of the sub path on the host.
    pub path: Vec<u8>,
    /// The volume's name, which is a valid name of a directory.
    pub volume_name: Vec<u8>,
    /// The whole path of the volume on the host.
    pub volume_path: Vec<u8>,
    /// The pod's directory, with the pod's UID.
    pub pod_dir: Vec<u8>,
    /// The container's name, which is a valid name of a directory.
    pub container_name: Vec<u8>,
}

impl Subpath {
    /// `POD_DIR/volume-subpaths/VOLUME/CONTAINER`.
    pub(crate) fn container_dir(&self) -> Vec<u8> {
        go_path::join(&[
            &self.pod_dir,
            SUBPATH_DIRECTORY_NAME.as_bytes(),
            &self.volume_name,
            &self.container_name,
        ])
    }

    /// Where the sub path is bound (`getSubpathBindTarget`).
    pub(crate) fn target(&self) -> Vec<u8> {
        go_path::join(&[
            &self.pod_dir,
            SUBPATH_DIRECTORY_NAME.as_bytes(),
            &self.volume_name,
            &self.container_name,
            self.index().as_bytes(),
        ])
    }

    pub(crate) fn index(&self) -> String {
        self.volume_mount_index.to_string()
    }
}

/// The permission and special bits of a directory, as Go's `os.FileMode` holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMode(u32);

impl FileMode {
    /// Go's `os.ModeSetuid`.
    pub const SETUID: u32 = 1 << 23;
    /// Go's `os.ModeSetgid`.
    pub const SETGID: u32 = 1 << 22;
    /// Go's `os.ModeSticky`.
    pub const STICKY: u32 = 1 << 20;

    /// Go's bits: the low nine are the permissions, the special ones are the constants above.
    pub fn new(bits: u32) -> Self {
        FileMode(bits)
    }

    /// What the original hands to mkdirat(2): the bits as they are.
    pub(crate) fn for_mkdir(self) -> u32 {
        self.0
    }

    /// What fchmod(2) takes.
    pub(crate) fn for_chmod(self) -> u32 {
        let special = |go: u32, kernel: u32| if self.0 & go != 0 { kernel } else { 0 };
        self.0 & 0o777
            | special(Self::SETUID, 0o4000)
            | special(Self::SETGID, 0o2000)
            | special(Self::STICKY, 0o1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_bits_are_gos() {
        let mode = FileMode::new(0o750 | FileMode::SETGID | FileMode::STICKY);
        assert_eq!(mode.for_chmod(), 0o3750);
        assert_eq!(FileMode::new(0o777 | FileMode::SETUID).for_chmod(), 0o4777);
        assert_eq!(FileMode::new(0o7777).for_chmod(), 0o777, "the kernel's own bits mean nothing");
    }

    #[test]
    fn the_target_lies_below_the_pod() {
        let subpath = Subpath {
            pod_dir: b"/pods/uid/".to_vec(),
            volume_name: b"vol".to_vec(),
            container_name: b"c".to_vec(),
            volume_mount_index: -3,
            ..Subpath::default()
        };
        assert_eq!(subpath.target(), b"/pods/uid/volume-subpaths/vol/c/-3");
    }
}
