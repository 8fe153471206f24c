//! Why an action was refused.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use state_core::Refusal;

use crate::action::{Action, Shown};
use crate::frequency::Level;
use crate::store::StoreError;
use crate::wall::{clock_face, moment, spoken};

/// A cooldown refused an action: nothing was done and no budget was touched.
///
/// It is found through any chain of errors with [`Refused::find`], and carries a [`Refusal`] as its source, by which
/// code that does not know this crate tells a refusal from a failure.
///
/// ```
/// use std::time::Duration;
/// use cooldown_layer::{Action, Budget, Cooldown, Reason, Refused};
///
/// # tokio_test::block_on(async {
/// let repairs = Cooldown::builder("repairs").protect(["postgres"]).build()?;
/// let refused = repairs.request(Action::new("restart", "statefulset/postgres-0")).await.unwrap_err();
/// assert_eq!(refused.to_string(), "action restart on statefulset/postgres-0 refused: protected by \"postgres\"");
///
/// let error: Box<dyn std::error::Error + Send + Sync> = refused.into();
/// let found = Refused::find(&*error).expect("it is one");
/// assert!(matches!(found.reason(), Reason::Protected { rule } if rule == "postgres"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Refused(Box<Inner>);

struct Inner {
    cooldown: String,
    action: String,
    reason: Reason,
    at_ms: u64,
    mark: Refusal,
}

/// The reason of a refusal, with its figures.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Reason {
    /// The target is covered by a rule.
    Protected {
        /// The rule as it was written.
        rule: String,
    },
    /// Somebody, or a spent budget, froze it.
    Frozen {
        /// Since when.
        since: SystemTime,
        /// Until when; `None` means until somebody thaws it.
        until: Option<SystemTime>,
        /// The reason that was given, or the budget that was spent.
        reason: String,
    },
    /// The action does not fit a budget now.
    OverBudget {
        /// The budget, as in `5 per 15 min`.
        budget: String,
        /// Units in the window.
        used: u64,
        /// Units that it gives.
        of: u32,
        /// When the same action fits again and no freeze holds it, if nothing else is given until then; `None` when
        /// only a thaw can tell.
        retry_after: Option<Duration>,
    },
    /// It has been tried for this anomaly, and it did not help.
    Futile {
        /// How often it helped.
        succeeded: u32,
        /// How often it was tried, of the last 100.
        tried: u32,
    },
    /// The action names no target.
    EmptyTarget,
    /// A part of the action is not allowed.
    Invalid {
        /// Which part.
        field: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The anomaly comes so often that a person should look at it.
    NeedsHuman {
        /// How far it has escalated.
        level: Level,
    },
    /// The store could not decide, and this cooldown refuses then.
    StoreUnavailable {
        /// What the store said.
        error: StoreError,
    },
}

impl Reason {
    /// A short fixed word for metrics: `protected`, `frozen`, `over_budget`, `futile`, `empty_target`, `invalid`,
    /// `needs_human`, `store_unavailable`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Protected { .. } => "protected",
            Self::Frozen { .. } => "frozen",
            Self::OverBudget { .. } => "over_budget",
            Self::Futile { .. } => "futile",
            Self::EmptyTarget => "empty_target",
            Self::Invalid { .. } => "invalid",
            Self::NeedsHuman { .. } => "needs_human",
            Self::StoreUnavailable { .. } => "store_unavailable",
        }
    }
}

impl Refused {
    pub(crate) fn new(cooldown: &str, action: &Action, reason: Reason, at_ms: u64) -> Self {
        let retry_after = match &reason {
            Reason::OverBudget { retry_after, .. } => *retry_after,
            Reason::Frozen { until: Some(until), .. } => until.duration_since(moment(at_ms)).ok(),
            _ => None,
        };
        Self(Box::new(Inner {
            cooldown: cooldown.to_owned(),
            action: action.to_string(),
            reason,
            at_ms,
            mark: Refusal::new(retry_after),
        }))
    }

