//! The boundary called as a C caller calls it, by the rules; `misuse` breaks them. Nothing here mounts
//! or opens, so that it all runs under Miri.

use std::ffi::c_void;
use std::os::fd::AsFd;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use subpath_mountinfo::internal::coroutine::AsyncMounter;
use subpath_mountinfo::table::MountTable;
use subpath_mountinfo::{Error, Place, Result, Source, flatten, log, wrap};

mod misuse;

use crate::abi::*;
use crate::call::{self, Call, ended};
use crate::exports::*;
use crate::memory::{self, a_step};
use crate::mounts;
use crate::operation::{AskingMounter, Progress};
use crate::reply::Reply;

fn options() -> Options {
    Options {
        abi: RSP_ABI_VERSION,
        profile: RSP_PROFILE_V129,
        mounter: RSP_MOUNTER_CALLER,
        verbosity: 0,
        log: None,
        log_handle: 0,
    }
}

fn ok(value: u32) -> Answer {
    let (kind, token) = (RSP_ANSWER_OK, 0);
    Answer { kind, value, token, os_error: 0, not_exist: 0, corrupted: 0 }
}

fn failed(token: u64) -> Answer {
    Answer { kind: RSP_ANSWER_ERROR, token, ..ok(0) }
}

fn aborted() -> Answer {
    Answer { kind: RSP_ANSWER_ABORTED, ..ok(0) }
}

impl Step {
    fn said(&self) -> &[u8] {
        if self.text.is_null() {
            return &self.buffer[..self.text_len];
        }
        // SAFETY: the header's promise on text.
        unsafe { memory::borrow(self.text, self.text_len) }.unwrap()
    }

    /// The error's text and its kinds from the outside in; frees it.
    fn take_error(&mut self) -> (String, Vec<(u32, i32, u64)>) {
        assert!(!self.error.is_null(), "no error");
        let (mut texts, mut kinds, mut next) = (Vec::new(), Vec::new(), self.error);
        while !next.is_null() {
            // SAFETY: the header's promise on errors.
            let node = unsafe { &*next };
            // SAFETY: as above.
            texts.push(unsafe { memory::borrow(node.text, node.text_len) }.unwrap());
            kinds.push((node.kind, node.os_error, node.token));
            next = node.source;
        }
        let text = String::from_utf8_lossy(texts[0]).into_owned();
        // SAFETY: used for the last time.
        unsafe { rsp_error_free(self.error) };
        self.error = ptr::null_mut();
        (text, kinds)
    }
}

/// Begins an operation whose work is given, as an export does.
fn begin<F, W>(options: &Options, step: &mut Step, work: W) -> u32
where
    W: FnOnce(AskingMounter) -> F,
    F: Future<Output = Result<Reply>> + Send + 'static,
{
    let body = |call: Call<'_, 0>| call.ask(work);
    // SAFETY: the options and the step are whole.
    unsafe { call::begin("a test", options, ptr::null(), 0, &raw mut *step, body) }
}

fn resume(step: &mut Step, answer: &Answer, texts: &[u8]) -> u32 {
    // SAFETY: the operation comes from the step and goes back once: the step is written anew.
    unsafe { rsp_resume(step.operation, answer, texts.as_ptr(), texts.len(), &raw mut *step) }
}

fn pack(fields: &[&[u8]]) -> Vec<u8> {
    memory::pack(fields.iter().copied())
}

/// Counts the drops of what a future holds.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

struct Held(Drops);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, SeqCst);
    }
}

