//! What the caller gets, and when: deadlines, readiness, places and hints, over HTTP and gRPC too.

use std::time::Duration;

use provider_pool::{BoxError, DeadlinePassed, InOrder, NoProvider, Provider, ProviderPool};
use state_core::{Circuit, ManualClock, Refusal};
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, assert_ready, task};
use tower::limit::ConcurrencyLimit;
use tower::{ServiceExt, service_fn};
use tower_test::mock;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn open_for(name: &str, time: Duration) -> Circuit {
    let circuit = Circuit::builder(name)
        .consecutive_failures(1)
        .open_for(time)
        .clock(ManualClock::new());
    let circuit = circuit.build().unwrap();
    circuit.acquire().unwrap().failure();
    circuit
}

#[tokio::test]
async fn retry_after_is_the_soonest_of_those_that_serve_what_is_wanted() {
    let service = service_fn(async |_: u64| Ok::<_, BoxError>(()));
    let forced = Circuit::builder("forced").build().unwrap();
    forced.force_open();
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", service).serves("x").circuit(open_for("a", secs(12))))
        .provider(Provider::new("b", service).serves("x").circuit(open_for("b", secs(5))))
        .provider(Provider::new("c", service).serves("y").circuit(open_for("c", secs(1))))
        .provider(Provider::new("d", service).serves("x").circuit(forced))
        .wants(|n: &u64| Some(if *n == 0 { "x" } else { "z" }))
        .build()
        .unwrap();
    let error = pool.clone().oneshot(0).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no provider for \"x\": a is open (next try in 12 s), b is open (next try in 5 s), c does not serve it, d is forced \
         open"
    );
    assert_eq!(NoProvider::find(&*error).unwrap().retry_after(), Some(secs(5)));
    assert_eq!(Refusal::find(&*error).unwrap().retry_after(), Some(secs(5)));
    let error = pool.oneshot(1).await.unwrap_err();
    assert_eq!(Refusal::find(&*error).unwrap().retry_after(), None, "nobody ever will");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_wait_for_readiness_too() {
    let (a, mut to_a) = mock::pair::<u64, ()>();
    to_a.allow(0);
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", a))
        .ready_within(secs(60))
        .within(secs(2));
    let pool = pool.build().unwrap();
    let began = Instant::now();
    let error = pool.oneshot(1).await.unwrap_err();
    assert_eq!(began.elapsed(), secs(2));
    assert_eq!(error.to_string(), "the request's deadline passed after 2 s");
    assert!(DeadlinePassed::find(&*error).unwrap().asked().is_empty());
    assert!(NoProvider::find(&*error).is_none());
}

