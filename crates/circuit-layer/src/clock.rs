//! Time as tokio has it: the clock file.

use std::sync::LazyLock;
use std::time::Duration;

use state_core::Clock;
use tokio::time::Instant;

/// A moment to count from: that of the first reading by any circuit.
static ANCHOR: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What the clock reads at the anchor: 146 years. A runtime whose time was paused and moved on may have made the anchor,
/// and the next runtime's time is before it.
const AT_ANCHOR: u64 = 1 << 62;

/// A clock that follows tokio's: with `tokio::time::pause` a circuit's time stands still, with `advance` it jumps.
///
/// For tests and simulations; in production the system's clock is cheaper and the default. A circuit belongs to the runtime
/// in which it was built: paused time is a runtime's own, so build circuits after the pause.
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
        let now = Instant::now();
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        match now.checked_duration_since(*ANCHOR) {
            Some(since) => AT_ANCHOR.saturating_add(nanos(since)),
            None => AT_ANCHOR.saturating_sub(nanos(ANCHOR.duration_since(now))),
        }
    }
}

#[cfg(test)]
mod tests {
    use state_core::{Circuit, State};
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_runtime_whose_time_was_moved_on_does_not_stop_the_time_of_the_next() {
        let runtime = || {
            Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap()
        };
        runtime().block_on(async {
            tokio::time::advance(Duration::from_secs(86_400)).await;
            assert_eq!(TokioClock.now_nanos(), AT_ANCHOR);
        });
        runtime().block_on(async {
            let circuit = Circuit::builder("tomorrow")
                .consecutive_failures(1)
                .clock(TokioClock)
                .build()
                .unwrap();
            circuit.acquire().unwrap().failure();
            tokio::time::advance(Duration::from_secs(29)).await;
            assert_eq!(circuit.state(), State::Open);
            tokio::time::advance(Duration::from_secs(2)).await;
            assert_eq!(circuit.state(), State::HalfOpen);
        });
    }
}
