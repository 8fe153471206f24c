//! The states of a circuit and the reasons for leaving one.

use core::fmt;

/// The state of a circuit.
///
/// ```
/// use state_core::{Circuit, State};
///
/// let circuit = Circuit::builder("doc").build()?;
/// assert_eq!(circuit.state(), State::Closed);
/// circuit.force_open();
/// assert_eq!(circuit.state(), State::ForcedOpen);
/// # Ok::<(), state_core::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum State {
    /// Calls are admitted, outcomes recorded.
    Closed,
    /// Calls are refused until the open time ends, a probe reports up, or an operator acts.
    Open,
    /// Some calls are admitted: trials, or a growing share of them (a ramp). Their outcomes decide.
    HalfOpen,
    /// Calls are refused until an operator releases the circuit. Never heals by itself.
    ForcedOpen,
    /// Calls are admitted, nothing is recorded.
    Disabled,
    /// Calls are admitted and recorded; a rule that would trip emits one [`Event::WouldTrip`](crate::Event::WouldTrip).
    MetricsOnly,
    /// The handle was given back by [`Circuit::retire`](crate::Circuit::retire): calls are admitted, nothing is recorded.
    Retired,
}

impl State {
    /// Every state, in the order of [`number`](Self::number).
    pub const ALL: [Self; 7] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::Disabled,
        Self::MetricsOnly,
        Self::Retired,
    ];

    /// The state as the number that is exported as a metric: `Closed` 0, `Open` 1, `HalfOpen` 2, `ForcedOpen` 3,
    /// `Disabled` 4, `MetricsOnly` 5, `Retired` 6.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
            Self::ForcedOpen => 3,
            Self::Disabled => 4,
            Self::MetricsOnly => 5,
            Self::Retired => 6,
        }
    }

    /// The state in `snake_case`, as logs, labels and JSON write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics_only",
            Self::Retired => "retired",
        }
    }

    pub(crate) const fn from_code(code: u64) -> Self {
        match code {
            0 => Self::Closed,
            1 => Self::Open,
            2 => Self::HalfOpen,
            3 => Self::ForcedOpen,
            4 => Self::Disabled,
            5 => Self::MetricsOnly,
            _ => Self::Retired,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics only",
            Self::Retired => "retired",
        })
    }
}

/// Why a circuit changed its state.
///
/// ```
/// use state_core::{Circuit, Reason};
///
/// let circuit = Circuit::builder("doc").consecutive_failures(1).build()?;
/// circuit.acquire()?.failure();
/// assert_eq!(circuit.snapshot().reason, Reason::ConsecutiveFailures);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Reason {
    /// The circuit was built.
    Built,
    /// The rule `consecutive_failures` tripped it.
    ConsecutiveFailures,
    /// The rule `failure_rate` tripped it.
    FailureRate,
    /// The rule `slow_call_rate` tripped it.
    SlowCallRate,
    /// The rule `ewma` tripped it.
    Ewma,
    /// The open time ended and a caller came.
    OpenTimeEnded,
    /// Enough trials succeeded.
    TrialsSucceeded,
    /// A trial failed.
    TrialFailed,
    /// A trial was slow, and a slow rule is set.
    TrialSlow,
    /// A batch of trials had too many failures or slow calls.
    BatchFailed,
    /// The ramp reached its end.
    RampEnded,
    /// The failure rate during the ramp was above its limit.
    RampFailed,
    /// Trials were out for the whole half-open time without a verdict.
    HalfOpenTimedOut,
    /// A health probe reported down.
    ProbeDown,
    /// A health probe reported up.
    ProbeUp,
    /// An operator called `reset`.
    Reset,
    /// An operator called `force_open`.
    ForcedOpen,
    /// An operator called `disable`.
    Disabled,
    /// An operator called `metrics_only`.
    MetricsOnly,
    /// An operator called `release`.
    Released,
    /// The handle was retired.
    Retired,
}

const REASONS: [(Reason, &str); 21] = [
    (Reason::Built, "built"),
    (Reason::ConsecutiveFailures, "consecutive_failures"),
    (Reason::FailureRate, "failure_rate"),
    (Reason::SlowCallRate, "slow_call_rate"),
    (Reason::Ewma, "ewma"),
    (Reason::OpenTimeEnded, "open_time_ended"),
    (Reason::TrialsSucceeded, "trials_succeeded"),
    (Reason::TrialFailed, "trial_failed"),
    (Reason::TrialSlow, "trial_slow"),
    (Reason::BatchFailed, "batch_failed"),
    (Reason::RampEnded, "ramp_ended"),
    (Reason::RampFailed, "ramp_failed"),
    (Reason::HalfOpenTimedOut, "half_open_timed_out"),
    (Reason::ProbeDown, "probe_down"),
    (Reason::ProbeUp, "probe_up"),
    (Reason::Reset, "reset"),
    (Reason::ForcedOpen, "forced_open"),
    (Reason::Disabled, "disabled"),
    (Reason::MetricsOnly, "metrics_only"),
    (Reason::Released, "released"),
    (Reason::Retired, "retired"),
];

impl Reason {
    /// The reason in `snake_case`, as logs, labels and JSON write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        REASONS[self as usize].1
    }

    /// Whether a circuit for which this was the reason refuses calls from then on.
    pub(crate) const fn opens(self) -> bool {
        use Reason as R;
        matches!(
            self,
            R::ConsecutiveFailures
                | R::FailureRate
                | R::SlowCallRate
                | R::Ewma
                | R::TrialFailed
                | R::TrialSlow
                | R::BatchFailed
                | R::RampFailed
                | R::HalfOpenTimedOut
                | R::ProbeDown
                | R::ForcedOpen
        )
    }

    pub(crate) const fn code(self) -> u64 {
        self as u64
    }

    pub(crate) fn from_code(code: u64) -> Self {
        usize::try_from(code)
            .ok()
            .and_then(|at| REASONS.get(at))
            .map_or(Self::Built, |pair| pair.0)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_go_there_and_back() {
        for state in State::ALL {
            assert_eq!(State::from_code(u64::from(state.number())), state);
        }
        for (at, (reason, name)) in REASONS.iter().enumerate() {
            assert_eq!(reason.code(), at as u64);
            assert_eq!(Reason::from_code(at as u64), *reason);
            assert_eq!(reason.as_str(), *name);
        }
    }
}
