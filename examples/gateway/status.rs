//! The circuits, limits and providers as JSON.

use std::time::Duration;

use fusebox::pool;
use fusebox::prelude::{ProbeHandle, Snapshot};
use serde_json::{Map, Value, json};

use crate::config::Provider;
use crate::wall;

/// Every circuit by name.
pub(crate) fn circuits(providers: &[Provider]) -> Value {
    let circuits = providers
        .iter()
        .map(|provider| (provider.name.clone(), circuit(&provider.circuit.snapshot())));
    Value::Object(circuits.collect::<Map<_, _>>())
}

/// One circuit.
pub(crate) fn circuit(seen: &Snapshot) -> Value {
    let last_failure = seen
        .last_failure
        .map(|ago| wall::unix_seconds().saturating_sub(ago.as_secs()));
    json!({
        "name": seen.name,
        "state": seen.state.as_str(),
        "reason": seen.reason.as_str(),
        "state_seconds": seconds(seen.since),
        "next_try_seconds": seen.next_try.map(seconds),
        "failure_count": seen.failures,
        "success_count": seen.successes,
        "slow_count": seen.slow,
        "failure_rate": seen.failure_rate,
        "slow_call_rate": seen.slow_call_rate,
        "consecutive_failures": seen.consecutive_failures,
        "trials_in_flight": seen.trials_in_flight,
        "generation": seen.generation,
        "last_failure_time": last_failure,
    })
}

/// Every limit by name.
pub(crate) fn limits(providers: &[Provider]) -> Value {
    let limits = providers.iter().map(|provider| {
        let limit = &provider.limit;
        let seen = json!({ "in_flight": limit.in_flight(), "limit": limit.limit(), "waiting": limit.waiting() });
        (provider.name.clone(), seen)
    });
    Value::Object(limits.collect::<Map<_, _>>())
}

/// The pool, every provider by name with its probe.
pub(crate) fn providers(seen: &pool::Snapshot, probes: &[ProbeHandle]) -> Value {
    let providers = seen.providers.iter().map(|provider| {
        let probe = probes.iter().find(|probe| *probe.name() == *provider.name);
        let seen = json!({
            "available": provider.out.is_none(),
            "out": provider.out.as_ref().map(ToString::to_string),
            "serves": provider.serves.iter().map(|served| &**served).collect::<Vec<_>>(),
            "weight": provider.weight,
            "share": provider.share,
            "circuit": provider.circuit,
            "in_flight": provider.in_flight,
            "latency_seconds": provider.latency.map(latency),
            "failure_rate": provider.failure_rate,
            "served": provider.served,
            "failed": provider.failed,
            "refused": provider.refused,
            "cancelled": provider.cancelled,
            "health": probe.map(health),
        });
        (provider.name.to_string(), seen)
    });
    json!({
        "strategy": seen.strategy,
        "panic": seen.panic,
        "providers": providers.collect::<Map<_, _>>(),
    })
}

fn health(probe: &ProbeHandle) -> Value {
    let seen = probe.snapshot();
    json!({
        "state": seen.state.as_str(),
        "state_seconds": seconds(seen.since),
        "checks": seen.checks,
        "failures_in_a_row": seen.failures_in_a_row,
        "successes_in_a_row": seen.successes_in_a_row,
        "last_latency_seconds": seen.last_latency.map(latency),
        "last_error": seen.last_error.as_deref(),
        "next_check_seconds": seen.next_check.map(seconds),
    })
}

/// The models as the API lists them.
pub(crate) fn models(models: &[pool::Model]) -> Value {
    let list = models
        .iter()
        .map(|model| json!({ "id": *model.id, "object": "model", "owned_by": *model.owner }));
    json!({ "object": "list", "data": list.collect::<Vec<_>>() })
}

/// To a microsecond: on one machine a call takes less than a millisecond.
fn latency(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000_000.0
}

/// To the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).round() / 1_000.0
}
