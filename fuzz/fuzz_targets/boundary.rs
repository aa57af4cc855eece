//! The C boundary under any sequence of calls that its header allows, wrong arguments included, on a
//! file system made for this one input: no panic, no memory error, nothing left open.
//!
//! Needs the right to mount: `make fuzz` runs it in a user namespace for an ordinary user.
#![no_main]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

fuzz_target!(|bytes: &[u8]| {
    let (before, threads) = (names("/proc/self/fd"), names("/proc/self/task").len());
    // The calls unmount and remove what they are told to. A thread of its own sees nothing of this
    // machine's files: its mounts and its root are its own, and go with it.
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            enter_a_world_of_its_own().expect("a mount namespace and a root of its own");
            rustsubpath_ffi::scripted_caller::run(bytes);
        });
        if let Err(panic) = calls.join() {
            std::panic::resume_unwind(panic);
        }
    });
    // A clean-up whose time is over comes back before its threads do. They do not hang here.
    while names("/proc/self/task").len() > threads {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(names("/proc/self/fd"), before);
});

fn names(directory: &str) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(directory).expect("a directory of this process");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names
}

fn enter_a_world_of_its_own() -> std::io::Result<()> {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let root = Path::new("/mnt");
    mount(Some("world"), root, Some("tmpfs"), MsFlags::empty(), none)?;
    let at = |name: &str| root.join(name);
    for name in ["proc", "volume/dir/deep", "pod/volume-subpaths/vol/c/0", "outside", "mounted"] {
        fs::create_dir_all(at(name))?;
    }
    fs::write(at("volume/file"), "precious")?;
    symlink("dir/deep", at("volume/link"))?;
    symlink("../outside", at("volume/out"))?;
    fs::copy("/proc/thread-self/mountinfo", at("table"))?;
    mount(Some("/proc"), &at("proc"), none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    for _ in 0..2 {
        mount(Some(&at("volume")), &at("mounted"), none, MsFlags::MS_BIND, none)?;
    }
    // Not chroot(2) alone, from which `..` leads out of a directory that is open.
    std::env::set_current_dir(root)?;
    nix::unistd::pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    std::env::set_current_dir("/")
}
