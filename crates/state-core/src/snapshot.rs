//! What is seen from outside.

use core::time::Duration;

use crate::circuit::Circuit;
use crate::figures::Figures;
use crate::half_open::TimeIsUp;
use crate::plan::until;
use crate::policy::HalfOpen;
use crate::state::{Reason, State};
use crate::totals::Totals;
use crate::word::{HELD, Word};

/// A circuit at one moment, all of one generation.
///
/// ```
/// use state_core::{Circuit, State};
///
/// let circuit = Circuit::builder("openai").build()?;
/// circuit.acquire()?.failure();
/// let seen = circuit.snapshot();
/// assert_eq!((seen.name, seen.state, seen.calls, seen.failures), ("openai", State::Closed, 1, 1));
/// assert_eq!(seen.failure_rate, Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// The circuit's name.
    pub name: &'static str,
    /// The state, as [`Circuit::state`] reads it.
    pub state: State,
    /// How long it has been in the generation it is in.
    pub since: Duration,
    /// Why this generation began; while open, why the circuit opened.
    pub reason: Reason,
    /// The time to the next try; `None` unless open, or while only a probe or an operator can end it.
    pub next_try: Option<Duration>,
    /// Calls in the window; half-open, trials that have settled. While open, what the window held when it tripped.
    pub calls: u64,
    /// Those of them that succeeded.
    pub successes: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those of them that were slow.
    pub slow: u64,
    /// Failures per call; `None` below one call.
    pub failure_rate: Option<f64>,
    /// Slow calls per call; `None` below one call.
    pub slow_call_rate: Option<f64>,
    /// The moving failure rate, where that rule is set and the circuit is closed.
    pub moving_failure_rate: Option<f64>,
    /// Failures in a row; `None` where that rule is not set.
    pub consecutive_failures: Option<u64>,
    /// Trials that are out; 0 unless half-open.
    pub trials_in_flight: u64,
    /// The generation, counted modulo 2^22.
    pub generation: u64,
    /// How long ago the last failure was. Without [`stamp_failures`](crate::Policy::stamp_failures) known for failures
    /// that opened the circuit and for all of policies with time in them.
    pub last_failure: Option<Duration>,
    /// How many times in a row the circuit has re-opened without closing.
    pub reopenings: u64,
    /// Observers that panicked.
    pub observer_panics: u64,
    /// Totals since the circuit was built; `None` when they are switched off.
    pub totals: Option<Totals>,
}

impl Circuit {
    /// The state now. While the circuit is closed this is one load.
    ///
    /// Reading changes nothing: from the deadline on it says half-open though nobody has called yet; likewise closed when a
    /// ramp has ended, and open when trials were out for the whole half-open time.
    #[must_use]
    pub fn state(&self) -> State {
        let word = self.slot.word.load();
        if word.is_closed() && self.owns() {
            return State::Closed;
        }
        if !self.owns() {
            return State::Retired;
        }
        self.state_of(word, || self.meta.plan.now())
    }

    fn state_of(&self, word: Word, now: impl Fn() -> u64) -> State {
        match word.state() {
            State::Open if word.payload() != HELD && now() >= word.payload() * 1_000_000 => State::HalfOpen,
            State::HalfOpen => match self.time_is_up(word, now() / 1_000_000) {
                None => State::HalfOpen,
                Some(TimeIsUp::RampEnded) => State::Closed,
                Some(TimeIsUp::NoVerdict { .. }) => State::Open,
            },
            state => state,
        }
    }

    /// Everything about the circuit at one moment, all of one generation. Takes no lock, but reads the clock and every
    /// shard of the counters: for people and scrapers, not for each call.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        loop {
            if let Some(snapshot) = self.try_snapshot() {
                return snapshot;
            }
        }
    }

    /// `None` when the generation changed meanwhile.
    fn try_snapshot(&self) -> Option<Snapshot> {
        let now = self.meta.plan.now();
        let word = self.slot.word.load();
        if !self.owns() {
            return Some(self.nothing());
        }
        let period = self.period(word)?;
        let figures = self.figures_of(word, now);
        let policy = self.policy();
        let line = &self.slot.line;
        let last_failure = line.last_failure.get(self.incarnation).checked_sub(1);
        let ago = |ms: u64| Duration::from_nanos(now.saturating_sub(ms * 1_000_000));
        let state = self.state_of(word, || now);
        let wait = |deadline: u64| Duration::from_nanos(until(deadline, now));
        let snapshot = Snapshot {
            name: self.name(),
            state,
            since: ago(period.since),
            reason: period.reason,
            next_try: (word.state() == State::Open && word.payload() != HELD).then(|| wait(word.payload())),
            calls: figures.calls,
            successes: figures.calls - figures.failures,
            failures: figures.failures,
            slow: figures.slow,
            failure_rate: figures.failure_rate(),
            slow_call_rate: figures.slow_rate(),
            moving_failure_rate: (policy.ewma.is_some() && is_recording(word))
                .then(|| word.rate() as f64 / f64::from(1u32 << 22)),
            consecutive_failures: policy.consecutive_failures.map(|_| {
                if is_recording(word) {
                    word.streak()
                } else {
                    period.streak
                }
            }),
            trials_in_flight: match (word.state(), policy.half_open) {
                (State::HalfOpen, HalfOpen::Ramp { .. }) => 0,
                (State::HalfOpen, mode) => word.trials().out(mode),
                _ => 0,
            },
            generation: word.generation(),
            last_failure: last_failure.map(ago),
            reopenings: period.level,
            observer_panics: line.observer_panics.get(self.incarnation),
            totals: self.slot.totals.sum(self.incarnation),
        };
        self.slot.word.load().same_period(word).then_some(snapshot)
    }

    /// What the window of `word`'s generation holds: while open what tripped it, half-open what the trials came to.
    pub(crate) fn figures_of(&self, word: Word, now: u64) -> Figures {
        match word.state() {
            State::Closed | State::MetricsOnly => self.figures(word.generation(), || now),
            State::Open | State::ForcedOpen => self.period(word).map(|period| period.figures).unwrap_or_default(),
            State::HalfOpen => match self.policy().half_open {
                HalfOpen::Ramp { .. } => {
                    let ramp = word.ramp();
                    Figures {
                        calls: ramp.calls,
                        failures: ramp.failures,
                        slow: 0,
                    }
                }
                HalfOpen::Trials(_) => Figures {
                    calls: word.trials().settled,
                    failures: 0,
                    slow: 0,
                },
                HalfOpen::Batch(_) => word.trials().figures(),
            },
            _ => Figures::default(),
        }
    }

    /// Totals since the circuit was built; `None` when they are switched off.
    #[must_use]
    pub fn totals(&self) -> Option<Totals> {
        let totals = self.slot.totals.sum(self.incarnation);
        totals.filter(|_| self.owns())
    }

    fn nothing(&self) -> Snapshot {
        Snapshot {
            name: self.name(),
            state: State::Retired,
            since: Duration::ZERO,
            reason: Reason::Retired,
            next_try: None,
            calls: 0,
            successes: 0,
            failures: 0,
            slow: 0,
            failure_rate: None,
            slow_call_rate: None,
            moving_failure_rate: None,
            consecutive_failures: None,
            trials_in_flight: 0,
            generation: 0,
            last_failure: None,
            reopenings: 0,
            observer_panics: 0,
            totals: None,
        }
    }
}

fn is_recording(word: Word) -> bool {
    matches!(word.state(), State::Closed | State::MetricsOnly)
}
