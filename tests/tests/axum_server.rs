//! An axum server over real connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use circuit_layer::{Circuit, CircuitLayer, ManualClock};
use fusebox_tests::serve::serve;

fn circuit(name: &str) -> Circuit {
    Circuit::builder(name)
        .consecutive_failures(5)
        .build()
        .expect("a valid policy")
}

/// A handler that fails every call and counts them.
fn failing(calls: &Arc<AtomicUsize>) -> Router {
    let calls = Arc::clone(calls);
    Router::new().route(
        "/",
        get(move || {
            calls.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(StatusCode::INTERNAL_SERVER_ERROR) }
        }),
    )
}

#[tokio::test]
async fn on_axum_without_with_state_over_real_connections_the_circuit_trips_and_the_handler_is_not_called_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let circuit = circuit("axum-trips");
    let server = serve(failing(&calls).layer(CircuitLayer::http(circuit))).await;
    for call in 0..20 {
        // A client of its own: a connection of its own.
        let response = reqwest::Client::new()
            .get(server.url("/"))
            .send()
            .await
            .expect("an answer");
        let expected = if call < 5 {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        assert_eq!(response.status(), expected, "call {call}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn an_open_circuit_answers_503_with_retry_after_and_a_problem_document() {
    let calls = Arc::new(AtomicUsize::new(0));
    // A clock that stands still: the answer tells the time that is left.
    let circuit = Circuit::builder("axum-503")
        .consecutive_failures(5)
        .clock(ManualClock::new())
        .build()
        .expect("a valid policy");
    let server = serve(failing(&calls).layer(CircuitLayer::http(circuit))).await;
    for _ in 0..5 {
        let _ = reqwest::get(server.url("/")).await.expect("an answer");
    }
    let response = reqwest::get(server.url("/")).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "30");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let text = response.text().await.expect("a body");
    assert!(
        text.contains("axum-503") && text.contains("5 failures in a row"),
        "{text}"
    );
}

#[tokio::test]
async fn each_route_can_have_a_circuit_of_its_own() {
    let calls = Arc::new(AtomicUsize::new(0));
    let good = Router::new()
        .route("/", get(|| async { "fine" }))
        .layer(CircuitLayer::http(circuit("axum-good")));
    let bad = failing(&calls).layer(CircuitLayer::http(circuit("axum-bad")));
    let server = serve(Router::new().nest("/good", good).nest("/bad", bad)).await;
    for _ in 0..10 {
        let _ = reqwest::get(server.url("/bad")).await.expect("an answer");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 5);
    let response = reqwest::get(server.url("/good")).await.expect("an answer");
    assert_eq!(response.text().await.expect("a body"), "fine");
}

#[tokio::test]
async fn a_head_request_that_leaves_the_body_unread_is_no_failure() {
    let circuit = Circuit::builder("axum-head")
        .consecutive_failures(1)
        .build()
        .expect("a valid policy");
    let app = Router::new()
        .route("/", get(|| async { "a body" }))
        .layer(CircuitLayer::http(circuit));
    let server = serve(app).await;
    let client = reqwest::Client::new();
    for _ in 0..5 {
        let response = client.head(server.url("/")).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(circuit.snapshot().failures, 0);
    assert_eq!(circuit.state(), circuit_layer::State::Closed);
}

#[tokio::test]
async fn a_client_error_neither_counts_nor_closes() {
    let circuit = Circuit::builder("axum-4xx")
        .consecutive_failures(1)
        .build()
        .expect("a valid policy");
    let app = Router::new()
        .route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }))
        .layer(CircuitLayer::http(circuit));
    let server = serve(app).await;
    for _ in 0..5 {
        let _ = reqwest::get(server.url("/teapot")).await.expect("an answer");
    }
    let seen = circuit.snapshot();
    assert_eq!((seen.calls, seen.failures), (0, 0));
    assert_eq!(seen.totals.map(|totals| totals.neutral), Some(5));
}
