//! A body that carries a guard to its end.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::BodyGuard;

pin_project! {
    /// A body that carries a guard to its end.
    ///
    /// The guard settles once, at the first of these, and is gone from then on, even while the body is still held:
    ///
    /// | what comes | what the guard is told |
    /// |---|---|
    /// | trailers | [`ended`](BodyGuard::ended) with them |
    /// | the end | `ended` without trailers |
    /// | a frame after which [`is_end_stream`](Body::is_end_stream) is true | `ended` without trailers |
    /// | the body has ended before it began | `ended` without trailers, in [`new`](Self::new) |
    /// | an error | [`failed`](BodyGuard::failed) |
    /// | the body is dropped before any of these | nothing: it is dropped, after the body |
    ///
    /// Frames, errors, size hint and end of stream pass through untouched, and nothing is allocated. A body without a
    /// guard ([`unguarded`](Self::unguarded)) has the same type, so that a service has one type of response.
    ///
    /// # Cancel safety
    ///
    /// A `poll_frame` that is pending has changed nothing. To drop the body drops the guard.
    ///
    /// # Panics
    ///
    /// Polling after the end is safe, even where the body inside would panic: once that has answered with its end or an
    /// error it is not asked again.
    ///
    /// See [`Hold`](crate::Hold) and [`BodyGuard`] for examples.
    pub struct GuardedBody<B, G> {
        // The order matters: a body that is dropped early gives up its connection before the guard frees its place.
        #[pin]
        body: B,
        guard: Option<G>,
        over: bool,
    }
}

impl<B, G> GuardedBody<B, G> {
    /// Carries `guard` to the end of `body`. Where that has come already, the guard settles at once.
    pub fn new(body: B, guard: G) -> Self
    where
        B: Body,
        G: BodyGuard,
    {
        // Nobody need poll a body that says it is at its end, and servers do not.
        let guard = if body.is_end_stream() {
            guard.ended(None);
            None
        } else {
            Some(guard)
        };
        Self {
            body,
            guard,
            over: false,
        }
    }

    /// The same type without a guard.
    ///
    /// ```
    /// use http_body_util::Empty;
    /// use http_outcome::{GuardedBody, Hold};
    ///
    /// let body: GuardedBody<_, Hold<u64>> = GuardedBody::unguarded(Empty::<bytes::Bytes>::new());
    /// assert!(body.guard().is_none());
    /// ```
    pub const fn unguarded(body: B) -> Self {
        Self {
            body,
            guard: None,
            over: false,
        }
    }

    /// The guard, while it has not settled.
    pub const fn guard(&self) -> Option<&G> {
        self.guard.as_ref()
    }

    /// The body inside.
    pub const fn get_ref(&self) -> &B {
        &self.body
    }

    /// Takes body and guard apart; the guard, if there is still one, is the caller's to settle.
    pub fn into_parts(self) -> (B, Option<G>) {
        (self.body, self.guard)
    }
}

impl<B, G> Body for GuardedBody<B, G>
where
    B: Body,
    G: BodyGuard,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        let polled = ready!(this.body.as_mut().poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    if let Some(guard) = this.guard.take() {
                        guard.ended(Some(trailers));
                    }
                } else if this.guard.is_some() && this.body.is_end_stream() {
                    if let Some(guard) = this.guard.take() {
                        guard.ended(None);
                    }
                }
            }
            Some(Err(_)) => {
                *this.over = true;
                if let Some(guard) = this.guard.take() {
                    guard.failed();
                }
            }
            None => {
                *this.over = true;
                if let Some(guard) = this.guard.take() {
                    guard.ended(None);
                }
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.over {
            SizeHint::with_exact(0)
        } else {
            self.body.size_hint()
        }
    }
}

impl<B: Default, G> Default for GuardedBody<B, G> {
    /// The default body, unguarded: what a gRPC refusal is made of.
    fn default() -> Self {
        Self::unguarded(B::default())
    }
}

impl<B: From<Bytes>, G> From<Bytes> for GuardedBody<B, G> {
    /// A body of these bytes, unguarded: what an HTTP refusal is made of.
    fn from(bytes: Bytes) -> Self {
        Self::unguarded(B::from(bytes))
    }
}

impl<B: fmt::Debug, G> fmt::Debug for GuardedBody<B, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody")
            .field("body", &self.body)
            .field("guarded", &self.guard.is_some())
            .finish_non_exhaustive()
    }
}
