//! The types and numbers that cross the boundary. This file is the header's source: every comment
//! here is written for whoever reads `rustsubpath.h`.

/// An operation that asked its caller a question and waits for the answer.
#[derive(Debug)]
pub struct Operation(());

/// The version of this boundary. A caller compares it with what rsp_abi_version() answers and
/// passes it in rsp_options; any other number is refused.
pub const RSP_ABI_VERSION: u32 = 3;

/// rsp_options.profile: behave as kubernetes v1.29 … v1.36.
pub const RSP_PROFILE_V129: u32 = 0;
/// rsp_options.profile: behave as kubernetes v1.37.
pub const RSP_PROFILE_V137: u32 = 1;

/// rsp_options.mounter: the library mounts and unmounts itself.
pub const RSP_MOUNTER_KERNEL: u32 = 0;
/// rsp_options.mounter: the caller is asked, step by step.
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

/// What a call needs to know besides its arguments. Read during the call only; a call that returns
/// a question keeps a copy.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// RSP_ABI_VERSION.
    pub abi: u32,
    /// One of RSP_PROFILE_….
    pub profile: u32,
    /// One of RSP_MOUNTER_….
    pub mounter: u32,
    /// The highest of 3, 4 and 5 whose lines the caller wants, or less for none of them. Warnings
    /// and errors always come.
    pub verbosity: i32,
    /// Receives each log line while the call that made it is running, on the same thread; NULL for
    /// none. The line has no newline at its end, belongs to the library and is gone when the
    /// function returns. The function must return: it may neither unwind nor jump.
    pub log: Option<extern "C" fn(handle: u64, level: i32, line: *const u8, line_len: usize)>,
    /// Passed to `log` as it is.
    pub log_handle: u64,
}

/// How a call went: it is done, and the result is in the step.
pub const RSP_DONE: u32 = 0;
/// How a call went: it failed, and rsp_step.error says why. The error is the caller's to free by
/// rsp_error_free().
pub const RSP_FAILED: u32 = 1;
/// How a call went: it has a question for the caller's mounter. rsp_step.operation is the caller's,
/// who must hand it to rsp_resume() or rsp_operation_drop().
pub const RSP_QUESTION: u32 = 2;
/// How a call went: the caller gave it up by RSP_ANSWER_ABORTED and its clean-up is done. Nothing is
/// left to free.
pub const RSP_ABORTED: u32 = 3;
/// How a call went: there was no step to write to.
pub const RSP_NO_STEP: u32 = 4;

/// A question: is something mounted at `text`? Answered by a value, or an error.
pub const RSP_ASK_IS_MOUNT_POINT: u32 = 1;
/// A question: is `text` likely not a mount point? Answered by a value, or an error.
pub const RSP_ASK_IS_LIKELY_NOT_MOUNT_POINT: u32 = 2;
/// A question: may what is not mounted be unmounted all the same? Answered by a value.
pub const RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK: u32 = 3;
/// A request: unmount what is topmost at `text`.
pub const RSP_ASK_UNMOUNT: u32 = 4;
/// A request: detach what is topmost at `text`, busy or not.
pub const RSP_ASK_UNMOUNT_LAZILY: u32 = 5;
/// A request: bind `source` (/proc/PID/fd/N; /proc/TID/fd/N where the calling thread has a descriptor table
/// of its own) to `text`.
pub const RSP_ASK_BIND: u32 = 6;

/// The size of rsp_step.buffer: a result of up to this many bytes is written there and needs no
/// rsp_bytes_free().
pub const RSP_BUFFER_LEN: usize = 4096;

/// How a call went and what it says. The caller owns the memory, which may be uninitialised; a call
/// writes every field, and of `buffer` only what a result takes.
#[repr(C)]
#[derive(Debug)]
pub struct Step {
    /// One of RSP_DONE, RSP_FAILED, RSP_QUESTION, RSP_ABORTED; the call returns the same.
    pub state: u32,
    /// One of RSP_ASK_… when the state is RSP_QUESTION, else 0.
    pub question: u32,
    /// The number a call results in, or 0.
    pub number: i64,
    /// A question's path, which belongs to the operation and is gone at the next rsp_resume(); or a
    /// result longer than RSP_BUFFER_LEN, which is the caller's to free by rsp_bytes_free(); or NULL:
    /// the result is in `buffer`.
    pub text: *const u8,
    /// The length of the path or result.
    pub text_len: usize,
    /// The source of RSP_ASK_BIND, owned as the path is; else NULL.
    pub source: *const u8,
    /// The source's length.
    pub source_len: usize,
    /// Why the call failed; the caller's to free by rsp_error_free(). NULL but for RSP_FAILED.
    pub error: *mut ErrorNode,
    /// What waits for an answer; the caller's to hand back. NULL but for RSP_QUESTION.
    pub operation: *mut Operation,
    /// A result of up to RSP_BUFFER_LEN bytes, when `text` is NULL.
    pub buffer: [u8; RSP_BUFFER_LEN],
}

/// An answer: the mounter did what it was asked; rsp_answer.value is what it said.
pub const RSP_ANSWER_OK: u32 = 0;
/// An answer: the mounter returned an error.
pub const RSP_ANSWER_ERROR: u32 = 1;
/// An answer: the mounter will never answer, since the caller is unwinding. The operation cleans up
/// as the original's deferred functions do, which may ask further questions, and then ends in
/// RSP_ABORTED.
pub const RSP_ANSWER_ABORTED: u32 = 2;

/// What the caller's mounter said. Its texts travel beside it: as fields (see rsp_resume()), the
/// error's text as Go's %s prints it and, only where it differs, the text as %v prints it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// One of RSP_ANSWER_….
    pub kind: u32,
    /// 0 or 1: what a question was answered, beside an error too.
    pub value: u32,
    /// The caller's own number for its error, handed back in rsp_error.token; not 0.
    pub token: u64,
    /// The errno behind the error, 0 for none.
    pub os_error: i32,
    /// 0 or 1: Go's os.IsNotExist holds for the error.
    pub not_exist: u32,
    /// 0 or 1: mount-utils' IsCorruptedMnt holds for the error.
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
/// rsp_error.kind: the mounter's own error, known by `token`.
pub const RSP_ERROR_FOREIGN: u32 = 5;
/// rsp_error.kind: Go's fs.ErrNotExist itself.
pub const RSP_ERROR_NOT_EXIST: u32 = 6;

/// Why a call failed. The head is the caller's to free by rsp_error_free(), which frees everything
/// that hangs on it; nothing of it is freed alone.
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
    /// What RSP_ERROR_WRAP wraps, else NULL.
    pub source: *mut ErrorNode,
}
