//! Prepares a sub path of a volume for a container on real mounts, shows it, and cleans it up.
//!
//! `cargo run --example prepare_and_clean VOLUME SUB_PATH POD_DIR` (needs `CAP_SYS_ADMIN`; try it
//! under `unshare --user --map-root-user --mount`).

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use subpath::{FileMode, KernelMounter, Profile, Subpath};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    let [volume, sub_path, pod_dir] = &arguments[..] else {
        return Err("usage: prepare_and_clean VOLUME SUB_PATH POD_DIR".into());
    };

    subpath::safe_make_dir(sub_path, volume, FileMode::new(0o750), Profile::V137)?;
    let request = Subpath {
        volume_mount_index: 0,
        path: subpath_mountinfo::internal::go_path::join(&[volume, sub_path]),
        volume_name: b"volume".to_vec(),
        volume_path: volume.clone(),
        pod_dir: pod_dir.clone(),
        container_name: b"container".to_vec(),
    };
    let target = subpath::prepare_safe_subpath(&KernelMounter, &request, Profile::V137)?;
    let target = PathBuf::from(std::ffi::OsStr::from_bytes(&target));
    println!("bound at {}:", target.display());
    for entry in std::fs::read_dir(&target)? {
        println!("  {}", entry?.file_name().display());
    }
    subpath::clean_sub_paths(&KernelMounter, pod_dir, b"volume", Profile::V137)?;
    println!(
        "cleaned: {} is {}",
        target.display(),
        if target.exists() { "still there" } else { "gone" }
    );
    Ok(())
}
