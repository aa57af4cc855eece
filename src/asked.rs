//! The operations on a caller's mounter, which is asked what the original asks, in its order.
//!
//! They are coroutines: the mounter may be on the other side of the C boundary, and answer later.

pub(crate) mod clean;
pub(crate) mod prepare;
pub(crate) mod target;
