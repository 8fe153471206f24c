//! The contract, "Trip rules": each sentence a test.

mod support;

use state_core::{Circuit, EwmaWeights, Outcome, Policy, Reason, State, Window};
use support::{Bench, almost, bench, ms, secs};

fn reason(b: &Bench) -> Reason {
    b.circuit.snapshot().reason
}

#[test]
fn any_one_of_several_rules_trips_and_says_which() {
    let all = || {
        bench(|c| {
            c.consecutive_failures(4)
                .failure_rate_above(0.5)
                .slow_call_rate_above(0.5, ms(100))
                .window(Window::calls(10))
                .min_calls(6)
        })
    };
    let b = all();
    b.fails(4);
    assert_eq!(reason(&b), Reason::ConsecutiveFailures);
    let b = all();
    b.fails(2);
    b.oks(1);
    b.fails(2);
    b.oks(1);
    assert_eq!(b.state(), State::Closed);
    b.fails(1);
    assert_eq!(reason(&b), Reason::FailureRate);
    let b = all();
    for _ in 0..6 {
        b.lasting(ms(100), Outcome::success());
    }
    assert_eq!(reason(&b), Reason::SlowCallRate);
}

#[test]
fn the_nth_failure_in_a_row_trips() {
    for n in [1, 2, 5, 100] {
        let b = bench(|c| c.consecutive_failures(n));
        b.fails(n as usize - 1);
        assert_eq!(b.state(), State::Closed);
        b.fails(1);
        assert_eq!((b.state(), reason(&b)), (State::Open, Reason::ConsecutiveFailures));
    }
}

