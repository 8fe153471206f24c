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
use crate::permit::Permit;

type Output<A, S, Req> = Result<
    <A as Answer<Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Response,
    <A as Answer<Req, <S as Service<Req>>::Response, <S as Service<Req>>::Error>>::Error,
>;

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
        A: Answer<Req, S::Response, S::Error>,
    {
        // The order matters: the call gives up what it holds before its slot goes to another one.
        Running { #[pin] call: S::Future, permit: Option<Permit> },
        Waiting { #[pin] wait: Wait<D::Dismissal>, inner: S, request: Option<Req>, answer: A },
        Refused { output: Option<Output<A, S, Req>> },
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

    pub(crate) const fn waiting(wait: Wait<D::Dismissal>, inner: S, request: Req, answer: A) -> Self {
        Self {
            state: State::Waiting {
                wait,
                inner,
                request: Some(request),
                answer,
            },
        }
    }

    pub(crate) const fn refused(output: Output<A, S, Req>) -> Self {
        Self {
            state: State::Refused { output: Some(output) },
        }
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
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Running { call, permit } => {
                    let result = ready!(call.poll(cx));
                    let permit = permit.take().expect("polled after it was over");
                    return Poll::Ready(A::done(result, permit));
                }
                StateProjection::Waiting {
                    wait,
                    inner,
                    request,
                    answer,
                } => {
                    let turn = ready!(wait.poll(cx));
                    let request = request.take().expect("polled after it was over");
                    let permit = match turn {
                        Ok(permit) => permit,
                        Err(overloaded) => return Poll::Ready(answer.refused(overloaded, &request)),
                    };
                    let call = inner.call(request);
                    this.state.set(State::Running {
                        call,
                        permit: Some(permit),
                    });
                }
                StateProjection::Refused { output } => {
                    return Poll::Ready(output.take().expect("polled after it was over"));
                }
            }
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
            State::Waiting { .. } => "waiting",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("ConcurrencyFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
