//! The future of a call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::acquire::Wait;
use crate::answer::{Answer, AsError};
use crate::dismiss::{Dismiss, Undismissed};
use crate::error::Overloaded;
use crate::permit::Permit;

type Output<A, S, Req> = Result<
    <A as Answer<Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Response,
    <A as Answer<Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Error,
>;

/// A call that was made at last, or the answer to one that was refused.
type Made<A, S, Req> = Result<(<S as Service<Req>>::Future, Permit), Output<A, S, Req>>;

pin_project! {
    /// The future of a call through [`ConcurrencyService`](crate::ConcurrencyService).
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue at once and passes on a slot that it had been given; dropped while the
    /// call runs, it drops the call and then gives its slot back.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered; where a timer is needed (when it waits in a queue) outside a tokio runtime
    /// with time; when the inner service panics. No slot is lost by any of them.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct ConcurrencyFuture<S, Req, D = Undismissed, A = AsError>
    where
        S: Service<Req>,
        D: Dismiss,
        A: Answer<Req, S::Response, S::Error>,
    {
        #[pin]
        state: State<S, Req, D, A>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, Req, D, A>
    where
        S: Service<Req>,
        D: Dismiss,
    {
        // The order matters: the call gives up what it holds before its slot goes to another one.
        Running { #[pin] call: S::Future, permit: Option<Permit> },
        Held { #[pin] held: Held<S, Req, D::Dismissal, A> },
    }
}

pin_project! {
    /// A call that has not been made: it waits, or it is refused.
    struct Held<S, Req, T, A> {
        #[pin]
        verdict: Verdict<T>,
        // Taken along only by who waits.
        inner: Option<S>,
        request: Option<Req>,
        answer: A,
    }
}

pin_project! {
    #[project = VerdictProjection]
    enum Verdict<T> {
        Waiting { #[pin] wait: Wait<T> },
        Refused { overloaded: Overloaded },
    }
}

impl<S, Req, D, A> ConcurrencyFuture<S, Req, D, A>
where
    S: Service<Req>,
    D: Dismiss,
    A: Answer<Req, S::Response, S::Error>,
{
    #[inline]
    pub(crate) const fn running(call: S::Future, permit: Permit) -> Self {
        Self {
            state: State::Running {
                call,
                permit: Some(permit),
            },
        }
    }

    #[cold]
    pub(crate) const fn waiting(wait: Wait<D::Dismissal>, inner: S, request: Req, answer: A) -> Self {
        let verdict = Verdict::Waiting { wait };
        Self {
            state: State::Held {
                held: Held {
                    verdict,
                    inner: Some(inner),
                    request: Some(request),
                    answer,
                },
            },
        }
    }

    #[cold]
    pub(crate) const fn refused(overloaded: Overloaded, request: Req, answer: A) -> Self {
        let verdict = Verdict::Refused { overloaded };
        Self {
            state: State::Held {
                held: Held {
                    verdict,
                    inner: None,
                    request: Some(request),
                    answer,
                },
            },
        }
    }
}

impl<S, Req, D, A> ConcurrencyFuture<S, Req, D, A>
where
    S: Service<Req>,
    D: Dismiss,
    A: Answer<Req, S::Response, S::Error>,
{
    #[cold]
    #[inline(never)]
    fn poll_held(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output<A, S, Req>> {
        let StateProjection::Held { held } = self.as_mut().project().state.project() else {
            return self.poll(cx);
        };
        match ready!(held.poll(cx)) {
            Ok((call, permit)) => {
                self.as_mut().project().state.set(State::Running {
                    call,
                    permit: Some(permit),
                });
                self.poll(cx)
            }
            Err(output) => Poll::Ready(output),
        }
    }
}

impl<S, Req, T, A> Held<S, Req, T, A>
where
    S: Service<Req>,
    T: Future<Output = ()>,
    A: Answer<Req, S::Response, S::Error>,
{
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Made<A, S, Req>> {
        let this = self.project();
        let turn = match this.verdict.project() {
            VerdictProjection::Waiting { wait } => ready!(wait.poll(cx)),
            VerdictProjection::Refused { overloaded } => Err(*overloaded),
        };
        let request = this.request.take().expect("polled after it was over");
        Poll::Ready(match (turn, this.inner) {
            (Ok(permit), Some(inner)) => Ok((inner.call(request), permit)),
            (Ok(_), None) => unreachable!("only a call with its service waits"),
            (Err(overloaded), _) => Err(this.answer.refused(overloaded, &request)),
        })
    }
}

impl<S, Req, D, A> Future for ConcurrencyFuture<S, Req, D, A>
where
    S: Service<Req>,
    D: Dismiss,
    A: Answer<Req, S::Response, S::Error>,
{
    type Output = Output<A, S, Req>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.as_mut().project().state.project() {
            StateProjection::Running { call, permit } => {
                let result = ready!(call.poll(cx));
                let permit = permit.take().expect("polled after it was over");
                Poll::Ready(A::done(result, permit))
            }
            StateProjection::Held { .. } => self.poll_held(cx),
        }
    }
}

impl<S, Req, D, A> fmt::Debug for ConcurrencyFuture<S, Req, D, A>
where
    S: Service<Req>,
    D: Dismiss,
    A: Answer<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Running { .. } => "running",
            State::Held {
                held:
                    Held {
                        verdict: Verdict::Waiting { .. },
                        ..
                    },
            } => "waiting",
            State::Held { .. } => "refused",
        };
        f.debug_struct("ConcurrencyFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
