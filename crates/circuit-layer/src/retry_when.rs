//! Which calls are worth another try.

use std::error::Error;
use std::marker::PhantomData;
use std::time::Duration;

use state_core::Refusal;

use crate::BoxError;

/// What to do about a call that is over.
///
/// ```
/// use std::time::Duration;
/// use circuit_layer::Retry;
///
/// let busy = Retry::Again { after: Some(Duration::from_secs(2)) };
/// assert_ne!(busy, Retry::Never);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// Nothing: it succeeded, and earns the budget a deposit.
    Succeeded,
    /// Nothing: another try would come to the same, or is forbidden. A call that was refused is one of these.
    Never,
    /// Try again, not before `after` where the server has asked for it.
    Again {
        /// How long the server asked to be left alone.
        after: Option<Duration>,
    },
}

impl Retry {
    /// `Never` for a refusal by whichever layer (an open circuit, a full limit), else `Again`.
    ///
    /// ```
    /// use circuit_layer::{Circuit, Retry};
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// circuit.force_open();
    /// let refused = circuit.acquire().unwrap_err();
    /// assert_eq!(Retry::unless_refused(&refused), Retry::Never);
    /// assert_eq!(Retry::unless_refused(&std::io::Error::other("reset")), Retry::Again { after: None });
    /// # Ok::<(), circuit_layer::BuildError>(())
    /// ```
    #[must_use]
    pub fn unless_refused(error: &(dyn Error + 'static)) -> Self {
        match Refusal::find(error) {
            Some(_) => Self::Never,
            None => Self::Again { after: None },
        }
    }
}

/// Says which calls are worth another try. Every `Fn(&Result<Res, E>) -> Retry` is one: see
/// [`RetryBuilder::when`](crate::RetryBuilder::when).
pub trait RetryWhen<Res, E> {
    /// What to do about `result`.
    fn judge(&self, result: &Result<Res, E>) -> Retry;
}

impl<Res, E, F> RetryWhen<Res, E> for F
where
    F: Fn(&Result<Res, E>) -> Retry,
{
    fn judge(&self, result: &Result<Res, E>) -> Retry {
        self(result)
    }
}

/// How to look into an error for a refusal: sealed; [`Boxed`] or [`Typed`].
pub trait SeeError<E>: sealed::Sealed {
    /// The error, for a look at its sources.
    fn see(error: &E) -> &(dyn Error + 'static);
}

mod sealed {
    //! There is no third kind of error.

    pub trait Sealed {}
    impl Sealed for super::Boxed {}
    impl Sealed for super::Typed {}
}

/// Errors that are a [`BoxError`], as Tower's middleware mostly has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Boxed;

/// Errors of a type of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Typed;

impl SeeError<BoxError> for Boxed {
    fn see(error: &BoxError) -> &(dyn Error + 'static) {
        &**error
    }
}

impl<E: Error + 'static> SeeError<E> for Typed {
    fn see(error: &E) -> &(dyn Error + 'static) {
        error
    }
}

/// The default: every error but a refusal is worth another try.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnError<X = Boxed>(pub(crate) PhantomData<X>);

impl<Res, E, X: SeeError<E>> RetryWhen<Res, E> for OnError<X> {
    fn judge(&self, result: &Result<Res, E>) -> Retry {
        match result {
            Ok(_) => Retry::Succeeded,
            Err(error) => Retry::unless_refused(X::see(error)),
        }
    }
}

/// For HTTP and gRPC: also responses whose head says that the server failed (5xx, 429, a code that blames the server), and
/// none that a circuit refused or that says not to.
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnStatus<X = Boxed>(pub(crate) PhantomData<X>);

#[cfg(feature = "http")]
impl<RB, E, X> RetryWhen<http::Response<RB>, E> for OnStatus<X>
where
    RB: http_body::Body,
    X: SeeError<E>,
{
    fn judge(&self, result: &Result<http::Response<RB>, E>) -> Retry {
        use http_outcome::{Outcome, Protocol, pushback, wall};

        let response = match result {
            Ok(response) => response,
            Err(error) => return Retry::unless_refused(X::see(error)),
        };
        let headers = response.headers();
        if response.extensions().get::<Refusal>().is_some() || pushback::forbids_retry(headers) {
            return Retry::Never;
        }
        let over = response.body().is_end_stream();
        let judged = Protocol::of(headers).judge_head(response.status(), headers, over, wall::now());
        match judged.outcome {
            Outcome::Failure | Outcome::Throttled => Retry::Again {
                after: judged.retry_after,
            },
            Outcome::Neutral => Retry::Never,
            _ => Retry::Succeeded,
        }
    }
}
