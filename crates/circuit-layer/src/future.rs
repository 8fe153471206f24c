//! The future of a call.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use state_core::Permit;
use tower_service::Service;

use crate::mode::Mode;
use crate::plain::Plain;

type Output<M, S, Req> = Result<
    <M as Mode<Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Response,
    <M as Mode<Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Error,
>;

pin_project! {
    /// The future of a call through [`CircuitService`](crate::CircuitService).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has answered, it drops the call and then settles as the policy's `on_cancel` says.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered, and when the call panics, or a classifier or inspector: the call is then a
    /// failure, also where the panic is caught and the future dropped later.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct CircuitFuture<S, Req, M = Plain>
    where
        S: Service<Req>,
        M: Mode<Req, S::Response, S::Error>,
    {
        #[pin]
        state: State<S, Req, M>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, Req, M>
    where
        S: Service<Req>,
        M: Mode<Req, S::Response, S::Error>,
    {
        // The order matters: what is given up gives up its connection before its trial goes to another call.
        Running { #[pin] inner: S::Future, held: Option<Held<M::Call>> },
        Refused { output: Option<Output<M, S, Req>> },
    }
}

/// What is kept for the moment when the call is over.
struct Held<C> {
    permit: Permit,
    call: C,
}

impl<S, Req, M> CircuitFuture<S, Req, M>
where
    S: Service<Req>,
    M: Mode<Req, S::Response, S::Error>,
{
    #[inline]
    pub(crate) fn running(inner: S::Future, permit: Permit, call: M::Call) -> Self {
        Self {
            state: State::Running {
                inner,
                held: Some(Held { permit, call }),
            },
        }
    }

    pub(crate) fn refused(output: Output<M, S, Req>) -> Self {
        Self {
            state: State::Refused { output: Some(output) },
        }
    }
}

/// Drops the permit while unwinding when the call panics, so that it is a failure even where the panic is caught and the
/// future is dropped later.
struct Unwinding<'a, C>(&'a mut Option<Held<C>>);

impl<C> Drop for Unwinding<'_, C> {
    fn drop(&mut self) {
        *self.0 = None;
    }
}

impl<S, Req, M> Future for CircuitFuture<S, Req, M>
where
    S: Service<Req>,
    M: Mode<Req, S::Response, S::Error>,
{
    type Output = Output<M, S, Req>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Running { inner, held } => {
                let unwinding = Unwinding(held);
                let polled = inner.poll(cx);
                mem::forget(unwinding);
                let result = ready!(polled);
                let Held { permit, call } = held.take().expect("polled after it was over");
                Poll::Ready(M::done(call, result, permit))
            }
            StateProjection::Refused { output } => Poll::Ready(output.take().expect("polled after it was over")),
        }
    }
}

impl<S, Req, M> fmt::Debug for CircuitFuture<S, Req, M>
where
    S: Service<Req>,
    M: Mode<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Running { held: Some(_), .. } => "running",
            State::Refused { output: Some(_) } => "refused",
            _ => "over",
        };
        f.debug_struct("CircuitFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
