//! The contract as a plain program: one caller, lists, no packing.

use std::collections::VecDeque;

use state_core::{OnCancel, Reason, RefusalReason, State};

use crate::policy::{Back, Kept, Plan};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Success,
    Failure,
    Throttled,
    Neutral,
}

impl Came {
    fn failed(self) -> bool {
        matches!(self, Self::Failure | Self::Throttled)
    }
}

/// A recorded outcome.
#[derive(Clone, Copy)]
struct Entry {
    slice: u64,
    failed: bool,
    slow: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

/// A permit as the reference knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    generation: u64,
    started: u64,
    nothing_counts: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
    pub(crate) neutral: u64,
    pub(crate) cancelled: u64,
    pub(crate) refused: u64,
    pub(crate) late: u64,
}

pub(crate) enum Answer {
    Admitted,
    /// With the time to the next try, in ns.
    Refused(RefusalReason, Option<u64>),
    /// A ramp: whichever it says is right; if it refuses, with this time.
    Either(u64),
}

pub(crate) struct Reference {
    pub(crate) plan: Plan,
    /// In ns.
    pub(crate) now: u64,
    pub(crate) state: State,
    pub(crate) generation: u64,
    pub(crate) reason: Reason,
    /// Why it last opened, or was opened.
    pub(crate) opened_by: Reason,
    /// In ms.
    pub(crate) since: u64,
    window: VecDeque<Entry>,
    pub(crate) row: u64,
    pub(crate) moving: f64,
    /// How often re-opened without a close.
    pub(crate) level: u64,
    /// While open, in ms; none: held.
    pub(crate) deadline: Option<u64>,
    /// What the window held when it opened, and the row.
    opened_with: (Figures, u64),
    /// Half-open.
    pub(crate) out: u64,
    settled: Figures,
    term: Option<u64>,
    nothing_since_term: bool,
    hint: Option<u64>,
    pub(crate) downs: u64,
    /// In ms.
    pub(crate) last_failure: Option<u64>,
    pub(crate) totals: Totals,
}

const MS: u64 = 1_000_000;

