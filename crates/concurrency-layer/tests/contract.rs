//! What Tower asks of a service.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use concurrency_layer::{
    Acquire, AsError, ConcurrencyFuture, ConcurrencyLayer, ConcurrencyService, Limit, LimitBuilder, Overloaded, Permit,
    Reason, Respond, Undismissed,
};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock::{self, Mock, Spawn};

type Handle = mock::Handle<&'static str, &'static str>;
type Limited = ConcurrencyService<Mock<&'static str, &'static str>>;

fn limited(limit: Limit) -> (Spawn<Limited>, Handle) {
    mock::spawn_layer(ConcurrencyLayer::new(limit))
}

fn queued(limit: u32) -> Limit {
    Limit::fixed(limit).queue(10, Duration::from_secs(2)).build().unwrap()
}

fn overloaded(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Reason {
    Overloaded::find(error).expect("a refusal").reason()
}

#[tokio::test]
async fn a_call_goes_through_and_its_answer_comes_back() {
    let limit = Limit::fixed(1).build().unwrap();
    let (mut service, mut handle) = limited(limit);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call("hello"));
    assert_eq!(limit.in_flight(), 1);
    let (request, answer) = handle.next_request().await.unwrap();
    assert_eq!(request, "hello");
    answer.send_response("world");
    assert_eq!(assert_ready_ok!(call.poll()), "world");
    assert_eq!(limit.in_flight(), 0, "the slot is back though the future is still held");
}

#[tokio::test]
async fn readiness_passes_through_and_holds_nothing() {
    for limit in [
        Limit::fixed(1).build().unwrap(),
        queued(1),
        Limit::fixed(1).backpressure().build().unwrap(),
    ] {
        let (mut service, mut handle) = limited(limit);
        handle.allow(0);
        assert_pending!(service.poll_ready());
        assert!(!service.is_woken());
        handle.allow(1);
        assert!(service.is_woken());
        assert_ready_ok!(service.poll_ready());
        assert_ready_ok!(service.poll_ready());
        assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    }
}

#[tokio::test]
async fn an_error_of_the_inner_readiness_passes_through() {
    for limit in [
        Limit::fixed(1).build().unwrap(),
        queued(1),
        Limit::fixed(1).backpressure().build().unwrap(),
    ] {
        let (mut service, mut handle) = limited(limit);
        handle.send_error(std::io::Error::other("broken"));
        let error = assert_ready_err!(service.poll_ready());
        assert_eq!(error.to_string(), "broken");
        assert!(Overloaded::find(&*error).is_none());
        drop(service);
        assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    }
}

#[tokio::test]
async fn an_inner_error_comes_back_untouched_and_gives_the_slot_back() {
    let limit = Limit::fixed(1).build().unwrap();
    let (mut service, mut handle) = limited(limit);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call("hello"));
    let (_, answer) = handle.next_request().await.unwrap();
    answer.send_error(std::io::Error::other("broken"));
    let error = assert_ready_err!(call.poll());
    assert!(error.downcast_ref::<std::io::Error>().is_some());
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test]
async fn refusals_come_from_call_and_the_service_is_as_good_as_before() {
    let limit = Limit::fixed(1).build().unwrap();
    let (mut service, mut handle) = limited(limit);
    handle.allow(2);
    let permit = limit.try_acquire().unwrap();
    assert_ready_ok!(service.poll_ready());
    let error = assert_ready_err!(task::spawn(service.call("refused")).poll());
    assert_eq!(overloaded(&*error), Reason::Full);
    drop(permit);
    assert_ready_ok!(service.poll_ready());
    let _call = task::spawn(service.call("made"));
    assert_eq!(handle.next_request().await.unwrap().0, "made");
}

