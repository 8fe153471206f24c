//! The contract, "Open": each sentence a test.

mod support;

use std::time::Duration;

use state_core::{Outcome, RefusalReason, State, Window};
use support::{Bench, almost, bench, ms, secs};

#[test]
fn open_for_is_30_s_by_default() {
    let b = bench(|c| c);
    b.fails(5);
    b.advance(almost(secs(30)));
    assert_eq!((b.state(), b.refusal()), (State::Open, RefusalReason::Open));
    b.advance(ms(1));
    assert_eq!(b.state(), State::HalfOpen);
    assert!(b.ok());
}

#[test]
fn the_first_caller_at_or_after_the_deadline_moves_it_to_half_open() {
    for after in [Duration::ZERO, secs(1), secs(86_400)] {
        let b = bench(|c| c.consecutive_failures(1).open_for(secs(5)));
        b.fails(1);
        let generation = b.circuit.snapshot().generation;
        b.advance(secs(5) + after);
        let trial = b.circuit.acquire().unwrap();
        assert_eq!(b.circuit.snapshot().generation, generation + 1);
        drop(trial);
    }
}

#[test]
fn reading_the_state_says_half_open_from_the_deadline_on_and_changes_nothing() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(5)));
    b.fails(1);
    let generation = b.circuit.snapshot().generation;
    b.advance(secs(5));
    for _ in 0..10 {
        assert_eq!(b.state(), State::HalfOpen);
        let seen = b.circuit.snapshot();
        assert_eq!((seen.state, seen.generation), (State::HalfOpen, generation));
        assert!(b.circuit.readiness().is_ok());
    }
}

#[test]
fn a_deadline_is_rounded_up_to_a_millisecond() {
    let b = bench(|c| c.consecutive_failures(1).open_for(Duration::from_micros(1_500)));
    b.advance(Duration::from_micros(300));
    b.fails(1);
    b.advance(Duration::from_micros(1_699));
    assert_eq!(b.state(), State::Open);
    b.advance(Duration::from_micros(1_500));
    assert_eq!(b.state(), State::HalfOpen);
}

/// Fails the trial and says how long the circuit stays open then.
fn re_open(b: &Bench) -> Duration {
    b.advance(b.retry_after().unwrap());
    assert!(b.fail());
    b.retry_after().unwrap()
}

#[test]
fn each_re_opening_without_a_close_between_multiplies_the_time_to_max() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(2)).backoff(3.0, secs(50)));
    b.fails(1);
    assert_eq!(b.retry_after(), Some(secs(2)));
    let times: Vec<_> = (0..6).map(|_| re_open(&b).as_secs()).collect();
    assert_eq!(times, [6, 18, 50, 50, 50, 50]);
    assert_eq!(b.circuit.snapshot().reopenings, 6);
}

#[test]
fn a_close_starts_backoff_over() {
    let b = bench(|c| {
        c.consecutive_failures(1)
            .trials(1)
            .open_for(secs(2))
            .backoff(2.0, secs(100))
    });
    b.fails(1);
    re_open(&b);
    assert_eq!(re_open(&b), secs(8));
    b.advance(secs(8));
    b.ok();
    assert_eq!(b.state(), State::Closed);
    b.fails(1);
    assert_eq!(b.retry_after(), Some(secs(2)));
    assert_eq!(re_open(&b), secs(4));
}

#[test]
fn backoff_by_one_and_a_thousand_re_openings_are_no_trouble() {
    for factor in [1.0, 1.5] {
        let b = bench(|c| c.consecutive_failures(1).open_for(secs(1)).backoff(factor, secs(3)));
        b.fails(1);
        for _ in 0..5_000 {
            let time = re_open(&b);
            assert!(time >= secs(1) && time <= secs(3));
        }
    }
}

