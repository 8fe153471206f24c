//! Pools of HTTP and gRPC services.
#![cfg(feature = "http")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use provider_pool::http::{Deadline, PooledBody, ServedBy};
use provider_pool::{BoxError, InOrder, NoProvider, Provider, ProviderPool, Unserved};
use state_core::{Circuit, ManualClock, Refusal};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

type Body = Full<Bytes>;
type Asked = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A provider that answers with what `answer` makes, and counts.
fn provider(answer: impl Fn() -> Response<Body> + Clone + Send + Sync + 'static) -> (Asked, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let service = service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let answer = answer();
        async move { Ok(answer) }
    });
    (BoxCloneSyncService::new(service), calls)
}

fn status(status: u16) -> impl Fn() -> Response<Body> + Clone {
    move || {
        let mut response = Response::new(Body::from("from afar"));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    }
}

fn get() -> Request<Body> {
    Request::new(Body::default())
}

fn by(response: &Response<PooledBody<Body>>) -> &str {
    &response.extensions().get::<ServedBy>().expect("who served it").0
}

#[tokio::test]
async fn statuses_that_blame_the_server_fail_over_and_others_do_not() {
    for (code, fails) in [
        (200, false),
        (404, false),
        (400, false),
        (429, true),
        (500, true),
        (503, true),
    ] {
        let ((a, asked_a), (b, asked_b)) = (provider(status(code)), provider(status(200)));
        let pool = ProviderPool::http()
            .provider(Provider::new("a", a))
            .provider(Provider::new("b", b))
            .strategy(InOrder)
            .repeat_idempotent(1024)
            .build()
            .unwrap();
        let response = pool.clone().oneshot(get()).await.unwrap();
        assert_eq!(
            (asked_a.load(Ordering::Relaxed), asked_b.load(Ordering::Relaxed)),
            (1, u32::from(fails)),
            "{code}"
        );
        assert_eq!(by(&response), if fails { "b" } else { "a" }, "{code}");
        assert_eq!(pool.snapshot().providers[0].failed, u64::from(fails), "{code}");
    }
}

#[tokio::test]
async fn grpc_statuses_that_blame_the_server_fail_over() {
    for (code, fails) in [("0", false), ("5", false), ("14", true), ("8", true), ("13", true)] {
        let answer = move || {
            let mut response = Response::new(Body::default());
            let headers = response.headers_mut();
            headers.insert("content-type", HeaderValue::from_static("application/grpc"));
            headers.insert("grpc-status", HeaderValue::from_static(code));
            response
        };
        let ((a, _), (b, asked_b)) = (provider(answer), provider(status(200)));
        let pool = ProviderPool::http()
            .provider(Provider::new("a", a))
            .provider(Provider::new("b", b))
            .strategy(InOrder);
        let pool = pool.repeat_any_method(1024).build().unwrap();
        pool.oneshot(get()).await.unwrap();
        assert_eq!(asked_b.load(Ordering::Relaxed), u32::from(fails), "{code}");
    }
}

#[tokio::test]
async fn only_idempotent_requests_with_a_body_within_the_limit_are_sent_twice() {
    for (method, body, twice) in [
        (Method::GET, 0, true),
        (Method::PUT, 8, true),
        (Method::DELETE, 0, true),
        (Method::PUT, 9, false),
        (Method::POST, 0, false),
        (Method::PATCH, 0, false),
    ] {
        let ((a, _), (b, asked_b)) = (provider(status(500)), provider(status(200)));
        let pool = ProviderPool::http()
            .provider(Provider::new("a", a))
            .provider(Provider::new("b", b))
            .strategy(InOrder);
        let pool = pool.repeat_idempotent(8).build().unwrap();
        let request = Request::builder()
            .method(&method)
            .body(Body::from(vec![0; body]))
            .unwrap();
        let response = pool.oneshot(request).await.unwrap();
        assert_eq!(
            asked_b.load(Ordering::Relaxed),
            u32::from(twice),
            "{method} with {body} bytes"
        );
        assert_eq!(
            response.status(),
            if twice { 200 } else { 500 },
            "the last provider's own answer"
        );
    }
}

#[tokio::test]
async fn a_response_in_which_a_layer_refused_fails_over_without_counting() {
    let refused = || {
        let mut response = status(503)();
        response.extensions_mut().insert(Refusal::new(None));
        response
    };
    let ((a, _), (b, _)) = (provider(refused), provider(status(200)));
    let pool = ProviderPool::http()
        .provider(Provider::new("a", a))
        .provider(Provider::new("b", b))
        .strategy(InOrder);
    let pool = pool.repeat_idempotent(8).build().unwrap();
    assert_eq!(by(&pool.clone().oneshot(get()).await.unwrap()), "b");
    let seen = &pool.snapshot().providers[0];
    assert_eq!((seen.refused, seen.failed, seen.latency), (1, 0, None));
}

#[tokio::test]
async fn a_call_is_in_flight_to_the_end_of_its_body() {
    let pool = ProviderPool::http()
        .provider(Provider::new("a", provider(status(200)).0))
        .build()
        .unwrap();
    let in_flight = || pool.snapshot().providers[0].in_flight;
    let response = pool.clone().oneshot(get()).await.unwrap();
    assert_eq!(in_flight(), 1);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "from afar");
    assert_eq!(in_flight(), 0);
    let dropped = pool.clone().oneshot(get()).await.unwrap();
    assert_eq!(in_flight(), 1);
    drop(dropped);
    assert_eq!(in_flight(), 0);
}

