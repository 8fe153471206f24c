//! The contract, "States": each sentence a test.

mod support;

use state_core::{Outcome, Reason, RefusalReason, State};
use support::{bench, secs};

#[test]
fn closed_admits_and_records() {
    let b = bench(|c| c.failure_rate_above(0.5));
    b.oks(2);
    b.fails(1);
    assert_eq!(b.state(), State::Closed);
    assert_eq!(b.figures(), (3, 1, 0));
}

#[test]
fn closed_is_left_by_a_trip_rule() {
    let b = bench(|c| c.consecutive_failures(2));
    b.fails(2);
    assert_eq!(b.state(), State::Open);
    assert_eq!(b.circuit.snapshot().reason, Reason::ConsecutiveFailures);
}

#[test]
fn closed_is_left_by_a_probe_that_reports_down() {
    let b = bench(|c| c);
    b.circuit.on_probe(false);
    assert_eq!(b.state(), State::Open);
    assert_eq!(b.circuit.snapshot().reason, Reason::ProbeDown);
}

#[test]
fn closed_is_left_by_an_operator() {
    for (order, state) in OPERATORS {
        let b = bench(|c| c);
        order(&b.circuit);
        assert_eq!(b.state(), state);
    }
}

type Order = fn(&state_core::Circuit);
const OPERATORS: [(Order, State); 4] = [
    (state_core::Circuit::force_open, State::ForcedOpen),
    (state_core::Circuit::disable, State::Disabled),
    (state_core::Circuit::metrics_only, State::MetricsOnly),
    (state_core::Circuit::reset, State::Closed),
];

#[test]
fn open_refuses() {
    let b = bench(|c| c.consecutive_failures(1));
    b.fails(1);
    for _ in 0..100 {
        assert_eq!(b.refusal(), RefusalReason::Open);
        assert!(b.circuit.readiness().is_err());
    }
}

#[test]
fn while_open_only_late_outcomes_arrive_and_none_counts() {
    let b = bench(|c| c.consecutive_failures(1).trials(1));
    let late: Vec<_> = (0..4).map(|_| b.circuit.acquire().unwrap()).collect();
    b.fails(1);
    let before = b.circuit.snapshot();
    for (permit, outcome) in late.into_iter().zip([
        Outcome::success(),
        Outcome::failure(),
        Outcome::neutral(),
        Outcome::throttled(),
    ]) {
        permit.record(outcome.retry_after(secs(200)));
    }
    let mut after = b.circuit.snapshot();
    assert_eq!(after.totals.unwrap().late, 4);
    after.totals = before.totals;
    assert_eq!(after, before);
}

#[test]
fn open_is_left_when_the_open_time_ends() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(7)));
    b.fails(1);
    b.advance(secs(7));
    drop(b.circuit.acquire().unwrap());
    let seen = b.circuit.snapshot();
    assert_eq!((seen.state, seen.reason), (State::HalfOpen, Reason::OpenTimeEnded));
}

#[test]
fn open_is_left_when_a_probe_reports_up() {
    let b = bench(|c| c);
    b.circuit.on_probe(false);
    b.circuit.on_probe(true);
    let seen = b.circuit.snapshot();
    assert_eq!((seen.state, seen.reason), (State::HalfOpen, Reason::ProbeUp));
}

#[test]
fn open_is_left_by_an_operator() {
    for (order, state) in OPERATORS {
        let b = bench(|c| c.consecutive_failures(1));
        b.fails(1);
        order(&b.circuit);
        assert_eq!(b.state(), state);
    }
}

#[test]
fn half_open_is_left_by_an_operator() {
    for (order, state) in OPERATORS {
        let b = bench(|c| c.consecutive_failures(1).open_for(secs(1)));
        b.to_half_open(secs(1));
        let trial = b.circuit.acquire().unwrap();
        order(&b.circuit);
        assert_eq!(b.state(), state);
        trial.failure();
        assert_eq!(b.state(), state, "the trial is of an earlier generation");
    }
}

