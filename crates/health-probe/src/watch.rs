//! Waiting for a state to change.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::state::{HealthState, Standing};

/// Says when a probe's state has changed. See [`Health::watch`](crate::Health::watch).
///
/// ```
/// use health_probe::{FnProbe, HealthState, Probe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let probe = FnProbe::new("disk", async || Ok::<_, std::io::Error>(())).spawn()?;
/// let mut watch = probe.watch();
/// assert_eq!(watch.changed().await?, HealthState::Up);
/// probe.shutdown().await;
/// assert!(watch.changed().await.is_err());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct HealthWatch {
    name: Arc<str>,
    seen: HealthState,
    changes: watch::Receiver<Standing>,
}

impl HealthWatch {
    pub(crate) fn new(name: Arc<str>, changes: watch::Receiver<Standing>) -> Self {
        let seen = changes.borrow().state();
        Self { name, seen, changes }
    }

    /// The state now.
    pub fn state(&self) -> HealthState {
        self.changes.borrow().state()
    }

    /// Resolves when the state is another than the one last seen here, with the newest one. States between the two may be
    /// left out.
    ///
    /// # Errors
    ///
    /// [`Ended`]: nothing will change any more.
    ///
    /// # Cancel safety
    ///
    /// A change is not lost when the future is dropped: the next one resolves at once.
    pub async fn changed(&mut self) -> Result<HealthState, Ended> {
        let (name, seen) = (&self.name, self.seen);
        let ended = || Ended { name: Arc::clone(name) };
        let news = |standing: &Standing| *standing != Standing::Running(seen);
        let standing = *self.changes.wait_for(news).await.map_err(|_| ended())?;
        match standing {
            Standing::Running(state) => {
                self.seen = state;
                Ok(state)
            }
            Standing::Ended => Err(ended()),
        }
    }
}

/// The probe has ended: its handle was dropped or shut down, or its runtime is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    name: Arc<str>,
}

impl Ended {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into() }
    }

    /// The name of the probe.
    pub fn probe(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "probe {:?} has ended", self.name)
    }
}

impl Error for Ended {}
