//! concurrency-layer
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
pub use answer::{AsError, Respond};
pub use build_error::BuildError;
pub use dismiss::{Dismiss, Undismissed};
pub use error::{Overloaded, Reason};
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

/// What goes outward: any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