#[tokio::test]
async fn clones_share_the_limit() {
    let limit = Limit::fixed(1).build().unwrap();
    let (service, mut handle) = limited(limit);
    handle.allow(2);
    let mut first = service.clone();
    let mut second = Spawn::new(service.into_inner());
    assert_ready_ok!(first.poll_ready());
    assert_ready_ok!(second.poll_ready());
    let call = task::spawn(first.call("first"));
    let error = assert_ready_err!(task::spawn(second.call("second")).poll());
    assert_eq!(overloaded(&*error), Reason::Full);
    drop(call);
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test]
async fn layer_twice_shares_the_limit() {
    let limit = Limit::fixed(1).build().unwrap();
    let layer = ConcurrencyLayer::new(limit);
    let inner = service_fn(|()| std::future::pending::<Result<(), Infallible>>());
    let (mut one, mut other) = (layer.layer(inner), layer.clone().layer(inner));
    let mut call = task::spawn(one.ready().await.unwrap().call(()));
    assert_pending!(call.poll());
    let error = assert_ready_err!(task::spawn(other.ready().await.unwrap().call(())).poll());
    assert_eq!(overloaded(&*error), Reason::Full);
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called_after_a_wait() {
    // The mock panics when a clone is called that was not polled ready.
    let limit = queued(1);
    let (mut service, mut handle) = limited(limit);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let permit = limit.try_acquire().unwrap();
    let mut call = task::spawn(service.call("after a wait"));
    assert_pending!(call.poll());
    drop(permit);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    let (request, answer) = handle.next_request().await.unwrap();
    assert_eq!(request, "after a wait");
    answer.send_response("done");
    assert_eq!(assert_ready_ok!(call.poll()), "done");
    assert_eq!(limit.in_flight(), 0);
}

/// Pending so many times, waking itself.
struct Steps(u32);

impl Future for Steps {
    type Output = Result<u32, Infallible>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0 == 0 {
            return Poll::Ready(Ok(7));
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_every_await_point_a_call_leaks_nothing() {
    let limit = queued(1);
    for polls in 0..6 {
        for granted_at in 0..6 {
            let mut service = ConcurrencyLayer::new(limit).layer(service_fn(|()| Steps(2)));
            let mut permit = Some(limit.try_acquire().unwrap());
            let mut call = Box::pin(service.ready().await.unwrap().call(()));
            let mut next = Box::pin(limit.acquire());
            for poll in 0..polls {
                if poll == granted_at {
                    drop(permit.take());
                }
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let over = call.as_mut().poll(&mut cx).is_ready();
                assert!(next.as_mut().poll(&mut cx).is_pending() || over);
                if over {
                    break;
                }
            }
            drop(call);
            drop(permit);
            drop(next);
            assert_eq!(
                (limit.in_flight(), limit.waiting()),
                (0, 0),
                "{polls} polls, granted at {granted_at}"
            );
        }
    }
}

#[tokio::test]
async fn a_panic_of_the_inner_service_gives_the_slot_back() {
    let limit = queued(1);
    let mut in_call =
        ConcurrencyLayer::new(limit).layer(service_fn(|()| -> Ready<Result<(), Infallible>> { panic!("in call") }));
    let mut in_poll = ConcurrencyLayer::new(limit).layer(service_fn(|()| {
        std::future::poll_fn(|_| -> Poll<Result<(), Infallible>> { panic!("in poll") })
    }));
    let mut late = ConcurrencyLayer::new(limit).layer(service_fn(|()| -> Ready<Result<(), Infallible>> {
        panic!("after a wait")
    }));
    assert!(
        tokio::spawn(async move { in_call.ready().await.unwrap().call(()).await })
            .await
            .unwrap_err()
            .is_panic()
    );
    assert_eq!(limit.in_flight(), 0);
    assert!(
        tokio::spawn(async move { in_poll.ready().await.unwrap().call(()).await })
            .await
            .unwrap_err()
            .is_panic()
    );
    assert_eq!(limit.in_flight(), 0);
    let permit = limit.try_acquire().unwrap();
    let waiting = tokio::spawn(async move { late.ready().await.unwrap().call(()).await });
    tokio::task::yield_now().await;
    assert_eq!(limit.waiting(), 1);
    drop(permit);
    assert!(waiting.await.unwrap_err().is_panic());
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
}

#[tokio::test]
async fn on_refused_answers_with_a_response_and_keeps_the_error() {
    let limit = Limit::fixed(1).name("openai").build().unwrap();
    let layer = ConcurrencyLayer::new(limit).on_refused(|overloaded| overloaded.to_string());
    let service = layer.layer(service_fn(|()| ready(Ok::<_, Infallible>(String::from("answer")))));
    let call = async move || -> Result<String, Infallible> { service.clone().oneshot(()).await };
    assert_eq!(call().await, Ok("answer".into()));
    let permit = limit.try_acquire().unwrap();
    assert_eq!(
        call().await,
        Ok(r#"limit "openai" is full: 1 of 1 in flight; try again in 1 s"#.into())
    );
    drop(permit);
}

#[tokio::test]
async fn a_panic_in_on_refused_harms_nobody() {
    let limit = Limit::fixed(1).build().unwrap();
    let layer = ConcurrencyLayer::new(limit).on_refused(|_| panic!("in on_refused"));
    let service = layer.layer(service_fn(|()| ready(Ok::<(), Infallible>(()))));
    let permit = limit.try_acquire().unwrap();
    assert!(tokio::spawn(service.clone().oneshot(())).await.unwrap_err().is_panic());
    drop(permit);
    assert!(service.oneshot(()).await.is_ok());
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test]
async fn call_without_poll_ready_counts_all_the_same() {
    let limit = Limit::fixed(1).build().unwrap();
    let mut service =
        ConcurrencyLayer::new(limit).layer(service_fn(|()| std::future::pending::<Result<(), Infallible>>()));
    let _first = service.call(());
    assert_eq!(limit.in_flight(), 1);
    assert!(service.call(()).await.is_err());
}

#[tokio::test]
async fn it_works_under_a_buffer_and_outlives_refusals_there() {
    let limit = Limit::fixed(1).build().unwrap();
    let inner = ConcurrencyLayer::new(limit).layer(service_fn(|n: u32| ready(Ok::<_, Infallible>(n))));
    let mut service = tower::buffer::Buffer::new(inner, 8);
    let permit = limit.try_acquire().unwrap();
    let error = service.ready().await.unwrap().call(1).await.unwrap_err();
    assert_eq!(overloaded(&*error), Reason::Full);
    drop(permit);
    assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), 2);
}

#[tokio::test]
async fn a_timeout_outside_gives_the_slot_back() {
    tokio::time::pause();
    let limit = Limit::fixed(1).build().unwrap();
    let service = tower::ServiceBuilder::new()
        .timeout(Duration::from_secs(5))
        .layer(ConcurrencyLayer::new(limit))
        .service(service_fn(|()| std::future::pending::<Result<(), Infallible>>()));
    assert!(service.oneshot(()).await.is_err());
    assert_eq!(limit.in_flight(), 0);
}

#[test]
fn services_are_clone_send_sync_static_and_futures_send() {
    type Inner = fn(u8) -> Ready<Result<u8, Infallible>>;
    type Fn = tower::util::ServiceFn<Inner>;
    type Boxed = tower::util::BoxCloneSyncService<u8, u8, Infallible>;
    fn citizen<T: Clone + Send + Sync + 'static>() {}
    fn send<T: Send + 'static>() {}
    fn is_send<T: Send>(_: T) {}
    fn send_sync<T: Send + Sync + 'static>() {}
    fn copy<T: Copy + Send + Sync + 'static>() {}
    citizen::<ConcurrencyService<Fn>>();
    citizen::<ConcurrencyService<Boxed>>();
    citizen::<ConcurrencyService<Boxed, Undismissed, Respond<fn(Overloaded) -> u8>>>();
    citizen::<ConcurrencyLayer>();
    citizen::<LimitBuilder>();
    copy::<Limit>();
    copy::<Overloaded>();
    send::<ConcurrencyFuture<Fn, u8>>();
    send::<ConcurrencyFuture<Boxed, u8, Undismissed, AsError>>();
    send_sync::<Acquire>();
    send_sync::<Permit>();
    send_sync::<ConcurrencyFuture<Fn, u8>>();
    let limit = Limit::fixed(1).build().unwrap();
    is_send(limit.call(|| ready(())));
}
