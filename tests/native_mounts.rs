//! The native mounter on real mounts: what it mounts is compared with what mount(8) of this machine mounts.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use common::{Layout, in_namespace_over, slowness};
use nix::sys::statvfs::{FsFlags, statvfs};
use subpath_mountinfo::internal::{Outcome, unmount_reporting, unmount_with_force_reporting};
use subpath_mountinfo::table::{Filter, MountRecord};
use subpath_mountinfo::{ErrorKind, Features, Mount, MountTable, mount_at, unmount};

/// The calls that the native mounter does without.
const BACKENDS: [&str; 4] =
    ["", "statmount", "fsopen,mount_setattr", "fsopen,mount_setattr,open_tree,statx_mount_root"];

/// Runs a shell script at a directory of its own.
fn sh(directory: &Path, script: &str) {
    assert!(succeeds(directory, script), "{script}");
}

fn succeeds(directory: &Path, script: &str) -> bool {
    let status = Command::new("sh").args(["-euc", script]).current_dir(directory).status();
    status.expect("sh").success()
}

/// Whether this is root of a user namespace of its own, where some file systems cannot be mounted.
fn is_rootless() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().nth(2) != Some("4294967295")
}

#[test]
fn each_mount_is_described_as_the_table_has_it() {
    const NAME: &str = "each_mount_is_described_as_the_table_has_it";
    in_namespace_over(&BACKENDS, NAME, |layout: &Layout| {
        sh(
            &layout.outside,
            r#"
            mkdir bound shared slave deep 'a b' gone deleted cover
            mount -t tmpfs -o size=1m,mode=750,nosuid,nodev,noexec,noatime 'my source' 'a b'
            mount --bind 'a b' bound; mount -o remount,bind,ro,nosymfollow bound 2>/dev/null || true
            mount -t tmpfs -o nr_inodes=100 'x#y\z' shared; mount --make-shared shared
            mount --bind shared slave; mount --make-slave slave; mount --make-shared slave
            mount -t tmpfs -o ro none deep; mount -t tmpfs over deep; mount --make-unbindable deep
            mount --bind gone deleted; rmdir gone
            touch file target; mount --bind file target
            mount -t tmpfs -o strictatime,sync,dirsync,nodiratime tmp cover
            "#,
        );
        let table = MountTable::current().unwrap();
        let mut compared = 0;
        for record in table.records().unwrap() {
            // Others lie below it, or it cannot be reached in a sandbox.
            let Ok(found) = mount_at(record.mount_point_path()) else { continue };
            if found.as_ref().map(|found| found.id) == Some(record.id) {
                assert_eq!(found.unwrap(), record);
                compared += 1;
            }
        }
        assert!(compared >= 8, "{compared} of {table:?}");
        assert_eq!(mount_at(layout.outside.join("file")).unwrap(), None);
        assert_eq!(mount_at(layout.outside.join("none")).unwrap_err().raw_os_error(), Some(2));
    });
}

/// A call, made by the native mounter and by mount(8) as mount-utils runs it, each in a directory of its own that
/// was laid out alike.
struct Case {
    /// A script that lays the directory out. There are the directories `source` and `target` and the file `file`
    /// already.
    before: &'static str,
    /// `{}` stands for the directory in these.
    source: &'static str,
    target: &'static str,
    fs_type: &'static str,
    options: &'static [&'static str],
    expected: Expected,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Expected {
    /// The native mounter does what mount(8) does.
    Alike,
    /// As `Alike`, but the words that mount(8) loses are kept.
    Keeps(&'static str),
    /// Both fail, with the same text, but for what the kernel adds.
    Fails,
    /// It is left to mount(8).
    Left,
}
use Expected::{Alike, Fails, Keeps, Left};

const fn case(
    before: &'static str,
    source: &'static str,
    fs_type: &'static str,
    options: &'static [&'static str],
    expected: Expected,
) -> Case {
    Case { before, source, target: "{}/target", fs_type, options, expected }
}

const TMPFS: &str = "mount -t tmpfs -o size=1m src source; mkdir source/sub; mount -t tmpfs -o nodev sub source/sub";

