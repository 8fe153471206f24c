//! What is kept of an HTTP request.

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, Uri, Version};
use http_body::Body;
use http_body_util::{Empty, Full};

use crate::{Keep, Restore};

/// The head of an HTTP request, and its body where that was kept too: what [`KeepHead`] and [`KeepBytes`] keep.
///
/// Header values and a `Bytes` body are shared with the request and not copied.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeptRequest<B = ()> {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// The version.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The extensions: for axum what its extractors need.
    pub extensions: Extensions,
    /// The body; `None` where the request had one that could not be kept.
    pub body: Option<B>,
}

impl<B> KeptRequest<B> {
    fn of<B0>(request: &Request<B0>, body: Option<B>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            extensions: request.extensions().clone(),
            body,
        }
    }

    fn request<B0>(&self, body: B0) -> Request<B0> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        request
    }
}

/// Keeps the head of a request: for steps that answer from it, and for backups where requests come without a body (GET).
///
/// A request with a body cannot be made again from its head: a backup passes on.
///
/// ```
/// use bytes::Bytes;
/// use fallback_layer::{Keep, Restore, http::KeepHead};
/// use http::Request;
/// use http_body_util::Full;
///
/// type Body = Full<Bytes>;
///
/// let get = Request::get("/items").body(Body::default()).unwrap();
/// let again: Option<Request<Body>> = KeepHead.restore(&KeepHead.keep(&get));
/// assert_eq!(again.unwrap().uri().path(), "/items");
///
/// let post = Request::post("/items").body(Body::from("{}")).unwrap();
/// let again: Option<Request<Body>> = KeepHead.restore(&KeepHead.keep(&post));
/// assert!(again.is_none());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepHead;

impl<B: Body> Keep<Request<B>> for KeepHead {
    type Kept = KeptRequest;

    fn keep(&self, request: &Request<B>) -> KeptRequest {
        KeptRequest::of(request, request.body().is_end_stream().then_some(()))
    }
}

impl<B: Body + Default> Restore<Request<B>> for KeepHead {
    fn restore(&self, kept: &KeptRequest) -> Option<Request<B>> {
        kept.body.map(|()| kept.request(B::default()))
    }
}

/// Keeps the head and the body of a request whose body is [`Bytes`], which costs one reference count.
///
/// ```
/// use bytes::Bytes;
/// use fallback_layer::{Keep, Restore, http::KeepBytes};
/// use http::Request;
///
/// let kept = KeepBytes.keep(&Request::post("/items").body(Bytes::from("{}")).unwrap());
/// assert_eq!(KeepBytes.restore(&kept).unwrap().body(), "{}");
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepBytes;

/// A request body that shares its bytes when it is cloned. Sealed.
pub trait BytesBody: Clone + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! bytes_bodies {
    ($($body:ty),*) => {$(
        impl sealed::Sealed for $body {}
        impl BytesBody for $body {}
    )*};
}

bytes_bodies!((), Bytes, Full<Bytes>, Empty<Bytes>);

impl<B: BytesBody> Keep<Request<B>> for KeepBytes {
    type Kept = KeptRequest<B>;

    fn keep(&self, request: &Request<B>) -> KeptRequest<B> {
        KeptRequest::of(request, Some(request.body().clone()))
    }
}

impl<B: BytesBody> Restore<Request<B>> for KeepBytes {
    fn restore(&self, kept: &KeptRequest<B>) -> Option<Request<B>> {
        Some(kept.request(kept.body.clone()?))
    }
}
