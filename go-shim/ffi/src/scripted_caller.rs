//! A caller of the boundary that follows a script, for the fuzzer: the bytes of the script decide which
//! exports are called, with which numbers, pointers, lengths and answers, in which order, and which
//! operations are dropped half-way. Every call is one that the header allows. It passes NULL, wrong
//! lengths and unknown numbers, but never a pointer to memory that does not exist.
//!
//! The calls change the file system as the script says, so fuzz/fuzz_targets/boundary.rs runs each
//! script in a mount namespace and root of its own.

use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;

use crate::abi::*;
use crate::exports::*;
use crate::memory;
use crate::mounting::*;
use crate::mounts::*;

/// How often one operation is answered at most; then it is dropped.
const MOST_ANSWERS: usize = 40;

/// Field values that name something in the file system that fuzz/fuzz_targets/boundary.rs lays out.
const FIELDS: [&[u8]; 17] = [
    b"tmpfs",
    b"/volume",
    b"/volume/dir",
    b"/volume/dir/deep",
    b"/volume/file",
    b"/volume/link",
    b"/volume/out",
    b"/pod",
    b"vol",
    b"c",
    b"new/a/b",
    b"/table",
    b"/mounted",
    b"/pod/volume-subpaths/vol/c/0",
    b"/",
    b"..",
    b"",
];

/// Makes the calls that the script describes, checks what each writes, and frees what it gives.
pub fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    let mut waiting = Vec::new();
    for _ in 0..16 {
        if script.0.is_empty() {
            break;
        }
        call(&mut script, &mut waiting);
        // Answered in any order, and also long after other calls.
        if script.number() % 3 == 0 && !waiting.is_empty() {
            let at = script.number() as usize % waiting.len();
            answer(&mut script, waiting.swap_remove(at), &mut waiting);
        }
    }
    waiting.into_iter().for_each(discard);
}

/// An operation that asked.
struct Waiting {
    operation: *mut Operation,
    /// How often it was answered.
    times: usize,
    /// Others that prepare the same target wait for it.
    prepares: bool,
}

fn discard(waiting: Waiting) {
    // SAFETY: it came from a step, and is handed back once.
    unsafe { rsp_operation_drop(waiting.operation) };
}

/// The bytes, read as whatever is wanted; zeros at their end.
struct Script<'b>(&'b [u8]);

