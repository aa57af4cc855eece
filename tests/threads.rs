//! Callers whose thread is not like the process's others: it has a descriptor table of its own, or wants
//! to change its namespaces afterwards.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, mpsc};

use common::{clean, in_namespace, kernel};
use nix::sched::{CloneFlags, unshare};
use subpath::{Profile, Subpather};
use subpath_mountinfo::{Mounter, Place, Source};

/// What `work` gives in a thread with a descriptor table of its own. Meanwhile the same numbers name
/// `other` in the table of the process.
fn with_own_table<T: Send>(other: &Path, work: impl FnOnce() -> T + Send) -> T {
    let (split, is_split) = mpsc::channel();
    let (filled, is_filled) = mpsc::channel();
    std::thread::scope(|scope| {
        let apart = scope.spawn(move || {
            unshare(CloneFlags::CLONE_FILES).unwrap();
            split.send(()).unwrap();
            is_filled.recv().unwrap();
            work()
        });
        is_split.recv().unwrap();
        let _held: Vec<fs::File> = (0..50).map(|_| fs::File::open(other).unwrap()).collect();
        filled.send(()).unwrap();
        apart.join().unwrap()
    })
}

#[test]
fn a_thread_with_descriptors_of_its_own_touches_nothing_of_anothers() {
    in_namespace("a_thread_with_descriptors_of_its_own_touches_nothing_of_anothers", |layout| {
        for name in ["mine", "others"] {
            fs::create_dir(layout.volume.join(name)).unwrap();
        }
        let others_pod = layout.outside.join("pod");
        fs::create_dir(&others_pod).unwrap();
        let others = layout.builder().pod_dir(&others_pod).sub_path("others").build().unwrap();
        let bound = kernel(Profile::V129).prepare_safe_subpath(&others).unwrap();
        with_own_table(bound.parent().unwrap(), || {
            let mine = layout.request("mine");
            for _ in 0..2 {
                kernel(Profile::V129).prepare_safe_subpath(&mine).unwrap();
                assert_eq!(layout.mounts_at(&layout.target()), 1);
                assert_eq!(layout.mounts_at(&bound), 1);
            }
            clean(layout).unwrap();
        });
        assert_eq!(layout.mounts_at(&bound), 1, "another pod's sub path was unmounted");
        assert_eq!(layout.mounts_at(&layout.target()), 0);
        assert!(layout.left_in_pod().is_empty());
    });
}

/// A mounter that knows only paths, and that reaches the source as mount(8) does, from another process.
/// It notes the path of the source and where that leads.
#[derive(Default)]
struct Elsewhere(Mutex<Option<(String, PathBuf)>>);

impl Mounter for Elsewhere {
    fn is_mount_point(&self, _: Place<'_>) -> subpath::Result<bool> {
        Ok(false)
    }
    fn bind(&self, source: Source<'_>, _: Place<'_>) -> subpath::Result<()> {
        let path = source.proc_path()?.into_os_string().into_string().unwrap();
        let read = Command::new("readlink").arg(&path).output().unwrap();
        let leads_to = String::from_utf8(read.stdout).unwrap().trim_end().into();
        *self.0.lock().unwrap() = Some((path, leads_to));
        Ok(())
    }
    fn unmount(&self, _: Place<'_>) -> subpath::Result<()> {
        Ok(())
    }
    fn unmount_lazily(&self, _: Place<'_>) -> subpath::Result<()> {
        Ok(())
    }
    fn list(&self) -> subpath::Result<Vec<subpath_mountinfo::MountPoint>> {
        Ok(Vec::new())
    }
}

#[test]
fn a_mounter_is_given_the_process_or_the_thread_whose_table_holds_the_source() {
    let name = "a_mounter_is_given_the_process_or_the_thread_whose_table_holds_the_source";
    in_namespace(name, |layout| {
        fs::create_dir(layout.volume.join("mine")).unwrap();
        let prepare = || {
            let (mounter, request) = (Elsewhere::default(), layout.request("mine"));
            Subpather::with_mounter(&mounter)
                .profile(Profile::V129)
                .prepare_safe_subpath(&request)
                .unwrap();
            let (path, leads_to) = mounter.0.into_inner().unwrap().unwrap();
            assert_eq!(leads_to, layout.volume.join("mine"), "{path}");
            (path, nix::unistd::gettid())
        };
        for _ in 0..20 {
            let (path, _) = std::thread::scope(|scope| scope.spawn(prepare).join().unwrap());
            assert!(path.starts_with(&format!("/proc/{}/fd/", std::process::id())), "{path}");
            let (path, thread) = with_own_table(&layout.outside, prepare);
            assert!(path.starts_with(&format!("/proc/{thread}/fd/")), "{path}, {thread}");
        }
    });
}

/// setns(2) into a mount namespace is refused to a thread that shares its root and working directory
/// with another, also with one that is just ending (fs/namespace.c, `mntns_install`).
#[test]
fn a_thread_that_has_cleaned_many_sub_paths_may_change_its_mount_namespace_at_once() {
    let name = "a_thread_that_has_cleaned_many_sub_paths_may_change_its_mount_namespace_at_once";
    in_namespace(name, |layout| {
        use nix::sched::{CloneFlags, setns, unshare};
        fs::create_dir(layout.volume.join("a")).unwrap();
        unshare(CloneFlags::CLONE_FS).unwrap();
        let here = fs::File::open("/proc/thread-self/ns/mnt").unwrap();
        for round in 0..50 {
            for volume_mount_index in 0..60 {
                let request = layout.builder().sub_path("a").volume_mount_index(volume_mount_index);
                let request = request.build().unwrap();
                kernel(Profile::V129).prepare_safe_subpath(&request).unwrap();
            }
            clean(layout).unwrap();
            setns(&here, CloneFlags::CLONE_NEWNS).unwrap_or_else(|errno| {
                panic!("round {round}: {errno}");
            });
        }
    });
}
