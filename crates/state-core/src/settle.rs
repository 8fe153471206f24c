//! The way out: what an outcome changes.

use crate::circuit::Circuit;
use crate::figures::Figures;
use crate::observer;
use crate::outcome::{Kind, Outcome};
use crate::plan::{Meta, Store};
use crate::policy::Threshold;
use crate::ring::Lap;
use crate::slot::{Slot, Windows};
use crate::state::{Reason, State};
use crate::sync::{Ordering, fence};
use crate::totals::Count;
use crate::transit::Move;
use crate::word::{DIRTY, GENERATION, MAX_STREAK, TIMED, Token, Word};

/// An outcome on its way in, with what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Landing {
    pub(crate) kind: Kind,
    pub(crate) slow: bool,
    /// The circuit's time in ns, where the policy needs one.
    pub(crate) now: Option<u64>,
}

impl Landing {
    pub(crate) fn failed(self) -> bool {
        matches!(self.kind, Kind::Failure | Kind::Throttled)
    }
}

/// Settles a success that is not the healthy path's. The permit comes in parts: what is handed over in registers need not
/// be written to memory.
pub(crate) type OnSuccess = fn(slot: &'static Slot, meta: &'static Meta, incarnation: u32, token: Token, started: u64);

/// Which one a plan needs.
pub(crate) fn on_success(store: Store, reads_clock: bool, every_outcome: bool) -> OnSuccess {
    match store {
        _ if every_outcome => any_success,
        _ if reads_clock => timed_success,
        Store::Ring(_) => ring_success,
        Store::Lifetime => lifetime_success,
        _ => any_success,
    }
}

/// Where one more success at most is to be told to the window and counted in the totals: closed, the same generation, no
/// failures in a row, no moving rate. The state word then.
#[inline(always)]
#[allow(clippy::inline_always, reason = "the first lines of the functions below")]
fn quiet(slot: &'static Slot, incarnation: u32, token: Token) -> Option<Word> {
    let word = slot.word.load();
    if !token.is_quiet(word) {
        return None;
    }
    (slot.incarnation.load(Ordering::Relaxed) == incarnation).then_some(word)
}

fn ring_success(slot: &'static Slot, meta: &'static Meta, incarnation: u32, token: Token, started: u64) {
    if let (Some(word), Windows::Ring(ring), Store::Ring(shape)) =
        (quiet(slot, incarnation, token), &slot.window, &meta.plan.store)
    {
        let lap = if word.is_dirty() {
            ring.push_success(shape, word.generation())
        } else {
            Some(Lap::Within)
        };
        if lap == Some(Lap::Within) {
            slot.totals.add(incarnation, Count::Success);
            return;
        }
        if lap.is_some() {
            return end_lap(slot, meta, incarnation, word);
        }
    }
    any_success(slot, meta, incarnation, token, started);
}

#[cold]
#[inline(never)]
fn end_lap(slot: &'static Slot, meta: &'static Meta, incarnation: u32, word: Word) {
    let circuit = Circuit {
        slot,
        meta,
        incarnation,
    };
    circuit.clean(word);
    circuit.count(Count::Success);
}

fn lifetime_success(slot: &'static Slot, meta: &'static Meta, incarnation: u32, token: Token, started: u64) {
    if let (Some(word), Windows::Tally(tally)) = (quiet(slot, incarnation, token), &slot.window) {
        if !word.is_dirty() || tally.success_in_life(word.generation()) {
            slot.totals.add(incarnation, Count::Success);
            return;
        }
    }
    any_success(slot, meta, incarnation, token, started);
}

fn timed_success(slot: &'static Slot, meta: &'static Meta, incarnation: u32, token: Token, started: u64) {
    if let Some(word) = quiet(slot, incarnation, token) {
        let plan = &meta.plan;
        let now = plan.now();
        let slow = plan
            .slow_after
            .is_some_and(|after| now.saturating_sub(started) >= after);
        let generation = word.generation();
        let within = |told: bool| told.then_some(Lap::Within);
        let lap = match (&slot.window, &plan.store) {
            _ if slow => None,
            _ if !word.is_dirty() => Some(Lap::Within),
            (Windows::Tally(tally), Store::Time(slicing, _)) => within(tally.success_at(*slicing, generation, now)),
            (Windows::Tally(tally), Store::Lifetime) => within(tally.success_in_life(generation)),
            (Windows::Ring(ring), Store::Ring(shape)) => ring.push_success(shape, generation),
            _ => None,
        };
        match lap {
            Some(Lap::Within) => return slot.totals.add(incarnation, Count::Success),
            Some(Lap::Ended) => return end_lap(slot, meta, incarnation, word),
            None => {}
        }
    }
    any_success(slot, meta, incarnation, token, started);
}

#[inline(never)]
fn any_success(slot: &'static Slot, meta: &'static Meta, incarnation: u32, token: Token, started: u64) {
    let circuit = Circuit {
        slot,
        meta,
        incarnation,
    };
    if !meta.plan.policy.evaluate_on_every_outcome && !meta.plan.reads_clock {
        // The window is told below, if it must be.
        if quiet(slot, incarnation, token).is_some_and(|word| !word.is_dirty()) {
            return circuit.count(Count::Success);
        }
    }
    circuit.settle(token, started, Outcome::success(), false);
}

