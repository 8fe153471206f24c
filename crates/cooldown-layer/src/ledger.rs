//! A book of anomalies: what came how often, what was tried, and whether it helped.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::deadline::within;
use crate::frequency::{Escalation, Frequency, Level, PermanentFix, RepairStats, SuccessRate};
use crate::id::DecisionId;
use crate::observe;
use crate::policy::{InvalidCooldown, check_name};
use crate::signature::AnomalyKey;
use crate::store::{Answer, Counts, Operation, Store, StoreError, StoreErrorKind, Track};
use crate::track::TrackRecord;
use crate::wall::moment;

/// Counts anomalies over sliding windows, and remembers what was tried against them.
///
/// A cheap clone of one shared state. Records expire after 35 days, the mark of a permanent fix after 90. When the
/// store gives no answer the counts are zero and say so: a repair is never held up by a ledger that is away.
///
/// ```
/// use cooldown_layer::{AnomalyLedger, Level, MemoryStore, Signature};
///
/// # tokio_test::block_on(async {
/// let ledger = AnomalyLedger::builder("anomalies").store(MemoryStore::new()).build()?;
/// let signature = Signature::new("HighErrorRate").service("api");
/// for _ in 0..3 {
///     ledger.record(&signature).await;
/// }
/// let seen = ledger.frequency(&signature).await;
/// assert_eq!((seen.last_1h, seen.level), (3, Level::Repeat));
///
/// ledger.repair_attempted(&signature, "restart", false).await;
/// ledger.repair_attempted(&signature, "restart", false).await;
/// assert!(ledger.should_skip(&signature, "restart").await);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct AnomalyLedger(Arc<Shared>);

struct Shared {
    name: Arc<str>,
    store: Arc<dyn Store>,
    escalation: Escalation,
    track: TrackRecord,
    timeout: Duration,
}

/// Sets up an [`AnomalyLedger`].
///
/// | setting | default | allowed |
/// |---|---|---|
/// | name | | 1 to 64 of `A-Z a-z 0-9 . _ -` |
/// | store | a [`MemoryStore`](crate::MemoryStore) of its own | any [`Store`] |
/// | escalation | 3, 5, 10 in 24 h | see [`Escalation`] |
/// | track record | under 20 % in at least 2 tries | see [`TrackRecord`]; exploration is left to a cooldown |
/// | store timeout | 250 ms | 1 ms to 1 min |
pub struct LedgerBuilder {
    name: String,
    store: Option<Arc<dyn Store>>,
    escalation: Escalation,
    track: TrackRecord,
    timeout: Duration,
}

impl LedgerBuilder {
    /// Where it is kept.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// From which counts on an anomaly escalates.
    #[must_use]
    pub const fn escalation(mut self, escalation: Escalation) -> Self {
        self.escalation = escalation;
        self
    }

    /// When [`AnomalyLedger::should_skip`] says so.
    #[must_use]
    pub const fn track_record(mut self, rule: TrackRecord) -> Self {
        self.track = rule;
        self
    }

    /// How long one call of the store may take.
    #[must_use]
    pub const fn store_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The ledger.
    ///
    /// # Errors
    /// When a setting is not allowed: which one, what it was, and what is.
    pub fn build(self) -> Result<AnomalyLedger, InvalidCooldown> {
        check_name("ledger name", &self.name)?;
        self.escalation.validate()?;
        self.track.validate()?;
        if self.timeout < Duration::from_millis(1) || self.timeout > Duration::from_secs(60) {
            return Err(InvalidCooldown::new(
                "store_timeout",
                format!("{:?}", self.timeout),
                "1 ms to 1 min",
            ));
        }
        Ok(AnomalyLedger(Arc::new(Shared {
            name: self.name.into(),
            store: self.store.unwrap_or_else(|| Arc::new(crate::MemoryStore::new())),
            escalation: self.escalation,
            track: self.track,
            timeout: self.timeout,
        })))
    }
}

