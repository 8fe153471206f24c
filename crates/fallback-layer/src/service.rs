//! The service: polls, calls, and decides nothing.

use core::fmt;
use core::task::{Context, Poll, ready};

use tower_service::Service;

use crate::shared::{Handle, Shared};
use crate::{BoxError, Keep, ResponseFuture, Steps};

/// A service whose failures are answered by a chain of steps; made by [`FallbackLayer`](crate::FallbackLayer).
///
/// # Readiness
///
/// It is ready when its inner service is. When that fails while it is asked, the error is not handed up (whoever gets an
/// error from `poll_ready` throws the whole service away): it becomes the cause of the next call, which the chain answers.
/// The inner service is asked again for the call after that, so one that recovers is used again.
pub struct Fallback<S, Req, Resp: 'static, C: 'static, K: 'static> {
    inner: S,
    shared: Handle<Shared<Resp, C, K>>,
    // What the inner service failed with when it was asked whether it is ready, until the call that it is told to.
    unready: Option<BoxError>,
    request: core::marker::PhantomData<fn(Req)>,
}

impl<S, Req, Resp, C, K> Fallback<S, Req, Resp, C, K> {
    pub(crate) fn new(inner: S, shared: Handle<Shared<Resp, C, K>>) -> Self {
        Self {
            inner,
            shared,
            unready: None,
            request: core::marker::PhantomData,
        }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, by itself.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req, Resp, C, K> Service<Req> for Fallback<S, Req, Resp, C, K>
where
    S: Service<Req, Response = Resp>,
    S::Error: Into<BoxError>,
    K: Keep<Req>,
    C: Steps<Req, Resp, K::Kept>,
{
    type Response = Resp;
    type Error = C::Error;
    type Future = ResponseFuture<S::Future, Req, Resp, C, K>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.unready.is_none() {
            if let Err(error) = ready!(self.inner.poll_ready(cx)) {
                self.unready = Some(error.into());
            }
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let held = self.shared.chain.hold(&request);
        let kept = self.shared.keep.keep(&request);
        let shared = self.shared.clone();
        match self.unready.take() {
            None => ResponseFuture::called(self.inner.call(request), shared, held, kept),
            Some(error) => ResponseFuture::not_ready(error, shared, held, kept),
        }
    }
}

/// A clone shares the caches and bounds of the steps, and has a readiness of its own.
impl<S: Clone, Req, Resp, C, K> Clone for Fallback<S, Req, Resp, C, K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: self.shared.clone(),
            unready: None,
            request: core::marker::PhantomData,
        }
    }
}

impl<S: fmt::Debug, Req, Resp, C, K> fmt::Debug for Fallback<S, Req, Resp, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
