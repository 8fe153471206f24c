//! An end to every wait.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

pin_project! {
    /// The future, or `None` when it takes longer than `limit`.
    ///
    /// The timer is made when the future first has to wait: a store in memory needs neither a timer nor a runtime.
    pub(crate) struct Deadline<F> {
        #[pin]
        future: F,
        #[pin]
        timer: Option<tokio::time::Sleep>,
        limit: Duration,
    }
}

pub(crate) fn within<F: Future>(limit: Duration, future: F) -> Deadline<F> {
    Deadline {
        future,
        timer: None,
        limit,
    }
}

impl<F: Future> Future for Deadline<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Some(output));
        }
        if this.timer.is_none() {
            this.timer.set(Some(tokio::time::sleep(*this.limit)));
        }
        if let Some(timer) = this.timer.as_pin_mut() {
            ready!(timer.poll(cx));
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_never_ends_is_ended() {
        assert_eq!(
            within(Duration::from_millis(250), std::future::pending::<()>()).await,
            None
        );
        assert_eq!(within(Duration::ZERO, async { 3 }).await, Some(3));
    }

    #[test]
    fn what_is_ready_needs_no_runtime() {
        let waker = std::task::Waker::noop();
        let mut future = std::pin::pin!(within(Duration::ZERO, async { 3 }));
        assert_eq!(
            future.as_mut().poll(&mut Context::from_waker(waker)),
            Poll::Ready(Some(3))
        );
    }
}
