//! What a body can carry to its end.

use http::HeaderMap;

/// What is carried by a [`GuardedBody`](crate::GuardedBody) and settled once, when the body ends.
///
/// Exactly one of three things happens to a guard: [`ended`](Self::ended), [`failed`](Self::failed), or it is dropped
/// because the body was dropped before its end (the caller gave up, a `HEAD` request). What an early drop means is for
/// the guard's own `Drop` to say.
///
/// # Panics
///
/// None of the three should panic: they run inside whatever polls or drops the body.
///
/// ```
/// use http::HeaderMap;
/// use http_outcome::{BodyGuard, Judged, Protocol};
///
/// /// Reports what a response came to.
/// struct Report<F: FnOnce(Judged)> {
///     protocol: Protocol,
///     to: F,
/// }
///
/// impl<F: FnOnce(Judged)> BodyGuard for Report<F> {
///     fn ended(self, trailers: Option<&HeaderMap>) {
///         (self.to)(self.protocol.judge_end(trailers));
///     }
///
///     fn failed(self) {
///         (self.to)(self.protocol.judge_error());
///     }
/// }
/// ```
pub trait BodyGuard {
    /// The body ended; with its trailers, if it had any.
    fn ended(self, trailers: Option<&HeaderMap>);

    /// The body broke off with an error.
    fn failed(self);
}

/// A guard that only holds something until the body is over, whichever way: a permit, a span, a counter.
///
/// ```
/// use std::sync::Arc;
/// use http_body_util::{BodyExt, Full};
/// use http_outcome::{GuardedBody, Hold};
/// # use bytes::Bytes;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let permit = Arc::new(());
/// let mut body = GuardedBody::new(Full::new(Bytes::from("hello")), Hold(permit.clone()));
/// assert_eq!(Arc::strong_count(&permit), 2);
/// let _ = body.frame().await;
/// assert_eq!(Arc::strong_count(&permit), 1); // over, though the body is still here
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hold<T>(pub T);

impl<T> BodyGuard for Hold<T> {
    fn ended(self, _trailers: Option<&HeaderMap>) {}

    fn failed(self) {}
}
