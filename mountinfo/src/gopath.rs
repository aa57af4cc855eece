//! Go's `path/filepath` on bytes.
