//! The gRPC probe, against real servers on sockets.
#![cfg(feature = "grpc")]

mod support;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use health_probe::{CheckResult, GrpcProbe, HealthState, Probe, ProbeBuilder, ProbeHandle, Snapshot};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// For what must not come in time.
const LIMIT: Duration = Duration::from_millis(400);
/// For what must.
const PATIENCE: Duration = Duration::from_secs(20);

struct Serving {
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<H: Health>(health: HealthServer<H>) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder().add_service(health);
    let task = tokio::spawn(async move {
        let _ = server.serve_with_incoming(TcpListenerStream::new(listener)).await;
    });
    Serving { url, task }
}

async fn once<P: Probe>(probe: ProbeBuilder<P>) -> Snapshot {
    quiet(probe).check_now().await.unwrap()
}

async fn once_within<P: Probe>(limit: Duration, probe: ProbeBuilder<P>) -> Snapshot {
    let probe = probe.timeout(limit).initial_delay(PATIENCE * 9).spawn().unwrap();
    probe.check_now().await.unwrap()
}

/// Checks only when told to.
fn quiet<P: Probe>(probe: ProbeBuilder<P>) -> ProbeHandle {
    probe
        .timeout(PATIENCE)
        .initial_delay(Duration::from_secs(60))
        .spawn()
        .unwrap()
}

fn failed(seen: &Snapshot, text: &str) {
    assert_eq!(
        (seen.state, seen.last_result),
        (HealthState::Down, Some(CheckResult::Failed)),
        "{seen:?}"
    );
    let error = seen.last_error.as_deref().unwrap();
    assert!(error.contains(text), "{error}");
}

/// A server that answers as the test says.
#[derive(Clone, Default)]
struct Odd {
    check: Option<tonic::Code>,
    watch: Option<tonic::Code>,
    pause: Option<Duration>,
    /// Streams end after their first message.
    breaks_off: bool,
    says: i32,
    checks: Arc<AtomicU32>,
    watches: Arc<AtomicU32>,
    peers: Arc<Mutex<HashSet<SocketAddr>>>,
}

#[tonic::async_trait]
impl Health for Odd {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.peers.lock().unwrap().extend(request.remote_addr());
        self.checks.fetch_add(1, Ordering::Relaxed);
        match self.pause {
            Some(Duration::MAX) => std::future::pending().await,
            Some(pause) => tokio::time::sleep(pause).await,
            None => {}
        }
        match self.check {
            Some(code) => Err(Status::new(code, "as told")),
            None => Ok(Response::new(HealthCheckResponse { status: self.says })),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.watches.fetch_add(1, Ordering::Relaxed);
        if let Some(code) = self.watch {
            return Err(Status::new(code, "as told"));
        }
        let first = tokio_stream::once(Ok(HealthCheckResponse { status: self.says }));
        if self.breaks_off {
            return Ok(Response::new(Box::pin(first)));
        }
        let rest = tokio_stream::pending();
        Ok(Response::new(Box::pin(tokio_stream::StreamExt::chain(first, rest))))
    }
}

const SERVING: i32 = 1;

#[tokio::test]
async fn serving_is_up_and_every_other_status_is_not() {
    for (says, state) in [
        (0, HealthState::Down),
        (SERVING, HealthState::Up),
        (2, HealthState::Down),
        (3, HealthState::Down),
    ] {
        let server = serve(HealthServer::new(Odd { says, ..Odd::default() })).await;
        for probe in [GrpcProbe::check(&server.url), GrpcProbe::watch(&server.url)] {
            let seen = once(probe.builder()).await;
            assert_eq!(seen.state, state, "{says}: {seen:?}");
        }
    }
    let server = serve(HealthServer::new(Odd {
        says: 2,
        ..Odd::default()
    }))
    .await;
    failed(&once(GrpcProbe::check(&server.url).builder()).await, "NOT_SERVING");
}

#[tokio::test]
async fn it_asks_for_a_service_or_for_the_server_as_a_whole() {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("orders", ServingStatus::NotServing).await;
    let server = serve(health).await;
    let probe = |name: &str| GrpcProbe::check(&server.url).service(name);
    assert_eq!(probe("orders").target(), format!("{}/orders", server.url));
    assert_eq!(once(probe("").builder()).await.state, HealthState::Up);
    failed(&once(probe("orders").builder()).await, "NOT_SERVING");
    failed(&once(probe("unknown").builder()).await, "SERVICE_UNKNOWN");
}

#[tokio::test]
async fn unimplemented_is_up() {
    for (check, watch) in [(true, true), (true, false), (false, true)] {
        let odd = Odd {
            check: check.then_some(tonic::Code::Unimplemented),
            watch: watch.then_some(tonic::Code::Unimplemented),
            says: SERVING,
            ..Odd::default()
        };
        let server = serve(HealthServer::new(odd)).await;
        for probe in [GrpcProbe::check(&server.url), GrpcProbe::watch(&server.url)] {
            let probe = quiet(probe.builder());
            for _ in 0..3 {
                assert_eq!(probe.check_now().await.unwrap().state, HealthState::Up);
            }
        }
    }
}

