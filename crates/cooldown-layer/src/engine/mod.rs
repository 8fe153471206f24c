//! Everything that decides, without a clock, a lock or a wait: what is known, an operation, the time; an answer.
//!
//! An operation is done in two steps. [`Engine::run`] only reads: it answers, and lists what would have to change.
//! [`Engine::apply`] makes one change. A store on disk writes the changes between the two, and reads its file back by
//! applying what it finds, so memory and file cannot disagree about what a change means.

mod anomaly;
mod change;
mod decide;
mod log;
mod sweep;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

pub(crate) use self::change::Change;
use self::log::Log;
use crate::id::DecisionId;
use crate::store::{Answer, Frost, MOST_RECORDS, Operation, StoreError, StoreErrorKind, Track};
use crate::track::REMEMBERED;

/// How much an engine holds at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) keys: usize,
    pub(crate) entries: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            keys: 100_000,
            entries: 1_000_000,
        }
    }
}

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    bounds: Bounds,
    /// The newest stamp that was ever written: no reading of a clock is believed that is older.
    newest: u64,
    /// By `cooldown:scope`.
    logs: HashMap<String, Log>,
    /// By `cooldown`, and by `cooldown:scope|of/per` for the freezes of budgets.
    freezes: BTreeMap<String, Frost>,
    leases: HashMap<DecisionId, Lease>,
    /// By `space:anomaly`.
    tracks: HashMap<String, Record>,
    /// By `ledger:anomaly`.
    sightings: HashMap<String, Sightings>,
    /// By `ledger:anomaly`: when, and what was done.
    fixes: HashMap<String, (u64, String)>,
    /// Entries of all logs, records and sightings.
    entries: usize,
    swept_at: u64,
    writes: u32,
}

#[derive(Debug, Clone)]
struct Lease {
    cooldown: Arc<str>,
    expires: u64,
    track: Option<Track>,
}

#[derive(Debug, Default)]
struct Record {
    /// By kind: stamp, decision, and whether it helped; oldest first, at most [`REMEMBERED`].
    kinds: BTreeMap<String, VecDeque<(u64, DecisionId, bool)>>,
    /// Leases whose outcome is not known yet: decision, kind, end.
    open: Vec<(DecisionId, String, u64)>,
}

#[derive(Debug, Default)]
struct Sightings {
    first: u64,
    stamps: VecDeque<(u64, DecisionId)>,
}

impl Engine {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// The newest stamp that was written.
    #[cfg(feature = "file")]
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// The time to go by: a clock that fell behind what is written is not believed.
    fn time(&self, now: u64) -> u64 {
        now.max(self.newest)
    }

    /// Answers, and appends what has to change. Nothing is changed yet.
    pub(crate) fn run(&self, operation: &Operation, now: u64, changes: &mut Vec<Change>) -> Result<Answer, StoreError> {
        let now = self.time(now);
        let answer = match operation {
            Operation::Decide(ask) => self.decide(ask, now, changes),
            Operation::Settle(settlements) => {
                for settlement in settlements {
                    self.settle(settlement, now, changes);
                }
                Answer::Done
            }
            Operation::Repay(owed) => {
                for owed in owed {
                    if let Operation::Decide(ask) = &*owed.ask {
                        self.repay(ask, now.saturating_sub(owed.age_ms), now, changes);
                    }
                }
                Answer::Done
            }
            Operation::Freeze { cooldown, reason } => {
                let since_ms = self.freezes.get(&**cooldown).map_or(now, |frost| frost.since_ms);
                let frost = Frost::new(since_ms, None, reason.as_str());
                changes.push(Change::Freeze {
                    key: cooldown.to_string(),
                    frost,
                });
                Answer::Done
            }
            Operation::Thaw { cooldown } => {
                let budgets = format!("{cooldown}:");
                let ours = self
                    .freezes
                    .keys()
                    .filter(|key| **key == **cooldown || key.starts_with(&budgets));
                changes.extend(ours.map(|key| Change::Melt { key: key.clone() }));
                Answer::Done
            }
            Operation::Look(ask) => self.look(ask, now),
            Operation::Record { id, ledger, key } => self.record(*id, format!("{ledger}:{key}"), now, changes),
            Operation::Frequency { ledger, key } => Answer::Frequency(self.counts(&format!("{ledger}:{key}"), now)),
            Operation::Repaired { id, track, succeeded } => {
                if !self.knows_outcome(track, *id) {
                    self.outcome(track, now, *id, *succeeded, changes);
                }
                Answer::Done
            }
            Operation::Repairs { space, key } => Answer::Repairs(self.repairs(&format!("{space}:{key}"), now)),
            Operation::Fixed {
                ledger,
                key,
                description,
            } => {
                let key = format!("{ledger}:{key}");
                changes.push(Change::Fix {
                    key,
                    stamp: now,
                    description: description.clone(),
                });
                Answer::Done
            }
        };
        if self.is_full() && changes.iter().any(|change| self.grows(change)) {
            changes.clear();
            let what = format!(
                "the store is full: {} keys of {}, {} entries of {}; raise its bounds or use fewer scopes",
                self.keys(),
                self.bounds.keys,
                self.entries,
                self.bounds.entries
            );
            return Err(StoreError::new(StoreErrorKind::Full, what));
        }
        Ok(answer)
    }

    /// Housekeeping that is due: every so many writes, or when there is no room.
    pub(crate) fn tidy(&mut self, now: u64, changes: &mut Vec<Change>) {
        if self.writes >= 4096 || (self.is_full() && self.time(now) >= self.swept_at.saturating_add(1000)) {
            self.tidy_now(now, changes);
        }
    }

    /// Lists the removal of everything that can never count again.
    pub(crate) fn tidy_now(&mut self, now: u64, changes: &mut Vec<Change>) {
        let now = self.time(now);
        self.writes = 0;
        self.swept_at = now;
        self.sweep(now, changes);
        if !changes.is_empty() {
            // What is swept by a clock that is ahead must not come back to count when it falls behind again.
            changes.push(Change::Newest { stamp: now });
        }
    }

    fn keys(&self) -> usize {
        self.logs.len()
            + self.freezes.len()
            + self.leases.len()
            + self.tracks.len()
            + self.sightings.len()
            + self.fixes.len()
    }

    fn is_full(&self) -> bool {
        self.keys() >= self.bounds.keys || self.entries >= self.bounds.entries
    }

    fn grows(&self, change: &Change) -> bool {
        match change {
            // The end of a lease is always written: nothing may be lost that was given.
            Change::Spend { .. } | Change::See { .. } | Change::Open { .. } => true,
            Change::Fix { key, .. } => !self.fixes.contains_key(key),
            _ => false,
        }
    }
}

fn key_of(track: &Track) -> String {
    format!("{}:{}", track.space, track.key)
}

const _: () = assert!(MOST_RECORDS > REMEMBERED);
