//! An outcome with what the server said about trying again.

use std::time::Duration;

use crate::Outcome;

/// An [`Outcome`], and how long the server asked to be left alone.
///
/// ```
/// use std::time::Duration;
/// use http_outcome::{Judged, Outcome};
///
/// let judged = Judged::new(Outcome::Failure).with_retry_after(Some(Duration::from_secs(7)));
/// assert_eq!(judged.outcome, Outcome::Failure);
/// assert_eq!(judged.retry_after, Some(Duration::from_secs(7)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Judged {
    /// What it came to.
    pub outcome: Outcome,
    /// The wait the server asked for, as it was sent: it may be zero, or years. Only with
    /// [`Failure`](Outcome::Failure) and [`Throttled`](Outcome::Throttled).
    pub retry_after: Option<Duration>,
}

impl Judged {
    /// An outcome without a hint.
    #[must_use]
    pub const fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            retry_after: None,
        }
    }

    /// The same outcome with this hint.
    #[must_use]
    pub const fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }
}

impl From<Outcome> for Judged {
    fn from(outcome: Outcome) -> Self {
        Self::new(outcome)
    }
}
