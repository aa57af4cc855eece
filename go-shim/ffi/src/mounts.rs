//! The mount table and the mount point checks: one function per question, none of which asks its
//! caller anything.
//!
//! Every comment on a function here goes into the header.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use subpath_mountinfo::internal::paths::path_of;
use subpath_mountinfo::table::{MountOptions, MountTable, mount_refs};
use subpath_mountinfo::{KernelMounter, MountRecord, Mounter, Result};

use crate::abi::{Options, Step};
use crate::call::{ended, export};
use crate::memory;
use crate::reply::Reply;

/// Finds out whether something is mounted at a path, as mount-utils' IsMountPoint. Argument: the path.
/// rsp_step.number is 1 if so, else 0.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_is_mount_point(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    let doing = "looking whether something is mounted";
    export!(doing, options, args, args_len, step, |call, [path]| {
        ended(subpath_mountinfo::is_mount_point(path_of(path)))
    })
}

/// Finds out whether nothing is mounted at a path, as mount-utils' IsLikelyNotMountPoint. Argument:
/// the path. rsp_step.number is 1 if so, else 0. An error is a bare errno.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_is_likely_not_mount_point(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    export!("looking whether nothing is mounted", options, args, args_len, step, |call, [path]| {
        ended(subpath_mountinfo::is_likely_not_mount_point(path_of(path)))
    })
}

/// Reads the mount table in a file, as mount-utils' ParseMountInfo. Argument: the path of the file.
/// rsp_step.number is how many mounts the result has.
///
/// The result is one run of bytes. A number in it is eight little-endian bytes; a string is its length
/// as a number, then its bytes; a list is the number of its strings, then the strings. First comes a
/// number: how many strings all lists have together. Then for each mount, in the table's order: the
/// numbers mount id, parent id, major and minor; the strings root, mount point, file system type and
/// source; the lists optional fields, mount options and super options. The kernel's escapes are
/// decoded.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_mount_table(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    export!("reading a mount table", options, args, args_len, step, |call, [file]| {
        ended(MountTable::open(path_of(file)).and_then(|table| pack_table(&table)))
    })
}

/// Lists every mount that the calling thread sees, with the fields of /proc/mounts, as mount-utils'
/// List. No arguments. rsp_step.number is how many mounts the result has.
///
/// The result is packed as that of rsp_mount_table(). For each mount it has the strings source, mount
/// point and file system type, and the list of the options.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_list_mounts(options: *const Options, step: *mut Step) -> u32 {
    export!("listing mounts", options, std::ptr::null(), 0, step, |_call, []| {
        ended(list_mounts())
    })
}

/// Finds the other paths at which the directory or file at a path is mounted, according to the mount
/// table in a file, as mount-utils' SearchMountPoints. Arguments: the path, which must not contain a
/// symlink; the path of the file. The result is packed strings.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_search_mount_points(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    export!("searching mount points", options, args, args_len, step, |call, [source, file]| {
        ended(search_mount_points(path_of(source), path_of(file)).map(pack_paths))
    })
}

/// Finds the other paths at which the directory or file at a path is mounted, as mount-utils'
/// GetMountRefs. It follows symlinks. Argument: the path. The result is packed strings.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_mount_refs(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    step: *mut Step,
) -> u32 {
    export!("searching mount references", options, args, args_len, step, |call, [file]| {
        ended(mount_refs(path_of(file)).map(pack_paths))
    })
}

/// Unmounts a path and removes its directory or file, as mount-utils' CleanupMountWithForce. An
/// unmount that takes longer than `timeout` nanoseconds, and 100 ms at least, is repeated with
/// MNT_FORCE. The call returns after three times that time at the latest for one mount, and after ten
/// times for all mounts at the path. Argument: the path. No result. It uses the library's own mounter,
/// whatever rsp_options says.
///
/// # Safety
/// See the top of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsp_cleanup_mount_with_force(
    options: *const Options,
    args: *const u8,
    args_len: usize,
    timeout: u64,
    step: *mut Step,
) -> u32 {
    export!("cleaning a mount point by force", options, args, args_len, step, |call, [file]| {
        let profile = call.profile;
        let timeout = Duration::from_nanos(timeout);
        let clean = subpath_mountinfo::cleanup_mount_with_force;
        ended(clean(&KernelMounter, path_of(file), true, timeout, profile))
    })
}

/// The mounts of a table; see [`rsp_mount_table`].
pub(crate) fn pack_table(table: &MountTable) -> Result<Reply> {
    // Most of a line is text, and every field adds a length.
    let mut packed = Packed::new(2 * table.as_bytes().len());
    for record in table {
        packed.record(&record?);
    }
    Ok(packed.into())
}

/// See [`rsp_list_mounts`].
fn list_mounts() -> Result<Reply> {
    let mounts = KernelMounter.list()?;
    let mut packed = Packed::new(256 * mounts.len());
    for mount in &mounts {
        packed.mounts += 1;
        for field in [mount.device.as_os_str(), mount.path.as_os_str(), &mount.fs_type] {
            memory::pack_one(&mut packed.bytes, field.as_bytes());
        }
        packed.list(mount.options.iter().map(|option| option.as_os_str()));
    }
    Ok(packed.into())
}

/// A search by a table of which every line was looked at: whoever goes by the answer may remove what
/// nothing refers to, which half a table must not allow.
fn search_mount_points(source: &Path, file: &Path) -> Result<Vec<PathBuf>> {
    let table = MountTable::open(file)?;
    for record in &table {
        record?;
    }
    table.search_mount_points(source)
}

fn pack_paths(paths: Vec<PathBuf>) -> Vec<u8> {
    memory::pack(paths.iter().map(|path| path.as_os_str().as_bytes()))
}

/// A packed list of mounts that is being written.
pub(crate) struct Packed {
    bytes: Vec<u8>,
    mounts: i64,
    listed: u64,
}

impl Packed {
    pub(crate) fn new(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity + 8);
        bytes.extend_from_slice(&[0; 8]); // the number of listed strings goes here
        Packed { bytes, mounts: 0, listed: 0 }
    }

    /// A mount, as [`rsp_mount_table`] describes it.
    pub(crate) fn record(&mut self, record: &MountRecord) {
        self.mounts += 1;
        self.number(record.id);
        self.number(record.parent_id);
        self.number(record.device.major.into());
        self.number(record.device.minor.into());
        let paths = [record.root.as_os_str(), record.mount_point.as_os_str()];
        for field in paths.into_iter().chain([&*record.fs_type, &*record.source]) {
            memory::pack_one(&mut self.bytes, field.as_bytes());
        }
        self.list(record.optional_fields.iter());
        for options in [&record.mount_options, &record.super_options] {
            self.list(MountOptions::iter(options));
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn list(&mut self, strings: impl Iterator<Item = impl AsRef<OsStr>>) {
        let at = self.bytes.len();
        self.number(0);
        let mut count: u64 = 0;
        for string in strings {
            memory::pack_one(&mut self.bytes, string.as_ref().as_bytes());
            count += 1;
        }
        self.bytes[at..at + 8].copy_from_slice(&count.to_le_bytes());
        self.listed += count;
    }
}

impl From<Packed> for Reply {
    fn from(mut packed: Packed) -> Self {
        packed.bytes[..8].copy_from_slice(&packed.listed.to_le_bytes());
        Reply { number: packed.mounts, bytes: packed.bytes, error: None }
    }
}