#[tokio::test(start_paused = true)]
async fn ready_within_zero_waits_for_nobody() {
    let (a, mut to_a) = mock::pair::<u64, ()>();
    to_a.allow(0);
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", a))
        .ready_within(Duration::ZERO)
        .build()
        .unwrap();
    let began = Instant::now();
    let error = pool.oneshot(1).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), began.elapsed()),
        ("no provider: a is not ready", Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn of_two_that_wait_for_a_limited_service_one_gets_each_place_and_none_is_lost() {
    let service = service_fn(async |n: u64| {
        sleep(Duration::from_millis(100)).await;
        Ok::<_, BoxError>(n)
    });
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", ConcurrencyLimit::new(service, 1)))
        .ready_within(secs(5))
        .build()
        .unwrap();
    let mut first = task::spawn(pool.clone().oneshot(1));
    let mut second = task::spawn(pool.clone().oneshot(2));
    let mut third = task::spawn(pool.clone().oneshot(3));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_pending!(third.poll());
    assert_eq!(pool.snapshot().providers[0].in_flight, 1, "who waits is not in flight");
    sleep(Duration::from_millis(101)).await;
    assert_eq!(assert_ready!(first.poll()).unwrap(), 1);
    drop(second);
    assert!(
        third.is_woken(),
        "the place of the one that was given up goes to the next"
    );
    assert_pending!(third.poll());
    assert_eq!(pool.snapshot().providers[0].in_flight, 1);
    drop(third);
    assert_eq!(pool.clone().oneshot(4).await.unwrap(), 4);
    assert_eq!(pool.snapshot().providers[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn no_other_provider_is_asked_once_a_call_has_been_given_up() {
    let service = service_fn(async |n: u64| {
        sleep(secs(1)).await;
        if n == 0 { Ok(()) } else { Err(BoxError::from("broken")) }
    });
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", service))
        .provider(Provider::new("b", service))
        .strategy(InOrder)
        .repeat_all()
        .build()
        .unwrap();
    let mut call = task::spawn(pool.clone().oneshot(1));
    assert_pending!(call.poll());
    drop(call);
    sleep(secs(10)).await;
    let seen = pool.snapshot().providers;
    assert_eq!(
        (seen[0].cancelled, seen[0].failed, seen[1].cancelled + seen[1].failed),
        (1, 0, 0)
    );
    assert_eq!(
        (seen[0].latency, seen[0].failure_rate.to_bits()),
        (None, 0.0_f64.to_bits()),
        "nothing is learned"
    );

    pool.clone().oneshot(0).await.unwrap();
    let mut call = task::spawn(pool.clone().oneshot(1));
    assert_pending!(call.poll());
    sleep(Duration::from_millis(500)).await;
    drop(call);
    assert_eq!(
        pool.snapshot().providers[0].latency,
        Some(secs(1)),
        "no longer than usual: nothing is learned"
    );
}

#[cfg(feature = "http")]
mod over_http {
    use std::convert::Infallible;
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use bytes::Bytes;
    use http::{HeaderValue, Request, Response};
    use http_body_util::{BodyExt, Full};
    use provider_pool::http::{Deadline, ServedBy};
    use tower::util::BoxCloneSyncService;

    use super::*;

    type Body = Full<Bytes>;
    type Asked = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

    fn hung() -> Asked {
        BoxCloneSyncService::new(service_fn(async |_: Request<Body>| pending().await))
    }

    fn answering(make: impl Fn(&Request<Body>) -> Response<Body> + Clone + Send + Sync + 'static) -> Asked {
        BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
            std::future::ready(Ok(make(&request)))
        }))
    }

    fn status(code: u16) -> Asked {
        answering(move |_| Response::builder().status(code).body(Body::from("own words")).unwrap())
    }

    fn grpc() -> Request<Body> {
        Request::post("/a.B/C")
            .header("content-type", "application/grpc+proto")
            .body(Body::default())
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_deadline_the_answer_is_504_and_its_document_says_so_too() {
        let pool = ProviderPool::http()
            .provider(Provider::new("a", hung()))
            .within(secs(1))
            .build()
            .unwrap();
        let response = pool.oneshot(Request::new(Body::default())).await.unwrap();
        assert_eq!(response.status(), 504);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(!response.headers().contains_key("retry-after"));
        assert!(
            response.extensions().get::<Refusal>().is_none(),
            "it was asked: no refusal"
        );
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            text,
            r#"{"type":"about:blank","title":"Gateway Timeout","status":504,"detail":"the request's deadline passed after 1 s; asked: a"}"#
        );
    }

    #[tokio::test(start_paused = true)]
    async fn past_its_deadline_a_grpc_request_is_told_deadline_exceeded() {
        let pool = ProviderPool::http()
            .provider(Provider::new("a", hung()))
            .build()
            .unwrap();
        let mut request = grpc();
        request
            .headers_mut()
            .insert("grpc-timeout", HeaderValue::from_static("1500m"));
        let began = Instant::now();
        let response = pool.oneshot(request).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_millis(1_500));
        assert_eq!(
            (response.status().as_u16(), &response.headers()["grpc-status"]),
            (200, &HeaderValue::from_static("4"))
        );
        let message = response.headers()["grpc-message"].to_str().unwrap();
        assert_eq!(message, "the request's deadline passed after 2 s; asked: a");
        assert!(
            response.into_body().collect().await.unwrap().to_bytes().is_empty(),
            "trailers only"
        );
    }

    #[tokio::test]
    async fn a_grpc_response_that_has_started_is_passed_on_whatever_its_trailers_may_say() {
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        let started = answering(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Response::builder()
                .header("content-type", "application/grpc")
                .body(Body::from("a message"))
                .unwrap()
        });
        let pool = ProviderPool::http()
            .provider(Provider::new("a", started.clone()))
            .provider(Provider::new("b", started))
            .strategy(InOrder)
            .repeat_any_method(1024);
        let pool = pool.build().unwrap();
        let response = pool.clone().oneshot(grpc()).await.unwrap();
        assert_eq!(&*response.extensions().get::<ServedBy>().unwrap().0, "a");
        assert_eq!(
            (calls.load(Ordering::Relaxed), pool.snapshot().providers[0].failed),
            (1, 0)
        );
    }

    #[tokio::test]
    async fn the_last_providers_own_response_is_untouched_and_in_flight_to_its_end() {
        let pool = ProviderPool::http()
            .provider(Provider::new("a", status(500)))
            .provider(Provider::new("b", status(429)))
            .strategy(InOrder)
            .repeat_idempotent(0);
        let pool = pool.build().unwrap();
        let response = pool.clone().oneshot(Request::new(Body::default())).await.unwrap();
        assert_eq!(response.status(), 429);
        assert_eq!(&*response.extensions().get::<ServedBy>().unwrap().0, "b");
        assert!(response.extensions().get::<Refusal>().is_none());
        let in_flight = |n: usize| pool.snapshot().providers[n].in_flight;
        assert_eq!((in_flight(0), in_flight(1)), (0, 1));
        let mut drained = task::spawn(pool.drained("b"));
        assert_pending!(drained.poll(), "its body is not over");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "own words");
        assert!(drained.is_woken());
        assert_ready!(drained.poll());
    }

    #[tokio::test]
    async fn a_limit_counts_a_call_to_the_end_of_its_body() {
        let pool = ProviderPool::http()
            .provider(Provider::new("a", status(200)).limit(1))
            .build()
            .unwrap();
        let first = pool.clone().oneshot(Request::new(Body::default())).await.unwrap();
        let refused = pool.clone().oneshot(Request::new(Body::default())).await.unwrap();
        assert_eq!(refused.status(), 503);
        assert!(!refused.headers().contains_key("retry-after"), "nobody can tell");
        let text = refused.into_body().collect().await.unwrap().to_bytes();
        assert!(
            String::from_utf8_lossy(&text).contains("no provider: a is full (1 in flight)"),
            "{text:?}"
        );
        drop(first);
        assert_eq!(pool.oneshot(Request::new(Body::default())).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn a_request_that_is_sent_again_is_whole() {
        let echo = |code: u16| {
            answering(move |request| {
                let said = format!(
                    "{} {} {:?} {}",
                    request.method(),
                    request.uri(),
                    request.headers().get("x-tenant"),
                    request.extensions().get::<Deadline>().is_some()
                );
                Response::builder().status(code).body(Body::from(said)).unwrap()
            })
        };
        let pool = ProviderPool::http()
            .provider(Provider::new("a", echo(502)))
            .provider(Provider::new("b", echo(200)))
            .strategy(InOrder)
            .repeat_idempotent(4);
        let mut request = Request::put("/v1?x=1")
            .header("x-tenant", "t")
            .body(Body::from("four"))
            .unwrap();
        request.extensions_mut().insert(Deadline(Instant::now() + secs(60)));
        let response = pool.build().unwrap().oneshot(request).await.unwrap();
        let said = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(said, r#"PUT /v1?x=1 Some("t") true"#);
    }
}
