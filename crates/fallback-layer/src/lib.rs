//! What to answer instead: a Tower layer with a chain of steps.
//!
//! When a service fails, is refused by a circuit above it, or says with a 503 that it cannot, there is often something
//! better to say than that: what it answered a minute ago, what another service answers, or an honest "not now". This
//! layer asks a chain of steps in order, and the first that has an answer gives it.
//!
//! ```
//! use std::time::Duration;
//!
//! use fallback_layer::FallbackLayer;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! #[derive(Clone, Debug, PartialEq)]
//! struct Price(u32);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), fallback_layer::BoxError> {
//! let mut calls = 0;
//! let market = service_fn(move |_article: u64| {
//!     calls += 1;
//!     let answer = if calls == 1 { Ok(Price(42)) } else { Err("the market is closed") };
//!     async move { answer }
//! });
//!
//! let mut prices = ServiceBuilder::new()
//!     .layer(
//!         FallbackLayer::new()
//!             .cached(|article: &u64| *article)    // first the last good answer,
//!             .max_age(Duration::from_secs(3600))
//!             .respond(|_, _| Price(0))            // then one that is always there
//!             .build()?,                           // needed where a number was set, which may be wrong
//!     )
//!     .service(market);
//!
//! assert_eq!(prices.ready().await?.call(1).await?, Price(42)); // the market's
//! assert_eq!(prices.ready().await?.call(1).await?, Price(42)); // the last good one
//! assert_eq!(prices.ready().await?.call(2).await?, Price(0));
//! # Ok(())
//! # }
//! ```
//!
//! # Where it goes
//!
//! Outermost: above a circuit, a limiter and a timeout, whose errors it answers. So a failure has reached the circuit
//! before it reaches the fallback, which hides nothing from it. The other way round, with the fallback below, every failure
//! is answered before the circuit can see it, and the circuit never opens.
//!
//! # Steps
//!
//! | step | answers with | passes on |
//! |---|---|---|
//! | [`cached`](FallbackLayer::cached), [`cached_if`](FallbackLayer::cached_if), [`cached_in`](FallbackLayer::cached_in) | the last good answer for a key | there is none, or it is too old |
//! | `cached_http`, `cached_http_in` (feature `http`) | the same, for a body that streams | the same |
//! | [`service`](FallbackLayer::service) | what another service answers | it fails, is not ready in time, or the request cannot be made again |
//! | [`respond`](FallbackLayer::respond), [`respond_if`](FallbackLayer::respond_if), [`respond_value`](FallbackLayer::respond_value) | what a function says, or a value | the function says `None` |
//! | [`finally`](FallbackLayer::finally), [`or_else`](FallbackLayer::or_else) | what a function says; the chain ends, and the error type is `Infallible` | never |
//! | [`step`](FallbackLayer::step) | a [`Step`] of your own | as it likes |
//!
//! Each may have a condition ([`when`](FallbackLayer::when)), a time limit ([`within`](FallbackLayer::within)), a bound
//! on how many run at once ([`at_most`](FallbackLayer::at_most)) and a name ([`named`](FallbackLayer::named)).
//!
//! When every step has passed on: a failed response goes out as it came; so does an error, if no step failed; else the
//! error is a [`FallbackError`] that tells what the last step failed with and has the first error, the service's own, as
//! its source.
//!
//! # Which failures
//!
//! By default any error, with [`FallbackLayer::http`](FallbackLayer) also a 5xx response;
//! [`on_error`](FallbackLayer::on_error), [`on_response`](FallbackLayer::on_response) and
//! [`on_refusal`](FallbackLayer::on_refusal) say otherwise. An inner service that fails in `poll_ready` counts as well: see
//! [`Fallback`].
//!
//! # Degraded answers
//!
//! An answer of a step is marked with [`Degraded`] (in the extensions of an HTTP response, for others by a [`Mark`]), counted
//! and logged. It is never stored as a last good answer, nor is one that a fallback further in has marked.
//!
//! # What it costs
//!
//! A call that succeeds costs one reference count on the settings ([`leak`](FallbackLayer::leak) saves it, where the layer is
//! there for good), and no allocation unless a step or a [`Keep`] hook makes one:
//! [`respond`](FallbackLayer::respond), [`service`](FallbackLayer::service) and the rest take nothing of a request by
//! themselves. [`cached`](FallbackLayer::cached) makes a key, looks it up, clones the answer and stores it, which moka does
//! in about six small allocations; [`refresh_after`](FallbackLayer::refresh_after) spares busy keys all but the look-up.
//!
//! # Panics in callbacks
//!
//! A key function, predicate, weigher or answer that panics does so in the call that it was asked for, and the panic goes to
//! its caller. The place under [`at_most`](FallbackLayer::at_most) is given back; nothing is stored; other calls notice
//! nothing.
//!
//! # Metrics and events
//!
//! With the features `metrics` and `tracing`; nothing of it runs for a call that the service answers itself.
//!
//! | metric | labels | counts |
//! |---|---|---|
//! | `fallback_answers_total` | `step`: its name; `cause`: [`CauseKind`] | degraded answers |
//! | `fallback_passed_total` | `step`; `reason`: `not_wanted`, `full`, `no_answer`, `failed`, `timeout` | steps that were reached and passed on |
//! | `fallback_exhausted_total` | `cause` | failures that no step answered |
//!
//! | event | level | fields |
//! |---|---|---|
//! | `degraded answer` | warn | `step`, `cause` |
//! | `no fallback answered` | warn | `cause` |
//! | `fallback step passed on` | trace | `step`, `reason`, `error` |
//!
//! # When it does not compile
//!
//! | the compiler says | because | write |
//! |---|---|---|
//! | `no function or associated item named http` | the feature is off | `features = ["http"]` |
//! | `FallbackLayer<.., NeedsBuild>: Layer<_>` is not satisfied | a number was set, which may be wrong | `.build()?` at the end |
//! | no method `within` (or `when`, `named`, `at_most`) | they speak of the step before them, and there is none | a step first |
//! | no method `max_age` (or `max_entries`) | they speak of a cache, and the last step is none | them right after `.cached(..)` |
//! | `type annotations needed for &_` | nothing tells what a request is | `.cached(\|request: &Request\| ..)` |
//! | `Infallible: From<Box<dyn Error ..>>` at axum's `layer` | axum's services must not fail, and a chain may end without an answer | [`.finally`](FallbackLayer::finally)`(..)` at its end |
//! | `Body: Clone` is not satisfied | [`cached`](FallbackLayer::cached) clones answers, and a body that streams has no clone | `.cached_http(..)` |
//! | `Fallback<..>: Service<_>` is not satisfied | a step answers with another type than the service | the service's response |
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | brings |
//! |---|---|
//! | `http` | the module `http`: [`FallbackLayer::http`](FallbackLayer), `cached_http`, `KeepHead`, `KeepBytes` |
//! | `metrics` | the metrics above |
//! | `tracing` | the events above |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod backup;
mod builder;
mod cached;
mod cause;
mod chain;
mod degraded;
mod error;
mod finally;
mod future;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
mod keep;
mod last_good;
mod layer;
mod leaked;
mod observe;
mod policy;
mod respond;
mod service;
mod shared;
mod step;

pub use backup::{Backup, BackupFuture};
pub use builder::{CachedLayer, WithStep};
pub use cached::Cached;
pub use cause::{Cause, CauseKind};
pub use chain::{Chain, Empty, Steps};
pub use degraded::{Degraded, Mark};
pub use error::{ConfigError, FallbackError};
pub use finally::Finally;
pub use future::ResponseFuture;
pub use keep::{CloneRequest, Keep, KeepNothing, KeepRestore, KeepWith, Nothing, Restore};
pub use last_good::{LastGood, LastGoodBuilder};
pub use layer::{FallbackLayer, NeedsBuild, Ready};
pub use leaked::LeakedLayer;
pub use respond::Respond;
pub use service::Fallback;
pub use step::Step;

/// Any error; what this layer's services fail with. The error of the inner service can be downcast from it.
pub type BoxError = Box<dyn core::error::Error + Send + Sync>;
