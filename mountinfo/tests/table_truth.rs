//! The table of real mounts against the truth: what the test itself mounted, on which mount the
//! kernel finds a path, what /proc/mounts tells of the same mounts. Stacked, moved, deleted and shared
//! mounts are in the fixtures, with what the kernel said of them: see table_fixtures.rs.
//!
//! Each test runs in a mount namespace of its own, for an ordinary user in a user namespace too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use subpath_mountinfo::MountPoint;
use subpath_mountinfo::table::{
    MountReader, MountRecord, MountTable, mount_refs, unescape_name, unescape_option, unescape_path,
};

const INSIDE: &str = "MOUNTINFO_TEST_NAMESPACE";

/// Runs `body` in a private mount namespace whose /mnt is an empty tmpfs, by running the test of
/// this name again in a child process.
fn in_namespace(name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        tmpfs(b"/mnt", b"scratch");
        return body();
    }
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--propagation", "private", "--"]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
    let output = command.output().expect("unshare(1) of util-linux, which these tests need");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("1 passed"), "{}\n{text}", output.status);
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Mounts a tmpfs, on a directory that is made for it where it is missing.
fn tmpfs(target: &[u8], source: &[u8]) {
    fs::create_dir_all(path(target)).unwrap();
    mount(Some(path(source)), path(target), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
}

/// Binds a directory on another, which is made for it.
fn bind(source: &[u8], target: &[u8]) {
    fs::create_dir_all(path(target)).unwrap();
    mount(Some(path(source)), path(target), None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
}

/// The mount on which the kernel finds a path.
fn kernel_mount_id(at: &[u8]) -> u64 {
    use rustix::fs::OFlags;
    // Not by the standard library, which drops O_PATH from a file's flags with musl.
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path(at), flags, rustix::fs::Mode::empty()).unwrap();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).unwrap();
    line.trim().parse().unwrap()
}

/// Names of each byte that a name can hold, and others that mislead a parser.
fn names() -> Vec<Vec<u8>> {
    let bytes = (1..=255).filter(|&byte| byte != b'/');
    let mut names: Vec<Vec<u8>> = bytes.clone().map(|byte| vec![b'n', byte]).collect();
    names.push(bytes.collect());
    for name in [
        &b" both ends "[..],
        b"\\040",
        b"\\134040",
        b"- tmpfs none rw",
        b"x (deleted)",
        b"...",
        b"a,b=\"c,d\"",
        "grün 日本".as_bytes(),
        b"cut off \xe6\x97",
    ] {
        names.push(name.to_vec());
    }
    names
}

/// The check for one path that has one mount of this source on it.
fn assert_mounted(table: &MountTable, at: &[u8], source: &[u8]) -> MountRecord {
    let what = at.escape_ascii();
    let mount =
        table.top(path(at)).unwrap().unwrap_or_else(|| panic!("{what} is not in the table"));
    assert_eq!(mount.mount_point.as_os_str().as_bytes(), at, "{what}");
    assert_eq!(mount.source.as_bytes(), source, "{what}");
    assert_eq!(mount.id, kernel_mount_id(at), "{what}");
    assert_eq!(table.at(path(at)).unwrap(), std::slice::from_ref(&mount), "{what}");
    assert_eq!(table.by_id(mount.id).unwrap().as_ref(), Some(&mount), "{what}");
    mount
}

