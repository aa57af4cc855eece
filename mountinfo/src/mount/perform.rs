//! Does what was planned, and reports what came of it.

use super::message::Situation;
use super::names::{self, Target};
use super::options::Reason;
use super::plan::{Action, Plan, plan};
use super::{Mount, bind, create, remount};
use crate::error::{Error, ErrorKind, Result};
use crate::internal::sys::{self, RawErrno, Sys, mounting};
use crate::text;

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// Only mount(8) or umount(8) can do this, for this reason. Nothing was done.
    NotUnderstood(Reason),
    /// It failed.
    Failed(Failure),
}

/// A failure as mount-utils sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The command of mount-utils that fails.
    pub command: Command,
    /// The errno.
    pub errno: RawErrno,
    /// What mount(8) prints.
    pub output: Vec<u8>,
}

/// The commands that mount-utils runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The only one, or the bind.
    First,
    /// The statfs(2) of a bind's source.
    Statfs,
    /// The remount after a bind.
    Remount,
}

impl Outcome {
    /// The outcome as a Rust program sees it.
    pub(super) fn into_result(self, program: &'static str, target: &[u8]) -> Result<()> {
        match self {
            Outcome::Done => Ok(()),
            Outcome::NotUnderstood(why) => {
                let why = text!("only %s(8) can do this to %s: %s", program, target, &*why);
                Err(Error::new(why).of_kind(ErrorKind::NeedsMountProgram))
            }
            Outcome::Failed(Failure { errno, output, .. }) => {
                Err(Error::at_path(program, target, errno).shown_as(output.trim_ascii().to_vec()))
            }
        }
    }
}

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Stop {
    /// Only mount(8) can do it, and nothing was done.
    NotUnderstood(Reason),
    /// A call failed.
    Failed {
        command: Command,
        errno: RawErrno,
        /// What the kernel wrote about it.
        kernel: Vec<u8>,
    },
}

impl From<RawErrno> for Stop {
    /// A failure of the first command.
    fn from(errno: RawErrno) -> Self {
        Stop::Failed { command: Command::First, errno, kernel: Vec::new() }
    }
}

impl From<Reason> for Stop {
    fn from(why: Reason) -> Self {
        Stop::NotUnderstood(why)
    }
}

/// Does what a call asks for, if it is understood.
pub(super) fn perform(mount: &Mount) -> Outcome {
    let list = mount.list();
    let mut plan = match plan(mount, &list) {
        Ok(plan) => plan,
        Err(why) => return Outcome::NotUnderstood(why),
    };
    let (command, errno, kernel) = match run(mount, &mut plan) {
        Ok(()) => return Outcome::Done,
        Err(Stop::NotUnderstood(why)) => return Outcome::NotUnderstood(why),
        Err(Stop::Failed { command, errno, kernel }) => (command, errno, kernel),
    };
    // Whatever the kernel says may be made of a sensitive option.
    let kernel = if mount.sensitive.is_empty() { kernel } else { Vec::new() };
    let output = Situation::of(mount, &plan, command).output(errno, &kernel);
    Outcome::Failed(Failure { command, errno, output })
}

fn run(mount: &Mount, plan: &mut Plan<'_>) -> Result<(), Stop> {
    if !mounting::is_root_user() {
        return Err(Stop::NotUnderstood("mount(8) restricts other users than root".into()));
    }
    if plan.has_label_in_use() {
        return Err(Stop::NotUnderstood("a label is for a security module that is on".into()));
    }
    if !plan.propagation.is_empty() && !sys::proc_is_there() {
        // The propagation is changed, and the mount taken away if that fails, by paths of /proc.
        return Err(Stop::NotUnderstood("/proc is not mounted".into()));
    }
    names::check_helper(mount, plan)?;
    match plan.action {
        Action::Create(needs) => create::create(mount, plan, needs),
        Action::Bind => bind::bind(mount, plan),
        Action::BindAtOnce { recursive } => bind::bind_at_once(mount, plan, recursive),
        Action::Remount { mount_only } => remount::remount(mount, plan, mount_only),
        Action::Move => move_mount(mount),
        Action::Propagation => Ok(propagate(&begin(mount)?.file, &plan.propagation)?),
    }
}

/// Begins a call that can be done: logs it, and opens the target, which may hang.
pub(super) fn begin(mount: &Mount) -> Sys<Target<'_>> {
    mount.log(Command::First);
    Target::open(&mount.target)
}

/// Changes the propagation of a mount, one change after the other.
pub(super) fn propagate(mount: &std::os::fd::OwnedFd, changes: &[u64]) -> Result<(), RawErrno> {
    changes.iter().try_for_each(|&change| mounting::mount_flags(mount, change))
}

fn move_mount(mount: &Mount) -> Result<(), Stop> {
    names::check_not_noted(&mount.source)?;
    let target = begin(mount)?;
    let source = Target::open(&mount.source)?;
    match mounting::move_mount(&source.file, &target.file) {
        Err(errno) if sys::means_absent(errno) => {
            Ok(mounting::move_by_mount(&source.file, &target.file)?)
        }
        answer => Ok(answer?),
    }
}
