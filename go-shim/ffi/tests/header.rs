//! The C header is what cbindgen makes of go-shim/ffi. `make header` writes it anew.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use cbindgen::{Builder, Config};

const HEADER: &str = "../internal/boundary/rustsubpath.h";
/// In the order a reader of the header wants.
const SOURCES: [&str; 4] = ["src/abi.rs", "src/exports.rs", "src/mounts.rs", "src/mounting.rs"];

fn generate(root: &Path) -> String {
    let config = Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut builder = Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(root.join(source));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    let header = String::from_utf8(header).unwrap();
    // What a Rust caller has to promise is said once, at the header's top.
    let mut lines: Vec<&str> = Vec::new();
    let mut skipping = false;
    for line in header.lines() {
        skipping = line.starts_with("//") && (skipping || line == "// # Safety");
        if line == "// # Safety" {
            lines.pop();
        }
        if !skipping {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn the_header_is_what_the_boundary_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (header, path) = (generate(root), root.join(HEADER));
    if std::env::var_os("WRITE_HEADER").is_some() {
        std::fs::write(path, header).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let differs = committed.lines().zip(header.lines()).find(|(was, is)| was != is);
    assert!(
        committed == header,
        "go-shim/internal/boundary/rustsubpath.h is not what go-shim/ffi says, run `make header`; the first line that differs: {differs:?}"
    );
}
