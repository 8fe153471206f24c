//! Steps in a row: a list in the types, so that nothing is boxed.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::sync::Arc;

use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use crate::observe::{self, Passed};
use crate::{BoxError, Cause, FallbackError, Step};

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// A chain of steps, run in order. Sealed: [`Empty`], [`Chain`] and [`Finally`](crate::Finally) are all there is; what is yours to
/// write is a [`Step`].
pub trait Steps<Req, Resp, Kept>: sealed::Sealed {
    /// `BoxError`, or `Infallible` where the chain ends in [`Finally`](crate::Finally).
    type Error;
    #[doc(hidden)]
    const LEARNS: bool;
    #[doc(hidden)]
    type Held;
    #[doc(hidden)]
    type Run;
    #[doc(hidden)]
    fn hold(&self, request: &Req) -> Self::Held;
    #[doc(hidden)]
    fn learn(&self, held: Self::Held, response: Resp) -> Resp;
    #[doc(hidden)]
    fn start(&self, held: Self::Held) -> Self::Run;
    #[doc(hidden)]
    fn poll_run(
        &self,
        run: Pin<&mut Self::Run>,
        cx: &mut Context<'_>,
        asked: &mut Asked<'_, Kept, Resp>,
    ) -> Poll<Option<Given<Resp>>>;
    #[doc(hidden)]
    fn conclude(&self, kept: &Kept, end: End<Resp>) -> Result<Given<Resp>, Concluded<Resp, Self::Error>>;
}

/// What the steps of one call have in common.
#[doc(hidden)]
#[derive(Debug)]
pub struct Asked<'a, Kept, Resp> {
    pub(crate) kept: &'a Kept,
    pub(crate) cause: &'a Cause<Resp>,
    pub(crate) last: &'a mut Option<(&'static str, BoxError)>,
}

/// An answer, and the step it came from.
#[doc(hidden)]
#[derive(Debug)]
pub struct Given<Resp> {
    pub(crate) response: Resp,
    pub(crate) step: &'static str,
}

/// What is left when no step answered.
#[doc(hidden)]
#[derive(Debug)]
pub struct End<Resp> {
    pub(crate) cause: Cause<Resp>,
    pub(crate) last: Option<(&'static str, BoxError)>,
    pub(crate) asked: bool,
}

/// What goes out when nothing answered: the failed response or an error.
#[doc(hidden)]
#[derive(Debug)]
pub enum Concluded<Resp, E> {
    Response(Resp),
    Error(E),
}

fn report<Resp>(end: End<Resp>) -> Concluded<Resp, BoxError> {
    match (end.cause.into_parts(), end.last) {
        (Ok(response), _) => Concluded::Response(response),
        (Err(first), None) => Concluded::Error(first),
        (Err(first), Some((step, last))) => Concluded::Error(Box::new(FallbackError::exhausted(step, last, first))),
    }
}

/// A chain without a step: what every chain begins with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Empty;

impl sealed::Sealed for Empty {}

impl<Req, Resp, Kept> Steps<Req, Resp, Kept> for Empty {
    type Error = BoxError;
    const LEARNS: bool = false;
    type Held = ();
    type Run = ();

    fn hold(&self, _: &Req) {}

    fn learn(&self, (): (), response: Resp) -> Resp {
        response
    }

    fn start(&self, (): ()) {}

    fn poll_run(
        &self,
        _: Pin<&mut ()>,
        _: &mut Context<'_>,
        _: &mut Asked<'_, Kept, Resp>,
    ) -> Poll<Option<Given<Resp>>> {
        Poll::Ready(None)
    }

