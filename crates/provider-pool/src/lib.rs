//! Which of several: a Tower service over named providers that fails over, ejects, starts slowly and drains.
//!
//! Several providers can do the same job: models behind different vendors, replicas, regions. A pool is one service over
//! all of them. Each call goes to one that may be asked, chosen by a strategy; where that fails, to the next.
//!
//! ```
//! use circuit_layer::CircuitLayer;
//! use provider_pool::{BoxError, LeastLatency, NoProvider, Provider, ProviderPool};
//! use state_core::Circuit;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! #[derive(Clone)]
//! struct Ask {
//!     model: &'static str,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let openai = Circuit::builder("openai").build()?;
//! let local = Circuit::builder("local").build()?;
//! let client = service_fn(async |ask: Ask| Ok::<_, BoxError>(format!("{} says hello", ask.model)));
//! let behind = |circuit| ServiceBuilder::new().layer(CircuitLayer::new(circuit)).service(client);
//!
//! let pool = ProviderPool::builder()
//!     .provider(Provider::new("openai", behind(openai)).serves("gpt-4").circuit(openai).weight(3))
//!     .provider(Provider::new("local", behind(local)).serves("*").circuit(local))
//!     .strategy(LeastLatency::default())
//!     .wants(|ask: &Ask| Some(ask.model))
//!     .repeat_all()
//!     .failover(2)
//!     .build()?;
//!
//! assert_eq!(pool.clone().oneshot(Ask { model: "gpt-4" }).await?, "gpt-4 says hello");
//!
//! openai.force_open();
//! pool.drain("local");
//! let error = pool.oneshot(Ask { model: "gpt-4" }).await.unwrap_err();
//! assert_eq!(error.to_string(), r#"no provider for "gpt-4": openai is forced open, local is draining"#);
//! assert!(NoProvider::find(&*error).is_some());
//! # Ok(()) }
//! ```
//!
//! # Who may be asked
//!
//! | left out | while |
//! |---|---|
//! | does not serve it | what the request [wants](PoolBuilder::wants) is not among what it [serves](Provider::serves) |
//! | draining | from [`drain`](ProviderPool::drain) to [`resume`](ProviderPool::resume) |
//! | forced open, open, half-open | its [circuit](Provider::circuit) refuses; trials go through |
//! | down | its [health](Provider::health) probe says so, unless [too many](PoolBuilder::max_ejected) are out |
//! | full | as many calls are in flight as its [limit](Provider::limit) allows |
//! | not ready | its service's `poll_ready` is pending; when nobody else is left, a call waits for the first that gets ready, or that can be asked again, up to [`ready_within`](PoolBuilder::ready_within) |
//!
//! When nobody is left the call ends with [`NoProvider`], which says of each why; or with a response, see
//! [`on_refused`](ProviderPool::on_refused) and `ProviderPool::http`.
//!
//! # Who is chosen
//!
//! | [`Strategy`] | goes to |
//! |---|---|
//! | [`LeastLatency`] (default) | the one that answers fastest |
//! | [`InOrder`] | the first, and only without it to the next: primary and backups |
//! | [`RoundRobin`] | one after the other |
//! | [`Weighted`] | in exact proportion to weights, evenly spread |
//! | [`Availability`] | the one that fails least |
//! | [`PeakEwmaP2c`] | of two at random, the one with the least latency times calls in flight |
//! | [`LeastInFlight`] | the one with the fewest calls in flight |
//! | your own | |
//!
//! A provider that fails fast does not win: in its latency a failed call counts as at least the
//! [penalty](PoolBuilder::penalty). Latency is measured from the call to the head of the response. What is known of a
//! provider fades, so nobody is left out for ever.
//!
//! # When it fails
//!
//! A failed call goes on to another provider if the request can be [made again](PoolBuilder::repeat), up to
//! [`failover`](PoolBuilder::failover) attempts, not past its [deadline](PoolBuilder::deadline), and never once a response
//! has started: what a provider answered is passed on as it comes. When no other can be asked the caller gets the last
//! provider's own answer, untouched.
//!
//! A provider that comes back (its circuit has closed, its probe says up, it is no longer draining) starts
//! [slowly](PoolBuilder::slow_start).
//!
//! # Readiness and clones
//!
//! A pool is always ready. Each call works on a clone of the chosen provider's service, which it asks for readiness first:
//! a service that reserves something in `poll_ready` reserves it for this call. All clones of a pool share everything.
//! Providers may be added, removed, drained and re-weighted while calls go on; no call takes a lock.
//!
//! # What a call costs
//!
//! Above what the provider's service costs: a look at each provider, two readings of the clock (one more with a deadline), a clone of the service, and
//! the pool's reference count. It allocates nothing unless it fails over, waits for readiness or finds nobody. Beyond 320
//! providers each pick allocates.
//!
//! # Metrics
//!
//! With the feature `metrics`:
//!
//! | name | type | labels | |
//! |---|---|---|---|
//! | `provider_calls_total` | counter | `provider`, `outcome` | `served`, `failed`, `refused` (by its own layers), `cancelled` |
//! | `provider_failovers_total` | counter | `provider`, `reason` | calls that went on to another after this one |
//! | `provider_unserved_total` | counter | `reason` | `no_provider`, `deadline_passed` |
//! | `provider_available` | gauge | `provider` | 1 when a call may go there |
//! | `provider_in_flight` | gauge | `provider` | |
//! | `provider_share` | gauge | `provider` | below 1 in its slow start |
//! | `provider_failure_rate` | gauge | `provider` | moving average |
//! | `provider_latency_seconds` | gauge | `provider` | moving average |
//! | `provider_pool_panic` | gauge | | 1 while, for something that is served, health probes are not heeded |
//!
//! Gauges are written by `ProviderPool::publish_metrics`.
//!
//! With the feature `tracing`: a provider that is back is an `info` event; too many out is a `warn` event, and so is, once, a
//! provider's tenth failure when the circuit that was given to it has seen no call; failovers and calls without a provider
//! are `debug`, single calls `trace`.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `http` | `ProviderPool::http`, `body_long`: statuses count, responses instead of errors, in flight to the end of the body |
//! | `metrics` | the metrics above |
//! | `tracing` | the events above |
//! | `serde` | [`Snapshot`] to JSON |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod availability;
mod bits;
mod build_error;
mod error;
mod future;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
mod in_order;
mod least_in_flight;
mod least_latency;
mod member;
mod observe;
mod peak_ewma;
mod policy;
mod pool;
mod provider;
mod random;
mod round_robin;
mod service;
mod shared;
mod snapshot;
mod strategy;
mod sync;
mod time;
mod turns;
mod weighted;
mod why;

pub use answer::{Answer, AsError, Respond};
pub use availability::Availability;
pub use build_error::BuildError;
pub use error::{BoxError, DeadlinePassed, Excluded, NoProvider, Unserved};
pub use future::PoolFuture;
pub use in_order::InOrder;
pub use least_in_flight::LeastInFlight;
pub use least_latency::LeastLatency;
pub use peak_ewma::PeakEwmaP2c;
pub use policy::PoolBuilder;
pub use pool::ProviderPool;
pub use provider::{BoxProvider, Provider};
pub use round_robin::RoundRobin;
pub use snapshot::{Model, ProviderSnapshot, Snapshot};
pub use strategy::{Candidate, Candidates, Strategy};
pub use weighted::Weighted;
pub use why::Why;

/// The README's example is a test too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
