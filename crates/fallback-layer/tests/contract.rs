//! What a Tower service owes its callers.

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fallback_layer::{BoxError, CloneRequest, Empty, Fallback, FallbackLayer, KeepNothing, ResponseFuture};
use support::{Broken, Script, failing};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_test::mock;

type Mock = mock::Mock<u32, &'static str>;
type Layered<C, K> = mock::Spawn<Fallback<Mock, u32, &'static str, C, K>>;

fn layered<C: Clone, K: Clone>(
    layer: FallbackLayer<u32, &'static str, C, K>,
) -> (Layered<C, K>, mock::Handle<u32, &'static str>) {
    mock::spawn_layer(layer)
}

#[test]
fn readiness_passes_through() {
    let (mut service, mut handle) = layered(FallbackLayer::new().respond(|_, _| "sorry"));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    assert_ready_ok!(service.poll_ready(), "ready stays ready");
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let (mut service, mut handle) = layered(FallbackLayer::new().respond(|_, _| "sorry"));
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let call = task::spawn(service.call(7));
    let (request, send) = handle
        .next_request()
        .await
        .expect("called inside of call, before it is polled");
    assert_eq!(request, 7);
    send.send_response("real");
    assert_eq!(call.await.unwrap(), "real");
}

#[test]
fn an_inner_readiness_error_never_comes_out_of_poll_ready() {
    let (mut service, mut handle) = layered(FallbackLayer::new());
    handle.allow(0);
    handle.send_error(Broken("gone"));
    assert_ready_ok!(service.poll_ready());
    assert_ready_ok!(
        service.poll_ready(),
        "ready stays ready, and the inner service is not asked again"
    );
    let error = tokio_test::block_on(service.call(1)).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Broken("gone")));
    drop(handle);
    assert_ready_ok!(service.poll_ready());
    let error = tokio_test::block_on(service.call(1)).unwrap_err();
    assert!(
        error.is::<tower_test::mock::error::Closed>(),
        "the next call has a cause of its own"
    );
}

#[test]
fn a_clone_has_a_readiness_of_its_own() {
    let (mut service, mut handle) = layered(FallbackLayer::new().respond(|_, _| "sorry"));
    handle.send_error(Broken("gone"));
    assert_ready_ok!(service.poll_ready());
    let mut clone = service.clone();
    handle.allow(0);
    assert_pending!(clone.poll_ready(), "the error is the first one's to tell");
    assert_eq!(tokio_test::block_on(service.call(1)).unwrap(), "sorry");
}

#[tokio::test]
async fn a_clone_shares_the_cache() {
    let layer = FallbackLayer::new().cached(|number: &u32| *number);
    let mut service = layer.layer(Script::new([Ok("good"), Err("down")]));
    let mut clone = service.clone();
    assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), "good");
    assert_eq!(clone.ready().await.unwrap().call(1).await.unwrap(), "good");
}

#[tokio::test]
async fn layer_called_twice_shares_the_cache_and_the_bounds() {
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .cached(|number: &u32| *number)
        .service(support::hanging())
        .at_most(1)
        .build()
        .unwrap();
    layer.layer(Script::new([Ok("good")])).oneshot(1).await.unwrap();

    let down = || failing(|| Broken("down").into());
    assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "good");
    assert_eq!(layer.clone().layer(down()).oneshot(1).await.unwrap(), "good");
    let mut holds_the_place = task::spawn(layer.layer(down()).oneshot(2));
    assert_pending!(holds_the_place.poll());
    let error = layer.clone().layer(down()).oneshot(2).await.unwrap_err();
    assert_eq!(
        error.downcast_ref(),
        Some(&Broken("down")),
        "the step is full and passes on"
    );
}

#[tokio::test]
async fn a_leaked_layer_is_the_same_layer_and_shares_the_same_state() {
    fn is_copied<T: Copy + Send + Sync + 'static>(_: &T) {}

    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .cached(|number: &u32| *number)
        .service(support::hanging())
        .at_most(1)
        .respond(|_, _| "full")
        .build()
        .unwrap()
        .leak();
    is_copied(&layer);
    let down = || failing(|| Broken("down").into());
    layer.layer(Script::new([Ok("good")])).oneshot(1).await.unwrap();
    assert_eq!(layer.layer(down()).oneshot(1).await.unwrap(), "good");
    let mut holds_the_place = task::spawn(layer.layer(down()).oneshot(2));
    assert_pending!(holds_the_place.poll());
    let service = layer.layer(down());
    assert_eq!(service.clone().oneshot(2).await.unwrap(), "full");
    drop(holds_the_place);
    let mut has_the_place = task::spawn(service.oneshot(2));
    assert_pending!(has_the_place.poll());
}

