//! The record of a generation: since when, why, and what the window held when it began.
//!
//! A record has five words and there are two records a circuit, one for even and one for odd generations. Whoever wants
//! to begin generation g first *prepares* the record of g, then swaps the state word, then, having won, *confirms* the
//! record with its own values. So a reader that finds generation g in the state word always finds a record of g.
//!
//! Each word is `generation (22) | CONFIRMED (1) | value (41)`. A preparer writes over what it found only while the
//! state word still shows generation g - 1, and never over a confirmed word of g; if it lost the race meanwhile, the
//! word it wants to replace has changed, since a confirmed word differs from an unconfirmed one. Several may prepare g
//! with different reasons; the winner's confirmation has the last word. A reader who comes before it looks again a number
//! of times, then goes by what stands there: it waits for nobody.

use core::array;

use crate::figures::Figures;
use crate::state::Reason;
use crate::sync::{AtomicU64, Ordering};

const TAG_AT: u32 = 42;
const CONFIRMED_AT: u32 = 41;
const CONFIRMED: u64 = 1 << CONFIRMED_AT;
const VALUE: u64 = CONFIRMED - 1;
const MAX_LEVEL: u64 = (1 << 12) - 1;

/// How often who reads looks again for a confirmation. The model checker goes through both cases with none.
const PATIENCE: u32 = if cfg!(fusebox_loom) { 0 } else { 100 };

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    /// When it began, in ms of the circuit's time.
    pub(crate) since: u64,
    pub(crate) reason: Reason,
    /// How many times in a row the circuit has re-opened without closing.
    pub(crate) level: u64,
    pub(crate) streak: u64,
    pub(crate) figures: Figures,
}

impl Period {
    /// What is said where nothing is known.
    pub(crate) const UNKNOWN: Self = Self {
        since: 0,
        reason: Reason::Retired,
        level: 0,
        streak: 0,
        figures: Figures {
            calls: 0,
            failures: 0,
            slow: 0,
        },
    };

    fn words(self) -> [u64; 5] {
        let info = self.reason.code() | (self.level.min(MAX_LEVEL) << 5) | (self.streak << 17);
        [
            self.since,
            info,
            self.figures.calls,
            self.figures.failures,
            self.figures.slow,
        ]
        .map(|value| value.min(VALUE))
    }

    #[inline]
    fn of([since, info, calls, failures, slow]: [u64; 5]) -> Self {
        Self {
            since,
            reason: Reason::from_code(info & 31),
            level: (info >> 5) & MAX_LEVEL,
            streak: info >> 17,
            figures: Figures { calls, failures, slow },
        }
    }
}

pub(crate) struct Record([AtomicU64; 5]);

impl Record {
    pub(crate) fn new(generation: u64, period: Period) -> Self {
        let words = period.words();
        Self(array::from_fn(|at| {
            AtomicU64::new((generation << TAG_AT) | CONFIRMED | words[at])
        }))
    }

    /// Readies the record for `generation`, as long as `still` says that it has not begun. `false` when it has.
    pub(crate) fn prepare(&self, generation: u64, period: Period, still: impl Fn() -> bool) -> bool {
        for (word, value) in self.0.iter().zip(period.words()) {
            loop {
                // Acquire: `still` must look at the state word after this look at the record.
                let seen = word.load(Ordering::Acquire);
                if (seen >> TAG_AT == generation && seen & CONFIRMED != 0) || !still() {
                    return false;
                }
                let new = (generation << TAG_AT) | value;
                if word
                    .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok()
                {
                    break;
                }
            }
        }
        true
    }

