//! Of two drawn at random, the one with less to do.

use crate::member::worth_after;
use crate::strategy::{Candidate, Candidates, Strategy};
use crate::time::nanos;

/// Of two drawn at random the one that costs less: its peak latency times the calls in flight there, this one included.
///
/// The power of two choices (Mitzenmacher, 2001) with the cost that Finagle introduced: it sees a slow call at once and
/// forgets it with time, and does not send everybody to the same provider.
///
/// ```
/// let strategy = provider_pool::PeakEwmaP2c;
/// # let _ = strategy;
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct PeakEwmaP2c;

/// What a provider of which nothing is known counts as, in ns; once it has been tried in vain, at first.
const UNKNOWN: f64 = 1e9;

fn cost(candidate: &Candidate<'_>) -> f64 {
    let in_flight = f64::from(candidate.in_flight());
    match (candidate.peak_latency(), candidate.quiet()) {
        (Some(peak), _) => peak.as_nanos() as f64 * (in_flight + 1.0),
        // Untried: one call tells.
        (None, None) => UNKNOWN * in_flight,
        // Tried in vain: its own layers refused, or it was given up. It may be better by now.
        (None, Some(quiet)) => UNKNOWN * worth_after(nanos(quiet)) * (in_flight + 1.0),
    }
}

impl Strategy for PeakEwmaP2c {
    fn name(&self) -> &'static str {
        "peak_ewma_p2c"
    }

    fn pick(&self, candidates: &Candidates<'_>) -> usize {
        let len = candidates.len().max(1);
        let random = candidates.random();
        // Two different ones, each pair as likely as any other.
        let first = (random & 0xffff_ffff) as usize % len;
        let second = (first + 1 + (random >> 32) as usize % (len - 1).max(1)) % len;
        let nth = |n: usize| candidates.iter().nth(n);
        match (nth(first), nth(second)) {
            (Some(a), Some(b)) if cost(&b) < cost(&a) => b.place(),
            (Some(a), _) => a.place(),
            _ => 0,
        }
    }
}
