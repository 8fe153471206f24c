//! The contract, "Permits": each sentence a test.

mod support;

use std::time::Duration;

use state_core::{OnCancel, Outcome, State};
use support::{Bench, bench, ms, secs};

fn totals(b: &Bench) -> (u64, u64, u64, u64) {
    let totals = b.circuit.totals().unwrap();
    (totals.successes, totals.failures, totals.neutral, totals.cancelled)
}

#[test]
fn a_permit_settles_exactly_once_by_success() {
    let b = bench(|c| c);
    b.circuit.acquire().unwrap().success();
    assert_eq!((b.figures(), totals(&b)), ((1, 0, 0), (1, 0, 0, 0)));
}

#[test]
fn a_permit_settles_exactly_once_by_failure() {
    let b = bench(|c| c);
    b.circuit.acquire().unwrap().failure();
    assert_eq!((b.figures(), totals(&b)), ((1, 1, 0), (0, 1, 0, 0)));
}

#[test]
fn a_permit_settles_exactly_once_by_an_outcome() {
    let b = bench(|c| c);
    b.call(Outcome::success());
    b.call(Outcome::failure());
    b.call(Outcome::throttled());
    b.call(Outcome::neutral());
    assert_eq!((b.figures(), totals(&b)), ((3, 2, 0), (1, 2, 1, 0)));
}

#[test]
fn a_permit_settles_exactly_once_by_drop() {
    let b = bench(|c| c.on_cancel(OnCancel::Failure));
    drop(b.circuit.acquire().unwrap());
    assert_eq!((b.figures(), totals(&b)), ((1, 1, 0), (0, 1, 0, 1)));
}

#[cfg(feature = "std")]
mod panics {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::{OnCancel, State, bench, totals};

    fn panic_with(permit: state_core::Permit) {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _permit = permit;
            resume_unwind(Box::new("the call panics"));
        }));
        assert!(caught.is_err());
    }

    #[test]
    fn dropped_while_the_thread_panics_it_is_a_failure() {
        for on_cancel in [OnCancel::Neutral, OnCancel::Failure] {
            let b = bench(|c| c.consecutive_failures(2).on_cancel(on_cancel));
            panic_with(b.circuit.acquire().unwrap());
            assert_eq!(totals(&b), (0, 1, 0, 1));
            panic_with(b.circuit.acquire().unwrap());
            assert_eq!(b.state(), State::Open);
        }
    }

    #[test]
    fn a_quick_panic_is_a_failure_with_a_slow_rule_too() {
        let b = bench(|c| c.consecutive_failures(1).slow_call_rate_above(0.5, super::ms(100)));
        panic_with(b.circuit.acquire().unwrap());
        assert_eq!(b.state(), State::Open);
    }

    #[test]
    fn a_function_that_panics_counts_as_a_failure_and_the_panic_goes_on() {
        let b = bench(|c| c.consecutive_failures(1));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            b.circuit
                .call_sync(|| -> Result<(), ()> { resume_unwind(Box::new("the call panics")) })
        }));
        assert!(caught.is_err());
        assert_eq!(b.state(), State::Open);
    }

    #[test]
    fn a_future_that_panics_counts_as_a_failure_whoever_catches_it() {
        use std::pin::pin;
        use std::task::{Context, Waker};

        for before in [0, 1] {
            let b = bench(|c| c.consecutive_failures(1));
            let mut polls = 0;
            let work = std::future::poll_fn(|_| {
                polls += 1;
                if polls > before {
                    resume_unwind(Box::new("the call panics"));
                }
                std::task::Poll::<Result<(), ()>>::Pending
            });
            let mut call = pin!(b.circuit.call(work));
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..before {
                assert!(call.as_mut().poll(&mut cx).is_pending());
            }
            let caught = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx)));
            assert!(caught.is_err());
            assert_eq!(b.state(), State::Open, "counted before the future is dropped");
        }
    }

    #[test]
    fn a_function_that_panics_before_it_makes_its_future_counts_as_a_failure() {
        use std::pin::pin;
        use std::task::{Context, Waker};

        fn make() -> std::future::Ready<Result<(), ()>> {
            resume_unwind(Box::new("the call panics"))
        }
        let b = bench(|c| c.consecutive_failures(1));
        let mut call = pin!(b.circuit.call(make));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx))).is_err());
        assert_eq!(b.state(), State::Open);
    }
}

#[test]
fn dropped_otherwise_it_is_neutral_by_default() {
    let b = bench(|c| c.consecutive_failures(1));
    for _ in 0..100 {
        drop(b.circuit.acquire().unwrap());
    }
    assert_eq!((b.state(), totals(&b)), (State::Closed, (0, 0, 100, 100)));
}

