//! The last good answers, by key, bounded.

use core::fmt;
use core::hash::Hash;
use core::time::Duration;
use std::sync::Arc;

use moka::sync::Cache;
use tokio::time::Instant;

use crate::ConfigError;

const STEP: &str = "cached";
/// How many answers are kept where nothing else is said.
const ENTRIES: u64 = 1_000;

/// The last good answer for each key: a handle, every clone of which sees the same answers.
///
/// A [`cached`](crate::FallbackLayer::cached) step makes one of its own. Make it yourself, and hand it to
/// [`cached_in`](crate::FallbackLayer::cached_in), to share it between layers or to forget answers by hand.
///
/// It holds at most [`max_entries`](LastGoodBuilder::max_entries) answers (1,000 by default), and those that are asked
/// for often stay: a flood of keys that come once does not drive out the answers of the keys that come again and
/// again. (It is a [moka](https://docs.rs/moka) cache with its `TinyLFU` policy. New entries are admitted in batches, so
/// that for a moment it may hold a few hundred more.)
///
/// Age is told by tokio's clock, which a test can pause.
///
/// ```
/// use std::time::Duration;
///
/// use fallback_layer::{FallbackLayer, LastGood};
///
/// let prices = LastGood::builder().max_age(Duration::from_secs(60)).max_entries(10_000).build()?;
/// let layer = FallbackLayer::new().cached_in(&prices, |article: &u64| Some(*article));
/// # let _: FallbackLayer<u64, f64, _> = layer;
/// prices.forget(&17);
/// # Ok::<(), fallback_layer::ConfigError>(())
/// ```
pub struct LastGood<Key, Value> {
    answers: Cache<Key, Arc<Entry<Value>>>,
    settings: LastGoodBuilder<Key, Value>,
}

struct Entry<Value> {
    value: Value,
    weight: u32,
    since: Instant,
}

