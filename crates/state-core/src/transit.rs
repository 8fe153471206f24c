//! From one state to the next: one swap of the state word, with a record prepared before and everybody told after.

use crate::circuit::Circuit;
use crate::figures::Figures;
use crate::observer;
use crate::period::Period;
use crate::plan::{Store, millis};
use crate::slot::Windows;
use crate::state::{Reason, State};
use crate::sync::{Ordering, fence};
use crate::word::{HELD, Word, is_before};

/// A change of state that somebody wants to make.
#[derive(Clone, Copy)]
pub(crate) struct Move {
    pub(crate) to: State,
    pub(crate) payload: u64,
    pub(crate) reason: Reason,
    /// When, in ms of the circuit's time.
    pub(crate) at: u64,
    pub(crate) level: u64,
    pub(crate) streak: u64,
    pub(crate) figures: Figures,
}

impl Move {
    pub(crate) fn to(to: State, reason: Reason, at: u64) -> Self {
        Self {
            to,
            payload: 0,
            reason,
            at,
            level: 0,
            streak: 0,
            figures: Figures::default(),
        }
    }
}

const TERM_AT: u32 = 42;

/// A deadline that belongs to one generation: `generation (22) | ms (42)`.
pub(crate) const fn stamp(generation: u64, ms: u64) -> u64 {
    let latest = (1 << TERM_AT) - 1;
    (generation << TERM_AT) | if ms > latest { latest } else { ms }
}

/// The deadline in `word`, if it is one of `generation`.
pub(crate) const fn stamped(word: u64, generation: u64) -> Option<u64> {
    if word >> TERM_AT == generation {
        Some(word & ((1 << TERM_AT) - 1))
    } else {
        None
    }
}

const TERM_NUMBER_AT: u32 = 40;

/// A half-open time: when it ends, and which one it is.
#[derive(Clone, Copy)]
pub(crate) struct Term {
    /// Modulo 4.
    pub(crate) number: u64,
    /// In ms.
    pub(crate) deadline: u64,
}

impl Term {
    pub(crate) fn of(word: u64, generation: u64) -> Option<Self> {
        stamped(word, generation).map(|value| Self {
            number: value >> TERM_NUMBER_AT,
            deadline: value & ((1 << TERM_NUMBER_AT) - 1),
        })
    }

    pub(crate) fn pack(self, generation: u64) -> u64 {
        let latest = (1 << TERM_NUMBER_AT) - 1;
        stamp(generation, (self.number << TERM_NUMBER_AT) | self.deadline.min(latest))
    }
}

impl Circuit {
    /// Makes the move, if the state word is still `from`; else says what it is.
    #[cold]
    #[inline(never)]
    pub(crate) fn transit(&self, from: Word, to: Move) -> Result<Word, Word> {
        let slot = self.slot;
        let next = from.next(to.to, to.payload);
        let generation = next.generation();
        let record = &slot.records[(generation & 1) as usize];
        let period = Period {
            since: to.at,
            reason: to.reason,
            level: to.level,
            streak: to.streak,
            figures: to.figures,
        };
        if !record.prepare(generation, period, || slot.word.load().same_period(from)) {
            return Err(slot.word.load());
        }
        slot.word.swap(from, next)?;
        record.confirm(generation, period);
        self.freshen(generation, to.at);
        // SeqCst: pairs with the fences in `observer::add` and `probe_says`: each of the two sees the other's write.
        fence(Ordering::SeqCst);
        if slot.line.observed.load(Ordering::Acquire) {
            observer::post(observer::Transition {
                circuit: *self,
                from: from.state(),
                to: to.to,
                reason: to.reason,
                generation,
                at: core::time::Duration::from_millis(to.at),
            });
        }
        if matches!(to.to, State::HalfOpen | State::Open) {
            // What was true of the probes when the move was prepared may not be any more.
            if self.is_down() {
                self.hold();
            } else if next.payload() == HELD && !self.policy().open_until_probe {
                if to.reason == Reason::ProbeDown {
                    self.half_open(next, Reason::ProbeUp);
                } else {
                    self.unhold();
                }
            }
        }
        slot.line.waiters.wake_all();
        Ok(next)
    }

    /// Keeps the short tags in the windows from growing old enough to look new.
    fn freshen(&self, generation: u64, at: u64) {
        match (&self.slot.window, self.meta.plan.store) {
            (Windows::Ring(ring), _) => ring.freshen(generation),
            (Windows::Tally(tally), Store::Time(slicing, _)) => {
                tally.freshen(generation, Some((slicing, at.saturating_mul(1_000_000))));
            }
            (Windows::Tally(tally), _) => tally.freshen(generation, None),
            (Windows::None, _) => {}
        }
    }

    /// The move that opens the circuit at `now` (ns), for the `level`-th time in a row without closing.
    pub(crate) fn opening(&self, from: Word, reason: Reason, level: u64, now: u64) -> Move {
        let policy = self.policy();
        let mut payload = HELD;
        if !policy.open_until_probe && !self.is_down() {
            let until = now.saturating_add(self.open_time(level)).div_ceil(1_000_000);
            let hint = stamped(self.slot.hint.load(Ordering::Acquire), from.generation()).unwrap_or(0);
            payload = until.max(hint).min(HELD - 1);
        }
        Move {
            payload,
            level,
            ..Move::to(State::Open, reason, now / 1_000_000)
        }
    }

    /// How long to stay open, in nanoseconds, with backoff and jitter.
    #[allow(clippy::cast_sign_loss, reason = "a product of positive numbers")]
    fn open_time(&self, level: u64) -> u64 {
        let policy = self.policy();
        let base = millis(policy.open_for) * 1_000_000;
        if policy.backoff.is_none() && policy.jitter == 0.0 {
            return base;
        }
        let mut time = base as f64;
        if let Some(backoff) = policy.backoff {
            let max = backoff.max.as_nanos() as f64;
            for _ in 0..level {
                time = (time * backoff.factor).min(max);
                if time >= max || backoff.factor <= 1.0 {
                    break;
                }
            }
        }
        if policy.jitter > 0.0 {
            time *= 1.0 - policy.jitter + 2.0 * policy.jitter * self.random();
        }
        // A float to integer cast saturates, and a year of nanoseconds fits.
        time as u64
    }

    /// Notes that a failure of `generation` asked to be left alone.
    #[cold]
    pub(crate) fn note_hint(&self, generation: u64, hint: core::time::Duration, now: u64) {
        let hint = millis(hint.min(self.policy().max_retry_after)) * 1_000_000;
        let new = stamp(generation, now.saturating_add(hint).div_ceil(1_000_000));
        let word = &self.slot.hint;
        let mut seen = word.load(Ordering::Acquire);
        while !is_before(generation, seen >> TERM_AT, 22) && stamped(seen, generation) < stamped(new, generation) {
            match word.compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// The record of `word`'s generation, unless the circuit has moved on.
    pub(crate) fn period(&self, word: Word) -> Option<Period> {
        self.slot.records[(word.generation() & 1) as usize].read(word.generation())
    }
}
