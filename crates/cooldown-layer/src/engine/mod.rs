//! Everything that decides, without a clock, a lock or a wait: what is known, an operation, the time; an answer.
//!
//! An operation is done in two steps. [`Engine::run`] only reads: it answers, and lists what would have to change.
//! [`Engine::apply`] makes one change. A store on disk writes the changes between the two, and reads its file back by
//! applying what it finds, so memory and file cannot disagree about what a change means.

mod anomaly;
mod decide;
mod log;
mod sweep;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

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
        Self { keys: 100_000, entries: 1_000_000 }
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

/// One thing to write.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Spend { log: String, stamp: u64, id: DecisionId, cost: u32, keep_ms: u64 },
    Forget { log: String, upto: u64 },
    Freeze { key: String, frost: Frost },
    Melt { key: String },
    Open { id: DecisionId, cooldown: Arc<str>, expires: u64, track: Option<Track> },
    Close { id: DecisionId },
    Outcome { track: Track, stamp: u64, id: DecisionId, succeeded: bool },
    DropOutcome { track: String, kind: String, stamp: u64, id: DecisionId },
    See { key: String, stamp: u64, id: DecisionId },
    Unsee { key: String, stamp: u64, id: DecisionId },
    FirstSeen { key: String, stamp: u64 },
    Fix { key: String, stamp: u64, description: String },
    Unfix { key: String },
    /// Nothing but the newest stamp.
    Newest { stamp: u64 },
}

impl Engine {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
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
                settlements.iter().for_each(|settlement| self.settle(settlement, now, changes));
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
                changes.push(Change::Freeze { key: cooldown.to_string(), frost });
                Answer::Done
            }
            Operation::Thaw { cooldown } => {
                let budgets = format!("{cooldown}:");
                let ours = self.freezes.keys().filter(|key| **key == **cooldown || key.starts_with(&budgets));
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
            Operation::Fixed { ledger, key, description } => {
                let key = format!("{ledger}:{key}");
                changes.push(Change::Fix { key, stamp: now, description: description.clone() });
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
        self.logs.len() + self.freezes.len() + self.leases.len() + self.tracks.len() + self.sightings.len() + self.fixes.len()
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

    /// Makes one change.
    pub(crate) fn apply(&mut self, change: Change) {
        self.writes = self.writes.saturating_add(1);
        match change {
            Change::Spend { log, stamp, id, cost, keep_ms } => {
                self.newest = self.newest.max(stamp);
                self.entries += 1;
                let log = self.logs.entry(log).or_default();
                log.keep_ms = log.keep_ms.max(keep_ms);
                log.add(stamp, id, u64::from(cost));
            }
            Change::Forget { log: key, upto } => {
                if let Some(log) = self.logs.get_mut(&key) {
                    self.entries -= log.forget(upto);
                    if log.is_empty() {
                        self.logs.remove(&key);
                    }
                }
            }
            Change::Freeze { key, frost } => {
                self.newest = self.newest.max(frost.since_ms);
                self.freezes.insert(key, frost);
            }
            Change::Melt { key } => {
                self.freezes.remove(&key);
            }
            Change::Open { id, cooldown, expires, track } => {
                if let Some(track) = &track {
                    let record = self.tracks.entry(key_of(track)).or_default();
                    record.open.push((id, track.kind.clone(), expires));
                }
                self.leases.insert(id, Lease { cooldown, expires, track });
            }
            Change::Close { id } => {
                if let Some(track) = self.leases.remove(&id).and_then(|lease| lease.track)
                    && let Some(record) = self.tracks.get_mut(&key_of(&track))
                {
                    record.open.retain(|(open, ..)| *open != id);
                    self.drop_idle_track(&key_of(&track));
                }
            }
            Change::Outcome { track, stamp, id, succeeded } => {
                self.newest = self.newest.max(stamp);
                self.entries += 1;
                let record = self.tracks.entry(key_of(&track)).or_default();
                let outcomes = record.kinds.entry(track.kind).or_default();
                let index = outcomes.partition_point(|(known, ..)| *known <= stamp);
                outcomes.insert(index, (stamp, id, succeeded));
            }
            Change::DropOutcome { track, kind, stamp, id } => {
                if let Some(record) = self.tracks.get_mut(&track)
                    && let Some(outcomes) = record.kinds.get_mut(&kind)
                {
                    let before = outcomes.len();
                    outcomes.retain(|(s, i, _)| (*s, *i) != (stamp, id));
                    self.entries -= before - outcomes.len();
                    if outcomes.is_empty() {
                        record.kinds.remove(&kind);
                    }
                    self.drop_idle_track(&track);
                }
            }
            Change::See { key, stamp, id } => {
                self.newest = self.newest.max(stamp);
                self.entries += 1;
                let sightings = self.sightings.entry(key).or_default();
                let index = sightings.stamps.partition_point(|(known, _)| *known <= stamp);
                sightings.stamps.insert(index, (stamp, id));
            }
            Change::Unsee { key, stamp, id } => {
                if let Some(sightings) = self.sightings.get_mut(&key) {
                    let before = sightings.stamps.len();
                    if sightings.stamps.front() == Some(&(stamp, id)) {
                        sightings.stamps.pop_front(); // nearly always: the oldest go first
                    } else {
                        sightings.stamps.retain(|known| *known != (stamp, id));
                    }
                    self.entries -= before - sightings.stamps.len();
                    if sightings.stamps.is_empty() {
                        self.sightings.remove(&key);
                    }
                }
            }
            Change::FirstSeen { key, stamp } => self.sightings.entry(key).or_default().first = stamp,
            Change::Fix { key, stamp, description } => {
                self.newest = self.newest.max(stamp);
                self.fixes.insert(key, (stamp, description));
            }
            Change::Unfix { key } => {
                self.fixes.remove(&key);
            }
            Change::Newest { stamp } => self.newest = self.newest.max(stamp),
        }
    }

    fn drop_idle_track(&mut self, key: &str) {
        if self.tracks.get(key).is_some_and(|record| record.kinds.is_empty() && record.open.is_empty()) {
            self.tracks.remove(key);
        }
    }
}

fn key_of(track: &Track) -> String {
    format!("{}:{}", track.space, track.key)
}

const _: () = assert!(MOST_RECORDS > REMEMBERED);