impl<Key, Value> LastGood<Key, Value>
where
    Key: Hash + Eq + Send + Sync + 'static,
    Value: Send + Sync + 'static,
{
    /// Starts one, with room for 1,000 answers that never get too old.
    #[must_use]
    pub fn builder() -> LastGoodBuilder<Key, Value> {
        LastGoodBuilder {
            max_age: None,
            refresh_after: None,
            bound: Bound::Entries(ENTRIES),
        }
    }

    pub(crate) fn with(settings: LastGoodBuilder<Key, Value>) -> Self {
        let answers = Cache::builder();
        let answers = match &settings.bound {
            Bound::Entries(entries) => answers.max_capacity(*entries),
            Bound::Weight(total, _) => answers
                .max_capacity(*total)
                .weigher(|_, entry: &Arc<Entry<Value>>| entry.weight),
        };
        Self {
            answers: answers.build(),
            settings,
        }
    }

    pub(crate) fn settings(&self) -> LastGoodBuilder<Key, Value> {
        self.settings.clone()
    }

    /// Whether the answer to `key` is due to be stored anew.
    ///
    /// To be called before [`store`](Self::store): moka admits a key into a full cache by how often it was looked up,
    /// so a store that never looked would be refused for ever once the cache is full.
    pub(crate) fn wants(&self, key: &Key) -> bool {
        let Some(entry) = self.answers.get(key) else {
            return true;
        };
        self.settings
            .refresh_after
            .is_none_or(|after| entry.since.elapsed() >= after)
    }

    pub(crate) fn store(&self, key: Key, value: Value) {
        // Weighed here and not by moka, so that a weigher that panics does so before anything is touched.
        let weight = match &self.settings.bound {
            Bound::Entries(_) => 1,
            Bound::Weight(_, weigh) => weigh(&key, &value).max(1),
        };
        self.answers.insert(
            key,
            Arc::new(Entry {
                value,
                weight,
                since: Instant::now(),
            }),
        );
    }

    /// Applies `read` to the answer for `key` and its age, unless there is none or it is too old.
    pub(crate) fn read<T>(&self, key: &Key, read: impl FnOnce(&Value, Duration) -> T) -> Option<T> {
        let entry = self.answers.get(key)?;
        let age = entry.since.elapsed();
        if self.settings.max_age.is_some_and(|max| age > max) {
            return None;
        }
        Some(read(&entry.value, age))
    }

    /// Forgets the answer for `key`.
    pub fn forget(&self, key: &Key) {
        self.answers.invalidate(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.answers.invalidate_all();
    }

    /// How many answers there are, those that are too old included. Does the bookkeeping that is due first.
    ///
    /// ```
    /// let answers = fallback_layer::LastGood::<u64, String>::builder().build()?;
    /// assert_eq!(answers.entries(), 0);
    /// # Ok::<(), fallback_layer::ConfigError>(())
    /// ```
    pub fn entries(&self) -> u64 {
        self.answers.run_pending_tasks();
        self.answers.entry_count()
    }
}

impl<Key, Value> Clone for LastGood<Key, Value> {
    fn clone(&self) -> Self {
        Self {
            answers: self.answers.clone(),
            settings: self.settings.clone(),
        }
    }
}

impl<Key, Value> fmt::Debug for LastGood<Key, Value> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastGood")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// How a [`LastGood`] is set up.
pub struct LastGoodBuilder<Key, Value> {
    max_age: Option<Duration>,
    refresh_after: Option<Duration>,
    bound: Bound<Key, Value>,
}

type Weigh<Key, Value> = Arc<dyn Fn(&Key, &Value) -> u32 + Send + Sync>;

enum Bound<Key, Value> {
    Entries(u64),
    Weight(u64, Weigh<Key, Value>),
}

impl<Key, Value> LastGoodBuilder<Key, Value>
where
    Key: Hash + Eq + Send + Sync + 'static,
    Value: Send + Sync + 'static,
{
    /// An answer older than this is not given. Default: no answer gets too old. More than zero.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// An answer younger than this is not stored anew, which spares busy keys the copy. Default: each good answer is
    /// stored. More than zero, and not more than [`max_age`](Self::max_age).
    #[must_use]
    pub fn refresh_after(mut self, age: Duration) -> Self {
        self.refresh_after = Some(age);
        self
    }

    /// Room for so many answers. At least 1; 1,000 by default.
    #[must_use]
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.bound = Bound::Entries(entries);
        self
    }

    /// Room for answers of so much weight in all, in place of a number of answers. `weigh` tells the weight of one;
    /// what weighs nothing counts as 1. An answer that weighs more than `total` is not kept.
    ///
    /// # Panics
    ///
    /// A `weigh` that panics does so in the call whose answer it weighs, and nothing is stored.
    #[must_use]
    pub fn max_weight(mut self, total: u64, weigh: impl Fn(&Key, &Value) -> u32 + Send + Sync + 'static) -> Self {
        self.bound = Bound::Weight(total, Arc::new(weigh));
        self
    }

    pub(crate) fn problem(&self) -> Option<ConfigError> {
        let problem = |field, value: &dyn fmt::Debug, allowed| Some(ConfigError::new(STEP, field, value, allowed));
        match (self.max_age, self.refresh_after, &self.bound) {
            (Some(Duration::ZERO), ..) => problem("max_age", &Duration::ZERO, "more than zero"),
            (_, Some(Duration::ZERO), _) => problem("refresh_after", &Duration::ZERO, "more than zero"),
            (Some(max), Some(after), _) if after > max => problem(
                "refresh_after",
                &after,
                "at most max_age, or answers get too old while good ones pass by",
            ),
            (.., Bound::Entries(0)) => problem("max_entries", &0, "at least 1"),
            (.., Bound::Weight(0, _)) => problem("max_weight", &0, "at least 1"),
            _ => None,
        }
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] names the first value that cannot work.
    pub fn build(self) -> Result<LastGood<Key, Value>, ConfigError> {
        match self.problem() {
            Some(problem) => Err(problem),
            None => Ok(LastGood::with(self)),
        }
    }
}

impl<Key, Value> Clone for LastGoodBuilder<Key, Value> {
    fn clone(&self) -> Self {
        let bound = match &self.bound {
            Bound::Entries(entries) => Bound::Entries(*entries),
            Bound::Weight(total, weigh) => Bound::Weight(*total, Arc::clone(weigh)),
        };
        Self {
            max_age: self.max_age,
            refresh_after: self.refresh_after,
            bound,
        }
    }
}

impl<Key, Value> fmt::Debug for LastGoodBuilder<Key, Value> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = match &self.bound {
            Bound::Entries(entries) => ("max_entries", entries),
            Bound::Weight(total, _) => ("max_weight", total),
        };
        f.debug_struct("LastGoodBuilder")
            .field("max_age", &self.max_age)
            .field("refresh_after", &self.refresh_after)
            .field(bound.0, bound.1)
            .finish()
    }
}
