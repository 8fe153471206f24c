//! The name of one decision, and the dice.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names one decision, so that a store which hears of it twice counts it once.
///
/// Unlike across processes and restarts: half of it is random for the process, half counts on from a random start.
///
/// ```
/// use cooldown_layer::DecisionId;
///
/// assert_ne!(DecisionId::new(), DecisionId::new());
/// assert_eq!(DecisionId::from_u128(10).to_string(), "0000000000000000000000000000000a");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecisionId(u128);

impl DecisionId {
    /// A fresh one.
    #[must_use]
    #[allow(clippy::new_without_default)] // a default that differs each time would surprise
    pub fn new() -> Self {
        let (process, start) = *process();
        Self(u128::from(process) << 64 | u128::from(start.wrapping_add(next())))
    }

    /// The one with this number.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecisionId({self})")
    }
}

/// True with probability `rate`.
pub(crate) fn dice(rate: f64) -> bool {
    if rate <= 0.0 {
        return false;
    }
    // 53 bits make a fraction in [0, 1), so a rate of 1 is always true.
    let fraction = (seeds().0.hash_one(next()) >> 11) as f64 / (1_u64 << 53) as f64;
    fraction < rate
}

fn next() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only that no two callers get the same number matters.
    COUNTER.fetch_add(1, Ordering::Relaxed)
}

fn seeds() -> &'static (RandomState, RandomState) {
    static SEEDS: OnceLock<(RandomState, RandomState)> = OnceLock::new();
    SEEDS.get_or_init(|| (RandomState::new(), RandomState::new()))
}

fn process() -> &'static (u64, u64) {
    static PROCESS: OnceLock<(u64, u64)> = OnceLock::new();
    PROCESS.get_or_init(|| {
        (
            seeds().0.hash_one(std::process::id()),
            seeds().1.hash_one(std::process::id()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dice_fall_as_often_as_asked() {
        assert!((0..1000).all(|_| dice(1.0) && !dice(0.0)));
        let hits = (0..10_000).filter(|_| dice(0.25)).count();
        assert!((2_000..3_000).contains(&hits), "{hits}");
    }
}
