//! A circuit breaker round any Tower service: hyper, tonic, axum and reqwest, clients and servers.
//!
//! When a dependency fails, calls to it cost time, connections and patience, and keep it from recovering. A circuit watches
//! what calls come to; when too many fail it *opens* and refuses further ones at once; after a while it lets a few *trials*
//! through, and *closes* when they succeed. What decides is the crate [`state_core`]; this one is the layer, and
//! re-exports what its users need, so that one dependency is enough.
//!
//! ```
//! use std::time::Duration;
//! use circuit_layer::{BoxError, Circuit, CircuitLayer, Refused, Window};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // A circuit is a handle: cheap to copy, shared by everything that holds it.
//! let openai = Circuit::builder("openai")
//!     .failure_rate_above(0.5)
//!     .window(Window::calls(100))
//!     .min_calls(5)
//!     .open_for(Duration::from_secs(30))
//!     .build()?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(CircuitLayer::new(openai))
//!     .service(service_fn(|prompt: &'static str| async move {
//!         if prompt.is_empty() { Err("no prompt") } else { Ok(prompt.len()) }
//!     }));
//!
//! assert_eq!(service.clone().oneshot("hello").await?, 5);
//! for _ in 0..5 {
//!     let error = service.clone().oneshot("").await.unwrap_err();
//!     match Refused::find(&*error) {
//!         // circuit "openai" is open: failure rate 0.80 above 0.50 over 5 calls; next try in 30 s
//!         Some(refused) => println!("{refused}"),
//!         None => println!("the call failed: {error}"),
//!     }
//! }
//! assert!(openai.acquire().is_err());
//! # Ok(()) }
//! ```
//!
//! # Which one
//!
//! | you want | write |
//! |---|---|
//! | any service; a refusal is an error | [`CircuitLayer::new`]`(circuit)` |
//! | a refusal as a response of your own, errors as they are | `CircuitLayer::new(circuit)`[`.on_refused`](CircuitLayer::on_refused)`(\|refused: &Refused\| ..)` |
//! | to say what is a failure | [`.classify`](CircuitLayer::classify)`(\|result: &Result<_, _>\| ..)` |
//! | errors that count nowhere | [`.neutral_when`](CircuitLayer::neutral_when)`(\|error: &MyError\| ..)` |
//! | HTTP: axum, hyper, reqwest; a refusal is a 503 | `CircuitLayer::http(circuit)` (feature `http`) |
//! | an HTTP client to whom a refusal is an error | `CircuitLayer::http(circuit).refuse_with_error()` |
//! | gRPC: tonic clients and servers | `CircuitLayer::grpc(circuit)` (feature `grpc`) |
//! | an endpoint under a balancer | [`.gate`](CircuitLayer::gate)`()` |
//! | retries outside the circuit | `RetryPolicy` (feature `retry`) |
//! | no Tower | [`Circuit::call`], [`Circuit::acquire`] |
//!
//! A layer is made of a circuit that has been checked by `build`, so nothing else here can fail.
//!
//! # State lives in the handle
//!
//! Every `layer()` call, clone and connection of a [`CircuitLayer`] shares its [`Circuit`], and so do layers that were
//! made of the same handle. axum runs `layer()` again for each route, each method and each connection, and none of that
//! loses what was counted. For a state of its own build another circuit.
//!
//! # Readiness, and balancers
//!
//! A refusal comes from `call`; `poll_ready` never answers with an error of this crate, for a buffer or a balancer would
//! throw the service away. While calls are admitted readiness is the inner service's; while the circuit refuses,
//! `poll_ready` is `Ready` without asking the inner service, and `call` fails at once. A call that follows such an answer
//! is refused even if the circuit would admit it by then, for its inner service is not ready.
//!
//! Under a balancer a refusing endpoint that answers fast attracts traffic: put it behind a [`gate`](CircuitLayer::gate),
//! and `poll_ready` is `Pending` while the circuit refuses. It sleeps until a try makes sense or the circuit changes, and
//! a `call` after `Ready` may still be refused.
//!
//! # What counts as what
//!
//! | | success | failure | throttled | neutral |
//! |---|---|---|---|---|
//! | [`CircuitLayer::new`] | `Ok` | `Err`, a panic | | |
//! | HTTP | 1xx, 2xx, 3xx whose body ends | an error, 5xx, an error in the body, a panic | 429 | other 4xx, a body dropped early |
//! | gRPC | `OK` | an error, `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`, no `grpc-status`, an error in the body, a panic | `RESOURCE_EXHAUSTED` | other codes, a body dropped early |
//!
//! Throttled is a failure for rates and trials, but not for `consecutive_failures`. A call that is cancelled counts as the
//! policy's [`on_cancel`](Policy::on_cancel) says. `Retry-After` and `grpc-retry-pushback-ms` keep the circuit open at
//! least that long, up to the policy's `max_retry_after`.
//!
//! # Panics in callbacks
//!
//! A classifier or an inspector that panics makes the call a failure, and the panic goes on to the caller. So does a call
//! that panics, in `call`, in its future or in its body, and also where the panic is caught and the future dropped later: a
//! trial that panics re-opens the circuit. A panic of `on_refused` is its caller's, and harms nobody else.
//!
//! # Time
//!
//! A circuit has one clock, by default the system's. [`TokioClock`] follows tokio's paused time, so that hours pass in a
//! test at once. Only a service that waits behind a gate, and a retry, sets a timer; those need a tokio runtime with time.
//!
//! # What a call costs
//!
//! An admitted call through a closed circuit reads the state word three times and writes nothing that another thread reads (totals are
//! counted in shards by thread, and can be switched off); it clones no service, boxes no future and allocates nothing. A
//! refusal allocates the box of its error or its response.
//!
//! # Metrics
//!
//! With the feature `metrics`, for every circuit that has a layer, or was given to `circuit_layer::observe(circuit)`:
//!
//! | name | type | labels | written |
//! |---|---|---|---|
//! | `circuit_state` | gauge | `circuit` | by `circuit_layer::publish_metrics()`; at transitions |
//! | `circuit_transitions_total` | counter | `circuit`, `from`, `to`, `reason` | likewise |
//! | `circuit_calls_total` | counter | `circuit`, `outcome`: `success`, `failure`, `neutral`, `late` | likewise |
//! | `circuit_slow_calls_total` | counter | `circuit` | likewise |
//! | `circuit_cancelled_calls_total` | counter | `circuit` | likewise |
//! | `circuit_refused_total` | counter | `circuit`, `reason` | at each refusal by a service |
//!
//! The state is a number: 0 closed, 1 open, 2 half-open, 3 forced open, 4 disabled, 5 metrics only, 6 retired. Call
//! `publish_metrics()` each time metrics are scraped: a counter that each call wrote would cost it more than the breaker does.
//! Every call has one `outcome`; slow and cancelled calls are counted beside that. Circuits of one name are added up, and
//! show the state of the one that lets least through. It does not matter whether the recorder is there before the layers.
//!
//! With the feature `tracing`, a transition is a `warn` event when the circuit opens and else an `info`, with the fields
//! `circuit`, `from`, `to`, `reason` and `generation`; a refused call is a `trace` event.
//!
//! # When it does not compile
//!
//! | the compiler says | because | write |
//! |---|---|---|
//! | `no function or associated item named http` | the feature is off | `features = ["http"]`; for `grpc` likewise |
//! | `Infallible: From<Box<dyn Error ..>>` at axum's `layer` | axum's services must not fail, and [`CircuitLayer::new`] refuses with an error | `CircuitLayer::http(circuit)`, or [`.on_refused`](CircuitLayer::on_refused)`(..)` |
//! | `CircuitService<.., Http>: Service<_>` is not satisfied | `http` and `grpc` go round services of `http::Request` and `http::Response` only | [`CircuitLayer::new`] |
//! | `CircuitService<..>: Service<_>` is not satisfied | a closure takes another response or error than the service has; or the error is none that fits a [`BoxError`] | the service's own types, as in `\|error: &BoxError\| ..`; `impl Error` for the error |
//! | `the size for values of type dyn Error cannot be known` at `find(&error)` | the error is in a box | `Refused::find(&*error)` |
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `http` | `CircuitLayer::http` |
//! | `grpc` | `http`, and `CircuitLayer::grpc` |
//! | `retry` | `RetryPolicy`, for `tower::retry` |
//! | `metrics` | the metrics above |
//! | `tracing` | the events above |
//! | `serde` | [`Policy`] from configuration, [`Snapshot`] to JSON |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The README's example is a test too.
#[cfg(all(doctest, feature = "grpc"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod answer;
#[cfg(feature = "http")]
mod answer_http;
#[cfg(feature = "http")]
mod body;
mod classify;
mod clock;
mod error;
mod future;
mod gate;
#[cfg(feature = "http")]
mod guard;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_classify;
mod inspect;
mod layer;
#[cfg(feature = "metrics")]
mod ledger;
mod mode;
mod observe;
mod plain;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod registry;
#[cfg(feature = "retry")]
mod retry;
#[cfg(feature = "retry")]
mod retry_build;
#[cfg(feature = "retry")]
mod retry_request;
#[cfg(feature = "retry")]
mod retry_when;
mod service;

