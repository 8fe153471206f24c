//! What has had its time.

use super::{Change, Engine};
use crate::store::{FIX_MS, KEEP_MS};

impl Engine {
    /// Lists the removal of everything that can never count again.
    pub(super) fn sweep(&self, now: u64, changes: &mut Vec<Change>) {
        for (key, log) in &self.logs {
            // A log read back from a file does not know yet for how long it is of use.
            let keep = if log.keep_ms == 0 { KEEP_MS } else { log.keep_ms };
            let upto = now.saturating_sub(keep);
            if log.oldest().is_some_and(|oldest| oldest <= upto) {
                changes.push(Change::Forget { log: key.clone(), upto });
            }
        }
        for (key, frost) in &self.freezes {
            if frost.until_ms.is_some_and(|until| until <= now) {
                changes.push(Change::Melt { key: key.clone() });
            }
        }
        let late = self.leases.iter().filter(|(_, lease)| lease.expires <= now);
        late.for_each(|(id, _)| self.expire(*id, changes));
        for (track, record) in &self.tracks {
            for (kind, outcomes) in &record.kinds {
                let old = outcomes
                    .iter()
                    .take_while(|(stamp, ..)| stamp.saturating_add(KEEP_MS) <= now);
                changes.extend(old.map(|(stamp, id, _)| Change::DropOutcome {
                    track: track.clone(),
                    kind: kind.clone(),
                    stamp: *stamp,
                    id: *id,
                }));
            }
        }
        for (key, sightings) in &self.sightings {
            let old = sightings
                .stamps
                .iter()
                .take_while(|(stamp, _)| stamp.saturating_add(KEEP_MS) <= now);
            changes.extend(old.map(|(stamp, id)| Change::Unsee {
                key: key.clone(),
                stamp: *stamp,
                id: *id,
            }));
        }
        for (key, (at, _)) in &self.fixes {
            if at.saturating_add(FIX_MS) <= now {
                changes.push(Change::Unfix { key: key.clone() });
            }
        }
    }
}
