//! What differs between the release lines of kubernetes, each difference by its name.
//!
//! The code elsewhere asks for a difference and never for a release line (`tests/profiles.rs`).
//! Every `match` here names each release line, so that a new one compiles only once this file says
//! what it does.

/// The release line whose texts and behaviour are wanted, where they differ.
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
    /// The name that `subpath::info` prints.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::V129 => "v1.29",
            Profile::V137 => "v1.37",
        }
    }

    /// Whether an error keeps its cause (Go's `%w`) where older releases kept its text alone.
    pub const fn wraps_errors(self) -> bool {
        match self {
            Profile::V129 => false,
            Profile::V137 => true,
        }
    }

    /// Whether a target that the mounter cannot check, because its mount is dead or stale, is
    /// unmounted and made anew; else the check's error ends the operation.
    pub const fn recovers_corrupted(self) -> bool {
        match self {
            Profile::V129 => false,
            Profile::V137 => true,
        }
    }

    /// Whether a target that shows something else than its source is detached lazily, by the
    /// operation itself; else the mounter unmounts it.
    pub const fn detaches_stale(self) -> bool {
        match self {
            Profile::V129 => false,
            Profile::V137 => true,
        }
    }

    /// Whether directories are listed by Go's `ioutil.ReadDir`, which opens whatever is there and
    /// looks each entry up; else by `os.ReadDir`, which does neither.
    pub const fn lists_with_lookups(self) -> bool {
        match self {
            Profile::V129 => true,
            Profile::V137 => false,
        }
    }

    /// How the warning begins that a clean-up found nothing at the path.
    pub(crate) const fn skipped_cleanup(self) -> &'static str {
        match self {
            Profile::V129 => "Warning: mount",
            Profile::V137 => "Mount",
        }
    }
}
