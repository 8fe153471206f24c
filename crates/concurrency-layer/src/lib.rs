//! How many calls at once: a limit round any Tower service, or any async function.
//!
//! A dependency that is slow makes its callers pile up: each holds memory, a connection, a thread of somebody's patience.
//! A limit bounds how many calls are in flight. What finds no room is refused at once, or waits in a bounded line for a
//! bounded time, or makes the service not ready, as you choose; what is admitted gives its place back on response, error,
//! panic and drop, and for HTTP at the end of the response body.
//!
//! ```
//! use std::time::Duration;
//! use concurrency_layer::{BoxError, ConcurrencyLayer, Limit, Overloaded, Reason};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // A limit is a handle: cheap to copy, shared by everything that holds it.
//! let openai = Limit::fixed(3).name("openai").queue(100, Duration::from_secs(2)).build()?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(ConcurrencyLayer::new(openai))
//!     .service(service_fn(|prompt: &'static str| async move { Ok::<_, BoxError>(prompt.len()) }));
//!
//! match service.oneshot("how many calls at once?").await {
//!     Ok(answer) => assert_eq!(answer, 23),
//!     Err(error) => match Overloaded::find(&*error) {
//!         // limit "openai" is full: 3 of 3 in flight, 100 of 100 waiting; try again in 1 s
//!         Some(overloaded) if overloaded.reason() == Reason::QueueFull => println!("{overloaded}"),
//!         _ => return Err(error),
//!     },
//! }
//! assert_eq!((openai.in_flight(), openai.limit(), openai.waiting()), (0, 3, 0));
//! # Ok(())
//! # }
//! ```
//!
//! # Which one
//!
//! | you want | write |
//! |---|---|
//! | never more than 3, the rest refused | `Limit::fixed(3).build()?` |
//! | a line of 100, each for 2 s at most | `.queue(100, Duration::from_secs(2))` |
//! | the same, the last one first | `.queue(..).lifo()` |
//! | an endpoint that is not ready while full | `.backpressure()` |
//! | to refuse the line when the circuit opens | `.dismiss_when(move \|\| circuit.opened())` |
//! | a refusal as an error | [`ConcurrencyLayer::new`]`(limit)` |
//! | a refusal as a response of your own | [`ConcurrencyLayer::new`]`(limit)`[`.on_refused`](ConcurrencyLayer::on_refused)`(\|overloaded\| ..)` |
//! | HTTP or gRPC: 503 or `UNAVAILABLE`, slots until the body ends | `ConcurrencyLayer::http(limit)` (feature `http`) |
//! | an HTTP client: refusals as errors, slots until the body ends | `ConcurrencyLayer::body_long(limit)` (feature `http`) |
//! | no Tower | [`Limit::call`], [`Limit::acquire`], [`Limit::try_acquire`] |
//! | another limit while it runs | [`Limit::set_limit`] |
//!
//! A bad configuration is an error of [`build`](LimitBuilder::build), which names the field, its value and what is
//! allowed; a layer is made of a limit that has been checked, so nothing else here can fail.
//!
//! # State
//!
//! What is counted lives in the [`Limit`]: every `layer()` call, clone and connection of a layer shares it, and so do
//! layers that were made of the same handle. For a limit of its own build another one. A limit's memory is never given
//! back, see [`Limit`].
//!
//! # Readiness
//!
//! `poll_ready` never answers with an error of this crate, and except with backpressure it is the inner service's. No
//! service holds a slot because it is ready: not an idle clone, not one that was polled and never called, not one that was
//! given up. With backpressure `poll_ready` waits for room and reserves none; a call that finds it taken by a faster one
//! waits its turn in line.
//!
//! # What a call costs
//!
//! An admitted call costs two atomic read-modify-writes of one word, some 35 instructions over the bare service, and
//! allocates nothing. A refusal is one load and, as an error, the box it comes in. Neither reads a clock, takes a lock or
//! needs a runtime; a call that waits needs a tokio runtime with time.
//!
//! # Metrics
//!
//! With the feature `metrics`:
//!
//! | name | type | labels | written |
//! |---|---|---|---|
//! | `concurrency_in_flight` | gauge | `limit` | by `concurrency_layer::publish_metrics()`; when a limit is changed or retired |
//! | `concurrency_limit` | gauge | `limit` | likewise |
//! | `concurrency_waiting` | gauge | `limit` | likewise |
//! | `concurrency_refused_total` | counter | `limit`, `reason` | at each refusal |
//!
//! Call `publish_metrics()` each time metrics are scraped: a gauge that each call wrote would cost the call more than the
//! limiter does. With the feature `tracing`: a changed or retired limit is an `info` event, a refusal a `trace` event.
//!
//! # When it does not compile
//!
//! | the compiler says | because | write |
//! |---|---|---|
//! | `no function or associated item named http` | the feature is off | `features = ["http"]` |
//! | `expected Limit<_>, found LimitBuilder` | a layer takes a limit that has been checked | `.build()?` |
//! | `Infallible: From<Box<dyn Error ..>>` at axum's `layer` | axum's services must not fail, and [`ConcurrencyLayer::new`] refuses with an error | `ConcurrencyLayer::http(limit)`, or [`.on_refused`](ConcurrencyLayer::on_refused)`(..)` |
//! | `the size for values of type dyn Error cannot be known` at `find(&error)` | the error is in a box | `Overloaded::find(&*error)` |
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `http` | `ConcurrencyLayer::http`, `ConcurrencyLayer::body_long` |
//! | `serde` | [`LimitBuilder`] can be deserialised |
//! | `metrics` | the metrics above |
//! | `tracing` | the events above |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acquire;
mod answer;
mod build_error;
#[cfg(feature = "serde")]
mod config_file;
mod dismiss;
mod error;
mod future;
mod gate;
#[cfg(feature = "http")]
mod http;
mod layer;
mod limit;
mod line;
mod lobby;
mod observe;
mod permit;
mod policy;
mod registry;
mod service;
mod slot;
#[cfg(feature = "serde")]
mod span;
mod sync;
mod word;

pub use acquire::Acquire;
pub use answer::{Answer, AsError, Respond};
pub use build_error::BuildError;
pub use dismiss::{Dismiss, Undismissed};
pub use error::{BoxError, Overloaded, Reason};
pub use future::ConcurrencyFuture;
#[cfg(feature = "http")]
pub use http::{AsHttp, BodyLong, LimitedBody, RespondHttp};
pub use layer::ConcurrencyLayer;
pub use limit::Limit;
#[cfg(feature = "metrics")]
pub use observe::publish_metrics;
pub use permit::Permit;
pub use policy::LimitBuilder;
pub use service::ConcurrencyService;
