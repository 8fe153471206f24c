//! The words between a cooldown and its store.

use std::sync::Arc;

use crate::id::DecisionId;
use crate::signature::AnomalyKey;

/// One thing a store is asked to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Operation {
    /// May this action be taken? A grant writes to all logs, a refusal to none.
    Decide(Ask),
    /// These leases are over.
    Settle(Vec<Settlement>),
    /// These units were given while the store was away: they count from the time when they were given.
    Repay(Vec<Owed>),
    /// Refuse everything of this cooldown.
    Freeze {
        /// Which cooldown.
        cooldown: Arc<str>,
        /// Why.
        reason: String,
    },
    /// End every freeze of this cooldown. Windows still count.
    Thaw {
        /// Which cooldown.
        cooldown: Arc<str>,
    },
    /// What stands in the logs that this would be decided by? Writes nothing.
    Look(Ask),
    /// An anomaly came.
    Record {
        /// Makes two records at one instant two, and one that is sent twice one.
        id: DecisionId,
        /// Which ledger.
        ledger: Arc<str>,
        /// Which anomaly.
        key: AnomalyKey,
    },
    /// How often did it come?
    Frequency {
        /// Which ledger.
        ledger: Arc<str>,
        /// Which anomaly.
        key: AnomalyKey,
    },
    /// A repair was tried outside of any lease.
    Repaired {
        /// Makes one that is sent twice one.
        id: DecisionId,
        /// What was tried against which anomaly.
        track: Track,
        /// Whether it helped.
        succeeded: bool,
    },
    /// What was tried, and did it help?
    Repairs {
        /// Which ledger or cooldown.
        space: Arc<str>,
        /// Which anomaly.
        key: AnomalyKey,
    },
    /// Somebody says that the cause is fixed.
    Fixed {
        /// Which ledger.
        ledger: Arc<str>,
        /// Which anomaly.
        key: AnomalyKey,
        /// What was done.
        description: String,
    },
}

/// Everything a store needs to decide about one action.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ask {
    /// The name of this decision.
    pub id: DecisionId,
    /// The cooldown that asks.
    pub cooldown: Arc<str>,
    /// Units the action takes from every budget.
    pub cost: u32,
    /// Milliseconds after which the lease counts as failed.
    pub lease_ms: u64,
    /// The logs in which the action counts, each once.
    pub logs: Vec<LogAsk>,
    /// The budgets that must agree.
    pub budgets: Vec<BudgetAsk>,
    /// The record that outcomes go to, if the action answers an anomaly.
    pub track: Option<Track>,
    /// The rule for that record, unless this action may try all the same.
    pub futile: Option<crate::TrackRecord>,
    /// The ledger to consult, and from which count over 24 hours on a person is needed.
    pub person: Option<(Arc<str>, u64)>,
}

/// A log of grants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogAsk {
    /// Which one, unlike for every scope of every cooldown: `repairs:all`, `repairs:target=deployment/api`.
    pub key: String,
    /// Milliseconds for which entries are of use.
    pub keep_ms: u64,
}

/// A budget as a store sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetAsk {
    /// Its log, as an index into [`Ask::logs`].
    pub log: usize,
    /// Units.
    pub of: u32,
    /// Window in milliseconds.
    pub per_ms: u64,
    /// What happens when the last unit is given.
    pub freeze: crate::Freeze,
}

/// Names one track record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Track {
    /// The ledger, or the cooldown where there is none.
    pub space: Arc<str>,
    /// The anomaly.
    pub key: AnomalyKey,
    /// The kind of action.
    pub kind: String,
}

impl Track {
    /// The record of one kind of action against one anomaly.
    #[must_use]
    pub fn new(space: impl Into<Arc<str>>, key: AnomalyKey, kind: impl Into<String>) -> Self {
        Self {
            space: space.into(),
            key,
            kind: kind.into(),
        }
    }
}

