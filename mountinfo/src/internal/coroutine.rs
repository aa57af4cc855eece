//! What lets an operation with a caller's mounter be a coroutine: it asks the mounter a question, and goes on
//! when the answer arrives.
//!
//! A [`Mounter`] answers at once. The C boundary's mounter returns each question to its caller and
//! goes on with the answer, so that the caller's code never runs below a frame of the library.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};
use crate::mounter::{Mounter, Place, Source};

/// A mounter that may answer later. Each method does what the method of [`Mounter`] with that name does.
#[allow(async_fn_in_trait, missing_docs)]
pub trait AsyncMounter {
    async fn is_mount_point(&self, at: Place<'_>) -> Result<bool>;
    async fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool>;
    async fn can_safely_skip_mount_point_check(&self) -> bool;
    async fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()>;
    async fn unmount(&self, at: Place<'_>) -> Result<()>;
    async fn unmount_lazily(&self, at: Place<'_>) -> Result<()>;
}

/// A [`Mounter`] never waits.
impl<M: Mounter + ?Sized> AsyncMounter for M {
    async fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        Mounter::is_mount_point(self, at)
    }
    async fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        Mounter::is_likely_not_mount_point(self, at)
    }
    async fn can_safely_skip_mount_point_check(&self) -> bool {
        Mounter::can_safely_skip_mount_point_check(self)
    }
    async fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        Mounter::bind(self, source, at)
    }
    async fn unmount(&self, at: Place<'_>) -> Result<()> {
        Mounter::unmount(self, at)
    }
    async fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        Mounter::unmount_lazily(self, at)
    }
}

/// Runs an operation with a [`Mounter`], which ends without waiting.
///
/// # Errors
/// Those of the operation.
pub fn run<T>(operation: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(operation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(Error::new("an operation waits although its mounter never does")),
    }
}
