//! Prepares a sub path of a volume for a container on real mounts, shows it, and cleans it up.
//!
//! `cargo run --example prepare_and_clean VOLUME SUB_PATH POD_DIR` (needs `CAP_SYS_ADMIN`; try it
//! under `unshare --user --map-root-user --mount`).

use std::path::PathBuf;

use subpath::{ErrorKind, Subpath, Subpather};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [volume, sub_path, pod_dir] = &arguments[..] else {
        return Err("usage: prepare_and_clean VOLUME SUB_PATH POD_DIR".into());
    };

    let subpather = Subpather::new();
    subpather.safe_make_dir(sub_path, volume, 0o750)?;
    let request = Subpath::builder()
        .volume("volume", volume)
        .sub_path(sub_path)
        .pod_dir(pod_dir)
        .container("container")
        .build()?;
    let target = match subpather.prepare_safe_subpath(&request) {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(format!("{error} (mounting needs CAP_SYS_ADMIN)").into());
        }
        Err(error) => return Err(error.into()),
    };
    println!("bound at {}:", target.display());
    for entry in std::fs::read_dir(&target)? {
        println!("  {}", entry?.file_name().display());
    }
    subpather.clean_sub_paths(pod_dir, "volume")?;
    let state = if target.exists() { "still there" } else { "gone" };
    println!("cleaned: {} is {state}", target.display());
    Ok(())
}
