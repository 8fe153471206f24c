//! How a cooldown is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::action::{Quoted, Shown};
use crate::audit::{Auditor, Decision};
use crate::budget::Budget;
use crate::cooldown::Cooldown;
use crate::ledger::AnomalyLedger;
use crate::memory::MemoryStore;
use crate::protect::{Protect, Protected};
use crate::store::Store;
use crate::track::TrackRecord;

const MOST_BUDGETS: usize = 16;

/// What a cooldown does when its store gives no answer.
///
/// | | given at most, in any window, while the store is away |
/// |---|---|
/// | `Local` | the budget by each instance: with n of them, n times the budget |
/// | `Refuse` | nothing |
/// | `Allow` | no limit |
///
/// The local budget starts with the leases that this instance has taken itself, whoever gave them, so one instance
/// never takes more than the budget. An instance that is started anew knows of none: where a crash loop and an absent
/// store may come together, use `Refuse`. See [`Cooldown::builder`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StoreFailure {
    /// A budget of this instance's own takes over.
    #[default]
    Local,
    /// Every action is refused.
    Refuse,
    /// Every action is allowed that is not protected, unless this instance has heard of a freeze.
    Allow,
}

/// Sets up a [`Cooldown`].
///
/// | setting | default | allowed |
/// |---|---|---|
/// | name | | 1 to 64 of `A-Z a-z 0-9 . _ -` |
/// | budgets | 5 per 15 min over everything | up to 16 |
/// | protected | none | names, prefixes, globs |
/// | track record | under 20 % in at least 2 tries | see [`TrackRecord`], or none |
/// | lease time | 10 min | 1 ms to 7 days |
/// | store | a [`MemoryStore`] of its own | any [`Store`] |
/// | store timeout | 250 ms | 1 ms to 1 min |
/// | store failure | local budget | [`StoreFailure`] |
/// | ledger | none | an [`AnomalyLedger`] on the same store |
/// | dry run | off | |
pub struct CooldownBuilder {
    name: String,
    budgets: Vec<Budget>,
    protect: Vec<Protect>,
    store: Option<Arc<dyn Store>>,
    store_url: Option<String>,
    ledger: Option<AnomalyLedger>,
    auditor: Option<Auditor>,
    rules: Rules,
}

/// The plain settings.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) track: Option<TrackRecord>,
    pub(crate) lease: Duration,
    pub(crate) store_timeout: Duration,
    pub(crate) store_failure: StoreFailure,
    pub(crate) dry_run: bool,
    pub(crate) past_permanent_fix: bool,
}

/// Everything a cooldown goes by, checked.
pub(crate) struct Policy {
    pub(crate) name: Arc<str>,
    pub(crate) budgets: Vec<Budget>,
    /// The budgets in words, made once.
    pub(crate) budget_texts: Vec<String>,
    pub(crate) protected: Protected,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Option<AnomalyLedger>,
    pub(crate) auditor: Option<Auditor>,
    pub(crate) rules: Rules,
}

