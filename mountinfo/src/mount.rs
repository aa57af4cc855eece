//! Mounting and unmounting as mount(8) does it, by system calls alone, and the record of one mount.

mod at;
mod described;

pub use at::mount_at;