#[test]
fn each_opening_takes_a_random_time_around_d() {
    let mut times = std::collections::BTreeSet::new();
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(100)).jitter(0.2));
    b.fails(1);
    for _ in 0..500 {
        let time = re_open(&b);
        assert!(time >= secs(80) && time <= secs(120), "{time:?}");
        times.insert(time);
    }
    assert!(times.len() > 400, "they differ");
    assert!(*times.first().unwrap() < secs(84) && *times.last().unwrap() > secs(116));
}

#[test]
fn a_seed_makes_jitter_repeatable() {
    let run = |seed| {
        let b = bench(|c| c.consecutive_failures(1).jitter(0.5).seed(seed));
        b.fails(1);
        (0..10).map(|_| re_open(&b)).collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn open_until_probe_is_ended_by_a_health_probe_or_an_operator_only() {
    let b = bench(|c| c.consecutive_failures(1).open_until_probe());
    b.fails(1);
    b.advance(secs(365 * 86_400));
    let refused = b.circuit.acquire().unwrap_err();
    assert_eq!((refused.reason(), refused.retry_after()), (RefusalReason::Open, None));
    assert_eq!(b.circuit.snapshot().next_try, None);
    b.circuit.on_probe(false);
    b.circuit.on_probe(true);
    assert_eq!(b.state(), State::HalfOpen);
    b.fails(1);
    b.circuit.reset();
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn a_probe_that_has_said_up_all_along_ends_open_until_probe() {
    let b = bench(|c| c.consecutive_failures(1).open_until_probe());
    b.circuit.on_probe(true);
    b.fails(1);
    b.circuit.on_probe(true);
    assert_eq!(b.state(), State::HalfOpen);
}

#[test]
fn a_retry_hint_keeps_the_circuit_open_at_least_that_long() {
    for (hint, open) in [(100, 100), (30, 30), (10, 30)] {
        let b = bench(|c| c.consecutive_failures(1));
        b.call(Outcome::failure().retry_after(secs(hint)));
        assert_eq!(b.retry_after(), Some(secs(open)), "hint {hint}");
        b.advance(almost(secs(open)));
        assert_eq!(b.state(), State::Open);
        b.advance(ms(1));
        assert_eq!(b.state(), State::HalfOpen);
    }
}

#[test]
fn a_retry_hint_is_heeded_up_to_max_retry_after_5_min_by_default() {
    for hint in [secs(301), secs(u64::MAX), Duration::MAX] {
        let b = bench(|c| c.consecutive_failures(1));
        b.call(Outcome::failure().retry_after(hint));
        assert_eq!(b.retry_after(), Some(secs(300)));
    }
    let b = bench(|c| c.consecutive_failures(1).max_retry_after(secs(40)));
    b.call(Outcome::failure().retry_after(secs(41)));
    assert_eq!(b.retry_after(), Some(secs(40)));
}

#[test]
fn a_retry_hint_of_an_earlier_failure_of_the_same_generation_counts_from_its_own_time() {
    let b = bench(|c| c.consecutive_failures(3));
    b.call(Outcome::failure().retry_after(secs(100)));
    b.call(Outcome::failure().retry_after(secs(10)));
    b.advance(secs(20));
    b.fails(1);
    assert_eq!(b.retry_after(), Some(secs(80)));
}

#[test]
fn a_retry_hint_of_a_trial_counts() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(1)));
    b.to_half_open(secs(1));
    b.call(Outcome::throttled().retry_after(secs(60)));
    assert_eq!(b.retry_after(), Some(secs(60)));
}

#[test]
fn a_retry_hint_is_forgotten_when_the_circuit_has_closed() {
    let b = bench(|c| c.consecutive_failures(2).open_for(secs(1)));
    b.call(Outcome::failure().retry_after(secs(60)));
    b.circuit.reset();
    b.fails(2);
    assert_eq!(b.retry_after(), Some(secs(1)));
}

#[test]
fn a_retry_hint_with_a_success_or_a_neutral_outcome_is_not_heeded() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(1)));
    b.call(Outcome::success().retry_after(secs(60)));
    b.call(Outcome::neutral().retry_after(secs(60)));
    b.fails(1);
    assert_eq!(b.retry_after(), Some(secs(1)));
}

