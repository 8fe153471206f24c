//! Whether an action has helped before.

use crate::policy::InvalidCooldown;

/// How many outcomes of one anomaly and kind are remembered.
pub(crate) const REMEMBERED: usize = 100;

/// Refuses an action that has not helped: of the last 100 outcomes for the same anomaly and kind, too few were a success.
///
/// | setting | default | allowed |
/// |---|---|---|
/// | refuse under | 0.2 | over 0, up to 1 |
/// | after | 2 tries | 1 to 100 |
/// | explore | 0 | 0 to 1 |
///
/// ```
/// use cooldown_layer::TrackRecord;
///
/// // one try in twenty goes ahead all the same, to see whether the world has changed
/// let rule = TrackRecord::skip_under(0.2).after(2).explore(0.05);
/// assert_eq!(rule, TrackRecord::default().explore(0.05));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackRecord {
    pub(crate) under: f64,
    pub(crate) after: u32,
    pub(crate) explore: f64,
}

impl Default for TrackRecord {
    fn default() -> Self {
        Self {
            under: 0.2,
            after: 2,
            explore: 0.0,
        }
    }
}

impl TrackRecord {
    /// Refuses when the share of successes is under `rate`.
    #[must_use]
    pub fn skip_under(rate: f64) -> Self {
        Self {
            under: rate,
            ..Self::default()
        }
    }

    /// Only once there were this many tries.
    #[must_use]
    pub const fn after(mut self, tries: u32) -> Self {
        self.after = tries;
        self
    }

    /// The share of such actions that go ahead all the same. Budgets and freezes still hold.
    #[must_use]
    pub const fn explore(mut self, rate: f64) -> Self {
        self.explore = rate;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidCooldown> {
        // Written so that NaN is refused too.
        if !(self.under > 0.0 && self.under <= 1.0) {
            return Err(InvalidCooldown::new(
                "track_record.skip_under",
                self.under,
                "over 0 and up to 1, such as 0.2 for 20 %",
            ));
        }
        if !(1..=u32::try_from(REMEMBERED).unwrap_or(u32::MAX)).contains(&self.after) {
            return Err(InvalidCooldown::new(
                "track_record.after",
                self.after,
                format!("1 to {REMEMBERED}"),
            ));
        }
        if !(0.0..=1.0).contains(&self.explore) {
            return Err(InvalidCooldown::new("track_record.explore", self.explore, "0 to 1"));
        }
        Ok(())
    }

    /// Whether this record says that another try is of no use.
    pub(crate) fn is_futile(&self, succeeded: u32, tried: u32) -> bool {
        tried >= self.after && f64::from(succeeded) < self.under * f64::from(tried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_twenty_percent_success_in_at_least_two_tries_is_futile() {
        let rule = TrackRecord::default();
        assert!(!rule.is_futile(0, 0) && !rule.is_futile(0, 1));
        assert!(rule.is_futile(0, 2) && rule.is_futile(1, 6) && rule.is_futile(19, 100));
        assert!(!rule.is_futile(1, 5) && !rule.is_futile(20, 100));
    }

    #[test]
    fn a_rate_that_is_no_rate_is_an_error() {
        for rate in [f64::NAN, f64::INFINITY, -0.1, 0.0, 1.1] {
            assert!(TrackRecord::skip_under(rate).validate().is_err(), "{rate}");
        }
        for rate in [f64::NAN, -0.1, 1.1, f64::NEG_INFINITY] {
            assert!(TrackRecord::default().explore(rate).validate().is_err(), "{rate}");
        }
        assert!(TrackRecord::default().after(0).validate().is_err());
        assert!(TrackRecord::default().after(101).validate().is_err());
        assert!(TrackRecord::skip_under(1.0).after(100).explore(1.0).validate().is_ok());
    }
}
