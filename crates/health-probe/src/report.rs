//! From a result to everybody who wants to know it, in this order: circuits, the record, the state, metrics.

use state_core::ProbeLink;
use tokio::time::Instant;

use crate::health::Health;
use crate::observe;
use crate::record::Checked;
use crate::snapshot::CheckResult;
use crate::state::{HealthState, Standing};
use crate::tally::{Tally, Thresholds};

/// The writing end of a [`Health`]; it stands in the probe's task, and ends the probe when it is dropped with it.
pub(crate) struct Reporter {
    health: Health,
    thresholds: Thresholds,
    links: Vec<ProbeLink>,
    tally: Tally,
}

impl Reporter {
    pub(crate) fn new(health: Health, thresholds: Thresholds, links: Vec<ProbeLink>) -> Self {
        Self {
            health,
            thresholds,
            links,
            tally: Tally::default(),
        }
    }

    /// When the next check is to be.
    pub(crate) fn due(&self, due: Instant) {
        self.health.shared().record().due = Some(due);
    }

    /// All checks that were asked for up to `ticket` have been made.
    pub(crate) fn serve(&self, ticket: u64) {
        self.health.shared().serve(ticket);
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.tally.is_settled()
    }

    pub(crate) fn add(&mut self, checked: &Checked) {
        let before = self.tally.state;
        self.tally.count(checked.result, checked.down_at_once, self.thresholds);
        let state = self.tally.state;
        match state {
            // Also when it is nothing new: a circuit that waits for a probe (`open_until_probe`) may have been opened by
            // calls meanwhile.
            HealthState::Up if checked.result == CheckResult::Passed => {
                self.links.iter().for_each(|link| link.report(true));
            }
            HealthState::Down => self.links.iter().for_each(|link| link.report(false)),
            _ => {}
        }
        let shared = self.health.shared();
        shared.record().add(checked, self.tally, Instant::now());
        if state != before {
            shared.stand(Standing::Running(state));
            observe::changed(self.health.name(), before, self.tally, checked);
        }
        observe::checked(self.health.name(), state, checked);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        // Circuits first: whoever hears of the end finds them let go.
        self.links.clear();
        let shared = self.health.shared();
        shared.record().end(Instant::now());
        shared.stand(Standing::Ended);
        // Who still waits for a check is told by the standing.
        shared.serve(u64::MAX);
        observe::ended(self.health.name());
    }
}
