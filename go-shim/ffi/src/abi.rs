//! The types and numbers of the boundary. cbindgen makes the header `rustsubpath.h` of this file, so
//! its comments are written for the readers of the header.

/// An operation that asked the caller a question and waits for the answer.
#[derive(Debug)]
pub struct Operation(());

/// The version of this boundary. A caller passes it in rsp_options, and any other number is refused. A
/// caller can compare it with rsp_abi_version() to see whether the header and the library fit.
pub const RSP_ABI_VERSION: u32 = 4;

/// rsp_options.profile: behave as kubernetes v1.29 … v1.36.
pub const RSP_PROFILE_V129: u32 = 0;
/// rsp_options.profile: behave as kubernetes v1.37.
pub const RSP_PROFILE_V137: u32 = 1;

/// rsp_options.mounter: the library mounts and unmounts by system calls.
pub const RSP_MOUNTER_KERNEL: u32 = 0;
/// rsp_options.mounter: the library asks the caller to mount and unmount (see RSP_QUESTION).
pub const RSP_MOUNTER_CALLER: u32 = 1;

/// A log line's level: klog's Error.
pub const RSP_LOG_ERROR: i32 = 1;
/// A log line's level: klog's Warning.
pub const RSP_LOG_WARNING: i32 = 2;
/// A log line's level: klog's V(3).
pub const RSP_LOG_V3: i32 = 3;
/// A log line's level: klog's V(4).
pub const RSP_LOG_V4: i32 = 4;
/// A log line's level: klog's V(5).
pub const RSP_LOG_V5: i32 = 5;

/// What a call needs besides its arguments. It is read during the call only; an operation that asks a
/// question keeps a copy.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// RSP_ABI_VERSION.
    pub abi: u32,
    /// One of RSP_PROFILE_….
    pub profile: u32,
    /// One of RSP_MOUNTER_….
    pub mounter: u32,
    /// The highest of the log levels 3, 4 and 5 that the caller wants, or a lower number for none of
    /// them. Warnings and errors are always passed to `log`.
    pub verbosity: i32,
    /// Called for each log line during the call, on the calling thread; NULL for no log. `level` is one
    /// of RSP_LOG_…. The line has no newline at its end, belongs to the library and is valid until the
    /// function returns. The function must return: it may neither unwind nor longjmp.
    pub log: Option<extern "C" fn(handle: u64, level: i32, line: *const u8, line_len: usize)>,
    /// Passed to `log` unchanged.
    pub log_handle: u64,
}

/// A state: the operation is done, and the step has its result.
pub const RSP_DONE: u32 = 0;
/// A state: the operation failed, and rsp_step.error says why. The caller frees the error by
/// rsp_error_free().
pub const RSP_FAILED: u32 = 1;
/// A state: the operation has a question for the caller's mounter, rsp_step.question. The caller must
/// pass rsp_step.operation to rsp_resume() or rsp_operation_drop().
pub const RSP_QUESTION: u32 = 2;
/// A state: the caller gave the operation up by RSP_ANSWER_ABORTED, and the operation has cleaned up.
/// Nothing is left to free.
pub const RSP_ABORTED: u32 = 3;
/// A state: the step was NULL or not aligned, and nothing was done.
pub const RSP_NO_STEP: u32 = 4;

/// A question: is something mounted at `text`? Answered by a value, or an error.
pub const RSP_ASK_IS_MOUNT_POINT: u32 = 1;
/// A question: is `text` likely not a mount point? Answered by a value, or an error.
pub const RSP_ASK_IS_LIKELY_NOT_MOUNT_POINT: u32 = 2;
/// A question: mount-utils' CanSafelySkipMountPointCheck, whether a path may be unmounted without a
/// check that it is a mount point. Answered by a value.
pub const RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK: u32 = 3;
/// A request: unmount the topmost mount at `text`.
pub const RSP_ASK_UNMOUNT: u32 = 4;
/// A request: detach the topmost mount at `text` even if it is busy (MNT_DETACH).
pub const RSP_ASK_UNMOUNT_LAZILY: u32 = 5;
/// A request: bind-mount `source` at `text`. `source` is /proc/PID/fd/N, or /proc/TID/fd/N where the
/// calling thread has a descriptor table of its own.
pub const RSP_ASK_BIND: u32 = 6;

/// The size of rsp_step.buffer: a result of up to this many bytes is written there and needs no
/// rsp_bytes_free().
pub const RSP_BUFFER_LEN: usize = 4096;

