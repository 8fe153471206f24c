//! The protocols on atomics, each in a model of a few lines that loom runs through every interleaving of.
//!
//! ```text
//! RUSTFLAGS="--cfg fusebox_loom" LOOM_MAX_PREEMPTIONS=3 CARGO_TARGET_DIR=target/loom \
//!     cargo test -p state-core --release --test loom
//! ```
//!
//! What was broken on purpose in `src`, and which model saw it:
//!
//! | mutation | caught by |
//! |---|---|
//! | `settle_closed`: no fence after a failure's bit | two failures in different cells; a failure under a clean ring |
//! | `clean`: no second look at the ring | a failure under a clean ring |
//! | `closed_payload`: a failure does not set DIRTY again | a failure under a clean ring; a failure that meets a clean ring |
//! | `tally::add`: an old slice is rolled by a store | every window that loses no outcome; outcomes of before a reset |
//! | `trial`: look, then add to whatever stands there now | half-open never admits too many; one winner and one trial |
//! | `ring`: outcomes of an earlier generation are let in | an outcome of before a reset, window of calls |
//! | `tally`: the same | an outcome of before a reset, lifetime and time |
//! | `transit`: the record prepared after the swap | a snapshot never mixes generations; a probe that goes down |
//! | `transit`: the record never confirmed | a failure against a reset; outcomes of before a reset |
//! | `term_for`: a store instead of the swap | a hung trial's deadline |
//! | `term_for`: nothing written | `promises_half_open.rs`: nothing ends a hung trial |
//! | `transit`: no look at the probes after the swap | a probe that goes down at the deadline |
//! | `transit`: a hold that nobody wants any more stays | a trip while a probe comes up |
//! | `wake_all`: no fence | one who waits for the opening |
//! | `settle`, `quiet`: the slot's owner not asked | a failure, a success through an old handle |
//! | `time_left`, `weigh`: the same | an old handle is not refused, is never told |
//! | `turn`: the same | a slow thread leaves the clock alone |
//! | `owned`: a number without its owner's tag | a late failure, success, cancellation, refusal |
#![cfg(fusebox_loom)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use loom::sync::Notify;
use loom::thread;
use state_core::{Circuit, CircuitBuilder, Clock, ManualClock, Outcome, Permit, Reason, State, Window};

/// Runs `body` in every order of steps, with at most three preemptions unless `LOOM_MAX_PREEMPTIONS` says otherwise.
fn model(body: impl Fn() + Send + Sync + 'static) {
    preempted(3, body);
}

/// The same for models with several transitions in them, which are too long for three.
fn long_model(body: impl Fn() + Send + Sync + 'static) {
    preempted(2, body);
}

fn preempted(at_most: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(at_most).min(at_most));
    builder.max_branches = 20_000;
    builder.check(body);
}

fn circuit(policy: impl FnOnce(CircuitBuilder) -> CircuitBuilder) -> (Circuit, ManualClock) {
    let clock = ManualClock::new();
    let builder = Circuit::builder("loom")
        .totals(false)
        .open_for(ms(10))
        .clock(clock.clone());
    (policy(builder).build().unwrap(), clock)
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `a` on a thread of its own, `b` on this one; what they came to.
fn both<A: 'static>(a: impl FnOnce() -> A + 'static, b: impl FnOnce()) -> A {
    let other = thread::spawn(a);
    b();
    other.join().unwrap()
}

fn ok(circuit: Circuit) {
    circuit.acquire().unwrap().success();
}

fn fail(circuit: Circuit) {
    if let Ok(permit) = circuit.acquire() {
        permit.failure();
    }
}

fn figures(circuit: Circuit) -> (u64, u64) {
    let seen = circuit.snapshot();
    (seen.calls, seen.failures)
}

/// Open, with the open time just ended.
fn due(policy: impl FnOnce(CircuitBuilder) -> CircuitBuilder) -> (Circuit, ManualClock) {
    let (circuit, clock) = circuit(|c| policy(c.consecutive_failures(1)));
    fail(circuit);
    clock.advance(ms(10));
    (circuit, clock)
}

