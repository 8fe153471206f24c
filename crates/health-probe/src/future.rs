//! The future of a call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::answer::{Answer, AsError};

type Output<S, Req, A> = Result<
    <S as Service<Req>>::Response,
    <A as Answer<Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Error,
>;

pin_project! {
    /// The future of a call through [`HealthService`](crate::HealthService).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it drops the call; it holds nothing else.
    ///
    /// # Panics
    ///
    /// When a refusal is polled after it has answered; when the inner service panics.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct HealthFuture<S, Req, A = AsError>
    where
        S: Service<Req>,
        A: Answer<Req, S::Response, S::Error>,
    {
        #[pin]
        state: State<S::Future, Output<S, Req, A>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, O> {
        Running { #[pin] call: F },
        Refused { answer: Option<O> },
    }
}

impl<S, Req, A> HealthFuture<S, Req, A>
where
    S: Service<Req>,
    A: Answer<Req, S::Response, S::Error>,
{
    #[inline]
    pub(crate) const fn running(call: S::Future) -> Self {
        Self {
            state: State::Running { call },
        }
    }

    #[cold]
    pub(crate) const fn refused(answer: Output<S, Req, A>) -> Self {
        Self {
            state: State::Refused { answer: Some(answer) },
        }
    }
}

impl<S, Req, A> Future for HealthFuture<S, Req, A>
where
    S: Service<Req>,
    A: Answer<Req, S::Response, S::Error>,
{
    type Output = Output<S, Req, A>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Running { call } => call.poll(cx).map_err(A::error),
            StateProjection::Refused { answer } => Poll::Ready(answer.take().expect("polled after it was over")),
        }
    }
}

impl<S, Req, A> fmt::Debug for HealthFuture<S, Req, A>
where
    S: Service<Req>,
    A: Answer<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Running { .. } => "running",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("HealthFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
