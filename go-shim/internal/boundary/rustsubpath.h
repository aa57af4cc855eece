/*
 * rustsubpath: kubernetes' safe subPath mounting, in Rust.
 *
 * Made from go-shim/ffi by cbindgen. Change it there and run `make header`.
 *
 * What all calls have in common:
 *
 * - They run on the calling thread, on any number of threads at once, and never unwind.
 * - Bytes are a pointer and a length. The pointer may be NULL where the length is 0. No string ends
 *   in NUL. A NUL inside a path gives EINVAL, as in Go.
 * - Arguments are packed into one run of bytes, in the order the call names them: for each, its
 *   length as eight little-endian bytes, then its bytes.
 * - Everything passed in belongs to the caller, is only read, and is not used after the call has
 *   returned. The step is the caller's memory and need not be initialised.
 * - The fields of rsp_step say what a call leaves there, and what of it the caller has to free.
 *   Nothing else has to be freed.
 * - A NULL pointer, a length longer than any object, a number that is not listed here, or another
 *   ABI version gives RSP_FAILED with an error that wraps EINVAL; without a step it gives
 *   RSP_NO_STEP. A pointer to memory that does not exist cannot be detected.
 */


#ifndef RUSTSUBPATH_H
#define RUSTSUBPATH_H

#include <stddef.h>
#include <stdint.h>

// The version of this boundary. A caller passes it in rsp_options, and any other number is refused. A
// caller can compare it with rsp_abi_version() to see whether the header and the library fit.
#define RSP_ABI_VERSION 4

// rsp_options.profile: behave as kubernetes v1.29 … v1.36.
#define RSP_PROFILE_V129 0

// rsp_options.profile: behave as kubernetes v1.37.
#define RSP_PROFILE_V137 1

// rsp_options.mounter: the library mounts and unmounts by system calls.
#define RSP_MOUNTER_KERNEL 0

// rsp_options.mounter: the library asks the caller to mount and unmount (see RSP_QUESTION).
#define RSP_MOUNTER_CALLER 1

// A log line's level: klog's Error.
#define RSP_LOG_ERROR 1

// A log line's level: klog's Warning.
#define RSP_LOG_WARNING 2

// A log line's level: klog's V(3).
#define RSP_LOG_V3 3

// A log line's level: klog's V(4).
#define RSP_LOG_V4 4

// A log line's level: klog's V(5).
#define RSP_LOG_V5 5

// A state: the operation is done, and the step has its result.
#define RSP_DONE 0

// A state: the operation failed, and rsp_step.error says why. The caller frees the error by
// rsp_error_free().
#define RSP_FAILED 1

// A state: the operation has a question for the caller's mounter, rsp_step.question. The caller must
// pass rsp_step.operation to rsp_resume() or rsp_operation_drop().
#define RSP_QUESTION 2

// A state: the caller gave the operation up by RSP_ANSWER_ABORTED, and the operation has cleaned up.
// Nothing is left to free.
#define RSP_ABORTED 3

// A state: the step was NULL or not aligned, and nothing was done.
#define RSP_NO_STEP 4

// A question: is something mounted at `text`? Answered by a value, or an error.
#define RSP_ASK_IS_MOUNT_POINT 1

// A question: is `text` likely not a mount point? Answered by a value, or an error.
#define RSP_ASK_IS_LIKELY_NOT_MOUNT_POINT 2

// A question: mount-utils' CanSafelySkipMountPointCheck, whether a path may be unmounted without a
// check that it is a mount point. Answered by a value.
#define RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK 3

// A request: unmount the topmost mount at `text`.
#define RSP_ASK_UNMOUNT 4

// A request: detach the topmost mount at `text` even if it is busy (MNT_DETACH).
#define RSP_ASK_UNMOUNT_LAZILY 5

// A request: bind-mount `source` at `text`. `source` is /proc/PID/fd/N, or /proc/TID/fd/N where the
// calling thread has a descriptor table of its own.
#define RSP_ASK_BIND 6

// The size of rsp_step.buffer: a result of up to this many bytes is written there and needs no
// rsp_bytes_free().
#define RSP_BUFFER_LEN 4096

