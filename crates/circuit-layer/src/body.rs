//! The body of a response behind a circuit.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_outcome::GuardedBody;
use pin_project_lite::pin_project;

use crate::guard::CircuitGuard;
use crate::http_classify::{ByStatus, HttpClassify};

pin_project! {
    /// The body of a response behind a circuit: the inner service's, which settles the call when it ends, or that of a
    /// refusal. It can be of any kind whose data can be made of [`Bytes`], as a client's `hyper::body::Incoming`.
    ///
    /// Frames, errors and size pass through untouched.
    ///
    /// # Cancel safety
    ///
    /// A `poll_frame` that is pending has changed nothing. A body that is dropped before its end counts as
    /// [`on_body_drop`](crate::CircuitLayer::on_body_drop) says.
    pub struct CircuitBody<B, H = ByStatus> {
        #[pin]
        kind: Kind<B, H>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B, H> {
        Inner { #[pin] body: GuardedBody<B, CircuitGuard<H>> },
        Refusal { bytes: Bytes },
    }
}

impl<B, H> CircuitBody<B, H> {
    pub(crate) fn guarded(body: B, guard: CircuitGuard<H>) -> Self
    where
        B: Body,
        H: HttpClassify,
    {
        Self {
            kind: Kind::Inner {
                body: GuardedBody::new(body, guard),
            },
        }
    }

    /// A body that settles nothing when it ends.
    pub const fn unguarded(body: B) -> Self {
        Self {
            kind: Kind::Inner {
                body: GuardedBody::unguarded(body),
            },
        }
    }

    pub(crate) const fn refusal(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Refusal { bytes },
        }
    }

    /// The inner service's body; `None` in a refusal.
    pub const fn get_ref(&self) -> Option<&B> {
        match &self.kind {
            Kind::Inner { body } => Some(body.get_ref()),
            Kind::Refusal { .. } => None,
        }
    }

    /// Whether the call is still to be settled by this body.
    pub const fn is_guarded(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.guard().is_some(),
            Kind::Refusal { .. } => false,
        }
    }
}

/// Tells the guard of a panic.
struct Unwinding<'a, B, H>(Pin<&'a mut GuardedBody<B, CircuitGuard<H>>>);

impl<B, H> Drop for Unwinding<'_, B, H> {
    fn drop(&mut self) {
        if let Some(guard) = self.0.guard() {
            guard.panicked();
        }
    }
}

impl<B, H> Body for CircuitBody<B, H>
where
    B: Body,
    B::Data: From<Bytes>,
    H: HttpClassify,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => {
                let mut unwinding = Unwinding(body);
                let polled = unwinding.0.as_mut().poll_frame(cx);
                mem::forget(unwinding);
                polled
            }
            KindProjection::Refusal { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProjection::Refusal { bytes } => {
                let bytes = mem::take(bytes);
                Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Refusal { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Refusal { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

impl<B: Default, H> Default for CircuitBody<B, H> {
    /// The default body, unguarded: some middleware wants one.
    fn default() -> Self {
        Self::unguarded(B::default())
    }
}

impl<B, H> From<Bytes> for CircuitBody<B, H> {
    /// A body of these bytes that settles nothing: so a layer round this one can make its refusals.
    fn from(bytes: Bytes) -> Self {
        Self::refusal(bytes)
    }
}

impl<B: fmt::Debug, H> fmt::Debug for CircuitBody<B, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Inner { body } => f.debug_tuple("CircuitBody").field(body).finish(),
            Kind::Refusal { bytes } => f.debug_tuple("CircuitBody").field(bytes).finish(),
        }
    }
}