#[tokio::test]
async fn any_other_status_is_a_failure() {
    use tonic::Code;
    for code in [
        Code::Unavailable,
        Code::Unauthenticated,
        Code::Internal,
        Code::ResourceExhausted,
        Code::Unknown,
    ] {
        let odd = Odd {
            check: Some(code),
            says: SERVING,
            ..Odd::default()
        };
        let server = serve(HealthServer::new(odd)).await;
        for probe in [GrpcProbe::check(&server.url), GrpcProbe::watch(&server.url)] {
            failed(&once(probe.builder()).await, "as told");
        }
    }
}

#[tokio::test]
async fn a_server_that_refuses_is_down() {
    let (_kept, address) = support::refusing();
    let url = format!("http://{address}");
    for probe in [GrpcProbe::check(&url), GrpcProbe::watch(&url)] {
        failed(&once(probe.builder()).await, "refused");
    }
}

#[tokio::test]
async fn a_server_that_hangs_times_out_wherever_it_hangs() {
    // In the connection: nobody ever answers the preface.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = once_within(LIMIT, GrpcProbe::check(&url).builder()).await;
    assert_eq!(
        (seen.state, seen.last_result),
        (HealthState::Down, Some(CheckResult::TimedOut))
    );
    // In the call.
    let odd = Odd {
        pause: Some(Duration::MAX),
        ..Odd::default()
    };
    let server = serve(HealthServer::new(odd)).await;
    for probe in [GrpcProbe::check(&server.url), GrpcProbe::watch(&server.url)] {
        let seen = once_within(LIMIT, probe.builder()).await;
        assert_eq!(seen.last_result, Some(CheckResult::TimedOut));
        assert!(seen.last_latency.unwrap() < PATIENCE);
    }
}

#[tokio::test]
async fn a_slow_server_is_up_within_the_limit() {
    let odd = Odd {
        pause: Some(LIMIT / 5),
        says: SERVING,
        ..Odd::default()
    };
    let server = serve(HealthServer::new(odd)).await;
    let seen = once(GrpcProbe::check(&server.url).builder()).await;
    assert_eq!(seen.state, HealthState::Up);
    assert!(seen.last_latency.unwrap() >= LIMIT / 5);
}

#[tokio::test]
async fn a_server_that_closes_half_closes_or_speaks_something_else_is_down() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for says in ["", "HTTP/1.1 400 Bad Request\r\n\r\n"] {
        for half in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let _ = stream.write_all(says.as_bytes()).await;
                    let _ = stream.shutdown().await;
                    if half {
                        tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
                    }
                }
            });
            for probe in [GrpcProbe::check(&url), GrpcProbe::watch(&url)] {
                failed(&once(probe.builder()).await, "");
            }
        }
    }
}

#[tokio::test]
async fn watching_it_hears_at_once_of_a_server_that_goes_down_and_that_is_enough() {
    let (reporter, health) = tonic_health::server::health_reporter();
    let server = serve(health).await;
    let probe = GrpcProbe::watch(&server.url)
        .every(Duration::from_secs(20))
        .jitter(0.0)
        .healthy_after(1)
        .spawn()
        .unwrap();
    let mut watch = probe.watch();
    let next = async |watch: &mut health_probe::HealthWatch| {
        tokio::time::timeout(Duration::from_secs(15), watch.changed())
            .await
            .expect("long before the next check")
    };
    assert_eq!(next(&mut watch).await, Ok(HealthState::Up));
    reporter.set_service_status("", ServingStatus::NotServing).await;
    assert_eq!(next(&mut watch).await, Ok(HealthState::Down));
    assert_eq!(probe.snapshot().failures_in_a_row, 1, "once is enough");
    reporter.set_service_status("", ServingStatus::Serving).await;
    assert_eq!(next(&mut watch).await, Ok(HealthState::Up));
}

#[tokio::test]
async fn watching_it_hears_at_once_of_a_server_that_is_gone() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    // A runtime of its own, so that its connections go with it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.spawn(serve(health)).await.unwrap();
    let probe = GrpcProbe::watch(&server.url)
        .every(Duration::from_secs(20))
        .unhealthy_after(1)
        .spawn()
        .unwrap();
    let mut watch = probe.watch();
    assert_eq!(watch.changed().await, Ok(HealthState::Up));
    let began = tokio::time::Instant::now();
    runtime.shutdown_background();
    assert_eq!(
        tokio::time::timeout(PATIENCE, watch.changed()).await.unwrap(),
        Ok(HealthState::Down)
    );
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn not_serving_counts_like_any_failure_or_at_once_as_it_is_set() {
    for (at_once, after_one) in [(false, HealthState::Up), (true, HealthState::Down)] {
        let (reporter, health) = tonic_health::server::health_reporter();
        let server = serve(health).await;
        let probe = quiet(
            GrpcProbe::check(&server.url)
                .down_at_once_on_not_serving(at_once)
                .builder(),
        );
        assert_eq!(probe.check_now().await.unwrap().state, HealthState::Up);
        reporter.set_service_status("", ServingStatus::NotServing).await;
        assert_eq!(probe.check_now().await.unwrap().state, after_one);
    }
}

