//! The contract, "Windows": each sentence a test.

mod support;

#[cfg(feature = "std")]
use state_core::{Circuit, ManualClock};
use state_core::{Outcome, State, Window};
use support::{almost, bench, ms, secs};

#[test]
fn lifetime_is_everything_since_the_circuit_last_closed() {
    let b = bench(|c| {
        c.failure_rate_above(0.9)
            .window(Window::lifetime())
            .trials(1)
            .open_for(secs(1))
    });
    b.oks(70_000);
    b.fails(30_000);
    assert_eq!(b.figures(), (100_000, 30_000, 0));
    b.advance(secs(1_000_000));
    assert_eq!(b.figures(), (100_000, 30_000, 0), "time takes nothing from it");
    b.circuit.on_probe(false);
    b.circuit.on_probe(true);
    b.ok();
    assert_eq!((b.state(), b.figures()), (State::Closed, (0, 0, 0)));
    b.oks(3);
    assert_eq!(b.figures(), (3, 0, 0));
}

#[test]
fn calls_are_the_last_n_recorded_outcomes() {
    for n in [1, 2, 10, 39, 40, 41, 80, 100, 257] {
        let b = bench(|c| c.failure_rate_above(0.999).window(Window::calls(n)).min_calls(n));
        let mut last = std::collections::VecDeque::new();
        let mut random = 12_345_u64;
        for at in 0..2_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(at | 1);
            // Never all failed, so that it stays closed.
            let failed = random >> 62 == 0 && at % 2 == 0 && n > 1;
            b.call(if failed { Outcome::failure() } else { Outcome::success() });
            last.push_back(failed);
            if last.len() > n as usize {
                last.pop_front();
            }
            let failures = last.iter().filter(|failed| **failed).count() as u64;
            assert_eq!(b.figures(), (last.len() as u64, failures, 0), "n {n} at {at}");
        }
    }
}

#[test]
fn after_10_000_successes_n_failures_fill_it() {
    let b = bench(|c| c.failure_rate_at_least(1.0).window(Window::calls(10)));
    b.oks(10_000);
    b.fails(9);
    assert_eq!((b.state(), b.figures()), (State::Closed, (10, 9, 0)));
    b.fails(1);
    assert_eq!((b.state(), b.figures()), (State::Open, (10, 10, 0)));
}

#[test]
fn after_10_000_successes_a_window_of_10_calls_opens_within_10_failures() {
    for (rate, enough) in [(0.0, 1), (0.1, 2), (0.5, 6), (0.9, 10)] {
        let b = bench(|c| c.failure_rate_above(rate).window(Window::calls(10)));
        b.oks(10_000);
        let failures = (1..=10).find(|_| {
            b.fails(1);
            b.state() == State::Open
        });
        assert_eq!(failures, Some(enough));
    }
}

#[test]
fn min_calls_may_be_smaller_than_n_and_counts_from_the_first_min_calls_on() {
    let b = bench(|c| c.failure_rate_above(0.5).window(Window::calls(100)).min_calls(5));
    b.fails(4);
    assert_eq!(b.state(), State::Closed);
    b.fails(1);
    assert_eq!((b.state(), b.figures()), (State::Open, (5, 5, 0)));
}

#[test]
fn a_slow_call_is_one_of_the_last_n_like_any_other() {
    let b = bench(|c| {
        c.slow_call_rate_above(0.999, ms(100))
            .window(Window::calls(25))
            .min_calls(25)
    });
    b.oks(100);
    for n in 1..=24 {
        b.lasting(ms(100), Outcome::success());
        assert_eq!(b.figures(), (25, 0, n));
    }
    // One quick call is left before the 24 slow ones; each quick one now takes the place of the oldest.
    b.oks(1);
    assert_eq!(b.figures(), (25, 0, 24));
    for n in (0..24).rev() {
        b.oks(1);
        assert_eq!(b.figures(), (25, 0, n));
    }
}

#[test]
fn time_is_the_last_span_in_ten_slices_by_default() {
    let b = bench(|c| {
        c.failure_rate_above(0.9)
            .window(Window::time(secs(10)))
            .min_calls(1_000)
    });
    for _ in 0..30 {
        b.fails(1);
        b.advance(secs(1));
    }
    // The slice of now is empty; nine before it count.
    assert_eq!(b.figures(), (9, 9, 0));
    b.fails(1);
    assert_eq!(b.figures(), (10, 10, 0));
}

