//! Checks of many probes that were started together must not stay together.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Numbers in [0, 1), by the generator `SplitMix64` (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// From the seed that the standard library draws for its hash maps.
    pub(crate) fn drawn() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Evenly in `[interval (1 - jitter), interval (1 + jitter))`.
    pub(crate) fn around(&mut self, interval: Duration, jitter: f64) -> Duration {
        if jitter == 0.0 {
            return interval;
        }
        interval.mul_f64(1.0 - jitter + 2.0 * jitter * self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_spreads_evenly_on_both_sides_and_no_farther() {
        let mut random = Random::seeded(7);
        let interval = Duration::from_secs(10);
        let draws: Vec<f64> = (0..10_000)
            .map(|_| random.around(interval, 0.1).as_secs_f64())
            .collect();
        assert!(draws.iter().all(|draw| (9.0..11.0).contains(draw)));
        let mean = draws.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 10.0).abs() < 0.05, "{mean}");
        assert!(draws.iter().any(|draw| *draw < 9.1) && draws.iter().any(|draw| *draw > 10.9));
    }

    #[test]
    fn no_jitter_is_exact_and_a_seed_repeats() {
        let interval = Duration::from_secs(10);
        assert_eq!(Random::drawn().around(interval, 0.0), interval);
        let draw = |seed| Random::seeded(seed).around(interval, 0.5);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
