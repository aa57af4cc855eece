//! The port, called from Rust: without Go's scheduler around it, and in a process of its own that
//! can be told to do without newer system calls (`SUBPATH_WITHOUT`).

use subpath::{Profile, Result, Subpath, SubpathBuilder, Subpather};

use super::{Answer, Watch};

fn subpather() -> Subpather {
    Subpather::new().profile(Profile::V129)
}

/// The pod and its volume.
struct Pod {
    dir: String,
    request: SubpathBuilder,
    /// The requests that were made, by their indexes.
    requests: Vec<Subpath>,
}

impl Pod {
    fn new(root: &str, source: &str) -> std::io::Result<Pod> {
        let dir = format!("{root}/pods/rust");
        std::fs::create_dir_all(&dir)?;
        let request = Subpath::builder()
            .volume("vol", format!("{root}/volume"))
            .sub_path(source)
            .pod_dir(&dir)
            .container("app");
        Ok(Pod { dir, request, requests: Vec::new() })
    }

    fn prepare(&mut self, sub_paths: usize) -> Result<()> {
        for index in self.requests.len()..sub_paths {
            let request = self.request.clone().volume_mount_index(index as u32);
            self.requests.push(request.build()?);
        }
        self.requests[..sub_paths]
            .iter()
            .try_for_each(|request| subpather().prepare_safe_subpath(request).map(drop))
    }

    fn clean(&self) -> Result<()> {
        subpather().clean_sub_paths(&self.dir, "vol")
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
    let volume = format!("{root}/volume");
    let sub_path = if levels == 0 { "dir".to_owned() } else { vec!["d"; levels].join("/") };
    let make = || subpather().safe_make_dir(&sub_path, &volume, 0o750);
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
