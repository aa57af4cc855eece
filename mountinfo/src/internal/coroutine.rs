//! What lets an operation with a caller's mounter be a coroutine: it asks the mounter a question, and goes on
//! when the answer arrives.
//!
//! A Rust mounter answers at once ([`Direct`]). The C boundary's mounter returns each question to its caller and
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

/// A [`Mounter`] as an [`AsyncMounter`] that never waits.
#[derive(Debug)]
pub struct Direct<'m, M: ?Sized>(pub &'m M);

impl<M: Mounter + ?Sized> AsyncMounter for Direct<'_, M> {
    async fn is_mount_point(&self, at: Place<'_>) -> Result<bool> {
        self.0.is_mount_point(at)
    }
    async fn is_likely_not_mount_point(&self, at: Place<'_>) -> Result<bool> {
        self.0.is_likely_not_mount_point(at)
    }
    async fn can_safely_skip_mount_point_check(&self) -> bool {
        self.0.can_safely_skip_mount_point_check()
    }
    async fn bind(&self, source: Source<'_>, at: Place<'_>) -> Result<()> {
        self.0.bind(source, at)
    }
    async fn unmount(&self, at: Place<'_>) -> Result<()> {
        self.0.unmount(at)
    }
    async fn unmount_lazily(&self, at: Place<'_>) -> Result<()> {
        self.0.unmount_lazily(at)
    }
}

/// Runs an operation whose mounter is [`Direct`], so that it ends without waiting.
///
/// # Errors
/// Those of the operation.
pub fn run<T>(operation: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(operation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(Error::new("an operation waits although its mounter never does")),
    }
}
