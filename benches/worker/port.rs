//! The port, called from Rust: without Go's scheduler around it, and in a process of its own that
//! can be told to do without newer system calls (`SUBPATH_WITHOUT`).

use subpath::{Profile, Subpath, SubpathBuilder, Subpather};

use super::{Answer, Failure, Pod, Watch};

fn subpather() -> Subpather {
    Subpather::new().profile(Profile::V129)
}

pub struct Port {
    dir: String,
    request: SubpathBuilder,
    /// The requests that were made, by their indexes.
    requests: Vec<Subpath>,
}

impl Port {
    pub fn new(root: &str, source: &str) -> std::io::Result<Port> {
        let dir = format!("{root}/pods/rust");
        std::fs::create_dir_all(&dir)?;
        let request = Subpath::builder()
            .volume("vol", format!("{root}/volume"))
            .sub_path(source)
            .pod_dir(&dir)
            .container("app");
        Ok(Port { dir, request, requests: Vec::new() })
    }
}

impl Pod for Port {
    fn prepare(&mut self, sub_paths: usize) -> Result<(), Failure> {
        for index in self.requests.len()..sub_paths {
            let request = self.request.clone().volume_mount_index(index as u32);
            self.requests.push(request.build()?);
        }
        for request in &self.requests[..sub_paths] {
            subpather().prepare_safe_subpath(request)?;
        }
        Ok(())
    }

    fn clean(&mut self, _sub_paths: usize) -> Result<(), Failure> {
        Ok(subpather().clean_sub_paths(&self.dir, "vol")?)
    }
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
