//! The one thing that the layer itself says no with.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use state_core::Refusal;

use crate::snapshot::Snapshot;
use crate::state::{HealthState, Standing};

/// Any error, boxed: what services here answer with.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A call was refused and never made: a probe says that the dependency is down, or nothing yet where that is refused too.
///
/// Its source is the [`Refusal`] mark that every refusal of the house carries.
///
/// ```
/// use health_probe::{BoxError, FnProbe, HealthLayer, Probe, Unhealthy};
/// use state_core::Refusal;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let disk = FnProbe::new("disk", async || Err::<(), _>("full")).spawn()?;
/// let service = ServiceBuilder::new()
///     .layer(HealthLayer::new(disk.health()))
///     .service(service_fn(async |n: u8| Ok::<_, BoxError>(n)));
///
/// disk.check_now().await?;
/// let error = service.oneshot(1).await.unwrap_err();
/// let unhealthy = Unhealthy::find(&*error).expect("the layer said so");
/// assert!(unhealthy.to_string().starts_with(r#"probe "disk" says down: full (1 failure in a row); next check in "#));
/// assert!(Refusal::find(&*error).is_some());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Unhealthy {
    probe: Arc<str>,
    standing: Standing,
    failures: u32,
    last_error: Option<Arc<str>>,
    refusal: Refusal,
}

impl Unhealthy {
    pub(crate) fn new(standing: Standing, seen: Snapshot) -> Self {
        Self {
            probe: seen.name,
            standing,
            failures: seen.failures_in_a_row,
            last_error: seen
                .last_error
                .filter(|_| standing == Standing::Running(HealthState::Down)),
            refusal: Refusal::new(seen.next_check),
        }
    }

    /// Looks for one in `error` and in everything it names as its source.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            // An I/O error names what it wraps by `get_ref`, and the source of that as its own.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        None
    }

    /// The name of the probe.
    pub fn probe(&self) -> &str {
        &self.probe
    }

    /// What the probe said: `Down`, or `Unknown` where that is refused too.
    pub const fn state(&self) -> HealthState {
        self.standing.state()
    }

    /// Checks that have failed in a row.
    pub const fn failures_in_a_row(&self) -> u32 {
        self.failures
    }

    /// What the last failed check said, if the probe says down.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// The time to the next check; `None` when none is to come. It may take more than one to be up again.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.refusal.retry_after()
    }
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "probe {:?} ", self.probe)?;
        match self.standing {
            Standing::Ended => return f.write_str("has ended"),
            Standing::Running(HealthState::Down) => f.write_str("says down")?,
            Standing::Running(HealthState::Unknown) => f.write_str("has no result yet")?,
            // It came up between the refusal and the report of it.
            Standing::Running(HealthState::Up) => f.write_str("was down")?,
        }
        if let Some(error) = &self.last_error {
            write!(f, ": {error}")?;
        }
        match self.failures {
            0 => {}
            1 => f.write_str(" (1 failure in a row)")?,
            n => write!(f, " ({n} failures in a row)")?,
        }
        match self.retry_after() {
            Some(wait) => write!(f, "; next check in {:.1} s", wait.as_secs_f64()),
            None => Ok(()),
        }
    }
}

impl Error for Unhealthy {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.refusal)
    }
}