#[test]
fn a_success_starts_the_row_anew() {
    let b = bench(|c| c.consecutive_failures(3));
    for _ in 0..50 {
        b.fails(2);
        b.oks(1);
    }
    assert_eq!(b.state(), State::Closed);
    b.fails(3);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn a_neutral_outcome_neither_lengthens_nor_ends_a_row() {
    let b = bench(|c| c.consecutive_failures(3));
    b.fails(2);
    b.call(Outcome::neutral());
    assert_eq!(b.circuit.snapshot().consecutive_failures, Some(2));
    b.fails(1);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn a_throttled_call_is_a_failure_for_rates_and_trials_but_not_for_consecutive_failures() {
    let b = bench(|c| c.consecutive_failures(3).failure_rate_above(0.99).min_calls(50));
    b.fails(2);
    for _ in 0..10 {
        b.call(Outcome::throttled());
    }
    assert_eq!((b.state(), b.figures()), (State::Closed, (12, 12, 0)));
    assert_eq!(b.circuit.snapshot().consecutive_failures, Some(2));
    b.fails(1);
    assert_eq!(b.state(), State::Open);
    b.advance(secs(30));
    b.call(Outcome::throttled());
    assert_eq!(reason(&b), Reason::TrialFailed);
}

#[test]
fn the_failure_rate_is_failures_by_calls_in_the_window_once_it_holds_min_calls() {
    let b = bench(|c| c.failure_rate_above(0.5).window(Window::calls(20)).min_calls(8));
    b.fails(7);
    assert_eq!(b.state(), State::Closed, "seven calls are not eight");
    b.fails(1);
    assert_eq!((b.state(), reason(&b)), (State::Open, Reason::FailureRate));
}

#[test]
fn above_trips_over_the_limit_and_not_at_it() {
    let b = bench(|c| c.failure_rate_above(0.5).min_calls(4));
    b.oks(2);
    b.fails(2);
    assert_eq!(b.state(), State::Closed, "2 of 4 is not above one half");
    b.fails(1);
    assert_eq!(b.state(), State::Open, "3 of 5 is");
}

#[test]
fn at_least_trips_at_the_limit() {
    let b = bench(|c| c.failure_rate_at_least(0.5).min_calls(4));
    b.oks(2);
    b.fails(1);
    assert_eq!(b.state(), State::Closed);
    b.fails(1);
    assert_eq!(b.state(), State::Open, "2 of 4 is at least one half");
}

#[test]
fn at_least_one_trips_when_every_call_failed() {
    let b = bench(|c| c.failure_rate_at_least(1.0).window(Window::calls(5)));
    b.oks(1);
    b.fails(5);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn above_zero_trips_at_the_first_failure() {
    let b = bench(|c| c.failure_rate_above(0.0).min_calls(1));
    b.oks(10);
    b.fails(1);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn by_default_the_rate_is_above_one_half_from_five_calls_on() {
    let b = bench(|c| c);
    b.fails(4);
    assert_eq!(b.state(), State::Closed);
    let b = bench(|c| c);
    for _ in 0..2 {
        b.fails(1);
        b.oks(1);
    }
    b.fails(1);
    assert_eq!((b.state(), reason(&b)), (State::Open, Reason::FailureRate));
}

#[test]
fn the_slow_call_rate_is_slow_by_calls() {
    let b = bench(|c| c.slow_call_rate_above(0.5, ms(100)).min_calls(4));
    b.oks(2);
    b.lasting(ms(100), Outcome::success());
    b.lasting(ms(100), Outcome::success());
    assert_eq!((b.state(), b.figures()), (State::Closed, (4, 0, 2)));
    b.lasting(ms(100), Outcome::success());
    assert_eq!((b.state(), reason(&b)), (State::Open, Reason::SlowCallRate));
    let b = bench(|c| c.slow_call_rate_at_least(0.5, ms(100)).min_calls(4));
    b.oks(2);
    b.lasting(ms(100), Outcome::success());
    b.lasting(ms(100), Outcome::success());
    assert_eq!(b.state(), State::Open);
}

#[test]
fn a_call_is_slow_when_it_lasted_at_least_slow_after() {
    let b = bench(|c| c.slow_call_rate_above(0.9, ms(100)).min_calls(50));
    b.lasting(std::time::Duration::from_nanos(99_999_999), Outcome::success());
    assert_eq!(b.figures(), (1, 0, 0));
    b.lasting(ms(100), Outcome::success());
    assert_eq!(b.figures(), (2, 0, 1));
}

#[test]
fn slow_is_orthogonal_to_success_and_failure() {
    let b = bench(|c| c.slow_call_rate_above(0.9, ms(100)).min_calls(50));
    b.lasting(ms(100), Outcome::success());
    b.lasting(ms(100), Outcome::failure());
    b.fails(1);
    b.oks(1);
    assert_eq!(b.figures(), (4, 2, 2));
}

#[test]
fn a_slow_success_ends_a_row_of_failures() {
    let b = bench(|c| {
        c.consecutive_failures(3)
            .slow_call_rate_above(0.9, ms(100))
            .min_calls(50)
    });
    b.fails(2);
    b.lasting(ms(100), Outcome::success());
    assert_eq!(b.circuit.snapshot().consecutive_failures, Some(0));
}

#[test]
fn a_slow_success_counts_as_slow_in_metrics_only_too() {
    let b = bench(|c| c.slow_call_rate_above(0.9, ms(100)).min_calls(50));
    b.circuit.metrics_only();
    b.lasting(ms(100), Outcome::success());
    assert_eq!(b.figures(), (1, 0, 1));
}

#[test]
fn a_slow_trial_is_a_failed_trial_when_a_slow_rule_is_set() {
    let b = bench(|c| {
        c.consecutive_failures(1)
            .slow_call_rate_above(0.9, ms(100))
            .trials(1)
            .open_for(secs(1))
    });
    b.to_half_open(secs(1));
    b.lasting(ms(100), Outcome::success());
    assert_eq!((b.state(), reason(&b)), (State::Open, Reason::TrialSlow));
}

#[test]
fn without_a_slow_rule_no_call_is_slow() {
    let b = bench(|c| {
        c.consecutive_failures(1)
            .trials(1)
            .open_for(secs(1))
            .max_half_open(secs(900))
    });
    b.to_half_open(secs(1));
    b.lasting(secs(500), Outcome::success());
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn ewma_moves_by_a_tenth_at_a_failure_and_halves_at_a_success_and_is_nothing_below_a_hundredth() {
    let b = bench(|c| c.ewma(0.9, EwmaWeights::default()));
    let rate = || b.circuit.snapshot().moving_failure_rate.unwrap();
    let near = |want: f64| assert!((rate() - want).abs() < 1e-5, "{} is not {want}", rate());
    near(0.0);
    b.fails(1);
    near(0.1);
    b.fails(1);
    near(0.19);
    b.oks(1);
    near(0.095);
    b.oks(3);
    near(0.011_875);
    b.oks(1);
    assert!(rate() == 0.0, "below 0.01 it is 0");
}

#[test]
fn ewma_trips_when_the_rate_is_above_the_limit() {
    // 1 - 0.9^k passes 0.5 at k = 7.
    let b = bench(|c| c.ewma(0.5, EwmaWeights::default()));
    b.fails(6);
    assert_eq!(b.state(), State::Closed);
    b.fails(1);
    assert_eq!((b.state(), reason(&b)), (State::Open, Reason::Ewma));
}

#[test]
fn ewma_takes_other_weights() {
    let weights = EwmaWeights {
        failure_keep: 0.5,
        success_keep: 0.0,
        floor: 0.0,
    };
    let b = bench(|c| c.ewma(0.7, weights));
    b.fails(1);
    b.oks(1);
    assert_eq!(b.circuit.snapshot().moving_failure_rate, Some(0.0));
    b.fails(2);
    assert_eq!(b.state(), State::Open, "0.75 is above 0.7");
}

#[test]
fn the_default_policy_is_five_in_a_row_or_above_half_of_the_last_hundred_open_30_s_and_three_trials() {
    let b = bench(|c| c);
    assert_eq!(b.circuit.window(), Some(Window::calls(100)));
    b.oks(1000);
    b.fails(4);
    assert_eq!(b.state(), State::Closed);
    b.fails(1);
    assert_eq!((b.state(), reason(&b)), (State::Open, Reason::ConsecutiveFailures));
    assert_eq!(b.retry_after(), Some(secs(30)));
    b.advance(secs(30));
    for _ in 0..3 {
        let trial = b.circuit.acquire().unwrap();
        assert!(b.circuit.acquire().is_err(), "one at a time");
        assert_eq!(b.state(), State::HalfOpen);
        trial.success();
    }
    assert_eq!(b.state(), State::Closed);
    // Never five in a row: the rate over the last hundred.
    b.oks(100);
    let mut fails = 0;
    while b.state() == State::Closed {
        b.fails(3);
        fails += 3;
        if b.state() == State::Closed {
            b.oks(1);
        }
    }
    assert_eq!((reason(&b), b.figures().0), (Reason::FailureRate, 100));
    assert_eq!(fails, 51, "51 of the last 100");
}

#[test]
fn naming_any_rule_replaces_the_default_rules() {
    let b = bench(|c| c.failure_rate_above(0.9).min_calls(100));
    b.fails(99);
    assert_eq!(b.state(), State::Closed, "five in a row is no rule here");
    assert_eq!(b.circuit.snapshot().consecutive_failures, None);
    let b = bench(|c| c.consecutive_failures(50));
    b.fails(49);
    assert_eq!((b.state(), b.circuit.window()), (State::Closed, None));
}

#[test]
fn consecutive_is_a_named_starting_point() {
    let b = bench(|c| c.policy(Policy::consecutive(5, secs(60))));
    b.fails(4);
    b.oks(1);
    b.fails(5);
    assert_eq!((b.state(), b.retry_after()), (State::Open, Some(secs(60))));
}

#[test]
fn failure_rate_is_a_named_starting_point_with_a_lifetime_window() {
    let b = bench(|c| c.policy(Policy::failure_rate(0.3)));
    assert_eq!(b.circuit.window(), Some(Window::lifetime()));
    b.oks(700);
    b.fails(300);
    assert_eq!(b.state(), State::Closed);
    b.fails(1);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn ratio_in_time_is_a_named_starting_point_with_a_time_window_and_a_ramp_back() {
    let b = bench(|c| c.policy(Policy::ratio_in_time(0.3, secs(10), secs(5), secs(20))));
    assert_eq!(b.circuit.window(), Some(Window::time(secs(10))));
    b.fails(5);
    assert_eq!((b.state(), b.retry_after()), (State::Open, Some(secs(5))));
    b.advance(secs(5));
    assert!(b.circuit.acquire().is_err(), "the ramp begins at nothing");
    assert_eq!(b.circuit.snapshot().state, State::HalfOpen);
    b.advance(secs(20));
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn for_the_grace_time_after_closing_no_rule_trips() {
    let b = bench(|c| c.consecutive_failures(2).trials(1).open_for(secs(1)).grace(secs(10)));
    b.fails(2);
    assert_eq!(b.state(), State::Open, "a circuit that was never opened has no grace");
    b.advance(secs(1));
    b.ok();
    assert_eq!(b.state(), State::Closed);
    b.advance(almost(secs(10)));
    b.fails(10);
    assert_eq!(b.state(), State::Closed);
    b.advance(ms(1));
    b.fails(1);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn there_is_no_grace_by_default() {
    let b = bench(|c| c.consecutive_failures(1).trials(1).open_for(secs(1)));
    b.to_half_open(secs(1));
    b.ok();
    b.fails(1);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn a_plain_success_never_trips() {
    let b = bench(|c| c.failure_rate_at_least(0.5).window(Window::calls(10)).min_calls(6));
    b.fails(5);
    b.oks(5);
    assert_eq!((b.state(), b.figures()), (State::Closed, (10, 5, 0)));
    b.fails(1);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn evaluated_on_every_outcome_the_success_that_fills_min_calls_trips() {
    let b = bench(|c| {
        c.failure_rate_at_least(0.5)
            .window(Window::calls(10))
            .min_calls(6)
            .evaluate_on_every_outcome()
    });
    b.fails(5);
    assert_eq!(b.state(), State::Closed);
    b.oks(1);
    assert_eq!((b.state(), reason(&b)), (State::Open, Reason::FailureRate));
}

#[test]
fn a_slow_success_is_evaluated() {
    let b = bench(|c| {
        c.failure_rate_at_least(0.5)
            .slow_call_rate_above(0.9, ms(100))
            .window(Window::calls(10))
            .min_calls(6)
    });
    b.fails(5);
    b.lasting(ms(100), Outcome::success());
    assert_eq!((b.state(), reason(&b)), (State::Open, Reason::FailureRate));
}

#[test]
fn rules_are_evaluated_on_a_window_that_has_been_expired_to_now() {
    let b = bench(|c| c.failure_rate_above(0.5).window(Window::time(secs(10))).min_calls(5));
    b.fails(4);
    b.advance(secs(10));
    b.fails(1);
    assert_eq!((b.state(), b.figures()), (State::Closed, (1, 1, 0)));
}

#[test]
fn a_window_is_expired_to_now_also_when_it_is_only_read() {
    let b = bench(|c| c.failure_rate_above(0.5).window(Window::time(secs(10))));
    b.fails(4);
    assert_eq!(b.figures(), (4, 4, 0));
    b.advance(secs(10));
    let seen = b.circuit.snapshot();
    assert_eq!((seen.calls, seen.failure_rate), (0, None));
}

#[test]
fn one_policy_serves_many_circuits_each_with_a_state_of_its_own() {
    let policy = Policy::new().consecutive_failures(1);
    let clock = state_core::ManualClock::new();
    let make = || {
        Circuit::builder("same")
            .policy(policy.clone())
            .clock(clock.clone())
            .build()
            .unwrap()
    };
    let (a, b) = (make(), make());
    a.acquire().unwrap().failure();
    assert_eq!((a.state(), b.state()), (State::Open, State::Closed));
}
