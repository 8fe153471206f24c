//! What is remembered of a probe's checks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::snapshot::{CheckResult, Snapshot};
use crate::state::HealthState;
use crate::tally::Tally;

/// A check that is over.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) result: CheckResult,
    pub(crate) error: Option<String>,
    pub(crate) down_at_once: bool,
    pub(crate) latency: Duration,
}

/// The figures behind a [`Snapshot`].
#[derive(Debug)]
pub(crate) struct Record {
    tally: Tally,
    since: Instant,
    checks: u64,
    last: Option<(CheckResult, Duration, Instant)>,
    error: Option<(Arc<str>, Instant)>,
    pub(crate) due: Option<Instant>,
    pub(crate) paused: bool,
    ended: bool,
}

impl Record {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            tally: Tally {
                state: HealthState::Unknown,
                successes: 0,
                failures: 0,
            },
            since: now,
            checks: 0,
            last: None,
            error: None,
            due: None,
            paused: false,
            ended: false,
        }
    }

    pub(crate) fn add(&mut self, checked: &Checked, tally: Tally, now: Instant) {
        if tally.state != self.tally.state {
            self.since = now;
        }
        self.tally = tally;
        self.checks += 1;
        self.last = Some((checked.result, checked.latency, now));
        if let Some(error) = &checked.error {
            self.error = Some((error.as_str().into(), now));
        }
    }

    pub(crate) fn end(&mut self, now: Instant) {
        self.ended = true;
        self.since = now;
        self.tally.state = HealthState::Unknown;
        self.due = None;
    }

    pub(crate) fn snapshot(&self, name: Arc<str>, now: Instant) -> Snapshot {
        let ago = |then: Instant| now.saturating_duration_since(then);
        Snapshot {
            name,
            state: self.tally.state,
            since: ago(self.since),
            paused: self.paused,
            ended: self.ended,
            checks: self.checks,
            last_result: self.last.map(|(result, ..)| result),
            last_latency: self.last.map(|(_, latency, _)| latency),
            last_check: self.last.map(|(.., at)| ago(at)),
            successes_in_a_row: self.tally.successes,
            failures_in_a_row: self.tally.failures,
            last_error: self.error.as_ref().map(|(error, _)| Arc::clone(error)),
            last_failure: self.error.as_ref().map(|(_, at)| ago(*at)),
            next_check: match self.due {
                Some(due) if !self.paused => Some(due.saturating_duration_since(now)),
                _ => None,
            },
        }
    }
}
