//! A store in Redis or Valkey, shared by every instance.
//!
//! A decision is one script, and a script is one round trip: nothing comes between reading the logs and writing to
//! them, from whatever machine. The server's clock counts, so instances need not agree about the time. All keys have
//! one hash tag, hence one slot, so that a script may touch them all on a cluster.

mod connect;
mod reply;
mod script;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::connect::Link;
use self::reply::{Reply, answer};
use self::script::{Call, Scripts};
use crate::deadline::within;
use crate::policy::InvalidCooldown;
use crate::store::{Answer, Operation, Store, StoreError, StoreErrorKind, StoreFuture};
use crate::wall::{SystemWall, WallClock};

/// Keeps everything in Redis (6 or later) or Valkey, so that all instances share one budget.
///
/// | setting | default | allowed |
/// |---|---|---|
/// | prefix of every key, and their hash tag | `fusebox` | 1 to 64 of `A-Z a-z 0-9 . _ -` |
/// | deadline of a call, all tries and reconnects together | 250 ms | 1 ms to 1 min |
///
/// Of the connection: 200 ms for an answer and for connecting, one retry after 10 to 200 ms, `TCP_USER_TIMEOUT` of 1 s.
/// A connection that broke comes back by itself, and so do scripts that the server has lost.
///
/// A call that got no answer may have been done. Every decision carries an id that the script knows again, so it can be
/// sent twice, and a unit of unknown fate counts as spent.
///
/// Give the server an eviction policy that leaves these keys alone (`noeviction`), and append-only persistence if a
/// restart of the server must not forget. An instance remembers the leases that it has taken itself: even a server that
/// comes back empty gives no instance more than the budget.
///
/// ```no_run
/// use cooldown_layer::{Budget, Cooldown, RedisStore};
///
/// let store = RedisStore::open("redis://:secret@10.0.0.7:6379/0")?;
/// let repairs = Cooldown::builder("repairs").budget(Budget::of(5)).store(store).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RedisStore(Arc<Shared>);

struct Shared {
    link: Link,
    scripts: Scripts,
    prefix: String,
    deadline: Duration,
    /// Set by tests only; the server's clock counts otherwise.
    clock: Option<Arc<dyn WallClock>>,
}

/// Sets up a [`RedisStore`].
pub struct RedisStoreBuilder {
    url: String,
    prefix: String,
    deadline: Duration,
    clock: Option<Arc<dyn WallClock>>,
}

impl RedisStoreBuilder {
    /// What every key begins with, in braces. Stores of different prefixes know nothing of each other.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long one call may take, all tries and reconnects together.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Goes by this clock and not by the server's. For tests: instances whose clocks differ would not share a window.
    #[must_use]
    pub fn clock(mut self, clock: impl WallClock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The store. It connects with its first call.
    ///
    /// # Errors
    /// When a setting is not allowed or the URL names no server.
    pub fn build(self) -> Result<RedisStore, StoreError> {
        let invalid = |error: InvalidCooldown| StoreError::new(StoreErrorKind::Config, error.to_string());
        crate::policy::check_name("prefix", &self.prefix).map_err(invalid)?;
        if self.deadline < Duration::from_millis(1) || self.deadline > Duration::from_secs(60) {
            return Err(invalid(InvalidCooldown::new(
                "deadline",
                format!("{:?}", self.deadline),
                "1 ms to 1 min",
            )));
        }
        Ok(RedisStore(Arc::new(Shared {
            link: Link::to(&self.url)?,
            scripts: Scripts::new(),
            prefix: format!("{{{}}}", self.prefix),
            deadline: self.deadline,
            clock: self.clock,
        })))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it may hold a password.
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl RedisStore {
    /// A store on this server, with the defaults. It connects with its first call.
    ///
    /// # Errors
    /// When the URL names no server.
    pub fn open(url: impl Into<String>) -> Result<Self, StoreError> {
        Self::builder(url).build()
    }

    /// Begins to set one up.
    #[must_use]
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        let prefix = "fusebox".to_owned();
        RedisStoreBuilder {
            url: url.into(),
            prefix,
            deadline: Duration::from_millis(250),
            clock: None,
        }
    }

    /// Asks the server whether it is there and lets us in; for a start that should fail early.
    ///
    /// # Errors
    /// What keeps it.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.limited(self.0.link.ping()).await
    }

    async fn limited<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        // Waits for a reconnect stand outside the client's own timeouts, so there is one round everything.
        within(self.0.deadline, call).await.unwrap_or_else(|| {
            let what = format!(
                "no answer from the server in {:?}; the operation may have been done",
                self.0.deadline
            );
            Err(StoreError::new(StoreErrorKind::TimedOut, what))
        })
    }

    async fn call(&self, call: &Call<'_>) -> Result<Reply, StoreError> {
        self.0.link.call(call).await
    }

    async fn operate(&self, operation: &Operation) -> Result<Answer, StoreError> {
        let now = self.0.clock.as_ref().map(WallClock::now_ms);
        if let Operation::Repay(owed) = operation {
            // One after the other: this happens once after an outage, for as many units as a budget gives.
            for owed in owed {
                if let Operation::Decide(ask) = &*owed.ask {
                    self.call(&self.0.scripts.give(&self.0.prefix, ask, now, owed.age_ms))
                        .await?;
                }
            }
            return Ok(Answer::Done);
        }
        let call = self.0.scripts.call(&self.0.prefix, operation, now);
        answer(&self.call(&call).await?)
    }
}

impl Store for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn run(&self, operation: Arc<Operation>) -> StoreFuture<'_> {
        Box::pin(async move { self.limited(self.operate(&operation)).await })
    }

    fn clock(&self) -> Arc<dyn WallClock> {
        self.0.clock.clone().unwrap_or_else(|| Arc::new(SystemWall))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}
