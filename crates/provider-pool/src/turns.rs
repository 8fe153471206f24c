//! Taking turns: stride scheduling (Waldspurger and Weihl, 1995), without a lock.
//!
//! Each provider has a pass, kept in its [`turn`](crate::Candidate::turn); the one with the least goes next and its pass
//! grows by its stride, one over its weight. So over any stretch of picks each gets its exact proportion, evenly spread.
//! One that was away takes up where the others are now: the clock, which is the pass that was last chosen, is the least
//! that counts.
//!
//! A pick is one compare-and-swap of the chosen provider's pass: of two threads that choose the same, one looks again. The
//! clock never passes a pass that stands still, so that nobody's turn is lost to it.
//!
//! Passes go round the circle of 64 bits, so they are compared with the clock by distance; one that lies behind it, or further
//! ahead than two strides can take it, is from before a long absence. A thread that was held up may hold an old clock, ahead
//! of which everything seems to be that far: so that is said only of a clock that was read after the pass. Release where a
//! pass or the clock is written, Acquire where it is read: whoever sees a pass also sees a clock at least as new as the one
//! it was reckoned from.

use crate::sync::{AtomicU64, Ordering};

/// The stride of weight 1 at a whole share: divisible by all numbers up to 16.
pub(crate) const ONE: u64 = 720_720 << 10;
/// No stride is longer: a share is a tenth at least. (The model checker would not live to see ten.)
const LONGEST: u64 = if cfg!(fusebox_loom) { ONE } else { ONE * 10 };
/// No pass is further ahead of the clock: it was at most a stride ahead when it last grew by one.
const FURTHEST: u64 = LONGEST * 2;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    clock: AtomicU64,
}

impl Turns {
    /// Whose turn it is of all that `each` gives: place, pass and weight.
    pub(crate) fn next<'a, I>(&self, each: impl Fn() -> I) -> Option<usize>
    where
        I: Iterator<Item = (usize, &'a AtomicU64, f64)>,
    {
        'look: loop {
            let clock = self.clock.load(Ordering::Acquire);
            let mut best: Option<(u64, u64, usize, &AtomicU64, f64)> = None;
            for (place, turn, weight) in each() {
                let seen = turn.load(Ordering::Acquire);
                let mut ahead = seen.wrapping_sub(clock);
                if ahead > FURTHEST {
                    if self.clock.load(Ordering::Acquire) != clock {
                        continue 'look;
                    }
                    ahead = 0;
                }
                if best.as_ref().is_none_or(|(least, ..)| ahead < *least) {
                    best = Some((ahead, seen, place, turn, weight));
                }
            }
            let (ahead, seen, place, turn, weight) = best?;
            let pass = clock.wrapping_add(ahead);
            let next = pass.wrapping_add(stride(weight));
            if turn
                .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                // Never back: somebody may have moved it further meanwhile.
                let _ = self.clock.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |now| {
                    (pass.wrapping_sub(now) <= FURTHEST).then_some(pass)
                });
                return Some(place);
            }
        }
    }
}

#[allow(clippy::cast_sign_loss, reason = "weights are positive")]
fn stride(weight: f64) -> u64 {
    ((ONE as f64 / weight) as u64).clamp(1, LONGEST)
}