const CASES: &[Case] = &[
    case("", "tmpfs", "tmpfs", &[], Alike),
    case("", "none", "tmpfs", &["defaults"], Alike),
    case("", "my name", "tmpfs", &["size=1m", "mode=0750", "uid=1", "gid=2"], Alike),
    case("", "tmpfs", "tmpfs", &["size=50%,nr_inodes=100", "ro"], Alike),
    case("", "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec", "nosymfollow"], Alike),
    case("", "tmpfs", "tmpfs", &["noatime", "nodiratime"], Alike),
    case("", "tmpfs", "tmpfs", &["strictatime"], Alike),
    case("", "tmpfs", "tmpfs", &["noatime", "relatime"], Alike),
    case("", "tmpfs", "tmpfs", &["nodiratime"], Alike),
    case("", "tmpfs", "tmpfs", &["noatime", "atime"], Alike),
    case("", "tmpfs", "tmpfs", &["ro", "rw"], Alike),
    case("", "tmpfs", "tmpfs", &["noexec", "exec", "suid", "dev"], Alike),
    case("", "tmpfs", "tmpfs", &["sync", "dirsync", "lazytime", "mand"], Alike),
    case("", "tmpfs", "tmpfs", &["sync", "async", "nolazytime", "nomand"], Alike),
    case("", "tmpfs", "tmpfs", &["silent", "loud", "auto", "noauto", "nouser", "comment=x"], Alike),
    case("", "tmpfs", "tmpfs", &["context=\"system_u:object_r:tmp_t:s0:c1,c2\"", "size=1m"], Alike),
    case("", "tmpfs", "tmpfs", &["fscontext=a", "smackfsdef=b"], Alike),
    case("", "tmpfs", "tmpfs", &["", ",", "size=1m,,"], Alike),
    case("", "tmpfs", "tmpfs", &["shared"], Alike),
    case("", "tmpfs", "tmpfs", &["slave", "shared", "noexec"], Alike),
    case("", "tmpfs", "tmpfs", &["unbindable"], Alike),
    case("ln -s target link", "tmpfs", "tmpfs", &[], Alike),
    case("mount -t tmpfs under target", "tmpfs", "tmpfs", &[], Alike),
    case(
        "mount --make-shared target 2>/dev/null || mount -t tmpfs under target; mount --make-shared target",
        "tmpfs",
        "tmpfs",
        &[],
        Alike,
    ),
    case("", "ramfs", "ramfs", &["mode=700"], Alike),
    case("", "proc", "proc", &["nosuid", "hidepid=2"], Alike),
    case("", "mq", "mqueue", &[], Alike),
    case("", "devpts", "devpts", &["newinstance", "ptmxmode=0666", "mode=620", "gid=5"], Alike),
    case("", "bpf", "bpf", &["mode=0700"], Alike),
    case("", "huge", "hugetlbfs", &["pagesize=2M"], Alike),
    case(
        "mkdir u w",
        "overlay",
        "overlay",
        &["lowerdir={}/source", "upperdir={}/u", "workdir={}/w"],
        Alike,
    ),
    case("mkdir l2", "overlay", "overlay", &["lowerdir={}/source:{}/l2"], Alike),
    // Failures.
    case("", "tmpfs", "tmpfs", &["size=abc"], Fails),
    case("", "tmpfs", "tmpfs", &["nosuchoption"], Fails),
    case("", "tmpfs", "tmpfs", &["nosuchoption=1"], Fails),
    case("rmdir target", "tmpfs", "tmpfs", &[], Fails),
    case("rmdir target; ln -s nowhere target", "tmpfs", "tmpfs", &[], Fails),
    case("rmdir target; touch target", "tmpfs", "tmpfs", &[], Fails),
    case("rmdir target; touch file; ln -s file target", "tmpfs", "tmpfs", &[], Fails),
    case("", "ov", "overlay", &["lowerdir={}/none"], Fails),
    case("mount -t proc proc target", "proc", "proc", &[], Alike),
    case("mount -t mqueue mq target", "mq", "mqueue", &[], Fails),
    case("", "/nowhere", "", &["bind"], Fails),
    case("rmdir target; touch target", "{}/source", "", &["bind"], Fails),
    case("", "{}/file", "", &["bind"], Fails),
    case("", "{}/source", "", &["move"], Fails),
    case("", "none", "", &["shared"], Fails),
    case("", "tmpfs", "", &["remount", "ro"], Fails),
    case("", "", "", &["remount", "ro"], Fails),
    case(
        "mount -t tmpfs t target; mount --make-unbindable target; mkdir b",
        "{}/target",
        "",
        &["bind"],
        Fails,
    ),
    // Binds.
    case("", "{}/source", "", &["bind"], Alike),
    case("", "{}/source", "", &["bind", "ro"], Alike),
    case("", "{}/source", "", &["bind", "defaults", "rw"], Alike),
    case("", "{}/source", "", &["bind", "nosuid", "nodev", "noexec", "noatime"], Alike),
    case("", "{}/source", "", &["bind", "nosymfollow"], Alike),
    case("", "{}/source", "", &["bind", "strictatime"], Alike),
    case("", "{}/source", "", &["bind", "nodiratime"], Alike),
    case("", "{}/source", "", &["bind", "sync", "size=1m", "no_such_option", "x=y"], Alike),
    case("", "{}/source", "nosuchfs", &["bind", "remount", "ro"], Alike),
    case("", "{}/source", "", &["bind", "shared"], Alike),
    case("", "{}/source", "", &["bind", "rslave", "ro"], Alike),
    case("", "{}/source", "", &["bind", "rshared"], Alike),
    case("", "{}/source", "", &["bind", "private"], Alike),
    case("", "{}/source", "", &["bind", "unbindable"], Alike),
    case(TMPFS, "{}/source", "", &["bind"], Alike),
    case(TMPFS, "{}/source", "", &["bind", "ro"], Alike),
    case(TMPFS, "{}/source/sub", "", &["bind", "rw", "exec", "dev"], Alike),
    case(
        "mount -t tmpfs -o ro,nosuid,nodev,noexec,noatime,nodiratime s source",
        "{}/source",
        "",
        &["bind", "rw", "suid", "exec", "dev"],
        Alike,
    ),
    case("mount -t tmpfs -o strictatime s source", "{}/source", "", &["bind"], Alike),
    case("mount -t tmpfs -o strictatime s source", "{}/source", "", &["bind", "nodiratime"], Alike),
    case("mount -t tmpfs -o noatime s source", "{}/source", "", &["bind", "strictatime"], Alike),
    case("mount -t tmpfs -o noatime s source", "{}/source", "", &["bind", "relatime", "ro"], Alike),
    case(
        "mount -t tmpfs -o ro s source; mount -o remount,bind,rw source",
        "{}/source",
        "",
        &["bind"],
        Alike,
    ),
    case(
        "mount -t tmpfs -o nosymfollow s source",
        "{}/source",
        "",
        &["bind"],
        Keeps("nosymfollow"),
    ),
    case(
        "touch target/f; mount --bind target target; touch f; mount --bind f target/f; ln -s target/f link",
        "{}/file",
        "",
        &["bind", "ro"],
        Fails,
    ),
    case("mount -t tmpfs s source; mount --make-shared source", "{}/source", "", &["bind"], Alike),
    case(
        "mount -t tmpfs s source; mount --make-shared source",
        "{}/source",
        "",
        &["bind", "private"],
        Alike,
    ),
    case(
        "mount -t tmpfs s source; mount --make-shared source",
        "{}/source",
        "",
        &["bind", "slave", "shared"],
        Alike,
    ),
    case("mount -t tmpfs s source; ln -s source link", "{}/link", "", &["bind", "ro"], Alike),
    case(TMPFS, "{}/source", "", &["rbind"], Alike),
    case(TMPFS, "{}/source", "", &["rbind", "ro"], Alike),
    case(TMPFS, "{}/source", "", &["rbind", "rslave"], Alike),
    case(TMPFS, "{}/source", "", &["rbind,rprivate"], Alike),
    case(
        "mount -t tmpfs -o nosuid,noexec s source",
        "{}/source",
        "",
        &["rbind", "ro"],
        Keeps("nosuid,noexec"),
    ),
    case("mount -t tmpfs -o nosuid s source", "{}/source", "", &["rbind"], Alike),
    case("mount -t tmpfs -o nosuid s source", "{}/source", "", &["rbind", "rw"], Alike),
    case(TMPFS, "{}/source", "", &["bind,ro"], Alike),
    case("mount -t tmpfs -o noexec s source", "{}/source", "", &["bind,ro"], Keeps("noexec")),
    // Remounts.
    case("mount -t tmpfs -o size=1m t target", "", "", &["remount", "ro"], Alike),
    case("mount -t tmpfs -o size=1m,ro t target", "", "", &["remount", "rw"], Alike),
    case("mount -t tmpfs -o size=1m t target", "", "", &["remount", "size=2m"], Alike),
    case(
        "mount -t tmpfs -o size=1m,nosuid t target",
        "",
        "",
        &["remount", "size=2m", "noexec"],
        Alike,
    ),
    case("mount -t tmpfs -o size=1m,nosuid t target", "", "", &["remount", "suid"], Alike),
    case("mount -t tmpfs t target", "", "", &["remount", "noatime"], Alike),
    case("mount -t tmpfs -o noatime t target", "", "", &["remount", "relatime"], Alike),
    case("mount -t tmpfs -o noatime t target", "", "", &["remount", "atime"], Alike),
    case("mount -t tmpfs -o strictatime t target", "", "", &["remount", "nosuid"], Alike),
    case("mount -t tmpfs -o strictatime t target", "", "", &["remount", "nodiratime"], Alike),
    case("mount -t tmpfs -o relatime t target", "", "", &["remount", "strictatime"], Alike),
    case("mount -t tmpfs t target", "", "", &["remount", "sync", "lazytime"], Alike),
    case("mount -t tmpfs -o sync t target", "", "", &["remount", "async"], Alike),
    case("mount -t tmpfs t target", "", "", &["remount", "nosymfollow"], Alike),
    case("mount -t tmpfs t target", "", "", &["remount", "shared"], Alike),
    case("mount -t tmpfs t target", "t", "tmpfs", &["remount", "ro", "nosuid"], Alike),
    case("mount -t tmpfs -o nosuid t target", "t", "", &["remount", "noexec"], Keeps("nosuid")),
    case("mount -t tmpfs t target", "", "", &["remount", "defaults"], Alike),
    case("mount -t tmpfs t target", "", "", &["remount,bind,ro"], Alike),
    case("mount -t tmpfs t target", "", "", &["remount", "size=abc"], Fails),
    case("mount -t tmpfs t target", "", "", &["remount", "nosuch=abc"], Fails),
    case("mount --bind source target", "", "", &["remount,bind,noexec"], Alike),
    // Propagation and moves.
    case("mount -t tmpfs t target", "none", "", &["shared"], Alike),
    case("mount -t tmpfs t target", "none", "", &["rshared"], Alike),
    case("mount -t tmpfs t target", "none", "none", &["slave", "shared"], Alike),
    case("mount -t tmpfs t target; mount --make-shared target", "none", "", &["private"], Alike),
    case("mount -t tmpfs t target", "none", "", &["unbindable"], Alike),
    case(TMPFS, "{}/source", "", &["move"], Alike),
    case(TMPFS, "{}/source", "", &["move", "ro"], Alike),
    // Left to mount(8).
    case("", "", "tmpfs", &[], Left),
    case("", "tmpfs", "tmpfs", &["x-foo=1"], Left),
    case("", "tmpfs", "tmpfs", &["user"], Left),
    case("", "tmpfs", "tmpfs", &["nofail", "size=1m"], Left),
    case("", "tmpfs", "tmpfs", &["uid=root"], Left),
    case("", "tmpfs", "tmpfs", &["size=\"1m\""], Left),
    case("", "tmpfs", "tmpfs", &[" ro"], Left),
    case("", "{}/source", "", &["bind", "_netdev"], Left),
    case("", "tmpfs", "tmpfs,ramfs", &[], Left),
    case("", "LABEL=x", "ext4", &[], Left),
    case("", "{}/file", "ext4", &[], Left),
    case("", "tmpfs", "nosuchfs", &[], Left),
    case("", "tmpfs", "tmpfs", &["ro=recursive"], Left),
    case("mount -t devpts -o newinstance d target", "", "", &["remount", "mode=600"], Left),
];

