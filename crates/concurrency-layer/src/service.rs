//! The service.

use std::fmt;
use std::mem;
use std::task::{Context, Poll, ready};

use tower_service::Service;

use crate::answer::{Answer, AsError};
use crate::dismiss::{Dismiss, Undismissed};
use crate::future::ConcurrencyFuture;
use crate::gate::Gate;
use crate::limit::{Admission, Limit};
use crate::word::Seen;

/// A service of whose calls at most as many run at once as its [`Limit`] allows. Made by
/// [`ConcurrencyLayer`](crate::ConcurrencyLayer).
///
/// Readiness is the inner service's; only under [`backpressure`](crate::LimitBuilder::backpressure) it waits for room too.
/// A service that is ready, idle, or was polled and given up, holds no slot.
///
/// The inner service is called inside `call`. Only a call that has to wait takes the inner service along, the one that
/// was polled ready, and leaves a clone; hence `S: Clone`.
pub struct ConcurrencyService<S, D: Dismiss = Undismissed, A = AsError> {
    inner: S,
    limit: Limit<D>,
    answer: A,
    gate: Gate<D::Dismissal>,
}

impl<S, D: Dismiss, A> ConcurrencyService<S, D, A> {
    pub(crate) const fn new(inner: S, limit: Limit<D>, answer: A) -> Self {
        let gate = if limit.is_backpressure() { Gate::Idle } else { Gate::Off };
        Self {
            inner,
            limit,
            answer,
            gate,
        }
    }

    /// The limit.
    pub const fn limit(&self) -> &Limit<D> {
        &self.limit
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutable. What it is polled for here does not count as this service's readiness.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the limit.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req, D, A> Service<Req> for ConcurrencyService<S, D, A>
where
    S: Service<Req> + Clone,
    D: Dismiss,
    A: Answer<Req, S::Response, S::Error> + Clone,
{
    type Response = A::Response;
    type Error = A::Error;
    type Future = ConcurrencyFuture<S, Req, D, A>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.gate.is_off() {
            return self.inner.poll_ready(cx).map_err(A::error);
        }
        ready!(self.gate.poll(&self.limit, cx));
        if self.gate.is_dismissed() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.inner.poll_ready(cx)).map_err(A::error)?;
        self.gate.open();
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        if !self.gate.is_off() {
            if let Some(reason) = self.gate.pass() {
                let overloaded = self.limit.refuse_late(reason);
                return ConcurrencyFuture::refused(overloaded, request, self.answer.clone());
            }
        }
        match self.limit.take() {
            Ok(permit) => ConcurrencyFuture::running(self.inner.call(request), permit),
            Err(seen) => self.call_late(seen, request),
        }
    }
}

impl<S, D: Dismiss, A: Clone> ConcurrencyService<S, D, A> {
    /// For a call that found no room at first sight.
    #[cold]
    #[inline(never)]
    fn call_late<Req>(&mut self, seen: Seen, request: Req) -> ConcurrencyFuture<S, Req, D, A>
    where
        S: Service<Req> + Clone,
        A: Answer<Req, S::Response, S::Error>,
    {
        match self.limit.admit_late(seen) {
            Admission::Admitted(permit) => ConcurrencyFuture::running(self.inner.call(request), permit),
            Admission::Refused(overloaded) => ConcurrencyFuture::refused(overloaded, request, self.answer.clone()),
            Admission::Waiting(wait) => {
                // The service that was polled ready is the one to call.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                ConcurrencyFuture::waiting(wait, inner, request, self.answer.clone())
            }
        }
    }
}

impl<S: Clone, D: Dismiss + Clone, A: Clone> Clone for ConcurrencyService<S, D, A> {
    /// A clone is as new: what the original waits for or was told is its own.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.limit.clone(), self.answer.clone())
    }
}

impl<S: fmt::Debug, D: Dismiss, A> fmt::Debug for ConcurrencyService<S, D, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyService")
            .field("inner", &self.inner)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