/// Counts how many of itself there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(alive))
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Pending once, then `answer`.
fn stutters<T: Send + Unpin>(answer: T) -> impl Future<Output = T> + Send {
    let mut answer = Some(answer);
    let mut pending = true;
    std::future::poll_fn(move |cx| {
        if std::mem::take(&mut pending) {
            cx.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(answer.take().expect("polled once more"))
    })
}

#[tokio::test(start_paused = true)]
async fn dropped_at_every_await_point_nothing_leaks_and_every_place_is_given_back() {
    let alive = Arc::new(AtomicUsize::new(0));
    let mut points = 0;
    for polls in 0.. {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let backup = |answer: Option<u32>| {
            let count = Arc::clone(&count);
            tower::service_fn(move |request: Counted| {
                count.fetch_add(1, Ordering::Relaxed);
                stutters(answer.map(|answer| (answer, request)).ok_or("backup is down"))
            })
        };
        let layer = FallbackLayer::new()
            .keep(CloneRequest)
            .cached(|_: &Counted| ())
            .service(backup(None))
            .within(Duration::from_secs(1))
            .at_most(1)
            .service(backup(Some(1)))
            .at_most(1)
            .build()
            .unwrap();
        let inner = tower::service_fn(|request: Counted| stutters(Err::<(u32, Counted), _>((request, "down").1)));

        let mut call = task::spawn(layer.layer(inner).oneshot(Counted::new(&alive)));
        let mut answered = false;
        for _ in 0..polls {
            if let std::task::Poll::Ready(answer) = call.poll() {
                assert_eq!(answer.unwrap().0, 1);
                answered = true;
                break;
            }
        }
        drop(call);
        assert_eq!(
            alive.load(Ordering::Relaxed),
            0,
            "after {polls} polls something is left"
        );
        // Every place is free again: a call with the same steps comes through.
        let again = layer
            .layer(failing(|| Broken("down").into()))
            .oneshot(Counted::new(&alive))
            .await;
        assert_eq!(again.unwrap().0, 1, "after {polls} polls a place is taken");
        assert_eq!(alive.load(Ordering::Relaxed), 0);
        if answered {
            break;
        }
        points += 1;
    }
    assert_eq!(
        points, 4,
        "before the first poll, in the service, in each of the two backups"
    );
}

#[test]
fn services_and_futures_are_what_the_strictest_hosts_want() {
    fn assert_service<T: Clone + Send + Sync + 'static>() {}
    fn service<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn future<T: Send + 'static>(_: &T) {}
    fn sync<T: Sync>(_: &T) {}

    type Rc = std::rc::Rc<()>;
    type Backup = tower::util::BoxCloneService<u32, &'static str, BoxError>;
    let backup = Backup::new(Script::new([Ok("backup")])); // Send, but not Sync
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .on_response(|_| false)
        .cached(|number: &u32| *number)
        .service(backup)
        .within(Duration::from_secs(1))
        .at_most(2)
        .respond(|_, _| "sorry")
        .finally(|_, _| "sorry")
        .build()
        .unwrap();
    service(&layer);
    let mut svc = layer.layer(Script::new([Ok("real")]));
    service(&svc);
    future(&svc.call(1));

    let layer = FallbackLayer::new()
        .cached(|number: &u32| *number)
        .respond(|_, _| "sorry");
    let mut svc = layer.layer(Script::new([Ok("real")]));
    service(&svc);
    future(&svc.call(1));
    sync(&svc.call(1));

    // A request or a response that is neither Send nor Sync does not make the service so.
    assert_service::<Fallback<Script<u32, u32>, Rc, Rc, Empty, KeepNothing>>();
}

#[test]
fn the_type_of_a_layer_and_of_a_future_can_be_named() {
    use fallback_layer::{Cached, Chain, Finally, Nothing, Ready, Respond};

    type Cache = Chain<Empty, Cached<u32, u32, String>, Nothing, String>;
    type Steps = Finally<Chain<Cache, Respond<Nothing, String>, Nothing, String>, Nothing, String>;
    type Named = FallbackLayer<u32, String, Steps, KeepNothing, Ready>;
    type Future<F> = ResponseFuture<F, u32, String, Steps, KeepNothing>;

    fn named() -> Named {
        FallbackLayer::new()
            .cached(|n: &u32| *n)
            .respond(|_, _| String::new())
            .finally(|_, _| String::new())
    }
    let mut service = named().layer(tower::service_fn(|n: u32| {
        std::future::ready(Ok::<_, Infallible>(n.to_string()))
    }));
    let call: Future<std::future::Ready<Result<String, Infallible>>> = service.call(7);
    assert_eq!(tokio_test::block_on(call), Ok("7".to_owned()));
}

#[test]
fn the_inner_service_can_be_reached() {
    let mut service = FallbackLayer::new()
        .respond(|_, _| "sorry")
        .layer(Script::<u32, &str>::new([Ok("real")]));
    assert!(service.get_ref().asked().is_empty());
    drop(service.call(3));
    assert_eq!(service.get_mut().asked(), [3]);
    assert_eq!(service.into_inner().asked(), [3]);
}
