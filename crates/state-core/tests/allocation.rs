//! No call allocates, whatever it meets: counted by the allocator, in a process of its own.
#![cfg(feature = "std")]
#![allow(
    unsafe_code,
    reason = "a global allocator is unsafe to implement; this one hands everything on to the system's"
)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use state_core::{CircuitBuilder, EwmaWeights, Outcome, State, Window};
use support::{Bench, bench, ms, secs};

thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

struct Counting;

// SAFETY: every method hands its arguments on unchanged to the system's allocator, whose contract is the same. The
// counter is a `Cell` without a destructor and with a constant start, so touching it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

type Set = fn(CircuitBuilder) -> CircuitBuilder;

const POLICIES: [Set; 7] = [
    |c| c,
    |c| c.consecutive_failures(1_000),
    |c| c.failure_rate_above(0.9).window(Window::lifetime()),
    |c| {
        c.failure_rate_above(0.9)
            .window(Window::calls(10_000))
            .min_calls(10_000)
    },
    |c| c.failure_rate_above(0.9).window(Window::time(secs(60)).buckets(256)),
    |c| c.slow_call_rate_above(0.9, ms(100)).window(Window::time(secs(1))),
    |c| c.ewma(0.99, EwmaWeights::default()),
];

fn mixed(b: &Bench, calls: u64) {
    for at in 0..calls {
        let Ok(permit) = b.circuit.acquire() else {
            b.circuit.reset();
            continue;
        };
        match at % 7 {
            0 => permit.failure(),
            1 => drop(permit),
            2 => permit.record(Outcome::neutral()),
            _ => permit.success(),
        }
        b.advance(ms(1));
    }
}

#[test]
fn the_counter_counts() {
    assert!(allocations(|| drop(std::hint::black_box(vec![1_u8; 100]))) > 0);
}

#[test]
fn recording_allocates_nothing_whatever_the_policy() {
    for policy in POLICIES {
        let b = bench(policy);
        assert_eq!(allocations(|| mixed(&b, 10_000)), 0);
    }
}

#[test]
fn a_refusal_allocates_nothing() {
    let b = bench(|c| c.consecutive_failures(1));
    b.fails(1);
    assert_eq!(
        allocations(|| {
            for _ in 0..1_000 {
                assert!(b.circuit.acquire().is_err());
                assert!(b.circuit.readiness().is_err());
            }
        }),
        0
    );
}

#[test]
fn opening_trials_and_closing_allocate_nothing() {
    for policy in POLICIES {
        let b = bench(policy);
        let cycle = || {
            b.circuit.force_open();
            b.circuit.release();
            b.circuit.on_probe(false);
            b.circuit.on_probe(true);
            b.oks(2);
            b.fails(1);
            b.advance(secs(30));
            b.oks(3);
            assert_eq!(b.state(), State::Closed);
            let _ = b.circuit.snapshot();
        };
        assert_eq!(allocations(cycle), 0);
    }
}

#[test]
fn a_time_window_full_of_100_000_outcomes_a_second_takes_no_more_than_an_empty_one() {
    for second in [0, 1, 5] {
        let b = bench(|c| c.failure_rate_above(0.9).window(Window::time(secs(2))));
        let fill = || {
            for _ in 0..second * 10 {
                b.oks(9_900);
                b.fails(100);
                b.advance(ms(100));
            }
        };
        assert_eq!(allocations(fill), 0, "{second} s full");
        assert_eq!(allocations(|| mixed(&b, 1_000)), 0, "{second} s full");
        assert_eq!(allocations(|| drop(b.circuit.snapshot())), 0);
    }
}
