//! The step that answers with the last good HTTP response, which it took down as it streamed by.

use core::fmt;
use core::future::{Ready, ready};
use core::hash::Hash;
use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AGE, CONNECTION, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_outcome::{Protocol, grpc};

use super::body::CachedBody;
use super::record::{Finish, Record};
use crate::cached::KeyFn;
use crate::layer::NeedsBuild;
use crate::{
    BoxError, Cause, Chain, ConfigError, FallbackLayer, Keep, LastGood, LastGoodBuilder, Step, Steps, WithStep,
};

/// The longest body that is kept where nothing else is said.
const MAX_BODY: usize = 64 * 1024;
/// What belongs to a connection and not to an answer.
const HOP_BY_HOP: [HeaderName; 4] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// A response that came whole, as [`LastGood`] keeps it.
#[derive(Debug)]
pub struct StoredResponse {
    status: StatusCode,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl StoredResponse {
    /// The length of its body in bytes, for [`LastGoodBuilder::max_weight`].
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.body.len()
    }
}

type Wrap<B> = Arc<dyn Fn(CachedBody<B>) -> B + Send + Sync>;

/// Answers with the last good response, which it took down while its body streamed by.
///
/// Made by [`FallbackLayer::cached_http`].
pub struct CachedHttp<ReqBody, Key, B> {
    key: KeyFn<Request<ReqBody>, Key>,
    wrap: Wrap<B>,
    max_body: usize,
    last_good: LastGood<Key, StoredResponse>,
}

impl<ReqBody, Key, B, Kept> Step<Request<ReqBody>, Response<B>, Kept> for CachedHttp<ReqBody, Key, B>
where
    Key: Hash + Eq + Send + Sync + 'static,
    B: Body<Data = Bytes>,
{
    const LEARNS: bool = true;
    type Held = Option<(Key, bool)>;
    type Future = Ready<Result<Option<Response<B>>, BoxError>>;

    fn hold(&self, request: &Request<ReqBody>) -> Self::Held {
        // The response to a HEAD has no body, which it would lack when it is given for a GET.
        (self.key)(request).map(|key| (key, request.method() != Method::HEAD))
    }

    fn learn(&self, held: Self::Held, response: Response<B>) -> Response<B> {
        let Some((key, true)) = held else { return response };
        let size = response.body().size_hint();
        if size.lower() > self.max_body as u64 || !self.last_good.wants(&key) {
            return response;
        }
        let (head, body) = response.into_parts();
        let (status, version) = (head.status, head.version);
        let mut headers = head.headers.clone();
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
        // A code in the head is the last word; it has been found good.
        let protocol = match grpc::code_in(&headers) {
            Some(_) => Protocol::Http,
            None => Protocol::of(&headers),
        };
        let last_good = self.last_good.clone();
        let finish: Finish = Box::new(move |body, trailers| {
            last_good.store(
                key,
                StoredResponse {
                    status,
                    version,
                    headers,
                    body,
                    trailers,
                },
            );
        });
        let mut record = Record::new(size.lower(), self.max_body, protocol, finish);
        if body.is_end_stream() {
            // Nobody asks such a body for a frame.
            record.end(None);
            return Response::from_parts(head, body);
        }
        Response::from_parts(head, (self.wrap)(CachedBody::passing(body, record)))
    }

    fn answer(&self, held: Self::Held, _: &Kept, _: &Cause<Response<B>>) -> Self::Future {
        let answer = held.and_then(|(key, _)| {
            self.last_good.read(&key, |stored, age| {
                let body = CachedBody::kept(stored.body.clone(), stored.trailers.clone());
                let mut response = Response::new((self.wrap)(body));
                *response.status_mut() = stored.status;
                *response.version_mut() = stored.version;
                *response.headers_mut() = stored.headers.clone();
                response.headers_mut().insert(AGE, HeaderValue::from(age.as_secs()));
                response
            })
        });
        ready(Ok(answer))
    }
}

impl<ReqBody, Key, B> Clone for CachedHttp<ReqBody, Key, B> {
    fn clone(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            wrap: Arc::clone(&self.wrap),
            max_body: self.max_body,
            last_good: self.last_good.clone(),
        }
    }
}

impl<ReqBody, Key, B> fmt::Debug for CachedHttp<ReqBody, Key, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedHttp")
            .field("max_body", &self.max_body)
            .field("last_good", &self.last_good)
            .finish_non_exhaustive()
    }
}

