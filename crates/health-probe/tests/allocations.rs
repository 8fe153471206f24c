//! What an admitted call costs in allocations: none. A binary of its own, for an allocator of its own.
#![allow(unsafe_code, reason = "an allocator that counts cannot be had without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use health_probe::{CheckError, FnProbe, HealthLayer, Probe};
use tower::{Layer, Service, service_fn};

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

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[tokio::test]
async fn an_admitted_call_allocates_nothing_gated_or_not() {
    let probe = FnProbe::new("x", async || Ok::<_, CheckError>(())).spawn().unwrap();
    probe.check_now().await.unwrap();
    let inner = || service_fn(|n: u64| ready(Ok::<_, Infallible>(n)));
    let mut plain = HealthLayer::new(probe.health()).layer(inner());
    let mut gated = HealthLayer::new(probe.health()).gate().layer(inner());
    let mut cx = Context::from_waker(Waker::noop());
    let before = ALLOCATIONS.get();
    for n in 0..1_000 {
        for service in [&mut plain, &mut gated] {
            assert!(service.poll_ready(&mut cx).is_ready());
            let call = pin!(service.call(n));
            assert!(matches!(call.poll(&mut cx), Poll::Ready(Ok(m)) if m == n));
        }
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    // The counter counts.
    drop(std::hint::black_box(Box::new(0_u64)));
    assert!(ALLOCATIONS.get() > before);
}
