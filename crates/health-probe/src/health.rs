//! What a probe tells, for all who want to know.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::Unhealthy;
use crate::record::Record;
use crate::snapshot::Snapshot;
use crate::state::{HealthState, Standing, StandingCell};
use crate::watch::HealthWatch;

/// The health of a dependency: a cheap clone, for layers, pools and pages.
///
/// It only looks on. The [`ProbeHandle`](crate::ProbeHandle) that it comes from keeps the probe going; once the probe has
/// ended, the state is [`Unknown`](HealthState::Unknown) for good.
#[derive(Clone)]
pub struct Health(Arc<Shared>);

/// What a probe's task writes and everybody else reads.
pub(crate) struct Shared {
    name: Arc<str>,
    standing: StandingCell,
    changes: watch::Sender<Standing>,
    /// The last request for a check that has been served.
    served: watch::Sender<u64>,
    record: Mutex<Record>,
}

impl Shared {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            standing: StandingCell::new(),
            changes: watch::Sender::new(Standing::Running(HealthState::Unknown)),
            served: watch::Sender::new(0),
            record: Mutex::new(Record::new(Instant::now())),
        }
    }

    /// Never held over anything that could panic or wait.
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody. To be called when all else has been done: see [`StandingCell`].
    pub(crate) fn stand(&self, standing: Standing) {
        self.standing.store(standing);
        self.changes.send_replace(standing);
    }

    pub(crate) fn serve(&self, ticket: u64) {
        self.served.send_replace(ticket);
    }

    /// Resolves when the request has been served, or the probe has ended.
    pub(crate) async fn until_served(&self, ticket: u64) {
        // The sender is in `self`: there is no error.
        let _ = self.served.subscribe().wait_for(|served| *served >= ticket).await;
    }
}

impl Health {
    pub(crate) fn new(name: &str) -> Self {
        Self(Arc::new(Shared::new(name)))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    #[inline]
    pub(crate) fn standing(&self) -> Standing {
        self.0.standing.load()
    }

    /// The probe's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The state now: one load.
    #[inline]
    pub fn state(&self) -> HealthState {
        self.standing().state()
    }

    /// A watch on the state.
    pub fn watch(&self) -> HealthWatch {
        HealthWatch::new(Arc::clone(&self.0.name), self.0.changes.subscribe())
    }

    /// Everything that is known, at one moment.
    pub fn snapshot(&self) -> Snapshot {
        self.0.record().snapshot(Arc::clone(&self.0.name), Instant::now())
    }

    /// Resolves at the next change of the standing. A change after this call is not missed.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        let mut changes = self.0.changes.subscribe();
        async move {
            let _ = changes.changed().await;
        }
    }

    #[cold]
    pub(crate) fn unhealthy(&self) -> Unhealthy {
        Unhealthy::new(self.standing(), self.snapshot())
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
