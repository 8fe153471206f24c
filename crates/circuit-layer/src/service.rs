//! The service.

use std::fmt;
use std::mem;
use std::task::{Context, Poll, ready};

use state_core::{Circuit, Permit, RefusalReason, State};
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
    said: Said,
    /// Only for who has had to wait.
    gate: Option<Gate>,
}

/// In one byte, which a call on the healthy path reads once and writes once.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Nothing, or that the inner service is not ready.
    #[default]
    Nothing,
    /// The circuit would admit, so a ramp has drawn for this call, but the inner service is not ready.
    Admitted,
    /// The circuit would admit, and the inner service has been ready and has not been called since.
    Ready,
    /// The circuit refuses; the inner service has been ready and has not been called since.
    Refusing,
    /// As `Refusing`, because a ramp has drawn against this call.
    DrawnAgainst,
    /// The circuit refuses for this reason and the inner service is not ready, so the next call is refused, whatever the
    /// circuit says by then.
    Shut(RefusalReason),
}

impl Said {
    /// Whether the inner service has been ready, and has not been called since.
    const fn is_inner_ready(self) -> bool {
        matches!(self, Self::Ready | Self::Refusing | Self::DrawnAgainst)
    }
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

    /// The circuit is not closed. `Ready(true)` when the inner service is to be asked, for a call would be admitted by now;
    /// `Ready(false)` when the next call may come and be refused.
    #[cold]
    #[inline(never)]
    fn poll_unclosed(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.gated {
            return self.poll_gate(cx);
        }
        let Some(reason) = self.circuit.refusing() else {
            return Poll::Ready(true);
        };
        self.ready.said = match (self.ready.said, reason) {
            // The ramp has drawn for this call already, and once is enough.
            (Said::Admitted | Said::Ready, RefusalReason::Ramp) => return Poll::Ready(true),
            (said, RefusalReason::Ramp) if said.is_inner_ready() => Said::DrawnAgainst,
            (said, _) if said.is_inner_ready() => Said::Refusing,
            _ => Said::Shut(reason),
        };
        Poll::Ready(false)
    }

    /// The gate alone asks the circuit, for on a ramp each question is a draw.
    #[inline(never)]
    fn poll_gate(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let ready = &mut self.ready;
        let drawn_for = matches!(ready.said, Said::Admitted | Said::Ready);
        let gate = ready.gate.get_or_insert_with(|| Gate::new(self.circuit));
        let polled = gate.poll(drawn_for, cx);
        if polled.is_pending() {
            let inner_ready = ready.said.is_inner_ready();
            ready.said = if inner_ready { Said::Refusing } else { Said::Nothing };
        }
        polled.map(|()| true)
    }

    /// The inner service is not ready. Whether the circuit refuses by now, or else has this task woken when it changes:
    /// nobody need wait for a service that would not be called.
    #[cold]
    #[inline(never)]
    fn is_shut_meanwhile(&mut self, cx: &Context<'_>) -> bool {
        let ready = &mut self.ready;
        ready.said = Said::Admitted;
        if self.gated {
            return false;
        }
        ready
            .gate
            .get_or_insert_with(|| Gate::new(self.circuit))
            .wake_on_change(cx);
        match self.circuit.refusing() {
            Some(reason) if reason != RefusalReason::Ramp => {
                ready.said = Said::Shut(reason);
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
        let said = mem::take(&mut self.ready.said);
        let acquired = match said {
            Said::Shut(reason) => Err(self.circuit.refuse(reason)),
            Said::DrawnAgainst if self.circuit.state() == State::HalfOpen => {
                Err(self.circuit.refuse(RefusalReason::Ramp))
            }
            Said::Ready | Said::Admitted => self.circuit.acquire_when_ready(),
            _ => self.circuit.acquire(),
        };
        match acquired {
            Ok(permit) => self.call_inner(request, permit),
            Err(refused) => {
                if said.is_inner_ready() {
                    self.ready.said = Said::Refusing;
                }
                self.seen.refused(&refused);
                CircuitFuture::refused(self.mode.refused(&refused, &request))
            }
        }
    }

    #[inline]
    fn call_inner<Req>(&mut self, request: Req, permit: Permit) -> CircuitFuture<S, Req, M>
    where
        S: Service<Req>,
        M: Mode<Req, S::Response, S::Error>,
    {
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
        if !self.circuit.is_closed() && !ready!(self.poll_unclosed(cx)) {
            return Poll::Ready(Ok(()));
        }
        match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => {
                self.ready.said = Said::Ready;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => {
                self.ready.said = Said::Admitted;
                Poll::Ready(Err(M::error(error)))
            }
            Poll::Pending if self.is_shut_meanwhile(cx) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        if !matches!(self.ready.said, Said::Shut(_)) {
            if let Some(permit) = self.circuit.acquire_closed() {
                self.ready.said = Said::Nothing;
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
