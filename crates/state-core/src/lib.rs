//! A circuit breaker as a lock-free atomic state machine.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

mod admit;
mod call;
mod circuit;
mod clock;
#[cfg(not(fusebox_loom))]
mod dispatch;
mod error;
mod figures;
mod half_open;
mod observer;
mod operate;
mod outcome;
mod period;
mod permit;
mod plan;
mod policy;
mod refusal;
mod ring;
mod settle;
mod shard;
mod slot;
mod snapshot;
#[cfg(feature = "serde")]
mod span;
mod stack;
mod state;
mod sync;
mod tally;
mod totals;
mod transit;
mod waiters;
mod watch;
mod window;
mod word;

pub use call::{ByFunction, ByFuture, Call, IntoCall};
pub use circuit::{Circuit, CircuitBuilder};
#[cfg(feature = "std")]
pub use clock::SystemClock;
pub use clock::{Clock, ClockSource, ManualClock};
#[cfg(all(not(feature = "std"), not(fusebox_loom)))]
pub use dispatch::deliver_events;
#[cfg(all(feature = "std", not(fusebox_loom)))]
pub use dispatch::flush_events;
#[cfg(not(fusebox_loom))]
pub use dispatch::lost_events;
pub use error::{BuildError, CallError, RefusalReason, Refused};
pub use observer::{Event, Observer, Transition, WouldTrip};
pub use operate::ProbeLink;
pub use outcome::Outcome;
pub use permit::Permit;
pub use policy::{EwmaWeights, OnCancel, Policy};
pub use refusal::Refusal;
pub use snapshot::Snapshot;
pub use state::{Reason, State};
pub use totals::Totals;
pub use watch::{Opened, Watch};
pub use window::Window;