#[test]
fn a_slice_drops_out_whole() {
    let b = bench(|c| {
        c.failure_rate_above(0.9)
            .window(Window::time(secs(10)).buckets(2))
            .min_calls(1_000)
    });
    b.fails(1);
    b.advance(secs(4));
    b.fails(1);
    b.advance(secs(1));
    b.fails(1);
    b.advance(almost(secs(5)));
    assert_eq!(b.figures(), (3, 3, 0));
    b.advance(ms(1));
    assert_eq!(b.figures(), (1, 1, 0), "the first five seconds are out");
    b.advance(secs(5));
    assert_eq!(b.figures(), (0, 0, 0));
}

#[test]
fn a_time_window_may_have_one_slice_or_256() {
    for buckets in [1, 256] {
        let b = bench(|c| {
            c.failure_rate_above(0.9)
                .window(Window::time(ms(512)).buckets(buckets))
                .min_calls(1_000)
        });
        b.fails(7);
        assert_eq!(b.figures(), (7, 7, 0));
        b.advance(ms(511));
        assert_eq!(b.figures(), (7, 7, 0));
        b.advance(ms(1));
        assert_eq!(b.figures(), (0, 0, 0));
    }
}

#[test]
fn idle_for_longer_than_span_it_is_empty() {
    for idle in [secs(10), secs(11), secs(3_600), secs(86_400 * 365 * 3)] {
        let b = bench(|c| c.failure_rate_above(0.9).window(Window::time(secs(10))).min_calls(100));
        b.fails(50);
        b.advance(idle);
        assert_eq!(b.figures(), (0, 0, 0), "{idle:?}");
        b.fails(99);
        assert_eq!((b.state(), b.figures()), (State::Closed, (99, 99, 0)), "{idle:?}");
        b.fails(1);
        assert_eq!(b.state(), State::Open, "{idle:?}");
    }
}

/// Slices are told apart by 20 bits of their number. A slice that nobody wrote for that long must not look like new,
/// nor one half as old as if it lay ahead.
#[test]
fn failures_of_long_ago_never_come_back_however_long_successes_go_on() {
    const SLICE: u64 = 10;
    let b = bench(|c| {
        c.failure_rate_above(0.9)
            .window(Window::time(ms(SLICE * 10)))
            .min_calls(100)
            .totals(false)
    });
    b.fails(60);
    for slice in 1..=(1_u64 << 20) + 40 {
        b.advance(ms(SLICE));
        b.ok();
        if slice % 1_000 == 0 || slice > (1 << 20) - 40 {
            let seen = b.figures();
            assert!(seen.1 == 0 || slice < 10, "{seen:?} after {slice} slices");
        }
    }
}

#[test]
fn a_failure_counts_in_a_slice_that_saw_one_long_ago() {
    const SLICE: u64 = 10;
    for turns in [1 << 17, (1 << 19) - 100, (1 << 19) + 100, (1 << 20) - 100, 1 << 20] {
        let b = bench(|c| {
            c.failure_rate_above(0.9)
                .window(Window::time(ms(SLICE * 10)))
                .min_calls(1_000)
        });
        for _ in 0..10 {
            b.fails(1);
            b.advance(ms(SLICE));
        }
        // Traffic that meets only some slices, with pauses shorter than what counts as silence.
        let mut slice = 10;
        while slice + 1_000 < turns {
            b.advance(ms(SLICE * 990));
            b.ok();
            slice += 990;
        }
        b.advance(ms(SLICE * (turns - slice)));
        for n in 1..=10 {
            b.fails(1);
            assert_eq!(b.figures(), (n, n, 0), "{n} after {turns}");
            b.advance(ms(SLICE - 1));
            assert_eq!(b.figures(), (n, n, 0), "{n} after {turns}");
            b.advance(ms(1));
        }
    }
}

#[cfg(feature = "std")]
#[test]
fn a_time_window_in_memory_that_was_used_before_starts_empty_and_counts() {
    let build = |name: &str, clock: &ManualClock| {
        Circuit::builder(name)
            .failure_rate_above(0.5)
            // A layout of its own, so that no other test takes the memory.
            .window(Window::time(secs(10)).buckets(17))
            .clock(clock.clone())
            .build()
            .unwrap()
    };
    let old = ManualClock::new();
    let first = build("used-1", &old);
    old.advance(secs(86_400));
    for _ in 0..4 {
        first.acquire().unwrap().failure();
    }
    assert!(first.retire());
    let second = build("used-2", &ManualClock::new());
    assert_eq!(second.snapshot().calls, 0);
    for n in 1..=4 {
        second.acquire().unwrap().failure();
        assert_eq!(second.snapshot().failures, n);
    }
    second.acquire().unwrap().failure();
    assert_eq!(second.state(), State::Open);
}

