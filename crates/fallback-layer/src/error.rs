//! What the crate itself has to say when nothing answered.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::BoxError;

/// The service failed, and steps that were to answer instead failed too; or a step took too long.
///
/// It tells the error of the last step that failed; its [`source`](Error::source) is the first error, the one of the
/// service. (Where no step failed because none applied, the error of the service goes out as it came.)
///
/// ```
/// use fallback_layer::{FallbackError, FallbackLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let backup = service_fn(|_: u8| async { Err::<u8, _>(std::io::Error::other("backup is down")) });
/// let service = ServiceBuilder::new()
///     .layer(FallbackLayer::new().keep(fallback_layer::CloneRequest).service(backup))
///     .service(service_fn(|_: u8| async { Err::<u8, _>(std::io::Error::other("reset by peer")) }));
///
/// let error = service.oneshot(1).await.unwrap_err();
/// assert_eq!(error.to_string(), "no fallback answered: step \"service\": backup is down");
/// assert_eq!(error.source().unwrap().to_string(), "reset by peer");
/// assert_eq!(FallbackError::find(&*error).unwrap().step(), "service");
/// # }
/// ```
#[derive(Debug)]
pub struct FallbackError {
    step: &'static str,
    what: What,
}

#[derive(Debug)]
enum What {
    Exhausted { last: BoxError, first: BoxError },
    TookTooLong { limit: Duration },
}

impl FallbackError {
    pub(crate) fn exhausted(step: &'static str, last: BoxError, first: BoxError) -> Self {
        Self {
            step,
            what: What::Exhausted { last, first },
        }
    }

    pub(crate) fn late(step: &'static str, limit: Duration) -> Self {
        Self {
            step,
            what: What::TookTooLong { limit },
        }
    }

    /// Looks for it in `error` and in everything it names as its source.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        core::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
    }

    /// The name of the last step that failed.
    #[must_use]
    pub fn step(&self) -> &'static str {
        self.step
    }

    /// The error of that step; `None` where it is this error itself: the step took longer than it may.
    #[must_use]
    pub fn last(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &self.what {
            What::Exhausted { last, .. } => Some(&**last),
            What::TookTooLong { .. } => None,
        }
    }

    /// Whether the last step that failed did so because it took longer than its [`within`](crate::FallbackLayer::within).
    #[must_use]
    pub fn took_too_long(&self) -> bool {
        match &self.what {
            What::Exhausted { last, .. } => last.downcast_ref::<Self>().is_some_and(Self::took_too_long),
            What::TookTooLong { .. } => true,
        }
    }
}

impl fmt::Display for FallbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Exhausted { last, .. } => match last.downcast_ref::<Self>() {
                Some(Self {
                    what: What::TookTooLong { .. },
                    ..
                }) => write!(f, "no fallback answered: {last}"),
                _ => write!(f, "no fallback answered: step {:?}: {last}", self.step),
            },
            What::TookTooLong { limit } => write!(f, "step {:?} did not answer within {limit:?}", self.step),
        }
    }
}

impl Error for FallbackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.what {
            What::Exhausted { first, .. } => Some(&**first),
            What::TookTooLong { .. } => None,
        }
    }
}

/// A value in the configuration that cannot work.
///
/// ```
/// use fallback_layer::FallbackLayer;
///
/// let error = FallbackLayer::<(), u8>::new().respond(|_, _| 0).at_most(0).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "fallback step \"respond\": at_most = 0 is not allowed; set it to at least 1"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    step: &'static str,
    field: &'static str,
    value: String,
    allowed: &'static str,
}

impl ConfigError {
    pub(crate) fn new(step: &'static str, field: &'static str, value: impl fmt::Debug, allowed: &'static str) -> Self {
        Self {
            step,
            field,
            value: format!("{value:?}"),
            allowed,
        }
    }

    /// The field that was set.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            step,
            field,
            value,
            allowed,
        } = self;
        write!(
            f,
            "fallback step {step:?}: {field} = {value} is not allowed; set it to {allowed}"
        )
    }
}

impl Error for ConfigError {}
