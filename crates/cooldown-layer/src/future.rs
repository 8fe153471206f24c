//! The future: ask, call, settle.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::action::Action;
use crate::error::Refused;
use crate::layer::{Answers, Judges, Parts};
use crate::lease::Lease;

/// A question to a store. The one box of this future: what a store does is chosen by configuration, so its own future
/// has no name either, and an action is rare and dear beside an allocation.
type Question<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pin_project! {
    /// The answer of a [`CooldownService`](crate::CooldownService).
    ///
    /// # Cancel safety
    /// Dropped before the service is called: the action was not taken, though its units may be spent. Dropped later:
    /// the lease is abandoned, or, once the outcome is known, settled with it.
    pub struct ResponseFuture<S, Req, R, J>
    where
        S: Service<Req>,
    {
        #[pin]
        stage: Stage<S, Req>,
        refuse: R,
        judge: J,
    }
}

pin_project! {
    #[project = Staged]
    enum Stage<S, Req>
    where
        S: Service<Req>,
    {
        Asking { question: Question<Result<Lease, Refused>>, call: Option<(S, Req)> },
        Calling { #[pin] answer: S::Future, lease: Option<Lease> },
        Settling { question: Question<()>, result: Option<Result<S::Response, S::Error>> },
        Done,
    }
}

impl<S: Service<Req>, Req, R: Clone, J: Clone> ResponseFuture<S, Req, R, J> {
    pub(crate) fn new<E>(parts: &Parts<E, R, J>, action: Action, ready: S, request: Req) -> Self {
        let cooldown = parts.cooldown.clone();
        let question: Question<_> = Box::pin(async move { cooldown.request(action).await });
        let stage = Stage::Asking {
            question,
            call: Some((ready, request)),
        };
        Self {
            stage,
            refuse: parts.refuse.clone(),
            judge: parts.judge.clone(),
        }
    }
}

impl<S, Req, R, J> Future for ResponseFuture<S, Req, R, J>
where
    S: Service<Req>,
    R: Answers<S::Response, S::Error>,
    J: Judges<S::Response, S::Error>,
{
    type Output = Result<S::Response, R::Error>;

    /// # Panics
    /// When it is polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.stage.as_mut().project() {
                Staged::Asking { question, call } => match ready!(question.as_mut().poll(cx)) {
                    Err(refused) => {
                        this.stage.set(Stage::Done);
                        return Poll::Ready(this.refuse.refused(refused));
                    }
                    Ok(lease) => {
                        let (mut ready, request) = call.take().expect("asked once");
                        Stage::Calling {
                            answer: ready.call(request),
                            lease: Some(lease),
                        }
                    }
                },
                Staged::Calling { answer, lease } => {
                    let result = ready!(answer.poll(cx));
                    let mut lease = lease.take().expect("called once");
                    // Word of the outcome is left at once: nothing that happens from here on can lose it.
                    lease.leave(this.judge.outcome(&result));
                    let cooldown = lease.cooldown().clone();
                    Stage::Settling {
                        question: Box::pin(async move { cooldown.pay().await }),
                        result: Some(result),
                    }
                }
                Staged::Settling { question, result } => {
                    ready!(question.as_mut().poll(cx));
                    let result = result.take().expect("settled once");
                    this.stage.set(Stage::Done);
                    return Poll::Ready(result.map_err(|error| this.refuse.error(error)));
                }
                Staged::Done => panic!("polled after it was ready"),
            };
            this.stage.set(next);
        }
    }
}

impl<S: Service<Req>, Req, R, J> fmt::Debug for ResponseFuture<S, Req, R, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Asking { .. } => "asking",
            Stage::Calling { .. } => "calling",
            Stage::Settling { .. } => "settling",
            Stage::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
