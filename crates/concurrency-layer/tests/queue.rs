//! The queue: order, bound, time, cancellation, dismissal.

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use concurrency_layer::{Acquire, ConcurrencyLayer, Limit, Overloaded, Reason};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, service_fn};

const WAIT: Duration = Duration::from_secs(2);

fn queued(limit: u32, max_waiting: u32) -> Limit {
    Limit::fixed(limit)
        .name("openai")
        .queue(max_waiting, WAIT)
        .build()
        .unwrap()
}

fn waiters(limit: &Limit, n: usize) -> Vec<task::Spawn<Acquire>> {
    (0..n)
        .map(|_| {
            let mut waiter = task::spawn(limit.acquire());
            assert_pending!(waiter.poll());
            waiter
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn fifo_serves_in_the_order_of_coming() {
    let limit = queued(1, 10);
    let mut permit = Some(limit.try_acquire().unwrap());
    let mut line = waiters(&limit, 4);
    for next in 0..4 {
        drop(permit.take());
        for (place, waiter) in line.iter_mut().enumerate() {
            assert_eq!(waiter.is_woken(), place == 0, "after {next}");
        }
        permit = Some(assert_ready!(line.remove(0).poll()).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn lifo_serves_the_last_first() {
    let limit = Limit::fixed(1).queue(10, WAIT).lifo().build().unwrap();
    let mut permit = Some(limit.try_acquire().unwrap());
    let mut line = waiters(&limit, 4);
    while let Some(mut last) = line.pop() {
        drop(permit.take());
        assert!(last.is_woken());
        assert!(line.iter().all(|earlier| !earlier.is_woken()));
        permit = Some(assert_ready!(last.poll()).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_says_how_full() {
    let limit = queued(1, 2);
    let permit = limit.try_acquire().unwrap();
    let mut line = waiters(&limit, 2);
    let overloaded = limit.acquire().await.unwrap_err();
    assert_eq!(overloaded.reason(), Reason::QueueFull);
    assert_eq!(
        (overloaded.in_flight(), overloaded.limit(), overloaded.waiting()),
        (1, 1, 2)
    );
    assert_eq!(
        overloaded.to_string(),
        r#"limit "openai" is full: 1 of 1 in flight, 2 of 2 waiting; try again in 1 s"#
    );
    // A place that becomes free is a place.
    drop(line.remove(0));
    assert_eq!(limit.waiting(), 1);
    line.extend(waiters(&limit, 1));
    assert_eq!(limit.acquire().await.unwrap_err().reason(), Reason::QueueFull);
    // And so is the place of somebody who was served.
    drop(permit);
    assert_eq!(limit.waiting(), 1);
    let _third = waiters(&limit, 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_refused_at_that_time() {
    let limit = queued(1, 10);
    let _permit = limit.try_acquire().unwrap();
    let start = Instant::now();
    let overloaded = limit.acquire().await.unwrap_err();
    assert_eq!(start.elapsed(), WAIT);
    assert_eq!(overloaded.reason(), Reason::WaitedTooLong);
    assert_eq!(
        overloaded.to_string(),
        r#"limit "openai" had no free slot for 2 s: 1 of 1 in flight, 0 of 10 waiting; try again in 1 s"#
    );
    assert_eq!((limit.in_flight(), limit.waiting()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_the_call() {
    let limit = queued(1, 10);
    let _permit = limit.try_acquire().unwrap();
    let mut service = ConcurrencyLayer::new(limit).layer(service_fn(|()| ready(Ok::<_, Infallible>(()))));
    let call = service.ready().await.unwrap().call(());
    assert_eq!(
        limit.waiting(),
        1,
        "in line from the call on, not from the first poll on"
    );
    tokio::time::advance(Duration::from_millis(1_500)).await;
    let start = Instant::now();
    assert!(call.await.is_err());
    assert_eq!(start.elapsed(), Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_granted_is_taken_however_late_it_is_polled() {
    let limit = queued(1, 10);
    let permit = limit.try_acquire().unwrap();
    let mut waiter = task::spawn(limit.acquire());
    assert_pending!(waiter.poll());
    drop(permit);
    tokio::time::advance(WAIT * 3).await;
    assert!(assert_ready!(waiter.poll()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn waiting_without_end_has_no_timer_and_no_end() {
    let limit = Limit::fixed(1).queue(1, Duration::MAX).build().unwrap();
    let permit = limit.try_acquire().unwrap();
    let mut waiter = task::spawn(limit.acquire());
    assert_pending!(waiter.poll());
    tokio::time::advance(Duration::from_secs(3_600 * 24 * 365)).await;
    assert_pending!(waiter.poll());
    drop(permit);
    assert!(assert_ready!(waiter.poll()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_waiter_leaves_at_once() {
    let limit = queued(1, 10);
    let permit = limit.try_acquire().unwrap();
    let mut line = waiters(&limit, 3);
    drop(line.remove(1));
    assert_eq!(limit.waiting(), 2);
    drop(line.remove(0));
    assert_eq!(limit.waiting(), 1);
    drop(permit);
    assert!(assert_ready!(line.remove(0).poll()).is_ok());
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slot_handed_to_a_waiter_being_dropped_is_passed_on() {
    let limit = queued(1, 10);
    let permit = limit.try_acquire().unwrap();
    let mut line = waiters(&limit, 2);
    drop(permit);
    let first = line.remove(0);
    assert!(first.is_woken());
    assert!(!line[0].is_woken());
    drop(first);
    assert!(line[0].is_woken());
    assert!(assert_ready!(line.remove(0).poll()).is_ok());
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn polling_again_takes_no_second_place_and_keeps_the_first() {
    let limit = queued(1, 2);
    let permit = limit.try_acquire().unwrap();
    let mut line = waiters(&limit, 2);
    for _ in 0..10 {
        assert_pending!(line[0].poll());
    }
    assert_eq!(limit.waiting(), 2);
    drop(permit);
    assert!(line[0].is_woken() && !line[1].is_woken());
}

#[tokio::test(start_paused = true)]
async fn the_newest_waker_is_the_one_that_is_woken() {
    let limit = queued(1, 2);
    let permit = limit.try_acquire().unwrap();
    let mut waiter = Box::pin(limit.acquire());
    let (mut before, mut after) = (task::spawn(()), task::spawn(()));
    assert!(before.enter(|cx, _| waiter.as_mut().poll(cx)).is_pending());
    assert!(after.enter(|cx, _| waiter.as_mut().poll(cx)).is_pending());
    drop(permit);
    assert!(after.is_woken() && !before.is_woken());
    drop(waiter);
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_who_waits() {
    let limit = queued(1, 10);
    let permit = limit.try_acquire().unwrap();
    let _line = waiters(&limit, 1);
    drop(permit);
    assert_eq!(limit.try_acquire().unwrap_err().reason(), Reason::Full);
    let _late = waiters(&limit, 1);
}

#[test]
fn an_admitted_call_needs_no_runtime() {
    let limit = queued(1, 10);
    let mut service = ConcurrencyLayer::new(limit).layer(service_fn(|n: u8| ready(Ok::<_, Infallible>(n))));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    assert!(matches!(pin!(service.call(7)).poll(&mut cx), Poll::Ready(Ok(7))));
    assert!(pin!(limit.acquire()).poll(&mut cx).is_ready());
    // Nor does a call that has to wait until it is polled.
    let permit = limit.try_acquire().unwrap();
    let waiting = service.call(8);
    drop((waiting, permit));
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_refused_each_time_the_circuit_opens() {
    let (circuit, opened) = watch::channel(false);
    let limit = Limit::fixed(1)
        .name("openai")
        .queue(10, WAIT)
        .dismiss_when(move || {
            let mut opened = opened.clone();
            async move {
                if opened.wait_for(|open| *open).await.is_err() {
                    pending::<()>().await;
                }
            }
        })
        .build()
        .unwrap();
    let service = ConcurrencyLayer::new(limit.clone()).layer(service_fn(|()| ready(Ok::<_, Infallible>(()))));
    for _ in 0..3 {
        let permit = limit.try_acquire().unwrap();
        let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(service.clone().oneshot(()))).collect();
        while limit.waiting() < 3 {
            tokio::task::yield_now().await;
        }
        circuit.send_replace(true);
        for call in waiting {
            let error = call.await.unwrap().unwrap_err();
            assert_eq!(Overloaded::find(&*error).unwrap().reason(), Reason::Dismissed);
            assert!(
                error
                    .to_string()
                    .starts_with(r#"limit "openai" dismissed its queue: 1 of 1 in flight"#),
                "{error}"
            );
        }
        assert_eq!((limit.in_flight(), limit.waiting()), (1, 0));
        // While it stays open nobody waits, and whoever finds a slot is let through: refusing is the circuit's part.
        assert!(service.clone().oneshot(()).await.is_err());
        drop(permit);
        assert!(service.clone().oneshot(()).await.is_ok());
        circuit.send_replace(false);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_a_slot_makes_no_dismissal() {
    let made = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&made);
    let limit = Limit::fixed(1)
        .queue(10, WAIT)
        .dismiss_when(move || {
            count.fetch_add(1, Ordering::Relaxed);
            pending()
        })
        .build()
        .unwrap();
    let permit = limit.acquire().await.unwrap();
    assert_eq!(made.load(Ordering::Relaxed), 0);
    assert!(limit.acquire().await.is_err());
    assert_eq!(made.load(Ordering::Relaxed), 1);
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn a_dismissal_that_panics_harms_its_own_call_only() {
    let in_factory = Limit::fixed(1)
        .queue(10, WAIT)
        .dismiss_when(|| -> std::future::Ready<()> { panic!("made") })
        .build()
        .unwrap();
    let in_poll = Limit::fixed(1)
        .queue(10, WAIT)
        .dismiss_when(|| async { panic!("polled") })
        .build()
        .unwrap();
    let permits = (in_factory.try_acquire().unwrap(), in_poll.try_acquire().unwrap());
    assert!(tokio::spawn(in_factory.acquire()).await.unwrap_err().is_panic());
    assert!(tokio::spawn(in_poll.acquire()).await.unwrap_err().is_panic());
    drop(permits);
    assert_eq!((in_factory.in_flight(), in_factory.waiting()), (0, 0));
    assert_eq!((in_poll.in_flight(), in_poll.waiting()), (0, 0));
    assert!(in_factory.try_acquire().is_ok());
    assert!(in_poll.try_acquire().is_ok());
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_keeps_nobody_else_asleep() {
    let limit = queued(1, 10);
    let permit = limit.try_acquire().unwrap();
    let mut bad = Box::pin(limit.acquire());
    assert!(
        bad.as_mut()
            .poll(&mut Context::from_waker(&Waker::from(Arc::new(Panics))))
            .is_pending()
    );
    let mut line = waiters(&limit, 2);
    limit.set_limit(4).unwrap();
    assert!(line[0].is_woken() && line[1].is_woken());
    drop(permit);
    drop(bad);
    assert!(assert_ready!(line.remove(0).poll()).is_ok());
}

/// A task that holds a permit of the very limiter it waits for; its last reference is the waker.
struct Holds {
    _permit: concurrency_layer::Permit,
}

impl Wake for Holds {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn a_waker_whose_drop_gives_a_slot_back_does_not_lock_up() {
    // Without a timer, which would keep the waker too.
    let limit = Limit::fixed(2).queue(10, Duration::MAX).build().unwrap();
    let held = limit.try_acquire().unwrap();
    let waker = Waker::from(Arc::new(Holds {
        _permit: limit.try_acquire().unwrap(),
    }));
    let mut first = Box::pin(limit.acquire());
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    // The queue has the last reference now. Another waker takes its place, and the permit inside is dropped.
    let mut task = task::spawn(());
    let polled = task.enter(|cx, _| first.as_mut().poll(cx));
    assert!(task.is_woken() || polled.is_ready());
    drop(first);
    drop(held);
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn shrinking_leaves_those_who_wait_in_line() {
    let limit = queued(2, 10);
    let (first, second) = (limit.try_acquire().unwrap(), limit.try_acquire().unwrap());
    let mut line = waiters(&limit, 1);
    limit.set_limit(1).unwrap();
    drop(first);
    assert!(!line[0].is_woken());
    assert_eq!(limit.in_flight(), 1);
    drop(second);
    assert!(assert_ready!(line[0].poll()).is_ok());
}

#[tokio::test]
async fn a_thousand_calls_through_three_slots_all_come_through() {
    let limit = queued(3, 1_000);
    let most = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&most);
    let service = ConcurrencyLayer::new(limit).layer(service_fn(move |n: u32| {
        let seen = Arc::clone(&seen);
        async move {
            seen.fetch_max(limit.in_flight(), Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(n)
        }
    }));
    let calls: Vec<_> = (0..1_000).map(|n| tokio::spawn(service.clone().oneshot(n))).collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap() as usize, n);
    }
    assert_eq!(most.load(Ordering::Relaxed), 3);
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn polled_after_it_was_over_it_panics_and_counts_nothing_twice() {
    let limit = queued(2, 10);
    let service = ConcurrencyLayer::new(limit).layer(service_fn(|()| ready(Ok::<_, Infallible>(()))));
    let mut kept = Box::pin(service.clone().call(()));
    assert!(kept.as_mut().await.is_ok());
    let _others = (limit.try_acquire().unwrap(), limit.try_acquire().unwrap());
    assert!(tokio::spawn(kept).await.unwrap_err().is_panic());
    assert_eq!(limit.in_flight(), 2);
    let mut refused = Box::pin(limit.acquire());
    assert!(refused.as_mut().await.is_err());
    assert!(tokio::spawn(refused).await.unwrap_err().is_panic());
    assert_eq!((limit.in_flight(), limit.waiting()), (2, 0));
}

#[test]
fn a_runtime_that_is_shut_down_leaves_nobody_in_line() {
    let limit = queued(1, 10);
    let permit = limit.try_acquire().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    runtime.spawn(limit.acquire());
    runtime.spawn(async move { limit.call(pending::<()>).await });
    while limit.waiting() < 2 {
        std::thread::yield_now();
    }
    drop(runtime);
    assert_eq!((limit.in_flight(), limit.waiting()), (1, 0));
    drop(permit);
    assert_eq!(limit.in_flight(), 0);
}
