//! What is seen from outside: the only file that names a metric or an event field.
//!
//! Handles of metrics are looked up each time: one that was kept from before a recorder was installed would do nothing for
//! ever. Their keys are made once a provider, so that a call makes none.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Unserved;
use crate::member::{Came, Member};

/// The keys of a provider's counters.
pub(crate) struct Keys {
    #[cfg(feature = "metrics")]
    calls: [metrics::Key; 4],
    #[cfg(feature = "metrics")]
    failovers: [metrics::Key; 4],
}

impl Keys {
    #[cfg(not(feature = "metrics"))]
    pub(crate) fn new(_: &Arc<str>) -> Self {
        Self {}
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn new(name: &Arc<str>) -> Self {
        use metrics::{Key, Label, SharedString};
        let key = |metric: &'static str, label: &'static str, came: Came| {
            let provider = Label::new("provider", SharedString::from(Arc::clone(name)));
            Key::from_parts(metric, vec![provider, Label::from_static_parts(label, came.as_str())])
        };
        Self {
            calls: Came::ALL.map(|came| key("provider_calls_total", "outcome", came)),
            failovers: Came::ALL.map(|came| key("provider_failovers_total", "reason", came)),
        }
    }
}

/// A call has ended at a provider.
pub(crate) fn came(member: &Member, came: Came, took: Duration) {
    #[cfg(feature = "metrics")]
    count(&member.keys.calls[came as usize]);
    #[cfg(feature = "tracing")]
    tracing::trace!(
        provider = &*member.name,
        outcome = came.as_str(),
        took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "provider asked",
    );
    let _ = (member, came, took);
}

/// Another provider is asked after this one.
pub(crate) fn failover(member: &Member, came: Came) {
    #[cfg(feature = "metrics")]
    count(&member.keys.failovers[came as usize]);
    #[cfg(feature = "tracing")]
    tracing::debug!(from = &*member.name, reason = came.as_str(), "failing over");
    let _ = (member, came);
}

/// A call got no provider's answer.
pub(crate) fn unserved(unserved: &Unserved) {
    #[cfg(feature = "metrics")]
    {
        let reason = match unserved {
            Unserved::NoProvider(_) => "no_provider",
            Unserved::DeadlinePassed(_) => "deadline_passed",
        };
        metrics::counter!("provider_unserved_total", "reason" => reason).increment(1);
    }
    #[cfg(feature = "tracing")]
    tracing::debug!(reason = %unserved, "no provider answered");
    let _ = unserved;
}

/// A provider has left: its gauges tell of nobody.
pub(crate) fn gone(member: &Member) {
    #[cfg(feature = "metrics")]
    for gauge in [
        "provider_available",
        "provider_in_flight",
        "provider_share",
        "provider_failure_rate",
        "provider_latency_seconds",
    ] {
        let name = metrics::SharedString::from(Arc::clone(&member.name));
        metrics::gauge!(gauge, "provider" => name).set(0.0);
    }
    let _ = member;
}

/// A provider may be asked again.
pub(crate) fn back(name: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(provider = name, "provider is back, slow start");
    let _ = name;
}

/// It has failed, and the circuit that stands for it has seen none of it.
pub(crate) fn unrecorded(name: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        provider = name,
        "provider fails, and its circuit has seen none of its calls: the circuit is to be in a layer round its service too",
    );
    let _ = name;
}

/// So many are out that health does not count, or no longer.
pub(crate) fn panic(begins: bool, ejected: u32, all: u32) {
    #[cfg(feature = "tracing")]
    if begins {
        tracing::warn!(ejected, all, "too many providers are out: health probes are not heeded");
    } else {
        tracing::info!(ejected, all, "health probes are heeded again");
    }
    let _ = (begins, ejected, all);
}

#[cfg(feature = "metrics")]
fn count(key: &metrics::Key) {
    use metrics::{Level, Metadata, with_recorder};
    static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
    with_recorder(|recorder| recorder.register_counter(key, &METADATA)).increment(1);
}

#[cfg(feature = "metrics")]
pub(crate) fn publish(seen: &crate::Snapshot) {
    use metrics::{SharedString, gauge};
    metrics::describe_counter!("provider_calls_total", "calls by what they came to");
    metrics::describe_counter!("provider_failovers_total", "calls that went on to another provider");
    metrics::describe_counter!("provider_unserved_total", "calls that got no provider's answer");
    metrics::describe_gauge!("provider_available", "1 when a call may go there, else 0");
    metrics::describe_gauge!(
        "provider_share",
        "the part of its share that it gets, below 1 in its slow start"
    );
    metrics::describe_gauge!("provider_latency_seconds", "moving average of latency");
    gauge!("provider_pool_panic").set(f64::from(u8::from(seen.panic)));
    for provider in &seen.providers {
        let name = || SharedString::from(Arc::clone(&provider.name));
        gauge!("provider_available", "provider" => name()).set(f64::from(u8::from(provider.out.is_none())));
        gauge!("provider_in_flight", "provider" => name()).set(f64::from(provider.in_flight));
        gauge!("provider_share", "provider" => name()).set(provider.share);
        gauge!("provider_failure_rate", "provider" => name()).set(provider.failure_rate);
        if let Some(latency) = provider.latency {
            gauge!("provider_latency_seconds", "provider" => name()).set(latency.as_secs_f64());
        }
    }
}