#[test]
fn every_name_is_found_as_it_was_mounted() {
    in_namespace("every_name_is_found_as_it_was_mounted", || {
        let names = names();
        let before = MountTable::current().unwrap().under("/mnt").unwrap().len();
        for name in &names {
            tmpfs(&[b"/mnt/", &name[..]].concat(), name);
            fs::create_dir(path(&[b"/mnt/", &name[..], b"/below"].concat())).unwrap();
        }
        let table = MountTable::current().unwrap();
        let scratch = table.top("/mnt").unwrap().unwrap();
        for name in &names {
            let at = [b"/mnt/", &name[..]].concat();
            let mount = assert_mounted(&table, &at, name);
            assert_eq!(mount.fs_type, "tmpfs");
            assert_eq!(table.parent(&mount).unwrap().as_ref(), Some(&scratch));
            let below = [&at[..], b"/below"].concat();
            assert_eq!(table.covering(path(&below)).unwrap().unwrap().id, mount.id);
            assert_eq!(table.top(path(&below)).unwrap(), None, "{}", below.escape_ascii());
        }
        let children = table.children(&scratch).unwrap().into_iter();
        let found: BTreeSet<Vec<u8>> = children.map(|mount| mount.source.into_vec()).collect();
        assert_eq!(found, names.iter().cloned().collect());
        assert_eq!(table.under("/mnt").unwrap().len(), before + names.len());

        // A bind mount's root is such a name too.
        for (number, name) in names.iter().enumerate() {
            let source = [b"/mnt/names/", &name[..]].concat();
            fs::create_dir_all(path(&source)).unwrap();
            bind(&source, format!("/mnt/bound/{number}").as_bytes());
        }
        let table = MountTable::current().unwrap();
        for (number, name) in names.iter().enumerate() {
            let (source, target) =
                ([b"/mnt/names/", &name[..]].concat(), format!("/mnt/bound/{number}"));
            let mount = table.top(&target).unwrap().unwrap();
            assert_eq!(mount.root.as_os_str().as_bytes(), [b"/names/", &name[..]].concat());
            assert_eq!(table.search_mount_points(path(&source)).unwrap(), [Path::new(&target)]);
            assert_eq!(table.mounts_of(mount.device, &mount.root).unwrap(), [mount]);
        }
    });
}

#[test]
fn mount_refs_follow_links_and_find_nothing_for_what_is_not_there() {
    in_namespace("mount_refs_follow_links_and_find_nothing_for_what_is_not_there", || {
        tmpfs(b"/mnt/vol ume", b"vol");
        fs::create_dir(path(b"/mnt/vol ume/dir")).unwrap();
        bind(b"/mnt/vol ume/dir", b"/mnt/one");
        bind(b"/mnt/vol ume/dir", b"/mnt/t\xffwo");
        std::os::unix::fs::symlink("vol ume/dir", "/mnt/link").unwrap();
        for at in [&b"/mnt/vol ume/dir"[..], b"/mnt/link", b"/mnt//vol ume/./dir/"] {
            let found = mount_refs(path(at)).unwrap();
            assert_eq!(found, [path(b"/mnt/one"), path(b"/mnt/t\xffwo")], "{}", at.escape_ascii());
        }
        assert_eq!(mount_refs("/mnt/one").unwrap(), [path(b"/mnt/t\xffwo")]);
        assert_eq!(mount_refs("/mnt/vol ume").unwrap(), Vec::<PathBuf>::new());
        assert_eq!(mount_refs("/mnt/nothing").unwrap(), Vec::<PathBuf>::new());
        fs::write("/mnt/file", "").unwrap();
        let error = mount_refs("/mnt/file/below").unwrap_err().to_string();
        let wanted = "error checking path /mnt/file/below: stat /mnt/file/below: not a directory";
        assert_eq!(error, wanted);
    });
}

#[test]
fn a_process_a_thread_a_file_and_a_reader_give_the_same_table() {
    in_namespace("a_process_a_thread_a_file_and_a_reader_give_the_same_table", || {
        tmpfs(b"/mnt/sp ace", b"one");
        let here = MountTable::current().unwrap();
        let (pid, tid) = (std::process::id(), nix::unistd::gettid().as_raw().unsigned_abs());
        assert_eq!(MountTable::of_process(pid).unwrap().as_bytes(), here.as_bytes());
        assert_eq!(MountTable::of_thread(pid, tid).unwrap().as_bytes(), here.as_bytes());
        let file = File::open("/proc/self/mountinfo").unwrap();
        assert_eq!(MountTable::from_reader(file).unwrap().as_bytes(), here.as_bytes());
        let copy = Path::new("/mnt/copy");
        fs::write(copy, here.as_bytes()).unwrap();
        assert_eq!(MountTable::open(copy).unwrap().records(), here.records());
        let streamed: subpath_mountinfo::Result<Vec<_>> =
            MountReader::open("/proc/self/mountinfo").unwrap().collect();
        assert_eq!(streamed, here.records());

        // A thread has a table of its own once it has a namespace of its own.
        let other = std::thread::spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            tmpfs(b"/mnt/only here", b"two");
            let tid = nix::unistd::gettid().as_raw().unsigned_abs();
            let table = MountTable::current().unwrap();
            assert_eq!(
                MountTable::of_thread(std::process::id(), tid).unwrap().as_bytes(),
                table.as_bytes()
            );
            table
        });
        let other = other.join().unwrap();
        assert_eq!(other.at("/mnt/only here").unwrap().len(), 1);
        assert_eq!(MountTable::current().unwrap().as_bytes(), here.as_bytes());
    });
}

