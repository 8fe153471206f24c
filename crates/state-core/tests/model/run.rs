//! Both sides side by side.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use state_core::{Circuit, ManualClock, Outcome, Permit, ProbeLink, Reason, State};

use crate::dice::Dice;
use crate::policy::{Back, Plan};
use crate::reference::{Answer, Came, Reference, Ticket, Totals};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Acquire,
    AcquireWhenReady,
    Readiness,
    /// Which of the permits that are out, what it came to, a retry hint in ms.
    Settle(u64, Came, Option<u64>),
    Drop(u64),
    /// In ns.
    Advance(u64),
    Reset,
    ForceOpen,
    Disable,
    MetricsOnly,
    Release,
    Probe(bool),
    Link(bool),
    DropLink,
}

pub(crate) fn random_operations(dice: &mut Dice, n: usize) -> Vec<Operation> {
    // Moods: how often calls fail now.
    let mut failing = 3;
    (0..n)
        .map(|_| {
            if dice.once_in(25) {
                failing = dice.one_of(&[0, 1, 3, 7, 10]);
            }
            match dice.below(100) {
                0..36 => Operation::Acquire,
                36..38 => Operation::AcquireWhenReady,
                38..40 => Operation::Readiness,
                40..72 => {
                    let came = match dice.below(10) {
                        roll if roll < failing => {
                            dice.one_of(&[Came::Failure, Came::Failure, Came::Failure, Came::Throttled])
                        }
                        9 => Came::Neutral,
                        _ => Came::Success,
                    };
                    let hint = dice.once_in(12).then(|| dice.one_of(&[0, 30, 700, 4_000]));
                    Operation::Settle(dice.roll(), came, hint)
                }
                72..76 => Operation::Drop(dice.roll()),
                76..93 => Operation::Advance(match dice.below(8) {
                    0 => dice.below(3_000_000),
                    1 => 1_000_000 * dice.one_of(&[1, 5, 10, 20, 100, 500, 1_000]),
                    2..5 => 1_000_000 * dice.between(1, 30),
                    5 | 6 => 1_000_000 * dice.between(1, 700),
                    _ => 1_000_000 * dice.between(1, 10_000),
                }),
                93..95 => Operation::Reset,
                95 => dice.one_of(&[Operation::ForceOpen, Operation::Disable, Operation::MetricsOnly]),
                96..98 => Operation::Release,
                98 => Operation::Probe(dice.once_in(2)),
                _ => dice.one_of(&[
                    Operation::Link(true),
                    Operation::Link(true),
                    Operation::Link(false),
                    Operation::DropLink,
                ]),
            }
        })
        .collect()
}

struct Pair {
    circuit: Circuit,
    clock: ManualClock,
    reference: Reference,
    out: Vec<(Permit, Ticket)>,
    probe_down: bool,
    link: ProbeLink,
    link_down: bool,
}

/// Says where the two differ, if they do.
/// Notes the reasons of all transitions.
pub(crate) fn first_difference(
    plan: &Plan,
    operations: &[Operation],
    reasons: &mut BTreeSet<&'static str>,
) -> Result<(), String> {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    let name = format!("model-{}", NAMES.fetch_add(1, Ordering::Relaxed));
    let clock = ManualClock::new();
    let circuit = plan.build(&name, &clock);
    let mut pair = Pair {
        circuit,
        clock,
        reference: Reference::new(plan.clone()),
        out: Vec::new(),
        probe_down: false,
        link: circuit.probe_link(),
        link_down: false,
    };
    // The slots of circuits that have gone are used again, and their generations go on.
    let first = circuit.snapshot().generation;
    let mut result = Ok(());
    for (at, operation) in operations.iter().enumerate() {
        result = pair
            .step(*operation)
            .and_then(|()| pair.compare(first))
            .map_err(|what| format!("at {at}, {operation:?}: {what}"));
        reasons.insert(pair.reference.reason.as_str());
        if result.is_err() {
            break;
        }
    }
    circuit.retire();
    result
}

