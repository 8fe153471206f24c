//! The answer to come: the service's own, or that of a step.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::chain::{Asked, Concluded, End, Given};
use crate::observe;
use crate::shared::{Handle, Shared};
use crate::{BoxError, Cause, CauseKind, Degraded, Keep, Steps};

pin_project! {
    /// The answer of a [`Fallback`](crate::Fallback) to come.
    ///
    /// # Cancel safety
    ///
    /// Dropped at any point, it drops the call in flight (the service's or a step's) and gives back the step's place
    /// under [`at_most`](crate::FallbackLayer::at_most). Nothing is stored.
    ///
    /// # Panics
    ///
    /// A panic of the service, of a predicate or of a step goes to the caller. Polled after it has answered, it panics.
    pub struct ResponseFuture<F, Req, Resp, C, K>
    where
        Resp: 'static,
        K: Keep<Req>,
        K: 'static,
        C: Steps<Req, Resp, K::Kept>,
        C: 'static,
    {
        shared: Handle<Shared<Resp, C, K>>,
        kept: K::Kept,
        held: Option<C::Held>,
        #[pin]
        state: State<F, C::Run, Resp>,
    }
}

pin_project! {
    #[project = StateProj]
    #[project_replace = StateOwn]
    enum State<F, R, Resp> {
        // The service works.
        Called { #[pin] answer: F },
        // The steps work.
        Asked { #[pin] run: R, cause: Cause<Resp>, last: Option<(&'static str, BoxError)> },
        // Nothing answered, or (empty) it is all over.
        Over { end: Option<End<Resp>> },
    }
}

impl<F, R, Resp> State<F, R, Resp> {
    const DONE: Self = Self::Over { end: None };

    /// What follows a failure: the steps, or nothing where it is none of their business.
    fn after<Req, C, K>(shared: &Shared<Resp, C, K>, held: C::Held, cause: Cause<Resp>) -> Self
    where
        K: Keep<Req>,
        C: Steps<Req, Resp, K::Kept, Run = R>,
    {
        if shared.rules.takes(&cause) {
            Self::Asked {
                run: shared.chain.start(held),
                cause,
                last: None,
            }
        } else {
            Self::Over {
                end: Some(End {
                    cause,
                    last: None,
                    asked: false,
                }),
            }
        }
    }
}

impl<F, Req, Resp, C, K> ResponseFuture<F, Req, Resp, C, K>
where
    K: Keep<Req>,
    C: Steps<Req, Resp, K::Kept>,
{
    pub(crate) fn called(answer: F, shared: Handle<Shared<Resp, C, K>>, held: C::Held, kept: K::Kept) -> Self {
        Self {
            shared,
            kept,
            held: Some(held),
            state: State::Called { answer },
        }
    }

    pub(crate) fn not_ready(error: BoxError, shared: Handle<Shared<Resp, C, K>>, held: C::Held, kept: K::Kept) -> Self {
        let state = State::after(&shared, held, Cause::not_ready(error));
        Self {
            shared,
            kept,
            held: None,
            state,
        }
    }
}

impl<F, E, Req, Resp, C, K> Future for ResponseFuture<F, Req, Resp, C, K>
where
    F: Future<Output = Result<Resp, E>>,
    E: Into<BoxError>,
    K: Keep<Req>,
    C: Steps<Req, Resp, K::Kept>,
{
    type Output = Result<Resp, C::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let shared: &Shared<Resp, C, K> = this.shared;
        let kept: &K::Kept = this.kept;
        let mut state = this.state;

        // # The service
        if let StateProj::Called { answer } = state.as_mut().project() {
            let answer = ready!(answer.poll(cx));
            // Before a step begins, the call is dropped and with it whatever it held below: permits, slots.
            state.set(State::DONE);
            let held = this.held.take();
            let answer = match answer {
                Ok(response) => shared.rules.judge(response),
                Err(error) => Err(Cause::from_error(error.into())),
            };
            match (answer, held) {
                (Ok(response), Some(held)) if C::LEARNS && shared.rules.is_good(&response) => {
                    return Poll::Ready(Ok(shared.chain.learn(held, response)));
                }
                (Ok(response), _) => return Poll::Ready(Ok(response)),
                (Err(cause), Some(held)) => state.set(State::after(shared, held, cause)),
                (Err(cause), None) => state.set(State::Over {
                    end: Some(End {
                        cause,
                        last: None,
                        asked: false,
                    }),
                }),
            }
        }

        // # The steps
        if let StateProj::Asked { run, cause, last } = state.as_mut().project() {
            if let Some(given) = ready!(shared.chain.poll_run(run, cx, &mut Asked { kept, cause, last })) {
                let cause = cause.kind();
                state.set(State::DONE);
                return Poll::Ready(Ok(degraded(shared, given, cause)));
            }
            if let StateOwn::Asked { cause, last, .. } = state.as_mut().project_replace(State::DONE) {
                state.set(State::Over {
                    end: Some(End {
                        cause,
                        last,
                        asked: true,
                    }),
                });
            }
        }

        // # The end
        let StateOwn::Over { end: Some(end) } = state.project_replace(State::DONE) else {
            panic!("the future of a fallback was polled after it had answered");
        };
        let (cause, asked) = (end.cause.kind(), end.asked);
        Poll::Ready(match shared.chain.conclude(kept, end) {
            Ok(given) => Ok(degraded(shared, given, cause)),
            Err(concluded) => {
                if asked {
                    observe::exhausted(cause);
                }
                match concluded {
                    Concluded::Response(response) => Ok(response),
                    Concluded::Error(error) => Err(error),
                }
            }
        })
    }
}

/// Marks an answer that came from a step, and tells of it.
fn degraded<Resp, C, K>(shared: &Shared<Resp, C, K>, given: Given<Resp>, cause: CauseKind) -> Resp {
    let degraded = Degraded::new(given.step, cause);
    let mut response = given.response;
    shared.rules.mark(&mut response, degraded);
    observe::answered(degraded);
    response
}

impl<F, Req, Resp, C, K> fmt::Debug for ResponseFuture<F, Req, Resp, C, K>
where
    K: Keep<Req>,
    C: Steps<Req, Resp, K::Kept>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
