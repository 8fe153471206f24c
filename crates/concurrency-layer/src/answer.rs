//! What a refusal turns into, and how long a permit lasts.

use std::fmt;

use crate::BoxError;
use crate::error::Overloaded;
use crate::permit::Permit;

/// What a service answers with: sealed, because permits depend on it. The ways there are: [`AsError`], [`Respond`], and
/// with the feature `http` `AsHttp` and `BodyLong`.
pub trait Answer<Req, Res, E>: sealed::Sealed {
    /// The service's response.
    type Response;
    /// The service's error.
    type Error;

    /// The answer to a call that was refused.
    ///
    /// # Errors
    ///
    /// Where a refusal is an error.
    fn refused(&self, overloaded: Overloaded, request: &Req) -> Result<Self::Response, Self::Error>;

    /// The answer to a call that was made; where the permit stays is decided here.
    ///
    /// # Errors
    ///
    /// The inner service's.
    fn done(result: Result<Res, E>, permit: Permit) -> Result<Self::Response, Self::Error>;

    /// An error of the inner service's readiness.
    fn error(error: E) -> Self::Error;
}

pub(crate) mod sealed {
    //! Nobody else can say what becomes of a permit.

    /// Of this crate.
    pub trait Sealed {}
}

impl sealed::Sealed for AsError {}
impl<F> sealed::Sealed for Respond<F> {}

/// A refusal is an error, [`Overloaded`] in a [`BoxError`]; inner errors pass untouched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsError;

impl<Req, Res, E: Into<BoxError>> Answer<Req, Res, E> for AsError {
    type Response = Res;
    type Error = BoxError;

    fn refused(&self, overloaded: Overloaded, _request: &Req) -> Result<Res, BoxError> {
        Err(overloaded.into())
    }

    #[inline]
    fn done(result: Result<Res, E>, permit: Permit) -> Result<Res, BoxError> {
        drop(permit);
        result.map_err(Into::into)
    }

    #[inline]
    fn error(error: E) -> BoxError {
        error.into()
    }
}

/// A refusal is a response, made by a function; the service keeps the inner service's error. Made by
/// [`ConcurrencyLayer::on_refused`](crate::ConcurrencyLayer::on_refused).
#[derive(Clone, Copy)]
pub struct Respond<F>(pub(crate) F);

impl<F> fmt::Debug for Respond<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Respond").finish_non_exhaustive()
    }
}

impl<Req, Res, E, F> Answer<Req, Res, E> for Respond<F>
where
    F: Fn(Overloaded) -> Res,
{
    type Response = Res;
    type Error = E;

    fn refused(&self, overloaded: Overloaded, _request: &Req) -> Result<Res, E> {
        Ok((self.0)(overloaded))
    }

    #[inline]
    fn done(result: Result<Res, E>, permit: Permit) -> Result<Res, E> {
        drop(permit);
        result
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}
