//! What an HTTP or gRPC exchange came to, and a body that says so at its end.
//!
//! A status code is half of the story: a gRPC call fails in its trailers, and a download fails in its body long after a
//! fine `200 OK`. This crate is for whoever counts failures or holds a permit for a call (a circuit breaker, a limiter,
//! a pool, a metric): it judges the head, hands a guard to the body, and judges again at its end.
//!
//! It stands alone, without tower and without a runtime.
//!
//! | to | use |
//! |---|---|
//! | judge a head | [`http_head::judge`], [`grpc::judge_head`], or either by [`Protocol`] |
//! | judge trailers or a code | [`grpc::judge_trailers`], [`grpc::judge_code`] |
//! | hold something until a body ends | [`GuardedBody`] with [`Hold`] |
//! | learn how a body ended | [`GuardedBody`] with a [`BodyGuard`] of your own |
//! | read and write retry hints | [`retry_after`], [`pushback`] |
//! | refuse a request | [`RefusalResponse`] |
//!
//! # What counts as what
//!
//! | | [`Success`](Outcome::Success) | [`Failure`](Outcome::Failure) | [`Throttled`](Outcome::Throttled) | [`Neutral`](Outcome::Neutral) |
//! |---|---|---|---|---|
//! | HTTP | 1xx, 2xx, 3xx whose body ends | 5xx; an error in the body | 429 | other 4xx |
//! | gRPC | `OK` | `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`; no `grpc-status`; an error in the body | `RESOURCE_EXHAUSTED` | other codes |
//!
//! [`AtEnd`](Outcome::AtEnd) is the fifth: the head does not say, ask again when the body is over. A body that is
//! dropped before its end is for its guard to judge; neutral is a good choice, for a caller may stop reading when it
//! likes, and a `HEAD` request never reads at all.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderMap, Request, Response};
//! use http_body::Body as _;
//! use http_body_util::{BodyExt, Full};
//! use http_outcome::{BodyGuard, GuardedBody, Judged, Outcome, Protocol, wall};
//!
//! /// Prints what an exchange came to: once, and "given up" when nobody read to the end.
//! struct Log {
//!     protocol: Protocol,
//!     settled: bool,
//! }
//!
//! impl Log {
//!     fn settle(&mut self, judged: Judged) {
//!         self.settled = true;
//!         println!("{:?}", judged.outcome);
//!     }
//! }
//!
//! impl BodyGuard for Log {
//!     fn ended(mut self, trailers: Option<&HeaderMap>) {
//!         let judged = self.protocol.judge_end(trailers);
//!         self.settle(judged);
//!     }
//!
//!     fn failed(mut self) {
//!         let judged = self.protocol.judge_error();
//!         self.settle(judged);
//!     }
//! }
//!
//! impl Drop for Log {
//!     fn drop(&mut self) {
//!         if !self.settled {
//!             println!("given up");
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let request = Request::get("/").body(())?;
//! let response = Response::new(Full::new(Bytes::from("hello"))); // what came back
//!
//! let mut log = Log { protocol: Protocol::of(request.headers()), settled: false };
//! let (head, body) = response.into_parts();
//! let judged = log.protocol.judge_head(head.status, &head.headers, body.is_end_stream(), wall::now());
//! let body = match judged.outcome {
//!     Outcome::AtEnd => GuardedBody::new(body, log),
//!     _ => {
//!         log.settle(judged);
//!         GuardedBody::unguarded(body)
//!     }
//! };
//!
//! body.collect().await?; // prints "Success"
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod code;
mod digits;
mod escape;
mod guard;
mod judged;
mod outcome;
mod protocol;
mod refusal;

pub mod grpc;
pub mod http_head;
pub mod pushback;
pub mod retry_after;
pub mod wall;

/// The README's example is a test too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use body::GuardedBody;
pub use guard::{BodyGuard, Hold};
pub use judged::Judged;
pub use outcome::Outcome;
pub use protocol::Protocol;
pub use refusal::RefusalResponse;
