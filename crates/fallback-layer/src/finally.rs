//! The last word of a chain: an answer that cannot fail.

use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use crate::chain::{Asked, Concluded, End, Given, sealed};
use crate::{Cause, Steps};

type LastWord<Kept, Resp> = Arc<dyn Fn(&Kept, &Cause<Resp>) -> Resp + Send + Sync>;

/// The steps `B`, and after them an answer that cannot fail.
pub struct Finally<B, Kept, Resp> {
    before: B,
    answer: LastWord<Kept, Resp>,
    only_errors: bool,
}

impl<B, Kept, Resp> Finally<B, Kept, Resp> {
    pub(crate) const NAME: &'static str = "finally";

    pub(crate) fn new(
        before: B,
        only_errors: bool,
        answer: impl Fn(&Kept, &Cause<Resp>) -> Resp + Send + Sync + 'static,
    ) -> Self {
        Self {
            before,
            answer: Arc::new(answer),
            only_errors,
        }
    }
}

impl<B: Clone, Kept, Resp> Clone for Finally<B, Kept, Resp> {
    fn clone(&self) -> Self {
        Self {
            before: self.before.clone(),
            answer: Arc::clone(&self.answer),
            only_errors: self.only_errors,
        }
    }
}

impl<B: fmt::Debug, Kept, Resp> fmt::Debug for Finally<B, Kept, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finally")
            .field("before", &self.before)
            .finish_non_exhaustive()
    }
}

impl<B, Kept, Resp> sealed::Sealed for Finally<B, Kept, Resp> {}

impl<Req, Resp, Kept, B> Steps<Req, Resp, Kept> for Finally<B, Kept, Resp>
where
    B: Steps<Req, Resp, Kept>,
{
    type Error = Infallible;
    const LEARNS: bool = B::LEARNS;
    type Held = B::Held;
    type Run = B::Run;

    fn hold(&self, request: &Req) -> Self::Held {
        self.before.hold(request)
    }

    fn learn(&self, held: Self::Held, response: Resp) -> Resp {
        self.before.learn(held, response)
    }

    fn start(&self, held: Self::Held) -> Self::Run {
        self.before.start(held)
    }

    fn poll_run(
        &self,
        run: Pin<&mut Self::Run>,
        cx: &mut Context<'_>,
        asked: &mut Asked<'_, Kept, Resp>,
    ) -> Poll<Option<Given<Resp>>> {
        self.before.poll_run(run, cx, asked)
    }

    fn conclude(&self, kept: &Kept, end: End<Resp>) -> Result<Given<Resp>, Concluded<Resp, Infallible>> {
        let cause = if self.only_errors {
            match end.cause.into_response() {
                Ok(response) => return Err(Concluded::Response(response)),
                Err(error) => error,
            }
        } else {
            end.cause
        };
        Ok(Given {
            response: (self.answer)(kept, &cause),
            step: Self::NAME,
        })
    }
}
