//! Taking turns: stride scheduling (Waldspurger and Weihl, 1995), without a lock.
//!
//! Each provider has a pass, kept in its [`turn`](crate::Candidate::turn); the one with the least goes next and its pass
//! grows by its stride, one over its weight. So over any stretch of picks each gets its exact proportion, evenly spread.
//! One that was away takes up where the others are now: the clock, which is the pass that was last chosen, is the least
//! that counts.
//!
//! A pick is one compare-and-swap of the chosen provider's pass: of two threads that choose the same, one looks again.
//! Relaxed is enough, for a pass publishes nothing. Passes go round the circle of 64 bits, so they are compared with the
//! clock by distance; a pass that lies further ahead than any stride is one from before a long absence.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::strategy::{Candidate, Candidates};

/// The stride of weight 1 at a whole share: divisible by all numbers up to 16.
const ONE: u64 = 720_720 << 10;
/// No stride is longer: a share is a tenth at least.
const LONGEST: u64 = ONE * 10;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    clock: AtomicU64,
}

impl Turns {
    /// The next one among those to whom `weight` gives one.
    pub(crate) fn next(&self, candidates: &Candidates<'_>, weight: impl Fn(&Candidate<'_>) -> Option<f64>) -> usize {
        loop {
            let clock = self.clock.load(Ordering::Relaxed);
            let mut best: Option<(u64, u64, Candidate<'_>, f64)> = None;
            for candidate in candidates.iter() {
                let Some(weight) = weight(&candidate) else { continue };
                let seen = candidate.turn().load(Ordering::Relaxed);
                let ahead = match seen.wrapping_sub(clock) {
                    ahead if ahead <= LONGEST => ahead,
                    _ => 0,
                };
                if best.as_ref().is_none_or(|(least, ..)| ahead < *least) {
                    best = Some((ahead, seen, candidate, weight));
                }
            }
            let Some((ahead, seen, candidate, weight)) = best else {
                // What made one the least has changed while we looked. Place 0 stands for the first.
                return candidates.iter().next().map_or(0, |candidate| candidate.place());
            };
            let pass = clock.wrapping_add(ahead);
            if candidate
                .turn()
                .compare_exchange(
                    seen,
                    pass.wrapping_add(stride(weight)),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
            {
                // Never back: somebody may have moved it further meanwhile.
                let _ = self.clock.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                    (pass.wrapping_sub(now) <= LONGEST).then_some(pass)
                });
                return candidate.place();
            }
        }
    }
}

#[allow(clippy::cast_sign_loss, reason = "weights are positive")]
fn stride(weight: f64) -> u64 {
    ((ONE as f64 / weight) as u64).clamp(1, LONGEST)
}
