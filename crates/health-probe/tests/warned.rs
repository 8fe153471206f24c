//! A warning that is given once. The only test of its process: the events of a callsite that two threads come upon at the
//! same time, one of them without a subscriber, may be lost.
#![cfg(all(feature = "grpc", feature = "tracing"))]

mod support;

use std::time::Duration;

use health_probe::{GrpcProbe, HealthState, Probe};
use support::Log;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;

#[test]
fn unimplemented_is_warned_of_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            // It has no services at all.
            let server = Server::builder().add_routes(Routes::default());
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
            let probe = GrpcProbe::check(&url)
                .timeout(Duration::from_secs(20))
                .initial_delay(Duration::from_secs(60))
                .spawn()
                .unwrap();
            for _ in 0..3 {
                assert_eq!(probe.check_now().await.unwrap().state, HealthState::Up);
            }
        });
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("has no gRPC health service").count(), 1, "{log}");
}