// An outcome of rsp_mount() and rsp_unmount(): done.
#define RSP_MOUNT_DONE 0

// An outcome: only mount(8) or umount(8) can do this, and nothing was done.
#define RSP_MOUNT_FORWARD 1

// A failure: of the first command that mount-utils runs; of the bind, where it runs two.
#define RSP_MOUNT_FAILED_FIRST 2

// A failure: of the second command that mount-utils runs for a bind, the remount.
#define RSP_MOUNT_FAILED_REMOUNT 3

// A failure: of the statfs(2) of the source that mount-utils calls between the two.
#define RSP_MOUNT_FAILED_STATFS 4

// An answer: the mounter did what it was asked; rsp_answer.value answers a question.
#define RSP_ANSWER_OK 0

// An answer: the mounter returned an error.
#define RSP_ANSWER_ERROR 1

// An answer: the mounter will never answer, because the caller is unwinding. The operation cleans up
// as the original's deferred functions do, which may ask further questions, and ends with RSP_ABORTED.
#define RSP_ANSWER_ABORTED 2

// rsp_error.kind: `os_error` alone (Go: syscall.Errno).
#define RSP_ERROR_ERRNO 1

// rsp_error.kind: `op`, `path` and `os_error` (Go: *fs.PathError).
#define RSP_ERROR_PATH 2

// rsp_error.kind: `text` (Go: fmt.Errorf without %w).
#define RSP_ERROR_TEXT 3

// rsp_error.kind: `text`, wrapping `source` (Go: fmt.Errorf with %w).
#define RSP_ERROR_WRAP 4

// rsp_error.kind: the mounter's own error, which `token` identifies.
#define RSP_ERROR_FOREIGN 5

// rsp_error.kind: Go's fs.ErrNotExist itself.
#define RSP_ERROR_NOT_EXIST 6

// An operation that asked the caller a question and waits for the answer.
struct rsp_operation;

// What a call needs besides its arguments. It is read during the call only; an operation that asks a
// question keeps a copy.
struct rsp_options {
  // RSP_ABI_VERSION.
  uint32_t abi;
  // One of RSP_PROFILE_….
  uint32_t profile;
  // One of RSP_MOUNTER_….
  uint32_t mounter;
  // The highest of the log levels 3, 4 and 5 that the caller wants, or a lower number for none of
  // them. Warnings and errors are always passed to `log`.
  int32_t verbosity;
  // Called for each log line during the call, on the calling thread; NULL for no log. `level` is one
  // of RSP_LOG_…. The line has no newline at its end, belongs to the library and is valid until the
  // function returns. The function must return: it may neither unwind nor longjmp.
  void (*log)(uint64_t handle, int32_t level, const uint8_t *line, size_t line_len);
  // Passed to `log` unchanged.
  uint64_t log_handle;
};

// Why a call failed: a chain of errors, each wrapping the next. The caller frees the first by
// rsp_error_free(), which frees the whole chain and all texts in it.
struct rsp_error {
  // One of RSP_ERROR_….
  uint32_t kind;
  // The errno, 0 for none.
  int32_t os_error;
  // The token of RSP_ERROR_FOREIGN, else 0.
  uint64_t token;
  // The operation of RSP_ERROR_PATH, else NULL.
  const uint8_t *op;
  // Its length.
  size_t op_len;
  // The path of RSP_ERROR_PATH, else NULL.
  const uint8_t *path;
  // Its length.
  size_t path_len;
  // The whole text, byte for byte as Go's %s prints the original's error.
  const uint8_t *text;
  // Its length.
  size_t text_len;
  // The error that RSP_ERROR_WRAP wraps, else NULL.
  struct rsp_error *source;
};

