//! A loop device, and a file system on it whose server the test controls.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Layout;
use super::fuse::Fuse;

/// A FUSE file system on a block device, which umount2(2) takes out of the tree at once, and then waits
/// for its server. `None` where there are no loop devices for the test, which is said.
pub fn volume_on_a_device(layout: &Layout, name: &str) -> Option<(Fuse, PathBuf, Device)> {
    let device = match Device::new(&layout.root) {
        Ok(device) => device,
        Err(why) => {
            super::not_run(format_args!("no loop device ({why})"), name);
            return None;
        }
    };
    let at = layout.root.join("device");
    fs::create_dir(&at).unwrap();
    let server = Fuse::mount_block(&device.0, &at);
    server.hold_at_the_end();
    Some((server, at, device))
}

/// A loop device, detached when it is dropped.
pub struct Device(pub String);

impl Device {
    pub fn new(dir: &Path) -> std::result::Result<Device, String> {
        let image = dir.join("image");
        fs::write(&image, vec![0; 1 << 20]).unwrap();
        let made = Command::new("losetup").args(["--find", "--show"]).arg(&image).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if made.status.success() { Ok(Device(said(&made.stdout))) } else { Err(said(&made.stderr)) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}
