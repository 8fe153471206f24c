//! What a probe is.

use std::future::{Future, pending};
use std::time::Duration;

use state_core::Circuit;

use crate::build_error::BuildError;
use crate::check_error::CheckError;
use crate::handle::ProbeHandle;
use crate::policy::ProbeBuilder;

/// Something that can be asked whether a dependency is up.
///
/// Only [`check`](Self::check) has to be written; the rest starts it: each setting answers with a [`ProbeBuilder`], where
/// all of them are.
///
/// ```
/// use std::time::Duration;
/// use health_probe::{CheckError, HealthState, Probe};
///
/// struct FreeSpace {
///     at_least: u64,
/// }
///
/// # async fn free() -> Result<u64, std::io::Error> { Ok(1 << 40) }
/// impl Probe for FreeSpace {
///     async fn check(&self) -> Result<(), CheckError> {
///         match free().await.map_err(CheckError::new)? {
///             free if free >= self.at_least => Ok(()),
///             free => Err(CheckError::new(format!("{free} bytes are free"))),
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let disk = FreeSpace { at_least: 1 << 30 }.named("disk").every(Duration::from_secs(60)).spawn()?;
/// disk.check_now().await?;
/// assert_eq!(disk.state(), HealthState::Up);
/// # Ok(()) }
/// ```
///
/// For probes of different kinds in one list there is [`BoxProbe`](crate::BoxProbe).
pub trait Probe: Send + Sync + 'static {
    /// Asks once. `Ok` is up.
    ///
    /// It is never called again before the last one has answered, timed out or panicked. It must not block its thread: a
    /// time limit cannot end what does not yield.
    ///
    /// # Errors
    ///
    /// Whatever speaks against the dependency's being up.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the time is up, and when the probe ends.
    fn check(&self) -> impl Future<Output = Result<(), CheckError>> + Send;

    /// Resolves when there is reason to check before the next one is due. Never, by default.
    ///
    /// It is polled between checks, and heeded at most ten times an interval.
    ///
    /// # Cancel safety
    ///
    /// It is dropped at any time, and made anew; it must lose nothing by that.
    fn changed(&self) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// What is looked at, without secrets: the probe's name if it is given no other.
    fn target(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }

    /// Looks for what can't work before the probe is started.
    ///
    /// # Errors
    ///
    /// [`BuildError`] with the field, its value, and what is allowed.
    fn validate(&self) -> Result<(), BuildError> {
        Ok(())
    }

    /// Everything that can be set, also what has no shortcut below: jitter, a first delay, an interval for idle times.
    fn builder(self) -> ProbeBuilder<Self>
    where
        Self: Sized,
    {
        ProbeBuilder::new(self)
    }

    /// [`ProbeBuilder::named`]
    fn named(self, name: impl Into<String>) -> ProbeBuilder<Self>
    where
        Self: Sized,
    {
        self.builder().named(name)
    }

    /// [`ProbeBuilder::every`]
    fn every(self, interval: Duration) -> ProbeBuilder<Self>
    where
        Self: Sized,
    {
        self.builder().every(interval)
    }

    /// [`ProbeBuilder::timeout`]
    fn timeout(self, limit: Duration) -> ProbeBuilder<Self>
    where
        Self: Sized,
    {
        self.builder().timeout(limit)
    }

    /// [`ProbeBuilder::unhealthy_after`]
    fn unhealthy_after(self, failures: u32) -> ProbeBuilder<Self>
    where
        Self: Sized,
    {
        self.builder().unhealthy_after(failures)
    }

    /// [`ProbeBuilder::healthy_after`]
    fn healthy_after(self, successes: u32) -> ProbeBuilder<Self>
    where
        Self: Sized,
    {
        self.builder().healthy_after(successes)
    }

    /// [`ProbeBuilder::drives`]
    fn drives(self, circuit: Circuit) -> ProbeBuilder<Self>
    where
        Self: Sized,
    {
        self.builder().drives(circuit)
    }

    /// [`ProbeBuilder::spawn`]
    ///
    /// # Errors
    ///
    /// As there.
    fn spawn(self) -> Result<ProbeHandle, BuildError>
    where
        Self: Sized,
    {
        self.builder().spawn()
    }
}
