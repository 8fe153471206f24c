//! The body of an answer: an error when it breaks off, and also when it falls silent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::UpstreamError;

pin_project! {
    /// A stream that hangs would otherwise hold its caller, its slot and its circuit's judgement for ever.
    pub(crate) struct UpstreamBody {
        #[pin]
        inner: Incoming,
        #[pin]
        silence: Sleep,
        patience: Duration,
    }
}

impl UpstreamBody {
    pub(super) fn new(inner: Incoming, patience: Duration) -> Self {
        Self {
            inner,
            silence: sleep(patience),
            patience,
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            this.silence.as_mut().reset(Instant::now() + *this.patience);
            return Poll::Ready(frame.map(|frame| frame.map_err(UpstreamError::Broken)));
        }
        ready!(this.silence.poll(cx));
        Poll::Ready(Some(Err(UpstreamError::Stalled { waited: *this.patience })))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