impl fmt::Debug for LedgerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerBuilder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl AnomalyLedger {
    /// Begins to set one up. See [`AnomalyLedger`] for an example.
    #[must_use]
    pub fn builder(name: impl Into<String>) -> LedgerBuilder {
        LedgerBuilder {
            name: name.into(),
            store: None,
            escalation: Escalation::default(),
            track: TrackRecord::default(),
            timeout: Duration::from_millis(250),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// An anomaly came: writes it down, and tells how often it has come with this time.
    ///
    /// # Cancel safety
    /// When the future is dropped, the record may or may not be written.
    pub async fn record(&self, anomaly: impl Into<AnomalyKey>) -> Frequency {
        let key = anomaly.into();
        let ledger = self.0.name.clone();
        let frequency = self
            .counted(
                key,
                Operation::Record {
                    id: DecisionId::new(),
                    ledger,
                    key,
                },
            )
            .await;
        observe::anomaly(&self.0.name, &frequency);
        frequency
    }

    /// How often an anomaly has come.
    pub async fn frequency(&self, anomaly: impl Into<AnomalyKey>) -> Frequency {
        let key = anomaly.into();
        self.counted(
            key,
            Operation::Frequency {
                ledger: self.0.name.clone(),
                key,
            },
        )
        .await
    }

    /// Whether an anomaly has escalated to `level` or further. False when the store gives no answer.
    pub async fn needs(&self, anomaly: impl Into<AnomalyKey>, level: Level) -> bool {
        self.frequency(anomaly).await.needs(level)
    }

    /// A repair was tried, and this is how it went.
    ///
    /// A [`Cooldown`](crate::Cooldown) with this ledger does this for its leases.
    ///
    /// Answers what keeps the store from writing it down, if anything does.
    pub async fn repair_attempted(
        &self,
        anomaly: impl Into<AnomalyKey>,
        action: &str,
        succeeded: bool,
    ) -> Option<StoreError> {
        let track = Track::new(self.0.name.clone(), anomaly.into(), action);
        if let Some(fault) = action_fault(action) {
            return Some(fault);
        }
        self.ask(Operation::Repaired {
            id: DecisionId::new(),
            track,
            succeeded,
        })
        .await
        .err()
    }

    /// How often an action has helped against an anomaly.
    pub async fn success_rate(&self, anomaly: impl Into<AnomalyKey>, action: &str) -> SuccessRate {
        let stats = self.repair_stats(anomaly).await;
        let found = stats
            .actions
            .into_iter()
            .find(|(name, _)| name == action)
            .map(|(_, rate)| rate);
        SuccessRate {
            fault: stats.fault,
            ..found.unwrap_or_default()
        }
    }

    /// Everything that was tried against an anomaly.
    pub async fn repair_stats(&self, anomaly: impl Into<AnomalyKey>) -> RepairStats {
        match self
            .ask(Operation::Repairs {
                space: self.0.name.clone(),
                key: anomaly.into(),
            })
            .await
        {
            Ok(Answer::Repairs(actions)) => {
                let rate = |(name, succeeded, tried)| {
                    (
                        name,
                        SuccessRate {
                            succeeded,
                            tried,
                            fault: None,
                        },
                    )
                };
                RepairStats {
                    actions: actions.into_iter().map(rate).collect(),
                    fault: None,
                }
            }
            Ok(_) => RepairStats {
                actions: Vec::new(),
                fault: Some(something_else()),
            },
            Err(error) => RepairStats {
                actions: Vec::new(),
                fault: Some(error),
            },
        }
    }

    /// Somebody has fixed the cause. The mark is shown for 90 days.
    ///
    /// Answers what keeps the store from writing it down, if anything does.
    pub async fn mark_permanent_fix(
        &self,
        anomaly: impl Into<AnomalyKey>,
        description: impl Into<String>,
    ) -> Option<StoreError> {
        let (ledger, key, description) = (self.0.name.clone(), anomaly.into(), description.into());
        if description.len() > 4096 {
            let what = format!(
                "a description of {} bytes is not allowed; allowed: 4096",
                description.len()
            );
            return Some(StoreError::new(StoreErrorKind::Config, what));
        }
        self.ask(Operation::Fixed {
            ledger,
            key,
            description,
        })
        .await
        .err()
    }

    /// Whether an action has helped so seldom that it is not worth another try. False when the store gives no answer.
    pub async fn should_skip(&self, anomaly: impl Into<AnomalyKey>, action: &str) -> bool {
        let rate = self.success_rate(anomaly, action).await;
        self.0.track.is_futile(rate.succeeded, rate.tried)
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.0.name
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        self.0.store.clone()
    }

    pub(crate) fn escalation(&self) -> &Escalation {
        &self.0.escalation
    }

    async fn counted(&self, key: AnomalyKey, operation: Operation) -> Frequency {
        match self.ask(operation).await {
            Ok(Answer::Frequency(counts)) => self.frequency_of(key, counts),
            Ok(_) => Frequency::unknown(key, something_else()),
            Err(error) => Frequency::unknown(key, error),
        }
    }

    fn frequency_of(&self, key: AnomalyKey, counts: Counts) -> Frequency {
        let Counts {
            windows: [last_1h, last_24h, last_7d, last_30d],
            seen,
            fixed,
            at_least,
        } = counts;
        Frequency {
            key,
            last_1h,
            last_24h,
            last_7d,
            last_30d,
            first_seen: seen.map(|(first, _)| moment(first)),
            last_seen: seen.map(|(_, last)| moment(last)),
            level: self.0.escalation.level(last_24h),
            permanent_fix: fixed.map(|(at, description)| PermanentFix {
                at: moment(at),
                description,
            }),
            at_least,
            fault: None,
        }
    }

    async fn ask(&self, operation: Operation) -> Result<Answer, StoreError> {
        let Shared {
            name, store, timeout, ..
        } = &*self.0;
        let answer = within(*timeout, store.run(Arc::new(operation)))
            .await
            .unwrap_or_else(|| {
                let what = format!("no answer from the {} store in {timeout:?}", store.name());
                Err(StoreError::new(StoreErrorKind::TimedOut, what))
            });
        if let Err(error) = &answer {
            observe::store_error(name, store.name(), error);
        }
        answer
    }
}

impl fmt::Debug for AnomalyLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnomalyLedger")
            .field("name", &self.0.name)
            .field("store", &self.0.store.name())
            .finish_non_exhaustive()
    }
}

fn action_fault(action: &str) -> Option<StoreError> {
    let empty = action.is_empty().then(|| "is empty".to_owned());
    let fault = empty.or_else(|| crate::action::text_fault(action, 128))?;
    Some(StoreError::new(StoreErrorKind::Config, format!("action {fault}")))
}

fn something_else() -> StoreError {
    StoreError::new(StoreErrorKind::Other, "the store answered something else")
}
