//! The step that asks another service.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::{Arc, Mutex, PoisonError};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{BoxError, Cause, Restore, Step};

/// Asks another service with the same request.
///
/// Made by [`FallbackLayer::service`](crate::FallbackLayer::service). Each answer takes a clone of the service, waits until
/// that clone is ready, and calls it.
pub struct Backup<B, K> {
    // Locked only to make a clone, and only when a backup is asked: so the service need not be `Sync`.
    service: Arc<Mutex<B>>,
    keep: K,
}

impl<B, K> Backup<B, K> {
    pub(crate) fn new(service: B, keep: K) -> Self {
        Self {
            service: Arc::new(Mutex::new(service)),
            keep,
        }
    }
}

impl<Req, Resp, B, K> Step<Req, Resp, K::Kept> for Backup<B, K>
where
    B: Service<Req, Response = Resp> + Clone,
    B::Error: Into<BoxError>,
    K: Restore<Req>,
{
    type Held = ();
    type Future = BackupFuture<B, Req>;

    fn hold(&self, _: &Req) {}

    fn answer(&self, (): (), kept: &K::Kept, _: &Cause<Resp>) -> Self::Future {
        let Some(request) = self.keep.restore(kept) else {
            return BackupFuture {
                state: State::NoRequest,
            };
        };
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        BackupFuture {
            state: State::Waiting {
                service,
                request: Some(request),
            },
        }
    }
}

impl<B, K: Clone> Clone for Backup<B, K> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            keep: self.keep.clone(),
        }
    }
}

impl<B, K> fmt::Debug for Backup<B, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").finish_non_exhaustive()
    }
}

pin_project! {
    /// The answer of a [`Backup`] to come.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it drops its clone of the backup and whatever that had reserved.
    pub struct BackupFuture<B, Req>
    where
        B: Service<Req>,
    {
        #[pin]
        state: State<B, Req, B::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B, Req, F> {
        NoRequest,
        Waiting { service: B, request: Option<Req> },
        Called { #[pin] answer: F },
    }
}

impl<B, Req> Future for BackupFuture<B, Req>
where
    B: Service<Req>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Option<B::Response>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        if let StateProj::Waiting { service, request } = state.as_mut().project() {
            ready!(service.poll_ready(cx)).map_err(Into::into)?;
            let Some(request) = request.take() else {
                return Poll::Ready(Ok(None));
            };
            let answer = service.call(request);
            // The clone is dropped here: it was the one that was ready, and it has been called.
            state.set(State::Called { answer });
        }
        match state.project() {
            StateProj::Called { answer } => Poll::Ready(Ok(Some(ready!(answer.poll(cx)).map_err(Into::into)?))),
            StateProj::NoRequest | StateProj::Waiting { .. } => Poll::Ready(Ok(None)),
        }
    }
}

impl<B: Service<Req>, Req> fmt::Debug for BackupFuture<B, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupFuture").finish_non_exhaustive()
    }
}
