//! Runs a test in a mount namespace of its own, once for each set of system calls that a kernel or
//! a sandbox may lack, and lays out a volume and a pod for it.
#![allow(dead_code, clippy::expect_used)]

pub mod device;
pub mod fuse;
pub mod lines;

use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use subpath::{Error, KernelMounter, Profile, Result, Subpath, SubpathBuilder, Subpather};
use subpath_mountinfo::{cleanup_mount_point, cleanup_mount_with_force};

/// The sets of calls done without; see `subpath_mountinfo::features`.
pub const BACKENDS: [&str; 6] = [
    "",
    "openat2",
    "statx_mount_root",
    "statx",
    "open_tree",
    "openat2,statx,open_tree,fsopen,mount_setattr,statmount",
];

/// Those in which statx(2) is there: without it, what is mounted cannot be looked at without waiting
/// for its server.
pub const BACKENDS_WITH_STATX: [&str; 4] = ["", "openat2", "statx_mount_root", "open_tree"];

/// Set to `real` where calls really fail (tests/sandbox): none is done without besides then.
const REAL: &str = "SUBPATH_TEST_BACKENDS";

const INSIDE: &str = "SUBPATH_TEST_NAMESPACE";

/// After so long a test has not become slow: it hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// How many times longer a watchdog waits, where the processor is emulated (tests/kernels).
const PATIENCE: &str = "SUBPATH_TEST_PATIENCE";

/// A watchdog's time for this machine.
pub fn patiently(time: Duration) -> Duration {
    time * slowness()
}

/// How many times slower than others this machine is.
pub fn slowness() -> u32 {
    std::env::var(PATIENCE).ok().and_then(|times| times.parse().ok()).unwrap_or(1).max(1)
}

/// Runs `body` in a private mount namespace (in a user namespace too for an ordinary user), by
/// running this test again in a child process per backend.
///
/// `name` is the test's own name. Where namespaces cannot be made the test fails and says so.
pub fn in_namespace(name: &str, body: impl FnOnce(&Layout)) {
    in_namespace_over(&BACKENDS, name, body);
}

/// Runs a test as [`in_namespace`] does, with the given backends only.
pub fn in_namespace_over(backends: &[&str], name: &str, body: impl FnOnce(&Layout)) {
    if std::env::var_os(INSIDE).is_some() {
        let name = name.to_owned();
        std::thread::spawn(move || {
            std::thread::sleep(patiently(HANGS_AFTER));
            eprintln!("{name} hangs");
            fuse::abort_all();
            std::process::exit(1);
        });
        let layout = Layout::new();
        body(&layout);
        return;
    }
    let real = std::env::var_os(REAL).is_some_and(|value| value == "real");
    let backends = if real { &[""] } else { backends };
    let mut not_run = BTreeSet::new();
    for backend in backends {
        let status = namespaced(&std::env::current_exe().expect("own path"))
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(INSIDE, "1")
            .env("SUBPATH_WITHOUT", backend)
            .output()
            .expect("unshare(1) of util-linux is needed by the tests");
        assert!(
            status.status.success(),
            "without {backend:?}: {}\n{}\n{}",
            status.status,
            String::from_utf8_lossy(&status.stdout),
            String::from_utf8_lossy(&status.stderr)
        );
        let said = String::from_utf8_lossy(&status.stderr).into_owned();
        not_run
            .extend(said.lines().filter(|line| line.starts_with("not run, ")).map(str::to_owned));
    }
    not_run.iter().for_each(|line| say(line));
}

/// Names a test that cannot run here, or a part of one, and says why.
pub fn not_run(why: impl std::fmt::Display, name: &str) {
    say(&format!("not run, {why}: {name}"));
}

/// Not by a macro, whose output is kept back while the test is well; and in one piece, since other
/// tests write too.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Runs a test that mounts FUSE as [`in_namespace_over`] does. An ordinary user can do so only if /dev/fuse may
/// be opened; otherwise the test is left out, and its name and the reason are printed.
pub fn with_fuse(backends: &[&str], name: &str, body: impl FnOnce(&Layout)) {
    if !nix::unistd::geteuid().is_root() {
        let device = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
        if let Err(error) = device {
            return not_run(format_args!("/dev/fuse cannot be opened ({error})"), name);
        }
    }
    in_namespace_over(backends, name, body);
}

/// Names the directory of an outer [`Layout`] to the test in [`with_locked_mounts`].
const OUTER: &str = "SUBPATH_TEST_OUTER";

