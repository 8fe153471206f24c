//! Attacks that once succeeded. Those that need a race are tried many times.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use state_core::{
    Circuit, CircuitBuilder, Clock, EwmaWeights, ManualClock, Outcome, Permit, Reason, RefusalReason, State, Window,
};
use support::{bench, secs};

/// A clock that shows what it is set to, also what was before.
#[derive(Clone)]
struct Loose(Arc<AtomicU64>);

impl Clock for Loose {
    fn now_nanos(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_window_of_time_still_trips_after_the_clock_has_jumped_ahead_and_come_back() {
    let now = 1_000_000_000_000;
    for far in [now + 11_000_000_000, 1 << 50, 1 << 60, u64::MAX] {
        let clock = Loose(Arc::new(AtomicU64::new(now)));
        let circuit = Circuit::builder("attacked")
            .failure_rate_above(0.5)
            .window(Window::time(secs(10)))
            .clock(clock.clone())
            .build()
            .unwrap();
        for reading in [now, far, now] {
            clock.0.store(reading, Ordering::Relaxed);
            circuit.acquire().unwrap().success();
        }
        for at in 0..10 {
            clock.0.fetch_add(500_000_000, Ordering::Relaxed);
            match circuit.acquire() {
                Ok(permit) => permit.failure(),
                Err(_) => assert!(at > 2, "opened after {at} failures, having jumped to {far}"),
            }
        }
        assert_ne!(
            circuit.snapshot().generation % 2,
            1,
            "still closed after a jump to {far}"
        );
    }
}

#[test]
fn a_moving_rate_reaches_every_limit_that_is_accepted() {
    let weights = EwmaWeights::default();
    for (above, failure_keep) in [(0.999_999, 0.9), (0.999_9, 0.999), (0.98, 0.999_99)] {
        let b = bench(|c| {
            c.ewma(
                above,
                EwmaWeights {
                    failure_keep,
                    ..weights
                },
            )
        });
        let tripped = (0..2_000_000).any(|_| !b.fail());
        assert!(tripped, "{above} was never reached with {failure_keep}");
    }
}

#[test]
fn a_moving_rate_that_its_bits_can_not_hold_is_refused() {
    let weights = EwmaWeights::default();
    let near = 0.999_999_99;
    let failure_keep = EwmaWeights {
        failure_keep: near,
        ..weights
    };
    let success_keep = EwmaWeights {
        success_keep: near,
        ..weights
    };
    for (field, above, weights) in [
        ("ewma", near, weights),
        ("ewma.failure_keep", 0.5, failure_keep),
        ("ewma.success_keep", 0.5, success_keep),
    ] {
        let error = Circuit::builder("attacked").ewma(above, weights).build().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "circuit \"attacked\": {field} = 0.99999999 is nearer to 1 than 22 bits can tell; it must be at most \
                 0.9999996"
            )
        );
    }
}