#[test]
fn a_file_that_is_not_there_is_an_error_that_says_so() {
    let error = MountTable::open("/proc/self/no such table").unwrap_err();
    assert_eq!(error.to_string(), "open /proc/self/no such table: no such file or directory");
    assert!(error.is_not_exist());
    assert!(MountReader::open("/proc/self/no such table").is_err());
    let error = MountTable::open("/proc/self").unwrap_err();
    assert_eq!(error.to_string(), "read /proc/self: is a directory");
    let error = MountTable::open("/proc/self/\0").unwrap_err();
    assert_eq!(error.to_string(), "open /proc/self/\0: invalid argument");
}

#[test]
fn proc_mounts_tells_the_same() {
    in_namespace("proc_mounts_tells_the_same", || {
        for name in names().iter().filter(|name| !name.contains(&b',')) {
            tmpfs(&[b"/mnt/", &name[..]].concat(), name);
        }
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
        let options = Some("size=1m,mode=700");
        mount(Some("x"), "/mnt/n ", Some("tmpfs"), flags, options).unwrap();
        bind(b"/mnt/n ", b"/mnt/ro");
        let remount = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | flags;
        mount(None::<&str>, "/mnt/ro", None::<&str>, remount, None::<&str>).unwrap();

        let told = fs::read("/proc/thread-self/mounts").unwrap();
        let listed: Vec<MountPoint> = MountTable::current()
            .unwrap()
            .records()
            .unwrap()
            .iter()
            .map(MountPoint::from)
            .collect();
        let lines = told.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let mut compared = 0;
        for (line, mount) in lines.zip(&listed) {
            let printed: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
            let decode = [unescape_name, unescape_path, unescape_name, unescape_option];
            let fields: Vec<Vec<u8>> =
                printed.iter().zip(decode).map(|(field, decode)| decode(field).into()).collect();
            let options = mount.options.join(OsStr::new(","));
            let ours = [&mount.device, mount.path.as_os_str(), &mount.fs_type, &options];
            let ours = ours.map(|field| field.as_encoded_bytes().to_vec());
            assert_eq!(fields, ours, "{}", line.escape_ascii());
            compared += 1;
        }
        assert!(compared == listed.len() && compared > 250, "{compared}");
    });
}

#[test]
fn a_table_that_changes_meanwhile_keeps_the_mounts_that_stay() {
    in_namespace("a_table_that_changes_meanwhile_keeps_the_mounts_that_stay", || {
        for number in 0..100 {
            tmpfs(format!("/mnt/stays/{number}").as_bytes(), b"stays");
        }
        fs::create_dir_all("/mnt/comes").unwrap();
        let changing = std::thread::spawn(|| {
            for _ in 0..300 {
                tmpfs(b"/mnt/comes", b"comes");
                umount2("/mnt/comes", MntFlags::MNT_DETACH).unwrap();
            }
        });
        let mut reads = 0;
        while !changing.is_finished() || reads == 0 {
            // On kernels before 5.8 the table may never rest; then it is an error, not a part.
            if let Ok(table) = MountTable::current() {
                assert_eq!(table.under("/mnt/stays").unwrap().len(), 100);
            }
            reads += 1;
        }
        changing.join().unwrap();
    });
}
