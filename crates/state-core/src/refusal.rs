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
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// `NOBODY_KNOWS`, or the wait in ns: what is rarely asked for is made a `Duration` when it is.
    wait: u64,
}

const NOBODY_KNOWS: u64 = u64::MAX;

impl Refusal {
    /// A mark with the time after which another try makes sense, to the nanosecond up to 584 years, which stand for all
    /// that is longer; `None` when nobody can tell.
    #[must_use]
    pub const fn new(retry_after: Option<Duration>) -> Self {
        let wait = match retry_after {
            None => NOBODY_KNOWS,
            Some(wait) if wait.as_nanos() < NOBODY_KNOWS as u128 => wait.as_nanos() as u64,
            Some(_) => NOBODY_KNOWS - 1,
        };
        Self { wait }
    }

    #[inline]
    pub(crate) const fn after_nanos(wait: Option<u64>) -> Self {
        match wait {
            Some(wait) => Self { wait },
            None => Self { wait: NOBODY_KNOWS },
        }
    }

    /// The time after which another try makes sense; `None` when nobody can tell.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.wait {
            NOBODY_KNOWS => None,
            wait => Some(Duration::from_nanos(wait)),
        }
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

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("retry_after", &self.retry_after())
            .finish()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused before the call was made")
    }
}

impl Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_keeps_its_wait() {
        for wait in [
            None,
            Some(Duration::ZERO),
            Some(Duration::from_nanos(1)),
            Some(Duration::from_secs(1 << 30)),
        ] {
            assert_eq!(Refusal::new(wait).retry_after(), wait);
        }
        let longest = Refusal::new(Some(Duration::MAX)).retry_after();
        assert!(
            longest > Some(Duration::from_secs(584 * 365 * 24 * 3600)),
            "{longest:?}"
        );
    }
}
