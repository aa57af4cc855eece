//! What the native mounter understands of random options is what this machine's libmount makes of them.
//!
//! Needs a C compiler and libmount.so.1, which mount(8) is linked with; where one is missing, the test says so.

#![allow(clippy::panic, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../go_oracle/random.rs"]
mod random;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use random::Random;
use subpath_mountinfo::internal::option_flags;

const STRINGS: usize = 120_000;

/// Parts of which options are made.
const PARTS: &[&str] = &[
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "sync",
    "async",
    "dirsync",
    "mand",
    "nomand",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "symfollow",
    "nosymfollow",
    "iversion",
    "noiversion",
    "silent",
    "loud",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "private",
    "rprivate",
    "unbindable",
    "runbindable",
    "bind",
    "rbind",
    "move",
    "remount",
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "nousers",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "_netdev",
    "comment=a b",
    "comment",
    "x-a=b",
    "X-a",
    "loop",
    "loop=/dev/loop0",
    "offset=1",
    "sizelimit=1",
    "encryption=a",
    "nofail",
    "uhelper=a",
    "helper=b",
    "verity.roothash=1",
    "size=1m",
    "mode=0755",
    "uid=1",
    "gid=0",
    "uid=root",
    "lowerdir=/a:/b",
    "data",
    "errors=remount-ro",
    "a=",
    "=",
    "=a",
    "a=b=c",
    "lowerdir+=/a",
    "key.sub=1",
    "ro=recursive",
    "nosuid=x",
    "rw ",
    " ro",
    "RO",
    "a\\,b",
    "a=\\",
    "\\",
    "a=\"b,c\"",
    "\"",
    "a=\"b",
    "\"a\"",
    "size=50%",
    "\u{e9}=\u{e9}",
    "a=\u{e9}",
    "subdir=x",
    "sub",
    "nosub",
];

/// Options, most of them separated by a comma.
fn options(random: &mut Random) -> String {
    let mut options = String::new();
    for _ in 0..=random.below(6) {
        options += *random.pick(PARTS);
        options += match random.below(24) {
            0 => "",
            1 => ",,",
            2 => "=",
            3 => "\"",
            4 => "\\,",
            _ => ",",
        };
    }
    options
}

/// Builds the program that asks libmount; `None` where that cannot be done.
fn oracle(directory: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/libmount/oracle.c");
    let program = directory.join("oracle");
    let built =
        Command::new("cc").arg(source).arg("-l:libmount.so.1").arg("-o").arg(&program).output();
    let why = match built {
        Ok(output) if output.status.success() => return Some(program),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let line =
        format!("not run, no program can be linked with libmount ({why}): {}\n", module_path!());
    // In one piece, and also while the test's output is kept back.
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

#[test]
fn what_is_understood_is_what_libmount_says() {
    let directory = std::env::temp_dir().join(format!("libmount-oracle-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let program = oracle(&directory);
    let mut random = Random::new(1);
    let strings: Vec<String> = (0..STRINGS).map(|_| options(&mut random)).collect();
    if let Some(program) = program {
        std::fs::write(directory.join("input"), strings.join("\n") + "\n").unwrap();
        let output = Command::new(program)
            .stdin(std::fs::File::open(directory.join("input")).unwrap())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let answers = String::from_utf8_lossy(&output.stdout).into_owned();
        let answers: Vec<&str> = answers.lines().collect();
        assert_eq!(answers.len(), strings.len());
        let understood =
            strings.iter().zip(answers).filter(|(string, answer)| agree(string, answer));
        let understood = understood.count();
        assert!(understood > STRINGS / 20, "only {understood} are understood");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// Compares, and reports whether the options are understood.
fn agree(string: &str, answer: &str) -> bool {
    const SILENT: u64 = 0x8000;
    let Some((flags, data)) = option_flags(string.as_bytes()) else { return false };
    let fields: Vec<&str> = answer.split('\t').collect();
    let &[libmounts, user, fs] = &fields[..] else { panic!("{string:?}: {answer}") };
    let libmounts: u64 = libmounts.parse().unwrap();
    assert_eq!(flags, libmounts & !SILENT, "{string:?}: {flags:x}, {libmounts:x}");
    assert_eq!(String::from_utf8_lossy(&data), fs, "{string:?}");
    assert_eq!(option_flags(&data), Some((0, data)), "{string:?}");
    for word in user.split(',').filter(|word| !word.is_empty()) {
        let name = word.split('=').next().unwrap();
        let dropped = ["defaults", "auto", "noauto", "nouser", "nofail", "comment"];
        assert!(dropped.contains(&name), "{string:?}: {word}");
    }
    true
}