impl Case {
    /// The directory for one of the two, laid out. `None` if this user may not.
    fn directory(&self, layout: &Layout, index: usize, who: &str) -> Option<PathBuf> {
        let directory = layout.outside.join(format!("{index}-{who}"));
        std::fs::create_dir(&directory).unwrap();
        let script = format!("mkdir source target; touch file; {}", self.before);
        let is_done = succeeds(&directory, &script);
        assert!(is_done || is_rootless(), "{script}");
        is_done.then_some(directory)
    }

    fn filled(text: &str, directory: &Path) -> String {
        text.replace("{}", directory.to_str().unwrap())
    }

    fn natively(&self, directory: &Path) -> Outcome {
        let fill = |text: &str| Case::filled(text, directory);
        let options = self.options.iter().map(|option| fill(option));
        Mount::new(fill(self.source), fill(self.target))
            .fs_type(self.fs_type)
            .options(options)
            .perform()
    }

    /// Runs mount(8) as mount-utils does, and returns what it prints if it fails.
    fn by_program(&self, directory: &Path) -> Result<(), String> {
        let fill = |text: &str| Case::filled(text, directory);
        let (source, target) = (fill(self.source), fill(self.target));
        let options: Vec<String> = self.options.iter().map(|option| fill(option)).collect();
        let run = |options: &[String]| {
            let mut command = Command::new("mount");
            if !self.fs_type.is_empty() {
                command.args(["-t", self.fs_type]);
            }
            if !options.is_empty() {
                command.arg("-o").arg(options.join(","));
            }
            if !source.is_empty() {
                command.arg(&source);
            }
            let output = command.arg(&target).env("LC_ALL", "C").output().unwrap();
            match output.status.success() {
                true => Ok(()),
                false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            }
        };
        if !options.iter().any(|option| option == "bind") {
            return run(&options);
        }
        run(&["bind".to_owned()])?;
        let mut again = vec!["bind".to_owned(), "remount".to_owned()];
        again
            .extend(options.into_iter().filter(|option| !["bind", "remount"].contains(&&**option)));
        let flags = statvfs(&*source).unwrap().flags();
        for (flag, word) in [
            (FsFlags::ST_RDONLY, "ro"),
            (FsFlags::ST_NODEV, "nodev"),
            (FsFlags::ST_NOEXEC, "noexec"),
            (FsFlags::ST_NOSUID, "nosuid"),
            (FsFlags::ST_NOATIME, "noatime"),
            (FsFlags::ST_NODIRATIME, "nodiratime"),
        ] {
            if flags.contains(flag) {
                again.push(word.to_owned());
            }
        }
        run(&again)
    }

