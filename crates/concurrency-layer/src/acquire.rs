//! Waiting for a slot.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::dismiss::{Dismiss, Undismissed};
use crate::error::{Overloaded, Reason};
use crate::limit::{Admission, Limit};
use crate::line::{Key, Turn};
use crate::permit::Permit;
use crate::registry;
use crate::slot::{Slot, Slotted};

/// A place in line. Dropped, it is given up, and a slot that had been granted goes on to the next.
#[derive(Debug)]
pub(crate) struct Ticket {
    limit: Limit,
    /// `None`: no longer in line.
    key: Option<Key>,
}

impl Ticket {
    pub(crate) const fn new(limit: Limit, key: Key) -> Self {
        Self { limit, key: Some(key) }
    }

    /// The turn, if it has come.
    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<Result<Permit, Overloaded>> {
        let key = self.key.expect("polled after it was over");
        match self.limit.slot().ask(key, cx.waker()) {
            Turn::Waiting => Poll::Pending,
            turn => {
                self.key = None;
                Poll::Ready(self.settle(turn, Reason::Retired))
            }
        }
    }

    /// Gives up waiting for `reason`; a slot that was granted in this very moment is as good as ever.
    fn give_up(&mut self, reason: Reason) -> Result<Permit, Overloaded> {
        let turn = self
            .key
            .take()
            .map_or(Turn::Retired, |key| self.limit.slot().leave(key));
        self.settle(turn, reason)
    }

    fn settle(&self, turn: Turn, reason: Reason) -> Result<Permit, Overloaded> {
        match turn {
            Turn::Granted => Ok(Permit::new(self.limit.slot())),
            Turn::Waiting => Err(self.limit.refuse_late(reason)),
            Turn::Retired => Err(self.limit.refuse_late(Reason::Retired)),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            abandon(self.limit.slot(), key);
        }
    }
}

#[cold]
#[inline(never)]
fn abandon(slot: &'static Slot, key: Key) {
    if slot.abandon(key) == Slotted::Free {
        registry::recycle(slot);
    }
}

pin_project! {
    /// Somebody in line, with all that can end it: the turn, a dismissal, the time.
    #[derive(Debug)]
    pub(crate) struct Wait<T> {
        ticket: Ticket,
        deadline: Option<Instant>,
        // Made when first polled: whoever makes the call need not be inside a runtime, whoever polls it is.
        #[pin]
        sleep: Option<Sleep>,
        #[pin]
        dismissal: T,
    }
}

impl<T> Wait<T> {
    pub(crate) fn new(ticket: Ticket, max_wait: Option<Duration>, dismissal: T) -> Self {
        // A time that the clock cannot tell any more never comes.
        let deadline = max_wait.and_then(|max_wait| Instant::now().checked_add(max_wait));
        Self {
            ticket,
            deadline,
            sleep: None,
            dismissal,
        }
    }
}

impl<T: Future<Output = ()>> Future for Wait<T> {
    type Output = Result<Permit, Overloaded>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // First, so that a slot which has been granted is taken, however late it is polled.
        if let Poll::Ready(turn) = this.ticket.poll_turn(cx) {
            return Poll::Ready(turn);
        }
        if this.dismissal.poll(cx).is_ready() {
            return Poll::Ready(this.ticket.give_up(Reason::Dismissed));
        }
        let Some(deadline) = *this.deadline else {
            return Poll::Pending;
        };
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep_until(deadline)));
        }
        match this.sleep.as_pin_mut().map(|sleep| sleep.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(this.ticket.give_up(Reason::WaitedTooLong)),
            _ => Poll::Pending,
        }
    }
}

pin_project! {
    /// A permit to come: what [`Limit::acquire`] answers.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the line at once; had it been given a slot, the next in line gets it.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered, and where a timer is needed (when it waits in a queue) outside a tokio
    /// runtime with time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrency_layer::Limit;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limit = Limit::fixed(1).queue(10, Duration::from_secs(2)).build()?;
    /// let first = limit.acquire().await?;
    /// let second = tokio::spawn(limit.acquire());
    /// tokio::task::yield_now().await;
    /// assert_eq!(limit.waiting(), 1);
    /// drop(first);
    /// assert!(second.await?.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Acquire<D = Undismissed>
    where
        D: Dismiss,
    {
        limit: Limit<D>,
        #[pin]
        state: State<D::Dismissal>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<T> {
        New,
        Waiting { #[pin] wait: Wait<T> },
        Over,
    }
}

impl<D: Dismiss> Acquire<D> {
    pub(crate) const fn new(limit: Limit<D>) -> Self {
        Self {
            limit,
            state: State::New,
        }
    }
}

impl<D: Dismiss> Future for Acquire<D> {
    type Output = Result<Permit, Overloaded>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let answer = match this.state.as_mut().project() {
                StateProjection::New => match this.limit.admit() {
                    Admission::Admitted(permit) => Ok(permit),
                    Admission::Refused(overloaded) => Err(overloaded),
                    Admission::Waiting(wait) => {
                        this.state.set(State::Waiting { wait });
                        continue;
                    }
                },
                StateProjection::Waiting { wait } => match wait.poll(cx) {
                    Poll::Ready(answer) => answer,
                    Poll::Pending => return Poll::Pending,
                },
                StateProjection::Over => panic!("polled after it was over"),
            };
            this.state.set(State::Over);
            return Poll::Ready(answer);
        }
    }
}