// The outcome of a call. The caller owns the memory, which may be uninitialised. A call writes every
// field, and in `buffer` only the bytes of a result.
struct rsp_step {
  // One of RSP_DONE, RSP_FAILED, RSP_QUESTION, RSP_ABORTED. The call returns it, too.
  uint32_t state;
  // One of RSP_ASK_… when the state is RSP_QUESTION, else 0.
  uint32_t question;
  // The number that is the call's result, or 0.
  int64_t number;
  // With RSP_QUESTION the path of the question, which belongs to the operation and is valid until
  // it is resumed or dropped. Otherwise a result longer than RSP_BUFFER_LEN, which the caller frees
  // by rsp_bytes_free(), or NULL: the result is in `buffer`.
  const uint8_t *text;
  // The length of the question's path or of the result.
  size_t text_len;
  // The source of RSP_ASK_BIND, valid as long as the path is; else NULL.
  const uint8_t *source;
  // The source's length.
  size_t source_len;
  // With RSP_FAILED why the call failed, which the caller frees by rsp_error_free(); else NULL.
  struct rsp_error *error;
  // With RSP_QUESTION the operation that waits for an answer, which the caller must pass on; else
  // NULL.
  struct rsp_operation *operation;
  // A result of up to RSP_BUFFER_LEN bytes, where `text` is NULL.
  uint8_t buffer[RSP_BUFFER_LEN];
};

