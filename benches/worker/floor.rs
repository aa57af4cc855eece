//! The least system calls that have an operation's effect. Nothing here is careful: every path is
//! trusted, nothing is looked up twice, and what is mounted is known beforehand. Only the sub path
//! itself is opened below the volume without following links, as it is the purpose of it all.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::fcntl::{self, OFlag, OpenHow, ResolveFlag};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::{Answer, Watch};

const PATH: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A pod's directories for the sub paths of one volume.
struct Pod {
    /// Each directory that is made, the outermost first.
    levels: [PathBuf; 3],
    volume: PathBuf,
}

impl Pod {
    fn new(root: &str, name: &str) -> std::io::Result<Pod> {
        let pod = PathBuf::from(root).join("pods").join(name);
        match nix::unistd::mkdir(&pod, Mode::from_bits_truncate(0o750)) {
            Ok(()) | Err(nix::Error::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let all = pod.join("volume-subpaths");
        let levels = [all.clone(), all.join("vol"), all.join("vol/app")];
        Ok(Pod { levels, volume: PathBuf::from(root).join("volume") })
    }

    fn target(&self, index: usize) -> PathBuf {
        self.levels[2].join(index.to_string())
    }

    fn open_source(&self, source: &str) -> std::io::Result<OwnedFd> {
        let volume = fcntl::open(&self.volume, PATH | OFlag::O_DIRECTORY, Mode::empty())?;
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        Ok(fcntl::openat2(&volume, source, OpenHow::new().flags(PATH).resolve(resolve))?)
    }

    fn make_levels(&self) -> std::io::Result<()> {
        let mode = Mode::from_bits_truncate(0o750);
        Ok(self.levels.iter().try_for_each(|level| mkdirat(fcntl::AT_FDCWD, level, mode))?)
    }

    fn mount(&self, source: &str, index: usize) -> std::io::Result<()> {
        let opened = self.open_source(source)?;
        let target = self.target(index);
        if source == "file" {
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
            fcntl::open(&target, flags, Mode::from_bits_truncate(0o640))?;
        } else {
            mkdirat(fcntl::AT_FDCWD, &target, Mode::from_bits_truncate(0o750))?;
        }
        let clone = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = open_tree(&opened, c"", clone)?;
        move_mount(&tree, c"", CWD, &target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        Ok(())
    }

    fn unmount(&self, index: usize, is_file: bool) -> std::io::Result<()> {
        let target = self.target(index);
        umount2(&target, MntFlags::UMOUNT_NOFOLLOW)?;
        let kind = if is_file { UnlinkatFlags::NoRemoveDir } else { UnlinkatFlags::RemoveDir };
        Ok(unlinkat(fcntl::AT_FDCWD, &target, kind)?)
    }

    fn remove_levels(&self) -> std::io::Result<()> {
        for level in self.levels.iter().rev() {
            unlinkat(fcntl::AT_FDCWD, level, UnlinkatFlags::RemoveDir)?;
        }
        Ok(())
    }

    fn prepare(&self, source: &str, sub_paths: usize) -> std::io::Result<()> {
        self.make_levels()?;
        (0..sub_paths).try_for_each(|i| self.mount(source, i))
    }

    fn clean(&self, source: &str, sub_paths: usize) -> std::io::Result<()> {
        (0..sub_paths).try_for_each(|i| self.unmount(i, source == "file"))?;
        self.remove_levels()
    }
}

pub fn cycle(root: &str, count: usize, source: &str) -> Answer {
    let (pod, mut watch) = (Pod::new(root, "floor")?, Watch::new());
    watch.time(|| {
        (0..count).try_for_each(|_| {
            pod.prepare(source, 1)?;
            pod.clean(source, 1)
        })
    })?;
    Ok(watch.total)
}

/// `count` cycles in each of some threads, each in its own pod; the time is of all together.
pub fn threads(root: &str, count: usize, threads: usize) -> Answer {
    let mut watch = Watch::new();
    let pods = (0..threads)
        .map(|i| Pod::new(root, &format!("floor{i}")))
        .collect::<Result<Vec<Pod>, _>>()?;
    watch.time(|| {
        std::thread::scope(|scope| {
            let workers: Vec<_> = pods
                .iter()
                .map(|pod| {
                    scope.spawn(move || {
                        (0..count).try_for_each(|_| {
                            pod.prepare("dir", 1)?;
                            pod.clean("dir", 1)
                        })
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|w| w.join().unwrap_or(Err(nix::Error::EIO.into())))
        })
    })?;
    Ok(watch.total)
}

/// What it takes to see that the right thing is mounted already.
pub fn mounted(root: &str, count: usize) -> Answer {
    let (pod, mut watch) = (Pod::new(root, "floor")?, Watch::new());
    pod.prepare("dir", 1)?;
    let target = pod.target(0);
    let done = watch.time(|| {
        (0..count).try_for_each(|_| -> Result<(), Box<dyn std::error::Error>> {
            let source = pod.open_source("dir")?;
            let there = rustix::fs::statx(CWD, &target, AtFlags::SYMLINK_NOFOLLOW, IDENTITY)?;
            let wanted = rustix::fs::statx(&source, c"", AtFlags::EMPTY_PATH, IDENTITY)?;
            match there.stx_ino == wanted.stx_ino {
                true => Ok(()),
                false => Err("something else is mounted".into()),
            }
        })
    });
    pod.clean("dir", 1)?;
    done?;
    Ok(watch.total)
}

const IDENTITY: StatxFlags = StatxFlags::TYPE.union(StatxFlags::INO);

/// Makes some levels below the volume; with none, looks whether a directory is there.
pub fn make_dirs(root: &str, count: usize, levels: usize) -> Answer {
    let volume = PathBuf::from(root).join("volume");
    let mut watch = Watch::new();
    let nofollow = PATH | OFlag::O_DIRECTORY;
    for _ in 0..count {
        let names = vec!["d"; levels];
        watch.time(|| -> std::io::Result<()> {
            let mut parent = fcntl::open(&volume, nofollow, Mode::empty())?;
            if levels == 0 {
                nix::sys::stat::fstatat(&parent, "dir", fcntl::AtFlags::empty())?;
            }
            for name in &names {
                mkdirat(&parent, *name, Mode::from_bits_truncate(0o750))?;
                // fchmod(2) takes no O_PATH descriptor.
                let flags =
                    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                parent = fcntl::openat(&parent, *name, flags, Mode::empty())?;
                nix::sys::stat::fchmod(&parent, Mode::from_bits_truncate(0o750))?;
            }
            Ok(())
        })?;
        if levels > 0 {
            // By descriptors: the path may be too long for one call.
            remove_chain(&volume, levels)?;
        }
    }
    Ok(watch.total)
}

/// Removes `d`, `d/d`, `d/d/d`, … below a directory.
fn remove_chain(base: &std::path::Path, levels: usize) -> std::io::Result<()> {
    for level in (1..=levels).rev() {
        let chain: PathBuf = std::iter::repeat_n("d", level).collect();
        unlinkat(fcntl::AT_FDCWD, &base.join(chain), UnlinkatFlags::RemoveDir)?;
    }
    Ok(())
}

pub fn clean(root: &str, count: usize, sub_paths: usize) -> Answer {
    let (pod, mut watch) = (Pod::new(root, "floor")?, Watch::new());
    for _ in 0..count {
        pod.prepare("dir", sub_paths)?;
        watch.time(|| pod.clean("dir", sub_paths))?;
    }
    Ok(watch.total)
}

pub fn pod(root: &str, count: usize, sub_paths: usize) -> Answer {
    let (pod, mut watch) = (Pod::new(root, "floor")?, Watch::new());
    for _ in 0..count {
        watch.time(|| {
            pod.prepare("dir", sub_paths)?;
            pod.clean("dir", sub_paths)
        })?;
    }
    Ok(watch.total)
}

pub fn is_mount_point(path: &str, count: usize) -> Answer {
    let mut watch = Watch::new();
    let path = std::ffi::CString::new(path)?;
    watch.time(|| {
        (0..count).try_for_each(|_| {
            is_mount_root(&path).map(std::hint::black_box)?;
            std::io::Result::Ok(())
        })
    })?;
    Ok(watch.total)
}

/// A function that is called, as libc's are: on processors whose return predictor the kernel has to
/// clear, what costs most of a short system call is the first return after it.
#[inline(never)]
fn is_mount_root(path: &std::ffi::CStr) -> std::io::Result<bool> {
    let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let answer = rustix::fs::statx(CWD, path, flags, StatxFlags::empty())?;
    Ok(answer.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}
