//! A circuit breaker as a lock-free atomic state machine.
//!
//! When a dependency fails, calls to it cost time, threads and patience, and keep it from recovering. A circuit breaker
//! watches what calls come to; when too many fail it *opens* and refuses further ones at once; after a while it lets a
//! few *trials* through, and *closes* when they succeed.
//!
//! This crate is the breaker alone: no runtime, no network types, no background task, and on the path of a call no lock
//! and no allocation. A healthy call reads one word and writes none that another thread reads. For Tower services take
//! the crate `circuit-layer`; for any function or future this one is enough.
//!
//! ```
//! use std::time::Duration;
//! use state_core::{CallError, Circuit, Window};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let openai = Circuit::builder("openai")
//!     .failure_rate_above(0.5)
//!     .window(Window::calls(100))
//!     .min_calls(5)
//!     .open_for(Duration::from_secs(30))
//!     .build()?;
//!
//! # async fn fetch() -> Result<String, std::io::Error> { Ok("hello".into()) }
//! match openai.call(|| fetch()).await {
//!     Ok(text) => println!("{text}"),
//!     Err(CallError::Refused(refused)) => println!("{refused}"),
//!     Err(CallError::Inner(error)) => println!("the call failed: {error}"),
//! }
//!
//! // By hand, where a call is not one function:
//! let permit = openai.acquire()?;
//! match std::fs::metadata("Cargo.toml") {
//!     Ok(_) => permit.success(),
//!     Err(_) => permit.failure(),
//! }
//! # Ok(()) }
//! ```
//!
//! # States
//!
//! | state | calls | outcomes | left by |
//! |---|---|---|---|
//! | [`Closed`](State::Closed) | admitted | recorded | a trip rule, a probe that reports down, an operator |
//! | [`Open`](State::Open) | refused | only late ones arrive, none counts | the open time ends, a probe reports up, an operator |
//! | [`HalfOpen`](State::HalfOpen) | some admitted: trials or a ramp | decide | trials succeed or fail, the ramp ends, the half-open time runs out, an operator |
//! | [`ForcedOpen`](State::ForcedOpen) | refused until released | none counts | an operator only |
//! | [`Disabled`](State::Disabled) | admitted | not recorded | an operator |
//! | [`MetricsOnly`](State::MetricsOnly) | admitted | recorded; a rule that would trip emits one event | an operator |
//!
//! Every change of state starts a new *generation*. A [`Permit`] carries the generation in which it was given, and an
//! outcome from an earlier one changes nothing: no count, no slot, no state. So a success that began while the circuit
//! was closed never closes a half-open one, and a hung call that comes back after an hour harms nobody.
//!
//! # Configuration
//!
//! [`Policy`] has it all: trip rules (failures in a row, failure rate, slow-call rate, a moving rate), the [`Window`]
//! they look at, how long to stay open, how to come back (trials in a row, a batch, a ramp), what a cancelled call
//! counts as. [`CircuitBuilder::build`] refuses what can't work and names the field.
//!
//! # Time
//!
//! One [`Clock`] a circuit: the system's monotonic clock by default, a [`ManualClock`] in tests, your own in
//! simulations (`circuit-layer` has one that follows paused tokio time). Nothing reads another clock, and a policy with
//! no time in it reads none while closed. Deadlines have a resolution of 1 ms.
//!
//! # Memory
//!
//! A [`Circuit`] is a `Copy` handle to memory that lives as long as the process: about 400 bytes, a bit a call for a
//! window of calls, 24 bytes a slice and core for a window of time, and 128 bytes a core for totals.
//! [`Circuit::retire`] gives it to the next circuit of the same layout. Names and policies are kept once each, so use
//! names from a bounded set.
//!
//! # How it works, and its bounds
//!
//! State, generation and what must change with them stand in one 64-bit word, moved on by compare-and-swap; windows are
//! words of their own that carry the generation they belong to. The protocols are checked with the model checker loom,
//! and the whole against a sequential model.
//!
//! - The generation has 22 bits. An outcome could be taken for one of the current generation only if its call was in
//!   flight for an exact multiple of 4,194,304 generations: 24 days when the circuit flaps twice a second.
//! - What concurrent callers can do to a window is bounded: see [`Window`].
//! - Targets need 64-bit atomics.
//!
//! # Panics in callbacks
//!
//! Observers run on a thread of their own; one that panics is caught and counted. A call that panics counts as a failure,
//! and the panic goes on to its caller.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `std` (default) | the system's clocks, thread shards for counters, the thread that tells observers, panics told from cancellations |
//! | `serde` | [`Policy`] from configuration, [`Snapshot`] to JSON |
//!
//! Without `std` the crate needs `alloc`, a clock of yours, and a call of `deliver_events` now and then if there are
//! observers.
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
mod owned;
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
