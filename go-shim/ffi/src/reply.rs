//! What an operation hands over at its end: a number, bytes, and an error beside them.

use subpath_mountinfo::Error;

/// What an operation results in.
#[derive(Default)]
pub(crate) struct Reply {
    pub(crate) number: i64,
    pub(crate) bytes: Vec<u8>,
    /// An error that comes beside the result rather than instead of it.
    pub(crate) error: Option<Error>,
}

impl From<()> for Reply {
    fn from((): ()) -> Self {
        Reply::default()
    }
}

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Self {
        Reply { bytes, ..Reply::default() }
    }
}

impl From<bool> for Reply {
    fn from(flag: bool) -> Self {
        Reply { number: i64::from(flag), ..Reply::default() }
    }
}

impl From<(bool, Vec<u8>)> for Reply {
    fn from((flag, bytes): (bool, Vec<u8>)) -> Self {
        Reply { number: i64::from(flag), bytes, ..Reply::default() }
    }
}
