//! How often an anomaly comes, and how far that has gone.

use std::fmt;
use std::time::SystemTime;

use crate::policy::InvalidCooldown;
use crate::signature::AnomalyKey;
use crate::store::StoreError;

/// How far an anomaly has escalated, by its count over 24 hours.
///
/// ```
/// use cooldown_layer::{Escalation, Level};
///
/// let escalation = Escalation::default();
/// assert_eq!([2, 3, 5, 10].map(|count| escalation.level(count)),
///     [Level::Single, Level::Repeat, Level::Escalate, Level::PermanentFix]);
/// assert!(Level::Escalate > Level::Repeat);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Level {
    /// Seldom enough to be repaired without a word.
    #[default]
    Single,
    /// It comes back.
    Repeat,
    /// Somebody should know.
    Escalate,
    /// Repairs do not help any more: the cause needs a fix, and automatic actions a person.
    PermanentFix,
}

impl Level {
    /// `single`, `repeat`, `escalate`, `permanent_fix`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Repeat => "repeat",
            Self::Escalate => "escalate",
            Self::PermanentFix => "permanent_fix",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// From which count over 24 hours on an anomaly is at a [`Level`]: 3, 5 and 10 by default. See there for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escalation {
    pub(crate) repeat: u64,
    pub(crate) escalate: u64,
    pub(crate) permanent_fix: u64,
}

impl Default for Escalation {
    fn default() -> Self {
        Self {
            repeat: 3,
            escalate: 5,
            permanent_fix: 10,
        }
    }
}

impl Escalation {
    /// Thresholds of your own; each at least 1, none under the one before, none over 10,000.
    #[must_use]
    pub const fn at(repeat: u64, escalate: u64, permanent_fix: u64) -> Self {
        Self {
            repeat,
            escalate,
            permanent_fix,
        }
    }

    /// The level of an anomaly that came this often in 24 hours.
    #[must_use]
    pub const fn level(&self, count_24h: u64) -> Level {
        match count_24h {
            n if n >= self.permanent_fix => Level::PermanentFix,
            n if n >= self.escalate => Level::Escalate,
            n if n >= self.repeat => Level::Repeat,
            _ => Level::Single,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidCooldown> {
        let Self {
            repeat,
            escalate,
            permanent_fix,
        } = *self;
        let rising = 1 <= repeat && repeat <= escalate && escalate <= permanent_fix && permanent_fix <= 10_000;
        rising.then_some(()).ok_or_else(|| {
            let found = format!("{repeat}, {escalate}, {permanent_fix}");
            InvalidCooldown::new("escalation", found, "1 <= repeat <= escalate <= permanent fix <= 10000")
        })
    }
}

/// How often an anomaly has come: what [`AnomalyLedger::record`](crate::AnomalyLedger::record) answers.
///
/// A store that fails answers zero counts, and [`fault`](Self::fault) says so.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Frequency {
    /// The anomaly.
    pub key: AnomalyKey,
    /// Records in the last hour.
    pub last_1h: u64,
    /// Records in the last 24 hours.
    pub last_24h: u64,
    /// Records in the last 7 days.
    pub last_7d: u64,
    /// Records in the last 30 days.
    pub last_30d: u64,
    /// When it came first, as far as its records have not all expired in between.
    pub first_seen: Option<SystemTime>,
    /// When it came last.
    pub last_seen: Option<SystemTime>,
    /// How far it has escalated.
    pub level: Level,
    /// The fix that was said to be permanent, for 90 days.
    pub permanent_fix: Option<PermanentFix>,
    /// True where the store keeps no more records for one anomaly, so that counts are at least these.
    pub at_least: bool,
    /// Why the counts are zero although the anomaly may have come, if the store failed.
    pub fault: Option<StoreError>,
}

impl Frequency {
    pub(crate) fn unknown(key: AnomalyKey, error: StoreError) -> Self {
        Self {
            key,
            last_1h: 0,
            last_24h: 0,
            last_7d: 0,
            last_30d: 0,
            first_seen: None,
            last_seen: None,
            level: Level::Single,
            permanent_fix: None,
            at_least: false,
            fault: Some(error),
        }
    }

    /// Whether it has escalated to `level` or further.
    #[must_use]
    pub fn needs(&self, level: Level) -> bool {
        self.level >= level
    }
}

/// A fix that was said to be permanent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PermanentFix {
    /// When it was said.
    pub at: SystemTime,
    /// What was done.
    pub description: String,
}

/// How often an action has helped, of the last 100 times.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SuccessRate {
    /// How often it helped.
    pub succeeded: u32,
    /// How often it was tried.
    pub tried: u32,
    /// Why the figures are zero although it may have been tried, if the store failed.
    pub fault: Option<StoreError>,
}

impl SuccessRate {
    /// The share of successes; `None` before the first try.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        (self.tried > 0).then(|| f64::from(self.succeeded) / f64::from(self.tried))
    }
}

/// What has been tried against an anomaly: each action with its figures, by name.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RepairStats {
    /// Each action that was tried.
    pub actions: Vec<(String, SuccessRate)>,
    /// Why there are none although something may have been tried, if the store failed.
    pub fault: Option<StoreError>,
}

impl RepairStats {
    /// All actions together.
    #[must_use]
    pub fn total(&self) -> SuccessRate {
        self.actions
            .iter()
            .fold(SuccessRate::default(), |sum, (_, action)| SuccessRate {
                succeeded: sum.succeeded + action.succeeded,
                tried: sum.tried + action.tried,
                fault: None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_that_do_not_rise_are_an_error() {
        assert!(Escalation::at(1, 1, 1).validate().is_ok());
        for bad in [
            Escalation::at(0, 5, 10),
            Escalation::at(5, 3, 10),
            Escalation::at(3, 5, 4),
            Escalation::at(1, 2, 10_001),
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }
}
