//! The right to take one action, once.

use std::fmt;
use std::time::SystemTime;

use crate::cooldown::Cooldown;
use crate::error::Refused;
use crate::id::DecisionId;
use crate::store::{Outcome, Settlement, Track};
use crate::wall::moment;

/// An action may be taken: take it, and say how it went.
///
/// A lease settles once: by [`succeeded`](Self::succeeded), by [`failed`](Self::failed), or by being dropped. The units
/// it took stay spent in every case.
///
/// | end | the track record counts |
/// |---|---|
/// | `succeeded` | a success |
/// | `failed` | a failure |
/// | dropped while the thread panics | a failure |
/// | dropped otherwise: abandoned | nothing |
/// | nothing heard of it in its lease time: the process died, or the lease was leaked | a failure |
///
/// A drop cannot wait for a store. It leaves word in the [`Cooldown`], and the next call of any clone delivers it; if
/// there is none before the lease time is over, the lease has failed.
///
/// See [`Cooldown::request`] for an example.
#[must_use = "a lease that is dropped at once is an abandoned action, and its units are spent"]
pub struct Lease {
    cooldown: Cooldown,
    grant: Grant,
    settled: bool,
}

/// What a lease was given for.
pub(crate) struct Grant {
    pub(crate) id: DecisionId,
    pub(crate) track: Option<Track>,
    pub(crate) at_ms: u64,
    pub(crate) ends_ms: u64,
    /// In a dry run: what would have refused it.
    pub(crate) refused: Option<Refused>,
}

impl Lease {
    pub(crate) fn new(cooldown: Cooldown, grant: Grant) -> Self {
        // What a dry run let through against a refusal is known to no store.
        let settled = grant.refused.is_some();
        Self {
            cooldown,
            grant,
            settled,
        }
    }

    /// The decision that gave it.
    #[must_use]
    pub fn id(&self) -> DecisionId {
        self.grant.id
    }

    /// When it was given.
    #[must_use]
    pub fn granted_at(&self) -> SystemTime {
        moment(self.grant.at_ms)
    }

    /// When it counts as failed unless it is settled before.
    #[must_use]
    pub fn ends_at(&self) -> SystemTime {
        moment(self.grant.ends_ms)
    }

    /// In a dry run: why the action would have been refused.
    #[must_use]
    pub fn would_be_refused(&self) -> Option<&Refused> {
        self.grant.refused.as_ref()
    }

    /// The action helped.
    ///
    /// When the store cannot be told now, the next call of the cooldown tells it.
    ///
    /// # Cancel safety
    /// The outcome is kept before the first wait: when the future is dropped, the next call delivers it.
    pub async fn succeeded(self) {
        self.settle(Outcome::Succeeded).await;
    }

    /// The action did not help. Otherwise as [`succeeded`](Self::succeeded).
    ///
    /// # Cancel safety
    /// As [`succeeded`](Self::succeeded).
    pub async fn failed(self) {
        self.settle(Outcome::Failed).await;
    }

    /// Settles with an outcome that was computed. Otherwise as [`succeeded`](Self::succeeded).
    ///
    /// # Cancel safety
    /// As [`succeeded`](Self::succeeded).
    pub async fn settle(mut self, outcome: Outcome) {
        self.leave(outcome);
        self.cooldown.pay().await;
    }

    /// Leaves word of the end, once.
    pub(crate) fn leave(&mut self, outcome: Outcome) {
        if !std::mem::replace(&mut self.settled, true) {
            let (id, track) = (self.grant.id, self.grant.track.take());
            self.cooldown.owe(Settlement {
                id,
                cooldown: self.cooldown.shared_name(),
                track,
                outcome,
            });
        }
    }

    pub(crate) fn cooldown(&self) -> &Cooldown {
        &self.cooldown
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leave(if std::thread::panicking() {
            Outcome::Failed
        } else {
            Outcome::Abandoned
        });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("cooldown", &self.cooldown.name())
            .field("id", &self.grant.id)
            .field("ends_at", &self.ends_at())
            .finish_non_exhaustive()
    }
}