impl CooldownBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            budgets: Vec::new(),
            protect: Vec::new(),
            store: None,
            store_url: None,
            ledger: None,
            auditor: None,
            rules: Rules {
                track: Some(TrackRecord::default()),
                lease: Duration::from_secs(600),
                store_timeout: Duration::from_millis(250),
                store_failure: StoreFailure::default(),
                dry_run: false,
                past_permanent_fix: false,
            },
        }
    }

    /// One more budget; all of them must agree.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budgets.push(budget);
        self
    }

    /// More rules for targets that are always refused.
    #[must_use]
    pub fn protect<P: Into<Protect>>(mut self, rules: impl IntoIterator<Item = P>) -> Self {
        self.protect.extend(rules.into_iter().map(Into::into));
        self
    }

    /// When an action that has not helped is refused.
    #[must_use]
    pub fn track_record(mut self, rule: TrackRecord) -> Self {
        self.rules.track = Some(rule);
        self
    }

    /// Outcomes are recorded, but no action is refused for them.
    #[must_use]
    pub fn no_track_record(mut self) -> Self {
        self.rules.track = None;
        self
    }

    /// After this long a lease that nobody settled counts as failed.
    #[must_use]
    pub fn lease_time(mut self, time: Duration) -> Self {
        self.rules.lease = time;
        self
    }

    /// Where leases are kept.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Where leases are kept, by its URL: see [`store::from_url`](crate::store::from_url). It is opened by
    /// [`build`](Self::build).
    #[must_use]
    pub fn store_url(mut self, url: impl Into<String>) -> Self {
        self.store_url = Some(url.into());
        self
    }

    /// How long one call of the store may take.
    #[must_use]
    pub fn store_timeout(mut self, limit: Duration) -> Self {
        self.rules.store_timeout = limit;
        self
    }

    /// What to do when the store gives no answer.
    #[must_use]
    pub fn on_store_failure(mut self, failure: StoreFailure) -> Self {
        self.rules.store_failure = failure;
        self
    }

    /// Consults a ledger: at [`Level::PermanentFix`](crate::Level::PermanentFix) an action that answers an anomaly
    /// needs a person, and outcomes go to the ledger's records.
    ///
    /// The cooldown keeps its leases in the ledger's store, and both are asked in one decision. To name another
    /// [`store`](Self::store) as well is an error.
    #[must_use]
    pub fn ledger(mut self, ledger: &AnomalyLedger) -> Self {
        self.ledger = Some(ledger.clone());
        self
    }

    /// Lets actions through whose anomaly is at [`Level::PermanentFix`](crate::Level::PermanentFix).
    #[must_use]
    pub fn allow_at_permanent_fix(mut self) -> Self {
        self.rules.past_permanent_fix = true;
        self
    }

    /// Decides and reports, and refuses nothing.
    ///
    /// Actions that would be allowed take their units, so that the reports are what would have been.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.rules.dry_run = true;
        self
    }

    /// Hears of every decision. A panic in it is caught and harms nobody.
    #[must_use]
    pub fn on_decision(mut self, auditor: impl Fn(&Decision<'_>) + Send + Sync + 'static) -> Self {
        self.auditor = Some(Auditor::new(auditor));
        self
    }

    /// The cooldown.
    ///
    /// # Errors
    /// When a setting is not allowed: which one, what it was, and what is.
    pub fn build(self) -> Result<Cooldown, InvalidCooldown> {
        let name = self.name.clone();
        self.checked().map(Cooldown::open).map_err(|error| error.of(&name))
    }

    fn checked(self) -> Result<Policy, InvalidCooldown> {
        check_name("name", &self.name)?;
        let budgets = if self.budgets.is_empty() {
            vec![Budget::default()]
        } else {
            self.budgets
        };
        if budgets.len() > MOST_BUDGETS {
            return Err(InvalidCooldown::new(
                "budgets",
                budgets.len(),
                format!("at most {MOST_BUDGETS}"),
            ));
        }
        budgets.iter().try_for_each(Budget::validate)?;
        self.rules.track.as_ref().map_or(Ok(()), TrackRecord::validate)?;
        let times = [
            (
                "lease_time",
                self.rules.lease,
                Duration::from_secs(7 * 86_400),
                "1 ms to 7 days",
            ),
            (
                "store_timeout",
                self.rules.store_timeout,
                Duration::from_secs(60),
                "1 ms to 1 min",
            ),
        ];
        for (field, time, most, allowed) in times {
            if time < Duration::from_millis(1) || time > most {
                return Err(InvalidCooldown::new(field, format!("{time:?}"), allowed));
            }
        }
        let named = self.store_url.as_deref().map(crate::store::from_url).transpose();
        let named = named.map_err(|error| {
            let allowed = "memory:, file:PATH, redis://.., rediss://..";
            InvalidCooldown::new("store", Shown(&error.to_string()), allowed)
        })?;
        let store = match (self.store.or(named), &self.ledger) {
            (Some(_), Some(_)) => {
                let allowed = "one of the two: a cooldown with a ledger uses the ledger's store";
                return Err(InvalidCooldown::new("store", "set beside a ledger", allowed));
            }
            (Some(store), None) => store,
            (None, Some(ledger)) => ledger.store(),
            (None, None) => Arc::new(MemoryStore::new()),
        };
        Ok(Policy {
            name: self.name.into(),
            budget_texts: budgets.iter().map(ToString::to_string).collect(),
            budgets,
            protected: Protected::compile(self.protect)?,
            store,
            ledger: self.ledger,
            auditor: self.auditor,
            rules: self.rules,
        })
    }
}

impl fmt::Debug for CooldownBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CooldownBuilder")
            .field("name", &self.name)
            .field("budgets", &self.budgets)
            .field("protect", &self.protect)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), InvalidCooldown> {
    let fits = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    fits.then_some(())
        .ok_or_else(|| InvalidCooldown::new(field, Quoted(name), "1 to 64 of A-Z a-z 0-9 . _ -"))
}

/// A setting is not allowed: of which cooldown, which, what it was, and what is.
///
/// ```
/// use cooldown_layer::{Budget, Cooldown};
///
/// let error = Cooldown::builder("repairs").budget(Budget::of(0)).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "cooldown \"repairs\": budget.of = 0 is not allowed; allowed: 1 to 100000"
/// );
/// assert_eq!(error.field(), "budget.of");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidCooldown {
    cooldown: Option<String>,
    field: &'static str,
    found: String,
    allowed: String,
}

impl InvalidCooldown {
    pub(crate) fn new(field: &'static str, found: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Self {
            cooldown: None,
            field,
            found: found.to_string(),
            allowed: allowed.into(),
        }
    }

    fn of(self, cooldown: &str) -> Self {
        Self {
            cooldown: Some(cooldown.to_owned()),
            ..self
        }
    }

    /// Which setting: the name of the builder's function, after a dot for a part of a budget or a track record.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for InvalidCooldown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.cooldown {
            write!(f, "cooldown {}: ", Quoted(name))?;
        }
        let Self {
            field, found, allowed, ..
        } = self;
        write!(f, "{field} = {found} is not allowed; allowed: {allowed}")
    }
}

impl std::error::Error for InvalidCooldown {}