    fn check(&self, layout: &Layout, index: usize) {
        let shown = format!("{index}: {} {} {:?}", self.source, self.fs_type, self.options);
        let (Some(ours), Some(theirs)) =
            (self.directory(layout, index, "ours"), self.directory(layout, index, "them"))
        else {
            return;
        };
        let before = mounts_below(&ours);
        let outcome = self.natively(&ours);
        if self.expected == Left {
            assert!(matches!(outcome, Outcome::NotUnderstood(_)), "{shown}: {outcome:?}");
            assert_eq!(mounts_below(&ours), before, "{shown}");
            return;
        }
        if self.options.contains(&"remount")
            && !Features::get().fsopen
            && matches!(outcome, Outcome::NotUnderstood(_))
        {
            // Options of a file system are changed by fspick(2) or not at all.
            assert_eq!(mounts_below(&ours), before, "{shown}");
            return;
        }
        let answer = self.by_program(&theirs);
        match (&outcome, &answer) {
            (Outcome::Done, Ok(())) => {}
            (Outcome::Failed(failure), Err(printed)) => {
                let (said, printed) = (alike(&failure.output), alike(printed.as_bytes()));
                let printed = printed.trim_end();
                assert!(said.starts_with(printed), "{shown}:\n{said}\n{printed}");
                assert_eq!(mounts_below(&ours), before, "{shown}");
            }
            // It then could not write /run/mount/utab, which is another user's.
            (Outcome::Done, Err(printed)) if printed.contains("filesystem was mounted, but") => {}
            // mount(8) adds uid=65534 of the mount table, which a user namespace does not map.
            (Outcome::Done, Err(_)) if is_rootless() && self.options.contains(&"remount") => return,
            _ => panic!("{shown}: {outcome:?}, but mount(8): {answer:?}"),
        }
        if !is_rootless() {
            assert_eq!(self.expected == Fails, answer.is_err(), "{shown}: {answer:?}");
        }
        let lost = if let Keeps(words) = self.expected { words } else { "" };
        assert_eq!(mounts_below(&ours), with_words(mounts_below(&theirs), lost), "{shown}");
    }
}

