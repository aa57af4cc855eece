//! [`Profile`]: the differences between kubernetes releases, each with a name.
//!
//! Other code asks for a difference and never for a release (`tests/profiles.rs`). Every `match` here lists all
//! profiles, so that a new one compiles only after each of its differences is decided here.

/// The kubernetes releases whose texts and behaviour are wanted where they differ. The default is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Profile {
    /// kubernetes v1.29 to v1.36.
    V129,
    /// kubernetes v1.37 and newer.
    #[default]
    V137,
}

impl Profile {
    /// Returns the name, such as `v1.37`, that `subpath::Subpather::info` prints.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::V129 => "v1.29",
            Profile::V137 => "v1.37",
        }
    }

    /// Returns whether an error wraps its cause (Go's `%w`) where older releases kept only the cause's text.
    #[doc(hidden)]
    pub const fn wraps_errors(self) -> bool {
        match self {
            Profile::V129 => false,
            Profile::V137 => true,
        }
    }

    /// Returns whether a target whose mount is dead or stale, so that the mounter cannot check it, is unmounted
    /// and mounted again. Otherwise the error of the check ends the operation.
    #[doc(hidden)]
    pub const fn recovers_corrupted(self) -> bool {
        match self {
            Profile::V129 => false,
            Profile::V137 => true,
        }
    }

    /// Returns whether a mount of something other than the source is detached lazily. Otherwise the mounter
    /// unmounts it in the ordinary way.
    #[doc(hidden)]
    pub const fn detaches_stale(self) -> bool {
        match self {
            Profile::V129 => false,
            Profile::V137 => true,
        }
    }

    /// Returns whether directories are listed by Go's `ioutil.ReadDir`, which opens files of any kind and calls
    /// lstat(2) for each entry. Otherwise they are listed by `os.ReadDir`, which does neither.
    #[doc(hidden)]
    pub const fn lists_with_lookups(self) -> bool {
        match self {
            Profile::V129 => true,
            Profile::V137 => false,
        }
    }

    /// Returns how the warning begins that is logged if a clean-up finds nothing at the path.
    pub(crate) const fn skipped_cleanup(self) -> &'static str {
        match self {
            Profile::V129 => "Warning: mount",
            Profile::V137 => "Mount",
        }
    }
}
