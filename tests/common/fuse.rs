//! A small FUSE server for tests, speaking the kernel's protocol on /dev/fuse, that can be told to
//! hang, to die, to answer an errno, and to forget or replace what it serves.
//!
//! The structures are those of linux/fuse.h, protocol 7.31.
#![allow(dead_code)]

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{O_CLOEXEC, O_NONBLOCK, S_IFDIR, S_IFREG};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The requests that the tests name.
pub mod op {
    pub const LOOKUP: u32 = 1;
    pub const GETATTR: u32 = 3;
    pub const SETATTR: u32 = 4;
    pub const MKNOD: u32 = 8;
    pub const MKDIR: u32 = 9;
    pub const UNLINK: u32 = 10;
    pub const RMDIR: u32 = 11;
    pub const OPEN: u32 = 14;
    pub const OPENDIR: u32 = 27;
    pub const CREATE: u32 = 35;
}

const FORGET: u32 = 2;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const READDIR: u32 = 28;
const RELEASEDIR: u32 = 29;
const ACCESS: u32 = 34;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;
const BATCH_FORGET: u32 = 42;

const IN_HEADER: usize = 40;
const ROOT: u64 = 1;
/// Whether a server that is told to go waits. One for the process, so that whoever ends it finds it:
/// by then the mount is in no table any more.
static HELD_AT_THE_END: AtomicBool = AtomicBool::new(false);

/// What the server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mood {
    #[default]
    Serving,
    /// Requests are taken and never answered.
    Hung,
    /// Everything is answered with the errno.
    Failing(i32),
}

#[derive(Debug)]
struct Node {
    mode: u32,
    /// The inode number, where it is not the server's own number of the node.
    ino: Option<u64>,
    children: BTreeMap<Vec<u8>, u64>,
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    failing_op: Option<(u32, i32)>,
    nodes: HashMap<u64, Node>,
    next: u64,
    asked: usize,
    /// A directory listing never ends.
    endless: bool,
    /// Listed in every directory, though it is in none.
    everywhere: Option<Vec<u8>>,
    /// What takes the place of the next directory that is made.
    exchanged_for: Option<Vec<u8>>,
    /// The mode of every directory, whatever was asked for.
    fixed_mode: Option<u32>,
    /// Requests that came while it hung.
    held: Vec<Vec<u8>>,
    /// How many lookups come before one that is answered late, and how late.
    slow_lookup: Option<(usize, Duration)>,
    /// How many seconds the kernel may trust what it was told.
    valid: u64,
    /// Whether it has greeted the kernel (`FUSE_INIT`).
    ready: bool,
    /// Whether it was told to go (`FUSE_DESTROY`).
    told_to_go: bool,
}

impl State {
    fn resolve(&self, path: &str) -> u64 {
        path.split('/').filter(|name| !name.is_empty()).fold(ROOT, |at, name| {
            *self.nodes[&at].children.get(name.as_bytes()).expect("an entry that exists")
        })
    }

    fn add(&mut self, parent: u64, name: &[u8], mode: u32) -> u64 {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, Node { mode, ino: None, children: BTreeMap::new() });
        self.nodes.get_mut(&parent).expect("a directory").children.insert(name.to_vec(), id);
        id
    }
}

/// A mounted FUSE file system and its server.
pub struct Fuse {
    state: Arc<Mutex<State>>,
    stop: Option<UnixStream>,
    server: Option<JoinHandle<()>>,
}

impl Fuse {
    /// Mounts a new one. `options` is added to the mount options, `allow_other` say.
    pub fn mount(at: &Path, options: &str) -> Fuse {
        Fuse::mount_type("fuse.test", "test", at, options)
    }

    /// Mounts one that lies on a block device: unmounting it waits until the server has gone.
    pub fn mount_block(device: &str, at: &Path) -> Fuse {
        let server = Fuse::mount_type("fuseblk.test", device, at, ",blksize=512");
        // Waits until both have agreed on the protocol: before that no server is told to go.
        let _ = at.join("nothing").symlink_metadata();
        server
    }

    fn mount_type(fs_type: &str, source: &str, at: &Path, options: &str) -> Fuse {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(O_CLOEXEC | O_NONBLOCK)
            .open("/dev/fuse")
            .expect("/dev/fuse");
        let owner = if options.contains("user_id=") { "" } else { ",user_id=0,group_id=0" };
        let data = format!("fd={},rootmode=40000{owner}{options}", device.as_raw_fd());
        let flags = nix::mount::MsFlags::MS_NOSUID | nix::mount::MsFlags::MS_NODEV;
        nix::mount::mount(Some(source), at, Some(fs_type), flags, Some(&data[..]))
            .expect("a FUSE mount");
        let root = Node { mode: S_IFDIR | 0o755, ino: None, children: BTreeMap::new() };
        let nodes = HashMap::from([(ROOT, root)]);
        let state = Arc::new(Mutex::new(State { nodes, next: ROOT + 1, ..State::default() }));
        let (stop, stopped) = UnixStream::pair().expect("a socket pair");
        let shared = Arc::clone(&state);
        let server = std::thread::spawn(move || serve(device, &stopped, &shared));
        let fuse = Fuse { state, stop: Some(stop), server: Some(server) };
        // One that dies before is another case: Linux 7.3 answers ECONNREFUSED then.
        while !fuse.state().ready {
            std::thread::sleep(Duration::from_millis(1));
        }
        fuse
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the server's state")
    }

