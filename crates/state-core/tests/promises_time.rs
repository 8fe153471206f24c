//! The contract, "Time": each sentence a test.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use state_core::{Circuit, CircuitBuilder, Clock, EwmaWeights, Outcome, Policy, State, Window};
use support::{CountedClock, bench, ms, secs};

fn counted(policy: impl FnOnce(CircuitBuilder) -> CircuitBuilder) -> (Circuit, CountedClock) {
    let clock = CountedClock::default();
    let circuit = policy(Circuit::builder("counted"))
        .clock(clock.clone())
        .build()
        .unwrap();
    (circuit, clock)
}

#[test]
fn configurations_with_no_time_in_them_do_not_read_a_clock_while_closed() {
    let policies: [fn(CircuitBuilder) -> CircuitBuilder; 6] = [
        |c| c,
        |c| c.consecutive_failures(10),
        |c| c.policy(Policy::failure_rate(0.5)),
        |c| c.failure_rate_above(0.5).window(Window::calls(50)),
        |c| c.ewma(0.5, EwmaWeights::default()),
        |c| c.failure_rate_at_least(0.9).evaluate_on_every_outcome(),
    ];
    for policy in policies {
        let (circuit, clock) = counted(policy);
        let before = clock.reads();
        for at in 0..500 {
            let permit = circuit.acquire().unwrap();
            match at % 5 {
                0 => permit.failure(),
                1 => permit.record(Outcome::neutral()),
                2 => drop(permit),
                _ => permit.success(),
            }
            assert!(circuit.readiness().is_ok());
            assert_eq!(circuit.state(), State::Closed);
        }
        assert_eq!(clock.reads() - before, 0);
    }
}

#[test]
fn a_time_window_reads_the_clock_once_a_call_and_a_slow_rule_twice() {
    let (circuit, clock) = counted(|c| c.failure_rate_above(0.5).window(Window::time(secs(10))));
    circuit.acquire().unwrap().success();
    let before = clock.reads();
    for _ in 0..100 {
        circuit.acquire().unwrap().success();
    }
    assert_eq!(clock.reads() - before, 100);
    let (circuit, clock) = counted(|c| c.slow_call_rate_above(0.5, secs(1)).window(Window::time(secs(10))));
    circuit.acquire().unwrap().success();
    let before = clock.reads();
    for _ in 0..100 {
        circuit.acquire().unwrap().success();
    }
    assert_eq!(clock.reads() - before, 200);
}

#[test]
fn a_refusal_reads_the_clock_once() {
    let (circuit, clock) = counted(|c| c.consecutive_failures(1));
    circuit.acquire().unwrap().failure();
    let before = clock.reads();
    for _ in 0..100 {
        assert!(circuit.acquire().is_err());
    }
    assert_eq!(clock.reads() - before, 100);
}

#[test]
fn nothing_reads_a_clock_behind_its_back() {
    // The manual clock stands still: whatever time it takes here, nothing moves.
    let b = bench(|c| {
        c.slow_call_rate_above(0.5, ms(1))
            .window(Window::time(ms(10)))
            .open_for(ms(1))
    });
    b.fails(4);
    let mut spun = 0_u64;
    for n in 0..3_000_000_u64 {
        spun = spun.wrapping_mul(31).wrapping_add(std::hint::black_box(n));
    }
    std::hint::black_box(spun);
    assert_eq!(b.figures(), (4, 4, 0));
    assert_eq!(b.circuit.snapshot().since, std::time::Duration::ZERO);
}

/// A clock that does what clocks must not do.
struct Wild(Arc<AtomicU64>);

impl Clock for Wild {
    fn now_nanos(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_clock_that_goes_back_or_jumps_harms_nothing() {
    let time = Arc::new(AtomicU64::new(1 << 40));
    let circuit = Circuit::builder("wild")
        .failure_rate_above(0.5)
        .slow_call_rate_above(0.9, ms(1))
        .window(Window::time(secs(1)))
        .open_for(secs(1))
        .clock(Wild(Arc::clone(&time)))
        .build()
        .unwrap();
    let mut random = 99_u64;
    for _ in 0..100_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let to = match random >> 61 {
            0 => 0,
            1 => u64::MAX,
            2 => random,
            _ => (1 << 40) + (random >> 30),
        };
        let permit = circuit.acquire();
        time.store(to, Ordering::Relaxed);
        match permit {
            Ok(permit) if random & 256 == 0 => permit.failure(),
            Ok(permit) => permit.success(),
            Err(refused) => drop(refused.to_string()),
        }
        let seen = circuit.snapshot();
        assert!(seen.failures <= seen.calls && seen.slow <= seen.calls);
    }
    // Back to a clock that behaves: it works as ever.
    circuit.reset();
    time.store(u64::MAX - (1 << 50), Ordering::Relaxed);
    circuit.reset();
    circuit.force_open();
    circuit.release();
    assert_eq!(circuit.state(), State::Closed);
    assert!(circuit.acquire().is_ok());
}

#[test]
fn a_clock_that_stands_still_never_ends_an_open_state() {
    let b = bench(|c| c.consecutive_failures(1).open_for(ms(1)));
    b.fails(1);
    for _ in 0..1_000 {
        assert!(!b.ok());
    }
}

#[test]
fn an_anchor_late_in_a_clocks_life_is_as_good_as_an_early_one() {
    let clock = state_core::ManualClock::new();
    clock.advance(secs(500 * 365 * 86_400));
    let circuit = Circuit::builder("late")
        .failure_rate_above(0.5)
        .window(Window::time(secs(10)))
        .open_for(secs(1))
        .clock(clock.clone())
        .build()
        .unwrap();
    for _ in 0..5 {
        circuit.acquire().unwrap().failure();
    }
    assert_eq!(circuit.state(), State::Open);
    clock.advance(secs(1));
    assert_eq!(circuit.state(), State::HalfOpen);
}

#[cfg(feature = "std")]
#[test]
fn the_systems_monotonic_clock_is_the_default() {
    let circuit = Circuit::builder("system")
        .consecutive_failures(1)
        .open_for(ms(20))
        .trials(1)
        .build()
        .unwrap();
    circuit.acquire().unwrap().failure();
    assert!(circuit.acquire().is_err());
    // Time goes on by itself.
    let mut tries = 0_u64;
    while circuit.acquire().map(state_core::Permit::success).is_err() {
        tries += 1;
        std::thread::yield_now();
    }
    assert!(tries > 0);
    assert_eq!(circuit.state(), State::Closed);
}
