//! What a refusal turns into.

use std::fmt;

use state_core::Refused;

use crate::BoxError;

/// What a refused call is answered with: sealed. The ways there are: [`AsError`], [`Respond`], and with the feature `http`
/// `AsResponse` and `RespondHttp`.
pub trait OnRefusal<Req, Res, E>: sealed::Sealed {
    /// The service's error.
    type Error;

    /// The answer to a call that was refused.
    ///
    /// # Errors
    ///
    /// Where a refusal is an error.
    fn refused(&self, refused: &Refused, request: &Req) -> Result<Res, Self::Error>;

    /// An error of the inner service, as the service's error.
    fn error(error: E) -> Self::Error;
}

pub(crate) mod sealed {
    //! Keeps the ways to answer, and the modes, ours: new methods can be added.

    /// Of this crate.
    pub trait Sealed {}
}

/// A refusal is an error, [`Refused`] in a [`BoxError`]; inner errors pass untouched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AsError;

impl sealed::Sealed for AsError {}

impl<Req, Res, E: Into<BoxError>> OnRefusal<Req, Res, E> for AsError {
    type Error = BoxError;

    fn refused(&self, refused: &Refused, _request: &Req) -> Result<Res, BoxError> {
        Err(Box::new(*refused))
    }

    #[inline]
    fn error(error: E) -> BoxError {
        error.into()
    }
}

/// A refusal is a response, made by a function; errors stay what they are. Made by
/// [`CircuitLayer::on_refused`](crate::CircuitLayer::on_refused).
#[derive(Clone, Copy)]
pub struct Respond<F>(pub(crate) F);

impl<F> sealed::Sealed for Respond<F> {}

impl<Req, Res, E, F> OnRefusal<Req, Res, E> for Respond<F>
where
    F: Fn(&Refused) -> Res,
{
    type Error = E;

    fn refused(&self, refused: &Refused, _request: &Req) -> Result<Res, E> {
        Ok((self.0)(refused))
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}

impl<F> fmt::Debug for Respond<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Respond").finish_non_exhaustive()
    }
}