#[allow(clippy::needless_pass_by_value, reason = "values made at the call site")]
fn same<T: PartialEq + Debug>(what: &str, breaker: T, reference: T) -> Result<(), String> {
    if breaker == reference {
        Ok(())
    } else {
        Err(format!(
            "{what}: the breaker says {breaker:?}, the reference {reference:?}"
        ))
    }
}

impl Pair {
    fn step(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Acquire => self.acquire(false)?,
            Operation::AcquireWhenReady => self.acquire(true)?,
            Operation::Readiness => {
                let breaker = self.circuit.readiness();
                match self.reference.ask(false, false) {
                    Answer::Admitted => same("ready", breaker.is_ok(), true)?,
                    Answer::Refused(reason, wait) => self.refused(breaker.err(), reason, wait)?,
                    Answer::Either(_) => {}
                }
            }
            Operation::Settle(which, came, hint) => {
                let Some((permit, ticket)) = self.take(which) else {
                    return Ok(());
                };
                let outcome = match came {
                    Came::Success => Outcome::success(),
                    Came::Failure => Outcome::failure(),
                    Came::Throttled => Outcome::throttled(),
                    Came::Neutral => Outcome::neutral(),
                };
                match (came, hint) {
                    (Came::Success, None) => permit.success(),
                    (_, None) => permit.record(outcome),
                    (_, Some(hint)) => permit.record(outcome.retry_after(Duration::from_millis(hint))),
                }
                let tripped = self.ewma_tripped();
                self.reference.settle(ticket, came, hint, tripped);
            }
            Operation::Drop(which) => {
                let Some((permit, ticket)) = self.take(which) else {
                    return Ok(());
                };
                drop(permit);
                let tripped = self.ewma_tripped();
                self.reference.cancel(ticket, tripped);
            }
            Operation::Advance(by) => {
                self.clock.advance(Duration::from_nanos(by));
                self.reference.now += by;
            }
            Operation::Reset => {
                self.circuit.reset();
                self.reference.order(State::Closed, Reason::Reset);
            }
            Operation::ForceOpen => {
                self.circuit.force_open();
                if self.reference.state != State::ForcedOpen {
                    self.reference.order(State::ForcedOpen, Reason::ForcedOpen);
                }
            }
            Operation::Disable => {
                self.circuit.disable();
                if self.reference.state != State::Disabled {
                    self.reference.order(State::Disabled, Reason::Disabled);
                }
            }
            Operation::MetricsOnly => {
                self.circuit.metrics_only();
                self.reference.order(State::MetricsOnly, Reason::MetricsOnly);
            }
            Operation::Release => {
                let ordered = self.reference.is_ordered();
                same("released", self.circuit.release(), ordered)?;
                if ordered {
                    self.reference.order(State::Closed, Reason::Released);
                }
            }
            Operation::Probe(up) => {
                self.circuit.on_probe(up);
                let was_down = std::mem::replace(&mut self.probe_down, !up);
                self.said(was_down, up);
            }
            Operation::Link(up) => {
                self.link.report(up);
                let was_down = std::mem::replace(&mut self.link_down, !up);
                self.said(was_down, up);
            }
            Operation::DropLink => {
                self.link = self.circuit.probe_link();
                if std::mem::take(&mut self.link_down) {
                    self.reference.let_go();
                }
            }
        }
        Ok(())
    }

    fn said(&mut self, was_down: bool, up: bool) {
        match (was_down, up) {
            (false, false) => self.reference.down(),
            (true, true) => self.reference.up(),
            (false, true) => self.reference.still_up_for(false),
            (true, false) => {}
        }
    }

    fn take(&mut self, which: u64) -> Option<(Permit, Ticket)> {
        (!self.out.is_empty()).then(|| self.out.remove((which % self.out.len() as u64) as usize))
    }

    fn ewma_tripped(&self) -> bool {
        let seen = self.circuit.snapshot();
        seen.state == State::Open && seen.reason == Reason::Ewma
    }

    fn acquire(&mut self, drawn: bool) -> Result<(), String> {
        let breaker = if drawn {
            self.circuit.acquire_when_ready()
        } else {
            self.circuit.acquire()
        };
        let answer = self.reference.ask(true, drawn);
        match (breaker, answer) {
            (Ok(permit), Answer::Admitted | Answer::Either(_)) => {
                let ticket = self.reference.ticket();
                self.out.push((permit, ticket));
                Ok(())
            }
            (Ok(_), Answer::Refused(reason, _)) => Err(format!("admitted; the reference refuses: {reason:?}")),
            (Err(refused), Answer::Admitted) => Err(format!("refused {refused:?}; the reference admits")),
            (Err(refused), Answer::Refused(reason, wait)) => {
                self.reference.totals.refused += 1;
                self.refused(Some(refused), reason, wait)
            }
            (Err(refused), Answer::Either(left)) => {
                self.reference.totals.refused += 1;
                self.refused(Some(refused), state_core::RefusalReason::Ramp, Some(left))
            }
        }
    }

    fn refused(
        &self,
        refused: Option<state_core::Refused>,
        reason: state_core::RefusalReason,
        wait: Option<u64>,
    ) -> Result<(), String> {
        let Some(refused) = refused else {
            return Err(format!("not refused; the reference refuses: {reason:?}"));
        };
        same("refusal", refused.reason(), reason)?;
        same("opened by", refused.opened_by(), self.reference.opened_by)?;
        same("retry after", refused.retry_after(), wait.map(Duration::from_nanos))
    }

    fn compare(&mut self, first: u64) -> Result<(), String> {
        let reference = &mut self.reference;
        let seen = self.circuit.snapshot();
        let ago = |ms: u64| Duration::from_nanos(reference.now - ms * 1_000_000);
        let state = reference.state_read();
        same("state", self.circuit.state(), state)?;
        same("snapshot's state", seen.state, state)?;
        same("generation", seen.generation, first + reference.generation - 1)?;
        same("reason", seen.reason, reference.reason)?;
        same("since", seen.since, ago(reference.since.min(reference.now / 1_000_000)))?;
        let figures = reference.figures();
        same(
            "calls, failures, slow",
            (seen.calls, seen.failures, seen.slow),
            (figures.calls, figures.failures, figures.slow),
        )?;
        same("successes", seen.successes, figures.calls - figures.failures)?;
        let rate = |part: u64| (figures.calls > 0).then(|| part as f64 / figures.calls as f64);
        same(
            "rates",
            (seen.failure_rate, seen.slow_call_rate),
            (rate(figures.failures), rate(figures.slow)),
        )?;
        let row = reference.plan.consecutive.map(|_| reference.row_seen());
        same("in a row", seen.consecutive_failures, row)?;
        let wait = reference
            .deadline
            .map(|deadline| Duration::from_nanos(reference.wait(deadline)));
        same("next try", seen.next_try, wait)?;
        let out = match reference.plan.back {
            Back::Ramp { .. } => 0,
            _ => reference.out,
        };
        same("trials in flight", seen.trials_in_flight, out)?;
        same("re-openings", seen.reopenings, reference.level)?;
        same("last failure", seen.last_failure, reference.last_failure.map(ago))?;
        let totals = seen.totals.map(|totals| Totals {
            successes: totals.successes,
            failures: totals.failures,
            slow: totals.slow,
            neutral: totals.neutral,
            cancelled: totals.cancelled,
            refused: totals.refused,
            late: totals.late,
        });
        same("totals", totals, reference.plan.totals.then_some(reference.totals))?;
        match (seen.moving_failure_rate, reference.plan.ewma) {
            (Some(rate), Some((.., floor))) => {
                let near = (rate - reference.moving).abs() < 1e-4;
                let at_the_floor = rate.max(reference.moving) - floor < 1e-4;
                if !near && !at_the_floor {
                    return Err(format!("moving rate: {rate}, the reference {}", reference.moving));
                }
                // Rounding must not add up.
                reference.moving = rate;
            }
            (None, _) => {}
            (Some(rate), None) => return Err(format!("a moving rate of {rate} without the rule")),
        }
        Ok(())
    }
}