#[test]
fn a_probe_of_a_retired_circuit_holds_nobody_elses_open() {
    let (send, receive) = mpsc::sync_channel::<(Circuit, Arc<AtomicU32>)>(0);
    let reporter = std::thread::spawn(move || {
        for (circuit, turn) in receive {
            let link = circuit.probe_link();
            turn.store(1, Ordering::SeqCst);
            link.report(false);
            circuit.on_probe(false);
            turn.store(2, Ordering::SeqCst);
        }
    });
    // Another layout than the other tests', so that no other takes the slot.
    let build = || {
        let policy = Circuit::builder("attacked").failure_rate_above(0.0).min_calls(1);
        policy
            .window(Window::calls(4_999))
            .totals(false)
            .clock(ManualClock::new())
            .build()
            .unwrap()
    };
    for round in 0..10_000 {
        let former = build();
        let turn = Arc::new(AtomicU32::new(0));
        send.send((former, Arc::clone(&turn))).unwrap();
        while turn.load(Ordering::SeqCst) < 1 {
            std::thread::yield_now();
        }
        for _ in 0..round % 64 {
            std::hint::spin_loop();
        }
        former.retire();
        let next = build();
        while turn.load(Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
        next.acquire().unwrap().failure();
        assert!(next.snapshot().next_try.is_some(), "held open in round {round}");
        next.on_probe(false);
        assert!(
            next.snapshot().next_try.is_none(),
            "its own probe counts nothing in round {round}"
        );
        next.retire();
    }
    drop(send);
    reporter.join().unwrap();
}

#[test]
fn nothing_panics_at_the_ends_of_time_and_of_every_count() {
    let year = secs(365 * 24 * 3600);
    let policies: [fn(state_core::CircuitBuilder) -> state_core::CircuitBuilder; 6] = [
        |c| c,
        |c| {
            c.policy(state_core::Policy::ratio_in_time(
                0.5,
                secs(10),
                secs(31_536_000),
                secs(31_536_000),
            ))
        },
        |c| {
            let slow = c.slow_call_rate_above(0.1, Duration::from_nanos(1));
            slow.window(Window::lifetime())
                .backoff(1e308, secs(31_536_000))
                .jitter(0.999_999)
        },
        |c| {
            let rate = c.failure_rate_above(0.0).min_calls(1).trial_batch(511);
            rate.window(Window::time(Duration::from_millis(1)).buckets(256))
        },
        |c| {
            c.consecutive_failures(1)
                .trials(511)
                .concurrent_trials(511)
                .grace(secs(31_536_000))
        },
        |c| {
            c.consecutive_failures(1)
                .open_until_probe()
                .max_half_open(Duration::from_millis(1))
        },
    ];
    for policy in policies {
        let b = bench(policy);
        for step in [
            Duration::ZERO,
            Duration::from_nanos(1),
            secs(1),
            year,
            year * 20,
            year * 200,
            Duration::MAX,
        ] {
            b.advance(step);
            for at in 0..600 {
                b.circuit.on_probe(at % 7 != 0);
                match b.circuit.acquire() {
                    Err(refused) => assert!(!refused.to_string().is_empty()),
                    Ok(permit) => match at % 5 {
                        0 => permit.failure(),
                        1 => permit.record(Outcome::failure().retry_after(Duration::MAX)),
                        2 => permit.record(Outcome::throttled()),
                        3 => drop(permit),
                        _ => std::mem::forget(permit),
                    },
                }
                let seen = b.circuit.snapshot();
                assert!(seen.failures + seen.successes == seen.calls && seen.slow <= seen.calls);
                match at % 150 {
                    50 => b.circuit.metrics_only(),
                    60 => b.circuit.reset(),
                    70 => b.circuit.force_open(),
                    80 => assert!(b.circuit.release()),
                    _ => {}
                }
            }
        }
        assert_ne!(b.state(), State::Retired);
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_misspelt_field_inside_a_policy_is_refused() {
    for (wrong, text) in [
        ("jitter", r#"{"backoff":{"factor":2,"max":"300 s","jitter":0.5}}"#),
        ("sucess_keep", r#"{"ewma":{"above":0.5,"weights":{"sucess_keep":0.7}}}"#),
        ("weight", r#"{"ewma":{"above":0.5,"weight":{"success_keep":0.7}}}"#),
        (
            "seed",
            r#"{"half_open":{"ramp":{"over":"10 s","failure_rate":0.5,"min_calls":5,"seed":1}}}"#,
        ),
        ("bucket", r#"{"window":{"time":{"span":"10 s","bucket":5}}}"#),
        (
            "than",
            r#"{"slow_call_rate":{"rate":{"above":0.5},"after":"1 s","than":1}}"#,
        ),
    ] {
        let error = serde_json::from_str::<state_core::Policy>(text)
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("unknown field `{wrong}`")), "{error}");
    }
}

#[cfg(feature = "std")]
mod observers {
    use std::sync::atomic::AtomicBool;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use state_core::{Event, flush_events, lost_events};

    use super::*;

    /// All circuits share the thread that delivers.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the generation of the last transition that it was told of.
    fn last(circuit: Circuit) -> Arc<AtomicU64> {
        let last = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&last);
        circuit.observe(move |event: &Event| {
            if let Event::Transition(transition) = event {
                told.store(transition.generation, Ordering::SeqCst);
            }
        });
        last
    }

    #[test]
    fn events_go_on_after_some_were_lost() {
        let _alone = alone();
        let b = bench(|c| c);
        let gate = Arc::new(Mutex::new(()));
        let shut = gate.lock().unwrap();
        let wait = Arc::clone(&gate);
        b.circuit.observe(move |_: &Event| drop(wait.lock()));
        let last = last(b.circuit);
        let (kept, held) = (Arc::new(()), bench(|c| c).circuit);
        let witness = Arc::clone(&kept);
        held.observe(move |_: &Event| assert!(Arc::strong_count(&witness) > 0));
        for round in 0.. {
            b.circuit.force_open();
            b.circuit.release();
            if round > 40_000 && lost_events() > 100 {
                break;
            }
        }
        held.retire();
        drop(shut);
        assert!(flush_events(secs(30)));
        for _ in 0..3 {
            b.circuit.force_open();
            b.circuit.release();
            assert!(flush_events(secs(30)));
            assert_eq!(last.load(Ordering::SeqCst), b.circuit.snapshot().generation);
        }
        assert_eq!(
            Arc::strong_count(&kept),
            1,
            "the word that a circuit was retired is lost, its observer stays"
        );
    }

    #[test]
    fn one_who_joins_amid_transitions_is_told_from_then_on() {
        let _alone = alone();
        for round in 0..200 {
            let circuit = bench(|c| c).circuit;
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = Arc::clone(&stop);
            let busy = std::thread::spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    circuit.force_open();
                    circuit.release();
                }
            });
            std::thread::yield_now();
            let last = last(circuit);
            stop.store(true, Ordering::Relaxed);
            busy.join().unwrap();
            circuit.force_open();
            assert!(flush_events(secs(30)));
            assert_eq!(
                last.load(Ordering::SeqCst),
                circuit.snapshot().generation,
                "round {round}"
            );
            circuit.retire();
        }
    }

    /// Panics when it is dropped.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "a bomb");
        }
    }

    #[test]
    fn an_observer_whose_panic_panics_harms_nobody() {
        let _alone = alone();
        let b = bench(|c| c.observer(|_: &Event| std::panic::panic_any(Bomb)));
        let last = last(b.circuit);
        b.circuit.force_open();
        assert!(flush_events(secs(30)));
        assert_eq!(last.load(Ordering::SeqCst), b.circuit.snapshot().generation);
        assert_eq!(b.circuit.snapshot().observer_panics, 1);
    }

    #[test]
    fn an_observer_that_panics_when_it_goes_harms_nobody() {
        let _alone = alone();
        let bomb = Bomb;
        let b = bench(|c| c.observer(move |_: &Event| assert_eq!(size_of_val(&bomb), 0)));
        let other = bench(|c| c).circuit;
        let last = last(other);
        b.circuit.retire();
        assert!(flush_events(secs(30)));
        other.force_open();
        assert!(flush_events(secs(30)));
        assert_eq!(last.load(Ordering::SeqCst), other.snapshot().generation);
    }
}

