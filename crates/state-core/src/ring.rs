//! The window of the last n calls: a ring of outcome bits, written where a ticket says.
//!
//! ```text
//! ticket   63..42 generation | 41 FULL | 40..0 next place: 40..6 cell | 5..0 bit
//! cells    63..42 generation | 41..40 unused | 39..0 outcomes: one bit each (failed), or two (failed, slow)
//! ```
//!
//! A record takes a ticket (one compare-and-swap), then writes its bits into its cell unless they stand there already.
//! There is no running total that could drift: failures are counted as bits when a failure wants to know.
//!
//! Every word carries the generation that wrote it. A word of an older generation counts as empty and is overwritten, a
//! newer one turns the writer away. So nothing has to be cleared when a circuit opens or closes, and an outcome of an
//! earlier generation can't get in, however long its thread slept. As tags have 22 bits, each transition freshens one
//! word (see [`Ring::freshen`]), so that none grows old enough to look new.
//!
//! FULL and clean: when a lap ends with no bit set, the state word's DIRTY bit is cleared and later successes are not
//! recorded at all, since they would change nothing. The handshake between clearing it and a failure is `Circuit::clean`, in `settle.rs`.

use alloc::boxed::Box;

use crate::figures::Figures;
use crate::sync::{AtomicU64, Ordering};
use crate::word::{GENERATION, is_before};

const TAG_AT: u32 = 42;
const FULL: u64 = 1 << 41;
const PLACE: u64 = FULL - 1;
const OUTCOMES: u64 = (1 << CELL_BITS) - 1;
/// The bits of outcomes in a cell.
const CELL_BITS: u32 = 40;
const CELL_AT: u32 = 6;
const BIT: u64 = (1 << CELL_AT) - 1;
/// From the place after a cell's last bit to the first of the next cell.
const REST: u64 = (1 << CELL_AT) - CELL_BITS as u64;
/// Every even bit: the failures, where an outcome has two bits.
const FAILED_OF_TWO: u64 = 0x55_5555_5555;

pub(crate) struct Ring {
    ticket: AtomicU64,
    cells: Box<[AtomicU64]>,
}

/// What a ring must know of its circuit's configuration.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    calls: u64,
    /// How many bits an outcome has: failed, or failed and slow.
    bits: u64,
    /// An outcome at the first place.
    mask: u64,
    /// The place after the last one.
    end: u64,
}

impl Shape {
    pub(crate) const fn new(calls: u32, with_slow: bool) -> Self {
        let calls = calls as u64;
        let bits = if with_slow { 2 } else { 1 };
        let at = calls * bits;
        Self {
            calls,
            bits,
            mask: (1 << bits) - 1,
            end: ((at / CELL_BITS as u64) << CELL_AT) | (at % CELL_BITS as u64),
        }
    }

    pub(crate) const fn cells(self) -> usize {
        (self.calls * self.bits).div_ceil(CELL_BITS as u64) as usize
    }

    const fn with_slow(self) -> bool {
        self.bits == 2
    }

    /// The place after `place`.
    #[inline]
    const fn after(self, place: u64) -> u64 {
        let next = place + self.bits;
        if next & BIT == CELL_BITS as u64 {
            next + REST
        } else {
            next
        }
    }

    const fn lap(self, place: u64) -> Lap {
        if self.after(place) == self.end {
            Lap::Ended
        } else {
            Lap::Within
        }
    }

    /// How many outcomes stand before `place`.
    const fn before(self, place: u64) -> u64 {
        ((place >> CELL_AT) * CELL_BITS as u64 + (place & BIT)) / self.bits
    }
}

/// The end of a lap: time to see whether the ring is clean.
#[derive(PartialEq, Eq)]
pub(crate) enum Lap {
    Within,
    Ended,
}

