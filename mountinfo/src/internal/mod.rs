//! What the crates of this project share and nobody else may rely on: it changes with any release, and
//! they depend on exactly the version that they were released with.

pub mod automount;
pub mod go_path;
pub mod go_text;
pub mod log;
pub mod sys;
pub mod worker;
