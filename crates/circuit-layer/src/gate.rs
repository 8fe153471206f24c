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

    /// Ready when a call would be admitted. A ramp that has `drawn_for` the call refuses it no more.
    pub(crate) fn poll(&mut self, drawn_for: bool, cx: &mut Context<'_>) -> Poll<()> {
        let circuit = self.watch.circuit();
        let mut listed = false;
        loop {
            if !self.is_drawn_against(cx) {
                let refused = match circuit.readiness() {
                    Err(refused) if !(drawn_for && refused.reason() == RefusalReason::Ramp) => refused,
                    _ => break,
                };
                self.drawn = refused.reason() == RefusalReason::Ramp;
                // None: only a probe or an operator can end it, and that is a transition.
                if let Some(deadline) = deadline(&refused) {
                    let sleep = match &mut self.sleep {
                        Some(sleep) => {
                            sleep.as_mut().reset(deadline);
                            sleep
                        }
                        none => none.insert(Box::pin(sleep_until(deadline))),
                    };
                    // A deadline in the future: pending, but if this thread was held up for that long right here.
                    if sleep.as_mut().poll(cx).is_ready() {
                        continue;
                    }
                } else {
                    self.sleep = None;
                }
            }
            if listed {
                return Poll::Pending;
            }
            // Listed before the circuit is looked at for the last time: no transition falls between.
            self.watch.wake_on_change(cx);
            listed = true;
        }
        self.sleep = None;
        self.drawn = false;
        Poll::Ready(())
    }

    /// Whether a ramp has drawn against this service, and its time has not come again.
    fn is_drawn_against(&mut self, cx: &mut Context<'_>) -> bool {
        self.drawn
            && self.watch.circuit().state() == State::HalfOpen
            && self
                .sleep
                .as_mut()
                .is_some_and(|sleep| sleep.as_mut().poll(cx).is_pending())
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
