//! The one that fails least.

use crate::strategy::{Candidates, Strategy};
use crate::turns::Turns;

/// The one with the lowest failure rate; those that are equal take turns.
///
/// A failure rate is a moving average, an eighth of it the last call. It fades by half in each 10 s without a call, so one
/// that has failed is tried again.
///
/// ```
/// let strategy = provider_pool::Availability::default();
/// # let _ = strategy;
/// ```
#[derive(Debug, Default)]
pub struct Availability(Turns);

impl Strategy for Availability {
    fn name(&self) -> &'static str {
        "availability"
    }

    fn pick(&self, candidates: &Candidates<'_>) -> usize {
        let least = candidates
            .iter()
            .map(|candidate| candidate.failure_rate())
            .fold(f64::INFINITY, f64::min);
        candidates.by_turns(&self.0, |candidate| (candidate.failure_rate() <= least).then_some(1.0))
    }
}
