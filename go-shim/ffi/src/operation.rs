//! An operation that waits for its caller's mounter: the future, and the desk over which questions
//! and answers pass.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use subpath_mountinfo::mounter::{AsyncMounter, Place, Source};
use subpath_mountinfo::{Error, Foreign, KernelMounter, Mounter, Result};

use crate::abi;
use crate::log::Sink;
use crate::reply::Reply;

/// What an asking operation computes. It is `Send` because a caller may resume on another thread.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// An operation that asked its caller a question and waits for the answer.
#[derive(Debug)]
pub struct Operation {
    pub(crate) doing: &'static str,
    pub(crate) sink: Option<Sink>,
    pub(crate) work: Unfinished,
    desk: Arc<Desk>,
    /// What was asked last. It stays here, unmoved, while the caller reads it.
    asked: Question,
    aborted: bool,
}

/// The future, in a wrapper so that [`Operation`] can be shown.
pub(crate) struct Unfinished(Work);

impl std::fmt::Debug for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unfinished")
    }
}

/// How far an operation came.
pub(crate) enum Progress {
    /// It ended.
    Ended(Result<Reply>),
    /// It ended after its caller gave it up; nobody wants to hear how.
    Aborted,
    /// It asks.
    Asks(Box<Operation>),
}

/// One question to the caller's mounter.
#[derive(Debug, Default)]
struct Question {
    kind: u32,
    path: Vec<u8>,
    source: Vec<u8>,
}

/// A question as the step shows it.
pub(crate) struct Lent {
    pub(crate) kind: u32,
    pub(crate) path: (*const u8, usize),
    pub(crate) source: (*const u8, usize),
}

/// What the caller's mounter said.
#[derive(Debug)]
pub(crate) enum Answered {
    Value(bool),
    Failed(Foreign),
    Aborted,
}

/// The desk between the logic and the caller: at most one paper lies on it.
#[derive(Debug, Default)]
struct Desk(Mutex<Paper>);

#[derive(Debug, Default)]
enum Paper {
    #[default]
    None,
    Question(Question),
    Answer(Answered),
}

impl Desk {
    fn paper(&self) -> MutexGuard<'_, Paper> {
        // A panic while the lock is held leaves a whole paper, for each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Paper {
        std::mem::take(&mut *self.paper())
    }
}

/// The mounter an asking operation uses: it lays each question on the desk and waits.
#[derive(Debug)]
pub(crate) struct AskingMounter(Arc<Desk>);

impl AskingMounter {
    async fn ask(&self, kind: u32, at: Option<Place<'_>>, source: Vec<u8>) -> Result<bool> {
        let path = at.map(|place| place.path.to_vec()).unwrap_or_default();
        *self.0.paper() = Paper::Question(Question { kind, path, source });
        let answer = poll_fn(|_| {
            let mut paper = self.0.paper();
            match std::mem::take(&mut *paper) {
                Paper::Answer(answer) => Poll::Ready(answer),
                unanswered => {
                    *paper = unanswered;
                    Poll::Pending
                }
            }
        })
        .await;
        match answer {
            Answered::Value(value) => Ok(value),
            Answered::Failed(foreign) => Err(Error::foreign(foreign)),
            Answered::Aborted => Err(Error::foreign(Foreign {
                text: b"the mounter was interrupted".to_vec(),
                ..Foreign::default()
            })),
        }
    }
}

impl AsyncMounter for AskingMounter {
    async fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        self.ask(abi::RSP_ASK_IS_MOUNT_POINT, Some(at), Vec::new()).await
    }

    async fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        self.ask(abi::RSP_ASK_IS_LIKELY_NOT_MOUNT_POINT, Some(at), Vec::new()).await
    }

    async fn can_safely_skip_mount_point_check(&self) -> bool {
        let kind = abi::RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK;
        // The question has no error; an aborted one is never answered (see Operation::answer).
        self.ask(kind, None, Vec::new()).await.unwrap_or(false)
    }

    async fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        self.ask(abi::RSP_ASK_BIND, Some(at), source.proc_path()?).await.map(drop)
    }

    async fn unmount(&self, at: Place<'_>) -> Result<()> {
        self.ask(abi::RSP_ASK_UNMOUNT, Some(at), Vec::new()).await.map(drop)
    }

    async fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        self.ask(abi::RSP_ASK_UNMOUNT_LAZILY, Some(at), Vec::new()).await.map(drop)
    }
}