#[tokio::test]
async fn without_a_provider_the_answer_is_503_with_retry_after_and_a_problem_document() {
    let clock = ManualClock::new();
    let circuit = Circuit::builder("a")
        .consecutive_failures(1)
        .open_for(Duration::from_millis(11_500))
        .clock(clock);
    let circuit = circuit.build().unwrap();
    circuit.acquire().unwrap().failure();
    let pool = ProviderPool::http()
        .provider(Provider::new("a", provider(status(200)).0).circuit(circuit))
        .build()
        .unwrap();
    let response = pool.clone().oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "12", "whole seconds, rounded up");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.extensions().get::<Refusal>().is_some());
    assert!(response.extensions().get::<ServedBy>().is_none());
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(
        String::from_utf8_lossy(&text).contains("no provider: a is open (next try in 12 s)"),
        "{text:?}"
    );

    let mut grpc = get();
    grpc.headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    let response = pool.clone().oneshot(grpc).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["grpc-status"]),
        (200, &HeaderValue::from_static("14"))
    );
    assert!(response.headers().contains_key("grpc-retry-pushback-ms"));

    let pool = pool.on_refused(|unserved| match unserved {
        Unserved::NoProvider(_) => Response::builder().status(502).body(Body::from("sorry")).unwrap(),
        _ => Response::default(),
    });
    assert_eq!(pool.oneshot(get()).await.unwrap().status(), 502);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_in_the_request_is_kept() {
    let hung = service_fn(async |_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>().await);
    let pool = ProviderPool::http()
        .provider(Provider::new("a", BoxCloneSyncService::new(hung)))
        .build()
        .unwrap();
    for (told, timeout, waits) in [(Some(3), None, 3), (None, Some("2S"), 2), (Some(5), Some("1000m"), 1)] {
        let mut request = get();
        if let Some(told) = told {
            request
                .extensions_mut()
                .insert(Deadline(Instant::now() + Duration::from_secs(told)));
        }
        if let Some(timeout) = timeout {
            request
                .headers_mut()
                .insert("grpc-timeout", HeaderValue::from_static(timeout));
        }
        let began = Instant::now();
        let response = pool.clone().oneshot(request).await.unwrap();
        assert_eq!((response.status().as_u16(), began.elapsed().as_secs()), (504, waits));
    }
    assert_eq!(pool.snapshot().providers[0].in_flight, 0);
}

#[tokio::test]
async fn body_long_takes_bodies_of_any_kind_and_never_fails_over_once_a_response_has_started() {
    type Streamed = StreamBody<futures_stream::Broken>;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let broken = service_fn(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, BoxError>(Response::new(Streamed::new(futures_stream::Broken(false)))) }
    });
    let pool = ProviderPool::body_long()
        .provider(Provider::new("a", broken.clone()))
        .provider(Provider::new("b", broken))
        .strategy(InOrder)
        .repeat_any_method(1024)
        .build()
        .unwrap();
    let response = pool.clone().oneshot(get()).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(error.to_string(), "cut off");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(pool.snapshot().providers[0].in_flight, 0);
    pool.drain("a");
    pool.drain("b");
    let error = pool.oneshot(get()).await.unwrap_err();
    assert!(NoProvider::find(&*error).is_some());
}

#[tokio::test]
async fn an_answer_that_is_replaced_gives_its_connection_back_first() {
    let ((a, _), (b, _)) = (provider(status(500)), provider(status(200)));
    let pool = ProviderPool::http()
        .provider(Provider::new("a", a))
        .provider(Provider::new("b", b))
        .strategy(InOrder);
    let pool = pool.repeat_idempotent(8).build().unwrap();
    let response = pool.clone().oneshot(get()).await.unwrap();
    let seen = pool.snapshot().providers;
    assert_eq!((seen[0].in_flight, seen[1].in_flight), (0, 1));
    drop(response);
}

mod futures_stream {
    //! A stream of one good frame and an error.

    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use futures_core::Stream;
    use http_body::Frame;
    use provider_pool::BoxError;

    #[derive(Debug)]
    pub(crate) struct Broken(pub(crate) bool);

    impl Stream for Broken {
        type Item = Result<Frame<Bytes>, BoxError>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(Some(if std::mem::replace(&mut self.0, true) {
                Err("cut off".into())
            } else {
                Ok(Frame::data(Bytes::from("half")))
            }))
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_deadline_of_the_pools_and_one_that_the_request_brings_the_earlier_counts() {
    let hung = service_fn(async |_: Request<Full<Bytes>>| {
        tokio::time::sleep(Duration::from_secs(100)).await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    for (own, took) in [(None, 2), (Some(1), 1), (Some(3), 2)] {
        let pool = ProviderPool::http()
            .provider(Provider::new("a", hung))
            .deadline(move |_| own.map(|own| Instant::now() + Duration::from_secs(own)))
            .build()
            .unwrap();
        let mut request = Request::new(Full::<Bytes>::default());
        request
            .extensions_mut()
            .insert(Deadline(Instant::now() + Duration::from_secs(2)));
        let began = Instant::now();
        assert_eq!(pool.oneshot(request).await.unwrap().status(), 504);
        assert_eq!(began.elapsed(), Duration::from_secs(took));
    }
}
