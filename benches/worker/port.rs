//! The port, called from Rust: without Go's scheduler around it, and in a process of its own that
//! can be told to do without newer system calls (`SUBPATH_WITHOUT`).

use subpath::{FileMode, KernelMounter, Profile, Subpath, clean_sub_paths, prepare_safe_subpath};

use super::{Answer, Watch};

const PROFILE: Profile = Profile::V129;

/// The pod and its volume.
struct Pod {
    dir: Vec<u8>,
    request: Subpath,
}

impl Pod {
    fn new(root: &str, source: &str) -> std::io::Result<Pod> {
        let dir = format!("{root}/pods/rust");
        std::fs::create_dir_all(&dir)?;
        let request = Subpath {
            volume_mount_index: 0,
            path: format!("{root}/volume/{source}").into_bytes(),
            volume_name: b"vol".to_vec(),
            volume_path: format!("{root}/volume").into_bytes(),
            pod_dir: dir.clone().into_bytes(),
            container_name: b"app".to_vec(),
        };
        Ok(Pod { dir: dir.into_bytes(), request })
    }

    fn prepare(&mut self, sub_paths: usize) -> subpath::Result<()> {
        (0..sub_paths).try_for_each(|index| {
            self.request.volume_mount_index = index as i64;
            prepare_safe_subpath(&KernelMounter, &self.request, PROFILE).map(drop)
        })
    }

    fn clean(&self) -> subpath::Result<()> {
        clean_sub_paths(&KernelMounter, &self.dir, b"vol", PROFILE)
    }
}

pub fn cycle(root: &str, count: usize, source: &str) -> Answer {
    let (mut pod, mut watch) = (Pod::new(root, source)?, Watch::new());
    watch.time(|| {
        (0..count).try_for_each(|_| {
            pod.prepare(1)?;
            pod.clean()
        })
    })?;
    Ok(watch.total)
}

pub fn mounted(root: &str, count: usize) -> Answer {
    let (mut pod, mut watch) = (Pod::new(root, "dir")?, Watch::new());
    pod.prepare(1)?;
    let done = watch.time(|| (0..count).try_for_each(|_| pod.prepare(1)));
    pod.clean()?;
    done?;
    Ok(watch.total)
}

pub fn clean(root: &str, count: usize, sub_paths: usize) -> Answer {
    let (mut pod, mut watch) = (Pod::new(root, "dir")?, Watch::new());
    for _ in 0..count {
        pod.prepare(sub_paths)?;
        watch.time(|| pod.clean())?;
    }
    Ok(watch.total)
}

pub fn make_dirs(root: &str, count: usize, levels: usize) -> Answer {
    let (volume, mode) = (format!("{root}/volume"), FileMode::new(0o750));
    let sub_path = if levels == 0 { "dir".to_owned() } else { vec!["d"; levels].join("/") };
    let make = || subpath::safe_make_dir(sub_path.as_bytes(), volume.as_bytes(), mode, PROFILE);
    let mut watch = Watch::new();
    if levels == 0 {
        watch.time(|| (0..count).try_for_each(|_| make()))?;
        return Ok(watch.total);
    }
    for _ in 0..count {
        watch.time(make)?;
        std::fs::remove_dir_all(format!("{volume}/d"))?;
    }
    Ok(watch.total)
}
