//! Retries round a circuit.
#![cfg(feature = "retry")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use circuit_layer::{BoxError, Circuit, CircuitLayer, Refused, Retry, RetryPolicy, TokioClock};
use tokio::time::Instant;
use tower::retry::RetryLayer;
use tower::retry::budget::{Budget, TpsBudget};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

fn counter() -> (Arc<AtomicU32>, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    (Arc::clone(&calls), calls)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_inside_a_retry_ends_the_retry() {
    let circuit = Circuit::builder("ends")
        .consecutive_failures(3)
        .clock(TokioClock)
        .build()
        .unwrap();
    let (seen, calls) = counter();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::builder().attempts(10).build().unwrap()))
        .layer(CircuitLayer::new(circuit))
        .service(service_fn(move |()| {
            seen.fetch_add(1, Ordering::Relaxed);
            async { Err::<(), _>(io::Error::other("broken")) }
        }));
    let error: BoxError = service.clone().oneshot(()).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().circuit(), "ends");
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert_eq!(circuit.totals().unwrap().refused, 1);
    // And never begins one.
    service.oneshot(()).await.unwrap_err();
    assert_eq!(circuit.totals().unwrap().refused, 2);
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_waits_double_with_jitter_up_to_the_longest() {
    for (jitter, range) in [(0.0, 3_100..3_110), (0.5, 1_550..3_090)] {
        let (seen, calls) = counter();
        let retry = RetryPolicy::builder()
            .typed_errors()
            .attempts(6)
            .backoff(Duration::from_millis(100), Duration::from_millis(1_600))
            .jitter(jitter)
            .seed(3)
            .build()
            .unwrap();
        let service = RetryLayer::new(retry).layer(service_fn(move |()| {
            seen.fetch_add(1, Ordering::Relaxed);
            async { Err::<(), _>(io::Error::other("broken")) }
        }));
        let start = Instant::now();
        service.oneshot(()).await.unwrap_err();
        assert_eq!(calls.load(Ordering::Relaxed), 6);
        let waited = start.elapsed().as_millis();
        assert!(range.contains(&waited), "{waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_is_not_repeated() {
    let (seen, calls) = counter();
    let service =
        RetryLayer::new(RetryPolicy::builder().typed_errors().build().unwrap()).layer(service_fn(move |()| {
            let first = seen.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if first { Err(io::Error::other("once")) } else { Ok(7) } }
        }));
    assert_eq!(service.oneshot(()).await.unwrap(), 7);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn repetitions_are_paid_from_a_budget() {
    let budget: Arc<dyn Budget + Send + Sync> = Arc::new(TpsBudget::new(Duration::from_secs(10), 1, 0.0));
    let retry = RetryPolicy::builder()
        .typed_errors()
        .attempts(2)
        .backoff(Duration::from_millis(1), Duration::from_millis(1))
        .budget(budget)
        .build()
        .unwrap();
    let (seen, calls) = counter();
    let service = RetryLayer::new(retry).layer(service_fn(move |()| {
        seen.fetch_add(1, Ordering::Relaxed);
        async { Err::<(), _>(io::Error::other("broken")) }
    }));
    for _ in 0..100 {
        service.clone().oneshot(()).await.unwrap_err();
    }
    // 100 calls, and the 10 repetitions that a second's reserve times ten pays for.
    assert_eq!(calls.load(Ordering::Relaxed), 110);
}

#[tokio::test(start_paused = true)]
async fn a_retry_hint_is_waited_for_up_to_a_maximum() {
    for (hint, expected_calls) in [(20, 2), (31, 1)] {
        let (seen, calls) = counter();
        let retry = RetryPolicy::builder()
            .attempts(2)
            .max_hint(Duration::from_secs(30))
            .when(move |_: &Result<(), BoxError>| Retry::Again {
                after: Some(Duration::from_secs(hint)),
            })
            .build()
            .unwrap();
        let service = RetryLayer::new(retry).layer(service_fn(move |()| {
            seen.fetch_add(1, Ordering::Relaxed);
            async { Err::<(), BoxError>("busy".into()) }
        }));
        let start = Instant::now();
        service.oneshot(()).await.unwrap_err();
        assert_eq!(calls.load(Ordering::Relaxed), expected_calls);
        let waited = if expected_calls == 2 { hint } else { 0 };
        assert_eq!(start.elapsed().as_secs(), waited);
    }
}

#[test]
fn a_policy_that_cannot_work_is_an_error_that_names_the_field() {
    let second = Duration::from_secs(1);
    for (builder, field) in [
        (RetryPolicy::builder().attempts(0), "attempts"),
        (RetryPolicy::builder().backoff(Duration::ZERO, second), "backoff"),
        (RetryPolicy::builder().backoff(second * 2, second), "backoff"),
        (RetryPolicy::builder().jitter(f64::NAN), "jitter"),
        (RetryPolicy::builder().jitter(-0.1), "jitter"),
        (RetryPolicy::builder().jitter(f64::INFINITY), "jitter"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.field(), field);
        assert!(error.to_string().contains(field), "{error}");
    }
    assert!(
        RetryPolicy::builder()
            .backoff(second, Duration::MAX)
            .attempts(u32::MAX)
            .build()
            .is_ok()
    );
}

#[cfg(feature = "http")]
mod over_http {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use bytes::Bytes;
    use http::{Method, Request, Response};
    use http_body_util::Full;

    use super::*;

    type Script = Arc<Mutex<VecDeque<Response<Full<Bytes>>>>>;

    /// How many calls were made, what came at last, and how long it took.
    async fn run(
        method: Method,
        header: Option<(&'static str, &'static str)>,
        answers: Vec<(u16, &'static str, &'static str)>,
    ) -> (u32, u16, u64) {
        let script: Script = Arc::new(Mutex::new(
            answers
                .into_iter()
                .map(|(status, name, value)| {
                    Response::builder()
                        .status(status)
                        .header(name, value)
                        .body(Full::default())
                        .unwrap()
                })
                .collect(),
        ));
        let (seen, calls) = counter();
        let service = RetryLayer::new(RetryPolicy::builder().http().attempts(5).build().unwrap()).layer(service_fn(
            move |_: Request<Full<Bytes>>| {
                seen.fetch_add(1, Ordering::Relaxed);
                let next = script.lock().unwrap().pop_front().unwrap();
                async { Ok::<_, BoxError>(next) }
            },
        ));
        let mut request = Request::builder().method(method);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let start = Instant::now();
        let last = service.oneshot(request.body(Full::default()).unwrap()).await.unwrap();
        (
            calls.load(Ordering::Relaxed),
            last.status().as_u16(),
            start.elapsed().as_secs(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn statuses_that_blame_the_server_are_repeated_and_others_are_not() {
        assert_eq!(
            run(Method::GET, None, vec![(500, "a", "b"), (200, "a", "b")]).await,
            (2, 200, 0)
        );
        assert_eq!(run(Method::GET, None, vec![(404, "a", "b")]).await, (1, 404, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_after_is_respected_or_the_call_is_given_up() {
        assert_eq!(
            run(Method::GET, None, vec![(503, "retry-after", "7"), (200, "a", "b")]).await,
            (2, 200, 7)
        );
        assert_eq!(
            run(Method::GET, None, vec![(429, "retry-after", "3600")]).await,
            (1, 429, 0)
        );
        assert_eq!(
            run(Method::GET, None, vec![(503, "grpc-retry-pushback-ms", "-1")]).await,
            (1, 503, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn only_requests_that_are_idempotent_are_made_twice() {
        assert_eq!(run(Method::POST, None, vec![(500, "a", "b")]).await.0, 1);
        let key = Some(("idempotency-key", "1"));
        assert_eq!(
            run(Method::POST, key, vec![(500, "a", "b"), (200, "a", "b")]).await.0,
            2
        );
        assert_eq!(
            run(Method::PUT, None, vec![(500, "a", "b"), (200, "a", "b")]).await.0,
            2
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_503_by_which_a_circuit_refused_is_not_repeated() {
        let circuit = Circuit::builder("http ends").build().unwrap();
        circuit.force_open();
        let service = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::builder().http().build().unwrap()))
            .layer(CircuitLayer::http(circuit))
            .service(service_fn(|_: Request<Full<Bytes>>| async {
                Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
            }));
        let response = service.oneshot(Request::new(Full::default())).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(circuit.totals().unwrap().refused, 1);
    }
}