/// In a test's body: runs `body` in a user and mount namespace of its own below this one, where every
/// mount that is there already is locked (mount_namespaces(7)), by running the test `name` once more.
pub fn with_locked_mounts(name: &str, outer: &Layout, body: impl FnOnce(&Layout)) {
    if let Some(root) = std::env::var_os(OUTER) {
        let at = |name: &str| Path::new(&root).join(name);
        let (volume, pod, outside) = (at("volume"), at("pod"), at("outside"));
        let locked =
            std::mem::ManuallyDrop::new(Layout { root: root.into(), volume, pod, outside });
        body(&locked);
        return;
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe().expect("own path"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(OUTER, &outer.root)
        .output()
        .expect("unshare(1) of util-linux is needed by the tests");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
}

/// Whether this is the run that [`with_locked_mounts`] started.
pub fn mounts_are_locked() -> bool {
    std::env::var_os(OUTER).is_some()
}

fn namespaced(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--propagation", "private", "--"]).arg(program);
    command
}

/// The operations with the kernel's mounter.
pub fn kernel(profile: Profile) -> Subpather {
    Subpather::new().profile(profile)
}

pub const PROFILES: [Profile; 2] = [Profile::V129, Profile::V137];

/// Binds a sub path of the layout's volume, and returns its target.
pub fn prepare(layout: &Layout, sub_path: &str) -> Result<PathBuf> {
    kernel(Profile::V129).prepare_safe_subpath(&layout.request(sub_path))
}

/// Cleans the layout's volume.
pub fn clean(layout: &Layout) -> Result<()> {
    clean_pod(&layout.pod)
}

pub fn clean_pod(pod: &Path) -> Result<()> {
    kernel(Profile::V129).clean_sub_paths(pod, "vol")
}

/// More time than a clean-up takes that does not hang.
pub const LONG: Duration = Duration::from_secs(50);

/// The clean-up of a mount point by its path.
pub fn clean_path(path: &Path) -> Result<()> {
    cleanup_mount_point(&KernelMounter, path, true, Profile::V137)
}

pub fn clean_path_within(path: &Path, timeout: Duration) -> Result<()> {
    cleanup_mount_with_force(&KernelMounter, path, true, timeout, Profile::V137)
}

/// Both ways to clean a mount point up, which must do the same.
pub const WAYS: [fn(&Path) -> Result<()>; 2] = [clean_path, |path| clean_path_within(path, LONG)];

pub fn until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Makes a directory in the layout's volume.
pub fn make(layout: &Layout, sub_path: &str) -> Result<()> {
    kernel(Profile::V129).safe_make_dir(sub_path, &layout.volume, 0o750)
}

#[track_caller]
pub fn clean_leaves_nothing(layout: &Layout) {
    clean(layout).expect("a clean-up");
    assert_eq!(layout.mounts_at(&layout.target()), 0);
    assert_eq!(layout.left_in_pod(), Vec::<PathBuf>::new());
}

#[track_caller]
pub fn refused(error: &Error, errno: Errno, text: &str) {
    assert_eq!(error.raw_os_error(), Some(errno as i32), "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

/// A fresh tmpfs with a volume, a pod's directory, and a place that lies outside of both.
pub struct Layout {
    pub root: PathBuf,
    pub volume: PathBuf,
    pub pod: PathBuf,
    pub outside: PathBuf,
}

impl Layout {
    fn new() -> Self {
        let root = std::env::temp_dir().join(format!("subpath-test-{}", std::process::id()));
        // A test that was killed left one behind, and its number came again.
        let _ = fs::remove_dir(&root);
        fs::create_dir(&root).expect("a directory for the test");
        mount_tmpfs(&root);
        let at = |name: &str| {
            let path = root.join(name);
            fs::create_dir(&path).expect("a directory for the test");
            path
        };
        Layout { volume: at("volume"), pod: at("pod"), outside: at("outside"), root }
    }

    /// A request for `sub_path` of the volume.
    pub fn request(&self, sub_path: impl AsRef<Path>) -> Subpath {
        self.builder().path(self.volume.join(sub_path)).build().expect("a request")
    }

    /// A request for the volume that has no sub path yet.
    pub fn builder(&self) -> SubpathBuilder {
        Subpath::builder().volume("vol", &self.volume).pod_dir(&self.pod).container("app")
    }

    /// Where the request's sub path is bound.
    pub fn target(&self) -> PathBuf {
        self.pod.join("volume-subpaths/vol/app/0")
    }

    /// How many mounts lie on a path, by /proc/self/mountinfo.
    pub fn mounts_at(&self, path: &Path) -> usize {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
        let path = path.to_str().expect("a plain path");
        table.lines().filter(|line| line.split(' ').nth(4) == Some(path)).count()
    }

    /// Everything below the pod's directory.
    pub fn left_in_pod(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.pod)
            .expect("the pod's directory")
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // The mounts go with the namespace; the empty directory is all that is left.
        let _ = nix::mount::umount2(&self.root, nix::mount::MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.root);
    }
}

pub fn mount_tmpfs(path: &Path) {
    mount_new("tmpfs", path);
}

/// Tells no births, and knows no server.
pub fn mount_ramfs(path: &Path) {
    mount_new("ramfs", path);
}

fn mount_new(fs_type: &str, path: &Path) {
    let none: Option<&str> = None;
    nix::mount::mount(Some(fs_type), path, Some(fs_type), nix::mount::MsFlags::empty(), none)
        .expect("a new file system");
}

pub fn bind(source: &Path, target: &Path) {
    let none: Option<&str> = None;
    nix::mount::mount(Some(source), target, none, nix::mount::MsFlags::MS_BIND, none)
        .expect("a bind mount");
}

/// How many descriptors this process holds.
pub fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("/proc/self/fd").count()
}

/// Fails when this process goes on holding more than `before` descriptors. A thread that has given its
/// answer may be about to close its own.
#[track_caller]
pub fn expect_descriptors(before: usize) {
    let end = std::time::Instant::now() + patiently(Duration::from_secs(5));
    while open_descriptors() != before && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(open_descriptors(), before, "descriptors are held");
}

/// Does something while this process may open no more than `free` descriptors.
pub fn with_free_descriptors<T>(free: usize, call: impl FnOnce() -> T) -> T {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit");
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).expect("a lower limit");
    let mut held = Vec::new();
    while let Ok(file) = fs::File::open("/") {
        held.push(file);
    }
    held.truncate(held.len() - free);
    let outcome = call();
    drop(held);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the limit as it was");
    outcome
}

/// Does something while nothing is in /proc.
pub fn without_proc<T>(call: impl FnOnce() -> T) -> T {
    mount_tmpfs(Path::new("/proc"));
    let outcome = call();
    nix::mount::umount("/proc").expect("/proc as it was");
    outcome
}
