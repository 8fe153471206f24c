//! How often a risky action may be taken: budgets for restarts, repairs, failovers and purges, and a ledger of anomalies.
//!
//! An action that helps once harms when it is repeated without end: a pod that is restarted every minute, a failover
//! that swings back and forth, a cache that is purged until the database falls over. A [`Cooldown`] stands before such
//! actions. It refuses what is protected, what is over its budget, what has not helped before and what somebody froze,
//! and says why with figures. What it allows is a [`Lease`], and how the lease ended is remembered.
//!
//! It is safe first: never more than the budget, whatever crashes, races or disconnects. When in doubt it refuses.
//!
//! ```
//! use std::time::Duration;
//! use cooldown_layer::{Action, Budget, Cooldown};
//!
//! # async fn restart() -> Result<(), std::io::Error> { Ok(()) }
//! # tokio_test::block_on(async {
//! let repairs = Cooldown::builder("repairs")
//!     .budget(Budget::of(5).per(Duration::from_secs(15 * 60)))
//!     .protect(["postgres", "redis", "clickhouse"])
//!     // .store(FileStore::open("repairs.redb")?), with the feature `file`: a crash loop cannot spend the budget twice
//!     .build()?;
//!
//! let lease = repairs.request(Action::new("restart", "deployment/api")).await?;
//! match restart().await {
//!     Ok(_) => lease.succeeded().await,
//!     Err(_) => lease.failed().await,
//! }
//!
//! let refused = repairs.request(Action::new("restart", "statefulset/postgres-0")).await.unwrap_err();
//! assert_eq!(refused.to_string(), "action restart on statefulset/postgres-0 refused: protected by \"postgres\"");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Which one
//!
//! | you want | write |
//! |---|---|
//! | at most 5 in any 15 min | `.budget(Budget::of(5).per(..))`, also the default |
//! | 2 an hour for each target as well | `.budget(Budget::of(2).per(..).each_target())`: all must agree |
//! | by kind, or by a label | [`Budget::each_kind`], [`Budget::kind`], [`Budget::each_label`], [`Budget::label`] |
//! | a pause once it is spent, or until somebody looks | [`Budget::when_spent`] with a [`Freeze`] |
//! | some targets never | `.protect(["postgres", "kube-system/**"])`, see [`Protect`] |
//! | what has not helped is not tried again | [`TrackRecord`], on by default for actions [`because_of`](Action::because_of) an anomaly |
//! | to know how often something happens | [`AnomalyLedger`] |
//! | a person at the tenth time in a day | [`CooldownBuilder::ledger`] |
//! | to stop everything now | [`Cooldown::freeze`], [`Cooldown::thaw`] |
//! | to look before you leap | [`CooldownBuilder::dry_run`] |
//! | a Tower service | [`CooldownLayer`] |
//! | figures | [`Cooldown::status`], [`CooldownBuilder::on_decision`] |
//!
//! # Where it is kept
//!
//! | store | shared by | survives | a decision |
//! |---|---|---|---|
//! | [`MemoryStore`] | one process | nothing | about a microsecond |
//! | `FileStore` (feature `file`) | one process at a time | crash, kill, restart | one sync of a file; a refusal none |
//! | `RedisStore` (feature `redis`) | every instance | as much as the server is told to keep | one round trip |
//!
//! A store of your own implements [`Store`]. A configuration names one by its URL: [`store::from_url`].
//!
//! # When the store is away
//!
//! Each instance keeps an account of the leases that it has taken itself, and asks it before every decision. While the
//! store gives no answer the account alone decides, unless [`StoreFailure`] says otherwise, and what it gave is told to
//! the store afterwards. So one instance never takes more than the budget in any window, in whatever mixture of outages;
//! **n instances together take at most n times the budget, and only while the store is away** (or when it came back with
//! its memory lost). An instance that is started anew has an empty account: against a crash loop during an outage use
//! [`StoreFailure::Refuse`] or a `FileStore`. A call that got no answer may have been done: its unit counts as spent.
//!
//! # Time
//!
//! Budgets outlive processes, so they go by wall time: that of the machine, or that of the Redis server. A clock that
//! jumps back is not believed: the newest stamp in the store counts, and nothing is free before the clock has passed it.
//! A clock that jumps forward makes windows end early by that much; nothing can tell that from time passing. Windows are
//! exact to the millisecond.
//!
//! # Metrics and events
//!
//! With the feature `metrics`:
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `cooldown_decisions_total` | counter | `cooldown`, `decision`: `granted` or the word of the [`Reason`] |
//! | `cooldown_frozen` | gauge | `cooldown`: 1 while frozen or a budget over everything is spent, by the last decision here |
//! | `cooldown_store_errors_total` | counter | `cooldown`, `store`, `kind` of the [`StoreError`](store::StoreError) |
//! | `anomaly_records_total` | counter | `level`, `unknown` where the store failed |
//!
//! Targets are no labels: there may be any number of them. With the feature `tracing` each decision is one event of the
//! target `cooldown` with all its figures, `INFO` when granted and `WARN` when refused.
//! [`on_decision`](CooldownBuilder::on_decision) hears the same without either.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `file` | `FileStore`, and `file:PATH` as the URL of a store |
//! | `redis` | `RedisStore`, and `redis://HOST:PORT/DB` |
//! | `redis-tls` | `redis`, and `rediss://` |
//! | `serde` | [`CooldownBuilder`] from configuration, [`Status`] to JSON |
//! | `metrics` | the metrics above |
//! | `tracing` | the events above |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod account;
mod action;
mod audit;
mod budget;
#[cfg(feature = "serde")]
mod config_file;
mod cooldown;
mod deadline;
mod engine;
mod error;
#[cfg(feature = "file")]
mod file;
mod frequency;
mod future;
mod id;
mod judge;
mod layer;
mod lease;
mod ledger;
mod memory;
mod observe;
mod operation;
mod policy;
mod protect;
#[cfg(feature = "redis")]
mod redis;
mod service;
mod signature;
mod status;
pub mod store;
mod store_error;
mod track;
mod url;
mod wall;

#[cfg(feature = "redis")]
pub use self::redis::{RedisStore, RedisStoreBuilder};
pub use action::Action;
pub use audit::{By, Decision};
pub use budget::{Budget, Freeze, Scope};
pub use cooldown::Cooldown;
pub use error::{Reason, Refused};
#[cfg(feature = "file")]
pub use file::FileStore;
pub use frequency::{Escalation, Frequency, Level, PermanentFix, RepairStats, SuccessRate};
pub use future::ResponseFuture;
pub use id::DecisionId;
pub use layer::{Answers, BoxError, ByResult, ByRule, CooldownLayer, Judges, Refuse, Respond};
pub use lease::Lease;
pub use ledger::{AnomalyLedger, LedgerBuilder};
pub use memory::MemoryStore;
pub use policy::{CooldownBuilder, InvalidCooldown, StoreFailure};
pub use protect::Protect;
pub use service::CooldownService;
pub use signature::{AnomalyKey, InvalidKey, Signature};
pub use status::{BudgetStatus, Frozen, Status};
pub use store::{Outcome, Store};
pub use track::TrackRecord;
pub use wall::{ManualWall, SystemWall, WallClock};
