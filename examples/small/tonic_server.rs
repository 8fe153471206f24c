//! A tonic server behind a circuit: `cargo run --example tonic_server`.
//!
//! The server's own dependency is away. After three failures the server answers by itself, with a hint when to come back,
//! and its handler is left in peace.

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

#[derive(Clone, Default)]
struct Broken(Arc<AtomicU32>);

#[tonic::async_trait]
impl Health for Broken {
    type WatchStream = tokio_stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.fetch_add(1, Relaxed);
        Err(Status::internal("the database is away"))
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
    let circuit = Circuit::builder("health")
        .consecutive_failures(3)
        .open_for(Duration::from_secs(30))
        .build()?;
    let server = Server::builder()
        .layer(CircuitLayer::grpc(circuit))
        .add_service(HealthServer::new(calls.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let mut client = HealthClient::new(Channel::from_shared(format!("http://{address}"))?.connect().await?);
    for number in 1..=5 {
        match client.check(HealthCheckRequest::default()).await {
            Ok(answer) => println!("call {number}: {answer:?}"),
            Err(status) => {
                let hint = status.metadata().get("grpc-retry-pushback-ms");
                let hint = hint.and_then(|ms| ms.to_str().ok());
                let hint = hint.map_or(String::new(), |ms| format!("; come back in {ms} ms"));
                println!("call {number}: {:?}, {}{hint}", status.code(), status.message());
            }
        }
    }
    println!(
        "the handler was called {} times; the circuit is {}",
        calls.0.load(Relaxed),
        circuit.state()
    );
    Ok(())
}
