//! The operations with a caller's mounter. They ask it the questions that the original asks its mounter, in
//! the original's order.
//!
//! They are `async fn`s, because the mounter may be on the other side of the C boundary and answer later.

pub(crate) mod clean;
pub(crate) mod prepare;
pub(crate) mod target;
