//! A node agent in an asynchronous program: a mounter of its own that counts, calls on a thread where
//! waiting is allowed, and errors told apart.
//!
//! `cargo run --example node_agent` mounts nothing and runs anywhere.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use subpath::{Error, ErrorKind, FakeMounter, MountPoint, Mounter, Place, Source};
use subpath::{Subpath, Subpather};

/// A mounter that counts its binds, and refuses more than it is allowed.
#[derive(Default)]
struct Counting {
    mounter: FakeMounter,
    binds: AtomicUsize,
}

const MOST_BINDS: usize = 2;

impl Mounter for Counting {
    fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<(), Error> {
        if self.binds.fetch_add(1, Ordering::SeqCst) == MOST_BINDS {
            return Err(io::Error::from(io::ErrorKind::QuotaExceeded).into());
        }
        self.mounter.bind(source, at)
    }
    fn is_mount_point(&self, at: Place<'_>) -> Result<bool, Error> {
        self.mounter.is_mount_point(at)
    }
    fn unmount(&self, at: Place<'_>) -> Result<(), Error> {
        self.mounter.unmount(at)
    }
    fn unmount_lazily(&self, at: Place<'_>) -> Result<(), Error> {
        self.mounter.unmount_lazily(at)
    }
    fn list(&self) -> Result<Vec<MountPoint>, Error> {
        self.mounter.list()
    }
}

/// Every operation waits for the kernel: here it runs on tokio's threads for that.
async fn prepare(
    subpather: Arc<Subpather<Counting>>,
    volume: PathBuf,
    pod: PathBuf,
    container: &'static str,
) -> io::Result<PathBuf> {
    let prepared = tokio::task::spawn_blocking(move || {
        subpather.safe_make_dir("logs/web", &volume, 0o2770)?;
        let request = Subpath::builder()
            .volume("data", &volume)
            .sub_path("logs/web")
            .pod_dir(&pod)
            .container(container)
            .build()?;
        subpather.prepare_safe_subpath(&request)
    });
    Ok(prepared.await??)
}

fn main() -> io::Result<()> {
    let root = std::env::temp_dir().join(format!("node-agent-{}", std::process::id()));
    let (volume, pod) = (root.join("volume"), root.join("pod"));
    std::fs::create_dir_all(&volume)?;
    std::fs::create_dir_all(&pod)?;

    let subpather = Arc::new(Subpather::with_mounter(Counting::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for container in ["web", "sidecar", "one too many"] {
        let prepared = prepare(Arc::clone(&subpather), volume.clone(), pod.clone(), container);
        match runtime.block_on(prepared) {
            Ok(target) => println!("{container}: {}", below(&target, &root)),
            Err(error) => println!("{container}: {error}"),
        }
    }

    match subpather.safe_make_dir("../elsewhere", &volume, 0o750) {
        Ok(()) => println!("made outside of the volume"),
        Err(error) if error.kind() == ErrorKind::OutsideVolume => println!("refused: {error}"),
        Err(error) => return Err(error.into()),
    }
    subpather.clean_sub_paths(&pod, "data")?;
    println!("mounted now: {}", subpather.mounter().list()?.len());
    std::fs::remove_dir_all(&root)
}

fn below(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
