//! Results in, state out: the thresholds, and nothing else.

use crate::snapshot::CheckResult;
use crate::state::HealthState;

/// How many results in a row it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thresholds {
    pub(crate) unhealthy_after: u32,
    pub(crate) healthy_after: u32,
}

/// What the results so far come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) state: HealthState,
    pub(crate) successes: u32,
    pub(crate) failures: u32,
}

impl Tally {
    /// Counts a result. The first one decides at once; later ones must come in a row, except a failure that says itself
    /// that it is enough.
    pub(crate) fn count(&mut self, result: CheckResult, down_at_once: bool, thresholds: Thresholds) {
        if result == CheckResult::Passed {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            if self.state == HealthState::Unknown || self.successes >= thresholds.healthy_after {
                self.state = HealthState::Up;
            }
        } else {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            let enough = down_at_once || self.failures >= thresholds.unhealthy_after;
            if self.state == HealthState::Unknown || enough {
                self.state = HealthState::Down;
            }
        }
    }

    /// Up, and nothing speaks against it.
    pub(crate) fn is_settled(&self) -> bool {
        self.state == HealthState::Up && self.failures == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn play(results: &[(bool, bool)], thresholds: Thresholds) -> Tally {
        let mut tally = Tally::default();
        for &(passed, at_once) in results {
            let result = if passed {
                CheckResult::Passed
            } else {
                CheckResult::Failed
            };
            tally.count(result, at_once, thresholds);
        }
        tally
    }

    proptest! {
        /// Against a reference that looks at the whole history from the front each time.
        #[test]
        fn the_state_is_what_the_whole_history_says(
            results in proptest::collection::vec((any::<bool>(), prop::bool::weighted(0.1)), 0..40),
            unhealthy_after in 1_u32..5,
            healthy_after in 1_u32..5,
        ) {
            let run = |end: usize, passed: bool| -> u32 {
                results[..end].iter().rev().take_while(|(p, _)| *p == passed).count().try_into().unwrap()
            };
            let mut expected = HealthState::Unknown;
            for (n, &(passed, at_once)) in results.iter().enumerate() {
                let first = n == 0;
                if passed && (first || run(n + 1, true) >= healthy_after) {
                    expected = HealthState::Up;
                }
                if !passed && (first || at_once || run(n + 1, false) >= unhealthy_after) {
                    expected = HealthState::Down;
                }
            }
            let tally = play(&results, Thresholds { unhealthy_after, healthy_after });
            prop_assert_eq!(tally.state, expected);
            prop_assert_eq!(tally.successes, run(results.len(), true));
            prop_assert_eq!(tally.failures, run(results.len(), false));
        }
    }
}