#[test]
fn two_failures_in_a_row_trip_once() {
    long_model(|| {
        let (c, _) = circuit(|c| c.consecutive_failures(2));
        both(move || fail(c), || fail(c));
        let seen = c.snapshot();
        assert_eq!((seen.state, seen.generation), (State::Open, 2));
        assert_eq!(
            (seen.reason, seen.consecutive_failures),
            (Reason::ConsecutiveFailures, Some(2))
        );
    });
}

#[test]
fn open_to_half_open_has_one_winner_and_one_trial() {
    long_model(|| {
        let (c, _) = due(|c| c);
        let take = move || c.acquire().map(std::mem::forget).is_ok();
        let mut mine = false;
        let theirs = both(take, || mine = take());
        assert!(mine != theirs, "one of the two");
        let seen = c.snapshot();
        assert_eq!((seen.generation, seen.trials_in_flight), (3, 1));
    });
}

#[test]
fn half_open_never_admits_too_many_and_ignores_outcomes_of_before() {
    long_model(|| {
        let (c, clock) = circuit(|c| c.consecutive_failures(1).trials(3).concurrent_trials(2));
        let early: Permit = c.acquire().unwrap();
        fail(c);
        clock.advance(ms(10));
        let take = move || c.acquire().map(std::mem::forget).is_ok();
        std::mem::forget(c.acquire().unwrap());
        let mut mine = false;
        let theirs = both(
            move || {
                early.failure();
                take()
            },
            || mine = take(),
        );
        assert!(mine != theirs, "one place was left");
        let seen = c.snapshot();
        assert_eq!(
            (seen.state, seen.generation, seen.trials_in_flight),
            (State::HalfOpen, 3, 2)
        );
    });
}

#[test]
fn a_trial_that_comes_back_frees_exactly_one_place() {
    model(|| {
        let (c, _) = due(|c| c);
        let trial = c.acquire().unwrap();
        let mut mine = false;
        both(
            move || trial.record(Outcome::neutral()),
            || mine = c.acquire().map(std::mem::forget).is_ok(),
        );
        let seen = c.snapshot();
        assert_eq!((seen.state, seen.trials_in_flight), (State::HalfOpen, u64::from(mine)));
    });
}

#[test]
fn of_a_good_and_a_bad_trial_the_first_decides_and_the_other_is_late() {
    long_model(|| {
        let (c, _) = due(|c| c.trials(1).concurrent_trials(2));
        let (good, bad) = (c.acquire().unwrap(), c.acquire().unwrap());
        both(move || good.success(), || bad.failure());
        let seen = c.snapshot();
        assert_eq!(seen.generation, 4);
        match seen.state {
            State::Closed => assert_eq!((seen.reason, seen.calls), (Reason::TrialsSucceeded, 0)),
            State::Open => assert_eq!(seen.reason, Reason::TrialFailed),
            other => panic!("{other}"),
        }
    });
}

#[test]
fn the_last_two_of_a_batch_decide_once() {
    long_model(|| {
        let (c, _) = due(|c| c.failure_rate_at_least(1.0).trial_batch(2));
        let (a, b) = (c.acquire().unwrap(), c.acquire().unwrap());
        both(move || a.failure(), || b.failure());
        let seen = c.snapshot();
        assert_eq!(
            (seen.state, seen.reason, seen.generation),
            (State::Open, Reason::BatchFailed, 4)
        );
        assert_eq!((seen.calls, seen.failures), (2, 2));
    });
}

/// Time goes on with each look at it: what looks later has a later time.
#[derive(Clone)]
struct Ticking(Arc<AtomicU64>);

impl Clock for Ticking {
    fn now_nanos(&self) -> u64 {
        self.0.fetch_add(1_000_000, Ordering::Relaxed)
    }
}

