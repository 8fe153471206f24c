//! gRPC answers over a real HTTP/2 connection whose verdict comes at the very end.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use circuit_layer::{Circuit, CircuitLayer, State};
use fusebox_tests::serve::{Server, serve};
use http::{HeaderMap, HeaderValue, Request};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{ServiceBuilder, ServiceExt};

/// A gRPC method that sends one message, then the trailers that are given; none for `None`.
fn method(status: Option<&'static str>) -> Router {
    Router::new().route(
        "/",
        post(move || async move {
            let mut frames = vec![Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 0])))];
            if let Some(status) = status {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static(status));
                frames.push(Ok(Frame::trailers(trailers)));
            }
            let body = Body::new(StreamBody::new(tokio_stream::iter(frames)));
            let mut response = Response::new(body);
            response
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("application/grpc"));
            response
        }),
    )
}

/// Ten calls through a circuit that opens at the tenth failure in a row.
async fn ten_calls(server: &Server, name: &str) -> Circuit {
    let circuit = Circuit::builder(name)
        .consecutive_failures(10)
        .build()
        .expect("a valid policy");
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let service = ServiceBuilder::new().layer(CircuitLayer::grpc(circuit)).service(client);
    for call in 0..10 {
        assert_eq!(circuit.state(), State::Closed, "before call {call}");
        let request = Request::post(server.url("/"))
            .header("content-type", "application/grpc")
            .body(Full::default());
        let response = service
            .clone()
            .oneshot(request.expect("a valid request"))
            .await
            .expect("a head");
        let _ = response.into_body().collect().await.expect("a body that ends");
    }
    circuit
}

#[tokio::test]
async fn ten_grpc_status_14_trailers_count_as_failures() {
    let server = serve(method(Some("14"))).await;
    assert_eq!(ten_calls(&server, "trailers-14").await.state(), State::Open);
}

#[tokio::test]
async fn missing_trailers_are_a_failure() {
    let server = serve(method(None)).await;
    assert_eq!(ten_calls(&server, "trailers-none").await.state(), State::Open);
}

#[tokio::test]
async fn trailers_that_say_ok_are_a_success() {
    let server = serve(method(Some("0"))).await;
    let circuit = ten_calls(&server, "trailers-0").await;
    assert_eq!(circuit.state(), State::Closed);
    assert_eq!(circuit.totals().map(|totals| totals.successes), Some(10));
}

#[tokio::test]
async fn trailers_that_blame_the_caller_are_neutral() {
    let server = serve(method(Some("3"))).await;
    let circuit = ten_calls(&server, "trailers-3").await;
    assert_eq!(circuit.totals().map(|totals| totals.neutral), Some(10));
}