    /// Adds a directory to an existing one.
    pub fn add_directory(&self, path: &str) {
        self.put(path, S_IFDIR | 0o755);
    }

    /// Adds an empty file.
    pub fn add_file(&self, path: &str) {
        self.put(path, S_IFREG | 0o644);
    }

    fn put(&self, path: &str, mode: u32) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut state = self.state();
        let parent = state.resolve(parent);
        state.add(parent, name.as_bytes(), mode);
    }

    /// Forgets an entry, as when another client deleted it: requests for what it was get ESTALE.
    pub fn delete(&self, path: &str) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut state = self.state();
        let parent = state.resolve(parent);
        let id =
            state.nodes.get_mut(&parent).expect("a directory").children.remove(name.as_bytes());
        state.nodes.remove(&id.expect("an entry that exists"));
    }

    /// Says of the root directory that it is a file. The kernel takes it for broken then, for good
    /// and without asking again: EIO.
    pub fn break_root(&self) {
        if let Some(root) = self.state().nodes.get_mut(&ROOT) {
            root.mode = S_IFREG | 0o644;
        }
    }

    /// Puts another of the same kind and inode number into an entry's place, as when another client
    /// deleted it and made it anew: requests for what it was get ESTALE.
    pub fn replace(&self, path: &str) {
        let mut state = self.state();
        let old = state.resolve(path);
        let mode = state.nodes[&old].mode;
        drop(state);
        self.delete(path);
        self.put(path, mode);
        state = self.state();
        let new = state.resolve(path);
        state.nodes.get_mut(&new).expect("an entry that exists").ino = Some(old);
    }

    /// Whether an entry exists.
    pub fn has(&self, path: &str) -> bool {
        let state = self.state();
        path.split('/')
            .try_fold(ROOT, |at, name| state.nodes[&at].children.get(name.as_bytes()).copied())
            .is_some()
    }

    /// Stops answering.
    pub fn hang(&self) {
        self.state().mood = Mood::Hung;
    }

    /// Lets the kernel remember what it is told from now on.
    pub fn be_remembered(&self) {
        self.state().valid = 3600;
    }

    /// Does not answer when it is told to go, until [`let_go`].
    pub fn hold_at_the_end(&self) {
        HELD_AT_THE_END.store(true, Ordering::SeqCst);
    }

    /// Whether it was told to go.
    pub fn was_told_to_go(&self) -> bool {
        self.state().told_to_go
    }

    /// Answers every request with the errno.
    pub fn fail(&self, errno: Errno) {
        self.state().mood = Mood::Failing(errno as i32);
    }

    /// Answers one kind of request with the errno.
    pub fn fail_op(&self, op: u32, errno: Errno) {
        self.state().failing_op = Some((op, errno as i32));
    }

    /// Lists entry after entry for ever, whatever directory is read.
    pub fn list_without_end(&self) {
        self.state().endless = true;
    }

    /// Lists an entry in every directory that is in none, as file servers list `.snapshot`.
    pub fn list_everywhere(&self, name: &str) {
        self.state().everywhere = Some(name.as_bytes().to_vec());
    }

    /// Moves an entry of the root into the place of the next directory that is made, at once, as
    /// another client may.
    pub fn exchange_next_directory_for(&self, name: &str) {
        self.state().exchanged_for = Some(name.as_bytes().to_vec());
    }

    /// Gives every new directory this mode, whatever is asked for, as servers do that keep none.
    pub fn fix_mode(&self, mode: u32) {
        self.state().fixed_mode = Some(mode);
    }

    /// The mode of an entry.
    pub fn mode(&self, path: &str) -> u32 {
        let state = self.state();
        state.nodes[&state.resolve(path)].mode & 0o7777
    }

    /// Gives an entry a mode.
    pub fn set_mode(&self, path: &str, mode: u32) {
        let mut state = self.state();
        let id = state.resolve(path);
        let node = state.nodes.get_mut(&id).expect("an entry that exists");
        node.mode = node.mode & !0o7777 | mode;
    }

    /// Answers one lookup late, the one after `skipped` others.
    pub fn delay_lookup(&self, skipped: usize, delay: Duration) {
        self.state().slow_lookup = Some((skipped, delay));
    }

    /// Serves again, and answers what was asked while it hung.
    pub fn serve(&self) {
        let mut state = self.state();
        state.mood = Mood::Serving;
        state.failing_op = None;
    }

    /// How many requests came in; what the kernel sends on its own (FORGET, RELEASE) not counted.
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    /// Dies: from now on the mount answers ENOTCONN.
    pub fn die(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            server.join().expect("the server's thread");
        }
    }
}

