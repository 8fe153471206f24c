//! The step that computes an answer, or has one ready.

use core::fmt;
use core::future::{Ready, ready};
use std::sync::Arc;

use crate::{BoxError, Cause, Step};

type Answer<Kept, Resp> = Arc<dyn Fn(&Kept, &Cause<Resp>) -> Option<Resp> + Send + Sync>;

/// Answers with what a function makes of the kept request and the cause.
///
/// Made by [`FallbackLayer::respond`](crate::FallbackLayer::respond) and its siblings.
pub struct Respond<Kept, Resp> {
    answer: Answer<Kept, Resp>,
}

impl<Kept, Resp> Respond<Kept, Resp> {
    pub(crate) fn new(answer: impl Fn(&Kept, &Cause<Resp>) -> Option<Resp> + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
        }
    }
}

impl<Req, Kept, Resp> Step<Req, Resp, Kept> for Respond<Kept, Resp> {
    type Held = ();
    type Future = Ready<Result<Option<Resp>, BoxError>>;

    fn hold(&self, _: &Req) {}

    fn answer(&self, (): (), kept: &Kept, cause: &Cause<Resp>) -> Self::Future {
        ready(Ok((self.answer)(kept, cause)))
    }
}

impl<Kept, Resp> Clone for Respond<Kept, Resp> {
    fn clone(&self) -> Self {
        Self {
            answer: Arc::clone(&self.answer),
        }
    }
}

impl<Kept, Resp> fmt::Debug for Respond<Kept, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Respond").finish_non_exhaustive()
    }
}