#[test]
fn a_cancelled_trial_gives_its_slot_back() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(1)));
    b.to_half_open(secs(1));
    for _ in 0..1_000 {
        drop(b.circuit.acquire().unwrap());
    }
    assert_eq!(b.circuit.snapshot().trials_in_flight, 0);
    b.oks(3);
    assert_eq!(b.state(), State::Closed);
}

#[test]
fn on_cancel_failure_records_a_failure() {
    let b = bench(|c| c.consecutive_failures(3).on_cancel(OnCancel::Failure));
    for _ in 0..3 {
        drop(b.circuit.acquire().unwrap());
    }
    assert_eq!(b.state(), State::Open);
}

fn dropped_after(b: &Bench, time: Duration) {
    let permit = b.circuit.acquire().unwrap();
    b.advance(time);
    drop(permit);
}

#[test]
fn slow_failure_is_the_default_with_a_slow_rule_and_records_a_slow_failure_if_it_had_lasted_slow_after_else_neutral() {
    let b = bench(|c| c.slow_call_rate_above(0.5, ms(100)).min_calls(50));
    dropped_after(&b, ms(99));
    assert_eq!((b.figures(), totals(&b)), ((0, 0, 0), (0, 0, 1, 1)));
    dropped_after(&b, ms(100));
    assert_eq!((b.figures(), totals(&b)), ((1, 1, 1), (0, 1, 1, 2)));
}

#[test]
fn a_hung_dependency_under_an_outer_timeout_can_trip_a_circuit() {
    let b = bench(|c| c.slow_call_rate_above(0.5, secs(1)).min_calls(5));
    for _ in 0..5 {
        assert_eq!(b.state(), State::Closed);
        dropped_after(&b, secs(2));
    }
    assert_eq!(b.state(), State::Open);
}

#[test]
fn on_cancel_may_be_neutral_with_a_slow_rule() {
    let b = bench(|c| {
        c.slow_call_rate_above(0.5, secs(1))
            .min_calls(5)
            .on_cancel(OnCancel::Neutral)
    });
    dropped_after(&b, secs(2));
    assert_eq!(b.figures(), (0, 0, 0));
}

#[test]
fn a_neutral_outcome_gives_the_slot_back_and_counts_nowhere() {
    let b = bench(|c| c.consecutive_failures(1).open_for(secs(1)));
    b.call(Outcome::neutral());
    assert_eq!(b.circuit.snapshot().consecutive_failures, Some(0));
    b.to_half_open(secs(1));
    for _ in 0..100 {
        assert!(b.call(Outcome::neutral()));
    }
    let seen = b.circuit.snapshot();
    assert_eq!((seen.state, seen.trials_in_flight, seen.calls), (State::HalfOpen, 0, 0));
    let b = bench(|c| c.failure_rate_above(0.5).min_calls(1));
    b.call(Outcome::neutral());
    assert_eq!(b.figures(), (0, 0, 0));
}

#[test]
fn a_neutral_call_on_a_ramp_counts_nowhere() {
    let b = bench(|c| {
        c.consecutive_failures(1)
            .open_for(secs(1))
            .ramp(secs(10), 0.5, 1)
            .seed(1)
    });
    b.to_half_open(secs(1));
    assert!(!b.ok());
    b.advance(secs(9));
    while !b.call(Outcome::neutral()) {}
    assert_eq!(b.figures(), (0, 0, 0));
}

#[test]
fn a_permit_that_is_forgotten_harms_no_closed_circuit() {
    let b = bench(|c| c.consecutive_failures(2));
    for _ in 0..1_000 {
        std::mem::forget(b.circuit.acquire().unwrap());
    }
    b.fails(2);
    assert_eq!(b.state(), State::Open);
}

#[test]
fn when_the_circuit_refuses_the_function_is_not_called_and_the_future_not_polled() {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    let b = bench(|c| c);
    b.circuit.force_open();
    let refused = b
        .circuit
        .call_sync(|| -> Result<(), ()> { unreachable!("the circuit refuses") });
    assert!(refused.unwrap_err().refused().is_some());
    let polls = std::cell::Cell::new(0);
    let work = std::future::poll_fn(|_| {
        polls.set(polls.get() + 1);
        Poll::<Result<(), ()>>::Pending
    });
    let mut call = pin!(b.circuit.call(work));
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Err(state_core::CallError::Refused(_)))));
    assert_eq!(polls.get(), 0);
}

#[test]
fn a_call_that_is_dropped_on_its_way_counts_as_cancelled_and_one_never_polled_as_nothing() {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    let b = bench(|c| c);
    drop(b.circuit.call(std::future::pending::<Result<(), ()>>()));
    assert_eq!(totals(&b), (0, 0, 0, 0));
    let mut call = Box::pin(b.circuit.call(std::future::pending::<Result<(), ()>>()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::as_mut(&mut call).poll(&mut cx).is_pending());
    drop(call);
    assert_eq!(totals(&b), (0, 0, 1, 1));
}
