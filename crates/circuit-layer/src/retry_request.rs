//! Requests that can be made twice.

/// Makes the copy of a request that another try would need; `None` when it must not, or can't, be made twice. Every
/// `Fn(&Req) -> Option<Req>` is one: see [`RetryBuilder::clone_with`](crate::RetryBuilder::clone_with).
pub trait CloneRequest<Req> {
    /// A copy to be kept while the request is on its way.
    fn clone_request(&self, request: &Req) -> Option<Req>;
}

impl<Req, F> CloneRequest<Req> for F
where
    F: Fn(&Req) -> Option<Req>,
{
    fn clone_request(&self, request: &Req) -> Option<Req> {
        self(request)
    }
}

/// Every request that is `Clone`. The default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByClone;

impl<Req: Clone> CloneRequest<Req> for ByClone {
    fn clone_request(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// HTTP requests that may be made twice: of an idempotent method (RFC 9110, section 9.2.2), or with an
/// `Idempotency-Key`. The body must be `Clone`: `Full<Bytes>`, `Empty<Bytes>`, a `String`.
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Idempotent;

#[cfg(feature = "http")]
impl<B: Clone> CloneRequest<http::Request<B>> for Idempotent {
    fn clone_request(&self, request: &http::Request<B>) -> Option<http::Request<B>> {
        let twice = request.method().is_idempotent() || request.headers().contains_key("idempotency-key");
        twice.then(|| request.clone())
    }
}
