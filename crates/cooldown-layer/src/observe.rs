//! Metrics and events: the only file that names one.

#![cfg_attr(
    not(all(feature = "metrics", feature = "tracing")),
    allow(unused_variables, unused_imports)
)]

use std::fmt::Display;
use std::sync::Arc;

use crate::audit::Decision;
#[cfg(feature = "tracing")]
use crate::error::Refused;
use crate::frequency::Frequency;
use crate::store::StoreError;

pub(crate) fn decided(decision: &Decision<'_>) {
    #[cfg(feature = "metrics")]
    metrics::counter!(
        "cooldown_decisions_total",
        "cooldown" => decision.cooldown.to_owned(),
        "decision" => decision.as_str()
    )
    .increment(1);
    #[cfg(feature = "tracing")]
    event(decision);
}

/// One event a decision, with all its figures: what is refused is worth a warning, what is allowed a note.
#[cfg(feature = "tracing")]
fn event(decision: &Decision<'_>) {
    let Decision {
        cooldown,
        id,
        action,
        by,
        ..
    } = decision;
    let retry_after_ms = decision.refused.and_then(Refused::retry_after).map(crate::wall::millis);
    // The budget that is nearest to its end stands for all; the line has every one.
    let tightest = decision
        .budgets
        .iter()
        .min_by_key(|(_, used, of)| u64::from(*of).saturating_sub(*used));
    let (budget, used, of) = match (tightest, decision.refused.map(Refused::reason)) {
        (_, Some(crate::Reason::OverBudget { budget, used, of, .. })) => (Some(&**budget), Some(*used), Some(*of)),
        (Some((budget, used, of)), None) => (Some(*budget), Some(*used), Some(*of)),
        _ => (None, None, None),
    };
    let (succeeded, tried) = match decision.refused.map(Refused::reason) {
        Some(crate::Reason::Futile { succeeded, tried }) => (Some(*succeeded), Some(*tried)),
        _ => (None, None),
    };
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(
                target: "cooldown",
                cooldown,
                decision = decision.as_str(),
                %id,
                kind = %crate::action::Shown(action.kind()),
                target = %crate::action::Shown(action.target()),
                cost = action.units(),
                anomaly = action.anomaly().map(tracing::field::display),
                by = by.as_str(),
                at_ms = decision.at_ms,
                budget,
                used,
                of,
                succeeded,
                tried,
                retry_after_ms,
                dry_run = decision.dry_run,
                "{decision}"
            )
        };
    }
    if decision.refused.is_some() {
        tell!(warn);
    } else {
        tell!(info);
    }
}

/// 1 while frozen or spent, as far as the last decision of this instance showed.
pub(crate) fn gauge(cooldown: &Arc<str>, frozen: bool) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("cooldown_frozen", "cooldown" => cooldown.clone()).set(if frozen { 1.0 } else { 0.0 });
}

/// Somebody froze or thawed it.
pub(crate) fn frozen(cooldown: &str, reason: Option<&dyn Display>) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("cooldown_frozen", "cooldown" => cooldown.to_owned()).set(if reason.is_some() { 1.0 } else { 0.0 });
    #[cfg(feature = "tracing")]
    if let Some(reason) = reason {
        tracing::warn!(target: "cooldown", cooldown, %reason, "frozen");
    } else {
        tracing::info!(target: "cooldown", cooldown, "thawed");
    }
}

pub(crate) fn store_error(cooldown: &str, store: &'static str, error: &StoreError) {
    #[cfg(feature = "metrics")]
    metrics::counter!(
        "cooldown_store_errors_total",
        "cooldown" => cooldown.to_owned(),
        "store" => store,
        "kind" => error.kind().as_str()
    )
    .increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "cooldown", cooldown, store, kind = error.kind().as_str(), %error, "no answer from the store");
}

pub(crate) fn anomaly(ledger: &str, frequency: &Frequency) {
    #[cfg(feature = "metrics")]
    {
        let level = if frequency.fault.is_some() {
            "unknown"
        } else {
            frequency.level.as_str()
        };
        metrics::counter!("anomaly_records_total", "level" => level).increment(1);
    }
    #[cfg(feature = "tracing")]
    if frequency.needs(crate::Level::Repeat) {
        tracing::warn!(target: "cooldown", ledger, key = %frequency.key, level = frequency.level.as_str(),
            last_24h = frequency.last_24h, "an anomaly comes back");
    } else {
        tracing::trace!(target: "cooldown", ledger, key = %frequency.key, last_24h = frequency.last_24h, "anomaly");
    }
}
