//! The contract, "Half-open": each sentence a test.

mod support;

use state_core::{CircuitBuilder, OnCancel, Outcome, Permit, Reason, RefusalReason, State, Window};
use support::{Bench, almost, bench, ms, secs};

const OPEN: std::time::Duration = secs(30);

/// A circuit that has just become half-open.
fn half_open(policy: impl FnOnce(CircuitBuilder) -> CircuitBuilder) -> Bench {
    let b = bench(|c| policy(c.consecutive_failures(1)));
    b.fails(1);
    let wait = b.retry_after().unwrap();
    b.advance(wait);
    assert_eq!(b.state(), State::HalfOpen);
    b
}

fn trial(b: &Bench) -> Permit {
    b.circuit.acquire().expect("a trial is free")
}

fn reason(b: &Bench) -> Reason {
    b.circuit.snapshot().reason
}

#[test]
fn three_trials_in_a_row_close_it_by_default() {
    let b = half_open(|c| c);
    b.oks(2);
    assert_eq!(b.state(), State::HalfOpen);
    b.oks(1);
    assert_eq!((b.state(), reason(&b)), (State::Closed, Reason::TrialsSucceeded));
}

#[test]
fn so_many_trials_in_a_row_close_it() {
    for n in [1, 2, 10, 511] {
        let b = half_open(|c| c.trials(n));
        b.oks(n as usize - 1);
        assert_eq!(b.state(), State::HalfOpen);
        b.oks(1);
        assert_eq!(b.state(), State::Closed);
    }
}

#[test]
fn the_first_failed_trial_re_opens() {
    for good in 0..3 {
        let b = half_open(|c| c);
        b.oks(good);
        b.fails(1);
        assert_eq!((b.state(), reason(&b)), (State::Open, Reason::TrialFailed));
        assert_eq!(b.retry_after(), Some(OPEN));
    }
}

