//! A hyper client against a real server that breaks its promises.

use bytes::Bytes;
use circuit_layer::{Circuit, CircuitLayer, State};
use fusebox_tests::flaky::{Answer, Flaky};
use fusebox_tests::nobody::Nobody;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{ServiceBuilder, ServiceExt};

fn request(server: &Flaky) -> Request<Empty<Bytes>> {
    Request::get(server.url("/"))
        .body(Empty::new())
        .expect("a valid request")
}

fn circuit(name: &str, failures: u32) -> Circuit {
    Circuit::builder(name)
        .consecutive_failures(failures)
        .build()
        .expect("a valid policy")
}

#[tokio::test]
async fn ten_broken_streams_count_as_failures() {
    let server = Flaky::start(Answer::BrokenStream).await;
    let circuit = circuit("hyper-broken", 10);
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let service = ServiceBuilder::new().layer(CircuitLayer::http(circuit)).service(client);
    for call in 0..10 {
        assert_eq!(circuit.state(), State::Closed, "before call {call}");
        let response = service.clone().oneshot(request(&server)).await.expect("a head");
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.into_body().collect().await.is_err(), "the body breaks");
    }
    assert_eq!(circuit.state(), State::Open);
    assert_eq!(server.requests(), 10);
}

#[tokio::test]
async fn a_refused_connection_is_a_failure() {
    let nobody = Nobody::here();
    let request = Request::get(format!("http://{}/", nobody.address))
        .body(Empty::new())
        .expect("a valid request");
    let circuit = circuit("hyper-refused", 1);
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let service = ServiceBuilder::new().layer(CircuitLayer::http(circuit)).service(client);
    assert!(service.oneshot(request).await.is_err());
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn an_open_circuit_reaches_no_server() {
    let server = Flaky::start(Answer::Status(500)).await;
    let circuit = circuit("hyper-open", 2);
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let service = ServiceBuilder::new().layer(CircuitLayer::http(circuit)).service(client);
    for _ in 0..6 {
        let _ = service.clone().oneshot(request(&server)).await;
    }
    assert_eq!(server.requests(), 2);
}
