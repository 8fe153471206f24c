//! What came how often, and what was tried against it.

use super::{Change, Engine, key_of};
use crate::id::DecisionId;
use crate::store::{Answer, Counts, FIX_MS, KEEP_MS, MOST_RECORDS, Track, WINDOWS_MS};
use crate::track::REMEMBERED;

impl Engine {
    pub(super) fn record(&self, id: DecisionId, key: String, now: u64, changes: &mut Vec<Change>) -> Answer {
        let mut counts = self.counts(&key, now);
        let known = self.sightings.get(&key);
        if known.is_some_and(|known| known.stamps.iter().rev().take(64).any(|(_, seen)| *seen == id)) {
            return Answer::Frequency(counts); // sent twice
        }
        counts.windows.iter_mut().for_each(|count| *count += 1);
        let first = counts.seen.map_or(now, |(first, _)| first);
        counts.seen = Some((first, now));
        if let Some(known) = known {
            let old = known
                .stamps
                .iter()
                .take_while(|(stamp, _)| stamp.saturating_add(KEEP_MS) <= now)
                .count();
            let excess = (known.stamps.len() + 1).saturating_sub(MOST_RECORDS).max(old);
            let gone = known.stamps.iter().take(excess);
            changes.extend(gone.map(|(stamp, id)| Change::Unsee {
                key: key.clone(),
                stamp: *stamp,
                id: *id,
            }));
            counts.at_least |= known.stamps.len() >= MOST_RECORDS && excess > old;
        }
        // After the old ones: a key that loses its last record is forgotten with its first sight.
        changes.push(Change::See {
            key: key.clone(),
            stamp: now,
            id,
        });
        changes.push(Change::FirstSeen { key, stamp: first });
        Answer::Frequency(counts)
    }

    pub(super) fn counts(&self, key: &str, now: u64) -> Counts {
        let fixed = self
            .fixes
            .get(key)
            .filter(|(at, _)| at.saturating_add(FIX_MS) > now)
            .cloned();
        let Some(known) = self.sightings.get(key) else {
            return Counts {
                fixed,
                ..Counts::default()
            };
        };
        let after = |span: u64| {
            let gone = known
                .stamps
                .partition_point(|(stamp, _)| stamp.saturating_add(span) <= now);
            (known.stamps.len() - gone) as u64
        };
        let alive = after(KEEP_MS) > 0;
        let last = known.stamps.back().map_or(known.first, |(stamp, _)| *stamp);
        Counts {
            windows: WINDOWS_MS.map(after),
            seen: alive.then_some((known.first, last)),
            fixed,
            at_least: known.stamps.len() >= MOST_RECORDS,
        }
    }

    /// An outcome, and the oldest one goes where there are too many.
    pub(super) fn outcome(
        &self,
        track: &Track,
        stamp: u64,
        id: DecisionId,
        succeeded: bool,
        changes: &mut Vec<Change>,
    ) {
        changes.push(Change::Outcome {
            track: track.clone(),
            stamp,
            id,
            succeeded,
        });
        let key = key_of(track);
        let Some(outcomes) = self.tracks.get(&key).and_then(|record| record.kinds.get(&track.kind)) else {
            return;
        };
        // Several may be added by one operation: those of this record that wait in `changes` count too.
        let added = changes
            .iter()
            .filter(|change| matches!(change, Change::Outcome { track: other, .. } if other == track))
            .count();
        let excess = (outcomes.len() + added).saturating_sub(REMEMBERED);
        if let Some((stamp, id, _)) = excess.checked_sub(1).and_then(|index| outcomes.get(index)) {
            changes.push(Change::DropOutcome {
                track: key,
                kind: track.kind.clone(),
                stamp: *stamp,
                id: *id,
            });
        }
    }

    pub(super) fn knows_outcome(&self, track: &Track, id: DecisionId) -> bool {
        let outcomes = self
            .tracks
            .get(&key_of(track))
            .and_then(|record| record.kinds.get(&track.kind));
        outcomes.is_some_and(|outcomes| outcomes.iter().any(|(_, known, _)| *known == id))
    }

    /// Successes and tries; leases that have outlived their time are failures already.
    pub(super) fn record_of(&self, track: &Track, now: u64) -> (u32, u32) {
        let repairs = self.repairs(&key_of(track), now);
        repairs
            .into_iter()
            .find(|(kind, ..)| *kind == track.kind)
            .map_or((0, 0), |(_, good, all)| (good, all))
    }

    pub(super) fn repairs(&self, key: &str, now: u64) -> Vec<(String, u32, u32)> {
        let Some(record) = self.tracks.get(key) else {
            return Vec::new();
        };
        let late = |kind: &str| {
            record
                .open
                .iter()
                .filter(|(_, of, expires)| of == kind && *expires <= now)
                .count()
        };
        let mut kinds: Vec<&String> = record
            .kinds
            .keys()
            .chain(record.open.iter().map(|(_, kind, _)| kind))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let figures = |kind: &String| {
            let late = late(kind).min(REMEMBERED);
            let known = record.kinds.get(kind).into_iter().flatten();
            let known: Vec<bool> = known
                .filter(|(stamp, ..)| stamp.saturating_add(KEEP_MS) > now)
                .map(|(.., succeeded)| *succeeded)
                .collect();
            // The late ones are the newest: they push out as many of the oldest.
            let kept = &known[(known.len() + late).saturating_sub(REMEMBERED).min(known.len())..];
            let good = kept.iter().filter(|succeeded| **succeeded).count();
            let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            (kind.clone(), small(good), small(kept.len() + late))
        };
        kinds
            .into_iter()
            .map(figures)
            .filter(|(.., tried)| *tried > 0)
            .collect()
    }
}
