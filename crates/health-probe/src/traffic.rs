//! Whether anybody calls the dependency.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use state_core::Circuit;

/// A count that grows with traffic, and where it stood at the last look.
pub(crate) struct Traffic {
    count: Box<dyn Fn() -> u64 + Send + Sync>,
    seen: Option<u64>,
}

impl Traffic {
    pub(crate) fn counted(count: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            count: Box::new(count),
            seen: None,
        }
    }

    /// The calls of all `circuits`: those that were refused are calls too, for somebody wanted something.
    pub(crate) fn of(circuits: Vec<Circuit>) -> Self {
        Self::counted(move || circuits.iter().filter_map(calls).fold(0, u64::wrapping_add))
    }

    /// Whether there was none since the last look. At the first look nobody knows, and that is no.
    pub(crate) fn was_idle(&mut self) -> bool {
        // A hook that panics says nothing, and the probe goes on at its usual pace.
        let count = catch_unwind(AssertUnwindSafe(|| (self.count)())).ok();
        let idle = count.is_some() && count == self.seen;
        self.seen = count;
        idle
    }
}

fn calls(circuit: &Circuit) -> Option<u64> {
    let totals = circuit.totals()?;
    let kinds = [
        totals.successes,
        totals.failures,
        totals.neutral,
        totals.refused,
        totals.late,
    ];
    Some(kinds.into_iter().fold(0, u64::wrapping_add))
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traffic")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn idle_is_a_count_that_stands_still_between_two_looks() {
        let count = Arc::new(AtomicU64::new(5));
        let counter = Arc::clone(&count);
        let mut traffic = Traffic::counted(move || counter.load(Ordering::Relaxed));
        assert!(!traffic.was_idle(), "the first look");
        assert!(traffic.was_idle());
        count.fetch_add(1, Ordering::Relaxed);
        assert!(!traffic.was_idle());
        assert!(traffic.was_idle());
    }

    #[test]
    fn calls_and_refusals_of_a_circuit_are_traffic() {
        let circuit = Circuit::builder("traffic").consecutive_failures(1).build().unwrap();
        let mut traffic = Traffic::of(vec![circuit]);
        assert!(!traffic.was_idle());
        assert!(traffic.was_idle());
        circuit.acquire().unwrap().success();
        assert!(!traffic.was_idle());
        circuit.acquire().unwrap().failure();
        assert!(!traffic.was_idle());
        assert!(circuit.acquire().is_err());
        assert!(!traffic.was_idle());
        assert!(traffic.was_idle());
    }

    #[test]
    fn a_hook_that_panics_is_no_reason_to_look_less_often() {
        let mut traffic = Traffic::counted(|| panic!("no figures"));
        assert!(!traffic.was_idle());
        assert!(!traffic.was_idle());
    }
}
