//! Waiting in `poll_ready` until a call would be admitted.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use state_core::{Circuit, RefusalReason, Refused, State, Watch};
use tokio::time::{Instant, Sleep, sleep_until};

/// The shortest wait: what is shorter would only be the circuit's clock and tokio's disagreeing.
const SHORTEST: Duration = Duration::from_millis(1);
/// A ramp admits more with time, not all at once at its end: it is asked again this many times on its way.
const RAMP_STEPS: u32 = 64;

/// Wakes a service that waits for its circuit: at every transition, and when a try makes sense.
pub(crate) struct Gate {
    watch: Watch,
    sleep: Option<Pin<Box<Sleep>>>,
    /// A ramp has drawn against this service, and does not draw again before its time.
    drawn: bool,
}

impl Gate {
    pub(crate) fn new(circuit: Circuit) -> Self {
        Self {
            watch: circuit.watch(),
            sleep: None,
            drawn: false,
        }
    }

    /// Has the task woken at the next transition. The circuit is to be looked at afterwards.
    pub(crate) fn wake_on_change(&mut self, cx: &Context<'_>) {
        self.watch.wake_on_change(cx);
    }

    /// Ready when a call would be admitted.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let circuit = self.watch.circuit();
        // Listed before the circuit is looked at: no transition falls between.
        self.watch.wake_on_change(cx);
        if self.drawn && circuit.state() == State::HalfOpen {
            if let Some(sleep) = &mut self.sleep {
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        }
        while let Err(refused) = circuit.readiness() {
            self.drawn = refused.reason() == RefusalReason::Ramp;
            let Some(deadline) = deadline(&refused) else {
                // Only a probe or an operator can end it, and that is a transition.
                self.sleep = None;
                return Poll::Pending;
            };
            let sleep = match &mut self.sleep {
                Some(sleep) => {
                    sleep.as_mut().reset(deadline);
                    sleep
                }
                none => none.insert(Box::pin(sleep_until(deadline))),
            };
            // A deadline in the future: pending, but if this thread was held up for that long right here.
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        self.sleep = None;
        self.drawn = false;
        Poll::Ready(())
    }
}

fn deadline(refused: &Refused) -> Option<Instant> {
    let wait = match refused.reason() {
        RefusalReason::Ramp => refused.retry_after()? / RAMP_STEPS,
        _ => refused.retry_after()?,
    };
    // None: past the end of all clocks.
    Instant::now().checked_add(wait.max(SHORTEST))
}
