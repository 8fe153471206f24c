//! What keeps a Tower service standing while the things it depends on fail.
//!
//! Fusebox is a workspace of small crates; this one brings them together: one dependency, one feature a crate, one
//! prelude. Add a layer, or stack several, on any hyper, tonic, axum or reqwest client or server:
//!
//! ```
//! use std::time::Duration;
//!
//! use fusebox::prelude::*;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! #[derive(Clone, Debug, PartialEq)]
//! struct Answer(String);
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
//! let limit = Limit::fixed(3).name("openai").queue(100, Duration::from_secs(2)).build()?;
//!
//! let client = service_fn(|prompt: String| async move {
//!     if prompt.is_empty() { Err("no prompt") } else { Ok(Answer(format!("you said: {prompt}"))) }
//! });
//!
//! let mut service = ServiceBuilder::new()
//!     .layer(FallbackLayer::new().cached(|prompt: &String| prompt.clone()).respond(|_, _| Answer("sorry".into())))
//!     .layer(CircuitLayer::new(openai))
//!     .layer(ConcurrencyLayer::new(limit))
//!     .service(client);
//!
//! assert_eq!(service.ready().await?.call("hello".into()).await?, Answer("you said: hello".into()));
//! assert_eq!(service.ready().await?.call(String::new()).await?, Answer("sorry".into()));
//! # Ok(()) }
//! ```
//!
//! # In which order
//!
//! | from outside in | does | because |
//! |---|---|---|
//! | [`FallbackLayer`](fallback::FallbackLayer) | answers from somewhere else | it must see what the others refuse |
//! | [`ProviderPool`](pool::ProviderPool) | asks the best of several | each provider has the layers below for itself |
//! | [`CircuitLayer`](circuit::CircuitLayer) | stops calling what is broken | a refusal costs no slot below |
//! | [`ConcurrencyLayer`](concurrency::ConcurrencyLayer) | never more than n at once | a queue that is full is a failure the circuit may see |
//! | your client | | |
//!
//! The other way round, a fallback *below* a circuit answers every failure before the circuit can see it: the circuit never
//! opens.
//!
//! A decision is made on the way in and settled on the way out, exactly once: by the response, at the end of its body, by an
//! error, a panic, or by being dropped.
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `circuit` | [`circuit`]: circuit breaker | yes |
//! | `concurrency` | [`concurrency`]: limit with a bounded queue | yes |
//! | `fallback` | [`fallback`]: a chain of other answers | yes |
//! | `cooldown` | [`cooldown`]: budgets for risky actions, a ledger of anomalies | |
//! | `file`, `redis`, `redis-tls` | stores for cooldowns: on disk, or shared by several processes | |
//! | `health` | [`health`]: active probes that drive circuits, a layer that goes by health | |
//! | `pool` | [`pool`]: several providers as one service, with failover | |
//! | `http` | the same layers for `http::Request` and `Response`: 503 with `Retry-After`, guards to the end of the body | |
//! | `grpc` | gRPC statuses and trailers count, refusals are `Unavailable` | |
//! | `retry` | a `tower::retry` policy that never retries a refusal | |
//! | `metrics` | counters and gauges through the `metrics` facade | |
//! | `tracing` | events through the `tracing` facade | |
//! | `serde` | policies from configuration, snapshots to JSON | |
//!
//! The crates stand here as modules: `fusebox::circuit` is `circuit_layer`, which is how the compiler may call it. Without
//! its feature a function is not there: `CircuitLayer::http` needs `http`, `CircuitLayer::grpc` needs `grpc`. On axum take
//! `http`: what `new` makes refuses with an error, which axum does not take. The pages of the layers have a section "When it
//! does not compile".
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod prelude;

#[cfg(any(feature = "circuit", feature = "concurrency", feature = "fallback"))]
mod builder_ext;

#[cfg(any(feature = "circuit", feature = "concurrency", feature = "fallback"))]
pub use builder_ext::ServiceBuilderExt;

#[cfg(feature = "circuit")]
#[cfg_attr(docsrs, doc(cfg(feature = "circuit")))]
#[doc(inline)]
pub use circuit_layer as circuit;
#[cfg(feature = "concurrency")]
#[cfg_attr(docsrs, doc(cfg(feature = "concurrency")))]
#[doc(inline)]
pub use concurrency_layer as concurrency;
#[cfg(feature = "cooldown")]
#[cfg_attr(docsrs, doc(cfg(feature = "cooldown")))]
#[doc(inline)]
pub use cooldown_layer as cooldown;
#[cfg(feature = "fallback")]
#[cfg_attr(docsrs, doc(cfg(feature = "fallback")))]
#[doc(inline)]
pub use fallback_layer as fallback;
#[cfg(feature = "health")]
#[cfg_attr(docsrs, doc(cfg(feature = "health")))]
#[doc(inline)]
pub use health_probe as health;
#[cfg(feature = "pool")]
#[cfg_attr(docsrs, doc(cfg(feature = "pool")))]
#[doc(inline)]
pub use provider_pool as pool;
#[doc(inline)]
pub use state_core as core;

/// Any error, boxed: what the layers' services fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
