//! Waiting in `poll_ready`, when asked to.

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use concurrency_layer::{ConcurrencyLayer, ConcurrencyService, Limit, Overloaded, Reason};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock::Spawn;

fn backpressured(n: u32) -> Limit {
    Limit::fixed(n).backpressure().build().unwrap()
}

fn echo(limit: Limit) -> ConcurrencyService<impl Service<u8, Response = u8, Error = Infallible, Future: Send> + Clone> {
    ConcurrencyLayer::new(limit).layer(service_fn(|n: u8| ready(Ok(n))))
}

#[tokio::test]
async fn it_is_pending_while_full_and_woken_when_a_slot_comes_back() {
    let limit = backpressured(1);
    let mut service = Spawn::new(echo(limit));
    let permit = limit.try_acquire().unwrap();
    assert_pending!(service.poll_ready());
    assert_eq!(limit.waiting(), 1);
    assert!(!service.is_woken(), "a service does not wake itself");
    drop(permit);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    assert_eq!(service.call(7).await.unwrap(), 7);
}

#[tokio::test]
async fn without_backpressure_a_full_limit_is_ready() {
    let limit = Limit::fixed(1).queue(10, Duration::from_secs(2)).build().unwrap();
    let _permit = limit.try_acquire().unwrap();
    assert_ready_ok!(Spawn::new(echo(limit)).poll_ready());
}

#[tokio::test]
async fn a_ready_clone_never_called_holds_nothing() {
    let limit = backpressured(1);
    let mut idle = Spawn::new(echo(limit));
    assert_ready_ok!(idle.poll_ready());
    let mut busy = idle.clone();
    for n in 0..3 {
        assert_ready_ok!(busy.poll_ready());
        assert_eq!(busy.call(n).await.unwrap(), n);
    }
    assert_ready_ok!(idle.poll_ready());
}

#[tokio::test]
async fn an_abandoned_waiter_keeps_no_slot_from_others() {
    let limit = backpressured(1);
    let permit = limit.try_acquire().unwrap();
    let mut abandoned = Spawn::new(echo(limit));
    assert_pending!(abandoned.poll_ready());
    let mut other = Spawn::new(echo(limit));
    assert_pending!(other.poll_ready());
    drop(permit);
    assert!(other.is_woken());
    assert_ready_ok!(other.poll_ready());
    assert_eq!(other.call(1).await.unwrap(), 1);
}

#[tokio::test]
async fn a_waiter_that_is_dropped_is_forgotten() {
    let limit = backpressured(1);
    let permit = limit.try_acquire().unwrap();
    let mut service = Spawn::new(echo(limit));
    assert_pending!(service.poll_ready());
    assert_pending!(service.poll_ready());
    assert_eq!(limit.waiting(), 1, "polled twice, waiting once");
    drop(service);
    assert_eq!(limit.waiting(), 0);
    drop(permit);
    assert!(limit.try_acquire().is_ok());
}

#[tokio::test]
async fn ready_stays_ready_and_the_call_waits_when_others_were_faster() {
    let limit = backpressured(1);
    let mut service = Spawn::new(echo(limit));
    assert_ready_ok!(service.poll_ready());
    let permit = limit.try_acquire().unwrap();
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(7));
    assert_pending!(call.poll());
    assert_eq!((limit.in_flight(), limit.waiting()), (1, 1));
    assert_pending!(service.poll_ready());
    drop(permit);
    assert!(call.is_woken());
    assert!(!service.is_woken(), "the call in line comes first");
    assert_eq!(assert_ready_ok!(call.poll()), 7);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test]
async fn the_gate_is_asked_again_until_the_inner_service_is_ready_too() {
    let limit = backpressured(1);
    let (mut service, mut handle) = tower_test::mock::spawn_layer::<u8, u8, _>(ConcurrencyLayer::new(limit));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    let permit = limit.try_acquire().unwrap();
    handle.allow(1);
    assert_pending!(service.poll_ready());
    drop(permit);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test]
async fn a_greater_limit_wakes() {
    let limit = backpressured(1);
    let _permit = limit.try_acquire().unwrap();
    let mut service = Spawn::new(echo(limit));
    assert_pending!(service.poll_ready());
    limit.set_limit(2).unwrap();
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test]
async fn dismissed_it_is_ready_and_refuses_in_call() {
    let opened = Arc::new(AtomicBool::new(false));
    let watch = Arc::clone(&opened);
    let limit = Limit::fixed(1)
        .backpressure()
        .dismiss_when(move || {
            let watch = Arc::clone(&watch);
            std::future::poll_fn(move |_| {
                if watch.load(Ordering::Relaxed) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
        })
        .build()
        .unwrap();
    let permit = limit.try_acquire().unwrap();
    let mut service =
        Spawn::new(ConcurrencyLayer::new(limit.clone()).layer(service_fn(|n: u8| ready(Ok::<_, Infallible>(n)))));
    assert_pending!(service.poll_ready());
    opened.store(true, Ordering::Relaxed);
    assert_ready_ok!(service.poll_ready());
    assert_eq!(limit.waiting(), 0);
    let error = assert_ready_err!(task::spawn(service.call(1)).poll());
    assert_eq!(Overloaded::find(&*error).unwrap().reason(), Reason::Dismissed);
    drop(permit);
    assert_ready_ok!(service.poll_ready());
    assert_eq!(service.call(2).await.unwrap(), 2);
}

#[tokio::test]
async fn retired_it_is_ready_and_refuses_in_call() {
    let limit = backpressured(1);
    let _permit = limit.try_acquire().unwrap();
    let mut service = Spawn::new(echo(limit));
    assert_pending!(service.poll_ready());
    limit.retire();
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let error = service.call(1).await.unwrap_err();
    assert_eq!(Overloaded::find(&*error).unwrap().reason(), Reason::Retired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_all_come_through_and_never_more_than_three_at_once() {
    let limit = backpressured(3);
    let service = ConcurrencyLayer::new(limit).layer(service_fn(move |n: usize| async move {
        assert!(limit.in_flight() <= 3);
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(n)
    }));
    let calls: Vec<_> = (0..200).map(|n| tokio::spawn(service.clone().oneshot(n))).collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), n);
    }
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
}

#[tokio::test]
async fn a_pending_call_dropped_wakes_who_waits() {
    let limit = backpressured(1);
    let mut hangs = ConcurrencyLayer::new(limit).layer(service_fn(|()| pending::<Result<(), Infallible>>()));
    let call = hangs.ready().await.unwrap().call(());
    let mut service = Spawn::new(echo(limit));
    assert_pending!(service.poll_ready());
    drop(call);
    assert!(service.is_woken());
    let _ = Box::pin(service.call(1))
        .as_mut()
        .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
}