impl Ticking {
    fn last(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn a_hung_trials_deadline_can_not_be_extended_by_one_who_lost() {
    model(|| {
        let clock = Ticking(Arc::new(AtomicU64::new(0)));
        let c = Circuit::builder("loom")
            .totals(false)
            .consecutive_failures(1)
            .open_for(ms(1))
            .max_half_open(ms(1_000))
            .clock(clock.clone())
            .build()
            .unwrap();
        fail(c);
        // Half-open, with nobody out.
        while c.acquire().map(|trial| trial.record(Outcome::neutral())).is_err() {}
        ok(c);
        let take = {
            let clock = clock.clone();
            move || c.acquire().ok().map(|trial| (trial, clock.last()))
        };
        let mut mine = None;
        let theirs = both(take.clone(), || mine = take());
        assert!(mine.is_some() != theirs.is_some());
        let admitted = mine.as_ref().or(theirs.as_ref()).unwrap().1;
        let refused = c.acquire().unwrap_err();
        let deadline = clock.last() + refused.retry_after().unwrap();
        assert!(
            deadline <= admitted + ms(1_001),
            "{deadline:?} for one admitted by {admitted:?}"
        );
        std::mem::forget((mine, theirs));
    });
}

#[test]
fn two_failures_in_different_cells_of_the_ring_never_miss_a_trip() {
    long_model(|| {
        // 40 outcomes a cell: the next two places are the last of one and the first of another.
        let (c, _) = circuit(|c| {
            c.failure_rate_at_least(2.0 / 41.0)
                .window(Window::calls(41))
                .min_calls(41)
        });
        for _ in 0..39 {
            ok(c);
        }
        both(move || fail(c), || fail(c));
        let seen = c.snapshot();
        assert_eq!((seen.state, seen.generation, seen.failures), (State::Open, 2, 2));
    });
}

#[test]
fn two_failures_in_a_lifetime_never_miss_a_trip() {
    long_model(|| {
        let (c, _) = circuit(|c| c.failure_rate_at_least(1.0).window(Window::lifetime()).min_calls(2));
        both(move || fail(c), || fail(c));
        assert_eq!(c.state(), State::Open);
    });
}

#[test]
fn a_failure_is_never_left_under_a_clean_ring() {
    model(|| {
        let (c, _) = circuit(|c| c.failure_rate_above(0.9).window(Window::calls(2)).min_calls(2));
        ok(c);
        // This success ends the lap, so the ring may be found full and clean.
        both(move || ok(c), || fail(c));
        let (calls, failures) = figures(c);
        assert!(calls == 2 && failures <= 1);
        // If it were taken for clean, successes would not be recorded, and the failure would stay for ever.
        ok(c);
        ok(c);
        assert_eq!(figures(c), (2, 0));
    });
}

#[test]
fn a_failure_that_meets_a_clean_ring_counts_and_leaves_again() {
    model(|| {
        let (c, _) = circuit(|c| c.failure_rate_above(0.9).window(Window::calls(2)).min_calls(2));
        ok(c);
        ok(c);
        both(move || ok(c), || fail(c));
        assert!(figures(c).1 <= 1);
        ok(c);
        ok(c);
        assert_eq!(figures(c), (2, 0));
        fail(c);
        assert_eq!(figures(c), (2, 1));
    });
}

#[test]
fn a_lifetime_window_loses_no_outcome() {
    model(|| {
        let (c, _) = circuit(|c| c.failure_rate_above(0.9).window(Window::lifetime()).min_calls(100));
        both(
            move || {
                ok(c);
                fail(c);
            },
            || {
                ok(c);
                fail(c);
            },
        );
        assert_eq!(figures(c), (4, 2));
    });
}

/// A window of one slice, whose words hold outcomes of a slice that has gone; two threads write the first of the next.
fn turn_of_a_slice(slices_later: u64) {
    long_model(move || {
        let (c, clock) = circuit(|c| {
            c.failure_rate_above(0.9)
                .window(Window::time(ms(10)).buckets(1))
                .min_calls(100)
        });
        fail(c);
        clock.advance(ms(10 * slices_later));
        both(move || fail(c), || ok(c));
        assert_eq!(figures(c), (2, 1));
    });
}

#[test]
fn a_time_window_loses_no_outcome_at_the_turn_of_a_slice() {
    turn_of_a_slice(1);
}

#[test]
fn a_time_window_loses_no_outcome_when_it_looks_for_old_slices() {
    turn_of_a_slice(1 << 17);
}

#[test]
fn a_time_window_loses_no_outcome_after_a_long_silence() {
    // Not just when the short tick has come round to the same: there an outcome that races with the turn may be lost.
    turn_of_a_slice((1 << 20) + 1);
}

/// An outcome of before a reset lands while the next generation has begun to count.
fn early_outcome(window: Window) {
    long_model(move || {
        let (c, _) = circuit(|c| c.failure_rate_at_least(1.0).window(window).min_calls(2));
        fail(c);
        let early = c.acquire().unwrap();
        both(
            move || early.failure(),
            || {
                c.reset();
                ok(c);
            },
        );
        let seen = c.snapshot();
        assert_eq!((seen.state, seen.reason), (State::Closed, Reason::Reset));
        assert_eq!((seen.calls, seen.failures), (1, 0));
    });
}

#[test]
fn an_outcome_of_before_a_reset_changes_nothing_in_a_window_of_calls() {
    early_outcome(Window::calls(2));
}

#[test]
fn an_outcome_of_before_a_reset_changes_nothing_in_a_lifetime() {
    early_outcome(Window::lifetime());
}

#[test]
fn an_outcome_of_before_a_reset_changes_nothing_in_a_window_of_time() {
    early_outcome(Window::time(ms(10)).buckets(1));
}

#[test]
fn a_failure_against_a_reset_either_trips_first_or_is_late() {
    long_model(|| {
        let (c, _) = circuit(|c| c.consecutive_failures(1));
        let early = c.acquire().unwrap();
        both(move || early.failure(), || c.reset());
        let seen = c.snapshot();
        assert_eq!(
            (seen.state, seen.reason, seen.consecutive_failures),
            (State::Closed, Reason::Reset, Some(0))
        );
        assert!(seen.generation == 2 || seen.generation == 3);
    });
}

#[test]
fn a_snapshot_never_mixes_generations() {
    long_model(|| {
        let (c, _) = circuit(|c| c.consecutive_failures(1));
        both(
            move || {
                fail(c);
                c.reset();
            },
            || {
                let seen = c.snapshot();
                let is = (seen.state, seen.reason, seen.consecutive_failures);
                match seen.generation {
                    1 => assert_eq!(is, (State::Closed, Reason::Built, Some(0))),
                    2 => assert_eq!(is, (State::Open, Reason::ConsecutiveFailures, Some(1))),
                    3 => assert_eq!(is, (State::Closed, Reason::Reset, Some(0))),
                    other => panic!("generation {other}"),
                }
            },
        );
    });
}

#[test]
fn a_refusal_tells_the_reason_of_the_opening_it_met() {
    model(|| {
        let (c, _) = circuit(|c| c.consecutive_failures(1));
        both(
            move || fail(c),
            || {
                if let Err(refused) = c.acquire().map(std::mem::forget) {
                    assert_eq!(refused.opened_by(), Reason::ConsecutiveFailures);
                }
            },
        );
    });
}

#[test]
fn two_who_open_at_once_leave_the_record_of_the_one_who_won() {
    long_model(|| {
        let (c, _) = circuit(|c| c.consecutive_failures(1));
        let early = c.acquire().unwrap();
        both(move || early.failure(), || c.force_open());
        let seen = c.snapshot();
        assert_eq!((seen.state, seen.reason), (State::ForcedOpen, Reason::ForcedOpen));
    });
}

#[test]
fn a_probe_that_goes_down_at_the_deadline_is_never_left_with_a_half_open_circuit() {
    long_model(|| {
        let (c, _) = due(|c| c);
        both(move || drop(c.acquire()), || c.on_probe(false));
        let seen = c.snapshot();
        assert_eq!((seen.state, seen.next_try), (State::Open, None));
    });
}

#[test]
fn a_trip_while_a_probe_comes_up_is_never_held_for_ever() {
    long_model(|| {
        let (c, _) = circuit(|c| c.consecutive_failures(1));
        c.on_probe(false);
        c.reset();
        both(move || fail(c), || c.on_probe(true));
        let seen = c.snapshot();
        assert!(seen.state == State::HalfOpen || seen.next_try.is_some(), "{seen:?}");
    });
}

#[test]
fn a_probe_that_says_down_and_up_at_once_leaves_nothing_held() {
    long_model(|| {
        let (c, _) = circuit(|c| c.consecutive_failures(1));
        let (a, b) = (c.probe_link(), c.probe_link());
        a.report(false);
        both(
            move || a.report(true),
            || {
                b.report(false);
                b.report(true);
            },
        );
        let seen = c.snapshot();
        assert!(seen.state != State::Open || seen.next_try.is_some(), "{seen:?}");
    });
}

#[test]
fn a_link_that_goes_while_another_comes_down_leaves_the_circuit_held() {
    long_model(|| {
        let (c, _) = circuit(|c| c.consecutive_failures(1));
        let (gone, down) = (c.probe_link(), c.probe_link());
        gone.report(false);
        both(move || drop(gone), || down.report(false));
        let seen = c.snapshot();
        assert_eq!((seen.state, seen.next_try), (State::Open, None));
        std::mem::forget(down);
    });
}

struct Wakes(Notify);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Waits until it is ready; loom finds it dead when nobody wakes.
fn block_on(future: impl Future<Output = ()>) {
    let wakes = Arc::new(Wakes(Notify::new()));
    let waker = Waker::from(Arc::clone(&wakes));
    let mut future = pin!(future);
    while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        wakes.0.wait();
    }
}

#[test]
fn one_who_waits_for_the_opening_is_woken() {
    model(|| {
        let (c, _) = circuit(|c| c.consecutive_failures(1));
        both(move || block_on(c.opened()), || fail(c));
    });
}

// On one thread: where two push to the list while a third frees its nodes, an address may be used again, and loom wants
// every run to be the same.
#[test]
fn two_who_wait_are_both_woken() {
    model(|| {
        let (c, _) = circuit(|c| c.consecutive_failures(1));
        both(
            move || {
                let (mut first, mut second) = (Some(Box::pin(c.opened())), Some(Box::pin(c.opened())));
                block_on(std::future::poll_fn(move |cx| {
                    for waits in [&mut first, &mut second] {
                        if waits.as_mut().is_some_and(|opened| opened.as_mut().poll(cx).is_ready()) {
                            *waits = None;
                        }
                    }
                    if first.is_none() && second.is_none() {
                        std::task::Poll::Ready(())
                    } else {
                        std::task::Poll::Pending
                    }
                }));
            },
            || fail(c),
        );
    });
}

#[test]
fn one_who_waits_for_a_free_trial_is_woken_when_one_comes_back() {
    long_model(|| {
        let (c, _) = due(|c| c);
        let trial = c.acquire().unwrap();
        both(
            move || {
                let mut watch = c.watch();
                block_on(std::future::poll_fn(|cx| {
                    watch.wake_on_change(cx);
                    match c.readiness() {
                        Ok(()) => std::task::Poll::Ready(()),
                        Err(_) => std::task::Poll::Pending,
                    }
                }));
            },
            || trial.record(Outcome::neutral()),
        );
    });
}

/// While `old` makes a call, its slot is given to another circuit, which is tripped if `trip`. The call is admitted at any
/// moment and changes nothing in the other circuit.
fn given_away_amid(at_most: usize, call: fn(Circuit), trip: bool) {
    preempted(at_most, move || {
        let build = || {
            circuit(|c| {
                c.consecutive_failures(1)
                    .failure_rate_above(0.9)
                    .window(Window::calls(2))
            })
            .0
        };
        let old = build();
        let other = thread::spawn(move || call(old));
        // A call of before may have tripped it: all the same.
        assert!(old.retire());
        let new = build();
        if trip {
            fail(new);
        }
        other.join().unwrap();
        let seen = new.snapshot();
        assert_eq!(old.state(), State::Retired);
        if trip {
            assert_eq!((seen.state, seen.reason), (State::Open, Reason::ConsecutiveFailures));
            assert_eq!((seen.calls, seen.failures), (1, 1));
        } else {
            assert_eq!((seen.state, seen.reason), (State::Closed, Reason::Built));
            assert_eq!((seen.calls, seen.failures, seen.consecutive_failures), (0, 0, Some(0)));
        }
    });
}

#[test]
fn a_failure_through_an_old_handle_changes_nothing_in_the_slots_next_circuit() {
    given_away_amid(2, |old| old.acquire().unwrap().failure(), false);
}

#[test]
fn a_success_through_an_old_handle_changes_nothing_in_the_slots_next_circuit() {
    given_away_amid(3, |old| old.acquire().unwrap().success(), false);
}

#[test]
fn an_old_handle_is_not_refused_when_the_slots_next_circuit_opens() {
    given_away_amid(3, |old| old.acquire().unwrap().record(Outcome::neutral()), true);
}

#[test]
fn an_old_handle_is_never_told_that_a_call_would_be_refused() {
    given_away_amid(3, |old| assert_eq!(old.refusing(), None), true);
}

/// While `old` does `late`, its slot is given to another circuit: that one's totals and last failure are its own.
fn counted_amid(late: fn(Permit)) {
    model(move || {
        let build = || circuit(|c| c.consecutive_failures(9).totals(true).stamp_failures(true));
        let (old, clock) = build();
        clock.advance(ms(77));
        let permit = old.acquire().unwrap();
        let other = thread::spawn(move || late(permit));
        assert!(old.retire());
        let (new, clock) = build();
        other.join().unwrap();
        assert_eq!(new.totals(), Some(<_>::default()));
        assert_eq!(new.snapshot().last_failure, None);
        assert_eq!(old.totals(), None);
        new.acquire().unwrap().failure();
        clock.advance(ms(3));
        let seen = new.snapshot();
        assert_eq!(seen.totals.unwrap().failures, 1);
        assert_eq!(seen.last_failure, Some(ms(3)));
    });
}

#[test]
fn a_late_failure_is_not_in_the_totals_of_the_slots_next_circuit() {
    counted_amid(Permit::failure);
}

#[test]
fn a_late_success_is_not_in_the_totals_of_the_slots_next_circuit() {
    counted_amid(Permit::success);
}

#[test]
fn a_late_cancellation_is_not_in_the_totals_of_the_slots_next_circuit() {
    counted_amid(drop);
}

#[test]
fn a_late_refusal_is_not_in_the_totals_of_the_slots_next_circuit() {
    model(|| {
        let build = || circuit(|c| c.totals(true)).0;
        let old = build();
        old.force_open();
        let other = thread::spawn(move || drop(old.acquire()));
        assert!(old.retire());
        let new = build();
        other.join().unwrap();
        assert_eq!(new.totals(), Some(<_>::default()));
    });
}

#[test]
fn a_slow_thread_leaves_the_clock_of_a_slots_next_circuit_alone() {
    long_model(|| {
        let build = || {
            circuit(|c| {
                c.failure_rate_above(0.9)
                    .window(Window::time(ms(100)).buckets(2))
                    .min_calls(9)
            })
        };
        let (old, clock) = build();
        let permit = old.acquire().unwrap();
        clock.advance(ms(1_000_000));
        let other = thread::spawn(move || permit.failure());
        old.retire();
        let (new, clock) = build();
        other.join().unwrap();
        clock.advance(ms(50));
        fail(new);
        assert_eq!(figures(new), (1, 1));
        clock.advance(ms(200));
        assert_eq!(figures(new), (0, 0));
    });
}
