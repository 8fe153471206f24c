//! The contract, "What is seen": each sentence a test.

mod support;

use state_core::{Outcome, Reason, State, Window};
use support::{bench, ms, secs};

#[test]
fn a_snapshot_has_name_state_since_when_and_the_reason_of_the_last_opening() {
    let b = bench(|c| c.consecutive_failures(2));
    b.advance(secs(3));
    let seen = b.circuit.snapshot();
    assert_eq!((seen.name, seen.state, seen.since), ("test", State::Closed, secs(3)));
    assert_eq!(seen.reason, Reason::Built);
    b.fails(2);
    b.advance(secs(4));
    let seen = b.circuit.snapshot();
    assert_eq!(
        (seen.state, seen.since, seen.reason),
        (State::Open, secs(4), Reason::ConsecutiveFailures)
    );
}

#[test]
fn a_snapshot_has_the_time_to_the_next_try() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(10)));
    assert_eq!(b.circuit.snapshot().next_try, None);
    b.fails(1);
    b.advance(secs(3));
    assert_eq!(b.circuit.snapshot().next_try, Some(secs(7)));
}

#[test]
fn a_snapshot_has_calls_successes_failures_slow_and_both_rates() {
    let b = bench(|c| c.failure_rate_above(0.9).slow_call_rate_above(0.9, ms(10)));
    b.oks(2);
    b.fails(1);
    b.lasting(ms(10), Outcome::success());
    let seen = b.circuit.snapshot();
    assert_eq!((seen.calls, seen.successes, seen.failures, seen.slow), (4, 3, 1, 1));
    assert_eq!((seen.failure_rate, seen.slow_call_rate), (Some(0.25), Some(0.25)));
}

#[test]
fn there_is_no_rate_below_one_call() {
    let b = bench(|c| c);
    let seen = b.circuit.snapshot();
    assert_eq!((seen.failure_rate, seen.slow_call_rate), (None, None));
    b.call(Outcome::neutral());
    assert_eq!(b.circuit.snapshot().failure_rate, None);
}

#[test]
fn a_snapshot_never_lies_about_a_cleared_window() {
    let b = bench(|c| c.failure_rate_above(0.9).window(Window::calls(10)));
    b.oks(3);
    b.fails(6);
    b.circuit.reset();
    let seen = b.circuit.snapshot();
    assert_eq!(
        (seen.calls, seen.successes, seen.failures, seen.failure_rate),
        (0, 0, 0, None)
    );
    b.oks(1);
    assert_eq!(b.circuit.snapshot().failure_rate, Some(0.0));
}

#[test]
fn a_snapshot_has_consecutive_failures_also_of_the_opening() {
    let b = bench(|c| c.consecutive_failures(3));
    b.fails(2);
    assert_eq!(b.circuit.snapshot().consecutive_failures, Some(2));
    b.fails(1);
    assert_eq!(b.circuit.snapshot().consecutive_failures, Some(3));
}

#[test]
fn a_snapshot_has_trials_in_flight_and_generation() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(1)).concurrent_trials(4));
    let generation = b.circuit.snapshot().generation;
    b.to_half_open(secs(1));
    let out = [b.circuit.acquire().unwrap(), b.circuit.acquire().unwrap()];
    let seen = b.circuit.snapshot();
    assert_eq!((seen.trials_in_flight, seen.generation), (2, generation + 2));
    drop(out);
}

#[test]
fn a_snapshot_has_the_last_failure_time() {
    let b = bench(|c| c.consecutive_failures(9).stamp_failures(true));
    assert_eq!(b.circuit.snapshot().last_failure, None);
    b.fails(1);
    b.advance(secs(5));
    b.oks(1);
    assert_eq!(b.circuit.snapshot().last_failure, Some(secs(5)));
    let b = bench(|c| c.consecutive_failures(2));
    b.fails(2);
    b.advance(secs(2));
    assert_eq!(
        b.circuit.snapshot().last_failure,
        Some(secs(2)),
        "the failure that opened it"
    );
}

#[test]
fn totals_are_kept_by_default_through_every_state() {
    let b = bench(|c| c.consecutive_failures(2).open_for(secs(1)));
    let late = b.circuit.acquire().unwrap();
    b.oks(10);
    b.call(Outcome::neutral());
    drop(b.circuit.acquire().unwrap());
    b.fails(2);
    for _ in 0..5 {
        assert!(!b.ok());
    }
    late.success();
    b.advance(secs(1));
    b.oks(3);
    b.circuit.reset();
    let totals = b.circuit.snapshot().totals.unwrap();
    assert_eq!(
        (totals.successes, totals.failures, totals.neutral, totals.cancelled),
        (13, 2, 2, 1)
    );
    assert_eq!((totals.refused, totals.late, totals.slow), (5, 1, 0));
}

