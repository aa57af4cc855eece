//! Go's texts: errno texts and `%q`.

/// The text Go prints for an errno.
pub fn errno_text(errno: i32) -> String {
    format!("errno {errno}")
}
