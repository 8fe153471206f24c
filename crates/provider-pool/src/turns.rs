//! Taking turns: stride scheduling (Waldspurger and Weihl, 1995), without a lock.
//!
//! Each provider has a pass, kept in its [`turn`](crate::Candidate::turn); of those that may be asked the one with the least
//! goes next, and its pass grows by its stride, one over its weight. So over any stretch of picks each gets its exact
//! proportion, evenly spread.
//!
//! Among those that take turns together no pass is more than its own stride ahead of the least. So if one is, the others
//! have been away, or are asked for less often, or its weight has just become greater: they take up one stride behind it,
//! and are owed nothing. There is no clock of the pool: those that serve what is seldom wanted take their turns among
//! themselves, however far the others have got.
//!
//! A pick is one compare-and-swap of the chosen provider's pass: of two threads that choose the same, one looks again.
//! Passes only grow, so one that is still the same is still the least of those that were looked at. Relaxed is enough, for a
//! pass publishes nothing. They go round the circle of 64 bits, so they are compared by distance; one from so long ago that
//! it seems to be ahead only draws the others up to it.

use crate::sync::{AtomicU64, Ordering};

/// The stride of weight 1 at a whole share: divisible by all numbers up to 16.
pub(crate) const ONE: u64 = 720_720 << 10;
/// No stride is longer: a share is a tenth at least.
const LONGEST: u64 = ONE * 10;

#[derive(Debug, Default)]
pub(crate) struct Turns;

impl Turns {
    /// Whose turn it is of all that `each` gives: place, pass and weight.
    #[allow(clippy::unused_self, reason = "who has turns takes them")]
    pub(crate) fn next<'a, I>(&self, each: impl Fn() -> I) -> Option<usize>
    where
        I: Iterator<Item = (usize, &'a AtomicU64, f64)>,
    {
        loop {
            let mut best: Option<(i64, usize, &AtomicU64, u64)> = None;
            let mut origin = None;
            let mut floor = i64::MIN;
            for (place, turn, weight) in each() {
                let pass = turn.load(Ordering::Relaxed);
                let distance = pass.wrapping_sub(*origin.get_or_insert(pass)).cast_signed();
                let stride = stride(weight);
                floor = floor.max(distance.saturating_sub_unsigned(stride));
                if best.is_none_or(|(least, ..)| distance < least) {
                    best = Some((distance, place, turn, stride));
                }
            }
            let (distance, place, turn, stride) = best?;
            let origin = origin?;
            let seen = origin.wrapping_add_signed(distance);
            let next = origin.wrapping_add_signed(distance.max(floor)).wrapping_add(stride);
            if turn
                .compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
            {
                return Some(place);
            }
        }
    }
}

#[allow(clippy::cast_sign_loss, reason = "weights are positive")]
fn stride(weight: f64) -> u64 {
    ((ONE as f64 / weight) as u64).clamp(1, LONGEST)
}