/// # Steps for HTTP
impl<ReqBody, B, C, K, V> FallbackLayer<Request<ReqBody>, Response<B>, C, K, V>
where
    K: Keep<Request<ReqBody>>,
    C: Steps<Request<ReqBody>, Response<B>, K::Kept, Error = BoxError>,
{
    /// Adds a step `"cached"` for streaming bodies: the last good response for the key that `key` makes of the request;
    /// requests without a key (`None`) are neither stored nor answered.
    ///
    /// The frames of a good response are taken down as they pass by, and stored at the clean end of the body, if it is no
    /// longer than [`max_body`](Self::max_body). `wrap` makes a body of the service's own type from a [`CachedBody`]: with
    /// axum that is `Body::new`. An answer carries its age in the `Age` header.
    ///
    /// The key decides who sees whose answer: it has to name everything that the answer depends on. See
    /// [`HttpMark`](crate::http::HttpMark) for what is not stored at all. Memory is bounded by
    /// [`max_entries`](Self::max_entries) (1,000) times [`max_body`](Self::max_body) (64 KiB), and the headers.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use axum::{Router, body::Body, extract::Request, response::Response, routing::get};
    /// use fallback_layer::FallbackLayer;
    /// use http::StatusCode;
    ///
    /// let fallback = FallbackLayer::http()
    ///     .cached_http(|request: &Request| Some(request.uri().path().to_owned()), Body::new)
    ///     .max_age(Duration::from_secs(3600))
    ///     .or_else(|_, _| {
    ///         let mut sorry = Response::new(Body::from("sorry"));
    ///         *sorry.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    ///         sorry
    ///     })
    ///     .build()?;
    /// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(fallback);
    /// # Ok::<(), fallback_layer::ConfigError>(())
    /// ```
    pub fn cached_http<Key>(
        self,
        key: impl Fn(&Request<ReqBody>) -> Option<Key> + Send + Sync + 'static,
        wrap: impl Fn(CachedBody<B>) -> B + Send + Sync + 'static,
    ) -> WithCachedHttp<ReqBody, B, C, Key, K, V>
    where
        Key: Hash + Eq + Send + Sync + 'static,
        B: Body<Data = Bytes>,
    {
        self.cached_http_in(&LastGood::with(LastGood::builder()), key, wrap)
    }

    /// As [`cached_http`](Self::cached_http), with responses kept in `last_good`, which others may share.
    ///
    /// ```
    /// use axum::{body::Body, extract::Request, response::Response};
    /// use fallback_layer::{FallbackLayer, LastGood, http::StoredResponse};
    ///
    /// let pages = LastGood::<String, StoredResponse>::builder().max_entries(100).build()?;
    /// let fallback = FallbackLayer::http()
    ///     .cached_http_in(&pages, |request: &Request| Some(request.uri().path().to_owned()), Body::new);
    /// # let _: FallbackLayer<Request, Response, _> = fallback;
    /// pages.forget(&"/news".to_owned());
    /// # Ok::<(), fallback_layer::ConfigError>(())
    /// ```
    pub fn cached_http_in<Key>(
        self,
        last_good: &LastGood<Key, StoredResponse>,
        key: impl Fn(&Request<ReqBody>) -> Option<Key> + Send + Sync + 'static,
        wrap: impl Fn(CachedBody<B>) -> B + Send + Sync + 'static,
    ) -> WithCachedHttp<ReqBody, B, C, Key, K, V>
    where
        Key: Hash + Eq + Send + Sync + 'static,
        B: Body<Data = Bytes>,
    {
        let step = CachedHttp {
            key: Arc::new(key),
            wrap: Arc::new(wrap),
            max_body: MAX_BODY,
            last_good: last_good.clone(),
        };
        self.step("cached", step)
    }
}

/// A [`FallbackLayer`] with a step [`CachedHttp`] after the steps `C`.
pub type WithCachedHttp<ReqBody, B, C, Key, K, V> =
    WithStep<Request<ReqBody>, Response<B>, C, CachedHttp<ReqBody, Key, B>, K, V>;

/// A layer the last step of which is [`CachedHttp`], and which needs [`build`](FallbackLayer::build).
pub type CachedHttpLayer<ReqBody, B, Before, Key, Kept, K> = FallbackLayer<
    Request<ReqBody>,
    Response<B>,
    Chain<Before, CachedHttp<ReqBody, Key, B>, Kept, Response<B>>,
    K,
    NeedsBuild,
>;

/// # The cache of the last step, for HTTP
///
/// Each of these (but [`max_body`](Self::max_body)) starts an empty cache of the step's own: they belong right behind it.
impl<ReqBody, B, Before, Key, Kept, K, V>
    FallbackLayer<Request<ReqBody>, Response<B>, Chain<Before, CachedHttp<ReqBody, Key, B>, Kept, Response<B>>, K, V>
where
    Key: Hash + Eq + Send + Sync + 'static,
{
    /// The longest body that is kept, in bytes; 64 KiB by default. At least 1.
    pub fn max_body(mut self, bytes: usize) -> CachedHttpLayer<ReqBody, B, Before, Key, Kept, K> {
        self.chain.step.max_body = bytes;
        self.checked(|name| (bytes == 0).then(|| ConfigError::new(name, "max_body", bytes, "at least 1")))
    }

    /// See [`LastGoodBuilder::max_age`].
    pub fn max_age(self, age: Duration) -> CachedHttpLayer<ReqBody, B, Before, Key, Kept, K> {
        self.set_up(|last_good| last_good.max_age(age))
    }

    /// See [`LastGoodBuilder::refresh_after`].
    pub fn refresh_after(self, age: Duration) -> CachedHttpLayer<ReqBody, B, Before, Key, Kept, K> {
        self.set_up(|last_good| last_good.refresh_after(age))
    }

    /// See [`LastGoodBuilder::max_entries`].
    pub fn max_entries(self, entries: u64) -> CachedHttpLayer<ReqBody, B, Before, Key, Kept, K> {
        self.set_up(|last_good| last_good.max_entries(entries))
    }

    /// See [`LastGoodBuilder::max_weight`].
    ///
    /// # Panics
    ///
    /// A `weigh` that panics does so in the call whose answer it weighs, and nothing is stored.
    pub fn max_weight(
        self,
        total: u64,
        weigh: impl Fn(&Key, &StoredResponse) -> u32 + Send + Sync + 'static,
    ) -> CachedHttpLayer<ReqBody, B, Before, Key, Kept, K> {
        self.set_up(|last_good| last_good.max_weight(total, weigh))
    }

    fn set_up(
        mut self,
        change: impl FnOnce(LastGoodBuilder<Key, StoredResponse>) -> LastGoodBuilder<Key, StoredResponse>,
    ) -> CachedHttpLayer<ReqBody, B, Before, Key, Kept, K> {
        let settings = change(self.chain.step.last_good.settings());
        let problem = settings.problem();
        if problem.is_none() {
            self.chain.step.last_good = LastGood::with(settings);
        }
        self.checked(|_| problem)
    }
}
