//! The table of real mounts against the truth: what the test itself mounted, on which mount the
//! kernel finds a path, what /proc/mounts and findmnt(8) tell of the same mounts.
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
use subpath_mountinfo::internal::go_path;
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

fn bind(source: &[u8], target: &[u8]) {
    if path(source).is_dir() {
        fs::create_dir_all(path(target)).unwrap();
    } else {
        File::create(path(target)).unwrap();
    }
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
fn sources_are_told_apart() {
    in_namespace("sources_are_told_apart", || {
        for (name, source) in
            [("empty", &b""[..]), ("none", b"none"), ("hash", b"#"), ("space", b" ")]
        {
            tmpfs(format!("/mnt/{name}").as_bytes(), source);
        }
        let table = MountTable::current().unwrap();
        assert_mounted(&table, b"/mnt/empty", b"");
        assert_mounted(&table, b"/mnt/none", b"none");
        assert_mounted(&table, b"/mnt/hash", b"#");
        assert_mounted(&table, b"/mnt/space", b" ");
        table.records().unwrap();
    });
}

#[test]
fn stacked_hidden_moved_and_deleted_mounts_are_where_the_kernel_finds_them() {
    in_namespace("stacked_hidden_moved_and_deleted_mounts_are_where_the_kernel_finds_them", || {
        for level in 0..3 {
            tmpfs(b"/mnt/stack", format!("level {level}").as_bytes());
        }
        tmpfs(b"/mnt/outer", b"outer");
        tmpfs(b"/mnt/outer/inner", b"hidden");
        tmpfs(b"/mnt/outer", b"cover");
        fs::create_dir(path(b"/mnt/outer/inner")).unwrap();
        tmpfs(b"/mnt/old", b"old");
        tmpfs(b"/mnt/new", b"new");
        fs::create_dir(path(b"/mnt/new/moved")).unwrap();
        let (from, to) = (path(b"/mnt/old"), path(b"/mnt/new/moved"));
        mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>).unwrap();
        fs::create_dir(path(b"/mnt/gone")).unwrap();
        fs::write(path(b"/mnt/file"), "").unwrap();
        bind(b"/mnt/gone", b"/mnt/of-gone");
        bind(b"/mnt/file", b"/mnt/of-file");
        fs::remove_dir(path(b"/mnt/gone")).unwrap();
        fs::create_dir(path(b"/mnt/gone")).unwrap();
        bind(b"/mnt/gone", b"/mnt/of-new");
        tmpfs(b"/mnt/self", b"self");
        fs::create_dir(path(b"/mnt/self/dir")).unwrap();
        bind(b"/mnt/self/dir", b"/mnt/self/dir");

        let table = MountTable::current().unwrap();
        for at in [
            &b"/"[..],
            b"/proc",
            b"/proc/self",
            b"/mnt",
            b"/mnt/stack",
            b"/mnt/outer",
            b"/mnt/outer/inner",
            b"/mnt/old",
            b"/mnt/new",
            b"/mnt/new/moved",
            b"/mnt/gone",
            b"/mnt/of-gone",
            b"/mnt/file",
            b"/mnt/of-file",
            b"/mnt/of-new",
            b"/mnt/self",
            b"/mnt/self/dir",
        ] {
            let (what, kernels) = (at.escape_ascii(), kernel_mount_id(at));
            assert_eq!(table.covering(path(at)).unwrap().unwrap().id, kernels, "{what}");
            let is_root = at == b"/" || kernels != kernel_mount_id(&go_path::dir(at));
            assert_eq!(table.top(path(at)).unwrap().is_some(), is_root, "{what}");
        }
        let sources = |at| table.at(path(at)).unwrap().into_iter().map(|mount| mount.source);
        assert_eq!(sources(b"/mnt/stack").collect::<Vec<_>>(), ["level 0", "level 1", "level 2"]);
        assert_eq!(sources(b"/mnt/outer/inner").collect::<Vec<_>>(), ["hidden"]);

        let gone = table.top("/mnt/of-gone").unwrap().unwrap();
        assert!(gone.is_deleted());
        assert_eq!(gone.root.as_os_str(), "/gone//deleted");
        assert_eq!(gone.root_path().as_os_str(), "/gone");
        assert!(!table.top("/mnt/of-new").unwrap().unwrap().is_deleted());
        assert_eq!(table.search_mount_points("/mnt/gone").unwrap(), [Path::new("/mnt/of-new")]);
    });
}

