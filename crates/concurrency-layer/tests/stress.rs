//! Speed of a refusal, and a million ways to end a call.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use concurrency_layer::{ConcurrencyLayer, Limit, Overloaded, Reason};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

#[tokio::test]
async fn a_full_limiter_refuses_in_under_50_microseconds_with_overloaded() {
    let refusing = Limit::fixed(1).build().unwrap();
    let crowded = Limit::fixed(1).queue(1, Duration::from_secs(60)).build().unwrap();
    let _held = (refusing.try_acquire().unwrap(), crowded.try_acquire().unwrap());
    let mut waiting = Box::pin(crowded.acquire());
    assert!(
        waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    for (limit, reason) in [(refusing, Reason::Full), (crowded, Reason::QueueFull)] {
        let mut service =
            ConcurrencyLayer::new(limit).layer(service_fn(|()| std::future::ready(Ok::<_, Infallible>(()))));
        let mut took: Vec<_> = Vec::with_capacity(1_001);
        for _ in 0..1_001 {
            let start = Instant::now();
            let error = service.ready().await.unwrap().call(()).await.unwrap_err();
            took.push(start.elapsed());
            assert_eq!(Overloaded::find(&*error).unwrap().reason(), reason);
        }
        took.sort_unstable();
        // The median: the machine may take the processor away at any time.
        assert!(took[500] < Duration::from_micros(50), "{reason}: {:?}", took[500]);
    }
}

/// What an inner call does; the number is of polls until it answers.
enum Inner {
    Answers(u32),
    Fails(u32),
    Panics(u32),
    Hangs,
}

impl Future for Inner {
    type Output = Result<(), std::io::Error>;

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Answers(0) => Poll::Ready(Ok(())),
            Self::Fails(0) => Poll::Ready(Err(std::io::Error::other("failed"))),
            Self::Panics(0) => panic!("in poll"),
            Self::Hangs => Poll::Pending,
            Self::Answers(left) | Self::Fails(left) | Self::Panics(left) => {
                *left -= 1;
                Poll::Pending
            }
        }
    }
}

/// A small generator of pseudo-random numbers (xorshift64): the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[test]
fn one_million_random_cancels_drops_and_panics_leak_no_slot() {
    const THREADS: u64 = 4;
    std::panic::set_hook(Box::new(|info| {
        let expected = ["in poll", "in call"]
            .iter()
            .any(|text| info.payload_as_str() == Some(text));
        if !expected {
            eprintln!("{info}");
        }
    }));
    for limit in [
        Limit::fixed(3).build().unwrap(),
        Limit::fixed(3).queue(5, Duration::from_micros(50)).build().unwrap(),
        Limit::fixed(3)
            .queue(5, Duration::from_secs(60))
            .lifo()
            .build()
            .unwrap(),
        Limit::fixed(3).backpressure().build().unwrap(),
    ] {
        std::thread::scope(|scope| {
            for seed in 0..THREADS {
                scope.spawn(move || storm(limit, seed + 1, 1_000_000 / 4 / THREADS));
            }
        });
        assert_eq!((limit.in_flight(), limit.waiting()), (0, 0), "{limit:?}");
        let _all = [
            limit.try_acquire().unwrap(),
            limit.try_acquire().unwrap(),
            limit.try_acquire().unwrap(),
        ];
    }
}

fn storm(limit: Limit, seed: u64, ends: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut service = ConcurrencyLayer::new(limit).layer(service_fn(|kind: u64| match kind % 8 {
        0..=3 => Inner::Answers(u32::try_from(kind % 3).unwrap()),
        4 => Inner::Fails(u32::try_from(kind % 2).unwrap()),
        5 => Inner::Panics(u32::try_from(kind % 2).unwrap()),
        6 => Inner::Hangs,
        _ => panic!("in call"),
    }));
    let mut cx = Context::from_waker(Waker::noop());
    let mut calls: Vec<Pin<Box<_>>> = Vec::new();
    let mut ended = 0;
    while ended < ends {
        match random.below(8) {
            0..=2 if calls.len() < 8 => {
                let kind = random.below(1 << 20);
                let polled = catch_unwind(AssertUnwindSafe(|| service.poll_ready(&mut cx).is_ready()));
                if polled.unwrap() {
                    match catch_unwind(AssertUnwindSafe(|| service.call(kind))) {
                        Ok(call) => calls.push(Box::pin(call)),
                        Err(_panic) => ended += 1,
                    }
                } else {
                    service = service.clone();
                }
            }
            0..=5 if !calls.is_empty() => {
                let at = usize::try_from(random.below(calls.len() as u64)).unwrap();
                let over = catch_unwind(AssertUnwindSafe(|| calls[at].as_mut().poll(&mut cx).is_ready()));
                if over.unwrap_or(true) {
                    drop(calls.swap_remove(at));
                    ended += 1;
                }
            }
            _ if !calls.is_empty() => {
                let at = usize::try_from(random.below(calls.len() as u64)).unwrap();
                drop(calls.swap_remove(at));
                ended += 1;
            }
            _ => {}
        }
    }
}
