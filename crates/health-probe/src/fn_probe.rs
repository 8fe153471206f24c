//! Any async function as a probe.

use std::fmt;
use std::future::Future;

use crate::BoxError;
use crate::check_error::CheckError;
use crate::probe::Probe;

/// Any async function that says `Ok` or `Err`.
///
/// ```
/// use health_probe::{CheckError, FnProbe, HealthState, Probe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # async fn depth() -> Result<u64, std::io::Error> { Ok(7) }
/// let queue = FnProbe::new("queue", async || match depth().await {
///     Ok(depth) if depth < 10_000 => Ok(()),
///     Ok(depth) => Err(CheckError::new(format!("{depth} jobs wait"))),
///     Err(error) => Err(CheckError::new(error).down_at_once()),
/// })
/// .spawn()?;
/// assert_eq!(queue.check_now().await?.state, HealthState::Up);
/// # Ok(()) }
/// ```
///
/// The error may be of any kind; as a [`CheckError`] it can say that it means down at once. The function is called on a
/// thread of the runtime: what blocks belongs into `tokio::task::spawn_blocking`.
#[derive(Clone)]
pub struct FnProbe<F> {
    name: String,
    function: F,
}

impl<F, R, T, E> FnProbe<F>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<T, E>> + Send,
    E: Into<BoxError>,
{
    /// A probe called `name` that calls `function` for each check.
    pub fn new(name: impl Into<String>, function: F) -> Self {
        Self {
            name: name.into(),
            function,
        }
    }
}

impl<F, R, T, E> Probe for FnProbe<F>
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<T, E>> + Send,
    E: Into<BoxError>,
{
    async fn check(&self) -> Result<(), CheckError> {
        // Called when polled: a panic of the function itself is then caught like any other.
        (self.function)().await.map(drop).map_err(CheckError::new)
    }

    fn target(&self) -> String {
        self.name.clone()
    }
}

impl<F> fmt::Debug for FnProbe<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnProbe")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
