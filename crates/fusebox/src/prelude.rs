//! What most programs need: `use fusebox::prelude::*;`.

pub use state_core::{
    BuildError, CallError, Circuit, Event, ManualClock, OnCancel, Outcome, Permit, Policy, Reason, Refusal,
    RefusalReason, Refused, Snapshot, State, SystemClock, Window,
};

#[cfg(feature = "circuit")]
pub use circuit_layer::{CircuitLayer, TokioClock};
#[cfg(feature = "concurrency")]
pub use concurrency_layer::{ConcurrencyLayer, Limit, Overloaded};
#[cfg(feature = "cooldown")]
pub use cooldown_layer::{Action, Budget, Cooldown, CooldownLayer};
#[cfg(feature = "fallback")]
pub use fallback_layer::{Degraded, FallbackLayer};

#[cfg(any(feature = "circuit", feature = "concurrency", feature = "fallback"))]
pub use crate::ServiceBuilderExt;

pub use crate::BoxError;
