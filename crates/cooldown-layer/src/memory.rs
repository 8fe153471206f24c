//! A store in this process.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{Bounds, Change, Engine};
use crate::policy::InvalidCooldown;
use crate::store::{Operation, Store, StoreFuture};
use crate::wall::{SystemWall, WallClock};

/// Keeps everything in memory: fast, and forgotten when the process ends.
///
/// A program that crashes in a loop spends its budget anew in each round; use a `FileStore` against that. Clones share
/// what is kept, so that several cooldowns and a ledger can use one.
///
/// | bound | default | allowed |
/// |---|---|---|
/// | keys: logs, freezes, open leases, records, anomalies | 100,000 | 1 to 100,000,000 |
/// | entries of all of them | 1,000,000 | 1 to 1,000,000,000 |
///
/// What has expired is removed. When the bounds are reached all the same, what would need a new place is refused with
/// [`StoreErrorKind::Full`](crate::store::StoreErrorKind::Full): nothing that still counts is thrown away.
///
/// ```
/// use cooldown_layer::{Budget, Cooldown, MemoryStore};
///
/// let store = MemoryStore::new();
/// let repairs = Cooldown::builder("repairs").budget(Budget::of(5)).store(store.clone()).build()?;
/// let purges = Cooldown::builder("purges").budget(Budget::of(1)).store(store).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    desk: Arc<Mutex<Desk>>,
    clock: Arc<dyn WallClock>,
}

#[derive(Default)]
struct Desk {
    engine: Engine,
    /// Kept between operations, so that its room is.
    changes: Vec<Change>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemWall)
    }

    /// An empty store on a clock of your own.
    #[must_use]
    pub fn with_clock(clock: impl WallClock) -> Self {
        Self::with(Bounds::default(), Arc::new(clock))
    }

    /// An empty store with bounds of your own.
    ///
    /// # Errors
    /// When a bound is zero or over what the table allows.
    pub fn bounded(keys: usize, entries: usize, clock: impl WallClock) -> Result<Self, InvalidCooldown> {
        if !(1..=100_000_000).contains(&keys) {
            return Err(InvalidCooldown::new("store keys", keys, "1 to 100000000"));
        }
        if !(1..=1_000_000_000).contains(&entries) {
            return Err(InvalidCooldown::new("store entries", entries, "1 to 1000000000"));
        }
        Ok(Self::with(Bounds { keys, entries }, Arc::new(clock)))
    }

    fn with(bounds: Bounds, clock: Arc<dyn WallClock>) -> Self {
        let desk = Desk {
            engine: Engine::new(bounds),
            changes: Vec::new(),
        };
        Self {
            desk: Arc::new(Mutex::new(desk)),
            clock,
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn run(&self, operation: Arc<Operation>) -> StoreFuture<'_> {
        Box::pin(async move {
            let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
            let Desk { engine, changes } = &mut *desk;
            // Read under the lock, so that stamps are in the order of the decisions.
            let now = self.clock.now_ms();
            engine.tidy(now, changes);
            changes.drain(..).for_each(|change| engine.apply(change));
            let answer = engine.run(&operation, now, changes);
            changes.drain(..).for_each(|change| engine.apply(change));
            answer
        })
    }

    fn is_always_there(&self) -> bool {
        true
    }

    fn clock(&self) -> Arc<dyn WallClock> {
        self.clock.clone()
    }
}
