//! The least system calls that have an operation's effect. Nothing here is careful: every path is
//! trusted, nothing is looked up twice, and what is mounted is known beforehand. Only the sub path
//! itself is opened below the volume without following links, as it is the purpose of it all.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{self, OFlag, OpenHow, ResolveFlag};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::{Answer, Failure, Pod, Watch};

const PATH: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A pod's directories for the sub paths of one volume.
pub struct Bare {
    /// Each directory that is made, the outermost first.
    levels: [PathBuf; 3],
    volume: PathBuf,
    source: String,
}

impl Bare {
    pub fn new(root: &str, name: &str, source: &str) -> std::io::Result<Bare> {
        let pod = PathBuf::from(root).join("pods").join(name);
        match nix::unistd::mkdir(&pod, Mode::from_bits_truncate(0o750)) {
            Ok(()) | Err(nix::Error::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let all = pod.join("volume-subpaths");
        let levels = [all.clone(), all.join("vol"), all.join("vol/app")];
        let volume = PathBuf::from(root).join("volume");
        Ok(Bare { levels, volume, source: source.to_owned() })
    }

    fn target(&self, index: usize) -> PathBuf {
        self.levels[2].join(index.to_string())
    }

    fn open_source(&self) -> std::io::Result<OwnedFd> {
        let volume = fcntl::open(&self.volume, PATH | OFlag::O_DIRECTORY, Mode::empty())?;
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        Ok(fcntl::openat2(
            &volume,
            self.source.as_str(),
            OpenHow::new().flags(PATH).resolve(resolve),
        )?)
    }

    fn mount(&self, index: usize) -> std::io::Result<()> {
        let opened = self.open_source()?;
        let target = self.target(index);
        if self.source == "file" {
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

    fn unmount(&self, index: usize) -> std::io::Result<()> {
        let target = self.target(index);
        umount2(&target, MntFlags::UMOUNT_NOFOLLOW)?;
        let kind = if self.source == "file" {
            UnlinkatFlags::NoRemoveDir
        } else {
            UnlinkatFlags::RemoveDir
        };
        Ok(unlinkat(fcntl::AT_FDCWD, &target, kind)?)
    }

    /// What it takes to see that the right thing is mounted already.
    pub fn is_mounted(&self) -> Result<(), Failure> {
        let source = self.open_source()?;
        let there = statx(CWD, self.target(0), AtFlags::SYMLINK_NOFOLLOW, IDENTITY)?;
        let wanted = statx(&source, c"", AtFlags::EMPTY_PATH, IDENTITY)?;
        match there.stx_ino == wanted.stx_ino {
            true => Ok(()),
            false => Err("something else is mounted".into()),
        }
    }
}

impl Pod for Bare {
    fn prepare(&mut self, sub_paths: usize) -> Result<(), Failure> {
        for level in &self.levels {
            mkdirat(fcntl::AT_FDCWD, level, Mode::from_bits_truncate(0o750))?;
        }
        Ok((0..sub_paths).try_for_each(|i| self.mount(i))?)
    }

    fn clean(&mut self, sub_paths: usize) -> Result<(), Failure> {
        (0..sub_paths).try_for_each(|i| self.unmount(i))?;
        for level in self.levels.iter().rev() {
            unlinkat(fcntl::AT_FDCWD, level, UnlinkatFlags::RemoveDir)?;
        }
        Ok(())
    }
}

/// `count` cycles in each of some threads, each in its own pod; the time is of all together.
pub fn threads(root: &str, count: usize, threads: usize) -> Answer {
    let mut watch = Watch::new();
    let mut pods = (0..threads)
        .map(|i| Bare::new(root, &format!("floor{i}"), "dir"))
        .collect::<Result<Vec<Bare>, _>>()?;
    watch.time(|| {
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                pods.iter_mut().map(|pod| scope.spawn(move || pod.cycle(count, 1))).collect();
            workers.into_iter().try_for_each(|w| w.join().unwrap_or(Err(nix::Error::EIO.into())))
        })
    })?;
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
fn remove_chain(base: &Path, levels: usize) -> std::io::Result<()> {
    for level in (1..=levels).rev() {
        let chain: PathBuf = std::iter::repeat_n("d", level).collect();
        unlinkat(fcntl::AT_FDCWD, &base.join(chain), UnlinkatFlags::RemoveDir)?;
    }
    Ok(())
}

const NOTHING: Option<&str> = None;

pub fn mount_tmpfs(at: &Path) -> nix::Result<()> {
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some("size=1m"))
}

pub fn bind_read_only(source: &str, at: &Path) -> nix::Result<()> {
    let again = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(Some(source), at, NOTHING, MsFlags::MS_BIND, NOTHING)?;
    mount(NOTHING, at, NOTHING, again, NOTHING)
}

pub fn mount_and_unmount(
    at: &str,
    count: usize,
    mount: impl Fn(&Path) -> nix::Result<()>,
) -> Answer {
    let (at, mut watch) = (Path::new(at), Watch::new());
    watch.time(|| {
        (0..count).try_for_each(|_| {
            mount(at)?;
            umount2(at, MntFlags::empty())
        })
    })?;
    Ok(watch.total)
}

pub fn remount(at: &str, count: usize) -> Answer {
    let mut watch = Watch::new();
    watch.time(|| {
        (0..count)
            .try_for_each(|_| mount(NOTHING, at, NOTHING, MsFlags::MS_REMOUNT, Some("size=50%")))
    })?;
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
    let answer = statx(CWD, path, flags, StatxFlags::empty())?;
    Ok(answer.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}