    /// Writes the values of the one who began `generation`, unless the next but one is being prepared already.
    pub(crate) fn confirm(&self, generation: u64, period: Period) {
        for (word, value) in self.0.iter().zip(period.words()) {
            let new = (generation << TAG_AT) | CONFIRMED | value;
            let mut seen = word.load(Ordering::Acquire);
            while seen >> TAG_AT == generation {
                match word.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => break,
                    Err(now) => seen = now,
                }
            }
        }
    }

    /// What the record says of `generation`; `None` when it is another's by now.
    pub(crate) fn read(&self, generation: u64) -> Option<Period> {
        self.read_confirmed(generation)
            .or_else(|| self.read_unconfirmed(generation))
    }

    /// The same, and `None` also before it is confirmed.
    #[inline]
    pub(crate) fn read_confirmed(&self, generation: u64) -> Option<Period> {
        let confirmed = (generation << 1) | 1;
        let mut others = 0;
        let words = array::from_fn(|at| {
            let seen = self.0[at].load(Ordering::Acquire);
            others |= (seen >> CONFIRMED_AT) ^ confirmed;
            seen & VALUE
        });
        (others == 0).then(|| Period::of(words))
    }

    /// The generation has begun, or is another by now, and who began it has not confirmed the record yet: a matter of a few
    /// instructions, unless its thread sleeps between them. Then the words may be those of several who prepared it, and
    /// what is said is put right so far that it makes sense.
    #[cold]
    #[inline(never)]
    fn read_unconfirmed(&self, generation: u64) -> Option<Period> {
        let mut patience = PATIENCE;
        loop {
            let seen: [u64; 5] = array::from_fn(|at| self.0[at].load(Ordering::Acquire));
            if seen.iter().any(|word| word >> TAG_AT != generation) {
                return None;
            }
            let confirmed = seen.iter().all(|word| word & CONFIRMED != 0);
            if confirmed || patience == 0 {
                let period = Period::of(seen.map(|word| word & VALUE));
                let Figures { calls, failures, slow } = period.figures;
                let calls = calls.max(failures).max(slow);
                let figures = Figures { calls, failures, slow };
                return Some(Period { figures, ..period });
            }
            patience -= 1;
            core::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(reason: Reason) -> Period {
        let figures = Figures {
            calls: 100,
            failures: 62,
            slow: 7,
        };
        Period {
            since: 1 << 40,
            reason,
            level: 9,
            streak: 65_535,
            figures,
        }
    }

    #[test]
    fn the_winner_has_the_last_word() {
        let record = Record::new(2, period(Reason::Built));
        assert!(record.prepare(4, period(Reason::FailureRate), || true));
        assert!(record.prepare(4, period(Reason::Ewma), || true));
        record.confirm(4, period(Reason::FailureRate));
        assert!(!record.prepare(4, period(Reason::Ewma), || true));
        assert_eq!(record.read(4), Some(period(Reason::FailureRate)));
        assert_eq!(record.read(2), None);
    }

    #[test]
    fn what_two_have_prepared_in_part_each_is_never_more_failures_than_calls() {
        let record = Record::new(2, period(Reason::Built));
        assert!(record.prepare(4, period(Reason::FailureRate), || true));
        let few = Figures {
            calls: 5,
            failures: 1,
            slow: 0,
        };
        let other = Period {
            figures: few,
            ..period(Reason::Ewma)
        };
        let steps = core::cell::Cell::new(0);
        let at_most_three = || {
            steps.set(steps.get() + 1);
            steps.get() <= 3
        };
        assert!(!record.prepare(4, other, at_most_three));
        // And the first of them won, but has not confirmed it yet.
        let seen = record.read(4).unwrap().figures;
        assert_eq!((seen.calls, seen.failures, seen.slow), (62, 62, 7));
        record.confirm(4, period(Reason::FailureRate));
        assert_eq!(record.read(4), Some(period(Reason::FailureRate)));
    }

    #[test]
    fn a_late_confirmation_harms_no_newer_record() {
        let record = Record::new(2, period(Reason::Built));
        assert!(record.prepare(6, period(Reason::Reset), || true));
        record.confirm(4, period(Reason::Ewma));
        assert_eq!(record.read(6), Some(period(Reason::Reset)));
    }
}
