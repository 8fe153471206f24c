//! Requests and responses of any type.

use state_core::{Outcome, Permit, Refused};

use crate::answer::{AsError, OnRefusal, sealed::Sealed};
use crate::classify::{Classify, ErrorsFail};
use crate::inspect::{Inspect, Nothing};
use crate::mode::Mode;

/// Any request and response: `C` says what a call came to, `N` which errors count nowhere, `A` what a refusal turns into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plain<C = ErrorsFail, N = Nothing, A = AsError> {
    pub(crate) call: PlainCall<C, N>,
    pub(crate) answer: A,
}

/// What a [`Plain`] call remembers: how to judge it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlainCall<C, N> {
    pub(crate) classify: C,
    pub(crate) inspect: N,
}

impl<C, N, A> Sealed for Plain<C, N, A> {}

impl<Req, Res, E, C, N, A> Mode<Req, Res, E> for Plain<C, N, A>
where
    C: Classify<Res, E> + Clone,
    N: Inspect<E> + Clone,
    A: OnRefusal<Req, Res, E> + Clone,
{
    type Response = Res;
    type Error = A::Error;
    type Call = PlainCall<C, N>;

    #[inline]
    fn begin(&self, _request: &Req) -> Self::Call {
        self.call.clone()
    }

    #[inline]
    fn done(call: Self::Call, result: Result<Res, E>, permit: Permit) -> Result<Res, A::Error> {
        // The permit is at hand while foreign code runs: if that panics, it is dropped while unwinding, a failure.
        let outcome = match &result {
            Err(error) if call.inspect.is_neutral(error) => Outcome::neutral(),
            _ => call.classify.classify(&result).outcome().unwrap_or(Outcome::success()),
        };
        permit.record(outcome);
        result.map_err(A::error)
    }

    fn refused(&self, refused: &Refused, request: &Req) -> Result<Res, A::Error> {
        self.answer.refused(refused, request)
    }

    #[inline]
    fn error(error: E) -> A::Error {
        A::error(error)
    }
}
