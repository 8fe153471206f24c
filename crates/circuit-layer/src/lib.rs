//! A circuit breaker as a Tower layer.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
