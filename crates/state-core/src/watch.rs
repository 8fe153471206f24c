//! Waiting for a circuit to change.

use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::circuit::Circuit;
use crate::state::State;
use crate::waiters::Waiter;

impl Circuit {
    /// A future that resolves when the circuit is open or forced open: at once if it is.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use state_core::Circuit;
    ///
    /// let circuit = Circuit::builder("doc").consecutive_failures(1).build()?;
    /// let opened = circuit.opened();
    /// circuit.acquire()?.failure();
    /// opened.await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time; it holds nothing but its place among those who wait.
    pub fn opened(&self) -> Opened {
        Opened { watch: self.watch() }
    }

    /// A watch on this circuit's transitions, for code that polls.
    pub fn watch(&self) -> Watch {
        Watch {
            circuit: *self,
            seen: self.slot.word.load().generation(),
            waiter: None,
        }
    }
}

/// Says when a circuit has changed: a transition, or a trial that came back. See [`Circuit::watch`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use state_core::{Circuit, State};
///
/// let circuit = Circuit::builder("doc").build()?;
/// let mut watch = circuit.watch();
/// circuit.force_open();
/// watch.changed().await;
/// assert_eq!(circuit.state(), State::ForcedOpen);
/// # Ok(()) }
/// ```
pub struct Watch {
    circuit: Circuit,
    seen: u64,
    waiter: Option<Arc<Waiter>>,
}

impl Watch {
    /// The circuit that is watched.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        self.circuit
    }

    /// Has the task woken at the next change, with its newest waker. Look at the circuit *after* this call: a change
    /// before it does not wake.
    ///
    /// However often it is called, the watch stands in the circuit's list at most once.
    pub fn wake_on_change(&mut self, cx: &Context<'_>) {
        let waiter = self.waiter.get_or_insert_with(Waiter::new);
        self.circuit.slot.line.waiters.list(waiter, cx.waker());
    }

    /// Resolves when a new generation has begun since the watch was made or last resolved.
    ///
    /// # Cancel safety
    ///
    /// A change is not lost when the future is dropped: the next one resolves at once.
    pub async fn changed(&mut self) {
        core::future::poll_fn(|cx| {
            self.wake_on_change(cx);
            let generation = self.circuit.slot.word.load().generation();
            if generation == self.seen && self.circuit.owns() {
                return Poll::Pending;
            }
            self.seen = generation;
            Poll::Ready(())
        })
        .await;
    }
}

impl Clone for Watch {
    /// A watch of its own on the same circuit.
    fn clone(&self) -> Self {
        Self {
            circuit: self.circuit,
            seen: self.seen,
            waiter: None,
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("circuit", &self.circuit.name())
            .finish_non_exhaustive()
    }
}

/// Resolves when a circuit opens. See [`Circuit::opened`]. A clone waits by itself.
#[derive(Debug, Clone)]
#[must_use = "futures do nothing unless polled"]
pub struct Opened {
    watch: Watch,
}

impl Future for Opened {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.watch.wake_on_change(cx);
        match self.watch.circuit.state() {
            State::Open | State::ForcedOpen => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}
