//! What a call came to.

use std::time::Duration;

use state_core::Outcome;

/// What a call came to, as a classifier says it; with a hint how long the dependency asks to be left alone.
///
/// ```
/// use std::time::Duration;
/// use circuit_layer::Verdict;
///
/// let verdict = Verdict::failure().retry_after(Duration::from_secs(60));
/// assert_ne!(verdict, Verdict::failure());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict(pub(crate) Option<Outcome>);

impl Verdict {
    /// The dependency did what it should.
    #[must_use]
    pub const fn success() -> Self {
        Self(Some(Outcome::success()))
    }

    /// The dependency failed.
    #[must_use]
    pub const fn failure() -> Self {
        Self(Some(Outcome::failure()))
    }

    /// The dependency asked for less: a failure for the rates and for trials, but not for `consecutive_failures`.
    #[must_use]
    pub const fn throttled() -> Self {
        Self(Some(Outcome::throttled()))
    }

    /// The call says nothing about the dependency: it counts nowhere.
    #[must_use]
    pub const fn neutral() -> Self {
        Self(Some(Outcome::neutral()))
    }

    /// Not known yet: ask again at the end of the body. For a service whose responses have no body that this crate
    /// knows (all but those of `CircuitLayer::http` and `grpc`), a success.
    #[must_use]
    pub const fn at_end() -> Self {
        Self(None)
    }

    /// How long the dependency asks to be left alone: with a failure it keeps the circuit open at least that long, up to
    /// the policy's `max_retry_after`. Says nothing with [`at_end`](Self::at_end).
    #[must_use]
    pub const fn retry_after(self, hint: Duration) -> Self {
        match self.0 {
            Some(outcome) => Self(Some(outcome.retry_after(hint))),
            None => self,
        }
    }

    /// What it comes to now; `None` for [`at_end`](Self::at_end).
    #[must_use]
    pub const fn outcome(self) -> Option<Outcome> {
        self.0
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self(Some(outcome))
    }
}

/// Says what a call came to. Every `Fn(&Result<Res, E>) -> Verdict` is one, and so is one that answers with an
/// [`Outcome`]; see [`CircuitLayer::classify`](crate::CircuitLayer::classify).
///
/// It is cloned for each admitted call, so keep it small: a function, or a closure over something that is `Copy`.
///
/// # Panics
///
/// A classifier that panics makes the call a failure, and the panic goes on to the caller.
///
/// ```
/// use circuit_layer::{Classify, Verdict};
///
/// /// An empty answer is a failure too.
/// #[derive(Clone)]
/// struct NonEmpty;
///
/// impl<E> Classify<String, E> for NonEmpty {
///     fn classify(&self, result: &Result<String, E>) -> Verdict {
///         match result {
///             Ok(text) if !text.is_empty() => Verdict::success(),
///             _ => Verdict::failure(),
///         }
///     }
/// }
/// ```
pub trait Classify<Res, E> {
    /// What `result` says about the dependency.
    fn classify(&self, result: &Result<Res, E>) -> Verdict;
}

impl<Res, E, F, V> Classify<Res, E> for F
where
    F: Fn(&Result<Res, E>) -> V,
    V: Into<Verdict>,
{
    fn classify(&self, result: &Result<Res, E>) -> Verdict {
        self(result).into()
    }
}

/// The default classifier: `Ok` is a success, `Err` a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErrorsFail;

impl<Res, E> Classify<Res, E> for ErrorsFail {
    #[inline]
    fn classify(&self, result: &Result<Res, E>) -> Verdict {
        match result {
            Ok(_) => Verdict::success(),
            Err(_) => Verdict::failure(),
        }
    }
}
