//! Every allocation that crosses the boundary and its release, and every look at memory a caller
//! describes by pointer and length. No other file of this folder turns a pointer into a reference
//! or a box.

use std::ptr;

use subpath_mountinfo::internal::GoError;
use subpath_mountinfo::{Error, Result};

use crate::abi::{self, ErrorNode, RSP_BUFFER_LEN, RSP_FAILED, RSP_NO_STEP, Step};
use crate::errors::misuse;
use crate::operation::{Operation, Question};

/// Bytes that now belong to the caller, as pointer and length; NULL when there are none.
///
/// The caller returns them by [`take_back`] with the same length.
pub(crate) fn hand_over(bytes: impl Into<Box<[u8]>>) -> (*const u8, usize) {
    let boxed = bytes.into();
    if boxed.is_empty() {
        return (ptr::null(), 0);
    }
    let len = boxed.len();
    (Box::into_raw(boxed).cast::<u8>().cast_const(), len)
}

/// Frees what [`hand_over`] gave out.
///
/// # Safety
/// Pointer and length come from one call of [`hand_over`] and are used for the last time.
pub(crate) unsafe fn take_back(bytes: *const u8, len: usize) {
    if bytes.is_null() || len == 0 {
        return;
    }
    let slice = ptr::slice_from_raw_parts_mut(bytes.cast_mut(), len);
    // SAFETY: hand_over made this very slice by Box::into_raw, and gives up its ownership once.
    drop(unsafe { Box::from_raw(slice) });
}

/// The caller's bytes, for as long as the caller keeps them still.
///
/// # Safety
/// A pointer that is not null points to `len` bytes that nobody writes to during `'a`.
pub(crate) unsafe fn borrow<'a>(bytes: *const u8, len: usize) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if bytes.is_null() {
        return Err(misuse("a null pointer where bytes were announced"));
    }
    if isize::try_from(len).is_err() {
        return Err(misuse("a length beyond the address space"));
    }
    // SAFETY: not null, no longer than any object can be, and readable by the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(bytes, len) })
}

/// A copy of the structure a caller points to.
///
/// # Safety
/// A pointer that is not null and is aligned points to a whole `T`.
pub(crate) unsafe fn read<T: Copy>(from: *const T, name: &str) -> Result<T> {
    if from.is_null() || !from.is_aligned() {
        return Err(misuse(&format!("no {name}, or not where one can be")));
    }
    // SAFETY: not null, aligned, and whole by the caller's promise; T is plain numbers.
    Ok(unsafe { from.read() })
}

/// The caller's step, cleared, so that what is written later need not say what it leaves out.
pub(crate) struct StepOut(*mut Step);

impl StepOut {
    /// # Safety
    /// A pointer that is not null and is aligned points to memory for a whole [`Step`], which is
    /// the callee's alone until the export returns.
    pub(crate) unsafe fn new(step: *mut Step) -> Result<Self, u32> {
        if step.is_null() || !step.is_aligned() {
            return Err(RSP_NO_STEP);
        }
        // SAFETY: not null, aligned and ours by the caller's promise. The memory may never have
        // been written to, so that no reference to it is made.
        unsafe {
            (&raw mut (*step).state).write(RSP_FAILED);
            (&raw mut (*step).question).write(0);
            (&raw mut (*step).number).write(0);
            (&raw mut (*step).text).write(ptr::null());
            (&raw mut (*step).text_len).write(0);
            (&raw mut (*step).source).write(ptr::null());
            (&raw mut (*step).source_len).write(0);
            (&raw mut (*step).error).write(ptr::null_mut());
            (&raw mut (*step).operation).write(ptr::null_mut());
        }
        Ok(StepOut(step))
    }

    pub(crate) fn state(&mut self, state: u32) -> u32 {
        // SAFETY: `new` saw that the step can be written to, and it is ours until then.
        unsafe { (&raw mut (*self.0).state).write(state) };
        state
    }

    /// The result: its number, and its bytes in the step's buffer where they fit. The length tells
    /// whether there is a result: the pointer of an empty one is NULL either way.
    pub(crate) fn result(&mut self, number: i64, bytes: Vec<u8>) {
        let len = bytes.len();
        let text = if len <= RSP_BUFFER_LEN {
            // SAFETY: as in `state`; the bytes fit by the line above and are not in the step.
            unsafe {
                let buffer = (&raw mut (*self.0).buffer).cast::<u8>();
                ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, len);
            }
            ptr::null()
        } else {
            hand_over(bytes).0
        };
        // SAFETY: as in `state`.
        unsafe {
            (&raw mut (*self.0).number).write(number);
            (&raw mut (*self.0).text).write(text);
            (&raw mut (*self.0).text_len).write(len);
        }
    }

    /// The error, now the caller's.
    pub(crate) fn error(&mut self, error: &Error) {
        let node = give_error(error);
        // SAFETY: as in `state`.
        unsafe { (&raw mut (*self.0).error).write(node) };
    }

    /// The question an operation asks, and the operation itself, now the caller's. Path and source
    /// stay where they are in the operation.
    pub(crate) fn question(&mut self, operation: Box<Operation>) {
        let operation = Box::into_raw(operation);
        // SAFETY: the pointer comes from the line above. The operation keeps the question where it
        // is until it is resumed or dropped, both of which end the caller's right to read it.
        let Question { kind, path, source } = unsafe { &(*operation).asked };
        // SAFETY: as in `state`.
        unsafe {
            (&raw mut (*self.0).question).write(*kind);
            (&raw mut (*self.0).text).write(path.as_ptr());
            (&raw mut (*self.0).text_len).write(path.len());
            (&raw mut (*self.0).source).write(source.as_ptr());
            (&raw mut (*self.0).source_len).write(source.len());
            (&raw mut (*self.0).operation).write(operation.cast());
        }
    }
}

