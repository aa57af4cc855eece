//! One function per operation. Each checks its call, runs on the caller's thread, and never
//! unwinds.
//!
//! Every comment on a function here goes into the header. What they have in common stands in
//! cbindgen.toml, at the header's top.

use std::os::fd::IntoRawFd;
use subpath_mountinfo::Place;
use subpath_mountinfo::internal::{ByProgram, clean_up_asking, clean_up_natively};

use crate::abi::{self, Answer, ErrorNode, Operation, Options, Step};
use crate::call::{self, ended, export};
use crate::memory;
use crate::reply::Reply;
use subpath::Subpath;
use subpath::internal::{self, DirectoryMode, asking, native, steps};
use subpath_mountinfo::internal::coroutine::AsyncMounter;

/// Returns the version of the boundary that the library was built with.
#[unsafe(no_mangle)]
pub extern "C" fn rsp_abi_version() -> u32 {
    abi::RSP_ABI_VERSION
}

/// Describes the library. The result is one line of text: its version, the kernel features it uses,
/// and how many of its threads hang in a system call. No arguments.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_info(options: *const Options, step: *mut Step) -> u32 {
    export!("telling what it uses", options, std::ptr::null(), 0, step, |_call, []| {
        let line =
            format!("rustsubpath {}, {}", env!("CARGO_PKG_VERSION"), subpath_mountinfo::state());
        ended(Ok(line.into_bytes()))
    })
}

/// Makes a directory and its missing parents below a base, as kubernetes' SafeMakeDir. Arguments:
/// subdir, base. `perm` is Go's os.FileMode. No result. Never asks a question.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_safe_make_dir(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    perm: u32,
    step: *mut Step,
) -> u32 {
    export!("making a directory", options, args, args_len, step, |call, [subdir, base]| {
        ended(internal::safe_make_dir(subdir, base, mode_of(perm), call.profile))
    })
}

/// Mounts a sub path below the pod's directory, as kubernetes' PrepareSafeSubpath. Arguments: path,
/// volume name, volume path, pod directory, container name. The result is the path of the mount.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_prepare_safe_subpath(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    volume_mount_index: i64,
    step: *mut Step,
) -> u32 {
    export!("preparing a sub path", options, args, args_len, step, |call, fields| {
        let (subpath, profile) = (Subpath::from_fields(fields, volume_mount_index), call.profile);
        if !call.asks {
            return ended(native::prepare_safe_subpath(&subpath, profile));
        }
        call.ask(move |mounter| async move {
            asking::prepare_safe_subpath(&mounter, &subpath, profile).await
        })
    })
}

/// Unmounts and removes the sub paths of a pod's volume, as kubernetes' CleanSubPaths. Arguments: pod
/// directory, volume name. No result.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_clean_sub_paths(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    export!("cleaning sub paths", options, args, args_len, step, |call, [pod_dir, volume]| {
        let profile = call.profile;
        if !call.asks {
            return ended(native::clean_sub_paths(pod_dir, volume, profile));
        }
        let (pod_dir, volume) = (pod_dir.to_vec(), volume.to_vec());
        call.ask(move |mounter| async move {
            asking::clean_sub_paths(&mounter, &pod_dir, &volume, profile).await
        })
    })
}

/// Unmounts a path and removes its directory or file, as mount-utils' CleanupMountPoint. Argument: the
/// path. `extensive` is 0 or 1 and stands for extensiveMountPointCheck. No result. With
/// RSP_MOUNTER_KERNEL it asks RSP_ASK_UNMOUNT for a mount that mount(8) recorded in /run/mount/utab;
/// the caller runs umount(8), which removes the record.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_cleanup_mount_point(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    extensive: u32,
    step: *mut Step,
) -> u32 {
    export!("cleaning a mount point", options, args, args_len, step, |call, [path]| {
        let profile = call.profile;
        let extensive = call::flag("extensive", extensive)?;
        let (asks, path) = (call.asks, path.to_vec());
        call.ask(move |caller| async move {
            if asks {
                return clean_up_asking(&caller, Place::at_bytes(&path), extensive, profile).await;
            }
            let mut program = ByProgram::of(&path);
            while program.is_due() {
                program.ended(caller.unmount(Place::at_bytes(&program.argument())).await);
            }
            clean_up_natively(&path, profile)?;
            program.warn_of_rest();
            Ok(())
        })
    })
}

/// Opens a path below a base with O_PATH, without following a symlink, as kubernetes' doSafeOpen.
/// Arguments: path, base. rsp_step.number is the descriptor, which the caller closes. Never asks a
/// question.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_open_beneath(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    export!("opening a path", options, args, args_len, step, |call, [path, base]| {
        ended(
            steps::open_beneath(path, base)
                .map(|fd| Reply { number: i64::from(fd.into_raw_fd()), ..Reply::default() }),
        )
    })
}

