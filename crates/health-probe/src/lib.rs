//! Is it up: active health probes that drive circuits, and a Tower layer that goes by health.
//!
//! A circuit breaker learns that a dependency is down from calls that fail, and that it is back by risking some. A probe
//! asks in their place, now and then, whether anybody calls or not.
//!
//! ```no_run
//! # #[cfg(feature = "http")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use health_probe::{HttpProbe, Probe};
//! use state_core::Circuit;
//!
//! let openai = Circuit::builder("openai").build()?;
//!
//! let probe = HttpProbe::get("http://10.0.0.7/healthz").every(Duration::from_secs(10)).drives(openai).spawn()?;
//! # Ok(()) }
//! ```
//!
//! While the probe says down the circuit is open; when it says up again, trials decide. The handle keeps the probe going:
//! dropped, it ends its task.
//!
//! Without a circuit, a layer looks at the health itself:
//!
//! ```
//! use health_probe::{BoxError, FnProbe, HealthLayer, Probe, Unhealthy};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # async fn ping() -> Result<(), std::io::Error> { Err(std::io::Error::other("no route to host")) }
//! let probe = FnProbe::new("search", ping).spawn()?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(HealthLayer::new(probe.health()))
//!     .service(service_fn(async |query: &'static str| Ok::<_, BoxError>(query.len())));
//!
//! probe.check_now().await?;
//! match service.oneshot("how are you?").await {
//!     Ok(answer) => println!("{answer}"),
//!     // probe "search" says down: no route to host (1 failure in a row); next check in 10.0 s
//!     Err(error) if Unhealthy::find(&*error).is_some() => println!("{error}"),
//!     Err(error) => return Err(error),
//! }
//! # Ok(()) }
//! ```
//!
//! # Which one
//!
//! | you want | write |
//! |---|---|
//! | a request over HTTP or HTTPS | `HttpProbe::get(url)` (feature `http`) |
//! | the gRPC health protocol | `GrpcProbe::check(url)`, or `watch` to hear of changes at once (feature `grpc`) |
//! | a TCP connection | `TcpProbe::connect("host:port")` (feature `tcp`) |
//! | any async function | [`FnProbe::new`]`(name, f)` |
//! | a kind of your own | implement [`Probe`] |
//! | another interval, time limit, threshold, name | [`ProbeBuilder`] |
//! | to move circuits | [`drives`](ProbeBuilder::drives) |
//! | to look less often when nobody calls | [`every_when_idle`](ProbeBuilder::every_when_idle) |
//! | to see, pause, check now, end | [`ProbeHandle`] |
//! | to look on | [`Health`], a cheap clone |
//! | a refusal as an error | [`HealthLayer::new`]`(health)` |
//! | a refusal as a response of your own | [`HealthLayer::new`]`(health)`[`.on_refused`](HealthLayer::on_refused)`(\|unhealthy\| ..)` |
//! | HTTP or gRPC: 503 or `UNAVAILABLE` | `HealthLayer::http(health)` (feature `http`) |
//! | an endpoint of a balancer that is not ready while down | [`gate`](HealthLayer::gate) |
//!
//! A bad configuration is an error of [`spawn`](ProbeBuilder::spawn), which names the field, its value and what is
//! allowed.
//!
//! # States
//!
//! | state | means | left by |
//! |---|---|---|
//! | [`Unknown`](HealthState::Unknown) | no result yet, or the probe has ended | the first result, whatever it is |
//! | [`Up`](HealthState::Up) | calls are welcome | 3 failures in a row, or one that means down at once |
//! | [`Down`](HealthState::Down) | calls are refused, driven circuits held open | 2 successes in a row |
//!
//! A failure is an answer that says no, none within the time limit, and a panic of the probe.
//!
//! # Tasks and time
//!
//! A probe is one task on the runtime that it is started on. It makes one check at a time: a probe that hangs is ended by
//! its time limit, and delays no other probe, unless it blocks its thread. Time is tokio's, so it follows
//! `tokio::time::pause`. Checks that were missed, because one took too long or the machine slept, are not made up for.
//! When the runtime goes, so does the probe; whoever waits is told so. With `panic = "abort"` a panic can't be caught.
//!
//! # What a call costs
//!
//! A call through the layer reads one byte that nobody writes between changes. It allocates nothing, unless it is
//! refused.
//!
//! # Metrics
//!
//! With the feature `metrics`, all of it written at the end of a check but the last, which a refusal writes:
//!
//! | name | type | labels | |
//! |---|---|---|---|
//! | `health_probe_up` | gauge | `probe` | 1 when up, else 0; stands still when the probe ends |
//! | `health_probe_checks_total` | counter | `probe`, `result` | `passed`, `failed`, `timed_out`, `panicked` |
//! | `health_probe_duration_seconds` | histogram | `probe` | how long checks took |
//! | `health_probe_refused_total` | counter | `probe` | calls that [`HealthLayer`] refused |
//!
//! With the feature `tracing`: a change to down is a `warn` event, to up and the end of a probe an `info` event; checks
//! and refused calls are `trace` events.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `http` | `HttpProbe`, `HealthLayer::http` |
//! | `grpc` | `GrpcProbe` |
//! | `tcp` | `TcpProbe` |
//! | `metrics` | the metrics above |
//! | `tracing` | the events above |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
#[cfg(any(feature = "http", feature = "grpc"))]
mod authorities;
mod boxed;
mod build_error;
mod catch;
mod check_error;
mod error;
mod fn_probe;
mod future;
mod gate;
#[cfg(feature = "grpc")]
mod grpc_probe;
#[cfg(feature = "grpc")]
mod grpc_session;
mod handle;
mod health;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_client;
#[cfg(feature = "http")]
mod http_probe;
mod jitter;
mod layer;
mod observe;
mod policy;
mod probe;
mod record;
#[cfg(any(feature = "http", feature = "grpc"))]
mod redact;
mod report;
mod service;
mod snapshot;
mod state;
#[cfg(feature = "http")]
mod status;
mod tally;
mod task;
#[cfg(feature = "tcp")]
mod tcp_probe;
mod traffic;
mod watch;

/// The README's example is a test too.
#[cfg(all(doctest, feature = "http"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub use answer::{Answer, AsError, Respond};
pub use boxed::BoxProbe;
pub use build_error::BuildError;
pub use check_error::CheckError;
pub use error::{BoxError, Unhealthy};
pub use fn_probe::FnProbe;
pub use future::HealthFuture;
#[cfg(feature = "grpc")]
pub use grpc_probe::GrpcProbe;
pub use handle::ProbeHandle;
pub use health::Health;
#[cfg(feature = "http")]
pub use http::AsHttp;
#[cfg(feature = "http")]
pub use http_probe::HttpProbe;
pub use layer::HealthLayer;
pub use policy::ProbeBuilder;
pub use probe::Probe;
pub use service::HealthService;
pub use snapshot::{CheckResult, Snapshot};
pub use state::HealthState;
#[cfg(feature = "http")]
pub use status::Statuses;
#[cfg(feature = "tcp")]
pub use tcp_probe::TcpProbe;
pub use watch::{Ended, HealthWatch};
