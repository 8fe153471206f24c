//! What is seen of a probe.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::state::HealthState;

/// What one check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckResult {
    /// The dependency is up.
    Passed,
    /// The check said no, or could not be made.
    Failed,
    /// There was no answer within the time limit.
    TimedOut,
    /// The probe panicked.
    Panicked,
}

impl CheckResult {
    /// The result in `snake_case`, as logs and labels write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Panicked => "panicked",
        }
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A probe at one moment.
///
/// ```
/// use health_probe::{CheckResult, FnProbe, HealthState, Probe};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let disk = FnProbe::new("disk", async || Err::<(), _>("full")).spawn()?;
/// let seen = disk.check_now().await?;
/// assert_eq!((seen.state, seen.last_result, seen.failures_in_a_row), (HealthState::Down, Some(CheckResult::Failed), 1));
/// assert_eq!(seen.last_error.as_deref(), Some("full"));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The probe's name.
    pub name: Arc<str>,
    /// The state.
    pub state: HealthState,
    /// How long it has been in this state.
    pub since: Duration,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it has ended: its handle is gone, or its runtime.
    pub ended: bool,
    /// How many checks there were.
    pub checks: u64,
    /// What the last check came to.
    pub last_result: Option<CheckResult>,
    /// How long the last check took.
    pub last_latency: Option<Duration>,
    /// How long ago the last check ended.
    pub last_check: Option<Duration>,
    /// Checks that have passed in a row, the last one among them.
    pub successes_in_a_row: u32,
    /// Checks that have failed in a row, the last one among them.
    pub failures_in_a_row: u32,
    /// What the last failed check said, in one line of bounded length; kept when later ones pass.
    pub last_error: Option<Arc<str>>,
    /// How long ago that was.
    pub last_failure: Option<Duration>,
    /// The time to the next check; `None` while paused, or ended.
    pub next_check: Option<Duration>,
}
