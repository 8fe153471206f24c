//! A probe that panics must not take its task along.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

pin_project! {
    /// Catches the panics of a future: those of its polls, and that of its drop.
    ///
    /// What a panic leaves half done is the probe's own: nothing of this crate is reachable from within.
    pub(crate) struct Caught<F> {
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Caught<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut future = this.project().future;
            let _ = catch_unwind(AssertUnwindSafe(|| future.set(None)));
        }
    }
}

impl<F> Caught<F> {
    pub(crate) const fn new(future: F) -> Self {
        Self { future: Some(future) }
    }
}

impl<F: Future> Future for Caught<F> {
    /// The text of the panic, if there was one.
    type Output = Result<F::Output, String>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.project().future;
        let Some(future) = slot.as_mut().as_pin_mut() else {
            return Poll::Ready(Err("polled after it was over".to_owned()));
        };
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => match catch_unwind(AssertUnwindSafe(|| slot.set(None))) {
                Ok(()) => Poll::Ready(Ok(output)),
                Err(panic) => Poll::Ready(Err(text(&*panic))),
            },
            Err(panic) => {
                let _ = catch_unwind(AssertUnwindSafe(|| slot.set(None)));
                Poll::Ready(Err(text(&*panic)))
            }
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};

    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    struct DropBomb;

    impl Drop for DropBomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }

    #[test]
    fn a_panic_in_a_poll_is_an_answer() {
        let mut caught = task::spawn(Caught::new(poll_fn(|_| -> Poll<()> { panic!("in poll {}", 1) })));
        assert_eq!(assert_ready!(caught.poll()), Err("in poll 1".to_owned()));
        assert!(assert_ready!(caught.poll()).is_err(), "and after it too");
        assert_eq!(assert_ready!(task::spawn(Caught::new(ready(1))).poll()), Ok(1));
    }

    #[test]
    fn a_panic_in_a_drop_is_caught() {
        let mut caught = task::spawn(Caught::new(async {
            let _bomb = DropBomb;
            pending::<()>().await;
        }));
        assert_pending!(caught.poll());
        drop(caught);
        let bomb = DropBomb;
        let mut caught = task::spawn(Caught::new(poll_fn(move |_| {
            let _ = &bomb;
            Poll::Ready(())
        })));
        assert_eq!(assert_ready!(caught.poll()), Err("in drop".to_owned()));
    }
}