// What the caller's mounter answered. The texts of an error are passed to rsp_resume() beside it, as
// packed fields: the text as Go's %s prints it and, only where it differs, the text as %v prints it.
struct rsp_answer {
  // One of RSP_ANSWER_….
  uint32_t kind;
  // 0 or 1: the answer to a question, which a mounter may give beside an error.
  uint32_t value;
  // The number by which the caller knows its error, not 0. It comes back in rsp_error.token.
  uint64_t token;
  // The error's errno, 0 for none.
  int32_t os_error;
  // 0 or 1: whether Go's os.IsNotExist is true of the error.
  uint32_t not_exist;
  // 0 or 1: whether mount-utils' IsCorruptedMnt is true of the error.
  uint32_t corrupted;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns the version of the boundary that the library was built with.
uint32_t rsp_abi_version(void);

// Describes the library. The result is one line of text: its version, the kernel features it uses,
// and how many of its threads hang in a system call. No arguments.
uint32_t rsp_info(const struct rsp_options *options, struct rsp_step *step);

// Makes a directory and its missing parents below a base, as kubernetes' SafeMakeDir. Arguments:
// subdir, base. `perm` is Go's os.FileMode. No result. Never asks a question.
uint32_t rsp_safe_make_dir(const struct rsp_options *options,
                           const uint8_t *args,
                           size_t args_len,
                           uint32_t perm,
                           struct rsp_step *step);

// Mounts a sub path below the pod's directory, as kubernetes' PrepareSafeSubpath. Arguments: path,
// volume name, volume path, pod directory, container name. The result is the path of the mount.
uint32_t rsp_prepare_safe_subpath(const struct rsp_options *options,
                                  const uint8_t *args,
                                  size_t args_len,
                                  int64_t volume_mount_index,
                                  struct rsp_step *step);

// Unmounts and removes the sub paths of a pod's volume, as kubernetes' CleanSubPaths. Arguments: pod
// directory, volume name. No result.
uint32_t rsp_clean_sub_paths(const struct rsp_options *options,
                             const uint8_t *args,
                             size_t args_len,
                             struct rsp_step *step);

// Unmounts a path and removes its directory or file, as mount-utils' CleanupMountPoint. Argument: the
// path. `extensive` is 0 or 1 and stands for extensiveMountPointCheck. No result. With
// RSP_MOUNTER_KERNEL it asks RSP_ASK_UNMOUNT for a mount that mount(8) recorded in /run/mount/utab;
// the caller runs umount(8), which removes the record.
uint32_t rsp_cleanup_mount_point(const struct rsp_options *options,
                                 const uint8_t *args,
                                 size_t args_len,
                                 uint32_t extensive,
                                 struct rsp_step *step);

// Opens a path below a base with O_PATH, without following a symlink, as kubernetes' doSafeOpen.
// Arguments: path, base. rsp_step.number is the descriptor, which the caller closes. Never asks a
// question.
uint32_t rsp_open_beneath(const struct rsp_options *options,
                          const uint8_t *args,
                          size_t args_len,
                          struct rsp_step *step);

// Makes a directory and its missing parents below a base, as kubernetes' doSafeMakeDir. Arguments:
// path, base; neither may contain a symlink. `perm` is Go's os.FileMode. No result. Never asks a
// question.
uint32_t rsp_make_dir_resolved(const struct rsp_options *options,
                               const uint8_t *args,
                               size_t args_len,
                               uint32_t perm,
                               struct rsp_step *step);

// Finds out how much of a path exists, as kubernetes' findExistingPrefix. Arguments: base, path. The
// result is packed strings: the part that exists, then the name of each directory that does not. With
// RSP_FAILED the step has the first string beside the error. Never asks a question.
uint32_t rsp_existing_prefix(const struct rsp_options *options,
                             const uint8_t *args,
                             size_t args_len,
                             struct rsp_step *step);

// Removes a directory and its parents up to but without a base, as long as they are empty, as
// kubernetes' removeEmptyDirs. Arguments: base, directory. No result. Never asks a question.
uint32_t rsp_remove_empty_dirs(const struct rsp_options *options,
                               const uint8_t *args,
                               size_t args_len,
                               struct rsp_step *step);

// Makes the file or directory that a sub path is to be mounted on, as kubernetes'
// prepareSubpathTarget. Arguments as of rsp_prepare_safe_subpath(). The result is its path;
// rsp_step.number is 1 if the sub path is mounted there already, else 0.
uint32_t rsp_prepare_subpath_target(const struct rsp_options *options,
                                    const uint8_t *args,
                                    size_t args_len,
                                    int64_t volume_mount_index,
                                    struct rsp_step *step);

// Resumes an operation with the answer to its question. It writes a new outcome to `step`: the
// operation may be done, have failed, or ask again. `texts` are the texts of RSP_ANSWER_ERROR, one or
// two packed strings (see rsp_answer); with other answers they are ignored.
//
// The operation belongs to the library from the start of the call on, whatever the call returns.
// Another thread than the one that began the operation may resume it.
uint32_t rsp_resume(struct rsp_operation *operation,
                    const struct rsp_answer *answer,
                    const uint8_t *texts,
                    size_t texts_len,
                    struct rsp_step *step);

// Frees an operation that asked a question, and closes its descriptors, but undoes nothing: a caller
// that wants a clean-up answers RSP_ANSWER_ABORTED instead. NULL is allowed.
void rsp_operation_drop(struct rsp_operation *operation);

// Frees the error of a step, and all errors and texts that belong to it. NULL is allowed.
void rsp_error_free(struct rsp_error *error);

// Frees a result that is longer than RSP_BUFFER_LEN: `bytes` and `len` are the step's `text` and
// `text_len`. NULL is allowed.
void rsp_bytes_free(const uint8_t *bytes, size_t len);

// Finds out whether something is mounted at a path, as mount-utils' IsMountPoint. Argument: the path.
// rsp_step.number is 1 if so, else 0.
uint32_t rsp_is_mount_point(const struct rsp_options *options,
                            const uint8_t *args,
                            size_t args_len,
                            struct rsp_step *step);

// Finds out whether nothing is mounted at a path, as mount-utils' IsLikelyNotMountPoint. Argument:
// the path. rsp_step.number is 1 if so, else 0. An error is a bare errno.
uint32_t rsp_is_likely_not_mount_point(const struct rsp_options *options,
                                       const uint8_t *args,
                                       size_t args_len,
                                       struct rsp_step *step);

// Reads the mount table in a file, as mount-utils' ParseMountInfo. Argument: the path of the file.
// rsp_step.number is how many mounts the result has.
//
// The result is one run of bytes. A number in it is eight little-endian bytes; a string is its length
// as a number, then its bytes; a list is the number of its strings, then the strings. First comes a
// number: how many strings all lists have together. Then for each mount, in the table's order: the
// numbers mount id, parent id, major and minor; the strings root, mount point, file system type and
// source; the lists optional fields, mount options and super options. The kernel's escapes are
// decoded.
uint32_t rsp_mount_table(const struct rsp_options *options,
                         const uint8_t *args,
                         size_t args_len,
                         struct rsp_step *step);

// Lists every mount that the calling thread sees, with the fields of /proc/mounts, as mount-utils'
// List. No arguments. rsp_step.number is how many mounts the result has.
//
// The result is packed as that of rsp_mount_table(). For each mount it has the strings source, mount
// point and file system type, and the list of the options.
uint32_t rsp_list_mounts(const struct rsp_options *options,
                         struct rsp_step *step);

// Finds the other paths at which the directory or file at a path is mounted, according to the mount
// table in a file, as mount-utils' SearchMountPoints. Arguments: the path, which must not contain a
// symlink; the path of the file. The result is packed strings.
uint32_t rsp_search_mount_points(const struct rsp_options *options,
                                 const uint8_t *args,
                                 size_t args_len,
                                 struct rsp_step *step);

// Finds the other paths at which the directory or file at a path is mounted, as mount-utils'
// GetMountRefs. It follows symlinks. Argument: the path. The result is packed strings.
uint32_t rsp_mount_refs(const struct rsp_options *options,
                        const uint8_t *args,
                        size_t args_len,
                        struct rsp_step *step);

// Unmounts a path and removes its directory or file, as mount-utils' CleanupMountWithForce. An
// unmount that takes longer than `timeout` nanoseconds, and 100 ms at least, is repeated with
// MNT_FORCE. The call returns after three times that time at the latest for one mount, and after ten
// times for all mounts at the path. Argument: the path. No result. It uses the library's own mounter,
// whatever rsp_options says.
uint32_t rsp_cleanup_mount_with_force(const struct rsp_options *options,
                                      const uint8_t *args,
                                      size_t args_len,
                                      uint64_t timeout,
                                      struct rsp_step *step);

// Mounts as mount-utils' MountSensitiveWithoutSystemdWithMountFlags, without mount(8). Arguments:
// source, target, file system type, options, sensitive options, mount flags, log lines. The last four are
// lists: the strings of each are packed as arguments are, and that is one argument. The log lines are those
// of mount-utils' commands, one for each. They are logged at V(4): the first before anything is done; none if
// only mount(8) can do this. If the list is empty, the library logs a line of its own.
//
// RSP_DONE: rsp_step.number is RSP_MOUNT_DONE; or RSP_MOUNT_FORWARD where only mount(8) can do this:
// nothing was done, the result is the reason, and the caller goes on with mount-utils' own Mounter.
//
// RSP_FAILED: rsp_step.number is one of RSP_MOUNT_FAILED_…, the command of mount-utils that failed;
// the result is what mount(8) prints there, and its exit status is 32. The error is RSP_ERROR_PATH with
// the errno. Nothing is left mounted. No sensitive option stands in any text. If the number is 0, the
// call itself was wrong.
uint32_t rsp_mount(const struct rsp_options *options,
                   const uint8_t *args,
                   size_t args_len,
                   struct rsp_step *step);

// Unmounts as mount-utils' Unmount, without umount(8). Argument: the target. The outcome is that of
// rsp_mount() with RSP_MOUNT_FAILED_FIRST alone. If nothing is mounted there it is RSP_MOUNT_DONE.
uint32_t rsp_unmount(const struct rsp_options *options,
                     const uint8_t *args,
                     size_t args_len,
                     struct rsp_step *step);

// Unmounts as mount-utils' UnmountWithForce, without umount(8): as rsp_unmount(), and if that takes longer
// than `timeout` nanoseconds, and 100 ms at least, with MNT_FORCE. Argument: the target. The call returns
// after six times that time at the latest.
uint32_t rsp_unmount_with_force(const struct rsp_options *options,
                                const uint8_t *args,
                                size_t args_len,
                                uint64_t timeout,
                                struct rsp_step *step);

// Finds the mount whose root is at a path, the topmost of a stack, in constant time where the kernel is
// new enough. It follows symlinks. Argument: the path. rsp_step.number is 1, or 0 if nothing is mounted
// there.
//
// The result is packed as that of rsp_mount_table() for one mount, and ends with one more list, the
// options as /proc/mounts shows them.
uint32_t rsp_mount_at(const struct rsp_options *options,
                      const uint8_t *args,
                      size_t args_len,
                      struct rsp_step *step);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RUSTSUBPATH_H */