    /// Looks for a refusal in `error` and in everything it names as its source.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next: Option<&'a (dyn Error + 'static)> = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            // An `io::Error` does not name what it wraps as its source, but skips to the source of that.
            let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = wrapped.map(|wrapped| wrapped as _).or_else(|| error.source());
        }
        None
    }

    /// The name of the cooldown that refused.
    #[must_use]
    pub fn cooldown(&self) -> &str {
        &self.0.cooldown
    }

    /// The action, as in `restart on deployment/api`.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.0.action
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }

    /// When the same action may be asked for again; `None` when time alone does not help or nobody can tell.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.mark.retry_after()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            action, reason, at_ms, ..
        } = &*self.0;
        write!(f, "action {action} refused: ")?;
        let until = |f: &mut fmt::Formatter<'_>, wait: Duration| {
            let end = at_ms.saturating_add(crate::wall::millis(wait));
            write!(f, "frozen until {} (in {})", clock_face(end, *at_ms), spoken(wait))
        };
        match reason {
            Reason::Protected { rule } => write!(f, "protected by \"{}\"", Shown(rule)),
            Reason::Frozen {
                until: None, reason, ..
            } => write!(f, "frozen until it is thawed: {}", Shown(reason)),
            Reason::Frozen { reason, .. } => {
                until(f, self.retry_after().unwrap_or_default())?;
                write!(f, ": {}", Shown(reason))
            }
            Reason::OverBudget {
                budget,
                used,
                of,
                retry_after,
            } => {
                if used < &u64::from(*of) {
                    write!(
                        f,
                        "budget {budget} has {} of {of} left, too few; ",
                        u64::from(*of) - used
                    )?;
                } else {
                    write!(f, "budget {budget} is spent; ")?;
                }
                match retry_after {
                    Some(wait) => until(f, *wait),
                    None => f.write_str("frozen until it is thawed"),
                }
            }
            Reason::Futile { succeeded, tried } => write!(f, "it helped {succeeded} of {tried} times before"),
            Reason::EmptyTarget => f.write_str("it names no target"),
            Reason::Invalid { field, what } => write!(f, "{field} {what}"),
            Reason::NeedsHuman { level } => write!(f, "the anomaly is at level {level} and needs a person"),
            Reason::StoreUnavailable { error } => write!(f, "no decision from the store: {error}"),
        }
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("cooldown", &self.0.cooldown)
            .field("action", &self.0.action)
            .field("reason", &self.0.reason)
            .finish_non_exhaustive()
    }
}

impl Error for Refused {
    /// The [`Refusal`] mark.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(reason: Reason) -> String {
        Refused::new(
            "repairs",
            &Action::new("restart", "deployment/api"),
            reason,
            1_700_000_000_000,
        )
        .to_string()
    }

    #[test]
    fn a_refusal_says_which_thing_what_it_was_and_what_to_do() {
        let budget = |used, wait| Reason::OverBudget {
            budget: "5 per 15 min".into(),
            used,
            of: 5,
            retry_after: Some(Duration::from_secs(wait)),
        };
        let head = "action restart on deployment/api refused: ";
        let cases = [
            (
                budget(5, 364),
                "budget 5 per 15 min is spent; frozen until 22:19:24 UTC (in 6 min 4 s)",
            ),
            (
                budget(4, 60),
                "budget 5 per 15 min has 1 of 5 left, too few; frozen until 22:14:20 UTC (in 1 min)",
            ),
            (
                Reason::Frozen {
                    since: moment(0),
                    until: None,
                    reason: "release\nnight".into(),
                },
                "frozen until it is thawed: release\\u{a}night",
            ),
            (
                Reason::Frozen {
                    since: moment(0),
                    until: Some(moment(1_700_000_060_000)),
                    reason: "x".into(),
                },
                "frozen until 22:14:20 UTC (in 1 min): x",
            ),
            (
                Reason::Futile { succeeded: 0, tried: 2 },
                "it helped 0 of 2 times before",
            ),
            (
                Reason::NeedsHuman {
                    level: Level::PermanentFix,
                },
                "the anomaly is at level permanent_fix and needs a person",
            ),
        ];
        for (reason, text) in cases {
            assert_eq!(said(reason), format!("{head}{text}"));
        }
    }

    #[test]
    fn a_refusal_carries_the_mark_of_the_house() {
        let reason = Reason::OverBudget {
            budget: String::new(),
            used: 1,
            of: 1,
            retry_after: Some(Duration::from_secs(3)),
        };
        let refused = Refused::new("repairs", &Action::new("a", "b"), reason, 0);
        assert_eq!(
            Refusal::find(&refused).expect("marked").retry_after(),
            Some(Duration::from_secs(3))
        );
        let outer = std::io::Error::other(refused);
        assert_eq!(
            Refused::find(&outer).expect("found through a chain").cooldown(),
            "repairs"
        );
        assert!(Refused::find(&std::io::Error::other("reset")).is_none());
    }
}
