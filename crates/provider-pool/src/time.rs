//! The pool's time: tokio's, in nanoseconds since the pool was built, so that it fits an atomic.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch(Instant);

impl Epoch {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }

    /// At least 1, so that 0 can mean never.
    pub(crate) fn at(self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.0)).max(1)
    }
}

/// 584 years stand for all that is longer.
pub(crate) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
