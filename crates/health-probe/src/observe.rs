//! Metrics and events: the only file that names one.
//!
//! All of it happens once a check, never in a call. Handles of metrics are looked up each time: one that was kept from
//! before a recorder was installed would do nothing for ever.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use crate::error::Unhealthy;
use crate::record::Checked;
use crate::state::HealthState;
use crate::tally::Tally;

/// A check is over.
pub(crate) fn checked(probe: &str, state: HealthState, checked: &Checked) {
    #[cfg(feature = "metrics")]
    {
        let up = if state == HealthState::Up { 1.0 } else { 0.0 };
        metrics::gauge!("health_probe_up", "probe" => probe.to_owned()).set(up);
        let result = checked.result.as_str();
        metrics::counter!("health_probe_checks_total", "probe" => probe.to_owned(), "result" => result).increment(1);
        metrics::histogram!("health_probe_duration_seconds", "probe" => probe.to_owned()).record(checked.latency);
    }
    #[cfg(feature = "tracing")]
    tracing::trace!(
        probe,
        state = state.as_str(),
        result = checked.result.as_str(),
        latency_ms = checked.latency.as_secs_f64() * 1e3,
        error = checked.error.as_deref(),
        "checked"
    );
}

/// The state has changed.
pub(crate) fn changed(probe: &str, from: HealthState, tally: Tally, checked: &Checked) {
    #[cfg(feature = "tracing")]
    {
        let (from, to) = (from.as_str(), tally.state.as_str());
        let error = checked.error.as_deref();
        let in_a_row = tally.successes.max(tally.failures);
        if tally.state == HealthState::Down {
            tracing::warn!(probe, from, to, in_a_row, error, "health changed");
        } else {
            tracing::info!(probe, from, to, in_a_row, "health changed");
        }
    }
}

/// The probe is no more.
pub(crate) fn ended(probe: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(probe, "probe ended");
}

/// A layer has refused a call.
pub(crate) fn refused(unhealthy: &Unhealthy) {
    #[cfg(feature = "metrics")]
    metrics::counter!("health_probe_refused_total", "probe" => unhealthy.probe().to_owned()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::trace!(
        probe = unhealthy.probe(),
        state = unhealthy.state().as_str(),
        "call refused"
    );
}

/// A server does not know the health protocol.
#[cfg(feature = "grpc")]
pub(crate) fn unimplemented(server: &str, service: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        server,
        service,
        "the server has no gRPC health service; it answers, and counts as up"
    );
}
