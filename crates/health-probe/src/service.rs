//! The service.

use std::fmt;
use std::task::{Context, Poll, ready};

use tower_service::Service;

use crate::answer::{Answer, AsError};
use crate::future::HealthFuture;
use crate::gate::{Door, Gate};
use crate::health::Health;
use crate::observe;

/// A service whose calls are refused while its dependency is down. Made by [`HealthLayer`](crate::HealthLayer).
///
/// Readiness is the inner service's while calls are admitted. While they are not, it is ready without asking the inner
/// service, and refuses in `call`; with [`gate`](crate::HealthLayer::gate) it is pending. It is never an error of this
/// crate.
pub struct HealthService<S, A = AsError> {
    inner: S,
    health: Health,
    door: Door,
    answer: A,
    gate: Gate,
    /// Ready was said without asking the inner service: it must not be called, even if all is well by then.
    refusing: bool,
}

impl<S, A> HealthService<S, A> {
    pub(crate) fn new(inner: S, health: Health, door: Door, answer: A) -> Self {
        Self {
            inner,
            health,
            door,
            answer,
            gate: Gate::default(),
            refusing: false,
        }
    }

    /// The health that it looks at.
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutable. What it is polled for here does not count as this service's readiness.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }

    #[cold]
    #[inline(never)]
    fn refuse<Req>(&mut self, request: &Req) -> HealthFuture<S, Req, A>
    where
        S: Service<Req>,
        A: Answer<Req, S::Response, S::Error>,
    {
        self.refusing = false;
        let unhealthy = self.health.unhealthy();
        observe::refused(&unhealthy);
        HealthFuture::refused(self.answer.refused(unhealthy, request))
    }
}

impl<S, Req, A> Service<Req> for HealthService<S, A>
where
    S: Service<Req>,
    A: Answer<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = A::Error;
    type Future = HealthFuture<S, Req, A>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let admitted = ready!(self.gate.poll(self.door, &self.health, cx));
        self.refusing = !admitted;
        if admitted {
            self.inner.poll_ready(cx).map_err(A::error)
        } else {
            Poll::Ready(Ok(()))
        }
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        if self.refusing || !self.door.admits(self.health.standing()) {
            return self.refuse(&request);
        }
        HealthFuture::running(self.inner.call(request))
    }
}

impl<S: Clone, A: Clone> Clone for HealthService<S, A> {
    /// A clone is as new: what the original waits for or was told is its own.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.health.clone(), self.door, self.answer.clone())
    }
}

impl<S: fmt::Debug, A> fmt::Debug for HealthService<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthService")
            .field("inner", &self.inner)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}