#[test]
fn while_open_the_windows_figures_are_those_that_tripped_it_and_are_emptied_on_the_way_to_half_open() {
    for window in [Window::calls(10), Window::lifetime(), Window::time(secs(10))] {
        let b = bench(|c| c.failure_rate_above(0.5).window(window).open_for(secs(60)));
        b.oks(2);
        b.fails(3);
        for _ in 0..2 {
            let seen = b.circuit.snapshot();
            assert_eq!((seen.calls, seen.successes, seen.failures), (5, 2, 3), "{window:?}");
            assert_eq!(seen.failure_rate, Some(0.6));
            b.advance(secs(30));
        }
        drop(b.circuit.acquire().unwrap());
        let seen = b.circuit.snapshot();
        assert_eq!((seen.calls, seen.failures, seen.failure_rate), (0, 0, None));
    }
}

#[test]
fn what_refusing_says_is_what_acquire_would_say() {
    let b = bench(|c| c.consecutive_failures(1).trials(2).open_for(secs(10)));
    let reason = |b: &support::Bench| b.circuit.readiness().err().map(|refused| refused.reason());
    assert_eq!(b.circuit.refusing(), None);
    b.fail();
    assert_eq!(b.circuit.refusing(), Some(RefusalReason::Open));
    assert_eq!(b.circuit.refusing(), reason(&b));
    b.advance(secs(10));
    assert_eq!((b.circuit.refusing(), reason(&b)), (None, None));
    assert_eq!(b.circuit.snapshot().state, State::HalfOpen, "asking changes nothing");
    let trial = b.circuit.acquire().unwrap();
    assert_eq!(b.circuit.refusing(), Some(RefusalReason::TrialsBusy));
    assert_eq!(b.circuit.refusing(), reason(&b));
    drop(trial);
    assert_eq!(b.circuit.refusing(), None);
    b.circuit.force_open();
    assert_eq!(b.circuit.refusing(), Some(RefusalReason::ForcedOpen));
    b.circuit.retire();
    assert_eq!(b.circuit.refusing(), None);
}

#[test]
fn who_has_been_told_that_a_call_would_be_refused_gets_a_refusal_whatever_the_circuit_says_by_then() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(10)));
    b.fail();
    let reason = b.circuit.refusing().unwrap();
    b.advance(secs(4));
    let refused = b.circuit.refuse(reason);
    assert_eq!(refused.retry_after(), Some(secs(6)));
    assert_eq!(
        refused.to_string(),
        "circuit \"test\" is open: 1 failure in a row; next try in 6 s"
    );
    b.advance(secs(6));
    let late = b.circuit.refuse(reason);
    assert_eq!(
        (late.reason(), late.retry_after()),
        (RefusalReason::Open, Some(secs(0)))
    );
    assert_eq!(b.state(), State::HalfOpen);
    assert_eq!(b.circuit.snapshot().trials_in_flight, 0, "a refusal takes no trial");
    b.circuit.force_open();
    assert_eq!(
        b.circuit.refuse(reason).reason(),
        RefusalReason::ForcedOpen,
        "why it is refused by now"
    );
    b.circuit.reset();
    assert_eq!(b.circuit.refuse(reason).retry_after(), Some(secs(0)));
    assert_eq!(b.circuit.totals().unwrap().refused, 4);
    b.circuit.retire();
    assert_eq!(b.circuit.refuse(reason).reason(), RefusalReason::Open);
}

#[test]
fn a_ramp_does_not_draw_again_for_one_who_is_to_be_refused() {
    let b = bench(|c| c.failure_rate_above(0.5).ramp(secs(10), 0.5, 5).open_for(secs(1)));
    b.fails(5);
    b.advance(secs(1));
    drop(b.circuit.acquire());
    b.advance(secs(9));
    for _ in 0..100 {
        let refused = b.circuit.refuse(RefusalReason::Ramp);
        assert_eq!(
            (refused.reason(), refused.retry_after()),
            (RefusalReason::Ramp, Some(secs(1)))
        );
    }
}
