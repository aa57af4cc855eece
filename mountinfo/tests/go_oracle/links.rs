//! EvalSymlinks: both ways of the port against Go, over trees full of links.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use subpath_mountinfo::internal::go_path::{eval_symlinks, eval_symlinks_by_walk};

use crate::oracle::{Answer, Oracle};
use crate::random::{Random, cases};
use crate::scratch::Scratch;

const NAMES: &[&[u8]] = &[b"a", b"b", b"c", b"d", b"e", b"..f", b"\xff\n"];
/// How many questions one tree is asked.
const QUESTIONS: usize = 400;

/// Compares both ways with Go on one path.
fn check(go: &mut Oracle, path: &[u8]) -> Answer {
    let theirs = go.ask(b'e', &[path]);
    for (way, ours) in [
        ("openat2 first", Answer::from(eval_symlinks(path))),
        ("walk", Answer::from(eval_symlinks_by_walk(path))),
    ] {
        let path = path.escape_ascii();
        assert!(ours == theirs, "{path} ({way}):\n  Go:   {theirs:?}\n  Rust: {ours:?}");
    }
    theirs
}

/// A handful of elements, most of them names that a tree has.
fn elements(random: &mut Random, most: usize) -> Vec<u8> {
    let mut path = Vec::new();
    for n in 0..random.below(most + 1) {
        if n > 0 || random.one_in(12) {
            path.push(b'/');
        }
        match random.below(24) {
            0..=2 => path.extend(b".."),
            3 => path.push(b'.'),
            4 => path.push(b'/'),
            5 if random.one_in(20) => path.extend(b"a\0b"),
            5 if random.one_in(20) => path.extend([b'n'; 256]),
            _ => path.extend(*random.pick(NAMES)),
        }
    }
    if random.one_in(8) {
        path.push(b'/');
    }
    path
}

/// A path to ask for or to link to: into the tree from the root or from where it stands.
fn path_into(random: &mut Random, tree: &Path, most: usize) -> Vec<u8> {
    let inner = elements(random, most);
    let mut path = match random.below(16) {
        0..=6 => tree.as_os_str().as_bytes().to_vec(),
        7 => [b"/..", tree.as_os_str().as_bytes()].concat(),
        8 => b"/".to_vec(),
        9 => [&b"../../../../../../../../../.."[..], tree.as_os_str().as_bytes()].concat(),
        _ => return inner,
    };
    path.push(b'/');
    path.extend(inner);
    path
}

/// Fills a directory with directories, files and links of all sorts; returns the directories.
fn grow(random: &mut Random, tree: &Path) -> Vec<PathBuf> {
    let mut dirs = vec![tree.to_path_buf()];
    let spot = |random: &mut Random, dirs: &[PathBuf]| {
        random.pick(dirs).join(OsStr::from_bytes(random.pick::<&[u8]>(NAMES)))
    };
    for _ in 0..3 + random.below(8) {
        let dir = spot(random, &dirs);
        if fs::create_dir(&dir).is_ok() {
            dirs.push(dir);
        }
    }
    for _ in 0..random.below(4) {
        // What is in the way already may stay there.
        let _ = fs::File::create_new(spot(random, &dirs));
    }
    for _ in 0..4 + random.below(16) {
        let target = loop {
            let target = path_into(random, tree, 4);
            if !target.is_empty() && !target.contains(&0) {
                break target;
            }
        };
        let _ = symlink(OsStr::from_bytes(&target), spot(random, &dirs));
    }
    dirs
}

/// One test, for it changes the directory that the whole process is in.
#[test]
fn random_trees() {
    let mut go = Oracle::start();
    let mut random = Random::new(10);
    let (mut values, mut failures) = (0, 0);
    // A question takes some dozen system calls: a tenth of what lexical functions are asked.
    for _ in 0..cases().div_ceil(10 * QUESTIONS) {
        let scratch = Scratch::new();
        let dirs = grow(&mut random, scratch.path());
        let cwd = random.pick(&dirs);
        std::env::set_current_dir(cwd).unwrap();
        go.ask(b'C', &[cwd.as_os_str().as_bytes()]);
        for _ in 0..QUESTIONS {
            match check(&mut go, &path_into(&mut random, scratch.path(), 7)) {
                Answer::Value(_) => values += 1,
                _ => failures += 1,
            }
        }
    }
    assert!(values > 0 && failures > 0, "{values} paths led somewhere, {failures} failed");
}