impl<'b> Script<'b> {
    fn number(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn wide(&mut self) -> u64 {
        match self.number() % 4 {
            0 => u64::from(self.number()),
            1 => u64::MAX - u64::from(self.number()),
            2 => 1 << (self.number() % 64),
            _ => u64::from_le_bytes(std::array::from_fn(|_| self.number())),
        }
    }

    fn take(&mut self, len: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Mostly one of the two that mean something.
    #[allow(clippy::cast_possible_truncation)]
    fn choice(&mut self) -> u32 {
        match self.number() {
            value @ 0..240 => u32::from(value % 2),
            _ => self.wide() as u32,
        }
    }

    fn field(&mut self) -> Vec<u8> {
        match self.number() {
            value @ 0..160 => FIELDS[usize::from(value) % FIELDS.len()].to_vec(),
            160..200 => [b"/volume/", self.take(usize::from(value_of(self.0)))].concat(),
            200..230 => {
                let len = usize::from(self.number());
                self.take(len).to_vec()
            }
            230..240 => {
                [b"/volume/", &b"long/".repeat(usize::from(self.number()) * 8)[..]].concat()
            }
            _ => vec![self.number(); usize::from(self.number()) * 64],
        }
    }

    /// Options of mount(8), packed; now and then any bytes. `remount` is left out: /proc is the machine's own.
    fn list(&mut self) -> Vec<u8> {
        const WORDS: [&[u8]; 11] = [
            b"bind",
            b"rbind",
            b"ro",
            b"move",
            b"shared",
            b"rslave",
            b"noexec",
            b"size=1m",
            b"mode=700",
            b"defaults",
            b"--no-canonicalize",
        ];
        let mut list = Vec::new();
        for _ in 0..self.number() % 4 {
            match self.number() {
                value @ 0..200 => {
                    memory::pack_one(&mut list, WORDS[usize::from(value) % WORDS.len()]);
                }
                200..250 => memory::pack_one(&mut list, &self.field()),
                _ => list.push(self.number()),
            }
        }
        list
    }

    /// Arguments as they are to be, or any bytes.
    fn packed(&mut self, fields: usize) -> Vec<u8> {
        let mut packed = Vec::new();
        let fields = if self.number() < 250 { fields } else { usize::from(self.number() % 8) };
        for field in 0..fields {
            // The last of six are lists.
            let bytes = if field < 3 || fields != 6 { self.field() } else { self.list() };
            memory::pack_one(&mut packed, &bytes);
        }
        match self.number() {
            0..248 => {}
            248..252 => packed.truncate(usize::from(self.number())),
            _ => packed.extend_from_slice(&self.wide().to_le_bytes()),
        }
        packed
    }
}

fn value_of(rest: &[u8]) -> u8 {
    rest.first().copied().unwrap_or(0) % 32
}

/// Bytes as pointer and length; now and then a pair that the header has an answer to.
fn passed(script: &mut Script<'_>, bytes: &[u8]) -> (*const u8, usize) {
    match script.number() {
        0..244 => (bytes.as_ptr(), bytes.len()),
        244..248 => (ptr::null(), 0),
        248..252 => (ptr::null(), script.number().into()),
        _ => (bytes.as_ptr(), usize::MAX - usize::from(script.number())),
    }
}

extern "C" fn log(handle: u64, level: i32, line: *const u8, len: usize) {
    assert_eq!(handle, 77);
    assert!((RSP_LOG_ERROR..=RSP_LOG_V5).contains(&level));
    // SAFETY: the header's promise on a line.
    look_at(unsafe { memory::borrow(line, len) }.unwrap_or_default());
}

/// Reads every byte, for the address sanitizer to see.
fn look_at(bytes: &[u8]) {
    std::hint::black_box(bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
fn call(script: &mut Script<'_>, waiting: &mut Vec<Waiting>) {
    let options = Options {
        abi: if script.number() < 250 { RSP_ABI_VERSION } else { script.wide() as u32 },
        profile: script.choice(),
        mounter: script.choice(),
        verbosity: if script.number() < 240 { 5 } else { script.wide() as i32 },
        log: (script.number() < 200).then_some(log),
        log_handle: 77,
    };
    let options = if script.number() < 250 { &raw const options } else { ptr::null() };
    let export = script.number() % 20;
    let packed = script.packed(match export {
        0 | 1 => 5,
        2..=6 | 15 => 2,
        19 => 7,
        _ => 1,
    });
    let (args, len) = passed(script, &packed);
    let (wide, choice) = (script.wide(), script.choice());
    let prepares = export <= 1;
    if prepares {
        // Seconds of waiting find nothing.
        waiting.extract_if(.., |waiting| waiting.prepares).for_each(discard);
    }
    let mut step = memory::a_step();
    let to = if script.number() < 250 { &raw mut *step } else { ptr::null_mut() };
    // SAFETY: the options and the step are whole or NULL, and the bytes are there or their length
    // is none.
    let state = unsafe {
        match export {
            0 => rsp_prepare_safe_subpath(options, args, len, wide as i64, to),
            1 => rsp_prepare_subpath_target(options, args, len, wide as i64, to),
            2 => rsp_safe_make_dir(options, args, len, wide as u32, to),
            3 => rsp_clean_sub_paths(options, args, len, to),
            4 => rsp_open_beneath(options, args, len, to),
            5 => rsp_existing_prefix(options, args, len, to),
            6 => rsp_remove_empty_dirs(options, args, len, to),
            7 => rsp_cleanup_mount_point(options, args, len, choice, to),
            8 => rsp_is_mount_point(options, args, len, to),
            9 => rsp_is_likely_not_mount_point(options, args, len, to),
            10 => rsp_mount_table(options, args, len, to),
            11 => rsp_list_mounts(options, to),
            12 => rsp_mount_refs(options, args, len, to),
            13 => rsp_cleanup_mount_with_force(options, args, len, wide, to),
            14 => rsp_info(options, to),
            15 => rsp_search_mount_points(options, args, len, to),
            16 => rsp_mount_at(options, args, len, to),
            17 => rsp_unmount(options, args, len, to),
            18 => rsp_unmount_with_force(options, args, len, wide, to),
            _ => rsp_mount(options, args, len, to),
        }
    };
    if let Some(operation) = settle(state, to, export == 4) {
        waiting.push(Waiting { operation, times: 0, prepares });
    }
}

/// Answers a question, rightly or not, or drops the operation.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
fn answer(script: &mut Script<'_>, asks: Waiting, waiting: &mut Vec<Waiting>) {
    if asks.times >= MOST_ANSWERS || script.number() >= 240 {
        return discard(asks);
    }
    let answer = Answer {
        kind: match script.number() {
            value @ 0..240 => u32::from(value % 3),
            _ => script.wide() as u32,
        },
        value: script.choice(),
        token: script.wide(),
        os_error: script.wide() as i32,
        not_exist: script.choice(),
        corrupted: script.choice(),
    };
    let answer = if script.number() < 250 { &raw const answer } else { ptr::null() };
    let fields = usize::from(script.number() % 4);
    let packed = script.packed(fields);
    let (texts, len) = passed(script, &packed);
    let mut step = memory::a_step();
    let to = if script.number() < 250 { &raw mut *step } else { ptr::null_mut() };
    // SAFETY: as in `call`; the operation is handed back once, and to another thread it may be.
    let state = unsafe { rsp_resume(asks.operation, answer, texts, len, to) };
    if let Some(operation) = settle(state, to, false) {
        waiting.push(Waiting { operation, times: asks.times + 1, ..asks });
    }
}

/// Looks at all that a step holds, gives back what is the caller's, and returns what asks.
fn settle(state: u32, step: *mut Step, opens: bool) -> Option<*mut Operation> {
    if step.is_null() {
        assert_eq!(state, RSP_NO_STEP);
        return None;
    }
    // SAFETY: it is whole, and the call that wrote it is over.
    let step = unsafe { &*step };
    assert_eq!(state, step.state);
    if step.text.is_null() && state != RSP_QUESTION {
        look_at(&step.buffer[..step.text_len]);
    } else {
        // SAFETY: the header's promise on text.
        look_at(unsafe { memory::borrow(step.text, step.text_len) }.unwrap_or_default());
    }
    // SAFETY: the header's promise on the source.
    look_at(unsafe { memory::borrow(step.source, step.source_len) }.unwrap_or_default());
    assert_eq!(state == RSP_QUESTION, !step.operation.is_null());
    assert_eq!(state == RSP_QUESTION, step.question != 0);
    assert_eq!(state == RSP_FAILED, !step.error.is_null());
    match state {
        RSP_QUESTION => return Some(step.operation),
        RSP_DONE | RSP_FAILED => {
            if state == RSP_DONE && opens {
                let fd = i32::try_from(step.number).unwrap_or(-1);
                assert!(fd >= 0);
                // SAFETY: the descriptor is the caller's.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
            }
            let mut next = step.error;
            while !next.is_null() {
                // SAFETY: the header's promise on errors.
                let node = unsafe { &*next };
                for (bytes, len) in
                    [(node.op, node.op_len), (node.path, node.path_len), (node.text, node.text_len)]
                {
                    // SAFETY: as above.
                    look_at(unsafe { memory::borrow(bytes, len) }.unwrap_or_default());
                }
                assert_eq!(node.kind == RSP_ERROR_WRAP, !node.source.is_null());
                next = node.source;
            }
            // SAFETY: each is used for the last time; where the result is in the buffer, or empty, they
            // are NULL.
            unsafe {
                rsp_error_free(step.error);
                rsp_bytes_free(step.text, step.text_len);
            }
        }
        _ => assert_eq!(state, RSP_ABORTED, "a state that the header does not know"),
    }
    None
}
