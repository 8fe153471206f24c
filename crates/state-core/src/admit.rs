//! The way in: a permit, or a refusal.

use crate::circuit::Circuit;
use crate::error::{RefusalReason, Refused};
use crate::period::Period;
use crate::permit::Permit;
use crate::plan::{millis, until};
use crate::policy::HalfOpen;
use crate::refusal::Refusal;
use crate::state::{Reason, State};
use crate::sync::Ordering;
use crate::totals::Count;
use crate::transit::{Move, Term};
use crate::word::{GENERATION, HELD, Token, Trials, Word};

/// What half-open says to a caller.
enum Trial {
    Admitted(Word),
    Refused(RefusalReason, Option<u64>),
    /// The state has moved on: look again.
    Again,
}

/// A refusal, as far as it is decided.
struct No {
    word: Word,
    reason: RefusalReason,
    /// In ns.
    wait: Option<u64>,
}

/// What the caller wants to know or do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// A permit.
    Permit,
    /// A permit, after `readiness` has said yes: a ramp does not draw again.
    PermitWhenReady,
    /// Only whether a permit could be had.
    Answer,
    /// A refusal, if there is a reason for one: a ramp does not draw.
    Refusal,
}

impl Circuit {
    /// Asks for a permit to make one call.
    ///
    /// While the circuit is closed this is one load, and a reading of the clock where calls are timed. It takes no lock
    /// and never waits. The permit settles exactly once: see [`Permit`].
    ///
    /// ```
    /// use state_core::{Circuit, Outcome};
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// let permit = circuit.acquire()?;
    /// permit.record(Outcome::success());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refused`] while the circuit is open or forced open, and half-open when the trials are taken or the ramp did not
    /// let this call through.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "a permit is handed over in registers, or through memory at twice the cost"
    )]
    pub fn acquire(&self) -> Result<Permit, Refused> {
        match self.acquire_closed() {
            Some(permit) => Ok(permit),
            None => self.acquire_cold(Want::Permit),
        }
    }

    /// A permit if the circuit is closed, else `None`: the first half of [`acquire`](Self::acquire), for services on hot
    /// paths that keep what follows out of line.
    ///
    /// ```
    /// use state_core::Circuit;
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// let permit = match circuit.acquire_closed() {
    ///     Some(permit) => permit,
    ///     None => circuit.acquire()?,
    /// };
    /// permit.success();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as `acquire`")]
    pub fn acquire_closed(&self) -> Option<Permit> {
        // Whether the slot is still this handle's is asked when the permit settles, if that would change anything.
        let word = self.slot.word.load();
        if word.is_clean() {
            Some(Permit::new(*self, Token::clean(word), 0))
        } else if word.is_closed() {
            Some(self.permit(word))
        } else {
            None
        }
    }

    /// As [`acquire`](Self::acquire), for a caller to whom [`readiness`](Self::readiness) has just said yes: a ramp
    /// does not draw a second time.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the state has changed since.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as `acquire`")]
    pub fn acquire_when_ready(&self) -> Result<Permit, Refused> {
        match self.acquire_closed() {
            Some(permit) => Ok(permit),
            None => self.acquire_cold(Want::PermitWhenReady),
        }
    }

    /// Whether a call would be admitted now. Takes no trial. On a ramp each answer is a draw of its own.
    ///
    /// A half-open time that has run out and a ramp that has ended take effect here, as in `acquire`.
    ///
    /// ```
    /// use state_core::Circuit;
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// assert!(circuit.readiness().is_ok());
    /// circuit.force_open();
    /// assert!(circuit.readiness().is_err());
    /// # Ok::<(), state_core::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The refusal that `acquire` would give.
    #[inline]
    pub fn readiness(&self) -> Result<(), Refused> {
        let word = self.slot.word.load();
        if word.is_closed() {
            return Ok(());
        }
        self.readiness_cold()
    }

    /// Whether the circuit is closed, by one load: if so nobody is refused, if not [`refusing`](Self::refusing) knows. A
    /// copy of a retired handle, which admits every call, may hear either.
    ///
    /// ```
    /// use state_core::Circuit;
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// assert!(circuit.is_closed());
    /// circuit.disable();
    /// assert!(!circuit.is_closed() && circuit.refusing().is_none());
    /// # Ok::<(), state_core::BuildError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.slot.word.load().is_closed()
    }

    /// Why a call would be refused now, if it would: [`readiness`](Self::readiness) without the details.
    ///
    /// ```
    /// use state_core::{Circuit, RefusalReason};
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// assert_eq!(circuit.refusing(), None);
    /// circuit.force_open();
    /// assert_eq!(circuit.refusing(), Some(RefusalReason::ForcedOpen));
    /// # Ok::<(), state_core::BuildError>(())
    /// ```
    #[inline]
    pub fn refusing(&self) -> Option<RefusalReason> {
        if self.slot.word.load().is_closed() {
            return None;
        }
        self.refusing_cold()
    }

    /// The refusal for a `reason` that [`refusing`](Self::refusing) gave a moment ago, whatever the circuit says by now:
    /// for a service that has told its caller to come and be refused. Counted as refused. If it would be admitted now the
    /// time to wait is zero.
    #[inline]
    pub fn refuse(&self, reason: RefusalReason) -> Refused {
        self.refused_open().unwrap_or_else(|| self.refuse_otherwise(reason))
    }

    #[cold]
    #[inline(never)]
    fn refuse_otherwise(&self, reason: RefusalReason) -> Refused {
        if self.owns() {
            self.count_refused();
        }
        let (word, reason, wait) = match self.weigh(Want::Refusal) {
            Err(No { word, reason, wait }) => (word, reason, wait),
            Ok(word) => (word, reason, Some(0)),
        };
        self.refused(self.last_opening(word).unwrap_or(Period::UNKNOWN), reason, wait)
    }

    #[cold]
    #[inline(never)]
    fn readiness_cold(&self) -> Result<(), Refused> {
        self.decide(Want::Answer).map(|_| ())
    }

    #[cold]
    #[inline(never)]
    fn refusing_cold(&self) -> Option<RefusalReason> {
        if self.time_left(self.slot.word.load()) > 0 {
            return Some(RefusalReason::Open);
        }
        self.refusing_otherwise()
    }

    #[inline(never)]
    fn refusing_otherwise(&self) -> Option<RefusalReason> {
        self.weigh(Want::Answer).err().map(|no| no.reason)
    }

    /// What most refusals come from, apart from all else: how long `word` says the circuit stays open, in ns. 0 when it
    /// is not open, or not for a known time, or not this handle's.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as `decide`")]
    fn time_left(&self, word: Word) -> u64 {
        let deadline = word.payload();
        if word.is_open() && deadline != HELD && self.owns() {
            until(deadline, self.meta.plan.now())
        } else {
            0
        }
    }

    /// The refusal of a circuit that is open for a known time, counted.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as `decide`")]
    fn refused_open(&self) -> Option<Refused> {
        let word = self.slot.word.load();
        let left = self.time_left(word);
        if left == 0 {
            return None;
        }
        let generation = word.generation();
        let period = self.slot.records[(generation & 1) as usize].read_confirmed(generation)?;
        if self.slot.totals.is_kept() {
            self.count_refused();
        }
        Some(self.refused(period, RefusalReason::Open, Some(left)))
    }

    #[inline(never)]
    fn count_refused(&self) {
        self.count(Count::Refused);
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as `acquire`")]
    fn permit(&self, word: Word) -> Permit {
        let timed = if word.is_closed() {
            word.is_timed()
        } else {
            self.times_calls()
        };
        let started = if timed { self.meta.plan.now() } else { 0 };
        Permit::new(*self, Token::told(word), started)
    }

    #[cold]
    #[inline(never)]
    fn acquire_cold(&self, want: Want) -> Result<Permit, Refused> {
        if let Some(refused) = self.refused_open() {
            return Err(refused);
        }
        self.acquire_otherwise(want)
    }

    #[inline(never)]
    fn acquire_otherwise(&self, want: Want) -> Result<Permit, Refused> {
        match self.decide(want) {
            Ok(word) => Ok(self.permit(word)),
            Err(refused) => {
                self.count(Count::Refused);
                Err(refused)
            }
        }
    }

    /// The word under which a call is admitted; for a retired handle one of state `Retired`.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "a refusal is made where it is wanted, not handed from place to place"
    )]
    fn decide(&self, want: Want) -> Result<Word, Refused> {
        loop {
            let no = match self.weigh(want) {
                Ok(word) => return Ok(word),
                Err(no) => no,
            };
            // None: the circuit has moved on and the answer may be another.
            if let Some(period) = self.last_opening(no.word) {
                return Err(self.refused(period, no.reason, no.wait));
            }
        }
    }

    /// What [`decide`](Self::decide) decides, without the details of a refusal.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as `decide`")]
    fn weigh(&self, want: Want) -> Result<Word, No> {
        loop {
            let word = self.slot.word.load();
            if !self.owns() {
                return Ok(Word::new(State::Retired, 0, 0));
            }
            let (reason, wait) = match word.state() {
                State::Closed | State::MetricsOnly | State::Disabled | State::Retired => return Ok(word),
                State::ForcedOpen => (RefusalReason::ForcedOpen, None),
                State::Open => {
                    let deadline = word.payload();
                    let wait = (deadline != HELD).then(|| until(deadline, self.meta.plan.now()));
                    if wait == Some(0) {
                        if matches!(want, Want::Answer | Want::Refusal) {
                            return Ok(word);
                        }
                        self.half_open(word, Reason::OpenTimeEnded);
                        continue;
                    }
                    (RefusalReason::Open, wait)
                }
                State::HalfOpen => match self.trial(word, want) {
                    Trial::Admitted(word) => return Ok(word),
                    Trial::Refused(reason, wait) => (reason, wait),
                    Trial::Again => continue,
                },
            };
            return Err(No { word, reason, wait });
        }
    }

    /// The record of the opening that a refusal under `word` goes back to: of this generation, or of the one before, which
    /// a half-open circuit and one that has just been closed come from. `None` when the circuit has moved on.
    fn last_opening(&self, word: Word) -> Option<Period> {
        let period = self.period(word)?;
        if period.reason.opens() {
            return Some(period);
        }
        let before = word.generation().wrapping_sub(1) & GENERATION;
        let opening = self.slot.records[(before & 1) as usize].read(before);
        Some(opening.filter(|period| period.reason.opens()).unwrap_or(period))
    }

    #[inline]
    fn refused(&self, period: Period, reason: RefusalReason, wait: Option<u64>) -> Refused {
        Refused {
            meta: self.meta,
            reason,
            opened_by: period.reason,
            streak: u32::try_from(period.streak).unwrap_or(u32::MAX),
            figures: period.figures,
            mark: Refusal::after_nanos(wait),
        }
    }

    /// Open to half-open. The windows empty themselves: they belong to an earlier generation.
    pub(crate) fn half_open(&self, word: Word, reason: Reason) {
        if let Some(period) = self.period(word) {
            let to = Move {
                level: period.level,
                ..Move::to(State::HalfOpen, reason, self.now_ms())
            };
            let _ = self.transit(word, to);
        }
    }

    fn trial(&self, word: Word, want: Want) -> Trial {
        let policy = self.policy();
        let term = self.slot.term.load(Ordering::Acquire);
        if self.slot.word.load() != word || self.overdue(word) {
            return Trial::Again;
        }
        if let HalfOpen::Ramp { over, .. } = policy.half_open {
            return self.ramp(word, millis(over), want);
        }
        let trials = word.trials();
        let generation = word.generation();
        let out = trials.out(policy.half_open);
        let running = Term::of(term, generation);
        let taken = match policy.half_open {
            HalfOpen::Batch(n) => trials.issued >= u64::from(n),
            _ => out >= u64::from(policy.concurrent_trials.unwrap_or(1)),
        };
        if taken {
            let deadline = running.map_or(0, |term| term.deadline);
            return Trial::Refused(RefusalReason::TrialsBusy, Some(until(deadline, self.meta.plan.now())));
        }
        if matches!(want, Want::Answer | Want::Refusal) {
            return Trial::Admitted(word);
        }
        let number = if out > 0 {
            Some(trials.term)
        } else {
            self.term_for(trials, term, generation)
        };
        let Some(number) = number else {
            return Trial::Again;
        };
        let next = word.with_payload(
            Trials {
                issued: trials.issued + 1,
                unanswered: trials.unanswered || out == 0,
                term: number,
                ..trials
            }
            .pack(),
        );
        match self.slot.word.swap(word, next) {
            Ok(()) => Trial::Admitted(next),
            Err(_) => Trial::Again,
        }
    }

    /// The number of the half-open time for a trial that goes out while no other is; `None` when another came first.
    ///
    /// A new time is first put into the term word, with the next number, and then into the state word together with the
    /// trial. Whoever finds the next number there goes by it and does not write: so one who loses the state word to
    /// another can't have put off the end of that one's trial.
    fn term_for(&self, trials: Trials, term: u64, generation: u64) -> Option<u64> {
        let now = self.now_ms();
        let next = (trials.term + 1) & 3;
        if let Some(found) = Term::of(term, generation).filter(|term| now < term.deadline) {
            // Trials that are given up or say nothing one after the other do not get a new time each: the time runs on,
            // unless it ran out while the circuit waited for traffic.
            if found.number == next || trials.unanswered {
                return Some(found.number);
            }
        }
        let deadline = now.saturating_add(self.meta.plan.half_open_ms);
        let new = Term { number: next, deadline };
        self.slot
            .term
            .compare_exchange(term, new.pack(generation), Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
            .then_some(next)
    }

    fn ramp(&self, word: Word, over: u64, want: Want) -> Trial {
        let Some(period) = self.period(word) else {
            return Trial::Again;
        };
        let gone = self.now_ms().saturating_sub(period.since).min(over);
        let share = two_to_the(gone as f64 / over as f64) - 1.0;
        let drawn = match want {
            Want::PermitWhenReady => true,
            Want::Permit | Want::Answer => self.random() < share,
            Want::Refusal => false,
        };
        if drawn {
            Trial::Admitted(word)
        } else {
            Trial::Refused(RefusalReason::Ramp, Some((over - gone) * 1_000_000))
        }
    }
}

/// 2 to the power of `x` for x in [0, 1], by the series of e^(x ln 2); good to 1e-9. `core` has no `exp2`.
fn two_to_the(x: f64) -> f64 {
    let y = x * core::f64::consts::LN_2;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..12 {
        term *= y / f64::from(n);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    #[test]
    fn powers_of_two_are_right() {
        for x in [0.0, 0.1, 0.5, 0.9, 1.0] {
            assert!((super::two_to_the(x) - f64::exp2(x)).abs() < 1e-9);
        }
    }
}