/// Makes a directory and its missing parents below a base, as kubernetes' doSafeMakeDir. Arguments:
/// path, base; neither may contain a symlink. `perm` is Go's os.FileMode. No result. Never asks a
/// question.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_make_dir_resolved(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    perm: u32,
    step: *mut Step,
) -> u32 {
    export!("making a directory", options, args, args_len, step, |call, [path, base]| {
        let perm = mode_of(perm);
        ended(steps::make_dir_resolved(path, base, perm, call.profile))
    })
}

/// Finds out how much of a path exists, as kubernetes' findExistingPrefix. Arguments: base, path. The
/// result is packed strings: the part that exists, then the name of each directory that does not. With
/// RSP_FAILED the step has the first string beside the error. Never asks a question.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_existing_prefix(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    let doing = "looking how much of a path exists";
    export!(doing, options, args, args_len, step, |call, [base, path]| {
        let found = steps::existing_prefix(base, path);
        let fields = std::iter::once(&found.path).chain(&found.missing).map(Vec::as_slice);
        ended(Ok(Reply { number: 0, bytes: memory::pack(fields), error: found.error }))
    })
}

/// Removes a directory and its parents up to but without a base, as long as they are empty, as
/// kubernetes' removeEmptyDirs. Arguments: base, directory. No result. Never asks a question.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_remove_empty_dirs(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    export!("removing empty directories", options, args, args_len, step, |call, [base, end]| {
        ended(steps::remove_empty_dirs(base, end))
    })
}

/// Makes the file or directory that a sub path is to be mounted on, as kubernetes'
/// prepareSubpathTarget. Arguments as of rsp_prepare_safe_subpath(). The result is its path;
/// rsp_step.number is 1 if the sub path is mounted there already, else 0.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_prepare_subpath_target(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    volume_mount_index: i64,
    step: *mut Step,
) -> u32 {
    export!("preparing a sub path's target", options, args, args_len, step, |call, fields| {
        let (subpath, profile) = (Subpath::from_fields(fields, volume_mount_index), call.profile);
        if !call.asks {
            return ended(steps::prepare_subpath_target(&subpath, profile));
        }
        call.ask(move |mounter| async move {
            steps::prepare_subpath_target_asking(&mounter, &subpath, profile).await
        })
    })
}

/// Resumes an operation with the answer to its question. It writes a new outcome to `step`: the
/// operation may be done, have failed, or ask again. `texts` are the texts of RSP_ANSWER_ERROR, one or
/// two packed strings (see rsp_answer); with other answers they are ignored.
///
/// The operation belongs to the library from the start of the call on, whatever the call returns.
/// Another thread than the one that began the operation may resume it.
///
/// # Safety
/// See the top of the header; and `operation` comes from a step and is handed back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_resume(
    operation: *mut Operation,
    answer: *const Answer,
    texts: *const u8,
    texts_len: usize,
    step: *mut Step,
) -> u32 {
    // SAFETY: the caller's promise, passed on.
    unsafe { call::resume(operation, answer, texts, texts_len, step) }
}

/// Frees an operation that asked a question, and closes its descriptors, but undoes nothing: a caller
/// that wants a clean-up answers RSP_ANSWER_ABORTED instead. NULL is allowed.
///
/// # Safety
/// `operation` comes from a step and is handed back once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_operation_drop(operation: *mut Operation) {
    // SAFETY: the caller's promise, passed on.
    call::discard(unsafe { memory::take_operation(operation) }.ok());
}

/// Frees the error of a step, and all errors and texts that belong to it. NULL is allowed.
///
/// # Safety
/// `error` comes from a step and is used for the last time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_error_free(error: *mut ErrorNode) {
    // SAFETY: the caller's promise, passed on.
    unsafe { memory::free_error(error) };
}

/// Frees a result that is longer than RSP_BUFFER_LEN: `bytes` and `len` are the step's `text` and
/// `text_len`. NULL is allowed.
///
/// # Safety
/// Pointer and length are the `text` and `text_len` of a step whose state was RSP_DONE or
/// RSP_FAILED, used for the last time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_bytes_free(bytes: *const u8, len: usize) {
    // SAFETY: the caller's promise, passed on.
    unsafe { memory::take_back(bytes, len) };
}

/// The mode that Go's os.FileMode means; mkdirat(2) gets its bits as they are, as from the original.
fn mode_of(go: u32) -> DirectoryMode {
    const SETUID: u32 = 1 << 23;
    const SETGID: u32 = 1 << 22;
    const STICKY: u32 = 1 << 20;
    let special = |bit: u32, kernel: u32| if go & bit != 0 { kernel } else { 0 };
    let special = special(SETUID, 0o4000) | special(SETGID, 0o2000) | special(STICKY, 0o1000);
    DirectoryMode { for_mkdir: go, for_chmod: go & 0o777 | special }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_bits_are_gos() {
        assert_eq!(mode_of(0o750 | 1 << 22 | 1 << 20).for_chmod, 0o3750);
        assert_eq!(mode_of(0o777 | 1 << 23).for_chmod, 0o4777);
        assert_eq!(mode_of(0o7777).for_chmod, 0o777, "the kernel's own bits mean nothing");
    }
}