/// Lets a server go that was told to.
pub fn let_go() {
    HELD_AT_THE_END.store(false, Ordering::SeqCst);
}

/// Ends every server of this namespace, so that whoever waits for one comes back. A process cannot
/// even exit while one of its threads waits for a server that is another of its threads.
pub fn abort_all() {
    let_go();
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in table.lines().filter(|line| line.contains(" - fuse.test ")) {
        if let Some(path) = line.split(' ').nth(4) {
            let _ = nix::mount::umount2(path, nix::mount::MntFlags::MNT_FORCE);
        }
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        self.die();
    }
}

fn serve(mut device: File, stopped: &UnixStream, state: &Mutex<State>) {
    let mut buffer = vec![0; 1 << 17];
    loop {
        let mut waiting = [
            PollFd::new(device.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        let ready = poll(&mut waiting, PollTimeout::from(5_u8));
        let stop = waiting[1].revents().is_some_and(|events| !events.is_empty());
        if matches!(ready, Ok(1..)) && stop {
            return;
        }
        for request in no_longer_held(state) {
            if let Some(reply) = answer(&request, state) {
                let _ = device.write(&reply);
            }
        }
        match device.read(&mut buffer) {
            Ok(len) => {
                if let Some(reply) = answer(&buffer[..len], state) {
                    // ENOENT where the request was interrupted meanwhile.
                    let _ = device.write(&reply);
                }
            }
            // ENODEV: unmounted. Whoever holds the handle still may call die().
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => return,
            Err(_) => {}
        }
    }
}

/// The requests that came while the server hung, if it serves again.
fn no_longer_held(state: &Mutex<State>) -> Vec<Vec<u8>> {
    let mut state = state.lock().expect("the server's state");
    if state.mood == Mood::Hung { Vec::new() } else { std::mem::take(&mut state.held) }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The bytes up to the closing NUL.
fn name_at(bytes: &[u8], at: usize) -> &[u8] {
    bytes[at..].split(|&b| b == 0).next().unwrap_or_default()
}

fn answer(request: &[u8], state: &Mutex<State>) -> Option<Vec<u8>> {
    let (opcode, unique, node) = (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
    let body = &request[IN_HEADER..];
    if matches!(opcode, FORGET | BATCH_FORGET | INTERRUPT) {
        return None;
    }
    let mut state = state.lock().expect("the server's state");
    if opcode == DESTROY {
        state.told_to_go = true;
        drop(state);
        while HELD_AT_THE_END.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        return Some(reply_to(unique, Ok(Vec::new())));
    }
    let outcome = match (opcode, state.mood) {
        (INIT, _) => {
            state.ready = true;
            Ok(init())
        }
        (RELEASE | RELEASEDIR | FLUSH, _) => Ok(Vec::new()),
        (_, Mood::Hung) => {
            state.asked += 1;
            state.held.push(request.to_vec());
            return None;
        }
        (_, Mood::Failing(errno)) => {
            state.asked += 1;
            Err(errno)
        }
        (_, Mood::Serving) => {
            state.asked += 1;
            if opcode == op::LOOKUP {
                be_slow(&mut state);
            }
            match state.failing_op {
                Some((op, errno)) if op == opcode => Err(errno),
                _ => perform(&mut state, opcode, node, body),
            }
        }
    };
    Some(reply_to(unique, outcome))
}

fn reply_to(unique: u64, outcome: Result<Vec<u8>, i32>) -> Vec<u8> {
    let (error, payload) = match outcome {
        Ok(payload) => (0, payload),
        Err(errno) => (-errno, Vec::new()),
    };
    let mut reply = Vec::with_capacity(16 + payload.len());
    reply.extend(u32::try_from(16 + payload.len()).expect("a short reply").to_ne_bytes());
    reply.extend(error.to_ne_bytes());
    reply.extend(unique.to_ne_bytes());
    reply.extend(payload);
    reply
}

fn init() -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    for word in [7_u32, 31, 0, 0, 0, 1 << 16] {
        out.extend(word.to_ne_bytes());
    }
    out.resize(64, 0);
    out
}

/// Delays the lookup whose turn it is.
fn be_slow(state: &mut State) {
    match state.slow_lookup {
        Some((0, delay)) => {
            state.slow_lookup = None;
            std::thread::sleep(delay);
        }
        Some((skipped, delay)) => state.slow_lookup = Some((skipped - 1, delay)),
        None => {}
    }
}

fn perform(state: &mut State, opcode: u32, id: u64, body: &[u8]) -> Result<Vec<u8>, i32> {
    let stale = Errno::ESTALE as i32;
    if !state.nodes.contains_key(&id) {
        return Err(stale);
    }
    match opcode {
        op::LOOKUP => {
            let child = state.nodes[&id].children.get(name_at(body, 0)).copied();
            entry(state, child.ok_or(Errno::ENOENT as i32)?)
        }
        op::GETATTR | op::SETATTR => {
            if opcode == op::SETATTR {
                // FATTR_MODE: the mode is the 17th word of fuse_setattr_in.
                if u32_at(body, 0) & 1 != 0 {
                    let node = state.nodes.get_mut(&id).ok_or(stale)?;
                    node.mode = node.mode & !0o7777 | u32_at(body, 68) & 0o7777;
                }
            }
            let mut out = state.valid.to_ne_bytes().to_vec();
            out.extend([0; 8]);
            out.extend(attributes(state, id)?);
            Ok(out)
        }
        op::MKDIR => {
            let name = name_at(body, 8);
            let mode = state.fixed_mode.unwrap_or(u32_at(body, 0) & 0o7777);
            let made = make(state, id, name, S_IFDIR | mode)?;
            if let Some(other) = state.exchanged_for.take() {
                let root = state.nodes.get_mut(&ROOT).ok_or(stale)?;
                let other = root.children.remove(&other).ok_or(stale)?;
                state.nodes.get_mut(&id).ok_or(stale)?.children.insert(name.to_vec(), other);
            }
            Ok(made)
        }
        op::MKNOD => make(state, id, name_at(body, 16), u32_at(body, 0)),
        op::UNLINK | op::RMDIR => {
            let name = name_at(body, 0);
            let child = *state.nodes[&id].children.get(name).ok_or(Errno::ENOENT as i32)?;
            if opcode == op::RMDIR && !state.nodes[&child].children.is_empty() {
                return Err(Errno::ENOTEMPTY as i32);
            }
            state.nodes.get_mut(&id).ok_or(stale)?.children.remove(name);
            state.nodes.remove(&child);
            Ok(Vec::new())
        }
        op::OPEN | op::OPENDIR => Ok(vec![0; 16]),
        READDIR => Ok(list(state, id, u64_at(body, 8))),
        STATFS => Ok(vec![0; 80]),
        ACCESS => Ok(Vec::new()),
        _ => Err(Errno::ENOSYS as i32),
    }
}

fn make(state: &mut State, parent: u64, name: &[u8], mode: u32) -> Result<Vec<u8>, i32> {
    if state.nodes[&parent].children.contains_key(name) {
        return Err(Errno::EEXIST as i32);
    }
    let id = state.add(parent, name, mode);
    entry(state, id)
}

/// A fuse_entry_out.
fn entry(state: &State, id: u64) -> Result<Vec<u8>, i32> {
    let mut out = Vec::with_capacity(128);
    for word in [id, 0, state.valid, state.valid, 0] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(attributes(state, id)?);
    Ok(out)
}

/// A fuse_attr.
fn attributes(state: &State, id: u64) -> Result<Vec<u8>, i32> {
    let node = state.nodes.get(&id).ok_or(Errno::ESTALE as i32)?;
    let mut out = Vec::with_capacity(88);
    for word in [node.ino.unwrap_or(id), 0, 0, 0, 0, 0] {
        out.extend(word.to_ne_bytes());
    }
    for word in [0, 0, 0, node.mode, 1, 0, 0, 0, 4096, 0_u32] {
        out.extend(word.to_ne_bytes());
    }
    Ok(out)
}

/// fuse_dirents from the offset on.
fn list(state: &State, id: u64, offset: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut push = |at: u64, name: &[u8], mode: u32| {
        out.extend(at.to_ne_bytes());
        out.extend(at.to_ne_bytes());
        out.extend(u32::try_from(name.len()).expect("a short name").to_ne_bytes());
        out.extend((mode >> 12).to_ne_bytes());
        out.extend(name);
        out.resize(out.len().next_multiple_of(8), 0);
    };
    if state.endless {
        for at in offset + 1..=offset + 64 {
            push(at, format!("entry-{at}").as_bytes(), S_IFREG);
        }
        return out;
    }
    let children = &state.nodes[&id].children;
    let skip = usize::try_from(offset).unwrap_or(usize::MAX);
    let everywhere = state.everywhere.iter().map(|name| (name, S_IFDIR));
    let listed = everywhere.chain(children.iter().map(|(name, id)| (name, state.nodes[id].mode)));
    for (at, (name, mode)) in listed.enumerate().skip(skip).take(64) {
        push(at as u64 + 1, name, mode);
    }
    out
}
