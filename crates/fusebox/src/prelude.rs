//! What most programs need: `use fusebox::prelude::*;`.
//!
//! `Reason` and `RefusalReason` are those of a circuit. A limit's and a cooldown's are [`fusebox::concurrency::Reason`] and
//! [`fusebox::cooldown::Reason`], where those features are on.
//!
//! [`fusebox::concurrency::Reason`]: https://docs.rs/concurrency-layer/latest/concurrency_layer/enum.Reason.html
//! [`fusebox::cooldown::Reason`]: https://docs.rs/cooldown-layer/latest/cooldown_layer/enum.Reason.html

pub use state_core::{
    BuildError, CallError, Circuit, Event, ManualClock, OnCancel, Outcome, Permit, Policy, Reason, Refusal,
    RefusalReason, Refused, Snapshot, State, SystemClock, Window,
};

#[cfg(feature = "circuit")]
pub use circuit_layer::{CircuitLayer, TokioClock};
#[cfg(feature = "concurrency")]
pub use concurrency_layer::{ConcurrencyLayer, Limit, Overloaded};
#[cfg(all(feature = "cooldown", feature = "file"))]
pub use cooldown_layer::FileStore;
#[cfg(all(feature = "cooldown", feature = "redis"))]
pub use cooldown_layer::RedisStore;
#[cfg(feature = "cooldown")]
pub use cooldown_layer::{Action, Budget, Cooldown, CooldownLayer, Lease};
#[cfg(feature = "fallback")]
pub use fallback_layer::{Degraded, FallbackLayer};

#[cfg(all(feature = "health", feature = "grpc"))]
pub use health_probe::GrpcProbe;
#[cfg(feature = "health")]
pub use health_probe::{FnProbe, Health, HealthLayer, HealthState, Probe, ProbeHandle, Unhealthy};
#[cfg(all(feature = "health", feature = "http"))]
pub use health_probe::{HttpProbe, TcpProbe};
#[cfg(feature = "pool")]
pub use provider_pool::{
    Availability, InOrder, LeastInFlight, LeastLatency, NoProvider, PeakEwmaP2c, Provider, ProviderPool, RoundRobin,
    Weighted,
};

#[cfg(any(feature = "circuit", feature = "concurrency", feature = "fallback"))]
pub use crate::ServiceBuilderExt;

pub use crate::BoxError;
