//! What a call came to, and what goes out to the caller.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use state_core::Refusal;

use crate::error::{BoxError, Unserved};
use crate::member::{Came, Place};

/// How a pool looks at its calls: sealed. The ways there are: [`AsError`], [`Respond`], and with the feature `http`
/// `AsHttp`, `BodyLong` and `RespondHttp`.
pub trait Answer<Req, Res, E>: sealed::Sealed + Clone {
    /// The pool's response.
    type Response;
    /// The pool's error.
    type Error;
    /// What is remembered of a request for its answer.
    #[doc(hidden)]
    type Ask;

    #[doc(hidden)]
    fn ask(request: &Req) -> Self::Ask;

    /// What a provider's answer is, unless the pool was told how to see.
    #[doc(hidden)]
    fn judge(result: &Result<Res, E>) -> Judged;

    #[doc(hidden)]
    fn done(result: Result<Res, E>, by: Option<&Arc<str>>, place: Option<Place>)
    -> Result<Self::Response, Self::Error>;

    #[doc(hidden)]
    fn unserved(&self, unserved: Unserved, ask: &Self::Ask) -> Result<Self::Response, Self::Error>;
}

/// What came of asking, as an answer alone can tell.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    Served,
    Failed,
    /// By the provider's own layers, before the call was made.
    Refused,
}

impl From<Judged> for Came {
    fn from(judged: Judged) -> Self {
        match judged {
            Judged::Served => Self::Served,
            Judged::Failed => Self::Failed,
            Judged::Refused => Self::Refused,
        }
    }
}

pub(crate) mod sealed {
    //! Nobody else can say what becomes of a place.

    /// Of this crate.
    pub trait Sealed {}
}

/// An error is a failure, unless it is a refusal: that can be told of a [`BoxError`], which is what layers fail with.
pub(crate) fn judge_error<E: 'static>(error: &E) -> Judged {
    match (error as &dyn Any).downcast_ref::<BoxError>() {
        Some(error) if Refusal::find(&**error).is_some() => Judged::Refused,
        _ => Judged::Failed,
    }
}

/// Without a provider a call ends with an error, [`NoProvider`](crate::NoProvider) in a [`BoxError`]; a provider's own
/// errors pass untouched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsError;

impl sealed::Sealed for AsError {}

impl<Req, Res, E: Into<BoxError> + 'static> Answer<Req, Res, E> for AsError {
    type Response = Res;
    type Error = BoxError;
    type Ask = ();

    fn ask(_: &Req) {}

    fn judge(result: &Result<Res, E>) -> Judged {
        result.as_ref().map_or_else(judge_error, |_| Judged::Served)
    }

    fn done(result: Result<Res, E>, _: Option<&Arc<str>>, _: Option<Place>) -> Result<Res, BoxError> {
        result.map_err(Into::into)
    }

    fn unserved(&self, unserved: Unserved, (): &()) -> Result<Res, BoxError> {
        Err(unserved.into_error())
    }
}

/// Without a provider a call ends with a response, made by a function; errors stay what they are. Made by
/// [`on_refused`](crate::ProviderPool::on_refused).
#[derive(Clone, Copy)]
pub struct Respond<F>(pub(crate) F);

impl<F> sealed::Sealed for Respond<F> {}

impl<Req, Res, E: 'static, F> Answer<Req, Res, E> for Respond<F>
where
    F: Fn(&Unserved) -> Res + Clone,
{
    type Response = Res;
    type Error = E;
    type Ask = ();

    fn ask(_: &Req) {}

    fn judge(result: &Result<Res, E>) -> Judged {
        result.as_ref().map_or_else(judge_error, |_| Judged::Served)
    }

    fn done(result: Result<Res, E>, _: Option<&Arc<str>>, _: Option<Place>) -> Result<Res, E> {
        result
    }

    fn unserved(&self, unserved: Unserved, (): &()) -> Result<Res, E> {
        Ok((self.0)(&unserved))
    }
}

impl<F> fmt::Debug for Respond<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Respond").finish_non_exhaustive()
    }
}
