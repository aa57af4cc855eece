//! What the boundary says of errors: the numbers of their kinds, and the errors it makes itself.

use subpath_mountinfo::internal::GoError;
use subpath_mountinfo::{Error, wrap};

use crate::abi;

/// The caller broke the boundary's rules: a sentence that wraps `EINVAL`.
pub(crate) fn misuse(what: &str) -> Error {
    let inval = Error::from_errno(nix::errno::Errno::EINVAL as i32);
    wrap!("rustsubpath was called wrongly, %s: %w", what, inval)
}

/// A panic of the library's own, as an error.
pub(crate) fn panicked(doing: &str, payload: &(dyn std::any::Any + Send)) -> Error {
    let said = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given");
    Error::new(format!("rustsubpath failed by a fault of its own in {doing}: {said}"))
}

/// The number by which the header knows an error's kind.
pub(crate) fn kind_number(error: &Error) -> u32 {
    match error.as_go() {
        GoError::Errno(_) => abi::RSP_ERROR_ERRNO,
        GoError::Path { .. } => abi::RSP_ERROR_PATH,
        GoError::Text { .. } => abi::RSP_ERROR_TEXT,
        GoError::Wrap { .. } => abi::RSP_ERROR_WRAP,
        GoError::Foreign(_) => abi::RSP_ERROR_FOREIGN,
        GoError::NotExist => abi::RSP_ERROR_NOT_EXIST,
    }
}