/// A text in which what differs between the two is alike: the directory's name, and the number of a loop device.
fn alike(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text).replace("-ours", "-them");
    let mut parts = text.split("/dev/loop");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + "/dev/loop" + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

/// The mounts below a directory, with what two of the same kind have alike.
fn mounts_below(directory: &Path) -> Vec<(String, [String; 7])> {
    let text = alike;
    let mut groups = Vec::new();
    let mut group = |number: Option<u64>| match number {
        None => "no".to_owned(),
        Some(number) => match groups.iter().position(|&known| known == number) {
            Some(at) => at.to_string(),
            None => {
                groups.push(number);
                (groups.len() - 1).to_string()
            }
        },
    };
    let path = |path: &Path| text(path.as_os_str().as_encoded_bytes());
    let mut describe = |record: MountRecord| {
        let propagation = record.propagation;
        let fields = [
            path(&record.root),
            text(record.fs_type.as_encoded_bytes()),
            text(record.source.as_encoded_bytes()),
            text(record.super_options.as_bytes()),
            group(propagation.shared),
            group(propagation.master),
            propagation.unbindable.to_string(),
        ];
        (format!("{} {}", path(&record.mount_point), text(record.mount_options.as_bytes())), fields)
    };
    let table = MountTable::current().unwrap().matching(&Filter::under(directory)).unwrap();
    table.into_iter().map(&mut describe).collect()
}

