//! The window of the last n calls: a ring of outcome bits, written where a ticket says.
//!
//! ```text
//! ticket   63..42 generation | 41 FULL | 40..0 next place
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
//! recorded at all, since they would change nothing. The handshake between clearing it and a failure is in `breaker.rs`.

use alloc::boxed::Box;

use crate::figures::Figures;
use crate::sync::{AtomicU64, Ordering};
use crate::word::{GENERATION, is_before};

const TAG_AT: u32 = 42;
const FULL: u64 = 1 << 41;
const PLACE: u64 = FULL - 1;
const OUTCOMES: u64 = (1 << 40) - 1;
/// Every even bit: the failures, where an outcome has two bits.
const FAILED_OF_TWO: u64 = 0x55_5555_5555;

pub(crate) struct Ring {
    ticket: AtomicU64,
    cells: Box<[AtomicU64]>,
}

/// What a ring must know of its circuit's configuration.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) calls: u32,
    pub(crate) with_slow: bool,
}

impl Shape {
    const fn per_cell(self) -> u64 {
        if self.with_slow { 20 } else { 40 }
    }

    pub(crate) fn cells(self) -> usize {
        u64::from(self.calls).div_ceil(self.per_cell()) as usize
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
        let (cell, bit, mask, bits) = if shape.with_slow {
            (
                place / 20,
                place % 20 * 2,
                3,
                u64::from(failed) | (u64::from(slow) << 1),
            )
        } else {
            (place / 40, place % 40, 1, u64::from(failed))
        };
        self.write(cell as usize, generation, mask << bit, bits << bit)?;
        Some(if place + 1 == u64::from(shape.calls) {
            Lap::Ended
        } else {
            Lap::Within
        })
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
            let next = if place + 1 == u64::from(shape.calls) {
                FULL
            } else {
                (place + 1) | full
            };
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
            u64::from(shape.calls)
        } else {
            ticket & PLACE
        };
        let (mut failures, mut slow) = (0, 0);
        for cell in &self.cells {
            let seen = cell.load(Ordering::Acquire);
            if seen >> TAG_AT == generation {
                let bits = seen & OUTCOMES;
                if shape.with_slow {
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
