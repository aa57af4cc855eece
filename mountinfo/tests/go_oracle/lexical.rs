//! What needs no file system: the lexical functions, `%q` and the errno texts.

use subpath_mountinfo::internal::{go_path, go_text};

use crate::oracle::{Answer, Oracle};
use crate::random::{Random, cases};

/// What paths are made of: mostly what clean has rules for.
fn path_pieces() -> Vec<&'static [u8]> {
    let text = "/ / / / / // . . ./ .. .. ../ /.. /. ... a a b a/ a/b link \0 é \n";
    text.split(' ').map(str::as_bytes).chain([&b" "[..], b"\xff"]).collect()
}

fn paths(seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let (mut random, pieces) = (Random::new(seed), path_pieces());
    (0..cases()).map(move |_| random.string(&pieces, 12))
}

/// Pairs that often share a beginning, or are one path written in two ways.
fn pairs(seed: u64) -> impl Iterator<Item = [Vec<u8>; 2]> {
    let (mut random, pieces) = (Random::new(seed), path_pieces());
    (0..cases()).map(move |_| {
        let shared = random.string(&pieces, 8);
        let mut pair = [0, 1].map(|_| {
            let mut path = if random.one_in(8) { Vec::new() } else { shared.clone() };
            path.extend(random.string(&pieces, 5));
            path
        });
        if random.one_in(4) {
            pair = pair.map(|path| go_path::clean(&path));
        }
        pair
    })
}

fn one<T: AsRef<[u8]>>(path: &T) -> Vec<&[u8]> {
    vec![path.as_ref()]
}

fn two(pair: &[Vec<u8>; 2]) -> Vec<&[u8]> {
    vec![&pair[0], &pair[1]]
}

#[test]
fn clean_is_gos() {
    Oracle::start()
        .compare("Clean", b'c', paths(1), one, |path| Answer::Value(go_path::clean(path)));
}

#[test]
fn dir_base_is_abs_and_split_are_gos() {
    let mut go = Oracle::start();
    go.compare("Dir", b'd', paths(2), one, |path| Answer::Value(go_path::dir(path)));
    go.compare("Base", b'b', paths(3), one, |path| Answer::Value(go_path::base(path).to_vec()));
    go.compare("IsAbs", b'a', paths(4), one, |path| go_path::is_abs(path).into());
    go.compare("Split", b's', paths(5), one, |path| {
        Answer::Value(go_path::split_segments(path).join(&b"\0/\0"[..]))
    });
}

#[test]
fn join_is_gos() {
    let (mut random, pieces) = (Random::new(6), path_pieces());
    let lists = (0..cases()).map(|_| {
        let count = random.below(5);
        (0..count).map(|_| random.string(&pieces, 4)).collect::<Vec<_>>()
    });
    let join =
        |list: &Vec<Vec<u8>>| go_path::join(&list.iter().map(|e| &e[..]).collect::<Vec<_>>());
    Oracle::start().compare(
        "Join",
        b'j',
        lists,
        |list| list.iter().map(Vec::as_slice).collect(),
        |list| Answer::Value(join(list)),
    );
}

#[test]
fn rel_is_gos() {
    Oracle::start()
        .compare("Rel", b'r', pairs(7), two, |[base, targ]| go_path::rel(base, targ).into());
}

#[test]
fn path_within_base_is_mount_utils() {
    Oracle::start().compare("PathWithinBase", b'w', pairs(8), two, |[full, base]| {
        go_path::path_within_base(full, base).into()
    });
}

#[test]
fn quote_is_gos() {
    // Only code points whose nature no Unicode version changes; the test below takes the others.
    // Bytes that stand alone, and sequences of more than one: of valid UTF-8, and cut off, too long,
    // of a surrogate, beyond the last code point.
    let bytes = b"a \"\\'`%/\0\x07\x08\t\n\x0b\x0c\r\x1b\x7f\x80\xbf\xc0\xc1\xc2\xc3\xe0\xf5\xff";
    let valid =
        "\u{2028},\u{d7ff},\u{e000},\u{feff},\u{fffd},\u{ffff},😀,\u{10ffff},\u{a0},\u{ad},é,世";
    let invalid =
        [&b"\xe2\x80"[..], b"\xed\xa0\x80", b"\xf0\x9f", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80"];
    let sequences = valid.split(',').map(str::as_bytes).chain(invalid);
    let pieces: Vec<&[u8]> = bytes.chunks(1).chain(sequences).collect();
    let mut random = Random::new(9);
    let strings = (0..cases()).map(|_| {
        let mut string = random.string(&pieces, 8);
        if !string.is_empty() && random.one_in(4) {
            let at = random.below(string.len());
            string[at] = random.below(0xa0) as u8;
        }
        string
    });
    Oracle::start()
        .compare("Quote", b'q', strings, one, |string| Answer::Value(go_text::quote(string)));
}

/// Every code point alone. A Go of another Unicode version than the table's may only print more
/// (a newer one) or less (an older one) of them as they are.
#[test]
fn quote_prints_the_code_points_that_go_prints() {
    const TABLE: &str = "15.0.0";
    let mut go = Oracle::start();
    let (Answer::Value(version), Answer::Value(printed)) = (go.ask(b'u', &[]), go.ask(b'p', &[]))
    else {
        panic!("the Go oracle does not tell its table");
    };
    assert_eq!(printed.len(), 0x11_0000);
    let major = |version: &str| version.split('.').next().and_then(|n| n.parse::<u32>().ok());
    let order = major(std::str::from_utf8(&version).unwrap()).cmp(&major(TABLE));
    for c in (0..=0x10_ffff).filter_map(char::from_u32) {
        let text = c.to_string();
        let escaped = go_text::quote(text.as_bytes())[1] == b'\\' && !matches!(c, '"' | '\\');
        let (go, rust) = (printed[c as usize] == b'1', !escaped);
        assert!(
            match order {
                std::cmp::Ordering::Equal => go == rust,
                std::cmp::Ordering::Greater => go >= rust,
                std::cmp::Ordering::Less => go <= rust,
            },
            "U+{:04X}: Go prints it: {go}, Rust: {rust}",
            c as u32
        );
    }
}

#[test]
fn errno_texts_are_gos() {
    let numbers = (0..=4095).chain([i32::MAX, -1]).map(|n: i32| (n, n.to_string().into_bytes()));
    Oracle::start().compare(
        "Errno.Error",
        b'n',
        numbers,
        |(_, text)| vec![text],
        |(n, _)| Answer::Value(go_text::errno_text(*n).into_owned().into_bytes()),
    );
}
