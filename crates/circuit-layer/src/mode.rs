//! How a layer looks at its calls.

use state_core::{Permit, Refused};

use crate::answer::sealed::Sealed;

/// How a layer looks at requests `Req`, responses `Res` and errors `E`: what counts as what, and what a refusal turns
/// into. Sealed; the modes are [`Plain`](crate::Plain) and, with the feature `http`, `Http`.
pub trait Mode<Req, Res, E>: Sealed + Clone {
    /// The service's response.
    type Response;
    /// The service's error.
    type Error;
    /// What an admitted call remembers until it is judged.
    type Call;

    /// Before an admitted call is made.
    fn begin(&self, request: &Req) -> Self::Call;

    /// After it: settles the permit, or hands it to the response's body.
    ///
    /// # Errors
    ///
    /// The inner service's.
    fn done(call: Self::Call, result: Result<Res, E>, permit: Permit) -> Result<Self::Response, Self::Error>;

    /// The answer to a call that was refused.
    ///
    /// # Errors
    ///
    /// Where a refusal is an error.
    fn refused(&self, refused: &Refused, request: &Req) -> Result<Self::Response, Self::Error>;

    /// An error of the inner service's readiness.
    fn error(error: E) -> Self::Error;
}
