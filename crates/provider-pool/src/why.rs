//! Why a provider is not asked.

use std::fmt;
use std::time::Duration;

use health_probe::CheckResult;

use crate::member::Member;

/// In short, as a pick needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Out {
    DoesNotServe,
    Draining,
    ForcedOpen,
    Open,
    TrialsBusy,
    Ramp,
    Down,
    Full,
    NotReady,
    Refused,
    Failed,
}

/// Why a provider was not asked, as [`NoProvider`](crate::NoProvider) and [`Snapshot`](crate::Snapshot) say it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It does not serve what is wanted.
    DoesNotServe,
    /// [`drain`](crate::ProviderPool::drain) was called for it.
    Draining,
    /// Its circuit is forced open by an operator.
    ForcedOpen,
    /// Its circuit is open.
    Open {
        /// When a try makes sense; `None` when only a health probe or an operator can end it.
        next_try: Option<Duration>,
    },
    /// Its circuit is half-open, and all trials are taken.
    TrialsBusy,
    /// Its circuit is half-open and lets only a part of the calls through.
    Ramp,
    /// Its health probe says down.
    Down {
        /// What the probe met, for example `probe timed out 3 times`.
        cause: String,
    },
    /// As many calls are in flight as its limit allows.
    Full {
        /// The limit.
        limit: u32,
    },
    /// Its service was not ready in time.
    NotReady,
    /// Its own layers refused the call.
    Refused,
    /// It was asked for this very call, and failed.
    Failed,
}

impl Why {
    /// The reason in `snake_case`, as logs, labels and JSON write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::DoesNotServe => "does_not_serve",
            Self::Draining => "draining",
            Self::ForcedOpen => "forced_open",
            Self::Open { .. } => "open",
            Self::TrialsBusy => "trials_busy",
            Self::Ramp => "ramp",
            Self::Down { .. } => "down",
            Self::Full { .. } => "full",
            Self::NotReady => "not_ready",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// When it may be over, where that is known.
    pub(crate) const fn over_in(&self) -> Option<Duration> {
        match self {
            Self::Open { next_try } => *next_try,
            _ => None,
        }
    }
}

impl fmt::Display for Why {
    /// What follows the provider's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoesNotServe => f.write_str("does not serve it"),
            Self::Draining => f.write_str("is draining"),
            Self::ForcedOpen => f.write_str("is forced open"),
            Self::Open { next_try: Some(wait) } => write!(f, "is open (next try in {})", Spoken(*wait)),
            Self::Open { next_try: None } => f.write_str("is held open"),
            Self::TrialsBusy => f.write_str("is half-open (all trials are taken)"),
            Self::Ramp => f.write_str("is half-open (lets only a part through)"),
            Self::Down { cause } => write!(f, "is down ({cause})"),
            Self::Full { limit } => write!(f, "is full ({limit} in flight)"),
            Self::NotReady => f.write_str("is not ready"),
            Self::Refused => f.write_str("refused"),
            Self::Failed => f.write_str("failed"),
        }
    }
}

impl Out {
    /// With the details, as they are now.
    pub(crate) fn of(self, member: &Member) -> Why {
        match self {
            Self::DoesNotServe => Why::DoesNotServe,
            Self::Draining => Why::Draining,
            Self::ForcedOpen => Why::ForcedOpen,
            Self::Open => Why::Open {
                next_try: member.circuit.and_then(|circuit| circuit.snapshot().next_try),
            },
            Self::TrialsBusy => Why::TrialsBusy,
            Self::Ramp => Why::Ramp,
            Self::Down => Why::Down { cause: cause(member) },
            Self::Full => Why::Full { limit: member.limit },
            Self::NotReady => Why::NotReady,
            Self::Refused => Why::Refused,
            Self::Failed => Why::Failed,
        }
    }
}

fn cause(member: &Member) -> String {
    let Some(health) = &member.health else {
        return String::from("no probe");
    };
    let seen = health.snapshot();
    let times = match seen.failures_in_a_row {
        1 => String::from("once"),
        n => format!("{n} times"),
    };
    match (seen.last_result, seen.last_error) {
        (Some(CheckResult::TimedOut), _) => format!("probe timed out {times}"),
        (Some(CheckResult::Panicked), _) => format!("probe panicked {times}"),
        (_, Some(error)) => format!("probe failed {times}: {error}"),
        _ => format!("probe failed {times}"),
    }
}

/// Seconds rounded up, as a person waits.
pub(crate) struct Spoken(pub(crate) Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_nanos().div_ceil(1_000_000);
        let seconds = self.0.as_nanos().div_ceil(1_000_000_000);
        match seconds {
            _ if millis < 1_000 => write!(f, "{millis} ms"),
            ..60 => write!(f, "{seconds} s"),
            60..3_600 if seconds.is_multiple_of(60) => write!(f, "{} min", seconds / 60),
            60..3_600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            _ if seconds % 3_600 < 60 => write!(f, "{} h", seconds / 3_600),
            _ => write!(f, "{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        }
    }
}
