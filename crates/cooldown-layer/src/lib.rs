//! cooldown-layer
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod account;
mod action;
mod audit;
mod budget;
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
mod wall;

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
#[cfg(feature = "redis")]
pub use self::redis::{RedisStore, RedisStoreBuilder};
pub use service::CooldownService;
pub use signature::{AnomalyKey, InvalidKey, Signature};
pub use status::{BudgetStatus, Frozen, Status};
pub use store::{Outcome, Store};
pub use track::TrackRecord;
pub use wall::{ManualWall, SystemWall, WallClock};