#[test]
fn chains_end_at_255_links() {
    let mut go = Oracle::start();
    let scratch = Scratch::new();
    let link = |n: usize| scratch.path().join(format!("link{n}"));
    fs::create_dir_all(scratch.path().join("end/inner")).unwrap();
    symlink("end", link(1)).unwrap();
    for n in 2..=300 {
        let target = link(n - 1);
        // By turns relative and absolute.
        let target = if n % 2 == 0 { Path::new(target.file_name().unwrap()) } else { &target };
        symlink(target, link(n)).unwrap();
    }
    for n in [1, 2, 39, 40, 41, 254, 255, 256, 257, 300] {
        for tail in ["", "/", "/inner", "/inner/..", "/missing", "/.."] {
            let path = [link(n).as_os_str().as_bytes(), tail.as_bytes()].concat();
            let answer = check(&mut go, &path);
            let too_many = answer == Answer::Text(b"EvalSymlinks: too many links".to_vec());
            assert_eq!(too_many, n > 255, "{n} links{tail}: {answer:?}");
        }
    }
}

#[test]
fn loops_are_too_many_links() {
    let mut go = Oracle::start();
    let scratch = Scratch::new();
    symlink("self", scratch.path().join("self")).unwrap();
    symlink("there", scratch.path().join("here")).unwrap();
    symlink("./here/", scratch.path().join("there")).unwrap();
    symlink(".", scratch.path().join("dot")).unwrap();
    for (name, is_loop) in [("self", true), ("here", true), ("there/x", true), ("dot/dot", false)] {
        let answer = check(&mut go, scratch.path().join(name).as_os_str().as_bytes());
        let too_many = answer == Answer::Text(b"EvalSymlinks: too many links".to_vec());
        assert_eq!(too_many, is_loop, "{name}: {answer:?}");
    }
}

#[test]
fn what_is_no_directory_has_nothing_below() {
    let mut go = Oracle::start();
    let scratch = Scratch::new();
    fs::write(scratch.path().join("file"), b"").unwrap();
    symlink("file", scratch.path().join("link")).unwrap();
    symlink("file/", scratch.path().join("slash")).unwrap();
    for (name, is_error) in [
        ("file", false),
        ("file/", true),
        ("file//", true),
        ("file/.", true),
        ("file/..", true),
        ("file/x", true),
        ("link", false),
        ("link/", true),
        ("link/..", true),
        ("slash", true),
    ] {
        let path = [scratch.path().as_os_str().as_bytes(), b"/", name.as_bytes()].concat();
        let answer = check(&mut go, &path);
        let not_a_directory = Answer::Errno(rustix::io::Errno::NOTDIR.raw_os_error() as u32);
        assert_eq!(answer == not_a_directory, is_error, "{name}: {answer:?}");
    }
    check(&mut go, b"/dev/null");
    check(&mut go, b"/dev/null/");
    check(&mut go, b"/dev/null/x");
}