pub use answer::{AsError, OnRefusal, Respond};
#[cfg(feature = "http")]
pub use answer_http::{AsResponse, RespondHttp};
#[cfg(feature = "http")]
pub use body::CircuitBody;
pub use classify::{Classify, ErrorsFail, Verdict};
pub use clock::TokioClock;
pub use error::BoxError;
pub use future::CircuitFuture;
#[cfg(feature = "http")]
pub use guard::OnBodyDrop;
#[cfg(feature = "http")]
pub use http::{Http, HttpCall};
#[cfg(feature = "http")]
pub use http_classify::{ByStatus, HttpClassify};
#[cfg(feature = "http")]
pub use http_outcome::Protocol;
pub use inspect::{Inspect, NeutralWhen, Nothing};
pub use layer::CircuitLayer;
pub use mode::Mode;
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub use observe::observe;
#[cfg(feature = "metrics")]
pub use observe::publish_metrics;
pub use plain::{Plain, PlainCall};
#[cfg(feature = "retry")]
pub use retry::{RetryPolicy, RetryWait};
#[cfg(feature = "retry")]
pub use retry_build::{RetryBuildError, RetryBuilder};
#[cfg(all(feature = "retry", feature = "http"))]
pub use retry_request::Idempotent;
#[cfg(feature = "retry")]
pub use retry_request::{ByClone, CloneRequest};
#[cfg(all(feature = "retry", feature = "http"))]
pub use retry_when::OnStatus;
#[cfg(feature = "retry")]
pub use retry_when::{Boxed, OnError, Retry, RetryWhen, SeeError, Typed};
pub use service::CircuitService;
pub use state_core::{
    BuildError, CallError, Circuit, CircuitBuilder, Clock, ClockSource, Event, EwmaWeights, ManualClock, Observer,
    OnCancel, Opened, Outcome, Permit, Policy, ProbeLink, Reason, Refusal, RefusalReason, Refused, Snapshot, State,
    SystemClock, Totals, Transition, Watch, Window, WouldTrip, flush_events,
};
