//! Which release line of kubernetes a caller comes from.

/// The release line whose texts and behaviour are wanted, where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Profile {
    /// kubernetes v1.29 to v1.36.
    #[default]
    Seed,
    /// kubernetes v1.37 and newer.
    V137,
}
