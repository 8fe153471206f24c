//! Real threads: what must hold after they are quiet.
#![cfg(feature = "std")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use state_core::{CircuitBuilder, Outcome, State, Window};
use support::{Bench, bench, ms, secs};

const THREADS: u64 = 4;

/// Runs `work` on several threads at once, each with its number.
fn together(b: &Bench, work: impl Fn(&Bench, u64) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(b, thread));
        }
    });
}

/// Numbers as good as random, for each thread its own.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }
}

#[test]
fn totals_and_windows_are_exact_after_quiet() {
    for window in [Window::lifetime(), Window::calls(65_536), Window::time(secs(60))] {
        for round in 0..20 {
            let b = bench(|c| c.failure_rate_above(0.99).window(window).min_calls(65_000));
            let failed = AtomicU64::new(0);
            together(&b, |b, thread| {
                let mut dice = Dice::new(thread * 77 + round + 1);
                for _ in 0..1_000 {
                    if dice.roll() % 3 == 0 {
                        failed.fetch_add(1, Ordering::Relaxed);
                        b.fails(1);
                    } else {
                        b.oks(1);
                    }
                }
            });
            let failed = failed.into_inner();
            assert_eq!(b.figures(), (THREADS * 1_000, failed, 0), "{window:?}");
            let totals = b.circuit.totals().unwrap();
            assert_eq!(
                (totals.successes + totals.failures, totals.failures),
                (THREADS * 1_000, failed)
            );
        }
    }
}

#[test]
fn a_window_of_calls_that_others_overwrite_is_exact_once_it_is_filled_in_peace() {
    for n in [10, 41, 100] {
        let b = bench(|c| c.failure_rate_above(0.99).window(Window::calls(n)).min_calls(n));
        for _ in 0..10 {
            together(&b, |b, thread| {
                let mut dice = Dice::new(thread + 1);
                for _ in 0..2_000 {
                    b.call(if dice.roll() % 16 == 0 {
                        Outcome::failure()
                    } else {
                        Outcome::success()
                    });
                }
            });
            let seen = b.circuit.snapshot();
            assert_eq!((seen.state, seen.calls), (State::Closed, u64::from(n)));
            b.oks(n as usize);
            assert_eq!(b.figures(), (u64::from(n), 0, 0));
            b.fails(n as usize - 1);
            assert_eq!(b.figures(), (u64::from(n), u64::from(n) - 1, 0));
        }
    }
}

#[test]
fn permits_never_leak_while_states_come_and_go() {
    let policies: [fn(CircuitBuilder) -> CircuitBuilder; 4] = [
        |c| c.trials(3).concurrent_trials(2),
        |c| c.failure_rate_above(0.5).trial_batch(5),
        |c| {
            c.failure_rate_above(0.3)
                .window(Window::time(ms(50)))
                .ramp(ms(20), 0.3, 5)
        },
        |c| c.slow_call_rate_above(0.5, ms(2)).trials(2).concurrent_trials(3),
    ];
    for policy in policies {
        let b = bench(|c| policy(c.open_for(ms(3)).max_half_open(secs(3_600)).consecutive_failures(3)));
        let out = AtomicU64::new(0);
        together(&b, |b, thread| {
            let mut dice = Dice::new(thread + 11);
            let mut mine = Vec::new();
            for _ in 0..10_000 {
                match dice.roll() % 64 {
                    0 => b.circuit.force_open(),
                    1 | 2 => drop(b.circuit.release()),
                    3 => b.circuit.reset(),
                    4..20 => b.advance(ms(1)),
                    20..30 => drop(mine.pop()),
                    30 => b.circuit.on_probe(dice.roll() % 2 == 0),
                    _ => {
                        if let Ok(permit) = b.circuit.acquire() {
                            mine.push(permit);
                        }
                        if mine.len() > 2 {
                            let outcome = match dice.roll() % 4 {
                                0 => Outcome::failure(),
                                1 => Outcome::neutral(),
                                _ => Outcome::success(),
                            };
                            mine.remove(0).record(outcome);
                        }
                    }
                }
                let seen = b.circuit.snapshot();
                assert!(seen.failures <= seen.calls);
                out.fetch_max(seen.trials_in_flight, Ordering::Relaxed);
            }
        });
        assert!(out.into_inner() <= 5);
        let seen = b.circuit.snapshot();
        assert_eq!(seen.trials_in_flight, 0, "{seen:?}");
        // And it heals.
        b.circuit.on_probe(true);
        b.circuit.release();
        let healed = (0..20).any(|_| {
            b.advance(ms(25));
            (0..10).for_each(|_| {
                b.ok();
            });
            b.state() == State::Closed
        });
        assert!(healed, "{:?}", b.circuit.snapshot());
    }
}

#[test]
fn never_more_trials_are_out_than_allowed() {
    for concurrent in [1, 2] {
        let b = bench(|c| {
            c.consecutive_failures(1)
                .trials(500)
                .concurrent_trials(concurrent)
                .open_for(ms(1))
                .max_half_open(secs(3_600))
        });
        b.fails(1);
        b.advance(ms(1));
        let out = AtomicU64::new(0);
        together(&b, |b, _| {
            for _ in 0..5_000 {
                if let Ok(permit) = b.circuit.acquire() {
                    assert!(out.fetch_add(1, Ordering::SeqCst) < u64::from(concurrent));
                    std::hint::spin_loop();
                    out.fetch_sub(1, Ordering::SeqCst);
                    permit.record(Outcome::neutral());
                }
            }
        });
        assert_eq!(b.circuit.snapshot().trials_in_flight, 0);
    }
}

#[test]
fn waiters_hear_of_every_opening() {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};

    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let b = bench(|c| c.consecutive_failures(1));
    for _ in 0..300 {
        b.circuit.reset();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let circuit = b.circuit;
                scope.spawn(move || {
                    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
                    let mut opened = pin!(circuit.opened());
                    while opened.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                        std::thread::park();
                    }
                });
            }
            b.fails(1);
        });
    }
}
