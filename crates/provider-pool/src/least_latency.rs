//! The one that answers fastest.

use std::time::Duration;

use crate::strategy::{Candidates, Strategy};
use crate::time::nanos;

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
        let retry_after = nanos(self.retry_after);
        // Each with what it is the best by.
        let mut longest_untried: Option<(u64, usize)> = None;
        let mut fastest: Option<((u64, u32), usize)> = None;
        for candidate in candidates.iter() {
            let member = candidate.member;
            let (in_flight, place) = (candidate.in_flight(), candidate.place());
            let known = member.quiet(candidate.now);
            let quiet = known.unwrap_or(u64::MAX);
            // Somebody is about to ask one that was never asked.
            let taken = known.is_none() && in_flight > 0;
            if !taken && quiet >= retry_after && longest_untried.is_none_or(|(longest, _)| quiet > longest) {
                longest_untried = Some((quiet, place));
            }
            let takes = (member.latency().unwrap_or(u64::MAX), in_flight);
            if fastest.is_none_or(|(least, _)| takes < least) {
                fastest = Some((takes, place));
            }
        }
        let untried = longest_untried.map(|(_, place)| place);
        untried.or(fastest.map(|(_, place)| place)).unwrap_or(0)
    }
}
