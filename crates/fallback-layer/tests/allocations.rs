//! What a call that succeeds costs in allocations. A binary of its own, for an allocator of its own.
#![allow(unsafe_code, reason = "an allocator that counts cannot be had without")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fallback_layer::FallbackLayer;
use support::BoxError;
use tower::{Layer, Service};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: it hands everything on to the system's allocator and counts in a cell of the thread, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is being torn down has no cell any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The allocations of each of `calls` calls, on average, once the service has warmed up.
fn allocations_a_call<S: Service<u64, Response = u64>>(mut service: S, calls: usize) -> f64 {
    let mut call = |number| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut future = pin!(service.call(number));
        let Poll::Ready(answer) = future.as_mut().poll(&mut cx) else {
            panic!("it is ready")
        };
        assert_eq!(answer.ok(), Some(number));
    };
    for number in 0..100 {
        call(number % 4);
    }
    let before = ALLOCATIONS.get();
    for number in 0..calls as u64 {
        call(number % 4);
    }
    (ALLOCATIONS.get() - before) as f64 / calls as f64
}

fn echo() -> impl Service<u64, Response = u64, Error = BoxError, Future = Ready<Result<u64, BoxError>>> + Clone {
    tower::service_fn(|number| ready(Ok(number)))
}

fn none(per_call: f64) {
    assert!(per_call == 0.0, "{per_call} allocations a call");
}

#[test]
fn a_call_that_succeeds_allocates_nothing_when_there_are_but_respond_steps() {
    none(allocations_a_call(echo(), 1_000));
    let layer = FallbackLayer::new().respond_if(|_, _| None).respond(|_, _| 0);
    none(allocations_a_call(layer.layer(echo()), 1_000));
    none(allocations_a_call(layer.leak().layer(echo()), 1_000));
}

#[test]
fn predicates_backups_limits_bounds_and_a_last_word_allocate_nothing_either() {
    let layer = FallbackLayer::new()
        .on_error(|_| true)
        .on_response(|number| *number == u64::MAX)
        .mark(|_: &mut u64, _| {})
        .keep_with_restore(|number: &u64| *number, |number| Some(*number))
        .service(echo())
        .when(|_, _| true)
        .within(Duration::from_secs(1))
        .at_most(3)
        .finally(|_, _| 0)
        .build()
        .unwrap();
    none(allocations_a_call(layer.layer(echo()), 1_000));
}

#[test]
fn a_key_that_is_not_due_to_be_stored_anew_allocates_nothing() {
    let hour = Duration::from_secs(3_600);
    let layer = FallbackLayer::new()
        .cached(|number: &u64| *number)
        .refresh_after(hour)
        .build()
        .unwrap();
    let per_call = allocations_a_call(layer.layer(echo()), 10_000);
    // moka's own bookkeeping, once in a batch of look-ups.
    assert!(per_call < 0.1, "{per_call} allocations a call");
}

#[test]
fn storing_an_answer_costs_a_few_small_allocations() {
    let layer = FallbackLayer::new().cached(|number: &u64| *number);
    let per_call = allocations_a_call(layer.layer(echo()), 10_000);
    println!("{per_call} allocations for each answer that is stored");
    assert!((1.0..=8.0).contains(&per_call), "{per_call} allocations a call");
}

#[test]
fn the_counter_counts() {
    let boxed = tower::service_fn(|number: u64| ready(Ok::<_, BoxError>(*std::hint::black_box(Arc::new(number)))));
    assert!(allocations_a_call(boxed, 100) >= 1.0);
}