/// The operation a caller hands back.
///
/// # Safety
/// A pointer that is not null was given out in a step and has not been handed back before.
pub(crate) unsafe fn take_operation(operation: *mut abi::Operation) -> Result<Box<Operation>> {
    if operation.is_null() {
        return Err(misuse("no operation"));
    }
    // SAFETY: StepOut::question made it by Box::into_raw, and it is handed back once.
    Ok(unsafe { Box::from_raw(operation.cast()) })
}

/// The error as a chain of nodes, each with its own copies, innermost built first.
fn give_error(error: &Error) -> *mut ErrorNode {
    let mut layers = vec![error];
    while let Some(GoError::Wrap { source, .. }) = layers.last().map(|layer| layer.as_go()) {
        layers.push(source);
    }
    let mut source = ptr::null_mut();
    for layer in layers.into_iter().rev() {
        let (op, path) = match layer.as_go() {
            GoError::Path { op, path, .. } => (op.as_bytes(), &path[..]),
            _ => (&b""[..], &b""[..]),
        };
        let (op, op_len) = hand_over(op);
        let (path, path_len) = hand_over(path);
        let (text, text_len) = hand_over(layer.original_text());
        source = Box::into_raw(Box::new(ErrorNode {
            kind: super::errors::kind_number(layer),
            os_error: layer.raw_os_error().unwrap_or(0),
            token: layer.as_foreign().map_or(0, |foreign| foreign.token),
            op,
            op_len,
            path,
            path_len,
            text,
            text_len,
            source,
        }));
    }
    source
}

/// Frees an error, node by node.
///
/// # Safety
/// A pointer that is not null is the `error` of a step, used for the last time.
pub(crate) unsafe fn free_error(error: *mut ErrorNode) {
    let mut next = error;
    while !next.is_null() {
        // SAFETY: give_error made each node by Box::into_raw, and each is owned by the one before.
        let node = unsafe { Box::from_raw(next) };
        // SAFETY: give_error filled the three pairs from hand_over.
        unsafe {
            take_back(node.op, node.op_len);
            take_back(node.path, node.path_len);
            take_back(node.text, node.text_len);
        }
        next = node.source;
    }
}

/// The fields a caller packed: each is its length as eight little-endian bytes and then its bytes.
pub(crate) fn unpack<const N: usize>(packed: &[u8]) -> Result<[&[u8]; N]> {
    let mut fields: [&[u8]; N] = [&[]; N];
    let mut rest = packed;
    for field in &mut fields {
        (*field, rest) = unpack_one(rest)?;
    }
    if !rest.is_empty() {
        return Err(misuse("more arguments than the call takes"));
    }
    Ok(fields)
}

/// The fields a caller packed, however many.
pub(crate) fn unpack_list(packed: &[u8]) -> Result<Vec<&[u8]>> {
    let (mut fields, mut rest) = (Vec::new(), packed);
    while !rest.is_empty() {
        let field;
        (field, rest) = unpack_one(rest)?;
        fields.push(field);
    }
    Ok(fields)
}

/// The first packed field and what follows it.
pub(crate) fn unpack_one(packed: &[u8]) -> Result<(&[u8], &[u8])> {
    let cut = || misuse("an argument is cut short");
    let (length, rest) = packed.split_first_chunk::<8>().ok_or_else(cut)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
    rest.split_at_checked(length).ok_or_else(cut)
}

/// The inverse of [`unpack`], for results that are a list.
pub(crate) fn pack<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut packed = Vec::new();
    fields.for_each(|field| pack_one(&mut packed, field));
    packed
}

/// Appends one field.
pub(crate) fn pack_one(packed: &mut Vec<u8>, field: &[u8]) {
    packed.extend_from_slice(&(field.len() as u64).to_le_bytes());
    packed.extend_from_slice(field);
}

/// A step full of what was in its memory before, as C has it.
#[cfg(any(test, fuzzing))]
pub(crate) fn a_step() -> Box<Step> {
    let nowhere = ptr::without_provenance_mut::<u8>(usize::MAX);
    Box::new(Step {
        state: u32::MAX,
        question: u32::MAX,
        number: i64::MIN,
        text: nowhere,
        text_len: usize::MAX,
        source: nowhere,
        source_len: usize::MAX,
        error: nowhere.cast(),
        operation: nowhere.cast(),
        buffer: [0xAA; RSP_BUFFER_LEN],
    })
}