#[test]
fn successes_of_an_earlier_half_open_state_do_not_count() {
    let b = half_open(|c| c);
    b.oks(2);
    b.fails(1);
    b.advance(OPEN);
    b.oks(2);
    assert_eq!(b.state(), State::HalfOpen);
    b.oks(1);
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn one_trial_is_in_flight_at_once_by_default() {
    let b = half_open(|c| c);
    let out = trial(&b);
    assert_eq!(b.circuit.snapshot().trials_in_flight, 1);
    assert!(b.circuit.acquire().is_err());
    out.success();
    assert_eq!(b.circuit.snapshot().trials_in_flight, 0);
    trial(&b).success();
}

#[test]
fn concurrent_trials_are_in_flight_at_once() {
    for n in [2, 5, 511] {
        let b = half_open(|c| c.trials(3).concurrent_trials(n));
        let out: Vec<_> = (0..n).map(|_| trial(&b)).collect();
        assert_eq!(b.refusal(), RefusalReason::TrialsBusy);
        assert_eq!(b.circuit.snapshot().trials_in_flight, u64::from(n));
        drop(out);
        assert_eq!(b.circuit.snapshot().trials_in_flight, 0);
    }
}

#[test]
fn a_call_that_is_refused_because_trials_are_taken_is_refused_with_the_reason_trials_busy() {
    let b = half_open(|c| c);
    let out = trial(&b);
    b.advance(secs(10));
    let refused = b.circuit.acquire().unwrap_err();
    assert_eq!(refused.reason(), RefusalReason::TrialsBusy);
    assert_eq!(refused.retry_after(), Some(secs(20)), "until the trial must have ended");
    drop(out);
}

#[test]
fn with_concurrent_trials_the_first_failure_re_opens_and_the_others_are_late() {
    let b = half_open(|c| c.trials(2).concurrent_trials(3));
    let (first, second, third) = (trial(&b), trial(&b), trial(&b));
    first.success();
    second.failure();
    assert_eq!(b.state(), State::Open);
    third.success();
    assert_eq!(b.state(), State::Open);
}

#[test]
fn three_good_trials_spaced_wider_than_a_time_window_close_it() {
    let b = bench(|c| {
        c.failure_rate_above(0.5)
            .window(Window::time(secs(10)))
            .open_for(secs(5))
    });
    b.fails(5);
    b.advance(secs(5));
    for _ in 0..3 {
        assert!(b.ok());
        b.advance(secs(25));
    }
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn a_batch_admits_exactly_n_trials() {
    for n in [1, 4, 511] {
        let b = half_open(|c| c.failure_rate_above(0.5).trial_batch(n));
        let out: Vec<_> = (0..n).map(|_| trial(&b)).collect();
        assert_eq!(b.refusal(), RefusalReason::TrialsBusy);
        let mut out = out.into_iter();
        for permit in out.by_ref().take(n as usize - 1) {
            permit.success();
            assert_eq!(b.refusal(), RefusalReason::TrialsBusy, "no more than n");
        }
        out.next().unwrap().success();
        assert_eq!(b.state(), State::Closed);
    }
}

#[test]
fn a_trial_of_a_batch_that_is_cancelled_or_neutral_gives_its_place_back() {
    let b = half_open(|c| c.failure_rate_above(0.5).trial_batch(2));
    for _ in 0..5 {
        drop(trial(&b));
        trial(&b).record(Outcome::neutral());
        let seen = b.circuit.snapshot();
        assert_eq!((seen.state, seen.trials_in_flight, seen.calls), (State::HalfOpen, 0, 0));
    }
    b.oks(2);
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn when_n_have_settled_the_rate_rules_are_applied_to_those_n() {
    let judge = |failures: usize, slow: usize| {
        let b = half_open(|c| {
            c.failure_rate_above(0.5)
                .slow_call_rate_at_least(0.75, ms(10))
                // As if min_calls were n, whatever it is.
                .window(Window::calls(100))
                .min_calls(50)
                .trial_batch(4)
        });
        for at in 0..4 {
            assert_eq!(b.state(), State::HalfOpen);
            let permit = trial(&b);
            if at < slow {
                b.advance(ms(10));
            }
            permit.record(if at < failures {
                Outcome::failure()
            } else {
                Outcome::success()
            });
        }
        let seen = b.circuit.snapshot();
        (seen.state, seen.reason)
    };
    assert_eq!(judge(0, 0), (State::Closed, Reason::TrialsSucceeded));
    assert_eq!(judge(2, 2), (State::Closed, Reason::TrialsSucceeded));
    assert_eq!(judge(3, 0), (State::Open, Reason::BatchFailed));
    assert_eq!(judge(0, 3), (State::Open, Reason::BatchFailed));
}

#[test]
fn on_a_ramp_a_call_is_admitted_with_probability_two_to_the_t_over_over_minus_one() {
    let b = half_open(|c| c.ramp(secs(100), 0.5, 1_000).seed(1));
    assert!(!b.ok(), "at t = 0 none");
    let start = b.clock.elapsed();
    for t in [10_u32, 30, 50, 70, 90, 99] {
        b.advance((start + secs(u64::from(t))).saturating_sub(b.clock.elapsed()));
        let admitted = (0..20_000).filter(|_| b.ok()).count() as f64 / 20_000.0;
        let expected = (f64::from(t) / 100.0).exp2() - 1.0;
        assert!((admitted - expected).abs() < 0.02, "{admitted} at {t}, not {expected}");
    }
}

#[test]
fn a_call_that_the_ramp_did_not_let_through_is_told_when_all_are_again() {
    let b = half_open(|c| c.ramp(secs(100), 0.5, 1_000));
    assert!(b.circuit.acquire().is_err());
    let refused = b.circuit.acquire().unwrap_err();
    assert_eq!(
        (refused.reason(), refused.retry_after()),
        (RefusalReason::Ramp, Some(secs(100)))
    );
}

#[test]
fn on_a_ramp_a_rate_above_the_limit_re_opens() {
    let b = half_open(|c| c.ramp(secs(100), 0.5, 4).seed(3));
    assert!(!b.ok());
    b.advance(secs(99));
    let admitted = |outcome| while !b.call(outcome) {};
    admitted(Outcome::success());
    admitted(Outcome::success());
    admitted(Outcome::failure());
    admitted(Outcome::failure());
    assert_eq!(b.state(), State::HalfOpen, "2 of 4 is not above one half");
    admitted(Outcome::failure());
    assert_eq!((b.state(), reason(&b)), (State::Open, Reason::RampFailed));
}

#[test]
fn on_a_ramp_no_rate_re_opens_below_min_calls() {
    let b = half_open(|c| c.ramp(secs(100), 0.0, 4).seed(3));
    assert!(!b.ok());
    b.advance(secs(99));
    for _ in 0..3 {
        while !b.fail() {}
        assert_eq!(b.state(), State::HalfOpen);
    }
    while !b.fail() {}
    assert_eq!(b.state(), State::Open);
}

#[test]
fn at_t_equal_over_the_ramp_closes() {
    let b = half_open(|c| c.ramp(secs(100), 0.5, 4));
    assert!(!b.ok());
    b.advance(almost(secs(100)));
    assert_eq!(b.state(), State::HalfOpen);
    b.advance(ms(1));
    assert_eq!(b.state(), State::Closed, "reading says so");
    assert!(b.ok());
    assert_eq!(
        (b.circuit.snapshot().state, reason(&b)),
        (State::Closed, Reason::RampEnded)
    );
}

#[test]
fn a_failing_call_of_a_ramp_after_its_end_does_not_re_open() {
    let b = half_open(|c| c.ramp(secs(100), 0.0, 1).seed(1));
    assert!(!b.ok());
    b.advance(secs(99));
    let permit = loop {
        if let Ok(permit) = b.circuit.acquire() {
            break permit;
        }
    };
    b.advance(secs(1));
    permit.failure();
    let seen = b.circuit.snapshot();
    assert_eq!(
        (seen.state, seen.reason, seen.failures),
        (State::Closed, Reason::RampEnded, 0)
    );
}

#[test]
fn the_random_source_of_a_ramp_can_be_seeded() {
    let run = |seed| {
        let b = half_open(|c| c.ramp(secs(100), 0.5, 1_000).seed(seed));
        assert!(!b.ok());
        b.advance(secs(50));
        (0..64).map(|_| b.ok()).collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn readiness_of_a_ramp_is_not_drawn_a_second_time() {
    let b = half_open(|c| c.ramp(secs(100), 0.5, 1_000).seed(1));
    assert!(!b.ok());
    b.advance(secs(10));
    for _ in 0..100 {
        if b.circuit.readiness().is_ok() {
            b.circuit.acquire_when_ready().unwrap().success();
        }
    }
}

#[test]
fn with_no_verdict_by_max_half_open_it_re_opens() {
    let b = half_open(|c| c.max_half_open(secs(12)));
    let hung = trial(&b);
    b.advance(almost(secs(12)));
    assert_eq!(b.state(), State::HalfOpen);
    b.advance(ms(1));
    assert_eq!(b.state(), State::Open);
    assert_eq!(b.refusal(), RefusalReason::Open);
    assert_eq!(reason(&b), Reason::HalfOpenTimedOut);
    drop(hung);
}

#[test]
fn max_half_open_is_the_open_time_by_default() {
    let b = half_open(|c| c.open_for(secs(7)));
    let hung = trial(&b);
    b.advance(almost(secs(7)));
    assert_eq!(b.state(), State::HalfOpen);
    b.advance(ms(1));
    assert_eq!(b.state(), State::Open);
    drop(hung);
}

#[test]
fn a_half_open_time_that_ran_out_re_opens_as_of_that_moment() {
    let b = half_open(|c| c.max_half_open(secs(12)));
    std::mem::forget(trial(&b));
    b.advance(secs(20));
    assert_eq!(b.retry_after(), Some(secs(22)), "8 s of the 30 have gone");
    let b = half_open(|c| c.max_half_open(secs(12)));
    std::mem::forget(trial(&b));
    b.advance(secs(1_000));
    assert!(b.ok(), "open and half-open again, and a new trial goes out");
}

#[test]
fn a_trial_that_hangs_can_not_keep_a_circuit_half_open_for_ever() {
    let b = half_open(|c| c);
    let mut hung = Vec::new();
    let mut last = b.circuit.snapshot().generation;
    for _ in 0..20 {
        hung.push(trial(&b));
        b.advance(OPEN);
        assert_eq!(b.refusal(), RefusalReason::Open);
        b.advance(OPEN);
        let generation = b.circuit.snapshot().generation;
        assert!(generation > last);
        last = generation;
    }
    // The hung ones come back at last, and change nothing.
    b.oks(2);
    for permit in hung {
        permit.failure();
    }
    b.oks(1);
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn a_trial_that_never_reports_can_not_keep_a_circuit_half_open_for_ever() {
    let b = half_open(|c| c.concurrent_trials(2));
    std::mem::forget(trial(&b));
    b.advance(secs(29));
    b.oks(1);
    // One came back in good time, but the other has been out for the whole half-open time.
    b.advance(secs(1));
    assert_eq!(b.refusal(), RefusalReason::Open);
    b.advance(OPEN);
    b.oks(3);
    assert_eq!(b.state(), State::Closed);
}

#[cfg(feature = "std")]
#[test]
fn a_trial_that_panics_re_opens() {
    let b = half_open(|c| c);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _trial = trial(&b);
        std::panic::resume_unwind(Box::new("the call panics"));
    }));
    assert!(panicked.is_err());
    assert_eq!((b.state(), reason(&b)), (State::Open, Reason::TrialFailed));
}

#[test]
fn trials_that_are_cancelled_can_not_keep_a_circuit_half_open_for_ever() {
    // A hung dependency under an outer timeout of 7 s: each trial is given up, and the next goes out at once.
    for policy in [(|c| c) as fn(CircuitBuilder) -> CircuitBuilder, |c| {
        c.failure_rate_above(0.5).trial_batch(3)
    }] {
        let b = half_open(policy);
        let generation = {
            drop(trial(&b));
            b.circuit.snapshot().generation
        };
        for _ in 0..10 {
            let Ok(permit) = b.circuit.acquire() else { break };
            b.advance(secs(7));
            drop(permit);
        }
        let seen = b.circuit.snapshot();
        assert_eq!((seen.state, seen.reason), (State::Open, Reason::HalfOpenTimedOut));
        assert_eq!(seen.generation, generation + 1);
    }
}

#[test]
fn a_cancelled_trial_that_counts_as_a_failure_re_opens() {
    let b = half_open(|c| c.on_cancel(OnCancel::Failure));
    drop(trial(&b));
    assert_eq!(reason(&b), Reason::TrialFailed);
}

#[test]
fn max_half_open_is_measured_from_the_trial_that_went_out_while_none_was_out() {
    let b = half_open(|c| c.concurrent_trials(2));
    let first = trial(&b);
    b.advance(secs(20));
    let second = trial(&b);
    first.success();
    b.advance(secs(10));
    assert_eq!(
        b.state(),
        State::Open,
        "the second does not extend the time of the first"
    );
    drop(second);
    let b = half_open(|c| c);
    for _ in 0..2 {
        let permit = trial(&b);
        b.advance(almost(OPEN));
        permit.success();
    }
    assert_eq!(
        b.state(),
        State::HalfOpen,
        "each success gives the next trial the whole time"
    );
}

#[test]
fn an_idle_half_open_circuit_that_waits_for_traffic_does_not_expire() {
    let b = half_open(|c| c);
    assert!(b.ok());
    let generation = b.circuit.snapshot().generation;
    b.advance(secs(365 * 86_400));
    let seen = b.circuit.snapshot();
    assert_eq!(
        (seen.state, seen.generation, seen.calls),
        (State::HalfOpen, generation, 1)
    );
    b.oks(2);
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn one_call_every_40_s_with_defaults_closes_in_the_end() {
    let b = bench(|c| c);
    b.fails(5);
    let calls = (1..=10).find(|_| {
        b.advance(secs(40));
        assert!(b.ok());
        b.state() == State::Closed
    });
    assert_eq!(calls, Some(3));
}

#[test]
fn one_call_every_40_s_of_which_every_other_is_neutral_closes_in_the_end() {
    let b = bench(|c| c);
    b.fails(5);
    for at in 0..6 {
        assert_ne!(b.state(), State::Closed);
        b.advance(secs(40));
        assert!(b.call(if at % 2 == 0 {
            Outcome::neutral()
        } else {
            Outcome::success()
        }));
    }
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn late_outcomes_of_a_trial_after_its_half_open_time_are_late() {
    let b = half_open(|c| c.trials(1));
    let permit = trial(&b);
    b.advance(OPEN);
    permit.success();
    let seen = b.circuit.snapshot();
    assert_eq!((seen.state, seen.reason), (State::Open, Reason::HalfOpenTimedOut));
    assert_eq!(seen.totals.unwrap().late, 1);
    let b = half_open(|c| c.trials(1));
    let permit = trial(&b);
    b.advance(OPEN);
    permit.failure();
    assert_eq!(reason(&b), Reason::HalfOpenTimedOut);
}
