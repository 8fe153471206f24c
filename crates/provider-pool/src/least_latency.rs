//! The one that answers fastest.

use std::cmp::Reverse;
use std::time::Duration;

use crate::strategy::{Candidates, Strategy};

/// The one whose moving average of latency is least; one that was never tried, or not for `retry_after` (default 10 s), is
/// tried with one call.
///
/// A failed call counts as at least the pool's penalty: who fails in a millisecond does not win by it.
///
/// ```
/// use std::time::Duration;
/// use provider_pool::LeastLatency;
///
/// let strategy = LeastLatency::default().retry_after(Duration::from_secs(60));
/// # let _ = strategy;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LeastLatency {
    retry_after: Duration,
}

impl Default for LeastLatency {
    fn default() -> Self {
        Self {
            retry_after: Duration::from_secs(10),
        }
    }
}

impl LeastLatency {
    /// After so long without a call a provider is tried again, however slow it was (default 10 s).
    #[must_use]
    pub const fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = time;
        self
    }
}

impl Strategy for LeastLatency {
    fn name(&self) -> &'static str {
        "least_latency"
    }

    fn pick(&self, candidates: &Candidates<'_>) -> usize {
        let quiet = |quiet: Option<Duration>| quiet.unwrap_or(Duration::MAX);
        let untried = candidates
            .iter()
            .filter(|candidate| candidate.in_flight() == 0 && quiet(candidate.quiet()) >= self.retry_after)
            .min_by_key(|candidate| Reverse(quiet(candidate.quiet())));
        let fastest = || {
            candidates
                .iter()
                .min_by_key(|candidate| (candidate.latency().unwrap_or(Duration::MAX), candidate.in_flight()))
        };
        untried.or_else(fastest).map_or(0, |candidate| candidate.place())
    }
}
