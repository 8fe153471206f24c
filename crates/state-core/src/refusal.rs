//! The mark that every refusal of the house carries.

use core::error::Error;
use core::fmt;
use core::time::Duration;

/// The mark in the source chain of every error that says: the call was refused and never made.
///
/// An open circuit, a full limiter and a spent budget each have an error type of their own. All of them return a
/// `Refusal` from [`Error::source`], so that code which knows none of these types (a fallback, a retry policy) can tell
/// a refusal from a failure of the dependency.
///
/// ```
/// use std::time::Duration;
/// use state_core::{Circuit, Refusal};
///
/// let circuit = Circuit::builder("doc").consecutive_failures(1).build()?;
/// circuit.acquire()?.failure();
/// let refused = circuit.acquire().unwrap_err();
/// let found = Refusal::find(&refused).expect("an open circuit refuses");
/// assert_eq!(found.retry_after(), Some(Duration::from_secs(30)));
/// assert!(Refusal::find(&std::io::Error::other("reset by peer")).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    retry_after: Option<Duration>,
}

impl Refusal {
    /// A mark with the time after which another try makes sense; `None` when nobody can tell.
    #[must_use]
    pub const fn new(retry_after: Option<Duration>) -> Self {
        Self { retry_after }
    }

    /// The time after which another try makes sense; `None` when nobody can tell.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Looks for the mark in `error` and in everything it names as its source.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused before the call was made")
    }
}

impl Error for Refusal {}
