//! Time as tokio has it: the clock file.

use std::sync::LazyLock;

use state_core::Clock;
use tokio::time::Instant;

/// Where this clock's time begins. Under paused time the pause counts from here too, so it must be read early: at the
/// first reading by any circuit.
static ANCHOR: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A clock that follows tokio's: with `tokio::time::pause` a circuit's time stands still, with `advance` it jumps.
///
/// For tests and simulations; in production the system's clock is cheaper and the default. All circuits with this clock
/// share one time, which belongs to the process: a test that pauses time should build its circuits after it has paused.
///
/// ```
/// use std::time::Duration;
/// use circuit_layer::{Circuit, State, TokioClock};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let circuit = Circuit::builder("doc").consecutive_failures(1).clock(TokioClock).build()?;
/// circuit.acquire()?.failure();
/// assert_eq!(circuit.state(), State::Open);
/// tokio::time::sleep(Duration::from_secs(30)).await; // takes no time
/// assert_eq!(circuit.state(), State::HalfOpen);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokioClock;

impl Clock for TokioClock {
    fn now_nanos(&self) -> u64 {
        let since = Instant::now().saturating_duration_since(*ANCHOR);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}
