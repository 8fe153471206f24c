//! What is seen of a pool.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use health_probe::HealthState;

use crate::member::Member;
use crate::why::Why;

/// A pool at one moment.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// The strategy's name.
    pub strategy: &'static str,
    /// Whether, for something that is served, so many providers are out that health does not count.
    pub panic: bool,
    /// The providers, in the order in which they were added.
    pub providers: Vec<ProviderSnapshot>,
}

/// A provider at one moment.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ProviderSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// What it serves; `*` stands for all there are.
    pub serves: Vec<Arc<str>>,
    /// Its weight.
    pub weight: u32,
    /// The part of its share that it gets, in its slow start below 1.
    pub share: f64,
    /// Why it would not be asked now; `None` when it would be. One that is down is said to be also while health does not
    /// count. In JSON as a sentence.
    #[cfg_attr(feature = "serde", serde(serialize_with = "spoken"))]
    pub out: Option<Why>,
    /// The state of its circuit.
    pub circuit: Option<&'static str>,
    /// What its health probe says.
    pub health: Option<&'static str>,
    /// Calls in flight through this pool.
    pub in_flight: u32,
    /// The moving average of latency, in JSON in seconds; `None` before the first call has ended.
    #[cfg_attr(feature = "serde", serde(serialize_with = "seconds"))]
    pub latency: Option<Duration>,
    /// The moving average of failures, in [0, 1].
    pub failure_rate: f64,
    /// Calls that were served.
    pub served: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that its own layers refused.
    pub refused: u64,
    /// Calls that were given up.
    pub cancelled: u64,
}

/// A capability and who provides it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Model {
    /// The capability.
    pub id: Arc<str>,
    /// The first by name of the providers that serve it.
    pub owner: Arc<str>,
}

impl ProviderSnapshot {
    pub(crate) fn of(member: &Member, now: u64, slow_start: u64) -> Self {
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        Self {
            name: Arc::clone(&member.name),
            serves: member
                .serves
                .iter()
                .map(|served| &**served)
                .chain(member.everything.then_some("*"))
                .map(Arc::from)
                .collect(),
            weight: member.weight.load(Ordering::Relaxed),
            share: member.share(now, slow_start),
            out: member.out(None).map(|out| out.of(member)),
            circuit: member.circuit.map(|circuit| circuit.state().as_str()),
            health: member.health.as_ref().map(|health| HealthState::as_str(health.state())),
            in_flight: member.in_flight.load(Ordering::Relaxed),
            latency: member.latency().map(Duration::from_nanos),
            failure_rate: member.failure_rate(now),
            served: count(&member.counts.served),
            failed: count(&member.counts.failed),
            refused: count(&member.counts.refused),
            cancelled: count(&member.counts.cancelled),
        }
    }
}

#[cfg(feature = "serde")]
mod as_json {
    //! How the fields look to `serde`.
    #![allow(clippy::ref_option, reason = "serde hands fields over like this")]

    use serde::{Serialize, Serializer};

    use super::{Duration, Why};

    pub(super) fn spoken<S: Serializer>(out: &Option<Why>, s: S) -> Result<S::Ok, S::Error> {
        out.as_ref().map(ToString::to_string).serialize(s)
    }

    pub(super) fn seconds<S: Serializer>(time: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs_f64()).serialize(s)
    }
}
#[cfg(feature = "serde")]
use as_json::{seconds, spoken};
