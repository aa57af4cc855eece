//! Go's path functions and `%q` on any bytes: no panic, and what a plain reading of their
//! documentation gives, element by element.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subpath_mountinfo::internal::{go_path, go_text};

fuzz_target!(|paths: (&[u8], &[u8], &[u8])| {
    let (a, b, c) = paths;
    for path in [a, b, c] {
        one(path);
        quoted(path);
    }
    two(a, b);
    two(b, a);
    for elements in [&[a, b, c][..], &[b, a], &[c], &[]] {
        assert_eq!(go_path::join(elements), join(elements), "{elements:?}");
    }
});

fn one(path: &[u8]) {
    let cleaned = go_path::clean(path);
    assert_eq!(cleaned, clean(path), "clean({})", path.escape_ascii());
    assert_eq!(*go_path::clean_cow(path), cleaned);
    assert_eq!(go_path::clean(&cleaned), cleaned);
    assert_eq!(go_path::is_abs(&cleaned), path.starts_with(b"/"));

    let (dir, base) = dir_and_base(path);
    assert_eq!(go_path::dir(path), dir, "dir({})", path.escape_ascii());
    assert_eq!(go_path::base(path), base, "base({})", path.escape_ascii());
    assert_eq!(go_path::split_segments(path).join(&b'/'), path);
}

fn two(base: &[u8], target: &[u8]) {
    let show = || format!("rel({}, {})", base.escape_ascii(), target.escape_ascii());
    let relative = go_path::rel(base, target).ok();
    assert_eq!(relative, rel(base, target), "{}", show());
    if let Some(relative) = &relative {
        assert_eq!(
            go_path::join(&[base, b"/.", relative]),
            clean_below(base, target),
            "{}",
            show()
        );
    }
    let within = relative.is_some_and(|relative| !leaves(&relative));
    assert_eq!(go_path::path_within_base(target, base), within, "{}", show());
}

/// What the base and the way from it to the target come to: the target, which a relative base that
/// is not there is taken away from by as many `..` as it takes.
fn clean_below(base: &[u8], target: &[u8]) -> Vec<u8> {
    // An empty base is the current directory, and join() leaves it out.
    if base.is_empty() { clean(&[b"/", target].concat()) } else { clean(target) }
}

fn leaves(relative: &[u8]) -> bool {
    let starts = relative.split(|&byte| byte == b'/').next() == Some(b"..");
    assert_eq!(go_path::starts_with_backstep(relative), starts);
    starts
}

/// The elements that are left of a path once `.` and `..` are gone through, and whether it is
/// absolute.
fn elements(path: &[u8]) -> (bool, Vec<&[u8]>) {
    let rooted = path.starts_with(b"/");
    let mut left: Vec<&[u8]> = Vec::new();
    for element in path.split(|&byte| byte == b'/') {
        match element {
            b"" | b"." => {}
            b".." if left.last().is_some_and(|last| *last != b"..") => drop(left.pop()),
            b".." if rooted => {}
            _ => left.push(element),
        }
    }
    (rooted, left)
}

fn clean(path: &[u8]) -> Vec<u8> {
    let (rooted, left) = elements(path);
    match (rooted, left.join(&b'/')) {
        (true, joined) => [b"/", &joined[..]].concat(),
        (false, joined) if joined.is_empty() => b".".to_vec(),
        (false, joined) => joined,
    }
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    let parts: Vec<&[u8]> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { Vec::new() } else { clean(&parts.join(&b'/')) }
}

fn dir_and_base(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    parts.pop();
    let above = if parts.is_empty() { Vec::new() } else { [&parts.join(&b'/')[..], b"/"].concat() };
    let last = path.split(|&byte| byte == b'/').rfind(|part| !part.is_empty());
    let alone: &[u8] = if path.is_empty() { b"." } else { b"/" };
    (clean(&above), last.unwrap_or(alone).to_vec())
}

fn rel(base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    let ((base_rooted, base), (target_rooted, target)) = (elements(base), elements(target));
    if base_rooted != target_rooted {
        return None;
    }
    let shared = base.iter().zip(&target).take_while(|(a, b)| a == b).count();
    if base.get(shared).is_some_and(|element| *element == b"..") {
        return None;
    }
    let up = base[shared..].iter().map(|_| &b".."[..]);
    let way: Vec<&[u8]> = up.chain(target[shared..].iter().copied()).collect();
    Some(if way.is_empty() { b".".to_vec() } else { way.join(&b'/') })
}

/// What is quoted says by itself what it was, and hurts no terminal.
fn quoted(bytes: &[u8]) {
    let quoted = go_text::quote(bytes);
    let text = std::str::from_utf8(&quoted).expect("text");
    assert!(!text.chars().any(char::is_control), "{text}");
    let inside = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("quotes");
    let mut read = Vec::new();
    let mut rest = inside.chars();
    while let Some(char) = rest.next() {
        assert_ne!(char, '"');
        if char != '\\' {
            read.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.next().expect("what is escaped");
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let number: String = rest.by_ref().take(digits).collect();
        let number = u32::from_str_radix(&number, 16).unwrap_or(0);
        match escape {
            'x' => read.push(u8::try_from(number).expect("a byte")),
            'u' | 'U' => {
                let char = char::from_u32(number).expect("a character");
                read.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => {
                let at = br#"abfnrtv\""#.iter().position(|&byte| byte == escape as u8);
                read.push(b"\x07\x08\x0c\n\r\t\x0b\\\""[at.expect("a known escape")]);
            }
        }
    }
    assert_eq!(read, bytes, "{text}");
}