impl Ring {
    pub(crate) fn new(cells: usize) -> Self {
        Self {
            ticket: AtomicU64::new(0),
            cells: (0..cells).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Records one outcome of `generation`; `None` when a newer generation has begun.
    #[inline]
    pub(crate) fn push(&self, shape: Shape, generation: u64, failed: bool, slow: bool) -> Option<Lap> {
        let place = self.take_ticket(shape, generation)?;
        let bit = place & BIT;
        let bits = (u64::from(failed) | (u64::from(slow) << 1)) & shape.mask;
        self.write((place >> CELL_AT) as usize, generation, shape.mask << bit, bits << bit)?;
        Some(shape.lap(place))
    }

    /// Records a quick success, where nobody is in the way. `None` when somebody is, or a newer generation has begun.
    #[inline]
    pub(crate) fn push_success(&self, shape: &Shape, generation: u64) -> Option<Lap> {
        let tag = generation << TAG_AT;
        let seen = self.ticket.load(Ordering::Relaxed);
        let inner = seen ^ tag;
        if inner >> TAG_AT != 0 {
            return None;
        }
        let place = inner & PLACE;
        let next = shape.after(place);
        let next = if next == shape.end { FULL } else { next | (inner & FULL) };
        // AcqRel: as in `take_ticket`.
        self.ticket
            .compare_exchange(seen, tag | next, Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        let cell = (place >> CELL_AT) as usize;
        let mask = shape.mask << (place & BIT);
        let old = self.cells.get(cell)?.load(Ordering::Acquire) ^ tag;
        if old & (mask | !OUTCOMES) != 0 {
            self.erase(cell, generation, mask)?;
        }
        Some(shape.lap(place))
    }

    #[cold]
    #[inline(never)]
    fn erase(&self, cell: usize, generation: u64, mask: u64) -> Option<()> {
        self.write(cell, generation, mask, 0)
    }

    #[inline]
    fn take_ticket(&self, shape: Shape, generation: u64) -> Option<u64> {
        let mut seen = self.ticket.load(Ordering::Relaxed);
        loop {
            let tag = seen >> TAG_AT;
            let (place, full) = if tag == generation {
                (seen & PLACE, seen & FULL)
            } else if is_before(tag, generation, 22) {
                (0, 0)
            } else {
                return None;
            };
            let next = shape.after(place);
            let next = if next == shape.end { FULL } else { next | full };
            // AcqRel: a reader that sees the ticket also sees the cells of the tickets before it that were written.
            match self.ticket.compare_exchange_weak(
                seen,
                (generation << TAG_AT) | next,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(place),
                Err(now) => seen = now,
            }
        }
    }

    #[inline]
    fn write(&self, cell: usize, generation: u64, mask: u64, bits: u64) -> Option<()> {
        let cell = self.cells.get(cell)?;
        let mut seen = cell.load(Ordering::Acquire);
        loop {
            let tag = seen >> TAG_AT;
            let old = if tag == generation {
                seen & OUTCOMES
            } else if is_before(tag, generation, 22) {
                0
            } else {
                return None;
            };
            let new = (generation << TAG_AT) | (old & !mask) | bits;
            if new == seen || (old | bits == 0) {
                return Some(());
            }
            // AcqRel: a failure's bit is published to whoever counts after it.
            match cell.compare_exchange_weak(seen, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(()),
                Err(now) => seen = now,
            }
        }
    }

    /// What the window of `generation` holds now.
    pub(crate) fn figures(&self, shape: Shape, generation: u64) -> Figures {
        let ticket = self.ticket.load(Ordering::Acquire);
        let calls = if ticket >> TAG_AT != generation {
            0
        } else if ticket & FULL != 0 {
            shape.calls
        } else {
            shape.before(ticket & PLACE)
        };
        let (mut failures, mut slow) = (0, 0);
        for cell in &self.cells {
            let seen = cell.load(Ordering::Acquire);
            if seen >> TAG_AT == generation {
                let bits = seen & OUTCOMES;
                if shape.with_slow() {
                    failures += u64::from((bits & FAILED_OF_TWO).count_ones());
                    slow += u64::from(((bits >> 1) & FAILED_OF_TWO).count_ones());
                } else {
                    failures += u64::from(bits.count_ones());
                }
            }
        }
        // A failure's bit may be seen before its ticket is: never more failures than calls.
        let calls = calls.max(failures).max(slow);
        Figures { calls, failures, slow }
    }

    /// Whether the window is full and holds nothing but quick successes.
    pub(crate) fn is_full_and_clean(&self, generation: u64) -> bool {
        let ticket = self.ticket.load(Ordering::Acquire);
        ticket >> TAG_AT == generation && ticket & FULL != 0 && self.is_clean(generation)
    }

    pub(crate) fn is_clean(&self, generation: u64) -> bool {
        self.cells.iter().all(|cell| {
            let seen = cell.load(Ordering::Acquire);
            seen >> TAG_AT != generation || seen & OUTCOMES == 0
        })
    }

    /// Gives one word of an older generation the tag of this one, empty. Done at each transition, so that within
    /// 2^21 generations every word has been freshened and tags compare rightly.
    pub(crate) fn freshen(&self, generation: u64) {
        let words = self.cells.len() as u64 + 1;
        let at = (generation % words) as usize;
        let word = self.cells.get(at).unwrap_or(&self.ticket);
        let seen = word.load(Ordering::Acquire);
        if is_before(seen >> TAG_AT, generation & GENERATION, 22) {
            let _ = word.compare_exchange(seen, generation << TAG_AT, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lap_goes_through_as_many_places_as_there_are_calls_each_within_a_cell() {
        for calls in [1, 2, 19, 20, 21, 39, 40, 41, 79, 80, 81, 100, 1_000, u32::MAX] {
            for with_slow in [false, true] {
                let shape = Shape::new(calls, with_slow);
                let mut place = 0;
                for n in 0..u64::from(calls.min(1_000)) {
                    assert_eq!(shape.before(place), n, "{calls} {with_slow}");
                    assert!(((place >> CELL_AT) as usize) < shape.cells());
                    assert_eq!((shape.mask << (place & BIT)) & !OUTCOMES, 0);
                    assert_eq!(shape.lap(place) == Lap::Ended, n + 1 == u64::from(calls));
                    place = shape.after(place);
                }
                assert_eq!(place == shape.end, calls <= 1_000);
                assert_eq!(shape.before(shape.end), u64::from(calls));
                assert!(shape.end <= PLACE);
            }
        }
    }
}
