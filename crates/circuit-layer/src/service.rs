//! The service.

use std::fmt;
use std::mem;
use std::task::{Context, Poll, ready};

use state_core::{Circuit, Outcome, Permit, RefusalReason, Refused};
use tower_service::Service;

use crate::future::CircuitFuture;
use crate::gate::Gate;
use crate::mode::Mode;
use crate::observe::Seen;
use crate::plain::Plain;

/// A service behind a [`Circuit`]. Made by [`CircuitLayer`](crate::CircuitLayer).
///
/// | the circuit | `poll_ready` | `call` |
/// |---|---|---|
/// | admits | the inner service's | calls the inner service |
/// | refuses | `Ready`, the inner service is not asked; behind a [`gate`](crate::CircuitLayer::gate) `Pending` | a future that has failed, or that has the response to a refusal |
///
/// A clone starts unready and shares nothing but the circuit; an idle or ready one holds no trial.
///
/// # Panics
///
/// `poll_ready` needs a tokio runtime with time while it waits behind a [`gate`](crate::CircuitLayer::gate).
pub struct CircuitService<S, M = Plain> {
    inner: S,
    circuit: Circuit,
    mode: M,
    gated: bool,
    seen: Seen,
    ready: Readiness,
}

/// What `poll_ready` has said since the last call.
#[derive(Default)]
struct Readiness {
    /// The inner service has been ready, and has not been called since.
    inner: bool,
    /// The circuit has said that it would admit: a ramp has drawn for this call.
    admitted: bool,
    /// The circuit refused and the inner service is not ready, so the next call is refused, whatever the circuit says
    /// by then.
    shut: Option<Refused>,
    /// Only for who has had to wait.
    gate: Option<Gate>,
}

impl<S, M> CircuitService<S, M> {
    pub(crate) fn new(inner: S, circuit: Circuit, mode: M, gated: bool, seen: Seen) -> Self {
        Self {
            inner,
            circuit,
            mode,
            gated,
            seen,
            ready: Readiness::default(),
        }
    }

    /// The circuit.
    pub const fn circuit(&self) -> Circuit {
        self.circuit
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutable. What it is polled for here does not count as this service's readiness.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the circuit.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The circuit refuses. `Ready(true)` when the inner service is to be asked all the same, for then a call would be
    /// admitted by now; `Ready(false)` when the next call may come and be refused.
    #[cold]
    #[inline(never)]
    fn poll_refusing(&mut self, refused: Refused, cx: &mut Context<'_>) -> Poll<bool> {
        let ready = &mut self.ready;
        if ready.admitted && refused.reason() == RefusalReason::Ramp {
            // The ramp has drawn for this call already, and once is enough.
            return Poll::Ready(true);
        }
        ready.admitted = false;
        if self.gated {
            let gate = ready.gate.get_or_insert_with(|| Gate::new(self.circuit));
            return gate.poll(cx).map(|()| true);
        }
        if !ready.inner {
            ready.shut = Some(refused);
        }
        Poll::Ready(false)
    }

    /// The inner service is not ready. Whether the circuit refuses by now, or else has this task woken when it changes:
    /// nobody need wait for a service that would not be called.
    #[cold]
    #[inline(never)]
    fn is_shut_meanwhile(&mut self, cx: &Context<'_>) -> bool {
        let ready = &mut self.ready;
        ready.inner = false;
        if self.gated {
            return false;
        }
        ready
            .gate
            .get_or_insert_with(|| Gate::new(self.circuit))
            .wake_on_change(cx);
        match self.circuit.readiness() {
            Err(refused) if refused.reason() != RefusalReason::Ramp => {
                ready.admitted = false;
                ready.shut = Some(refused);
                true
            }
            _ => false,
        }
    }

    /// A call while the circuit is not closed, or was not when this service was polled.
    #[cold]
    #[inline(never)]
    fn call_unclosed<Req>(&mut self, request: Req) -> CircuitFuture<S, Req, M>
    where
        S: Service<Req>,
        M: Mode<Req, S::Response, S::Error>,
    {
        let admitted = mem::take(&mut self.ready.admitted);
        let acquired = match self.ready.shut.take() {
            Some(shut) => Err(self.refuse_unready(shut)),
            None if admitted => self.circuit.acquire_when_ready(),
            None => self.circuit.acquire(),
        };
        match acquired {
            Ok(permit) => self.call_inner(request, permit),
            Err(refused) => {
                self.seen.refused(&refused);
                CircuitFuture::refused(self.mode.refused(&refused, &request))
            }
        }
    }

    /// The inner service is not ready, so this call can't be made even if the circuit would admit it by now.
    fn refuse_unready(&self, shut: Refused) -> Refused {
        // Asked again all the same: the circuit counts a refusal, and says how much time is left by now.
        match self.circuit.acquire() {
            Ok(permit) => {
                permit.record(Outcome::neutral());
                shut
            }
            Err(refused) => refused,
        }
    }

    #[inline]
    fn call_inner<Req>(&mut self, request: Req, permit: Permit) -> CircuitFuture<S, Req, M>
    where
        S: Service<Req>,
        M: Mode<Req, S::Response, S::Error>,
    {
        self.ready.inner = false;
        let call = self.mode.begin(&request);
        // If this panics the permit is dropped while unwinding: a failure.
        CircuitFuture::running(self.inner.call(request), permit, call)
    }
}

impl<S, Req, M> Service<Req> for CircuitService<S, M>
where
    S: Service<Req>,
    M: Mode<Req, S::Response, S::Error>,
{
    type Response = M::Response;
    type Error = M::Error;
    type Future = CircuitFuture<S, Req, M>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        self.ready.shut = None;
        if let Err(refused) = self.circuit.readiness() {
            if !ready!(self.poll_refusing(refused, cx)) {
                return Poll::Ready(Ok(()));
            }
        }
        self.ready.admitted = true;
        match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                self.ready.inner = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(M::error(error))),
            Poll::Pending if self.is_shut_meanwhile(cx) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        if self.ready.shut.is_none() {
            if let Some(permit) = self.circuit.acquire_closed() {
                self.ready.admitted = false;
                return self.call_inner(request, permit);
            }
        }
        self.call_unclosed(request)
    }
}

impl<S: Clone, M: Clone> Clone for CircuitService<S, M> {
    /// A clone is as new: what the original has been told is its own.
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.circuit,
            self.mode.clone(),
            self.gated,
            self.seen,
        )
    }
}

impl<S: fmt::Debug, M> fmt::Debug for CircuitService<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitService")
            .field("inner", &self.inner)
            .field("circuit", &self.circuit)
            .field("gated", &self.gated)
            .finish_non_exhaustive()
    }
}