#[test]
fn a_refusal_tells_why_the_circuit_last_opened_though_it_is_half_open_or_closed_by_now() {
    let b = bench(|c| c.consecutive_failures(2).open_for(secs(1)));
    b.fails(2);
    b.advance(secs(1));
    let trial = b.circuit.acquire().unwrap();
    let busy = b.circuit.acquire().unwrap_err();
    assert_eq!(
        (busy.reason(), busy.opened_by()),
        (RefusalReason::TrialsBusy, Reason::ConsecutiveFailures)
    );
    drop(trial);
    let told = |b: &support::Bench| {
        let refused = b.circuit.refuse(RefusalReason::Open);
        (refused.opened_by(), refused.to_string())
    };
    let why = "circuit \"test\" is open: 2 failures in a row; next try in 0 ms";
    assert_eq!(told(&b), (Reason::ConsecutiveFailures, why.into()));
    b.circuit.reset();
    b.fails(2);
    b.circuit.reset();
    assert_eq!(told(&b), (Reason::ConsecutiveFailures, why.into()));
    // Nothing is left of it: nothing is made up.
    b.circuit.reset();
    assert_eq!(told(&b).1, "circuit \"test\" is open; next try in 0 ms");
}

/// Everything that a copy of a retired handle can do, and a permit of it.
fn misuse(old: Circuit, permits: Vec<Permit>) {
    for (at, permit) in permits.into_iter().enumerate() {
        match at % 4 {
            0 => permit.success(),
            1 => permit.failure(),
            2 => permit.record(Outcome::throttled().retry_after(secs(60))),
            _ => drop(permit),
        }
    }
    for outcome in [
        Outcome::success(),
        Outcome::failure().retry_after(secs(60)),
        Outcome::throttled(),
        Outcome::neutral(),
    ] {
        old.acquire().unwrap().record(outcome);
        old.acquire_when_ready().unwrap().record(outcome);
        if let Some(permit) = old.acquire_closed() {
            permit.record(outcome);
        }
    }
    drop(old.acquire().unwrap());
    assert!(old.readiness().is_ok());
    assert_eq!(old.refusing(), None);
    assert_eq!(old.state(), State::Retired);
    let refused = old.refuse(RefusalReason::TrialsBusy);
    assert_eq!(refused.retry_after(), Some(Duration::ZERO));
    assert!(!refused.to_string().is_empty());
    old.force_open();
    old.disable();
    old.metrics_only();
    old.on_probe(false);
    old.on_probe(true);
    old.probe_link().report(false);
    assert!(!old.release() && !old.retire());
    old.reset();
    let _ = (old.snapshot(), format!("{old:?}"));
}

