//! What the crates of this project share and nobody else may rely on: it changes with any release, and
//! they depend on exactly the version that they were released with.

pub mod automount;
pub mod coroutine;
pub mod go_path;
pub mod go_text;
pub mod log;
pub mod paths;
pub mod sys;
pub mod worker;

pub use crate::cleanup::asked::clean_up as clean_up_asking;
pub use crate::cleanup::native::clean_up as clean_up_natively;
pub use crate::cleanup::skip as skip_clean_up;
pub use crate::error::{Foreign, GoError};
pub use crate::kernel::MOST_LAYERS;
pub use crate::mount::{
    Command, Failure, Outcome, option_flags, unmount_reporting, unmount_with_force_reporting,
};
pub use crate::utab::ByProgram;
