//! A body that is taken down as it passes by, or one that was.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::record::Record;

pin_project! {
    /// The body of a response that goes through [`cached_http`](crate::FallbackLayer::cached_http): the service's own, taken
    /// down as its frames pass by, or a last good one.
    ///
    /// Frames are handed on the moment they come. Nothing is stored unless the body comes to a clean end: one that fails,
    /// is dropped early, is longer than the bound or ends in a gRPC status other than 0 leaves no trace.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it stores nothing.
    pub struct CachedBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Passing { #[pin] body: B, record: Record },
        Kept { data: Option<Bytes>, trailers: Option<HeaderMap> },
    }
}

impl<B> CachedBody<B> {
    pub(crate) fn passing(body: B, record: Record) -> Self {
        Self {
            kind: Kind::Passing { body, record },
        }
    }

    pub(crate) fn kept(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        let data = Some(data).filter(|data| !data.is_empty());
        Self {
            kind: Kind::Kept { data, trailers },
        }
    }
}

impl<B> Body for CachedBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Passing { mut body, record } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                match &frame {
                    Some(Ok(frame)) => {
                        if let Some(data) = frame.data_ref() {
                            record.data(data);
                        }
                        // Who is told that this was the last frame does not ask for another.
                        if frame.is_trailers() || body.is_end_stream() {
                            record.end(frame.trailers_ref());
                        }
                    }
                    Some(Err(_)) => record.give_up(),
                    None => record.end(None),
                }
                Poll::Ready(frame)
            }
            KindProj::Kept { data, trailers } => {
                let frame = data
                    .take()
                    .map(Frame::data)
                    .or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Passing { body, .. } => body.is_end_stream(),
            Kind::Kept { data, trailers } => data.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Passing { body, .. } => body.size_hint(),
            Kind::Kept { data, .. } => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
        }
    }
}

impl<B> fmt::Debug for CachedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Passing { .. } => "Passing",
            Kind::Kept { .. } => "Kept",
        };
        f.debug_struct("CachedBody")
            .field("kind", &kind)
            .finish_non_exhaustive()
    }
}
