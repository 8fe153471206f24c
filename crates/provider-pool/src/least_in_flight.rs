//! The one with least to do.

use crate::strategy::{Candidate, Candidates, Strategy};
use crate::turns::Turns;

/// The one with the fewest calls in flight; those that are equal take turns.
///
/// Who fails fast has few calls in flight: with a failure rate r, a provider counts as having 1 / (1 - r)^4 times as many.
///
/// ```
/// let strategy = provider_pool::LeastInFlight::default();
/// # let _ = strategy;
/// ```
#[derive(Debug, Default)]
pub struct LeastInFlight(Turns);

fn load(candidate: &Candidate<'_>) -> f64 {
    let good = (1.0 - candidate.failure_rate()).max(0.01);
    (f64::from(candidate.in_flight()) + 1.0) / good.powi(4)
}

impl Strategy for LeastInFlight {
    fn name(&self) -> &'static str {
        "least_in_flight"
    }

    fn pick(&self, candidates: &Candidates<'_>) -> usize {
        let least = candidates
            .iter()
            .map(|candidate| load(&candidate))
            .fold(f64::INFINITY, f64::min);
        candidates.by_turns(&self.0, |candidate| (load(candidate) <= least).then_some(1.0))
    }
}