impl Circuit {
    /// Settles a permit that was given with `token`.
    #[inline(never)]
    pub(crate) fn settle(&self, token: Token, started: u64, outcome: Outcome, cancelled: bool) {
        let word = token.word();
        let state = word.state();
        if matches!(state, State::Disabled | State::Retired) {
            return;
        }
        let current = self.slot.word.load();
        // A retired slot may be somebody else's by now, or have been when the permit was given.
        if !self.owns() {
            return;
        }
        if !current.same_period(word) {
            self.count(Count::Late);
            return;
        }
        if state == State::HalfOpen && self.overdue(current) {
            self.count(Count::Late);
            return;
        }
        let plan = &self.meta.plan;
        let mut landing = Landing {
            kind: outcome.kind,
            slow: false,
            now: None,
        };
        if cancelled {
            self.count(Count::Cancelled);
        }
        if outcome.kind == Kind::Neutral {
            self.count(Count::Neutral);
            if state == State::HalfOpen {
                self.settle_trial(word, landing);
            }
            return;
        }
        if plan.reads_clock || (plan.policy.stamp_failures && landing.failed()) {
            let now = plan.now();
            landing.now = Some(now);
            landing.slow = plan
                .slow_after
                .is_some_and(|after| now.saturating_sub(started) >= after);
        }
        if landing.failed() {
            self.note_failure(word, &mut landing, outcome);
        }
        let landed = if state == State::HalfOpen {
            self.settle_trial(word, landing)
        } else {
            self.settle_closed(word, landing)
        };
        self.count(match landing.kind {
            _ if !landed => Count::Late,
            Kind::Success => Count::Success,
            _ => Count::Failure,
        });
        if landed && landing.slow {
            self.count(Count::Slow);
        }
    }

    fn note_failure(&self, word: Word, landing: &mut Landing, outcome: Outcome) {
        if let Some(hint) = outcome.hint() {
            let now = *landing.now.get_or_insert_with(|| self.meta.plan.now());
            self.note_hint(word.generation(), hint, now);
        }
        if let Some(now) = landing.now {
            self.stamp_failure(now);
        }
    }

    #[inline]
    pub(crate) fn count(&self, what: Count) {
        self.slot.totals.add(self.incarnation, what);
    }

    pub(crate) fn stamp_failure(&self, now: u64) {
        self.slot.line.last_failure.raise(self.incarnation, now / 1_000_000 + 1);
    }

    /// Records an outcome of a closed (or metrics-only) generation. `false` when that has ended.
    fn settle_closed(&self, token: Word, landing: Landing) -> bool {
        let generation = token.generation();
        let bad = landing.failed() || landing.slow;
        let Some(lap) = self.push(token, landing) else {
            return false;
        };
        let judged = bad || self.policy().evaluate_on_every_outcome;
        if judged {
            // SeqCst: of two that judge at the same time at least one must see both outcomes, or neither would trip; and of
            // a failure and a success that finds the window clean, at least one must see the other (see `clean`).
            fence(Ordering::SeqCst);
        }
        let mut word = self.slot.word.load();
        while word.same_period(token) {
            let payload = self.closed_payload(word, landing);
            let next = word.with_payload(payload);
            let tripped = if judged { self.tripped(next, landing) } else { None };
            let done = match tripped {
                Some((reason, figures)) if word.is_closed() => {
                    let now = landing.now.unwrap_or_else(|| self.meta.plan.now());
                    let opening = self.opening(word, reason, 0, now);
                    let moved = self
                        .transit(
                            word,
                            Move {
                                streak: next.streak(),
                                figures,
                                ..opening
                            },
                        )
                        .map(|_| ());
                    if moved.is_ok() && landing.failed() {
                        self.stamp_failure(now);
                    }
                    moved
                }
                _ if next == word => Ok(()),
                _ => self.slot.word.swap(word, next),
            };
            match done {
                Ok(()) => {
                    if let Some((reason, _)) = tripped.filter(|_| !word.is_closed()) {
                        self.would_trip(generation, reason);
                    }
                    break;
                }
                Err(now) => word = now,
            }
        }
        if lap == Lap::Ended && !bad {
            self.clean(token);
        }
        true
    }

    /// Tells the window; `None` when a newer generation has begun.
    #[inline]
    fn push(&self, token: Word, landing: Landing) -> Option<Lap> {
        let (failed, slow) = (landing.failed(), landing.slow);
        let generation = token.generation();
        match (&self.slot.window, self.meta.plan.store) {
            (Windows::Ring(ring), Store::Ring(shape)) => {
                if failed || slow || self.slot.word.load().is_dirty() {
                    ring.push(shape, generation, failed, slow)
                } else {
                    Some(Lap::Within)
                }
            }
            (Windows::Tally(tally), Store::Lifetime) => {
                tally.push_lifetime(generation, failed, slow).map(|()| Lap::Within)
            }
            (Windows::Tally(tally), Store::Time(slicing, _)) => {
                let now = landing.now.unwrap_or_else(|| self.meta.plan.now());
                tally
                    .push_at(slicing, generation, now, (failed, slow), || self.owns())
                    .map(|()| Lap::Within)
            }
            _ => Some(Lap::Within),
        }
    }

