//! An operation that waits for its caller's mounter: the future that computes it, and the exchange
//! through which its questions and the caller's answers pass.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use subpath_mountinfo::internal::coroutine::AsyncMounter;
use subpath_mountinfo::internal::paths::bytes_of;
use subpath_mountinfo::internal::{Foreign, GoError};
use subpath_mountinfo::{Error, Place, Result, Source};

use crate::abi;
use crate::log::Sink;
use crate::reply::Reply;

/// The future of an operation that asks. It is `Send` because a caller may resume it on another
/// thread.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// An operation that asked its caller a question and waits for the answer.
pub(crate) struct Operation {
    pub(crate) doing: &'static str,
    pub(crate) sink: Option<Sink>,
    work: Work,
    exchange: Arc<Exchange>,
    /// What was asked last. It stays here, unmoved, while the caller reads it.
    pub(crate) asked: Question,
    aborted: bool,
}

/// What an operation's latest run led to.
pub(crate) enum Progress {
    /// The operation has ended with this outcome.
    Ended(Result<Reply>),
    /// The operation has ended after its caller gave it up. Its outcome is dropped.
    Aborted,
    /// The operation waits for the answer to a question.
    Asks(Box<Operation>),
}

/// One question to the caller's mounter: an `RSP_ASK_…`, and what it is about.
#[derive(Default)]
pub(crate) struct Question {
    pub(crate) kind: u32,
    pub(crate) path: Vec<u8>,
    pub(crate) source: Vec<u8>,
}

/// What the caller's mounter answered.
pub(crate) enum Answered {
    /// It did what it was asked, or answered a question with yes or no.
    Value(bool),
    /// It returned an error.
    Failed(Foreign),
    /// It will never answer, because the caller is unwinding.
    Aborted,
}

/// What the future and the caller exchange: the future puts a question into the slot, the caller puts
/// the answer there.
#[derive(Default)]
struct Exchange(Mutex<Slot>);

#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    Question(Question),
    Answer(Answered),
}

impl Exchange {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        // A panic while the lock is held leaves a whole value, for each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Slot {
        std::mem::take(&mut *self.slot())
    }
}

/// The mounter of an operation that asks: it puts each question into the exchange and waits for the
/// answer.
pub(crate) struct AskingMounter(Arc<Exchange>);

impl AskingMounter {
    async fn ask(&self, kind: u32, at: Option<Place<'_>>, source: Vec<u8>) -> Result<bool> {
        let path = at.map(|place| place.bytes().to_vec()).unwrap_or_default();
        *self.0.slot() = Slot::Question(Question { kind, path, source });
        let answer = poll_fn(|_| {
            let mut slot = self.0.slot();
            match std::mem::take(&mut *slot) {
                Slot::Answer(answer) => Poll::Ready(answer),
                unanswered => {
                    *slot = unanswered;
                    Poll::Pending
                }
            }
        })
        .await;
        match answer {
            Answered::Value(value) => Ok(value),
            Answered::Failed(foreign) => Err(GoError::Foreign(foreign).into()),
            Answered::Aborted => Err(Error::from(GoError::Foreign(Foreign {
                text: b"the mounter was interrupted".to_vec(),
                ..Foreign::default()
            }))),
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
        self.ask(abi::RSP_ASK_BIND, Some(at), bytes_of(&source.proc_path()?).to_vec())
            .await
            .map(drop)
    }

    async fn unmount(&self, at: Place<'_>) -> Result<()> {
        self.ask(abi::RSP_ASK_UNMOUNT, Some(at), Vec::new()).await.map(drop)
    }

    async fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        self.ask(abi::RSP_ASK_UNMOUNT_LAZILY, Some(at), Vec::new()).await.map(drop)
    }
}

impl Operation {
    /// An operation that has not begun; [`Operation::advance`] begins it.
    pub(crate) fn new<F, W>(doing: &'static str, sink: Option<Sink>, work: W) -> Box<Self>
    where
        W: FnOnce(AskingMounter) -> F,
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        let exchange = Arc::new(Exchange::default());
        let work = Box::pin(work(AskingMounter(Arc::clone(&exchange))));
        let asked = Question::default();
        Box::new(Operation { doing, sink, work, exchange, asked, aborted: false })
    }

    /// Runs to the next question or to the end.
    pub(crate) fn advance(mut self: Box<Self>) -> Progress {
        let mut context = Context::from_waker(Waker::noop());
        match self.work.as_mut().poll(&mut context) {
            Poll::Ready(_) if self.aborted => Progress::Aborted,
            Poll::Ready(outcome) => Progress::Ended(outcome),
            Poll::Pending => match self.exchange.take() {
                Slot::Question(question) => {
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
        *self.exchange.slot() = Slot::Answer(answer);
        self.advance()
    }

    /// Whether an error may answer the last question. All may but one, which mount-utils' Interface
    /// declares without an error.
    pub(crate) fn may_fail(&self) -> bool {
        self.asked.kind != abi::RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK
    }
}
