//! [`Subpath`]: the sub path that is to be bound, and its builder.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use subpath_mountinfo::internal::go_path;
use subpath_mountinfo::internal::paths::{bytes_of, path_of};
use subpath_mountinfo::{Error, ErrorKind, Result, text};

use crate::SUBPATH_DIRECTORY_NAME;

/// One sub path of one volume for one container (the original's `Subpath`).
///
/// # Examples
/// ```
/// use subpath::Subpath;
///
/// let request = Subpath::builder()
///     .volume("data", "/var/lib/kubelet/pods/UID/volumes/kubernetes.io~empty-dir/data")
///     .sub_path("logs/web")
///     .pod_dir("/var/lib/kubelet/pods/UID")
///     .container("web")
///     .volume_mount_index(0)
///     .build()?;
/// # Ok::<(), subpath::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Subpath {
    pub(crate) volume_mount_index: i64,
    pub(crate) path: Vec<u8>,
    pub(crate) volume_name: Vec<u8>,
    pub(crate) volume_path: Vec<u8>,
    pub(crate) pod_dir: Vec<u8>,
    pub(crate) container_name: Vec<u8>,
}

impl Subpath {
    /// Returns a builder with all fields empty and the index 0.
    pub fn builder() -> SubpathBuilder {
        SubpathBuilder { subpath: Subpath::from_fields([b""; 5], 0), is_below_volume: false }
    }

    /// Makes a request from the original's fields without checking them: path, volume name, volume path, the
    /// pod's directory and the container's name.
    #[doc(hidden)]
    pub fn from_fields(fields: [&[u8]; 5], volume_mount_index: i64) -> Self {
        let [path, volume_name, volume_path, pod_dir, container_name] = fields.map(<[u8]>::to_vec);
        Subpath { volume_mount_index, path, volume_name, volume_path, pod_dir, container_name }
    }

    /// Returns `POD_DIR/volume-subpaths/VOLUME/CONTAINER`.
    pub(crate) fn container_dir(&self) -> Vec<u8> {
        go_path::join(&[
            &self.pod_dir,
            SUBPATH_DIRECTORY_NAME.as_bytes(),
            &self.volume_name,
            &self.container_name,
        ])
    }

    /// Returns the path at which the sub path is mounted (`getSubpathBindTarget`).
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

impl fmt::Debug for Subpath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subpath")
            .field("path", &path_of(&self.path))
            .field("volume_name", &OsStr::from_bytes(&self.volume_name))
            .field("volume_path", &path_of(&self.volume_path))
            .field("pod_dir", &path_of(&self.pod_dir))
            .field("container_name", &OsStr::from_bytes(&self.container_name))
            .field("volume_mount_index", &self.volume_mount_index)
            .finish()
    }
}

/// Builds a [`Subpath`]. All fields but the index have to be set.
#[derive(Debug, Clone)]
pub struct SubpathBuilder {
    subpath: Subpath,
    is_below_volume: bool,
}

impl SubpathBuilder {
    /// Sets the volume's name, which is used as the name of a directory, and its full path on the host.
    pub fn volume(mut self, name: impl AsRef<OsStr>, path: impl AsRef<Path>) -> Self {
        self.subpath.volume_name = name.as_ref().as_bytes().to_vec();
        self.subpath.volume_path = bytes_of(&path).to_vec();
        self
    }

    /// Sets the sub path, relative to the volume.
    pub fn sub_path(mut self, path: impl AsRef<Path>) -> Self {
        self.subpath.path = bytes_of(&path).to_vec();
        self.is_below_volume = true;
        self
    }

    /// Sets the full path of the sub path on the host, in place of [`SubpathBuilder::sub_path`].
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.subpath.path = bytes_of(&path).to_vec();
        self.is_below_volume = false;
        self
    }

    /// Sets the pod's directory on the host, including the pod's UID.
    pub fn pod_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.subpath.pod_dir = bytes_of(&path).to_vec();
        self
    }

    /// Sets the container's name, which is used as the name of a directory.
    pub fn container(mut self, name: impl AsRef<OsStr>) -> Self {
        self.subpath.container_name = name.as_ref().as_bytes().to_vec();
        self
    }

    /// Sets the index of the volume mount in the container. The default is 0.
    pub fn volume_mount_index(mut self, index: u32) -> Self {
        self.subpath.volume_mount_index = index.into();
        self
    }

    /// Checks the fields and returns the request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if a field is not set, or if a name cannot be that of a directory because it
    /// is empty, `.` or `..`, or contains a slash.
    pub fn build(self) -> Result<Subpath> {
        let SubpathBuilder { mut subpath, is_below_volume } = self;
        for (what, path) in [
            ("path of the volume", &subpath.volume_path),
            ("sub path", &subpath.path),
            ("pod's directory", &subpath.pod_dir),
        ] {
            if path.is_empty() {
                return Err(invalid(text!("a Subpath needs the %s", what)));
            }
        }
        check_name("volume", &subpath.volume_name)?;
        check_name("container", &subpath.container_name)?;
        if is_below_volume {
            subpath.path = go_path::join(&[&subpath.volume_path, &subpath.path]);
        }
        Ok(subpath)
    }
}

/// Refuses what cannot be the name of a directory.
pub(crate) fn check_name(what: &str, name: &[u8]) -> Result<()> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
        return Err(invalid(text!("%q is no name of a %s", name, what)));
    }
    Ok(())
}

/// The error of a request that cannot be right.
pub(crate) fn invalid(text: Vec<u8>) -> Error {
    Error::new(text).of_kind(ErrorKind::InvalidInput)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> SubpathBuilder {
        let builder = Subpath::builder().volume("vol", "/volumes/vol").sub_path("a/b");
        builder.pod_dir("/pods/uid/").container("c")
    }

    #[test]
    fn the_target_lies_below_the_pod() {
        let subpath = builder().volume_mount_index(3).build().unwrap();
        assert_eq!(subpath.target(), b"/pods/uid/volume-subpaths/vol/c/3");
        assert_eq!(subpath.path, b"/volumes/vol/a/b");
        let text = format!("{subpath:?}");
        assert!(text.contains(r#"path: "/volumes/vol/a/b", volume_name: "vol""#), "{text}");
    }

    #[test]
    fn what_is_missing_or_no_name_is_said() {
        for (builder, said) in [
            (Subpath::builder(), "a Subpath needs the path of the volume"),
            (builder().sub_path(""), "a Subpath needs the sub path"),
            (builder().pod_dir(""), "a Subpath needs the pod's directory"),
            (builder().container(".."), "\"..\" is no name of a container"),
            (builder().volume("a/b", "/v"), "\"a/b\" is no name of a volume"),
        ] {
            let error = builder.build().unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::InvalidInput, said.into()));
        }
    }
}
