//! What a refusal turns into.

use std::fmt;

use crate::error::{BoxError, Unhealthy};

/// What a service answers with: sealed. The ways there are: [`AsError`], [`Respond`], and with the feature `http` `AsHttp`.
pub trait Answer<Req, Res, E>: sealed::Sealed {
    /// The service's error.
    type Error;

    /// The answer to a call that was refused.
    ///
    /// # Errors
    ///
    /// Where a refusal is an error.
    fn refused(&self, unhealthy: Unhealthy, request: &Req) -> Result<Res, Self::Error>;

    /// An error of the inner service.
    fn error(error: E) -> Self::Error;
}

pub(crate) mod sealed {
    //! So that more can be asked of an answer later.

    /// Of this crate.
    pub trait Sealed {}
}

impl sealed::Sealed for AsError {}
impl<F> sealed::Sealed for Respond<F> {}

/// A refusal is an error, [`Unhealthy`] in a [`BoxError`]; inner errors pass untouched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsError;

impl<Req, Res, E: Into<BoxError>> Answer<Req, Res, E> for AsError {
    type Error = BoxError;

    fn refused(&self, unhealthy: Unhealthy, _request: &Req) -> Result<Res, BoxError> {
        Err(unhealthy.into())
    }

    #[inline]
    fn error(error: E) -> BoxError {
        error.into()
    }
}

/// A refusal is a response, made by a function; the service keeps the inner service's error. Made by
/// [`HealthLayer::on_refused`](crate::HealthLayer::on_refused).
#[derive(Clone, Copy)]
pub struct Respond<F>(pub(crate) F);

impl<F> fmt::Debug for Respond<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Respond").finish_non_exhaustive()
    }
}

impl<Req, Res, E, F> Answer<Req, Res, E> for Respond<F>
where
    F: Fn(Unhealthy) -> Res,
{
    type Error = E;

    fn refused(&self, unhealthy: Unhealthy, _request: &Req) -> Result<Res, E> {
        Ok((self.0)(unhealthy))
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}