#[tokio::test]
async fn where_watch_is_not_implemented_the_checks_on_time_go_on() {
    let odd = Odd {
        watch: Some(tonic::Code::Unimplemented),
        says: SERVING,
        ..Odd::default()
    };
    let server = serve(HealthServer::new(odd.clone())).await;
    let probe = GrpcProbe::watch(&server.url)
        .every(Duration::from_millis(100))
        .jitter(0.0)
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(650)).await;
    assert_eq!(probe.state(), HealthState::Up);
    assert!(
        (4..=8).contains(&odd.checks.load(Ordering::Relaxed)),
        "{:?}",
        odd.checks
    );
    assert_eq!(odd.watches.load(Ordering::Relaxed), 1, "it is not asked again");
}

#[tokio::test]
async fn a_server_that_only_knows_watch_is_taken_by_its_word() {
    let odd = Odd {
        check: Some(tonic::Code::Unimplemented),
        says: 2,
        ..Odd::default()
    };
    let server = serve(HealthServer::new(odd)).await;
    let probe = GrpcProbe::watch(&server.url)
        .every(Duration::from_secs(1))
        .spawn()
        .unwrap();
    let mut watch = probe.watch();
    assert_eq!(
        watch.changed().await,
        Ok(HealthState::Up),
        "the first check knows no better"
    );
    assert_eq!(
        tokio::time::timeout(PATIENCE, watch.changed()).await.unwrap(),
        Ok(HealthState::Down)
    );
}

#[tokio::test]
async fn a_watch_that_keeps_breaking_off_does_not_become_a_flood() {
    let odd = Odd {
        breaks_off: true,
        says: SERVING,
        ..Odd::default()
    };
    let server = serve(HealthServer::new(odd.clone())).await;
    let probe = GrpcProbe::watch(&server.url)
        .every(Duration::from_secs(2))
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(probe.state(), HealthState::Up);
    assert!(odd.checks.load(Ordering::Relaxed) <= 7, "{:?}", odd.checks);
}

#[tokio::test]
async fn over_tls_it_trusts_its_authorities_and_no_others() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let identity = tonic::transport::Identity::from_pem(certified.cert.pem(), certified.signing_key.serialize_pem());
    let (_reporter, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let server = Server::builder()
        .tls_config(tonic::transport::ServerTlsConfig::new().identity(identity))
        .unwrap()
        .add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let limit = Duration::from_secs(5);
    let trusting = GrpcProbe::check(&url).ca_certificate(certified.cert.pem());
    let seen = trusting
        .timeout(limit)
        .initial_delay(limit * 9)
        .spawn()
        .unwrap()
        .check_now()
        .await
        .unwrap();
    assert_eq!(seen.state, HealthState::Up, "{seen:?}");
    let wary = GrpcProbe::check(&url)
        .timeout(limit)
        .initial_delay(limit * 9)
        .spawn()
        .unwrap();
    failed(&wary.check_now().await.unwrap(), "certificate");
}

#[tokio::test]
async fn bad_configuration_is_an_error_that_names_field_value_and_what_is_allowed() {
    for (probe, field) in [
        (GrpcProbe::check(""), "url"),
        (GrpcProbe::check("localhost"), "url"),
        (GrpcProbe::check("localhost:50051"), "url"),
        (GrpcProbe::watch("ftp://localhost:50051"), "url"),
        (GrpcProbe::watch("http://me:secret@localhost:1"), "url"),
        (
            GrpcProbe::check("https://localhost:1").ca_certificate("no certificate"),
            "ca_certificate",
        ),
    ] {
        let shown = format!("{probe:?}");
        let error = probe.named("x").spawn().expect_err(&shown);
        assert_eq!(error.field(), field, "{error}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_can_be_asked_too() {
    let path = std::env::temp_dir().join(format!("health-probe-{}.sock", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
    let server = tokio::spawn(Server::builder().add_service(health).serve_with_incoming(incoming));
    let url = format!("unix:{}", path.display());
    let seen = once(GrpcProbe::check(&url).builder()).await;
    server.abort();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((seen.state, &*seen.name), (HealthState::Up, &*url), "{seen:?}");
}

#[tokio::test]
async fn each_check_makes_a_connection_of_its_own_unless_it_watches() {
    for (watches, connections) in [(false, 3), (true, 1)] {
        let odd = Odd {
            says: SERVING,
            ..Odd::default()
        };
        let server = serve(HealthServer::new(odd.clone())).await;
        let probe = quiet(if watches {
            GrpcProbe::watch(&server.url).builder()
        } else {
            GrpcProbe::check(&server.url).builder()
        });
        for _ in 0..3 {
            assert_eq!(probe.check_now().await.unwrap().state, HealthState::Up);
        }
        assert_eq!(odd.peers.lock().unwrap().len(), connections);
    }
}
