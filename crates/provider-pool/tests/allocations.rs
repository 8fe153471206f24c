//! A call that goes well, and a pick, allocate nothing.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use provider_pool::{Candidates, Provider, ProviderPool, Strategy};
use support::strategies;
use tower::Service;

struct Counting;

thread_local!(static MADE: Cell<u64> = const { Cell::new(0) });

#[allow(
    unsafe_code,
    reason = "an allocator can't be written without; it passes everything on"
)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = MADE.try_with(|made| made.set(made.get() + 1));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn made(run: impl FnOnce()) -> u64 {
    let before = MADE.with(Cell::get);
    run();
    MADE.with(Cell::get) - before
}

#[derive(Clone)]
struct Instant;

impl Service<&'static str> for Instant {
    type Response = ();
    type Error = std::io::Error;
    type Future = Ready<Result<(), std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: &'static str) -> Self::Future {
        ready(Ok(()))
    }
}

fn pool(providers: usize, strategy: impl Strategy) -> ProviderPool<Instant, &'static str> {
    let mut pool = ProviderPool::builder()
        .strategy(strategy)
        .wants(|model: &&'static str| Some(*model))
        .repeat_all();
    for n in 0..providers {
        pool = pool.provider(
            Provider::new(format!("provider {n}"), Instant)
                .serves("gpt-4")
                .limit(100),
        );
    }
    pool.build().unwrap()
}

#[test]
fn a_call_that_goes_well_allocates_nothing() {
    for strategy in strategies() {
        let name = strategy.name();
        let mut pool = pool(3, strategy);
        let mut call = move || {
            let mut future = pin!(pool.call("gpt-4"));
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Ready(Ok(()))));
        };
        call();
        assert_eq!(made(|| (0..100).for_each(|_| call())), 0, "{name}");
    }
}

#[test]
fn a_pick_of_3_30_and_300_allocates_nothing() {
    for providers in [3, 30, 300] {
        for strategy in strategies() {
            let name = strategy.name();
            let pool = pool(providers, strategy);
            assert!(pool.pick(Some("gpt-4")).is_some());
            let allocated = made(|| (0..10).for_each(|_| drop(pool.pick(Some("gpt-4")))));
            assert_eq!(allocated, 0, "{name}, {providers} providers");
        }
    }
}

#[test]
fn a_pick_looks_at_each_candidate_once_and_works_beyond_320() {
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    #[derive(Debug)]
    struct Looking;
    impl Strategy for Looking {
        fn name(&self) -> &'static str {
            "looking"
        }
        fn pick(&self, candidates: &Candidates<'_>) -> usize {
            LOOKS.fetch_add(candidates.iter().count() as u64, Ordering::Relaxed);
            candidates.iter().last().unwrap().place()
        }
    }
    for providers in [3, 30, 300, 1_000] {
        LOOKS.store(0, Ordering::Relaxed);
        let last = pool(providers, Looking).pick(Some("gpt-4")).unwrap();
        assert_eq!(*last, *format!("provider {}", providers - 1));
        assert_eq!(LOOKS.load(Ordering::Relaxed), providers as u64);
    }
}
