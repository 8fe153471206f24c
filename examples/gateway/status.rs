//! The circuits and limits as JSON.

use fusebox::prelude::Snapshot;
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
    let seconds = |time: std::time::Duration| (time.as_secs_f64() * 1_000.0).round() / 1_000.0;
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