/// Adds words to the options of the last mount, in the kernel's order.
fn with_words(mut mounts: Vec<(String, [String; 7])>, words: &str) -> Vec<(String, [String; 7])> {
    const ORDER: [&str; 8] =
        ["ro", "rw", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"];
    if let (false, Some((last, _))) = (words.is_empty(), mounts.last_mut()) {
        let (path, options) = last.rsplit_once(' ').unwrap();
        let mut all: Vec<&str> = options.split(',').chain(words.split(',')).collect();
        all.sort_by_key(|word| ORDER.iter().position(|known| known == word).unwrap_or(ORDER.len()));
        *last = format!("{path} {}", all.join(","));
    }
    mounts
}

#[test]
fn calls_do_what_mount_does() {
    in_namespace_over(
        &[BACKENDS[0], BACKENDS[2], BACKENDS[3]],
        "calls_do_what_mount_does",
        |layout: &Layout| {
            let failed = |(index, case): &(usize, &Case)| {
                std::panic::catch_unwind(|| case.check(layout, *index)).is_err()
            };
            assert_eq!(CASES.iter().enumerate().filter(failed).count(), 0);
        },
    );
}

/// Makes a file system on a loop device, which the link `dev` leads to.
macro_rules! device {
    ($losetup:literal, $more:literal) => {
        concat!(
            "truncate -s 8m img; mkfs.ext4 -q -J size=1 img; ln -s \"$(losetup ",
            $losetup,
            " --find --show img)\" dev; ",
            $more
        )
    };
}

const DEVICES: &[Case] = &[
    case(device!("", ""), "{}/dev", "ext4", &["defaults"], Alike),
    case(device!("", ""), "{}/dev", "ext4", &["ro", "noload"], Alike),
    case(device!("", ""), "{}/dev", "ext4", &["nosuid", "errors=remount-ro"], Alike),
    case(device!("", ""), "{}/dev", "ext3", &[], Fails),
    case(device!("", ""), "{}/dev", "xfs", &[], Fails),
    case(device!("", ""), "{}/dev", "ext4", &["nosuchoption"], Fails),
    case(device!("-r", ""), "{}/dev", "ext4", &[], Alike),
    case(device!("-r", ""), "{}/dev", "ext4", &["rw"], Alike),
    case(device!("", "mount -t ext4 dev source"), "{}/dev", "ext4", &[], Alike),
    case(device!("", "mount -t ext4 dev target"), "{}/dev", "ext4", &["ro"], Fails),
    case(device!("", "mount -t ext4 dev source"), "{}/dev", "ext4", &["ro"], Fails),
    case(device!("", "mount -t ext4 -o ro dev source"), "{}/dev", "ext4", &[], Alike),
    case(device!("", "mount -t ext4 -o ro dev target"), "{}/dev", "ext4", &["rw"], Fails),
    // Read-only, and with a journal that would have to be replayed.
    case(
        device!(
            "",
            "mount -t ext4 dev source; cp img copy; umount source; losetup -d \"$(readlink dev)\"
            ln -sf \"$(losetup -r --find --show copy)\" dev"
        ),
        "{}/dev",
        "ext4",
        &[],
        Fails,
    ),
    case(device!("", "mount -t ext4 dev target"), "{}/dev", "ext4", &["remount", "ro"], Alike),
    case(device!("", "mount -t ext4 dev target"), "", "", &["remount", "ro", "noatime"], Alike),
    case(device!("", "mount -t ext4 -o ro dev target"), "", "", &["remount", "rw"], Alike),
    case(device!("", "mount -t ext4 dev target"), "", "", &["remount", "data=journal"], Fails),
];

#[test]
fn block_devices_are_mounted_as_mount_does() {
    const NAME: &str = "block_devices_are_mounted_as_mount_does";
    in_namespace_over(&BACKENDS[..1], NAME, |layout: &Layout| {
        if let Err(why) = common::device::Device::new(&layout.root) {
            return common::not_run(format_args!("no loop device ({why})"), NAME);
        }
        let failed = |(index, case): &(usize, &Case)| {
            std::panic::catch_unwind(|| case.check(layout, *index)).is_err()
        };
        let failed = DEVICES.iter().enumerate().filter(failed).count();
        sh(
            &layout.outside,
            "for dev in */dev; do umount \"${dev%/dev}\"/source \"${dev%/dev}\"/target 2>/dev/null || true; losetup -d \"$(readlink \"$dev\")\"; done",
        );
        assert_eq!(failed, 0);
    });
}

/// What umount(8) and the native mounter do with a target, each in a directory of its own.
#[test]
fn unmounting_is_as_by_umount() {
    const CASES: [(&str, &str, bool); 19] = [
        ("mount -t tmpfs t target", "{}/target", true),
        ("mount -t tmpfs t target", "{}/target/", true),
        ("mount -t tmpfs t target; mount -t tmpfs u target", "{}/target", true),
        ("mount -t tmpfs t target; ln -s target link", "{}/link", true),
        ("touch f; mount --bind file f", "{}/f", true),
        ("touch f; mount --bind file f", "{}/f/", true),
        ("", "{}/target", true),
        ("ln -s target link", "{}/link", true),
        (
            "mount -t tmpfs t target; mkdir target/sub; mount -t tmpfs u target/sub",
            "{}/target",
            true,
        ),
        ("", "{}/nowhere", true),
        ("", "{}/file", true),
        ("", "{}/file/", true),
        ("ln -s file link", "{}/link", true),
        ("touch f; mount --bind file f; umount f", "{}/f", true),
        ("mkfifo fifo", "{}/fifo", false),
        ("mount -t tmpfs {}/file target", "{}/file", false),
        ("mount -t tmpfs /dev/loop77 target", "{}/file", false),
        ("mount -t tmpfs {}/source target", "{}/source", false),
        ("mount -t tmpfs named target", "named", false),
    ];
    in_namespace_over(&BACKENDS, "unmounting_is_as_by_umount", |layout: &Layout| {
        let cases = CASES.into_iter().flat_map(|case| [(case, false), (case, true)]);
        for (index, ((before, target, is_native), by_force)) in cases.enumerate() {
            let lay_out = |who: &str| {
                let directory = layout.outside.join(format!("{index}-{who}"));
                std::fs::create_dir(&directory).unwrap();
                sh(
                    &directory,
                    &format!(
                        "mkdir source target; touch file; {}",
                        Case::filled(before, &directory)
                    ),
                );
                let target = Case::filled(target, &directory);
                (directory, target)
            };
            let ((ours, target), (theirs, their_target)) = (lay_out("ours"), lay_out("them"));
            let mounted = mounts_below(&ours);
            let outcome = match by_force {
                true => unmount_with_force_reporting(target.as_bytes(), Duration::from_secs(60)),
                false => unmount_reporting(target.as_bytes()),
            };
            if !is_native {
                assert!(matches!(outcome, Outcome::NotUnderstood(_)), "{target}: {outcome:?}");
                continue;
            }
            let output =
                Command::new("umount").arg(&their_target).env("LC_ALL", "C").output().unwrap();
            let printed = String::from_utf8_lossy(&output.stderr).into_owned();
            match outcome {
                // mount-utils takes "not mounted" for success.
                Outcome::Done => {
                    let is_same = mounts_below(&ours) == mounted;
                    assert_eq!(printed.contains("not mounted"), is_same, "{target}: {printed}");
                }
                Outcome::Failed(failure) => {
                    let said = String::from_utf8_lossy(&failure.output).replace("-ours", "-them");
                    assert_eq!(said, printed, "{target}");
                }
                Outcome::NotUnderstood(why) => panic!("{target}: {why}"),
            }
            assert_eq!(mounts_below(&ours), mounts_below(&theirs), "{target}");
        }
    });
}

#[test]
fn errors_tell_what_failed_and_no_secrets() {
    in_namespace_over(
        &BACKENDS[..1],
        "errors_tell_what_failed_and_no_secrets",
        |layout: &Layout| {
            let at = layout.outside.join("target");
            std::fs::create_dir(&at).unwrap();
            let tmpfs = || Mount::new("tmpfs", &at).fs_type("tmpfs");

            let error = tmpfs().option("size=abc").mount().unwrap_err();
            assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::InvalidInput, Some(22)));
            assert_eq!(error.path(), Some(&*at));
            if Features::get().fsopen {
                assert!(error.to_string().contains("tmpfs: Bad value for 'size'"), "{error}");
            }

            let error = tmpfs().sensitive_option("password=hunter2").mount().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(22));
            for text in [
                error.to_string(),
                format!("{error:?}"),
                format!("{:?}", tmpfs().sensitive_option("hunter2")),
            ] {
                assert!(!text.contains("hunter2") && !text.contains("password"), "{text}");
            }

            let error = tmpfs().option("x-mount.mkdir").mount().unwrap_err();
            assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::NeedsMountProgram, None));

            tmpfs().mount().unwrap();
            let held = std::fs::File::open(&at).unwrap();
            assert_eq!(unmount(&at).unwrap_err().kind(), ErrorKind::Busy);
            drop(held);
            unmount(&at).unwrap();
            unmount(&at).unwrap();
        },
    );
}

