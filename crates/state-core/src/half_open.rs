//! What the outcome of a trial, or of a call on a ramp, changes.

use crate::circuit::Circuit;
use crate::figures::Figures;
use crate::outcome::Kind;
use crate::plan::millis;
use crate::policy::HalfOpen;
use crate::settle::{Landing, rate_rule};
use crate::state::{Reason, State};
use crate::sync::Ordering;
use crate::transit::{Move, Term};
use crate::word::{MAX_RAMP, Ramped, Trials, Word};

/// What ends a half-open state without an outcome.
pub(crate) enum TimeIsUp {
    RampEnded,
    NoVerdict { deadline: u64 },
}

/// Where a half-open circuit goes after an outcome.
enum Verdict {
    Stay(u64),
    Close(Reason),
    Open(Reason, Figures),
}

impl Trials {
    /// How many are out.
    pub(crate) fn out(self, mode: HalfOpen) -> u64 {
        match mode {
            HalfOpen::Batch(_) => self.issued.saturating_sub(self.settled),
            _ => self.issued,
        }
    }

    pub(crate) fn figures(self) -> Figures {
        Figures {
            calls: self.settled,
            failures: self.failed,
            slow: self.slow,
        }
    }
}

impl Circuit {
    /// Settles a call of a half-open generation. `false` when that has ended.
    #[cold]
    pub(crate) fn settle_trial(&self, token: Word, landing: Landing) -> bool {
        let mut word = self.slot.word.load();
        while word.same_period(token) {
            if self.overdue(word) {
                word = self.slot.word.load();
                continue;
            }
            let verdict = match self.policy().half_open {
                HalfOpen::Trials(successes) => trial(word.trials(), u64::from(successes), landing),
                HalfOpen::Batch(n) => self.batch(word.trials(), u64::from(n), landing),
                HalfOpen::Ramp {
                    failure_rate,
                    min_calls,
                    ..
                } => ramped(word.ramp(), failure_rate, u64::from(min_calls), landing),
            };
            let moved = match verdict {
                Verdict::Stay(payload) => self.slot.word.swap(word, word.with_payload(payload)).map(|()| {
                    // A place may have come free.
                    self.slot.line.waiters.wake_all();
                }),
                Verdict::Close(reason) => {
                    let to = Move {
                        payload: self.meta.plan.fresh,
                        ..Move::to(State::Closed, reason, self.now_ms())
                    };
                    self.transit(word, to).map(|_| ())
                }
                Verdict::Open(reason, figures) => match self.period(word) {
                    Some(period) => {
                        let now = landing.now.unwrap_or_else(|| self.meta.plan.now());
                        if landing.failed() {
                            self.stamp_failure(now);
                        }
                        let opening = self.opening(word, reason, period.level + 1, now);
                        self.transit(word, Move { figures, ..opening }).map(|_| ())
                    }
                    None => Err(self.slot.word.load()),
                },
            };
            match moved {
                Ok(()) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Makes the move that time alone demands of a half-open circuit: a ramp that has ended closes it, trials that were
    /// out for the whole half-open time re-open it as of that moment. Whether there was one to make.
    pub(crate) fn overdue(&self, word: Word) -> bool {
        let now = self.now_ms();
        match self.time_is_up(word, now) {
            None => false,
            Some(TimeIsUp::RampEnded) => {
                let to = Move {
                    payload: self.meta.plan.fresh,
                    ..Move::to(State::Closed, Reason::RampEnded, now)
                };
                let _ = self.transit(word, to);
                true
            }
            Some(TimeIsUp::NoVerdict { deadline }) => {
                if let Some(period) = self.period(word) {
                    let opening = self.opening(word, Reason::HalfOpenTimedOut, period.level + 1, deadline * 1_000_000);
                    let figures = word.trials().figures();
                    let _ = self.transit(word, Move { figures, ..opening });
                }
                true
            }
        }
    }

    /// What time alone demands of the half-open circuit that `word` describes.
    pub(crate) fn time_is_up(&self, word: Word, now: u64) -> Option<TimeIsUp> {
        let mode = self.policy().half_open;
        if let HalfOpen::Ramp { over, .. } = mode {
            let gone = now.saturating_sub(self.period(word)?.since);
            return (gone >= millis(over)).then_some(TimeIsUp::RampEnded);
        }
        let term = self.slot.term.load(Ordering::Acquire);
        let deadline = Term::of(term, word.generation())?.deadline;
        (now >= deadline && word.trials().out(mode) > 0).then_some(TimeIsUp::NoVerdict { deadline })
    }

    fn batch(&self, trials: Trials, n: u64, landing: Landing) -> Verdict {
        if landing.kind == Kind::Neutral {
            return Verdict::Stay(
                Trials {
                    issued: trials.issued.saturating_sub(1),
                    ..trials
                }
                .pack(),
            );
        }
        let after = Trials {
            settled: trials.settled + 1,
            failed: trials.failed + u64::from(landing.failed()),
            slow: trials.slow + u64::from(landing.slow),
            unanswered: false,
            ..trials
        };
        if after.settled < n {
            return Verdict::Stay(after.pack());
        }
        let figures = Figures {
            calls: after.settled,
            failures: after.failed,
            slow: after.slow,
        };
        match rate_rule(self, figures, n) {
            Some(_) => Verdict::Open(Reason::BatchFailed, figures),
            None => Verdict::Close(Reason::TrialsSucceeded),
        }
    }
}

/// Trials in a row: the first that fails, or is slow where slow matters, re-opens.
fn trial(trials: Trials, successes: u64, landing: Landing) -> Verdict {
    let back = Trials {
        issued: trials.issued.saturating_sub(1),
        ..trials
    };
    let figures = |failures, slow| Figures {
        calls: trials.settled + 1,
        failures,
        slow,
    };
    match landing.kind {
        Kind::Neutral => Verdict::Stay(back.pack()),
        Kind::Failure | Kind::Throttled => Verdict::Open(Reason::TrialFailed, figures(1, u64::from(landing.slow))),
        Kind::Success if landing.slow => Verdict::Open(Reason::TrialSlow, figures(0, 1)),
        Kind::Success if trials.settled + 1 >= successes => Verdict::Close(Reason::TrialsSucceeded),
        Kind::Success => Verdict::Stay(
            Trials {
                settled: trials.settled + 1,
                unanswered: false,
                ..back
            }
            .pack(),
        ),
    }
}

/// A call on a ramp counts for the rate; one that was slow, where slow matters, counts as failed.
fn ramped(ramp: Ramped, limit: f64, min_calls: u64, landing: Landing) -> Verdict {
    if landing.kind == Kind::Neutral {
        return Verdict::Stay(ramp.pack());
    }
    // Counters at their width are halved: the rate stays what it was.
    let Ramped { calls, failures } = if ramp.calls == MAX_RAMP {
        Ramped {
            calls: ramp.calls / 2,
            failures: ramp.failures / 2,
        }
    } else {
        ramp
    };
    let after = Ramped {
        calls: calls + 1,
        failures: failures + u64::from(landing.failed() || landing.slow),
    };
    let rate = after.failures as f64 / after.calls as f64;
    if after.calls >= min_calls && rate > limit {
        let figures = Figures {
            calls: after.calls,
            failures: after.failures,
            slow: u64::from(landing.slow),
        };
        return Verdict::Open(Reason::RampFailed, figures);
    }
    Verdict::Stay(after.pack())
}