/// The kernel's mounter, whose caller runs umount(8) where that has to be run.
#[derive(Debug)]
pub(crate) struct KernelAndProgram(pub(crate) AskingMounter);

impl AsyncMounter for KernelAndProgram {
    async fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        KernelMounter.is_mount_point(at)
    }

    async fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        KernelMounter.is_likely_not_mount_point(at)
    }

    async fn can_safely_skip_mount_point_check(&self) -> bool {
        KernelMounter.can_safely_skip_mount_point_check()
    }

    async fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        KernelMounter.bind(source, at)
    }

    async fn unmount(&self, at: Place<'_>) -> Result<()> {
        KernelMounter.unmount(at)
    }

    async fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        KernelMounter.unmount_lazily(at)
    }

    async fn unmount_by_program(&self, path: &[u8]) -> Result<()> {
        self.0.unmount(Place::at(path)).await
    }

    fn is_kernel(&self) -> bool {
        true
    }
}

impl Operation {
    /// An operation that has not begun; [`Operation::advance`] begins it.
    pub(crate) fn new<F, W>(doing: &'static str, sink: Option<Sink>, work: W) -> Box<Self>
    where
        W: FnOnce(AskingMounter) -> F,
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        let desk = Arc::new(Desk::default());
        let work = Unfinished(Box::pin(work(AskingMounter(Arc::clone(&desk)))));
        let asked = Question::default();
        Box::new(Operation { doing, sink, work, desk, asked, aborted: false })
    }

    /// Runs to the next question or to the end.
    pub(crate) fn advance(mut self: Box<Self>) -> Progress {
        let mut context = Context::from_waker(Waker::noop());
        match self.work.0.as_mut().poll(&mut context) {
            Poll::Ready(_) if self.aborted => Progress::Aborted,
            Poll::Ready(outcome) => Progress::Ended(outcome),
            Poll::Pending => match self.desk.take() {
                Paper::Question(question) => {
                    self.asked = question;
                    Progress::Asks(self)
                }
                // Nothing here waits for anything but an answer.
                _ => Progress::Ended(Err(Error::new(format!(
                    "rustsubpath failed by a fault of its own in {}: it waits for nothing",
                    self.doing
                )))),
            },
        }
    }

    /// Takes the caller's answer and goes on.
    ///
    /// Giving up ends the operation as unwinding ended the original: a failed bind has a deferred
    /// clean-up there, which runs here because the logic sees the bind fail. Nothing else had more
    /// deferred than closing descriptors, and dropping the future does that.
    pub(crate) fn answer(mut self: Box<Self>, answer: Answered) -> Progress {
        if matches!(answer, Answered::Aborted) {
            let cleans_up = self.asked.kind == abi::RSP_ASK_BIND && !self.aborted;
            self.aborted = true;
            if !cleans_up {
                return Progress::Aborted;
            }
        }
        *self.desk.paper() = Paper::Answer(answer);
        self.advance()
    }

    /// Whether the last question is answered by a value rather than by success alone.
    pub(crate) fn wants_error(&self) -> bool {
        self.asked.kind != abi::RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK
    }

    /// Where the last question lies; it stays there until the operation is resumed or dropped.
    pub(crate) fn lend_question(&self) -> Lent {
        let lend = |bytes: &Vec<u8>| (bytes.as_ptr(), bytes.len());
        Lent {
            kind: self.asked.kind,
            path: lend(&self.asked.path),
            source: lend(&self.asked.source),
        }
    }
}