/// A thread that exchanges entries of directories, and can be told to be still.
struct Exchanging {
    is_over: AtomicBool,
    is_wanted_still: AtomicBool,
    is_still: AtomicBool,
}

impl Exchanging {
    /// Calls `each` while another thread exchanges the entries of each pair.
    fn during(pairs: &[(PathBuf, PathBuf)], each: impl FnOnce(&Exchanging)) {
        let no = || AtomicBool::new(false);
        let shared = Exchanging { is_over: no(), is_wanted_still: no(), is_still: no() };
        std::thread::scope(|scope| {
            scope.spawn(|| shared.exchange(pairs));
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| each(&shared)));
            shared.is_over.store(true, SeqCst);
            outcome.unwrap_or_else(|why| std::panic::resume_unwind(why));
        });
    }

    fn exchange(&self, pairs: &[(PathBuf, PathBuf)]) {
        for (one, other) in pairs.iter().cycle() {
            let aside = one.with_extension("aside");
            // What is a mount point cannot be renamed, and what is behind a link is not there.
            for (from, to) in [(one, &aside), (other, one), (one, other), (&aside, one)] {
                let _ = std::fs::rename(from, to);
            }
            while self.is_wanted_still.load(SeqCst) && !self.is_over.load(SeqCst) {
                self.is_still.store(true, SeqCst);
                std::thread::yield_now();
            }
            self.is_still.store(false, SeqCst);
            if self.is_over.load(SeqCst) {
                return;
            }
        }
    }

    /// Does something while nothing is exchanged.
    fn paused(&self, call: impl FnOnce()) {
        self.is_wanted_still.store(true, SeqCst);
        while !self.is_still.load(SeqCst) {
            std::thread::yield_now();
        }
        call();
        self.is_wanted_still.store(false, SeqCst);
        while self.is_still.load(SeqCst) {
            std::thread::yield_now();
        }
    }
}

/// Whoever can rename a directory on the way to the source or to the target may lead a call elsewhere, as with
/// mount(8). But nothing else than the new mount is changed, the mount has its options, and a call that fails leaves
/// none.
#[test]
fn only_the_new_mount_is_changed_while_links_are_exchanged() {
    const NAME: &str = "only_the_new_mount_is_changed_while_links_are_exchanged";
    let turns = 1000 / slowness() as usize;
    in_namespace_over(&["", "fsopen,open_tree,mount_setattr"], NAME, |layout: &Layout| {
        sh(
            &layout.outside,
            "mkdir -p a/x/at s/x/at other/at
            mount -t tmpfs victim other/at
            ln -s ../other a/link; ln -s ../other s/link; ln -s ../../other/at a/x/link",
        );
        let at = |path: &str| layout.outside.join(path);
        let pairs = ["a/x a/link", "s/x s/link", "a/x/at a/x/link"].map(|pair| {
            let (one, other) = pair.split_once(' ').unwrap();
            (at(one), at(other))
        });
        let table =
            || MountTable::current().unwrap().matching(&Filter::under(&layout.root)).unwrap();
        let before = table();
        let mut done = 0;
        Exchanging::during(&pairs, |exchanging| {
            for turn in 0..turns {
                let mount = match turn % 4 {
                    0 => Mount::new(at("s/x/at"), at("a/x/at")).options(["bind", "ro"]),
                    1 => Mount::new(at("s/x/at"), at("a/x/at")).options(["bind,ro"]),
                    2 => {
                        Mount::new(at("s/x/at"), at("a/x/at")).options(["bind", "ro", "unbindable"])
                    }
                    _ => {
                        Mount::new("t", at("a/x/at")).fs_type("tmpfs").options(["ro", "unbindable"])
                    }
                };
                let outcome = mount.perform();
                exchanging.paused(|| {
                    let after = table();
                    let new: Vec<_> =
                        after.iter().filter(|mount| !before.contains(mount)).collect();
                    assert_eq!(after.len() - new.len(), before.len(), "{mount:?} changed {new:?}");
                    if outcome != Outcome::Done {
                        assert_eq!(new.len(), 0, "{mount:?} {outcome:?} left {new:?}");
                        return;
                    }
                    done += 1;
                    assert_eq!(new.len(), 1, "{mount:?} made {new:?}");
                    let options = &new[0].mount_options;
                    assert!(options.iter().any(|word| *word == *"ro"), "{mount:?} made {new:?}");
                    assert_eq!(new[0].propagation.unbindable, turn % 4 > 1, "{new:?}");
                    nix::mount::umount(new[0].mount_point_path()).unwrap();
                });
            }
        });
        assert!(done > turns / 20, "{done} of {turns} were mounted");
    });
}