    fn conclude(&self, _: &Kept, end: End<Resp>) -> Result<Given<Resp>, Concluded<Resp, BoxError>> {
        Err(report(end))
    }
}

type When<Kept, Resp> = Arc<dyn Fn(&Kept, &Cause<Resp>) -> bool + Send + Sync>;

/// On what terms a step is run.
pub(crate) struct Terms<Kept, Resp> {
    pub(crate) name: &'static str,
    pub(crate) when: Option<When<Kept, Resp>>,
    pub(crate) within: Option<Duration>,
    pub(crate) places: Option<Arc<Semaphore>>,
}

impl<Kept, Resp> Terms<Kept, Resp> {
    /// A place for one run, given back when it is dropped; the error says why the step is not run.
    fn admit(&self, kept: &Kept, cause: &Cause<Resp>) -> Result<Option<OwnedSemaphorePermit>, Passed> {
        if self.when.as_ref().is_some_and(|wanted| !wanted(kept, cause)) {
            return Err(Passed::NotWanted);
        }
        match &self.places {
            None => Ok(None),
            Some(places) => Arc::clone(places)
                .try_acquire_owned()
                .map(Some)
                .map_err(|_| Passed::Full),
        }
    }
}

impl<Kept, Resp> Clone for Terms<Kept, Resp> {
    fn clone(&self) -> Self {
        let Self {
            name,
            when,
            within,
            places,
        } = self;
        Self {
            name,
            when: when.clone(),
            within: *within,
            places: places.clone(),
        }
    }
}

/// The steps `B`, and after them the step `S`.
pub struct Chain<B, S, Kept, Resp> {
    pub(crate) before: B,
    pub(crate) step: S,
    pub(crate) terms: Terms<Kept, Resp>,
}

impl<B, S, Kept, Resp> Chain<B, S, Kept, Resp> {
    pub(crate) fn new(before: B, name: &'static str, step: S) -> Self {
        Self {
            before,
            step,
            terms: Terms {
                name,
                when: None,
                within: None,
                places: None,
            },
        }
    }
}

impl<B: Clone, S: Clone, Kept, Resp> Clone for Chain<B, S, Kept, Resp> {
    fn clone(&self) -> Self {
        Self {
            before: self.before.clone(),
            step: self.step.clone(),
            terms: self.terms.clone(),
        }
    }
}

impl<B: fmt::Debug, S, Kept, Resp> fmt::Debug for Chain<B, S, Kept, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("before", &self.before)
            .field("step", &self.terms.name)
            .field("within", &self.terms.within)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// How far a chain has come.
    #[doc(hidden)]
    #[project = RunProj]
    #[project_replace = RunOwn]
    #[derive(Debug)]
    pub enum Run<B, H, F> {
        Before { #[pin] before: B, held: H },
        Running { #[pin] future: F, #[pin] limit: Option<Sleep>, place: Option<OwnedSemaphorePermit> },
        Done,
    }
}

impl<B, S, Kept, Resp> sealed::Sealed for Chain<B, S, Kept, Resp> {}

impl<Req, Resp, Kept, B, S> Steps<Req, Resp, Kept> for Chain<B, S, Kept, Resp>
where
    B: Steps<Req, Resp, Kept>,
    S: Step<Req, Resp, Kept>,
{
    type Error = B::Error;
    const LEARNS: bool = B::LEARNS || S::LEARNS;
    type Held = (B::Held, S::Held);
    type Run = Run<B::Run, S::Held, S::Future>;

    fn hold(&self, request: &Req) -> Self::Held {
        (self.before.hold(request), self.step.hold(request))
    }

    fn learn(&self, (before, held): Self::Held, response: Resp) -> Resp {
        self.step.learn(held, self.before.learn(before, response))
    }

    fn start(&self, (before, held): Self::Held) -> Self::Run {
        Run::Before {
            before: self.before.start(before),
            held,
        }
    }

    fn poll_run(
        &self,
        mut run: Pin<&mut Self::Run>,
        cx: &mut Context<'_>,
        asked: &mut Asked<'_, Kept, Resp>,
    ) -> Poll<Option<Given<Resp>>> {
        let name = self.terms.name;

        // # The steps before
        if let RunProj::Before { before, .. } = run.as_mut().project() {
            if let Some(given) = ready!(self.before.poll_run(before, cx, asked)) {
                run.set(Run::Done);
                return Poll::Ready(Some(given));
            }
            let RunOwn::Before { held, .. } = run.as_mut().project_replace(Run::Done) else {
                return Poll::Ready(None);
            };
            let place = match self.terms.admit(asked.kept, asked.cause) {
                Ok(place) => place,
                Err(why) => {
                    observe::passed(name, why, None);
                    return Poll::Ready(None);
                }
            };
            let future = self.step.answer(held, asked.kept, asked.cause);
            let limit = self.terms.within.map(tokio::time::sleep);
            run.set(Run::Running { future, limit, place });
        }

        // # This step
        let RunProj::Running { future, limit, .. } = run.as_mut().project() else {
            return Poll::Ready(None);
        };
        let (passed, error) = match future.poll(cx) {
            Poll::Ready(Ok(Some(response))) => {
                run.set(Run::Done);
                return Poll::Ready(Some(Given { response, step: name }));
            }
            Poll::Ready(Ok(None)) => (Passed::NoAnswer, None),
            Poll::Ready(Err(error)) => (Passed::Failed, Some(error)),
            Poll::Pending => {
                let Some(limit) = limit.as_pin_mut() else {
                    return Poll::Pending;
                };
                ready!(limit.poll(cx));
                let limit = self.terms.within.unwrap_or_default();
                (Passed::TookTooLong, Some(FallbackError::late(name, limit).into()))
            }
        };
        run.set(Run::Done);
        observe::passed(name, passed, error.as_ref());
        if let Some(error) = error {
            *asked.last = Some((name, error));
        }
        Poll::Ready(None)
    }

    fn conclude(&self, kept: &Kept, end: End<Resp>) -> Result<Given<Resp>, Concluded<Resp, Self::Error>> {
        self.before.conclude(kept, end)
    }
}