impl Reference {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            plan,
            now: 0,
            state: State::Closed,
            generation: 1,
            reason: Reason::Built,
            opened_by: Reason::Built,
            since: 0,
            window: VecDeque::new(),
            row: 0,
            moving: 0.0,
            level: 0,
            deadline: None,
            opened_with: (Figures::default(), 0),
            out: 0,
            settled: Figures::default(),
            term: None,
            nothing_since_term: false,
            hint: None,
            downs: 0,
            last_failure: None,
            totals: Totals::default(),
        }
    }

    fn now_ms(&self) -> u64 {
        self.now / MS
    }

    /// The wait until a deadline as it is told, in ns: whole ms, and exact within the last one.
    pub(crate) fn wait(&self, deadline: u64) -> u64 {
        let left = (deadline * MS).saturating_sub(self.now);
        if left < MS { left } else { left / MS * MS }
    }

    fn move_to(&mut self, state: State, reason: Reason, at: u64) {
        self.state = state;
        self.reason = reason;
        if matches!(state, State::Open | State::ForcedOpen) {
            self.opened_by = reason;
        }
        self.since = at;
        self.generation += 1;
        self.window.clear();
        self.row = 0;
        self.moving = 0.0;
        self.deadline = None;
        self.out = 0;
        self.settled = Figures::default();
        self.term = None;
        self.nothing_since_term = false;
        self.hint = None;
        if !matches!(state, State::Open | State::HalfOpen) {
            self.level = 0;
        }
        if !matches!(state, State::Open | State::ForcedOpen) {
            self.opened_with = (Figures::default(), 0);
        }
    }

    /// Opens as of `at` (ns), with what tripped it.
    fn open(&mut self, reason: Reason, level: u64, at: u64, with: (Figures, u64)) {
        let hint = self.hint;
        self.move_to(State::Open, reason, at / MS);
        self.level = level;
        self.opened_with = with;
        self.hint = hint;
        self.deadline = self.open_until(at);
        self.hint = None;
    }

    #[allow(clippy::cast_sign_loss, reason = "a product of positive numbers")]
    fn open_until(&self, at: u64) -> Option<u64> {
        if self.plan.until_probe || self.downs > 0 {
            return None;
        }
        let mut time = (self.plan.open_for * MS) as f64;
        if let Some((factor, max)) = self.plan.backoff {
            time = (time * factor.powi(i32::try_from(self.level.min(1_000)).unwrap())).min((max * MS) as f64);
        }
        Some((at + time as u64).div_ceil(MS).max(self.hint.unwrap_or(0)))
    }

    fn half_open(&mut self, reason: Reason) {
        self.move_to(State::HalfOpen, reason, self.now_ms());
    }

    /// What time alone makes of it; only calls and outcomes make it so.
    fn after_time(&self) -> State {
        match (self.state, self.plan.back) {
            (State::Open, _) if self.deadline.is_some_and(|deadline| self.now >= deadline * MS) => State::HalfOpen,
            (State::HalfOpen, Back::Ramp { over, .. }) if self.now_ms() - self.since >= over => State::Closed,
            (State::HalfOpen, _) if self.out > 0 && self.term.is_some_and(|term| self.now_ms() >= term) => State::Open,
            (state, _) => state,
        }
    }

    pub(crate) fn state_read(&self) -> State {
        self.after_time()
    }

    /// Ends a half-open state whose time is up.
    fn catch_up(&mut self) -> bool {
        let (from, to) = (self.state, self.after_time());
        if from != State::HalfOpen || to == from {
            return false;
        }
        if to == State::Closed {
            self.move_to(State::Closed, Reason::RampEnded, self.now_ms());
        } else {
            let term = self.term.expect("a trial is out");
            self.open(
                Reason::HalfOpenTimedOut,
                self.level + 1,
                term * MS,
                (self.half_open_figures(), 0),
            );
        }
        true
    }

    /// A call that asks; `drawn`: a ramp has already said yes.
    pub(crate) fn ask(&mut self, takes: bool, drawn: bool) -> Answer {
        loop {
            self.catch_up();
            match self.state {
                State::Open if self.after_time() == State::HalfOpen => {
                    if !takes {
                        return Answer::Admitted;
                    }
                    self.half_open(Reason::OpenTimeEnded);
                }
                State::Open => {
                    return Answer::Refused(RefusalReason::Open, self.deadline.map(|deadline| self.wait(deadline)));
                }
                State::ForcedOpen => return Answer::Refused(RefusalReason::ForcedOpen, None),
                State::HalfOpen => return self.ask_for_trial(takes, drawn),
                _ => return Answer::Admitted,
            }
        }
    }

    fn ask_for_trial(&mut self, takes: bool, drawn: bool) -> Answer {
        let taken = match self.plan.back {
            Back::Ramp { .. } if drawn => return Answer::Admitted,
            Back::Ramp { over, .. } => {
                let left = (self.since + over - self.now_ms()) * MS;
                if self.now_ms() == self.since {
                    return Answer::Refused(RefusalReason::Ramp, Some(left));
                }
                return Answer::Either(left);
            }
            Back::Trials(_) => self.out >= self.plan.concurrent,
            Back::Batch(n) => self.out + self.settled.calls >= n,
        };
        if taken {
            let term = self.term.expect("a trial is out");
            return Answer::Refused(RefusalReason::TrialsBusy, Some(self.wait(term)));
        }
        if takes {
            if self.out == 0 {
                let runs_on = self.nothing_since_term && self.term.is_some_and(|term| self.now_ms() < term);
                if !runs_on {
                    self.term = Some(self.now_ms() + self.plan.half_open);
                }
                self.nothing_since_term = true;
            }
            self.out += 1;
        }
        Answer::Admitted
    }

    /// The permit of a call that was admitted just now.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket {
            generation: self.generation,
            started: self.now,
            nothing_counts: self.state == State::Disabled,
        }
    }

    /// `ewma_tripped`: what the breaker did, for the one decision that hangs on rounding.
    pub(crate) fn settle(&mut self, ticket: Ticket, came: Came, hint: Option<u64>, ewma_tripped: bool) {
        if ticket.nothing_counts {
            return;
        }
        if ticket.generation != self.generation || self.catch_up() {
            self.totals.late += 1;
            return;
        }
        if came == Came::Neutral {
            self.totals.neutral += 1;
            if self.state == State::HalfOpen {
                self.out = self.out.saturating_sub(1);
            }
            return;
        }
        let slow = self.plan.slow_rate.is_some() && self.now - ticket.started >= self.plan.slow_after * MS;
        if came.failed() {
            self.totals.failures += 1;
            if let Some(hint) = hint {
                let until = (self.now + hint.min(self.plan.max_retry_after) * MS).div_ceil(MS);
                self.hint = self.hint.max(Some(until));
            }
            if self.plan.stamps || self.plan.timed() || hint.is_some() {
                self.last_failure = Some(self.now_ms());
            }
        } else {
            self.totals.successes += 1;
        }
        self.totals.slow += u64::from(slow);
        if self.state == State::HalfOpen {
            self.settle_half_open(came, slow);
        } else {
            self.record(came, slow, ewma_tripped);
        }
        if self.state == State::Open && came.failed() {
            self.last_failure = Some(self.now_ms());
        }
    }

    /// A permit that is dropped.
    pub(crate) fn cancel(&mut self, ticket: Ticket, ewma_tripped: bool) {
        let lasted = self.now - ticket.started >= self.plan.slow_after * MS;
        let came = match self.plan.on_cancel {
            OnCancel::Failure => Came::Failure,
            OnCancel::SlowFailure if lasted => Came::Failure,
            _ => Came::Neutral,
        };
        let late = self.totals.late;
        self.settle(ticket, came, None, ewma_tripped);
        if !ticket.nothing_counts && self.totals.late == late {
            self.totals.cancelled += 1;
        }
    }

    fn record(&mut self, came: Came, slow: bool, ewma_tripped: bool) {
        let failed = came.failed();
        self.push(Entry {
            slice: self.slice(),
            failed,
            slow,
        });
        match came {
            Came::Success => self.row = 0,
            Came::Failure if self.plan.consecutive.is_some() => self.row += 1,
            _ => {}
        }
        if let Some((_, failure_keep, success_keep, floor)) = self.plan.ewma {
            self.moving = if failed {
                self.moving * failure_keep + 1.0 - failure_keep
            } else if self.moving * success_keep < floor {
                0.0
            } else {
                self.moving * success_keep
            };
        }
        let in_grace =
            self.reason != Reason::Built && self.plan.grace.is_some_and(|grace| self.now_ms() - self.since < grace);
        if self.state != State::Closed || in_grace || !(failed || slow || self.plan.every_outcome) {
            return;
        }
        if let Some(reason) = self.rule(came, ewma_tripped) {
            self.open(reason, 0, self.now, (self.window_figures(), self.row));
        }
    }

    fn rule(&self, came: Came, ewma_tripped: bool) -> Option<Reason> {
        let row = self.plan.consecutive.is_some_and(|n| self.row >= n);
        if row && came == Came::Failure {
            return Some(Reason::ConsecutiveFailures);
        }
        let figures = self.window_figures();
        if let Some(reason) = self.rate_rule(figures, self.plan.min_calls) {
            return Some(reason);
        }
        let (above, ..) = self.plan.ewma.filter(|_| came.failed())?;
        let close = (self.moving - above).abs() < 1e-4;
        let trips = if close { ewma_tripped } else { self.moving > above };
        trips.then_some(Reason::Ewma)
    }

    fn rate_rule(&self, figures: Figures, min_calls: u64) -> Option<Reason> {
        let trips = |limit: Option<crate::policy::Limit>, part| {
            figures.calls >= min_calls && limit.is_some_and(|limit| limit.trips(part, figures.calls))
        };
        if trips(self.plan.failure_rate, figures.failures) {
            Some(Reason::FailureRate)
        } else if trips(self.plan.slow_rate, figures.slow) {
            Some(Reason::SlowCallRate)
        } else {
            None
        }
    }

    fn slice(&self) -> u64 {
        match self.plan.kept {
            Kept::Time(span, buckets) => self.now / (span * MS / buckets),
            _ => 0,
        }
    }

    fn push(&mut self, entry: Entry) {
        self.window.push_back(entry);
        match self.plan.kept {
            Kept::Nothing => self.window.clear(),
            Kept::Calls(n) if self.window.len() as u64 > n => drop(self.window.pop_front()),
            _ => {}
        }
    }

    fn window_figures(&self) -> Figures {
        let now = self.slice();
        let slices = match self.plan.kept {
            Kept::Time(_, buckets) => buckets,
            _ => u64::MAX,
        };
        let mut figures = Figures::default();
        for entry in self.window.iter().filter(|entry| now - entry.slice < slices) {
            figures.calls += 1;
            figures.failures += u64::from(entry.failed);
            // Where no rule looks at slow calls, no window keeps them.
            figures.slow += u64::from(entry.slow);
        }
        figures
    }

    fn settle_half_open(&mut self, came: Came, slow: bool) {
        self.nothing_since_term = false;
        self.out = self.out.saturating_sub(1);
        self.settled.calls += 1;
        self.settled.failures += u64::from(came.failed());
        self.settled.slow += u64::from(slow);
        let settled = self.settled;
        match self.plan.back {
            Back::Trials(_) if came.failed() => self.re_open(Reason::TrialFailed, settled),
            Back::Trials(_) if slow => self.re_open(Reason::TrialSlow, settled),
            Back::Trials(n) => {
                if settled.calls >= n {
                    self.move_to(State::Closed, Reason::TrialsSucceeded, self.now_ms());
                }
            }
            Back::Batch(n) => {
                if settled.calls == n {
                    if self.rate_rule(settled, n).is_some() {
                        self.re_open(Reason::BatchFailed, settled);
                    } else {
                        self.move_to(State::Closed, Reason::TrialsSucceeded, self.now_ms());
                    }
                }
            }
            Back::Ramp { limit, min_calls, .. } => {
                self.out = 0;
                // On a ramp a slow call is a failed call.
                self.settled.failures += u64::from(slow && !came.failed());
                self.settled.slow = 0;
                let settled = Figures {
                    slow: u64::from(slow),
                    ..self.settled
                };
                if settled.calls >= min_calls && settled.failures as f64 / settled.calls as f64 > limit {
                    self.re_open(Reason::RampFailed, settled);
                }
            }
        }
    }

    fn re_open(&mut self, reason: Reason, figures: Figures) {
        self.open(reason, self.level + 1, self.now, (figures, 0));
    }

    fn half_open_figures(&self) -> Figures {
        self.settled
    }

    /// What a snapshot shows of calls.
    pub(crate) fn figures(&self) -> Figures {
        match self.state {
            State::Closed | State::MetricsOnly => self.window_figures(),
            State::HalfOpen => self.half_open_figures(),
            State::Open | State::ForcedOpen => self.opened_with.0,
            _ => Figures::default(),
        }
    }

    pub(crate) fn row_seen(&self) -> u64 {
        match self.state {
            State::Closed | State::MetricsOnly => self.row,
            _ => self.opened_with.1,
        }
    }

    pub(crate) fn order(&mut self, to: State, reason: Reason) {
        let kept = (self.figures(), self.row_seen());
        self.move_to(to, reason, self.now_ms());
        if to == State::ForcedOpen {
            self.opened_with = kept;
        }
    }

    pub(crate) fn is_ordered(&self) -> bool {
        matches!(self.state, State::ForcedOpen | State::Disabled | State::MetricsOnly)
    }

    /// A probe has changed its mind to down.
    pub(crate) fn down(&mut self) {
        self.downs += 1;
        match self.state {
            State::Open => self.deadline = None,
            State::Closed | State::HalfOpen => {
                let (level, with) = (self.level, (self.figures(), self.row_seen()));
                self.open(Reason::ProbeDown, level, self.now, with);
            }
            _ => {}
        }
    }

    /// A probe has changed its mind to up.
    pub(crate) fn up(&mut self) {
        self.downs -= 1;
        self.still_up_for(true);
    }

    /// A probe says up; `always`: whatever the circuit is open for.
    pub(crate) fn still_up_for(&mut self, always: bool) {
        if self.downs == 0 && self.state == State::Open && (always || self.plan.until_probe) {
            self.half_open(Reason::ProbeUp);
        }
    }

    /// A probe that was down has gone.
    pub(crate) fn let_go(&mut self) {
        self.downs -= 1;
        if self.downs == 0 && self.state == State::Open {
            self.deadline = self.open_until(self.now);
        }
    }
}