#[test]
fn nothing_is_half_mounted_without_proc() {
    const NAME: &str = "nothing_is_half_mounted_without_proc";
    in_namespace_over(&BACKENDS, NAME, |layout: &Layout| {
        sh(&layout.outside, "mkdir source target");
        let (source, target) = (layout.outside.join("source"), layout.outside.join("target"));
        let mounts = || mounts_below(&layout.outside);
        // They are found out while /proc is there.
        let features = Features::get();
        let binds = features.open_tree && features.mount_setattr;
        for (fs_type, options, is_done) in [
            ("tmpfs", &["ro"][..], features.fsopen),
            ("", &["bind", "ro"], binds),
            ("tmpfs", &["shared"], false),
            ("", &["bind", "private"], false),
            ("", &["rbind", "rslave", "ro"], false),
        ] {
            let call = Mount::new(&source, &target).fs_type(fs_type).options(options);
            let outcome = common::without_proc(|| call.perform());
            let shown = format!("{options:?} {outcome:?} {:?}", mounts());
            assert_eq!(outcome == Outcome::Done, is_done, "{shown}");
            assert_eq!(mounts().len(), usize::from(is_done), "{shown}");
            assert!(is_done || matches!(outcome, Outcome::NotUnderstood(_)), "{shown}");
            unmount(&target).unwrap();
        }
    });
}

/// Sensitive options that are wrong in many ways: one that is not UTF-8 or has no end could end up in a panic's
/// message, which quotes what it is about.
#[test]
fn sensitive_options_stay_out_of_errors_and_panics() {
    const ODD: [&[u8]; 22] = [
        b"hunter2",
        b"hunter2=",
        b"=hunter2",
        b"hunter2=\xff\xfe",
        b"\xff=hunter2\xff",
        b"size=hunter2",
        b"size=1m,hunter2=\"",
        b"mode=hunter2",
        b"uid=hunter2",
        b"gid=-hunter2",
        b"context=\"hunter2",
        b"context=hunter2\"",
        b"fscontext=\"a,hunter2\",size=x",
        b"ro=hunter2",
        b"comment=hunter2",
        b"x-hunter2=1",
        b"loop=hunter2",
        b"helper=hunter2",
        b"hunter2\0size=1m",
        b" hunter2\n",
        "lowerdir=ä\u{301}hunter2:,upperdir=hunter2".as_bytes(),
        b"bind,hunter2",
    ];
    let name = "sensitive_options_stay_out_of_errors_and_panics";
    in_namespace_over(&BACKENDS, name, |layout: &Layout| {
        let at = layout.outside.join("target");
        std::fs::create_dir(&at).unwrap();
        for option in ODD {
            for (fs_type, options) in
                [("tmpfs", &[][..]), ("overlay", &["ro"]), ("", &["bind"]), ("", &["remount"])]
            {
                let mount = Mount::new(&layout.outside, &at)
                    .fs_type(fs_type)
                    .options(options)
                    .sensitive_option(OsStr::from_bytes(option));
                let outcome = std::panic::catch_unwind(|| mount.mount());
                let shown = String::from_utf8_lossy(option);
                let Ok(outcome) = outcome else {
                    panic!("{shown:?} of {fs_type:?} makes it panic, which is printed above")
                };
                match outcome {
                    Ok(()) => unmount(&at).unwrap(),
                    Err(error) => {
                        let texts = format!(
                            "{error} {error:?} {}",
                            String::from_utf8_lossy(&error.original_text())
                        );
                        assert!(!texts.contains("hunter2"), "{shown:?} of {fs_type:?}: {texts}");
                    }
                }
            }
        }
    });
}

#[test]
fn a_bind_at_once_does_not_ask_the_file_system() {
    const NAME: &str = "a_bind_at_once_does_not_ask_the_file_system";
    common::with_fuse(&BACKENDS, NAME, |layout: &Layout| {
        sh(&layout.outside, "mkdir source target");
        let (source, target) = (layout.outside.join("source"), layout.outside.join("target"));
        let mut fuse = common::fuse::Fuse::mount(&source, "");
        fuse.die();
        for (option, words) in [
            ("rbind", "rw,nosuid,nodev,relatime"),
            ("bind,ro", "ro,nosuid,nodev,relatime"),
            ("rbind,noexec,noatime", "rw,nosuid,nodev,noexec,noatime"),
        ] {
            sh(&layout.outside, "mount --rbind source target; umount target");
            Mount::new(&source, &target).option(option).mount().unwrap();
            let made = MountTable::current().unwrap().matching(&Filter::under(&target)).unwrap();
            assert_eq!(made.len(), 1, "{option} {made:?}");
            assert_eq!(made[0].mount_options.as_bytes(), words.as_bytes(), "{option}");
            nix::mount::umount(&target).unwrap();
        }
    });
}
