//! What a store is asked, and what it answers.
//!
//! Every store has to promise four things, and nothing else makes a budget safe:
//! 1. one [`Operation`] is atomic against every other, from whatever task, process or machine it comes;
//! 2. [`Answer::Granted`] is not said before the unit is kept as safely as the store keeps anything;
//! 3. an operation that comes twice with the same [`DecisionId`](crate::DecisionId) counts once;
//! 4. time never runs backwards: a clock that reads older than the newest stamp of a log is not believed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use crate::operation::{
    Answer, Ask, Because, BudgetAsk, Counts, FIX_MS, Frost, KEEP_MS, LogAsk, MOST_RECORDS, Operation, Outcome, Owed,
    Settlement, Track, View, WINDOWS_MS,
};
pub use crate::store_error::{StoreError, StoreErrorKind};
pub use crate::url::from_url;
use crate::wall::{SystemWall, WallClock};

/// What a store returns: boxed, because the store is chosen by configuration and not by type.
pub type StoreFuture<'a> = Pin<Box<dyn Future<Output = Result<Answer, StoreError>> + Send + 'a>>;

/// Where leases, outcomes and anomalies are kept.
///
/// The crate has three: [`MemoryStore`](crate::MemoryStore), `FileStore` (feature `file`) and `RedisStore` (feature
/// `redis`). Another one has to keep the promises of the [module](crate::store).
///
/// ```
/// use std::sync::Arc;
/// use cooldown_layer::store::{Operation, Store, StoreError, StoreErrorKind, StoreFuture};
///
/// /// Never there: what a cooldown does without its store can be tried with this.
/// struct Nowhere;
///
/// impl Store for Nowhere {
///     fn name(&self) -> &'static str {
///         "nowhere"
///     }
///
///     fn run(&self, _: Arc<Operation>) -> StoreFuture<'_> {
///         Box::pin(async { Err(StoreError::new(StoreErrorKind::Unreachable, "there is none")) })
///     }
/// }
///
/// # tokio_test::block_on(async {
/// use cooldown_layer::{Action, Budget, Cooldown};
/// let repairs = Cooldown::builder("repairs").budget(Budget::of(1)).store(Nowhere).build()?;
/// // the local budget takes over
/// repairs.request(Action::new("restart", "api")).await?.succeeded().await;
/// assert!(repairs.request(Action::new("restart", "api")).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub trait Store: Send + Sync + 'static {
    /// A short fixed word for logs: `memory`, `file`, `redis`.
    fn name(&self) -> &'static str;

    /// Does one operation, atomically.
    ///
    /// # Errors
    /// Whatever keeps it from an answer. An operation that failed may have been done all the same.
    ///
    /// # Cancel safety
    /// When the future is dropped the operation may or may not be done; it is never half done.
    fn run(&self, operation: Arc<Operation>) -> StoreFuture<'_>;

    /// True where the store cannot be away, so that nobody needs to keep a second account for that case.
    fn is_always_there(&self) -> bool {
        false
    }

    /// The clock by which a cooldown keeps its own account while the store is away.
    fn clock(&self) -> Arc<dyn WallClock> {
        Arc::new(SystemWall)
    }
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn run(&self, operation: Arc<Operation>) -> StoreFuture<'_> {
        (**self).run(operation)
    }

    fn is_always_there(&self) -> bool {
        (**self).is_always_there()
    }

    fn clock(&self) -> Arc<dyn WallClock> {
        (**self).clock()
    }
}
