//! Behind axum, whose `Router` layers again and again, and wants `Infallible`.
#![cfg(feature = "http")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use circuit_layer::{Circuit, CircuitLayer};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

#[tokio::test]
async fn axum_without_with_state_trips_after_5_failures_and_the_handler_is_not_called_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let circuit = Circuit::builder("axum").consecutive_failures(5).build().unwrap();
    let app = Router::new()
        .route(
            "/chat",
            get(move || {
                seen.fetch_add(1, Ordering::SeqCst);
                async { (StatusCode::INTERNAL_SERVER_ERROR, "broken") }
            }),
        )
        .layer(CircuitLayer::http(circuit));
    for _ in 0..5 {
        let request = Request::get("/chat").body(Body::empty()).unwrap();
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), 500);
    }
    for _ in 0..5 {
        let request = Request::get("/chat").body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "30");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(
            text.contains(r#"circuit \"axum\" is open: 5 failures in a row"#),
            "{text}"
        );
    }
    assert_eq!(calls.load(Ordering::SeqCst), 5);
}