impl Drops {
    fn hold(&self) -> Held {
        Held(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

#[test]
fn questions_are_asked_in_order_and_answers_reach_the_logic() {
    let mut step = a_step();
    let mut state = begin(&options(), &mut step, |mounter| async move {
        let at = Place::at_bytes(b"/a\0\xff");
        let mut said = Vec::new();
        said.push(mounter.is_mount_point(at).await?);
        said.push(mounter.is_likely_not_mount_point(at).await?);
        said.push(mounter.can_safely_skip_mount_point_check().await);
        mounter.unmount(at).await?;
        mounter.unmount_lazily(at).await?;
        mounter.bind(Source { fd: std::io::stdin().as_fd() }, at).await?;
        Ok(Reply { number: 7, bytes: said.into_iter().map(u8::from).collect(), error: None })
    });
    for (question, value) in [
        (RSP_ASK_IS_MOUNT_POINT, 1),
        (RSP_ASK_IS_LIKELY_NOT_MOUNT_POINT, 0),
        (RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK, 1),
        (RSP_ASK_UNMOUNT, 0),
        (RSP_ASK_UNMOUNT_LAZILY, 0),
        (RSP_ASK_BIND, 0),
    ] {
        assert_eq!((state, step.question), (RSP_QUESTION, question));
        let has_path = question != RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK;
        assert_eq!(step.said(), if has_path { &b"/a\0\xff"[..] } else { b"" });
        let source = (step.source, step.source_len);
        // SAFETY: the header's promise on the source.
        let source = unsafe { memory::borrow(source.0, source.1) }.unwrap();
        let proc_path = format!("/proc/{}/fd/0", std::process::id());
        assert_eq!(source, if question == RSP_ASK_BIND { proc_path.as_bytes() } else { b"" });
        state = resume(&mut step, &ok(value), &[]);
    }
    assert_eq!((state, step.question), (RSP_DONE, 0));
    assert_eq!(step.number, 7);
    assert_eq!(step.said(), [1, 0, 1]);
    assert!(step.operation.is_null());
}

#[test]
fn a_mounters_error_comes_back_by_its_token() {
    let mut step = a_step();
    begin(&options(), &mut step, |mounter| async move {
        let error = mounter.unmount(Place::at_bytes(b"/x")).await.unwrap_err();
        let foreign = error.as_foreign().unwrap();
        assert!(foreign.corrupted && foreign.not_exist && foreign.beside);
        assert_eq!((error.original_text(), error.text_v()), (b"s".to_vec(), b"v".to_vec()));
        Err(wrap!("outer: %w", wrap!("inner: %w", error)))
    });
    let answer = Answer { os_error: 5, not_exist: 1, corrupted: 1, value: 1, ..failed(77) };
    assert_eq!(resume(&mut step, &answer, &pack(&[b"s", b"v"])), RSP_FAILED);
    let (text, kinds) = step.take_error();
    assert_eq!(text, "outer: inner: v");
    assert_eq!(kinds, [(RSP_ERROR_WRAP, 5, 0), (RSP_ERROR_WRAP, 5, 0), (RSP_ERROR_FOREIGN, 5, 77)]);
}

#[test]
fn giving_up_drops_the_operation_where_it_stands() {
    for question in 0..4 {
        let (drops, mut step) = (Drops::default(), a_step());
        let held = drops.hold();
        begin(&options(), &mut step, |mounter| async move {
            let (_held, at) = (held, Place::at_bytes(b"/x"));
            let _ = match question {
                0 => mounter.is_mount_point(at).await.map(drop),
                1 => mounter.is_likely_not_mount_point(at).await.map(drop),
                2 => mounter.unmount(at).await,
                _ => mounter.unmount_lazily(at).await,
            };
            unreachable!("the logic goes on after it was given up");
        });
        let state = resume(&mut step, &aborted(), &[]);
        assert_eq!((state, drops.count()), (RSP_ABORTED, 1), "question {question}");
        assert!(step.operation.is_null());
    }
}

#[test]
fn giving_up_a_bind_lets_the_logic_clean_up_and_then_ends() {
    // Answered or given up again, the clean-up's question is the last.
    for answer in [ok(0), failed(1), aborted()] {
        let (drops, mut step) = (Drops::default(), a_step());
        let held = drops.hold();
        begin(&options(), &mut step, |mounter| async move {
            let (_held, at) = (held, Place::at_bytes(b"/x"));
            let bound = mounter.bind(Source { fd: std::io::stdin().as_fd() }, at).await;
            let error = bound.unwrap_err();
            assert!(!error.is_not_exist() && error.as_foreign().is_some_and(|f| !f.corrupted));
            mounter.unmount(at).await?;
            Err(error)
        });
        assert_eq!(resume(&mut step, &aborted(), &[]), RSP_QUESTION);
        assert_eq!((step.question, drops.count()), (RSP_ASK_UNMOUNT, 0));
        assert_eq!(resume(&mut step, &answer, &pack(&[b"busy"])), RSP_ABORTED);
        assert_eq!(drops.count(), 1);
        assert!(step.error.is_null());
    }
}

#[test]
fn dropping_an_operation_frees_what_it_holds() {
    let (drops, mut step) = (Drops::default(), a_step());
    let held = drops.hold();
    begin(&options(), &mut step, |mounter| async move {
        let _held = held;
        mounter.unmount(Place::at_bytes(b"/x")).await.map(Reply::from)
    });
    // SAFETY: the operation is handed back once.
    unsafe { rsp_operation_drop(step.operation) };
    assert_eq!(drops.count(), 1);
}

#[test]
fn an_operation_goes_on_on_another_thread() {
    struct Sent(*mut c_void);
    // SAFETY: the header lets another thread resume an operation.
    unsafe impl Send for Sent {}
    let mut step = a_step();
    begin(&options(), &mut step, |mounter| async move {
        mounter.unmount(Place::at_bytes(b"/x")).await.map(Reply::from)
    });
    let sent = Sent(step.operation.cast());
    let state = std::thread::spawn(move || {
        let (sent, mut step) = (sent, a_step());
        // SAFETY: the operation is handed back once.
        unsafe { rsp_resume(sent.0.cast(), &ok(0), ptr::null(), 0, &raw mut *step) }
    });
    assert_eq!(state.join().unwrap(), RSP_DONE);
}

#[test]
fn a_panic_becomes_an_error() {
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let mut step = a_step();
    let body = |_: Call<'_, 0>| panic!("at once {}", 1);
    // SAFETY: all is whole.
    let state = unsafe { call::begin("a test", &options(), ptr::null(), 0, &raw mut *step, body) };
    assert_eq!(state, RSP_FAILED);
    let (text, kinds) = step.take_error();
    assert_eq!(text, "rustsubpath failed by a fault of its own in a test: at once 1");
    assert_eq!(kinds, [(RSP_ERROR_TEXT, 0, 0)]);

    let drops = Drops::default();
    let held = drops.hold();
    begin(&options(), &mut step, |mounter| async move {
        let _held = held;
        mounter.unmount(Place::at_bytes(b"/x")).await?;
        panic!("after a question")
    });
    assert_eq!((resume(&mut step, &ok(0), &[]), drops.count()), (RSP_FAILED, 1));
    assert!(step.take_error().0.ends_with("in a test: after a question"));

    for given_up in [true, false] {
        begin(&options(), &mut step, |mounter| async move {
            let _bomb = PanicsInDrop;
            mounter.unmount(Place::at_bytes(b"/x")).await.map(Reply::from)
        });
        if given_up {
            assert_eq!(resume(&mut step, &aborted(), &[]), RSP_FAILED);
            assert!(step.take_error().0.ends_with("in a destructor"));
        } else {
            // SAFETY: the operation is handed back once.
            unsafe { rsp_operation_drop(step.operation) };
        }
    }
}

#[test]
fn waiting_for_nothing_is_an_error() {
    let mut step = a_step();
    let state = begin(&options(), &mut step, |_| std::future::pending());
    assert_eq!(state, RSP_FAILED);
    assert!(step.take_error().0.ends_with("it waits for nothing"));
}

#[test]
fn a_result_longer_than_the_buffer_is_the_callers() {
    for (len, in_buffer) in
        [(0, true), (1, true), (RSP_BUFFER_LEN, true), (RSP_BUFFER_LEN + 1, false)]
    {
        let mut step = a_step();
        let long = vec![b'x'; len];
        let body = |_: Call<'_, 0>| -> Result<Progress> { ended(Ok(long.clone())) };
        // SAFETY: all is whole.
        let state =
            unsafe { call::begin("a test", &options(), ptr::null(), 0, &raw mut *step, body) };
        assert_eq!((state, step.said() == long), (RSP_DONE, true), "{len}");
        let text = step.text;
        assert_eq!(text.is_null(), in_buffer, "{len}");
        // SAFETY: the step's text, used for the last time.
        unsafe { rsp_bytes_free(text, len) };
    }
}

#[test]
fn every_kind_of_error_crosses_as_itself() {
    let path = Error::at_path("open", &b"/\xff"[..], 13);
    for (error, kind, os_error) in [
        (Error::from_errno(2), RSP_ERROR_ERRNO, 2),
        (path.clone(), RSP_ERROR_PATH, 13),
        (Error::new("text"), RSP_ERROR_TEXT, 0),
        (flatten!("around: %s", path.clone()), RSP_ERROR_TEXT, 13),
        (Error::not_exist(), RSP_ERROR_NOT_EXIST, 2),
    ] {
        let mut step = a_step();
        let body = |_: Call<'_, 0>| -> Result<Progress> { ended::<()>(Err(error.clone())) };
        // SAFETY: all is whole.
        unsafe { call::begin("a test", &options(), ptr::null(), 0, &raw mut *step, body) };
        // SAFETY: the header's promise on errors.
        let node = unsafe { &*step.error };
        // SAFETY: as above.
        let (op, path) = unsafe {
            (memory::borrow(node.op, node.op_len), memory::borrow(node.path, node.path_len))
        };
        let want: (&[u8], &[u8]) =
            if kind == RSP_ERROR_PATH { (b"open", b"/\xff") } else { (b"", b"") };
        assert_eq!((op.unwrap(), path.unwrap()), want);
        assert_eq!(step.take_error().1, [(kind, os_error, 0)]);
    }
}

type Lines = Mutex<Vec<(i32, Vec<u8>)>>;

/// Appends each line to the vector that the handle is the address of.
extern "C" fn collect(handle: u64, level: i32, line: *const u8, line_len: usize) {
    let lines = ptr::with_exposed_provenance::<Lines>(usize::try_from(handle).unwrap());
    // SAFETY: the test keeps the vector, and the boundary lends the line.
    let (lines, line) = unsafe { (&*lines, memory::borrow(line, line_len).unwrap()) };
    lines.lock().unwrap().push((level, line.to_vec()));
}

fn log_one_of_each(said: &[u8]) {
    log!(ERROR, "error %s", said);
    log!(WARN, "warning %s", said);
    log!(INFO, "info %s", said);
    log!(DEBUG, "debug %s", said);
    log!(TRACE, "trace %s", said);
    tracing::error!("not a line of klog's");
}

#[test]
fn lines_reach_the_caller_by_its_verbosity_byte_for_byte() {
    for (verbosity, count) in [(-1, 2), (0, 2), (2, 2), (3, 3), (4, 4), (5, 5), (9, 5)] {
        let lines = Lines::default();
        let handle = (&raw const lines).expose_provenance() as u64;
        let options = Options { verbosity, log: Some(collect), log_handle: handle, ..options() };
        let mut step = a_step();
        begin(&options, &mut step, |mounter| async move {
            log_one_of_each(b"\xff\n1");
            mounter.unmount(Place::at_bytes(b"/x")).await?;
            log_one_of_each(b"2");
            Ok(Reply::default())
        });
        let mut want = Vec::new();
        let texts: [&[u8]; 5] = [b"error ", b"warning ", b"info ", b"debug ", b"trace "];
        for said in [&b"\xff\n1"[..], b"2"] {
            want.extend((1..).zip(texts).take(count).map(|(n, text)| (n, [text, said].concat())));
        }
        assert_eq!(lines.lock().unwrap()[..], want[..count], "before the question");
        resume(&mut step, &ok(0), &[]);
        assert_eq!(*lines.lock().unwrap(), want, "verbosity {verbosity}");
        // Nobody listens between calls.
        log_one_of_each(b"3");
        assert_eq!(lines.lock().unwrap().len(), 2 * count);
    }
}

#[test]
fn without_a_function_lines_go_nowhere() {
    let mut step = a_step();
    let state = begin(&Options { verbosity: 5, ..options() }, &mut step, |_| async {
        log_one_of_each(b"x");
        Ok(Reply::default())
    });
    assert_eq!(state, RSP_DONE);
}

#[test]
fn a_table_is_packed_as_the_header_says() {
    let line = b"7 18446744073709551615 8:1 /a /b\\040c rw,ro shared:1 - ext4  rw\n";
    let reply = mounts::pack_table(&MountTable::from_bytes(*line)).unwrap();
    let mut packed = Vec::new();
    let number = |packed: &mut Vec<u8>, number: u64| packed.extend(number.to_le_bytes());
    for n in [4, 7, u64::MAX, 8, 1] {
        number(&mut packed, n);
    }
    packed.extend(pack(&[b"/a", b"/b c", b"ext4", b""]));
    for list in [&[&b"shared:1"[..]][..], &[b"rw", b"ro"], &[b"rw"]] {
        number(&mut packed, list.len() as u64);
        packed.extend(pack(list));
    }
    assert_eq!((reply.number, reply.bytes), (1, packed));
    let nothing = mounts::pack_table(&MountTable::from_bytes(*b"")).unwrap();
    assert_eq!((nothing.number, nothing.bytes), (0, vec![0; 8]));
    assert!(mounts::pack_table(&MountTable::from_bytes(*b"7\n")).is_err());
}