#[test]
fn totals_can_be_switched_off() {
    let b = bench(|c| c.totals(false));
    b.oks(1);
    b.fails(1);
    assert_eq!((b.circuit.totals(), b.circuit.snapshot().totals), (None, None));
    assert_eq!(b.figures(), (2, 1, 0));
}

#[test]
fn a_refusal_carries_the_mark_that_every_refusal_carries() {
    use state_core::{Refusal, Refused};
    let b = bench(|c| c.consecutive_failures(1));
    b.fails(1);
    let refused = b.circuit.acquire().unwrap_err();
    let error: Box<dyn std::error::Error + Send + Sync> = Box::new(refused);
    assert_eq!(Refusal::find(&*error).unwrap().retry_after(), Some(secs(30)));
    assert_eq!(Refused::find(&*error).unwrap().opened_by(), Reason::ConsecutiveFailures);
}

#[test]
fn a_refusal_says_which_circuit_why_and_when_to_try_again() {
    let said = |b: &support::Bench| b.circuit.acquire().unwrap_err().to_string();
    let b = bench(|c| c.failure_rate_above(0.5).open_for(secs(364)));
    b.oks(2);
    b.fails(3);
    assert_eq!(
        said(&b),
        "circuit \"test\" is open: failure rate 0.60 above 0.50 over 5 calls; next try in 6 min 4 s"
    );
    b.circuit.force_open();
    assert_eq!(
        said(&b),
        "circuit \"test\" is forced open by an operator, until it is released"
    );
    let b = bench(|c| c);
    b.circuit.on_probe(false);
    assert_eq!(
        said(&b),
        "circuit \"test\" is open: its health probe reports down; next try when its health probe reports up"
    );
    let b = bench(|c| c.consecutive_failures(1).open_for(ms(1_500)));
    b.to_half_open(ms(1_500));
    let out = b.circuit.acquire().unwrap();
    b.advance(ms(900));
    assert_eq!(
        said(&b),
        "circuit \"test\" is half-open: all trials are taken; next try in 600 ms"
    );
    drop(out);
}

#[cfg(feature = "std")]
mod observers {
    use state_core::{Reason, State};

    use super::{bench, secs};
    use crate::support::told::Told;

    use State::{Closed, ForcedOpen, HalfOpen, Open};

    #[test]
    fn observers_are_called_for_every_transition_in_order_with_name_from_to_reason_generation_and_time() {
        let told = Told::default();
        let b = bench(|c| {
            c.consecutive_failures(1)
                .trials(1)
                .open_for(secs(1))
                .observer(told.observer())
        });
        let built = b.circuit.snapshot().generation;
        b.advance(secs(5));
        b.fails(1);
        b.advance(secs(1));
        b.fails(1);
        b.advance(secs(1));
        b.oks(1);
        b.circuit.force_open();
        b.circuit.release();
        let seen: Vec<_> = told
            .transitions()
            .into_iter()
            .map(|t| {
                assert_eq!(t.circuit.name(), "test");
                (t.from, t.to, t.reason, t.generation - built, t.at)
            })
            .collect();
        assert_eq!(
            seen,
            [
                (Closed, Open, Reason::ConsecutiveFailures, 1, secs(5)),
                (Open, HalfOpen, Reason::OpenTimeEnded, 2, secs(6)),
                (HalfOpen, Open, Reason::TrialFailed, 3, secs(6)),
                (Open, HalfOpen, Reason::OpenTimeEnded, 4, secs(7)),
                (HalfOpen, Closed, Reason::TrialsSucceeded, 5, secs(7)),
                (Closed, ForcedOpen, Reason::ForcedOpen, 6, secs(7)),
                (ForcedOpen, Closed, Reason::Released, 7, secs(7)),
            ]
        );
    }

    #[test]
    fn an_observer_that_joins_later_hears_of_what_comes_later() {
        let b = bench(|c| c);
        b.circuit.force_open();
        let told = Told::default();
        b.circuit.observe(told.observer());
        b.circuit.release();
        let seen = told.transitions();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].to, State::Closed);
    }

    #[test]
    fn transitions_of_many_threads_are_told_in_order_and_none_is_missing() {
        let told = Told::default();
        let b = bench(|c| c.observer(told.observer()));
        let built = b.circuit.snapshot().generation;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let circuit = b.circuit;
                scope.spawn(move || {
                    for _ in 0..500 {
                        circuit.reset();
                    }
                });
            }
        });
        let generations: Vec<_> = told.transitions().iter().map(|t| t.generation).collect();
        assert_eq!(generations, (built + 1..=built + 2_000).collect::<Vec<_>>());
    }
}
