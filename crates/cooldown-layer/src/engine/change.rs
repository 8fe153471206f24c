//! One thing to write, and what it means.

use std::sync::Arc;

use super::{Engine, Lease, key_of};
use crate::id::DecisionId;
use crate::store::{Frost, Track};

/// One thing to write.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Spend {
        log: String,
        stamp: u64,
        id: DecisionId,
        cost: u32,
        keep_ms: u64,
    },
    Forget {
        log: String,
        upto: u64,
    },
    Freeze {
        key: String,
        frost: Frost,
    },
    Melt {
        key: String,
    },
    Open {
        id: DecisionId,
        cooldown: Arc<str>,
        expires: u64,
        track: Option<Track>,
    },
    Close {
        id: DecisionId,
    },
    Outcome {
        track: Track,
        stamp: u64,
        id: DecisionId,
        succeeded: bool,
    },
    DropOutcome {
        track: String,
        kind: String,
        stamp: u64,
        id: DecisionId,
    },
    See {
        key: String,
        stamp: u64,
        id: DecisionId,
    },
    Unsee {
        key: String,
        stamp: u64,
        id: DecisionId,
    },
    FirstSeen {
        key: String,
        stamp: u64,
    },
    Fix {
        key: String,
        stamp: u64,
        description: String,
    },
    Unfix {
        key: String,
    },
    /// Nothing but the newest stamp.
    Newest {
        stamp: u64,
    },
}
impl Engine {
    /// Makes one change.
    pub(crate) fn apply(&mut self, change: Change) {
        self.writes = self.writes.saturating_add(1);
        match change {
            Change::Spend {
                log,
                stamp,
                id,
                cost,
                keep_ms,
            } => {
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
            Change::Open {
                id,
                cooldown,
                expires,
                track,
            } => self.open(
                id,
                Lease {
                    cooldown,
                    expires,
                    track,
                },
            ),
            Change::Close { id } => self.close(id),
            Change::Outcome {
                track,
                stamp,
                id,
                succeeded,
            } => {
                self.newest = self.newest.max(stamp);
                self.entries += 1;
                let record = self.tracks.entry(key_of(&track)).or_default();
                let outcomes = record.kinds.entry(track.kind).or_default();
                let index = outcomes.partition_point(|(known, ..)| *known <= stamp);
                outcomes.insert(index, (stamp, id, succeeded));
            }
            Change::DropOutcome { track, kind, stamp, id } => self.drop_outcome(&track, &kind, (stamp, id)),
            Change::See { key, stamp, id } => {
                self.newest = self.newest.max(stamp);
                self.entries += 1;
                let sightings = self.sightings.entry(key).or_default();
                let index = sightings.stamps.partition_point(|(known, _)| *known <= stamp);
                sightings.stamps.insert(index, (stamp, id));
            }
            Change::Unsee { key, stamp, id } => self.unsee(&key, (stamp, id)),
            Change::FirstSeen { key, stamp } => self.sightings.entry(key).or_default().first = stamp,
            Change::Fix {
                key,
                stamp,
                description,
            } => {
                self.newest = self.newest.max(stamp);
                self.fixes.insert(key, (stamp, description));
            }
            Change::Unfix { key } => {
                self.fixes.remove(&key);
            }
            Change::Newest { stamp } => self.newest = self.newest.max(stamp),
        }
    }

    fn open(&mut self, id: DecisionId, lease: Lease) {
        if let Some(track) = &lease.track {
            let record = self.tracks.entry(key_of(track)).or_default();
            record.open.push((id, track.kind.clone(), lease.expires));
        }
        self.leases.insert(id, lease);
    }

    fn close(&mut self, id: DecisionId) {
        if let Some(track) = self.leases.remove(&id).and_then(|lease| lease.track)
            && let Some(record) = self.tracks.get_mut(&key_of(&track))
        {
            record.open.retain(|(open, ..)| *open != id);
            self.drop_idle_track(&key_of(&track));
        }
    }

    fn drop_outcome(&mut self, track: &str, kind: &str, gone: (u64, DecisionId)) {
        if let Some(record) = self.tracks.get_mut(track)
            && let Some(outcomes) = record.kinds.get_mut(kind)
        {
            let before = outcomes.len();
            outcomes.retain(|(stamp, id, _)| (*stamp, *id) != gone);
            self.entries -= before - outcomes.len();
            if outcomes.is_empty() {
                record.kinds.remove(kind);
            }
            self.drop_idle_track(track);
        }
    }

    fn unsee(&mut self, key: &str, gone: (u64, DecisionId)) {
        if let Some(sightings) = self.sightings.get_mut(key) {
            let before = sightings.stamps.len();
            if sightings.stamps.front() == Some(&gone) {
                sightings.stamps.pop_front(); // nearly always: the oldest go first
            } else {
                sightings.stamps.retain(|known| *known != gone);
            }
            self.entries -= before - sightings.stamps.len();
            if sightings.stamps.is_empty() {
                self.sightings.remove(key);
            }
        }
    }

    fn drop_idle_track(&mut self, key: &str) {
        if self
            .tracks
            .get(key)
            .is_some_and(|record| record.kinds.is_empty() && record.open.is_empty())
        {
            self.tracks.remove(key);
        }
    }
}
