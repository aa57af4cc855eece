//! Go's `path/filepath` on bytes.

/// Go's filepath.Dir.
pub fn dir(path: &[u8]) -> Vec<u8> {
    path.to_vec()
}
