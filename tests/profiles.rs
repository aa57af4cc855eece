//! The release lines of kubernetes are told apart in one file.

use std::fs;
use std::path::{Path, PathBuf};

/// What may name a release line: the file that says what each does, and the C boundary, which reads
/// the caller's number.
const NAMES_THEM: [&str; 2] = ["mountinfo/src/profile.rs", "go-shim/ffi/src/call.rs"];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Code that asks for a release line instead of a difference treats the next one as it happens to:
/// `==` as every other, `_` as the oldest.
#[test]
fn only_one_file_tells_release_lines_apart() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("mountinfo/src"), &mut files);
    sources(&root.join("go-shim/ffi/src"), &mut files);
    assert!(files.len() > 30, "{files:?}");
    let mut asks = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if line.contains("Profile::V") && !NAMES_THEM.contains(&name.as_str()) {
                asks.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    assert!(asks.is_empty(), "{asks:#?}");
}
