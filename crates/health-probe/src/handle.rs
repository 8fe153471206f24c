//! The handle: it keeps a probe going, and steers it.

use std::fmt;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::health::Health;
use crate::snapshot::Snapshot;
use crate::state::{HealthState, Standing};
use crate::watch::{Ended, HealthWatch};

/// What a handle wants of its task. When the sender is gone, the task ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Control {
    /// How many checks have been asked for; one check serves all that were asked for before it began.
    pub(crate) wanted: u64,
    pub(crate) paused: bool,
}

/// Keeps a probe going: dropped, it ends the probe's task, with a check that is under way.
///
/// ```
/// use health_probe::{FnProbe, HealthState, Probe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let disk = FnProbe::new("disk", async || Ok::<_, std::io::Error>(())).spawn()?;
/// let health = disk.health(); // for layers, pools and pages
/// assert_eq!(health.state(), HealthState::Unknown);
///
/// assert_eq!(disk.check_now().await?.state, HealthState::Up);
/// disk.pause();
/// assert!(disk.snapshot().paused);
/// disk.resume();
///
/// disk.shutdown().await;
/// assert_eq!(health.state(), HealthState::Unknown);
/// # Ok(()) }
/// ```
#[must_use = "a probe ends when its handle is dropped"]
pub struct ProbeHandle {
    health: Health,
    control: watch::Sender<Control>,
    task: JoinHandle<()>,
}

impl ProbeHandle {
    pub(crate) const fn new(health: Health, control: watch::Sender<Control>, task: JoinHandle<()>) -> Self {
        Self { health, control, task }
    }

    /// What the probe tells, for others to look at.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// The probe's name.
    pub fn name(&self) -> &str {
        self.health.name()
    }

    /// The state now.
    pub fn state(&self) -> HealthState {
        self.health.state()
    }

    /// A watch on the state.
    pub fn watch(&self) -> HealthWatch {
        self.health.watch()
    }

    /// Everything that is known, at one moment.
    pub fn snapshot(&self) -> Snapshot {
        self.health.snapshot()
    }

    /// No more checks until [`resume`](Self::resume); one that is under way still counts. The state stays what it is, and
    /// so does what it did to circuits: one that is held open is held for the whole time.
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Goes on after [`pause`](Self::pause), with a check at once: what was known is old.
    pub fn resume(&self) {
        self.set_paused(false);
    }

    fn set_paused(&self, paused: bool) {
        self.control.send_if_modified(|control| {
            // Under the channel's lock, so that two callers leave both places alike.
            self.health.shared().record().paused = paused;
            let changes = control.paused != paused;
            control.paused = paused;
            changes
        });
    }

    /// Checks now, also while paused, and says what is known after it. While a check is under way, another one follows
    /// it: the answer is of a check that began after the question. All who ask meanwhile share it.
    ///
    /// # Errors
    ///
    /// [`Ended`]: there is no task any more that could check; its runtime was shut down.
    ///
    /// # Cancel safety
    ///
    /// The check is made all the same when the future is dropped.
    pub async fn check_now(&self) -> Result<Snapshot, Ended> {
        let mut ticket = 0;
        self.control.send_modify(|control| {
            control.wanted += 1;
            ticket = control.wanted;
        });
        self.health.shared().until_served(ticket).await;
        match self.health.standing() {
            Standing::Ended => Err(Ended::new(self.name())),
            Standing::Running(_) => Ok(self.snapshot()),
        }
    }

    /// Ends the probe, and resolves when its task is no more. A check that is under way is dropped.
    ///
    /// # Cancel safety
    ///
    /// The probe ends all the same when the future is dropped.
    pub async fn shutdown(self) {
        let Self { control, task, .. } = self;
        drop(control);
        // An error: the runtime dropped the task before it could end. It is no more, all the same.
        let _ = task.await;
    }
}

impl fmt::Debug for ProbeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeHandle")
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
