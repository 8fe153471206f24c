//! A tonic client and a tonic server over real connections.

use circuit_layer::{Circuit, CircuitLayer, State};
use fusebox_tests::nobody::Nobody;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;

fn ask(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.into(),
    }
}

async fn channel(address: std::net::SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("a valid address")
        .connect()
        .await
        .expect("a connection")
}

/// A server with the health service, behind a circuit if one is given.
async fn serve(circuit: Option<Circuit>) -> std::net::SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free loopback port");
    let address = listener.local_addr().expect("a bound address");
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("good", ServingStatus::Serving).await;
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(async move {
        match circuit {
            Some(circuit) => {
                let layer = CircuitLayer::grpc(circuit);
                Server::builder()
                    .layer(layer)
                    .add_service(health)
                    .serve_with_incoming(incoming)
                    .await
            }
            None => {
                Server::builder()
                    .add_service(health)
                    .serve_with_incoming(incoming)
                    .await
            }
        }
    });
    address
}

fn circuit(name: &str) -> Circuit {
    Circuit::builder(name)
        .consecutive_failures(3)
        .build()
        .expect("a valid policy")
}

#[tokio::test]
async fn a_grpc_success_is_read_from_the_trailers() {
    let circuit = circuit("tonic-ok");
    let channel = channel(serve(None).await).await;
    let mut client = HealthClient::new(
        ServiceBuilder::new()
            .layer(CircuitLayer::grpc(circuit))
            .service(channel),
    );
    for _ in 0..4 {
        client.check(ask("good")).await.expect("serving");
    }
    let totals = circuit.totals().expect("on by default");
    assert_eq!((totals.successes, totals.failures), (4, 0));
}

#[tokio::test]
async fn not_found_blames_the_caller_and_is_neutral() {
    let circuit = circuit("tonic-not-found");
    let channel = channel(serve(None).await).await;
    let mut client = HealthClient::new(
        ServiceBuilder::new()
            .layer(CircuitLayer::grpc(circuit))
            .service(channel),
    );
    for _ in 0..5 {
        let status = client.check(ask("nobody")).await.expect_err("unknown service");
        assert_eq!(status.code(), Code::NotFound);
    }
    assert_eq!(circuit.state(), State::Closed);
    assert_eq!(circuit.totals().map(|totals| totals.neutral), Some(5));
}

#[tokio::test]
async fn a_tonic_client_sees_an_open_circuit_as_unavailable() {
    let circuit = circuit("tonic-client-open");
    let channel = channel(serve(None).await).await;
    let mut client = HealthClient::new(
        ServiceBuilder::new()
            .layer(CircuitLayer::grpc(circuit))
            .service(channel),
    );
    circuit.force_open();
    let status = client.check(ask("good")).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("tonic-client-open"), "{status}");
    circuit.release();
    client.check(ask("good")).await.expect("serving again");
}

#[tokio::test]
async fn a_tonic_server_behind_an_open_circuit_answers_unavailable_and_keeps_the_connection() {
    let circuit = circuit("tonic-server-open");
    let channel = channel(serve(Some(circuit)).await).await;
    let mut client = HealthClient::new(channel);
    client.check(ask("good")).await.expect("serving");
    circuit.force_open();
    for _ in 0..3 {
        let status = client.check(ask("good")).await.expect_err("refused");
        assert_eq!(status.code(), Code::Unavailable);
    }
    circuit.release();
    client
        .check(ask("good"))
        .await
        .expect("the same connection serves again");
}

#[tokio::test]
async fn a_dead_server_trips_the_circuit_of_a_tonic_client() {
    let nobody = Nobody::here();
    let circuit = circuit("tonic-dead");
    let channel = Endpoint::from_shared(format!("http://{}", nobody.address))
        .expect("a valid address")
        .connect_lazy();
    let mut client = HealthClient::new(
        ServiceBuilder::new()
            .layer(CircuitLayer::grpc(circuit))
            .service(channel),
    );
    for _ in 0..3 {
        assert_eq!(
            client.check(ask("good")).await.expect_err("nobody there").code(),
            Code::Unavailable
        );
    }
    assert_eq!(circuit.state(), State::Open);
}
