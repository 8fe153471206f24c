//! All layers together, over real sockets, with many callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fusebox::prelude::*;
use fusebox_tests::serve::{Server, serve};
use tower::ServiceBuilder;

/// A server with all three layers round a handler that fails while `broken` is not 0; and how often it was called.
async fn stack(name: &str, broken: &Arc<AtomicUsize>, calls: &Arc<AtomicUsize>) -> (Server, Circuit, Limit) {
    let circuit = Circuit::builder(name)
        .consecutive_failures(5)
        .build()
        .expect("a valid policy");
    let limit = Limit::fixed(4)
        .name(name)
        .queue(100, Duration::from_secs(5))
        .build()
        .expect("a valid limit");
    let (broken, calls) = (Arc::clone(broken), Arc::clone(calls));
    let handler = move || {
        calls.fetch_add(1, Ordering::SeqCst);
        let fails = broken.load(Ordering::SeqCst) != 0;
        async move {
            if fails {
                StatusCode::BAD_GATEWAY.into_response()
            } else {
                "fresh".into_response()
            }
        }
    };
    let fallback = FallbackLayer::http()
        .cached_http(|request: &Request| Some(request.uri().path().to_owned()), Body::new)
        .finally(|_, _| (StatusCode::SERVICE_UNAVAILABLE, "sorry").into_response());
    let layers = ServiceBuilder::new()
        .layer(fallback)
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(CircuitLayer::http(circuit))
        .layer(fusebox::concurrency::ConcurrencyLayer::http(limit));
    let app = Router::new().route("/{*path}", get(handler)).layer(layers);
    (serve(app).await, circuit, limit)
}

async fn text(server: &Server, path: &str) -> (StatusCode, String) {
    let response = reqwest::get(server.url(path)).await.expect("an answer");
    (response.status(), response.text().await.expect("a body"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_handler_is_answered_from_the_cache_then_by_the_last_word_and_is_left_alone() {
    let (broken, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (server, circuit, limit) = stack("stack-broken", &broken, &calls).await;
    assert_eq!(text(&server, "/known").await, (StatusCode::OK, "fresh".to_owned()));
    broken.store(1, Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(
            text(&server, "/known").await,
            (StatusCode::OK, "fresh".to_owned()),
            "from the cache"
        );
    }
    assert_eq!(
        text(&server, "/unknown").await,
        (StatusCode::SERVICE_UNAVAILABLE, "sorry".to_owned())
    );
    assert_eq!(
        calls.load(Ordering::SeqCst),
        6,
        "one success, five failures, then the circuit refused"
    );
    assert_eq!(circuit.state(), State::Open);
    assert_eq!(limit.in_flight(), 0);
    broken.store(0, Ordering::SeqCst);
    circuit.reset();
    assert_eq!(text(&server, "/unknown").await, (StatusCode::OK, "fresh".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_at_once_leak_no_slot_and_lose_no_answer() {
    let (broken, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (server, circuit, limit) = stack("stack-eight", &broken, &calls).await;
    let server = Arc::new(server);
    let clients = (0..8).map(|client| {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            for call in 0..50 {
                assert_eq!(text(&server, &format!("/{client}/{call}")).await.1, "fresh");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("a client that got its answers");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 400);
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    assert_eq!(circuit.totals().map(|totals| totals.successes), Some(400));
}