    /// The payload of a closed word after an outcome.
    #[inline]
    fn closed_payload(&self, word: Word, landing: Landing) -> u64 {
        let plan = &self.meta.plan;
        let streak = match landing.kind {
            Kind::Failure if plan.policy.consecutive_failures.is_some() => (word.streak() + 1).min(MAX_STREAK),
            Kind::Success => 0,
            _ => word.streak(),
        };
        let rate = match plan.ewma {
            None => 0,
            Some(ewma) if landing.failed() => ewma.after_failure(word.rate()),
            Some(ewma) => ewma.after_success(word.rate()),
        };
        let windowed = !matches!(plan.store, Store::None);
        let flags = word.payload() & (DIRTY | TIMED);
        let bad = windowed && (landing.failed() || landing.slow);
        Word::closed_payload(if bad { flags | DIRTY } else { flags }, streak, rate)
    }

    /// The rule that trips, if one does, with what the window holds.
    fn tripped(&self, word: Word, landing: Landing) -> Option<(Reason, Figures)> {
        let plan = &self.meta.plan;
        let policy = &plan.policy;
        let mut time = landing.now;
        let now = || *time.get_or_insert_with(|| plan.now());
        let figures = self.figures(word.generation(), now);
        let in_a_row = policy.consecutive_failures.filter(|_| landing.kind == Kind::Failure);
        let reason = if in_a_row.is_some_and(|n| word.streak() >= u64::from(n)) {
            Reason::ConsecutiveFailures
        } else if let Some(reason) = rate_rule(self, figures, plan.min_calls) {
            reason
        } else if landing.failed() && plan.ewma.is_some_and(|ewma| ewma.trips(word.rate())) {
            Reason::Ewma
        } else {
            return None;
        };
        (!self.in_grace(word, landing.now)).then_some((reason, figures))
    }

    fn in_grace(&self, word: Word, now: Option<u64>) -> bool {
        self.policy().grace.is_some_and(|grace| {
            let now = now.unwrap_or_else(|| self.meta.plan.now()) / 1_000_000;
            self.period(word).is_some_and(|period| {
                period.reason != Reason::Built && now.saturating_sub(period.since) < crate::plan::millis(grace)
            })
        })
    }

    /// Says once a generation that a rule would have tripped.
    #[cold]
    fn would_trip(&self, generation: u64, rule: Reason) {
        let line = &self.slot.line;
        // One who is late does not make it be said again: what is newer is so by a few generations.
        let unsaid = |seen: u64| seen == 0 || ((seen - 1).wrapping_sub(generation) & GENERATION) > 1 << 10;
        if line.would_trip.replace(self.incarnation, generation + 1, unsaid) && line.observed.load(Ordering::Acquire) {
            let at = core::time::Duration::from_millis(self.now_ms());
            observer::post_would_trip(observer::WouldTrip {
                circuit: *self,
                rule,
                generation,
                at,
            });
        }
    }

    /// The end of a lap: if the window is full of quick successes, later ones need not be recorded.
    ///
    /// A handshake with a failure: this clears DIRTY, then looks at the bits again; a failure sets its bit, then looks at
    /// DIRTY. With a fence between the two steps on either side, at least one sees the other and sets DIRTY again.
    #[cold]
    fn clean(&self, token: Word) {
        let Windows::Ring(ring) = &self.slot.window else { return };
        let generation = token.generation();
        let word = self.slot.word.load();
        if !word.same_period(token) || !word.is_dirty() || !ring.is_full_and_clean(generation) {
            return;
        }
        if self
            .slot
            .word
            .swap(word, word.with_payload(word.payload() & !DIRTY))
            .is_err()
        {
            return;
        }
        fence(Ordering::SeqCst);
        if !ring.is_clean(generation) {
            let mut word = self.slot.word.load();
            while word.same_period(token) && !word.is_dirty() {
                match self.slot.word.swap(word, word.with_payload(word.payload() | DIRTY)) {
                    Ok(()) => return,
                    Err(now) => word = now,
                }
            }
        }
    }
}

/// The rate rule that `figures` trip, once they hold `min_calls`.
pub(crate) fn rate_rule(circuit: &Circuit, figures: Figures, min_calls: u64) -> Option<Reason> {
    let policy = circuit.policy();
    if figures.calls < min_calls {
        return None;
    }
    let trips = |rule: Threshold, rate: Option<f64>| rate.is_some_and(|rate| rule.trips(rate));
    if policy
        .failure_rate
        .is_some_and(|rule| trips(rule, figures.failure_rate()))
    {
        return Some(Reason::FailureRate);
    }
    let slow = policy.slow_call_rate.map(|rule| rule.rate);
    slow.is_some_and(|rule| trips(rule, figures.slow_rate()))
        .then_some(Reason::SlowCallRate)
}