#[test]
fn what_lies_over_the_root_of_the_process_is_not_seen_from_it() {
    in_namespace("what_lies_over_the_root_of_the_process_is_not_seen_from_it", || {
        let before = kernel_mount_id(b"/");
        tmpfs(b"/", b"over");
        let table = MountTable::current().unwrap();
        assert_eq!(kernel_mount_id(b"/"), before);
        assert_eq!(table.top("/").unwrap().unwrap().id, before);
        assert_eq!(table.covering("/mnt").unwrap().unwrap().id, kernel_mount_id(b"/mnt"));
        assert_eq!(table.at("/").unwrap().len(), 2);
    });
}

#[test]
fn propagation_is_what_was_set() {
    in_namespace("propagation_is_what_was_set", || {
        let set = |at: &[u8], flag| {
            mount(None::<&str>, path(at), None::<&str>, flag, None::<&str>).unwrap();
        };
        let of =
            |at: &[u8]| MountTable::current().unwrap().top(path(at)).unwrap().unwrap().propagation;
        tmpfs(b"/mnt/shared", b"shared");
        assert_eq!(of(b"/mnt/shared"), Default::default());
        set(b"/mnt/shared", MsFlags::MS_SHARED);
        for at in [&b"/mnt/peer"[..], b"/mnt/slave", b"/mnt/both"] {
            bind(b"/mnt/shared", at);
        }
        set(b"/mnt/slave", MsFlags::MS_SLAVE);
        set(b"/mnt/both", MsFlags::MS_SLAVE);
        set(b"/mnt/both", MsFlags::MS_SHARED);
        tmpfs(b"/mnt/unbindable", b"unbindable");
        set(b"/mnt/unbindable", MsFlags::MS_UNBINDABLE);

        let group = of(b"/mnt/shared").shared;
        assert!(group.is_some());
        assert_eq!(of(b"/mnt/peer").shared, group);
        assert_eq!((of(b"/mnt/slave").shared, of(b"/mnt/slave").master), (None, group));
        let both = of(b"/mnt/both");
        assert!(both.shared.is_some() && both.shared != group && both.master == group, "{both:?}");
        assert!(of(b"/mnt/unbindable").unbindable);
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
fn findmnt_tells_the_same() {
    if Command::new("findmnt").arg("--version").output().is_err() {
        eprintln!("NOT RUN: findmnt_tells_the_same: there is no findmnt(8) on this machine");
        return;
    }
    in_namespace("findmnt_tells_the_same", || {
        for name in names() {
            tmpfs(&[b"/mnt/", &name[..]].concat(), &name);
        }
        fs::create_dir(path(b"/mnt/so urce")).unwrap();
        bind(b"/mnt/so urce", b"/mnt/bound");
        mount(None::<&str>, "/mnt/bound", None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
        fs::remove_dir(path(b"/mnt/so urce")).unwrap();

        let columns =
            "ID,PARENT,TARGET,SOURCE,FSTYPE,FSROOT,MAJ:MIN,VFS-OPTIONS,FS-OPTIONS,OPT-FIELDS";
        let findmnt = Command::new("findmnt")
            .args(["--json", "--list", "--nofsroot", "--kernel", "--output", columns])
            .output()
            .unwrap();
        // It writes bytes that are not UTF-8 into its JSON as they are.
        let json: serde_json::Value =
            serde_json::from_str(&String::from_utf8_lossy(&findmnt.stdout)).unwrap();
        let theirs = json["filesystems"].as_array().unwrap();
        let records = MountTable::current().unwrap().records().unwrap();
        assert_eq!(theirs.len(), records.len());
        for (theirs, ours) in theirs.iter().zip(&records) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let string = |key: &str| theirs[key].as_str().unwrap_or_default().to_owned();
            assert_eq!(theirs["id"], ours.id, "{theirs}");
            assert_eq!(theirs["parent"], ours.parent_id, "{theirs}");
            assert_eq!(string("source"), text(ours.source.as_bytes()), "{theirs}");
            assert_eq!(string("fstype"), text(ours.fs_type.as_bytes()), "{theirs}");
            assert_eq!(string("fsroot"), text(ours.root.as_os_str().as_bytes()), "{theirs}");
            assert_eq!(string("maj:min"), ours.device.to_string(), "{theirs}");
            assert_eq!(string("vfs-options"), text(ours.mount_options.as_bytes()), "{theirs}");
            assert_eq!(string("fs-options"), text(ours.super_options.as_bytes()), "{theirs}");
            assert_eq!(string("opt-fields"), text(ours.optional_fields.as_bytes()), "{theirs}");
            // libmount takes the mark of a deleted root off a name that is its own.
            let target = text(ours.mount_point.as_os_str().as_bytes());
            let without_mark = target.strip_suffix(" (deleted)").unwrap_or(&target);
            assert!([&target, without_mark].contains(&string("target").as_str()), "{theirs}");
        }
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
