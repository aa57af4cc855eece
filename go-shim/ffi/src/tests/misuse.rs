//! What a caller can get wrong and the boundary can see.

use std::ptr;

use subpath_mountinfo::Place;
use subpath_mountinfo::internal::coroutine::AsyncMounter;

use super::{Drops, begin, failed, ok, options, pack, resume};
use crate::abi::*;
use crate::exports::*;
use crate::memory::a_step;
use crate::reply::Reply;

const INVALID: (u32, i32, u64) = (RSP_ERROR_ERRNO, nix::libc::EINVAL, 0);

#[test]
fn broken_options_are_invalid() {
    let unaligned = [0_u64; 8];
    let unaligned = unaligned.as_ptr().cast::<u8>().wrapping_add(1).cast::<Options>();
    let rows: [(&str, *const Options, &str); 5] = [
        ("no options", ptr::null(), "no options"),
        ("unaligned", unaligned, "no options"),
        ("another version", &Options { abi: 99, ..options() }, "made for version 99"),
        ("profile", &Options { profile: 2, ..options() }, "profile 2 is unknown"),
        ("mounter", &Options { mounter: 7, ..options() }, "mounter 7 is unknown"),
    ];
    for (name, options, says) in rows {
        let mut step = a_step();
        let args = pack(&[b"/", b"vol"]);
        // SAFETY: what is there is whole; the rest is what is tested.
        let state =
            unsafe { rsp_clean_sub_paths(options, args.as_ptr(), args.len(), &raw mut *step) };
        assert_eq!(state, RSP_FAILED, "{name}");
        let (text, kinds) = step.take_error();
        assert!(text.contains(says) && text.ends_with(": invalid argument"), "{name}: {text}");
        assert_eq!(kinds[1..], [INVALID], "{name}");
    }
}

#[test]
fn broken_arguments_are_invalid() {
    let huge = u64::MAX.to_le_bytes();
    let cut = pack(&[b"/", b"vol"]);
    let rows: [(&str, *const u8, usize); 7] = [
        ("null with a length", ptr::null(), 16),
        ("longer than memory", cut.as_ptr(), usize::MAX),
        ("longer than an object", cut.as_ptr(), isize::MAX as usize + 1),
        ("none", ptr::null(), 0),
        ("cut in the bytes", cut.as_ptr(), cut.len() - 1),
        ("cut in a length", cut.as_ptr(), 12),
        ("a length beyond the end", huge.as_ptr(), huge.len()),
    ];
    for (name, args, len) in rows {
        let mut step = a_step();
        // SAFETY: as above.
        let state = unsafe { rsp_clean_sub_paths(&options(), args, len, &raw mut *step) };
        assert_eq!(state, RSP_FAILED, "{name}");
        assert_eq!(step.take_error().1[1..], [INVALID], "{name}");
    }
    let many = pack(&[b"/", b"vol", b"more"]);
    let mut step = a_step();
    // SAFETY: all is whole.
    let state =
        unsafe { rsp_clean_sub_paths(&options(), many.as_ptr(), many.len(), &raw mut *step) };
    assert_eq!(state, RSP_FAILED);
    assert!(step.take_error().0.contains("more arguments"));
}

#[test]
fn an_unknown_flag_is_invalid() {
    let (args, mut step) = (pack(&[b"/"]), a_step());
    // SAFETY: all is whole.
    let state = unsafe {
        rsp_cleanup_mount_point(&options(), args.as_ptr(), args.len(), 2, &raw mut *step)
    };
    assert_eq!(state, RSP_FAILED);
    assert!(step.take_error().0.contains("extensive is 2"));
}

#[test]
fn without_a_step_nothing_is_done_and_nothing_leaks() {
    let drops = Drops::default();
    let mut step = a_step();
    let held = drops.hold();
    let state = begin(&options(), &mut step, |mounter| async move {
        let _held = held;
        mounter.unmount(Place::at_bytes(b"/x")).await.map(Reply::from)
    });
    assert_eq!(state, RSP_QUESTION);
    // SAFETY: the operation is handed back once.
    let state = unsafe { rsp_resume(step.operation, &ok(0), ptr::null(), 0, ptr::null_mut()) };
    assert_eq!((state, drops.count()), (RSP_NO_STEP, 1));

    let unaligned = (&raw mut *step).cast::<u8>().wrapping_add(1).cast::<Step>();
    for step in [ptr::null_mut(), unaligned] {
        // SAFETY: no step is what is tested.
        assert_eq!(unsafe { rsp_info(&options(), step) }, RSP_NO_STEP);
    }
}

#[test]
fn null_is_nothing_to_free() {
    // SAFETY: the header allows NULL.
    unsafe {
        rsp_operation_drop(ptr::null_mut());
        rsp_error_free(ptr::null_mut());
        rsp_bytes_free(ptr::null(), 0);
    }
}

#[test]
fn a_broken_answer_is_invalid_and_ends_the_operation() {
    let good = pack(&[b"text"]);
    let rows: [(&str, *const Answer, &[u8]); 7] = [
        ("none", ptr::null(), &[]),
        ("unknown", &Answer { kind: 3, ..ok(0) }, &[]),
        ("value", &ok(2), &[]),
        ("not_exist", &Answer { not_exist: 9, ..failed(1) }, &good),
        ("corrupted", &Answer { corrupted: 9, ..failed(1) }, &good),
        ("no text", &failed(1), &[]),
        ("text cut short", &failed(1), &good[..9]),
    ];
    for (name, answer, texts) in rows {
        let (drops, mut step) = (Drops::default(), a_step());
        let held = drops.hold();
        begin(&options(), &mut step, |mounter| async move {
            let _held = held;
            mounter.is_mount_point(Place::at_bytes(b"/x")).await.map(|_| Reply::default())
        });
        // SAFETY: as in `resume`, but for what is tested.
        let state = unsafe {
            rsp_resume(step.operation, answer, texts.as_ptr(), texts.len(), &raw mut *step)
        };
        assert_eq!((state, drops.count()), (RSP_FAILED, 1), "{name}");
        assert_eq!(step.take_error().1[1..], [INVALID], "{name}");
    }
    let mut step = a_step();
    // SAFETY: no operation is what is tested.
    let state = unsafe { rsp_resume(ptr::null_mut(), &ok(0), ptr::null(), 0, &raw mut *step) };
    assert_eq!(state, RSP_FAILED);
    assert!(step.take_error().0.contains("no operation"));
}

#[test]
fn a_question_without_an_error_takes_none() {
    let mut step = a_step();
    begin(&options(), &mut step, |mounter| async move {
        let skips = mounter.can_safely_skip_mount_point_check().await;
        Ok(Reply { number: i64::from(skips), ..Reply::default() })
    });
    assert_eq!(step.question, RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK);
    assert_eq!(resume(&mut step, &failed(1), &pack(&[b"no"])), RSP_FAILED);
    assert!(step.take_error().0.contains("has none"));
}
