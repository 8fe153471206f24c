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
        let text = info.payload().downcast_ref::<&str>().copied().unwrap_or_default();
        let expected = ["in poll", "in call"].contains(&text);
        if !expected {
            eprintln!("{info}");
        }
    }));
    let mut ends = Ends::default();
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
            let storms: Vec<_> = (0..THREADS)
                .map(|seed| scope.spawn(move || storm(limit, seed + 1, 1_000_000 / 4 / THREADS)))
                .collect();
            for storm in storms {
                ends.add(storm.join().unwrap());
            }
        });
        assert_eq!((limit.in_flight(), limit.waiting()), (0, 0), "{limit:?}");
        let _all = [
            limit.try_acquire().unwrap(),
            limit.try_acquire().unwrap(),
            limit.try_acquire().unwrap(),
        ];
    }
    let Ends {
        answered,
        dropped,
        panicked,
    } = ends;
    assert_eq!(answered + dropped + panicked, 1_000_000);
    assert!(answered > 50_000 && dropped > 50_000 && panicked > 50_000, "{ends:?}");
}

/// How calls ended.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    answered: u64,
    dropped: u64,
    panicked: u64,
}

impl Ends {
    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.dropped += other.dropped;
        self.panicked += other.panicked;
    }
}

fn storm(limit: Limit, seed: u64, enough: u64) -> Ends {
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
    let mut ends = Ends::default();
    while ends.answered + ends.dropped + ends.panicked < enough {
        match random.below(16) {
            0..=5 if calls.len() < 8 => {
                let kind = random.below(1 << 20);
                if service.poll_ready(&mut cx).is_ready() {
                    match catch_unwind(AssertUnwindSafe(|| service.call(kind))) {
                        Ok(call) => calls.push(Box::pin(call)),
                        Err(_panic) => ends.panicked += 1,
                    }
                } else {
                    // Given up: the clone takes its place.
                    service = service.clone();
                }
            }
            0..=13 if !calls.is_empty() => {
                let at = usize::try_from(random.below(calls.len() as u64)).unwrap();
                match catch_unwind(AssertUnwindSafe(|| calls[at].as_mut().poll(&mut cx).is_ready())) {
                    Ok(false) => continue,
                    Ok(true) => ends.answered += 1,
                    Err(_panic) => ends.panicked += 1,
                }
                drop(calls.swap_remove(at));
            }
            _ if !calls.is_empty() => {
                let at = usize::try_from(random.below(calls.len() as u64)).unwrap();
                drop(calls.swap_remove(at));
                ends.dropped += 1;
            }
            _ => {}
        }
    }
    ends
}