/// The kernel takes 4095 bytes, and Go hands it what it has resolved so far, not what it was given.
#[test]
fn long_paths() {
    let mut go = Oracle::start();
    let scratch = Scratch::new();
    let name = "n".repeat(250);
    let mut deep = scratch.path().to_path_buf();
    while deep.as_os_str().len() < 3600 {
        deep.push(&name);
    }
    fs::create_dir_all(&deep).unwrap();
    let short = scratch.path().join("short");
    symlink(&deep, &short).unwrap();
    let beyond = short.join(&name).join(&name).join(&name);
    fs::create_dir_all(&beyond).unwrap();
    check(&mut go, beyond.as_os_str().as_bytes());

    let mut seen = [false; 2];
    for len in 4090..4100 {
        // As many bytes as that once resolved, by a name that exists and one that does not.
        let rest = len - deep.as_os_str().len() - 1;
        let (first, second) = (rest / 2, rest - rest / 2 - 1);
        let tail = PathBuf::from("x".repeat(first)).join("y".repeat(second));
        fs::create_dir_all(short.join(&tail)).unwrap();
        for start in [&short, &deep] {
            let path = start.join(&tail).into_os_string().into_vec();
            for path in [path.clone(), [&path[..], b"/"].concat(), [&path[..], b"/z"].concat()] {
                let answer = check(&mut go, &path);
                seen[usize::from(matches!(answer, Answer::Value(_)))] = true;
            }
        }
    }
    assert_eq!(seen, [true, true], "some fail and some do not");
    // Long only as it is written.
    let mut padded = scratch.path().as_os_str().as_bytes().to_vec();
    padded.extend(b"/.".repeat(3000));
    assert!(matches!(check(&mut go, &padded), Answer::Value(_)));
    // A link and what follows it make a path longer than any the kernel would take at once.
    padded.extend(b"/short");
    padded.extend(b"/.".repeat(3000));
    assert!(matches!(check(&mut go, &padded), Answer::Value(_)));
}

#[test]
fn a_nul_is_an_invalid_argument() {
    let mut go = Oracle::start();
    for path in [&b"/\0"[..], b"/tmp/\0/x", b"\0", b"/missing/\0", b"/\0/.."] {
        check(&mut go, path);
    }
    assert_eq!(
        check(&mut go, b"/usr//a\0b/c"),
        Answer::Path { op: b"lstat".to_vec(), path: b"/usr/a\0b".to_vec(), errno: 22 }
    );
}

/// Links that lie in the root itself, which most systems have (/bin), lead from there.
#[test]
fn the_root_and_all_in_it() {
    let mut go = Oracle::start();
    for path in [&b"/"[..], b"//", b"/..", b"/./../.", b"", b".", b"..", b"../.."] {
        assert!(matches!(check(&mut go, path), Answer::Value(_)));
    }
    for entry in fs::read_dir("/").unwrap() {
        let path = entry.unwrap().path();
        check(&mut go, path.as_os_str().as_bytes());
        check(&mut go, &[path.as_os_str().as_bytes(), b"/."].concat());
    }
}

/// procfs' links say what is no path, and lead where their text does not.
#[test]
fn links_of_procfs() {
    let mut go = Oracle::start();
    let scratch = Scratch::new();
    let gone = scratch.path().join("gone");
    let file = fs::File::create(&gone).unwrap();
    fs::remove_file(&gone).unwrap();
    let (pipe, _other_end) = std::io::pipe().unwrap();
    let process = format!("/proc/{}", std::process::id());
    for path in [
        format!("{process}/root"),
        format!("{process}/root/proc"),
        format!("{process}/exe"),
        format!("{process}/exe/"),
        format!("{process}/fd/{}", file.as_raw_fd()),
        format!("{process}/fd/{}", pipe.as_raw_fd()),
        format!("{process}/fd/{}/x", pipe.as_raw_fd()),
        format!("{process}/ns/mnt"),
        format!("{process}/fd/1000000"),
    ] {
        check(&mut go, path.as_bytes());
    }
}

