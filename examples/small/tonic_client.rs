//! A tonic client behind a circuit: `cargo run --example tonic_client`.
//!
//! gRPC says what went wrong in a status, often in trailers long after a fine head; the circuit reads both. While it is
//! open the client gets `Unavailable` at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use fusebox::prelude::*;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceBuilder;

/// A server that fails each call.
#[derive(Clone, Default)]
struct Broken(Arc<AtomicU32>);

#[tonic::async_trait]
impl Health for Broken {
    type WatchStream = tokio_stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.fetch_add(1, Relaxed);
        Err(Status::unavailable("the database is away"))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("only check"))
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let calls = Broken::default();
    let server = Server::builder().add_service(HealthServer::new(calls.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let circuit = Circuit::builder("health")
        .consecutive_failures(3)
        .open_for(Duration::from_secs(30))
        .build()?;
    let channel = Channel::from_shared(format!("http://{address}"))?.connect_lazy();
    let channel = ServiceBuilder::new()
        .layer(CircuitLayer::grpc(circuit))
        .service(channel);
    let mut client = HealthClient::new(channel);

    for number in 1..=5 {
        match client.check(HealthCheckRequest::default()).await {
            Ok(answer) => println!("call {number}: {answer:?}"),
            Err(status) => println!("call {number}: {:?}, {}", status.code(), status.message()),
        }
    }
    println!(
        "the server was called {} times; the circuit is {}",
        calls.0.load(Relaxed),
        circuit.state()
    );
    Ok(())
}
