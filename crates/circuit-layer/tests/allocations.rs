//! An admitted call allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Ready;
use std::future::ready;
use std::io;
use std::time::Duration;

use circuit_layer::{Circuit, CircuitLayer, Window};
use tower::{Layer, Service, service_fn};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came; counting touches no memory of the caller's, and
// a thread-local of a constant without a destructor allocates nothing itself.
#[allow(unsafe_code, reason = "an allocator that counts can't be had otherwise")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    run();
    COUNT.with(Cell::get) - before
}

fn drive<S>(service: &mut S, calls: u32)
where
    S: Service<u32, Response = u32>,
{
    let mut task = tokio_test::task::spawn(());
    task.enter(|cx, _| {
        for n in 0..calls {
            assert!(service.poll_ready(cx).is_ready());
            let mut call = std::pin::pin!(service.call(n));
            assert!(call.as_mut().poll(cx).is_ready());
        }
    });
}

#[test]
fn an_admitted_call_allocates_nothing_whatever_the_policy() {
    assert!(allocations(|| drop(std::hint::black_box(Box::new(1)))) == 1);
    let policies = [
        Circuit::builder("row").consecutive_failures(5),
        Circuit::builder("calls")
            .failure_rate_above(0.9)
            .window(Window::calls(100))
            .min_calls(5),
        Circuit::builder("time")
            .failure_rate_above(0.9)
            .slow_call_rate_above(0.9, Duration::from_secs(1))
            .window(Window::time(Duration::from_secs(10))),
    ];
    for policy in policies {
        let circuit = policy.build().unwrap();
        let inner = service_fn(|n: u32| -> Ready<io::Result<u32>> { ready(Ok(n)) });
        let mut service = CircuitLayer::new(circuit).layer(inner);
        drive(&mut service, 10);
        assert_eq!(
            allocations(|| drive(&mut service, 1_000)) - allocations(|| drive(&mut service, 0)),
            0
        );
        let mut service = CircuitLayer::new(circuit).gate().on_refused(|_| 0).layer(inner);
        assert_eq!(
            allocations(|| drive(&mut service, 1_000)) - allocations(|| drive(&mut service, 0)),
            0
        );
    }
}

#[cfg(feature = "http")]
#[test]
fn an_admitted_http_call_allocates_nothing() {
    use http::{Request, Response};
    use http_body::Body as _;
    use http_body_util::Full;

    let circuit = Circuit::builder("http").build().unwrap();
    let mut service = CircuitLayer::http(circuit).layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, io::Error>(Response::new(Full::new(bytes::Bytes::from_static(
            b"hello",
        )))))
    }));
    let mut task = tokio_test::task::spawn(());
    task.enter(|cx, _| {
        let mut once = || {
            assert!(service.poll_ready(cx).is_ready());
            let mut call = std::pin::pin!(service.call(Request::new(())));
            let std::task::Poll::Ready(Ok(response)) = call.as_mut().poll(cx) else {
                panic!("not ready")
            };
            let mut body = std::pin::pin!(response.into_body());
            assert!(body.as_mut().poll_frame(cx).is_ready());
            assert!(body.is_end_stream());
        };
        once();
        assert_eq!(allocations(|| (0..100).for_each(|_| once())), 0);
    });
    assert_eq!(circuit.totals().unwrap().successes, 101);
}