#[test]
fn forced_open_refuses_until_released_and_never_heals_by_itself() {
    let b = bench(|c| c.open_for(secs(1)));
    b.circuit.force_open();
    b.advance(secs(365 * 24 * 3600));
    b.circuit.on_probe(false);
    b.circuit.on_probe(true);
    assert_eq!(b.state(), State::ForcedOpen);
    let refused = b.circuit.acquire().unwrap_err();
    assert_eq!(
        (refused.reason(), refused.retry_after()),
        (RefusalReason::ForcedOpen, None)
    );
    assert!(b.circuit.release());
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn forced_open_counts_no_outcome() {
    let b = bench(|c| c);
    let permit = b.circuit.acquire().unwrap();
    b.circuit.force_open();
    permit.failure();
    assert_eq!(b.figures(), (0, 0, 0));
}

#[test]
fn disabled_admits_and_does_not_record() {
    let b = bench(|c| c.consecutive_failures(1));
    b.circuit.disable();
    b.fails(100);
    assert_eq!((b.state(), b.figures()), (State::Disabled, (0, 0, 0)));
    let totals = b.circuit.totals().unwrap();
    assert_eq!((totals.failures, totals.late), (0, 0));
}

#[test]
fn disabled_is_left_by_an_operator_only() {
    let b = bench(|c| c);
    b.circuit.disable();
    b.circuit.on_probe(false);
    b.circuit.on_probe(true);
    b.advance(secs(1_000_000));
    assert_eq!(b.state(), State::Disabled);
    b.circuit.release();
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn metrics_only_admits_and_records() {
    let b = bench(|c| c.failure_rate_above(0.5));
    b.circuit.metrics_only();
    b.fails(10);
    b.oks(5);
    assert_eq!((b.state(), b.figures()), (State::MetricsOnly, (15, 10, 0)));
}

#[cfg(feature = "std")]
#[test]
fn metrics_only_emits_one_would_trip_event_for_a_rule_that_would_trip() {
    use state_core::Event;
    let told = support::told::Told::default();
    let b = bench(|c| c.consecutive_failures(3).observer(told.observer()));
    b.circuit.metrics_only();
    b.fails(2);
    assert_eq!(told.events().len(), 1, "only the transition");
    b.fails(10);
    b.oks(1);
    b.fails(10);
    let events = told.events();
    assert_eq!(events.len(), 2, "{events:?}");
    let Event::WouldTrip(event) = events[1] else {
        panic!("{events:?}")
    };
    assert_eq!(event.rule, Reason::ConsecutiveFailures);
    assert_eq!(event.generation, b.circuit.snapshot().generation);
    b.circuit.metrics_only();
    b.fails(3);
    assert_eq!(told.events().len(), 4, "asked again, it starts anew");
}

#[test]
fn metrics_only_is_left_by_an_operator_only() {
    let b = bench(|c| c);
    b.circuit.metrics_only();
    b.circuit.on_probe(false);
    b.fails(100);
    assert_eq!(b.state(), State::MetricsOnly);
    b.circuit.release();
    assert_eq!((b.state(), b.figures()), (State::Closed, (0, 0, 0)));
}

#[test]
fn every_change_of_state_starts_a_new_generation() {
    let b = bench(|c| c.consecutive_failures(1).trials(1).open_for(secs(1)));
    let mut last = b.circuit.snapshot().generation;
    let mut next = |what: &str| {
        let now = b.circuit.snapshot().generation;
        assert_eq!(now, last + 1, "{what}");
        last = now;
    };
    b.fail();
    next("tripped");
    b.advance(secs(1));
    assert_eq!(b.circuit.snapshot().state, State::HalfOpen);
    let trial = b.circuit.acquire().unwrap();
    next("half-open");
    trial.success();
    next("closed");
    b.circuit.on_probe(false);
    next("probe down");
    b.circuit.on_probe(true);
    next("probe up");
    b.circuit.force_open();
    next("forced open");
    b.circuit.disable();
    next("disabled");
    b.circuit.metrics_only();
    next("metrics only");
    b.circuit.release();
    next("released");
    b.circuit.reset();
    next("reset while closed");
}

#[test]
fn an_outcome_from_an_earlier_generation_changes_nothing() {
    type Settle = fn(state_core::Permit);
    let settles: [Settle; 5] = [
        state_core::Permit::success,
        state_core::Permit::failure,
        |permit| permit.record(Outcome::failure().retry_after(secs(100))),
        |permit| permit.record(Outcome::neutral()),
        drop,
    ];
    for settle in settles {
        let b = bench(|c| {
            c.consecutive_failures(1)
                .failure_rate_above(0.2)
                .trials(2)
                .open_for(secs(1))
        });
        let early: Vec<_> = (0..4).map(|_| b.circuit.acquire().unwrap()).collect();
        b.fail();
        let mut early = early.into_iter();
        for stage in ["open", "half-open", "trial out", "closed"] {
            match stage {
                "half-open" => {
                    b.advance(secs(1));
                    drop(b.circuit.acquire().unwrap());
                }
                "trial out" => std::mem::forget(b.circuit.acquire().unwrap()),
                "closed" => b.circuit.reset(),
                _ => {}
            }
            let mut before = b.circuit.snapshot();
            settle(early.next().unwrap());
            let after = b.circuit.snapshot();
            before.totals = after.totals;
            assert_eq!(after, before, "{stage}");
        }
    }
}

#[test]
fn a_success_that_began_while_closed_never_closes_a_half_open_circuit() {
    let b = bench(|c| c.consecutive_failures(1).trials(1).open_for(secs(1)));
    let early: Vec<_> = (0..10).map(|_| b.circuit.acquire().unwrap()).collect();
    b.to_half_open(secs(1));
    let trial = b.circuit.acquire().unwrap();
    for permit in early {
        permit.success();
        assert_eq!(b.state(), State::HalfOpen);
    }
    assert_eq!(b.circuit.snapshot().trials_in_flight, 1);
    trial.success();
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn a_failure_that_began_while_closed_never_re_opens_a_half_open_circuit() {
    let b = bench(|c| c.consecutive_failures(1).trials(1).open_for(secs(1)));
    let early: Vec<_> = (0..10).map(|_| b.circuit.acquire().unwrap()).collect();
    b.to_half_open(secs(1));
    let trial = b.circuit.acquire().unwrap();
    for permit in early {
        permit.failure();
        assert_eq!(b.state(), State::HalfOpen);
    }
    trial.success();
    assert_eq!((b.state(), b.figures()), (State::Closed, (0, 0, 0)));
}

#[test]
fn a_trial_of_an_earlier_half_open_state_changes_nothing_in_a_later_one() {
    let b = bench(|c| {
        c.consecutive_failures(1)
            .trials(2)
            .concurrent_trials(2)
            .open_for(secs(1))
    });
    b.to_half_open(secs(1));
    let early = (b.circuit.acquire().unwrap(), b.circuit.acquire().unwrap());
    b.circuit.reset();
    b.to_half_open(secs(1));
    let trial = b.circuit.acquire().unwrap();
    early.0.failure();
    early.1.success();
    let seen = b.circuit.snapshot();
    assert_eq!((seen.state, seen.trials_in_flight, seen.calls), (State::HalfOpen, 1, 0));
    drop(trial);
}

#[cfg(feature = "std")]
#[test]
fn a_retired_circuit_admits_and_records_nothing_and_its_memory_serves_the_next() {
    let (first, second) = (ManualClocked::new("retired-1"), ManualClocked::new("retired-2"));
    let permit = first.0.acquire().unwrap();
    first.0.force_open();
    assert!(first.0.retire());
    assert!(!first.0.retire());
    assert_eq!(first.0.state(), State::Retired);
    first.0.acquire().unwrap().failure();
    permit.failure();
    first.0.reset();
    first.0.on_probe(false);
    assert_eq!(second.0.state(), State::Closed);
    assert!(first.0 != second.0);
    let third = ManualClocked::new("retired-3");
    first.0.acquire().unwrap().failure();
    first.0.acquire().unwrap().success();
    drop(first.0.acquire().unwrap());
    first.0.force_open();
    assert_eq!(third.0.state(), State::Closed);
    let late = third.0.acquire().unwrap();
    third.0.force_open();
    assert_eq!(first.0.refusing(), None);
    let _ = first.0.refuse(RefusalReason::Open);
    third.0.reset();
    late.record(Outcome::neutral());
    let mut totals = third.0.totals().unwrap();
    totals.late -= 1;
    assert_eq!(totals, state_core::Totals::default());
    let third = ManualClocked::new("retired-4");
    assert_eq!(third.0.totals().unwrap(), state_core::Totals::default());
}

#[cfg(feature = "std")]
#[test]
fn a_copy_of_a_retired_handle_tells_the_next_circuits_window_nothing() {
    use state_core::Window;

    for window in [Window::calls(3_999), Window::lifetime(), Window::time(secs(77))] {
        // A layout that no other test has.
        let build = || {
            let policy = state_core::Circuit::builder("retired").failure_rate_at_least(1.0);
            let policy = policy.window(window).totals(window == Window::calls(3_999));
            policy.clock(state_core::ManualClock::new()).build().unwrap()
        };
        let first = build();
        assert!(first.retire());
        let next: Vec<_> = (0..8).map(|_| build()).collect();
        first.acquire().unwrap().success();
        first.acquire().unwrap().failure();
        for next in next {
            let seen = next.snapshot();
            assert_eq!((seen.calls, seen.failures), (0, 0), "{window:?}");
            assert_eq!(seen.totals.unwrap_or_default(), state_core::Totals::default());
            next.retire();
        }
    }
}

#[cfg(feature = "std")]
struct ManualClocked(state_core::Circuit);

#[cfg(feature = "std")]
impl ManualClocked {
    fn new(name: &str) -> Self {
        let circuit = state_core::Circuit::builder(name)
            .consecutive_failures(1)
            .clock(state_core::ManualClock::new())
            .build();
        Self(circuit.unwrap())
    }
}