#[test]
fn old_handles_and_their_permits_change_nothing_in_a_reused_slot_whatever_its_state_and_window() {
    type Set = fn(CircuitBuilder) -> CircuitBuilder;
    let slow: Set = |c| c.slow_call_rate_above(0.9, secs(1));
    let rules: [Set; 5] = [
        |c| c.consecutive_failures(1),
        |c| c.consecutive_failures(1).failure_rate_above(0.9),
        |c| c.consecutive_failures(1).slow_call_rate_above(0.9, secs(1)),
        |c| c.consecutive_failures(1).ewma(0.9, EwmaWeights::default()),
        |c| c.consecutive_failures(1).evaluate_on_every_outcome(),
    ];
    let windows: [Set; 4] = [
        |c| c,
        |c| c.failure_rate_above(0.9).window(Window::calls(1_111)),
        |c| c.failure_rate_above(0.9).window(Window::lifetime()),
        |c| c.failure_rate_above(0.9).window(Window::time(secs(17)).buckets(17)),
    ];
    let states: [fn(&support::Bench); 9] = [
        |_| {},
        |b| b.oks(1_111),
        |b| b.fails(1),
        |b| b.to_half_open(secs(30)),
        |b| {
            b.to_half_open(secs(30));
            std::mem::forget(b.circuit.acquire().unwrap());
        },
        |b| b.circuit.force_open(),
        |b| b.circuit.disable(),
        |b| b.circuit.metrics_only(),
        |b| b.circuit.on_probe(false),
    ];
    for (rule, window) in rules
        .iter()
        .flat_map(|rule| windows.iter().map(move |window| (rule, window)))
    {
        for (state, totals, old_is_slow) in states
            .iter()
            .flat_map(|state| [(state, true, false), (state, false, true), (state, true, true)])
        {
            let old = bench(|c| {
                let c = window(c).totals(totals);
                // A slow rule wants a ring of twice the cells: where there is one the slots differ.
                if old_is_slow { slow(c) } else { rule(c) }
            });
            // Past every deadline of the other's, or before.
            old.advance(secs(if old_is_slow { 1_000_000 } else { 0 }));
            let mut permits: Vec<_> = (0..8).map(|_| old.circuit.acquire().unwrap()).collect();
            old.circuit.retire();
            permits.extend((0..8).map(|_| old.circuit.acquire().unwrap()));
            let new = bench(|c| rule(window(c)).totals(totals));
            permits.extend((0..8).map(|_| old.circuit.acquire().unwrap()));
            state(&new);
            permits.extend((0..8).map(|_| old.circuit.acquire().unwrap()));
            let before = format!("{:?}", new.circuit.snapshot());
            misuse(old.circuit, permits);
            assert_eq!(format!("{:?}", new.circuit.snapshot()), before);
            new.circuit.retire();
        }
    }
}
