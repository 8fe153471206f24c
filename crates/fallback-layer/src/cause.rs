//! Why a fallback is asked.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use state_core::Refusal;

use crate::BoxError;

/// The kinds of causes: the bounded set that labels metrics and [`Degraded`](crate::Degraded).
///
/// ```
/// assert_eq!(fallback_layer::CauseKind::NotReady.as_str(), "not_ready");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CauseKind {
    /// The service failed with an error.
    Error,
    /// The service answered, and the answer is a failure by `on_response`.
    Response,
    /// The call was refused and never made: an open circuit, a full limiter (see [`Refusal`]).
    Refusal,
    /// The service failed while it was asked whether it is ready.
    NotReady,
    /// The service failed with an error that says that time ran out (tower's, tokio's or `std::io`'s).
    Timeout,
}

impl CauseKind {
    /// The word that stands in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Response => "response",
            Self::Refusal => "refusal",
            Self::NotReady => "not_ready",
            Self::Timeout => "timeout",
        }
    }
}

impl fmt::Display for CauseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What kept the service from answering: an error, or a response that counts as a failure.
///
/// Every step is handed the same cause: what happened to the call itself, not to the steps before.
///
/// ```
/// use fallback_layer::FallbackLayer;
///
/// let layer = FallbackLayer::new().respond(|_, cause| match cause.retry_after() {
///     Some(wait) => format!("try again in {} s", wait.as_secs()),
///     None => format!("sorry: {}", cause.kind()),
/// });
/// # let _: FallbackLayer<(), String, _> = layer;
/// ```
pub struct Cause<Resp> {
    kind: CauseKind,
    what: What<Resp>,
}

enum What<Resp> {
    Error(BoxError),
    Response(Resp),
}

impl<Resp> Cause<Resp> {
    /// The cause that an error of a call is. Useful to test a [`Step`](crate::Step) of one's own.
    ///
    /// ```
    /// use fallback_layer::{Cause, CauseKind};
    ///
    /// let cause = Cause::<String>::from_error("reset by peer".into());
    /// assert_eq!(cause.kind(), CauseKind::Error);
    /// assert_eq!(cause.error().unwrap().to_string(), "reset by peer");
    /// ```
    pub fn from_error(error: BoxError) -> Self {
        Self {
            kind: kind_of(&*error),
            what: What::Error(error),
        }
    }

    /// The cause that a failed response is.
    ///
    /// ```
    /// use fallback_layer::Cause;
    ///
    /// assert_eq!(Cause::from_response(503).response(), Some(&503));
    /// ```
    pub fn from_response(response: Resp) -> Self {
        Self {
            kind: CauseKind::Response,
            what: What::Response(response),
        }
    }

    pub(crate) fn not_ready(error: BoxError) -> Self {
        Self {
            kind: CauseKind::NotReady,
            what: What::Error(error),
        }
    }

    pub(crate) fn refused_response(response: Resp) -> Self {
        Self {
            kind: CauseKind::Refusal,
            what: What::Response(response),
        }
    }

    /// Which kind of cause this is.
    pub fn kind(&self) -> CauseKind {
        self.kind
    }

    /// The error, where it was one.
    pub fn error(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &self.what {
            What::Error(error) => Some(&**error),
            What::Response(_) => None,
        }
    }

    /// The failed response, where it was one.
    pub fn response(&self) -> Option<&Resp> {
        match &self.what {
            What::Error(_) => None,
            What::Response(response) => Some(response),
        }
    }

    /// An error of type `E`, looked for in the error and in everything it names as its source.
    ///
    /// ```
    /// use fallback_layer::Cause;
    ///
    /// let cause = Cause::<()>::from_error(Box::new(std::io::Error::other("reset by peer")));
    /// assert!(cause.find::<std::io::Error>().is_some());
    /// ```
    pub fn find<E: Error + 'static>(&self) -> Option<&E> {
        chain(self.error()?).find_map(|error| error.downcast_ref())
    }

    /// The time after which another try makes sense, where the call was refused and the refusal says it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.find::<Refusal>()?.retry_after()
    }

    pub(crate) fn into_response(self) -> Result<Resp, Self> {
        match self.what {
            What::Response(response) => Ok(response),
            What::Error(_) => Err(self),
        }
    }

    pub(crate) fn into_parts(self) -> Result<Resp, BoxError> {
        match self.what {
            What::Error(error) => Err(error),
            What::Response(response) => Ok(response),
        }
    }
}

impl<Resp> fmt::Debug for Cause<Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cause")
            .field("kind", &self.kind)
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    core::iter::successors(Some(error), |&error| error.source())
}

fn kind_of(error: &(dyn Error + 'static)) -> CauseKind {
    if Refusal::find(error).is_some() {
        CauseKind::Refusal
    } else if chain(error).any(says_time_ran_out) {
        CauseKind::Timeout
    } else {
        CauseKind::Error
    }
}

fn says_time_ran_out(error: &(dyn Error + 'static)) -> bool {
    error.is::<tower::timeout::error::Elapsed>()
        || error.is::<tokio::time::error::Elapsed>()
        || error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: impl Into<BoxError>) -> CauseKind {
        Cause::<()>::from_error(error.into()).kind()
    }

    #[test]
    fn an_error_that_says_that_time_ran_out_is_a_timeout() {
        assert_eq!(kind(tower::timeout::error::Elapsed::new()), CauseKind::Timeout);
        assert_eq!(
            kind(std::io::Error::from(std::io::ErrorKind::TimedOut)),
            CauseKind::Timeout
        );
        assert_eq!(kind(std::io::Error::other("reset")), CauseKind::Error);
    }

    #[test]
    fn an_error_with_the_mark_of_a_refusal_in_its_chain_is_a_refusal() {
        let refusal = Refusal::new(Some(Duration::from_secs(12)));
        let cause = Cause::<()>::from_error(Box::new(refusal));
        assert_eq!(
            (cause.kind(), cause.retry_after()),
            (CauseKind::Refusal, Some(Duration::from_secs(12)))
        );
    }

    #[test]
    fn a_cause_that_is_a_response_has_no_error() {
        let cause = Cause::from_response(503_u16);
        assert!(cause.error().is_none() && cause.retry_after().is_none());
        assert_eq!(cause.response(), Some(&503));
        assert_eq!(format!("{cause:?}"), "Cause { kind: Response, error: None, .. }");
        assert!(Cause::<u16>::from_error("x".into()).response().is_none());
    }
}
