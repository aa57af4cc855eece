//! Prepare and clean on the replayed mount table of a kubelet node: the directories are real, laid
//! out in a scratch directory, the mounts are those of testdata/mountinfo.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../mountinfo/tests/scratch/mod.rs"]
mod scratch;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use scratch::Scratch;
use subpath::{Profile, Subpath, Subpather};
use subpath_mountinfo::table::{MountRecord, MountTable};
use subpath_mountinfo::{Mounter, Place, ReplayMounter};

const PROFILES: [Profile; 2] = [Profile::V129, Profile::V137];

/// A node's root directory with one pod of the table in it. Goes away with the value.
struct Node {
    root: Scratch,
    mounter: ReplayMounter,
    /// The sub path mounts of the pod, as the table has them.
    sub_paths: Vec<MountRecord>,
    /// The mount of the pod's volume.
    volume: MountRecord,
    pod_dir: Vec<u8>,
    volume_name: Vec<u8>,
    container_name: Vec<u8>,
}

impl Node {
    fn new(fixture: &str) -> Self {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mountinfo");
        let table = MountTable::open(data.join(fixture).with_extension("mountinfo")).unwrap();
        let mounts = table.under("/var/lib/kubelet/pods").unwrap();
        // …/pods/UID/volume-subpaths/VOLUME/CONTAINER/INDEX
        let part = |mount: &MountRecord, at: usize| {
            let mount_point = mount.mount_point.as_os_str().as_bytes();
            mount_point.split(|&byte| byte == b'/').nth(at).unwrap_or_default().to_vec()
        };
        let first = mounts.iter().find(|mount| part(mount, 6) == b"volume-subpaths").unwrap();
        let pod = part(first, 5);
        let of_pod = |mount: &&MountRecord| part(mount, 5) == pod;
        let sub_paths: Vec<MountRecord> = mounts
            .iter()
            .filter(of_pod)
            .filter(|mount| part(mount, 6) == b"volume-subpaths")
            .cloned()
            .collect();
        let is_volume =
            |mount: &&MountRecord| part(mount, 6) == b"volumes" && mount.device == first.device;
        let volume = mounts.iter().filter(of_pod).find(is_volume).unwrap().clone();

        let root = Scratch::new();
        let at = root.path().as_os_str().as_bytes();
        let node = Node {
            mounter: ReplayMounter::rooted_at(root.path(), &table).unwrap(),
            pod_dir: [at, b"/var/lib/kubelet/pods/", &pod].concat(),
            volume_name: part(first, 7),
            container_name: part(first, 8),
            root,
            sub_paths,
            volume,
        };
        for mount in node.sub_paths.iter().chain([&node.volume]) {
            fs::create_dir_all(path(&node.here_of(mount))).unwrap();
        }
        node
    }

    /// The mount point of a mount of the table, below the root here.
    fn here_of(&self, mount: &MountRecord) -> Vec<u8> {
        let parts = [self.root.path().as_os_str(), mount.mount_point.as_os_str()];
        parts.map(OsStrExt::as_bytes).concat()
    }

    fn is_mount_point(&self, mount: &MountRecord) -> bool {
        self.mounter.is_mount_point(Place::at(path(&self.here_of(mount)))).unwrap()
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

#[test]
fn a_sub_path_prepared_on_a_node_is_a_bind_of_its_volume() {
    for (fixture, profile) in ["containerd-node", "crio-node"].into_iter().zip(PROFILES) {
        let node = Node::new(fixture);
        let volume = node.here_of(&node.volume);
        fs::create_dir_all(path(&volume).join("new data/sub")).unwrap();
        let request = Subpath::builder()
            .volume(path(&node.volume_name), path(&volume))
            .sub_path("new data/sub")
            .pod_dir(path(&node.pod_dir))
            .container(path(&node.container_name))
            .volume_mount_index(7)
            .build()
            .unwrap();
        let before = node.mounter.table().records().unwrap().len();
        let subpather = Subpather::with_mounter(&node.mounter).profile(profile);
        let target = subpather.prepare_safe_subpath(&request).unwrap();
        // Again: it is mounted, and stays as it is or is mounted anew.
        assert_eq!(subpather.prepare_safe_subpath(&request).unwrap(), target);

        let in_table = Path::new("/").join(target.strip_prefix(node.root.path()).unwrap());
        let table = node.mounter.table();
        let mount = table.top(in_table).unwrap().unwrap();
        assert_eq!(mount.device, node.volume.device, "{fixture}");
        assert_eq!(mount.root, node.volume.root.join("new data/sub"), "{fixture}");
        assert!(table.records().unwrap().len() > before);
    }
}

#[test]
fn cleaning_takes_the_sub_paths_of_the_volume_and_no_other_mount() {
    for (fixture, profile) in ["containerd-node", "crio-node"].into_iter().zip(PROFILES) {
        let node = Node::new(fixture);
        let before = node.mounter.table().records().unwrap();
        assert!(!node.sub_paths.is_empty());
        Subpather::with_mounter(&node.mounter)
            .profile(profile)
            .clean_sub_paths(path(&node.pod_dir), path(&node.volume_name))
            .unwrap();
        for mount in &node.sub_paths {
            assert!(!node.is_mount_point(mount), "{fixture}");
            assert!(!path(&node.here_of(mount)).exists(), "{fixture}");
        }
        assert!(node.is_mount_point(&node.volume), "{fixture}");
        assert!(path(&node.here_of(&node.volume)).exists(), "{fixture}");
        assert!(!path(&node.pod_dir).join("volume-subpaths").exists(), "{fixture}");
        let after = node.mounter.table().records().unwrap();
        let left: Vec<&MountRecord> =
            before.iter().filter(|mount| !node.sub_paths.contains(mount)).collect();
        assert_eq!(after.iter().collect::<Vec<_>>(), left, "{fixture}");
    }
}