/// The outcome of a call. The caller owns the memory, which may be uninitialised. A call writes every
/// field, and in `buffer` only the bytes of a result.
#[repr(C)]
#[derive(Debug)]
pub struct Step {
    /// One of RSP_DONE, RSP_FAILED, RSP_QUESTION, RSP_ABORTED. The call returns it, too.
    pub state: u32,
    /// One of RSP_ASK_… when the state is RSP_QUESTION, else 0.
    pub question: u32,
    /// The number that is the call's result, or 0.
    pub number: i64,
    /// With RSP_QUESTION the path of the question, which belongs to the operation and is valid until
    /// it is resumed or dropped. Otherwise a result longer than RSP_BUFFER_LEN, which the caller frees
    /// by rsp_bytes_free(), or NULL: the result is in `buffer`.
    pub text: *const u8,
    /// The length of the question's path or of the result.
    pub text_len: usize,
    /// The source of RSP_ASK_BIND, valid as long as the path is; else NULL.
    pub source: *const u8,
    /// The source's length.
    pub source_len: usize,
    /// With RSP_FAILED why the call failed, which the caller frees by rsp_error_free(); else NULL.
    pub error: *mut ErrorNode,
    /// With RSP_QUESTION the operation that waits for an answer, which the caller must pass on; else
    /// NULL.
    pub operation: *mut Operation,
    /// A result of up to RSP_BUFFER_LEN bytes, where `text` is NULL.
    pub buffer: [u8; RSP_BUFFER_LEN],
}

/// An outcome of rsp_mount() and rsp_unmount(): done.
pub const RSP_MOUNT_DONE: i64 = 0;
/// An outcome: only mount(8) or umount(8) can do this, and nothing was done.
pub const RSP_MOUNT_FORWARD: i64 = 1;
/// A failure: of the first command that mount-utils runs; of the bind, where it runs two.
pub const RSP_MOUNT_FAILED_FIRST: i64 = 2;
/// A failure: of the second command that mount-utils runs for a bind, the remount.
pub const RSP_MOUNT_FAILED_REMOUNT: i64 = 3;
/// A failure: of the statfs(2) of the source that mount-utils calls between the two.
pub const RSP_MOUNT_FAILED_STATFS: i64 = 4;

/// An answer: the mounter did what it was asked; rsp_answer.value answers a question.
pub const RSP_ANSWER_OK: u32 = 0;
/// An answer: the mounter returned an error.
pub const RSP_ANSWER_ERROR: u32 = 1;
/// An answer: the mounter will never answer, because the caller is unwinding. The operation cleans up
/// as the original's deferred functions do, which may ask further questions, and ends with RSP_ABORTED.
pub const RSP_ANSWER_ABORTED: u32 = 2;

/// What the caller's mounter answered. The texts of an error are passed to rsp_resume() beside it, as
/// packed fields: the text as Go's %s prints it and, only where it differs, the text as %v prints it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// One of RSP_ANSWER_….
    pub kind: u32,
    /// 0 or 1: the answer to a question, which a mounter may give beside an error.
    pub value: u32,
    /// The number by which the caller knows its error, not 0. It comes back in rsp_error.token.
    pub token: u64,
    /// The error's errno, 0 for none.
    pub os_error: i32,
    /// 0 or 1: whether Go's os.IsNotExist is true of the error.
    pub not_exist: u32,
    /// 0 or 1: whether mount-utils' IsCorruptedMnt is true of the error.
    pub corrupted: u32,
}

/// rsp_error.kind: `os_error` alone (Go: syscall.Errno).
pub const RSP_ERROR_ERRNO: u32 = 1;
/// rsp_error.kind: `op`, `path` and `os_error` (Go: *fs.PathError).
pub const RSP_ERROR_PATH: u32 = 2;
/// rsp_error.kind: `text` (Go: fmt.Errorf without %w).
pub const RSP_ERROR_TEXT: u32 = 3;
/// rsp_error.kind: `text`, wrapping `source` (Go: fmt.Errorf with %w).
pub const RSP_ERROR_WRAP: u32 = 4;
/// rsp_error.kind: the mounter's own error, which `token` identifies.
pub const RSP_ERROR_FOREIGN: u32 = 5;
/// rsp_error.kind: Go's fs.ErrNotExist itself.
pub const RSP_ERROR_NOT_EXIST: u32 = 6;

/// Why a call failed: a chain of errors, each wrapping the next. The caller frees the first by
/// rsp_error_free(), which frees the whole chain and all texts in it.
#[repr(C)]
#[derive(Debug)]
pub struct ErrorNode {
    /// One of RSP_ERROR_….
    pub kind: u32,
    /// The errno, 0 for none.
    pub os_error: i32,
    /// The token of RSP_ERROR_FOREIGN, else 0.
    pub token: u64,
    /// The operation of RSP_ERROR_PATH, else NULL.
    pub op: *const u8,
    /// Its length.
    pub op_len: usize,
    /// The path of RSP_ERROR_PATH, else NULL.
    pub path: *const u8,
    /// Its length.
    pub path_len: usize,
    /// The whole text, byte for byte as Go's %s prints the original's error.
    pub text: *const u8,
    /// Its length.
    pub text_len: usize,
    /// The error that RSP_ERROR_WRAP wraps, else NULL.
    pub source: *mut ErrorNode,
}