/// The end of a lease.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settlement {
    /// The decision that gave it.
    pub id: DecisionId,
    /// The cooldown.
    pub cooldown: Arc<str>,
    /// The record that its outcome goes to.
    pub track: Option<Track>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The action helped.
    Succeeded,
    /// It did not.
    Failed,
    /// Nobody said; no record counts it. The unit stays spent.
    Abandoned,
}

impl Outcome {
    /// `succeeded`, `failed`, `abandoned`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A unit that was given while the store was away.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Owed {
    /// What was asked.
    pub ask: Arc<Operation>,
    /// Milliseconds since it was given: an age, because the store may have another clock.
    pub age_ms: u64,
}

/// What a store answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Answer {
    /// Done, and nothing to tell.
    Done,
    /// The action may be taken: its units are spent, its lease is open.
    Granted {
        /// The store's time, in milliseconds since the epoch.
        at_ms: u64,
        /// Units in the window of each budget, these included.
        used: Vec<u64>,
    },
    /// It may not; nothing was written.
    Refused {
        /// The store's time, in milliseconds since the epoch.
        at_ms: u64,
        /// Why.
        because: Because,
    },
    /// To [`Operation::Look`].
    Seen(View),
    /// To [`Operation::Record`] and [`Operation::Frequency`].
    Frequency(Counts),
    /// To [`Operation::Repairs`]: each kind with successes and tries.
    Repairs(Vec<(String, u32, u32)>),
}

/// Why a store refused, in its own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because {
    /// Somebody froze the cooldown.
    Frozen(Frost),
    /// A budget froze when it was spent.
    BudgetFrozen {
        /// Index into [`Ask::budgets`].
        budget: usize,
        /// Since when, until when.
        frost: Frost,
    },
    /// A budget has no room.
    OverBudget {
        /// Index into [`Ask::budgets`].
        budget: usize,
        /// Units in its window.
        used: u64,
        /// Milliseconds until there is room and no freeze; `None` when only a thaw can tell.
        wait_ms: Option<u64>,
    },
    /// The track record is bad.
    Futile {
        /// Successes.
        succeeded: u32,
        /// Tries.
        tried: u32,
    },
    /// The anomaly came too often.
    Person {
        /// Its count over 24 hours.
        last_24h: u64,
    },
}

/// A freeze, in milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Frost {
    /// Since when.
    pub since_ms: u64,
    /// Until when; `None` means until thawed.
    pub until_ms: Option<u64>,
    /// Why; empty where a budget did it.
    pub reason: String,
}

impl Frost {
    /// A freeze with these bounds.
    #[must_use]
    pub fn new(since_ms: u64, until_ms: Option<u64>, reason: impl Into<String>) -> Self {
        Self {
            since_ms,
            until_ms,
            reason: reason.into(),
        }
    }
}

/// What stands in the logs.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct View {
    /// The store's time, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The freeze of the cooldown.
    pub frozen: Option<Frost>,
    /// For each budget: units in its window, milliseconds until one more fits, its freeze.
    pub budgets: Vec<(u64, u64, Option<Frost>)>,
    /// Leases that are not over.
    pub open_leases: u64,
}

/// How often an anomaly came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Records in 1 h, 24 h, 7 d and 30 d.
    pub windows: [u64; 4],
    /// The first and the last record, in milliseconds since the epoch.
    pub seen: Option<(u64, u64)>,
    /// The permanent fix: when, and what.
    pub fixed: Option<(u64, String)>,
    /// True where older records were dropped for want of room.
    pub at_least: bool,
}

/// The lengths of the windows of [`Counts`], in milliseconds.
pub const WINDOWS_MS: [u64; 4] = [3_600_000, 86_400_000, 7 * 86_400_000, 30 * 86_400_000];
/// Records, outcomes and logs are kept for 35 days at most.
pub const KEEP_MS: u64 = 35 * 86_400_000;
/// A permanent-fix mark is kept for 90 days.
pub const FIX_MS: u64 = 90 * 86_400_000;
/// More records of one anomaly than this are not kept.
pub const MOST_RECORDS: usize = 10_000;