#[test]
fn windows_stay_right_over_thousands_of_generations() {
    for window in [
        Window::lifetime(),
        Window::calls(20),
        Window::time(secs(10)),
        Window::time(secs(10)).buckets(256),
    ] {
        let b = bench(|c| c.failure_rate_above(0.5).window(window).min_calls(10).totals(false));
        b.fails(9);
        for generation in 0..9_000 {
            b.circuit.reset();
            if generation % 1_000 == 999 {
                assert_eq!(b.figures(), (0, 0, 0), "{window:?} {generation}");
                b.fails(9);
                assert_eq!(b.figures(), (9, 9, 0), "{window:?} {generation}");
            }
        }
        b.circuit.reset();
        b.fails(10);
        assert_eq!(b.state(), State::Open, "{window:?}");
    }
}

#[test]
fn a_slot_of_a_slice_that_no_call_met_for_thousands_of_generations_counts() {
    let b = bench(|c| {
        c.failure_rate_above(0.5)
            .window(Window::time(ms(256)).buckets(256))
            .min_calls(10)
            .totals(false)
    });
    b.fails(9);
    for generations in [2_040, 2_100, 3_000, 4_090, 4_096, 4_100] {
        for _ in 0..generations {
            b.circuit.reset();
        }
        assert_eq!(b.figures(), (0, 0, 0), "{generations}");
        b.fails(9);
        assert_eq!(b.figures(), (9, 9, 0), "{generations}");
    }
}

/// The work of a call does not grow with what the window holds: see also `allocation.rs`, which counts memory.
#[test]
fn a_full_time_window_of_100_000_outcomes_a_second_answers_as_an_empty_one() {
    let b = bench(|c| c.failure_rate_above(0.9).window(Window::time(secs(3))));
    for tenth in 0..30 {
        b.oks(9_000);
        b.fails(1_000);
        assert_eq!(b.figures(), ((tenth + 1) * 10_000, (tenth + 1) * 1_000, 0));
        b.advance(ms(100));
    }
    // 30 tenths are ten slices of 300 ms: the first three tenths have just dropped out.
    assert_eq!(b.figures(), (270_000, 27_000, 0));
}

#[test]
fn counters_take_more_outcomes_in_a_slice_than_a_call_a_nanosecond_would_make() {
    // 32 bits a slice and thread shard; here only that a lot goes in.
    let b = bench(|c| c.failure_rate_above(0.9).window(Window::time(secs(3))).totals(false));
    b.oks(200_000);
    assert_eq!(b.figures(), (200_000, 0, 0));
}

#[test]
fn after_callers_are_quiet_every_window_is_exact() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 3_000;
    for window in [Window::lifetime(), Window::time(secs(10)), Window::calls(65_536)] {
        let b = bench(|c| c.failure_rate_above(0.9).window(window).min_calls(60_000));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let b = &b;
                scope.spawn(move || {
                    for at in 0..CALLS {
                        if (at + thread) % 3 == 0 {
                            b.fails(1);
                        } else {
                            b.oks(1);
                        }
                    }
                });
            }
        });
        assert_eq!(b.figures(), (THREADS * CALLS, THREADS * CALLS / 3, 0), "{window:?}");
        let totals = b.circuit.totals().unwrap();
        assert_eq!(
            (totals.successes, totals.failures, totals.late),
            (THREADS * CALLS * 2 / 3, THREADS * CALLS / 3, 0)
        );
    }
}

#[cfg(feature = "std")]
#[test]
fn a_lifetime_window_in_memory_that_was_a_time_window_of_one_slice_counts() {
    let build = |name: &str, window, clock: &ManualClock| {
        Circuit::builder(name)
            .failure_rate_above(0.5)
            .window(window)
            .clock(clock.clone())
            .build()
            .unwrap()
    };
    let clock = ManualClock::new();
    // Several, as other tests may take one.
    for round in 0..8 {
        let first = build(&format!("slice-{round}"), Window::time(ms(10)).buckets(1), &clock);
        clock.advance(secs(1_000));
        first.acquire().unwrap().failure();
        assert!(first.retire());
        let second = build(&format!("life-{round}"), Window::lifetime(), &clock);
        second.acquire().unwrap().failure();
        assert_eq!(second.snapshot().failures, 1);
    }
}