/// Directories that may not be searched, as a user whom they can stop.
#[test]
fn refusals() {
    const PROGRAM: &str = "GOSEM_PROGRAM";
    let scratch = Scratch::new();
    if rustix::process::geteuid().is_root() {
        return rerun_as_nobody("links::refusals", &scratch, PROGRAM);
    }
    let mut go = match std::env::var_os(PROGRAM) {
        Some(program) => Oracle::run(&mut Command::new(program)),
        None => Oracle::start(),
    };
    let dir = |name: &str| scratch.path().join(name);
    fs::create_dir_all(dir("open/shut/inner")).unwrap();
    symlink("open/shut", dir("link")).unwrap();
    symlink("open/shut/inner", dir("link_inside")).unwrap();
    let mut refused = 0;
    for mode in 0..8 {
        let set = |mode| {
            fs::set_permissions(dir("open/shut"), fs::Permissions::from_mode(mode)).unwrap();
        };
        set(mode << 6);
        for path in [
            "open/shut",
            "open/shut/",
            "open/shut/.",
            "open/shut/..",
            "open/shut/../shut",
            "open/shut/inner",
            "open/shut/inner/..",
            "open/shut/inner/../..",
            "open/shut/missing",
            "link",
            "link/",
            "link/inner",
            "link_inside",
            "link_inside/..",
        ] {
            let path = [scratch.path().as_os_str().as_bytes(), b"/", path.as_bytes()].concat();
            if let Answer::Path { errno: 13, .. } = check(&mut go, &path) {
                refused += 1;
            }
        }
        set(0o700);
    }
    assert!(refused > 0, "nothing was refused");
}

/// A mount whose server has died: an open with `O_PATH` succeeds there and only a look fails.
#[test]
fn a_dead_fuse_mount() {
    const INSIDE: &str = "GOSEM_MOUNT_NAMESPACE";
    if std::env::var_os(INSIDE).is_none() {
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            if let Err(e) = fs::File::options().read(true).write(true).open("/dev/fuse") {
                // Past the harness, which would keep it for itself.
                let _ = writeln!(
                    std::io::stderr(),
                    "NOT RUN links::a_dead_fuse_mount: this user may not open /dev/fuse: {e}"
                );
                return;
            }
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare.arg(std::env::current_exe().unwrap()).env(INSIDE, "1");
        return rerun("links::a_dead_fuse_mount", &mut unshare);
    }
    let mut go = Oracle::start();
    let scratch = Scratch::new();
    let path = scratch.path().as_os_str().as_bytes().to_vec();
    {
        let server = fs::File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("dead", scratch.path(), "fuse", flags, &*options).unwrap();
    }
    // ENOTCONN, or since Linux 7.3 ECONNREFUSED if the server ended before its first answer.
    let errno = fs::symlink_metadata(scratch.path()).unwrap_err().raw_os_error().unwrap() as u32;
    assert!([107, 111].contains(&errno), "{errno}");
    let refusal = |path: &[u8]| Answer::Path { op: b"lstat".into(), path: path.into(), errno };
    assert_eq!(check(&mut go, &path), refusal(&path));
    assert_eq!(check(&mut go, &[&path[..], b"/"].concat()), refusal(&path));
    assert_eq!(check(&mut go, &[&path[..], b"/x"].concat()), refusal(&path));
    rustix::mount::unmount(scratch.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
}

/// Runs one test of this program again as the user nobody, whose permissions root does not have.
fn rerun_as_nobody(test: &str, scratch: &Scratch, program_variable: &str) {
    const NOBODY: u32 = 65534;
    // Copies, for the build's own directory may be closed to other users. Made by cp: a program
    // written by this process cannot be run while a child forked meanwhile holds it open (ETXTBSY).
    let (this, program) = (scratch.path().join("test"), scratch.path().join("gosem"));
    for (from, to) in
        [(std::env::current_exe().unwrap().as_path(), &this), (crate::oracle::program(), &program)]
    {
        let copied = Command::new("cp").args([from, to]).status().unwrap();
        assert!(copied.success(), "cp {} {}: {copied}", from.display(), to.display());
    }
    let temporary = scratch.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    std::os::unix::fs::chown(&temporary, Some(NOBODY), Some(NOBODY)).unwrap();
    rerun(
        test,
        Command::new(&this)
            .env(program_variable, &program)
            .env("TMPDIR", &temporary)
            .current_dir(&temporary)
            .uid(NOBODY)
            .gid(NOBODY),
    );
}

/// Runs one test by a command that starts this program, and passes if it does.
fn rerun(test: &str, command: &mut Command) {
    let output = command
        .args(["--exact", test])
        .output()
        .unwrap_or_else(|e| panic!("{test}: cannot run {command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{test}: {command:?}: {}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
