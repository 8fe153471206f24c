//! Metrics and events: the only file that names them.
//!
//! Nothing here runs for a call that the service itself answers. The handles are looked up each time, so a recorder
//! that is installed late is found.

use crate::{BoxError, Degraded};

/// Why a step that was reached did not answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Passed {
    /// Its predicate says that the failure is none of its business.
    NotWanted,
    /// All of its places are taken.
    Full,
    /// It has no answer.
    NoAnswer,
    /// It failed.
    Failed,
    /// It took longer than it may.
    TookTooLong,
}

impl Passed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NotWanted => "not_wanted",
            Self::Full => "full",
            Self::NoAnswer => "no_answer",
            Self::Failed => "failed",
            Self::TookTooLong => "timeout",
        }
    }
}

#[cold]
pub(crate) fn answered(degraded: Degraded) {
    let (step, cause) = (degraded.step, degraded.cause.as_str());
    #[cfg(feature = "metrics")]
    metrics::counter!("fallback_answers_total", "step" => step, "cause" => cause).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(step, cause, "degraded answer");
    let _ = (step, cause);
}

#[cold]
pub(crate) fn passed(step: &'static str, passed: Passed, error: Option<&BoxError>) {
    let reason = passed.as_str();
    #[cfg(feature = "metrics")]
    metrics::counter!("fallback_passed_total", "step" => step, "reason" => reason).increment(1);
    #[cfg(feature = "tracing")]
    tracing::trace!(
        step,
        reason,
        error = error.map(tracing::field::display),
        "fallback step passed on"
    );
    let _ = (step, reason, error);
}

#[cold]
pub(crate) fn exhausted(cause: crate::CauseKind) {
    let cause = cause.as_str();
    #[cfg(feature = "metrics")]
    metrics::counter!("fallback_exhausted_total", "cause" => cause).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(cause, "no fallback answered");
    let _ = cause;
}
