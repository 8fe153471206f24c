//! What a call came to.

use core::fmt;
use core::time::Duration;

/// What a call came to, as [`Permit::record`](crate::Permit::record) takes it.
///
/// ```
/// use std::time::Duration;
/// use state_core::{Circuit, Outcome};
///
/// let circuit = Circuit::builder("doc").build()?;
/// circuit.acquire()?.record(Outcome::failure().retry_after(Duration::from_secs(60)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub(crate) kind: Kind,
    /// In ns; a whole outcome fits two registers. `NO_HINT` for none.
    hint: u64,
}

const NO_HINT: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Success,
    Failure,
    Throttled,
    Neutral,
}

impl Outcome {
    const fn of(kind: Kind) -> Self {
        Self { kind, hint: NO_HINT }
    }

    /// The call did what it should.
    #[must_use]
    pub const fn success() -> Self {
        Self::of(Kind::Success)
    }

    /// The dependency failed.
    #[must_use]
    pub const fn failure() -> Self {
        Self::of(Kind::Failure)
    }

    /// The dependency asked for less (HTTP 429, gRPC `RESOURCE_EXHAUSTED`): a failure for the rates and for trials, but
    /// not for `consecutive_failures`, whose row it leaves as it is.
    #[must_use]
    pub const fn throttled() -> Self {
        Self::of(Kind::Throttled)
    }

    /// The call says nothing about the dependency: it counts nowhere, and a trial gives its place back.
    #[must_use]
    pub const fn neutral() -> Self {
        Self::of(Kind::Neutral)
    }

    /// How long the dependency asks to be left alone. Heeded with a failure: it keeps the circuit open at least that
    /// long, up to the policy's `max_retry_after`.
    #[must_use]
    pub const fn retry_after(mut self, hint: Duration) -> Self {
        let nanos = hint.as_nanos();
        self.hint = if nanos < NO_HINT as u128 {
            nanos as u64
        } else {
            NO_HINT - 1
        };
        self
    }

    pub(crate) const fn hint(&self) -> Option<Duration> {
        match self.hint {
            NO_HINT => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// Whether this counts against the dependency.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(self.kind, Kind::Failure | Kind::Throttled)
    }
}

#[allow(
    clippy::missing_fields_in_debug,
    reason = "`hint` is there, by the name of its setter"
)]
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("kind", &self.kind)
            .field("retry_after", &self.hint())
            .finish()
    }
}
