//! Pools of HTTP and gRPC services.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_outcome::{GuardedBody, Hold, Outcome, Protocol, RefusalResponse, grpc, http_head, wall};
use state_core::Refusal;
use tokio::time::Instant;
use tower_service::Service;

use crate::answer::{Answer, Judged, judge_error, sealed::Sealed};
use crate::error::{BoxError, Unserved};
use crate::member::Place;
use crate::policy::PoolBuilder;
use crate::pool::ProviderPool;

/// A body that counts as in flight at its provider until it ends, fails or is dropped.
pub type PooledBody<B> = GuardedBody<B, Hold<Place>>;

/// In a response's extensions: the name of the provider that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedBy(pub Arc<str>);

/// In a request's extensions: until when it must have been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Instant);

/// Without a provider the answer is a response: 503 with `Retry-After` and a problem document, or for a gRPC request a
/// trailers-only `UNAVAILABLE`; past the deadline 504, or `DEADLINE_EXCEEDED`. Errors stay what they are. Made by
/// [`ProviderPool::http`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsHttp;

/// Without a provider the answer is an error. Made by [`ProviderPool::body_long`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyLong;

/// Without a provider the answer is a response, made by a function. Made by
/// [`on_refused`](ProviderPool::on_refused) after [`ProviderPool::http`].
#[derive(Clone, Copy)]
pub struct RespondHttp<F>(F);

impl<F> fmt::Debug for RespondHttp<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RespondHttp").finish_non_exhaustive()
    }
}

impl Sealed for AsHttp {}
impl Sealed for BodyLong {}
impl<F> Sealed for RespondHttp<F> {}

impl<S, B> ProviderPool<S, Request<B>, AsHttp>
where
    S: Service<Request<B>>,
    B: 'static,
{
    /// Starts a pool of HTTP or gRPC services that answers without a provider with a response: 503 with `Retry-After` and
    /// an `application/problem+json` document, to a gRPC request a trailers-only `UNAVAILABLE`; past the deadline with 504,
    /// or `DEADLINE_EXCEEDED`. Errors stay what they are,
    /// so that an axum stack stays `Infallible`. Response bodies must be such as can be made of bytes; where they cannot
    /// (a client's `hyper::body::Incoming`), see [`body_long`](ProviderPool::body_long).
    ///
    /// A 5xx, a 429 and a gRPC status that blames the server count as failures and fail over; a response in which a layer
    /// further in refused the call fails over without counting. A response counts as in flight to the end of its body, and
    /// carries [`ServedBy`]. A [`Deadline`] in the request's extensions and a `grpc-timeout` header are kept.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use provider_pool::{Provider, ProviderPool, http::ServedBy};
    /// use tower::{ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// type Body = Full<Bytes>;
    /// let local = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("hello"))));
    /// let pool = ProviderPool::http()
    ///     .provider(Provider::new("local", local))
    ///     .repeat_idempotent(64 * 1024)
    ///     .build()?;
    ///
    /// let response = pool.clone().oneshot(Request::new(Body::default())).await?;
    /// assert_eq!(&*response.extensions().get::<ServedBy>().unwrap().0, "local");
    ///
    /// pool.drain("local");
    /// assert_eq!(pool.oneshot(Request::new(Body::default())).await?.status(), 503);
    /// # Ok(()) }
    /// ```
    pub fn http() -> PoolBuilder<S, Request<B>, AsHttp> {
        PoolBuilder::new(AsHttp).deadline(deadline)
    }

    /// Makes the response for which there is no provider with `respond` instead.
    ///
    /// # Panics
    ///
    /// A panic of `respond` is its caller's.
    pub fn on_refused<F, RB>(self, respond: F) -> ProviderPool<S, Request<B>, RespondHttp<F>>
    where
        F: Fn(&Unserved) -> Response<RB> + Clone,
    {
        self.answer(RespondHttp(respond))
    }
}

impl<S, B> ProviderPool<S, Request<B>, BodyLong>
where
    S: Service<Request<B>>,
    B: 'static,
{
    /// As [`http`](ProviderPool::http), but without a provider a call ends with an error, as of
    /// [`builder`](ProviderPool::builder): for clients, whose response bodies may be of any kind.
    pub fn body_long() -> PoolBuilder<S, Request<B>, BodyLong> {
        PoolBuilder::new(BodyLong).deadline(deadline)
    }
}

impl<S, B, A> PoolBuilder<S, Request<B>, A>
where
    S: Service<Request<B>>,
{
    /// Requests with an idempotent method (GET, HEAD, PUT, DELETE, OPTIONS, TRACE; RFC 9110, 9.2.2) may be sent to another
    /// provider after one has failed, if their body is at most so many bytes. See [`repeat`](Self::repeat).
    ///
    /// The body must be one that can be cloned, such as `Full<Bytes>`, which shares its bytes.
    pub fn repeat_idempotent(self, max_body: u64) -> Self
    where
        B: Body + Clone,
    {
        self.repeat(move |request: &Request<B>| {
            let repeatable = request.method().is_idempotent();
            repeatable.then(|| copy(request, max_body)).flatten()
        })
    }

    /// Requests with any method may be sent to another provider after one has failed, if their body is at most so many
    /// bytes: for services where a POST asks and changes nothing.
    pub fn repeat_any_method(self, max_body: u64) -> Self
    where
        B: Body + Clone,
    {
        self.repeat(move |request: &Request<B>| copy(request, max_body))
    }
}

fn copy<B: Body + Clone>(request: &Request<B>, max_body: u64) -> Option<Request<B>> {
    let fits = request.body().size_hint().upper().is_some_and(|size| size <= max_body);
    fits.then(|| request.clone())
}

fn deadline<B>(request: &Request<B>) -> Option<Instant> {
    let told = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
    let timeout = grpc_timeout(request.headers()).and_then(|timeout| Instant::now().checked_add(timeout));
    match (told, timeout) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// At most eight digits and a unit: the gRPC protocol's `Timeout`.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(n * 3600)),
        "M" => Some(Duration::from_secs(n * 60)),
        "S" => Some(Duration::from_secs(n)),
        "m" => Some(Duration::from_millis(n)),
        "u" => Some(Duration::from_micros(n)),
        "n" => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

fn judge<B: Body, E: 'static>(result: &Result<Response<B>, E>) -> Judged {
    let response = match result {
        Ok(response) => response,
        Err(error) => return judge_error(error),
    };
    if response.extensions().get::<Refusal>().is_some() {
        return Judged::Refused;
    }
    let (status, headers, over) = (response.status(), response.headers(), response.body().is_end_stream());
    let judged = if grpc::is_grpc(headers) {
        grpc::judge_head(status, headers, over)
    } else {
        http_head::judge(status, headers, over, wall::now())
    };
    match judged.outcome {
        Outcome::Failure | Outcome::Throttled => Judged::Failed,
        _ => Judged::Served,
    }
}

fn done<B: Body>(mut response: Response<B>, by: Option<&Arc<str>>, place: Option<Place>) -> Response<PooledBody<B>> {
    if let Some(by) = by {
        response.extensions_mut().insert(ServedBy(Arc::clone(by)));
    }
    response.map(|body| match place {
        Some(place) => GuardedBody::new(body, Hold(place)),
        None => GuardedBody::unguarded(body),
    })
}

/// The same in the words of one that has been asked in vain: 504, or `DEADLINE_EXCEEDED`.
fn timed_out(refusal: RefusalResponse, is_grpc: bool) -> Response<Bytes> {
    let mut response = refusal
        .title("Gateway Timeout")
        .for_request_with(is_grpc, |bytes| bytes);
    if is_grpc {
        let code = HeaderValue::from(grpc::Code::DeadlineExceeded.number());
        response.headers_mut().insert(grpc::STATUS, code);
        return response;
    }
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    response.map(|document| {
        // The member comes before the only text that is not ours.
        let document = String::from_utf8_lossy(&document).replacen(r#""status":503"#, r#""status":504"#, 1);
        Bytes::from(document)
    })
}

impl<B, RB, E> Answer<Request<B>, Response<RB>, E> for AsHttp
where
    RB: Body + From<Bytes> + Default,
    E: 'static,
{
    type Response = Response<PooledBody<RB>>;
    type Error = E;
    type Ask = Protocol;

    fn ask(request: &Request<B>) -> Protocol {
        Protocol::of(request.headers())
    }

    fn judge(result: &Result<Response<RB>, E>) -> Judged {
        judge(result)
    }

    fn done(result: Result<Response<RB>, E>, by: Option<&Arc<str>>, place: Option<Place>) -> Result<Self::Response, E> {
        result.map(|response| done(response, by, place))
    }

    fn unserved(&self, unserved: Unserved, ask: &Protocol) -> Result<Self::Response, E> {
        let refusal = RefusalResponse::new()
            .detail(unserved.to_string())
            .retry_after(unserved.retry_after());
        let is_grpc = *ask == Protocol::Grpc;
        let response = match unserved {
            Unserved::NoProvider(_) => {
                let mut response = refusal.for_request_with(is_grpc, |bytes| bytes);
                response.extensions_mut().insert(Refusal::new(unserved.retry_after()));
                response
            }
            Unserved::DeadlinePassed(_) => timed_out(refusal, is_grpc),
        };
        if response.body().is_empty() {
            return Ok(response.map(|_| GuardedBody::unguarded(RB::default())));
        }
        Ok(response.map(|bytes| GuardedBody::unguarded(RB::from(bytes))))
    }
}

impl<B, RB, E> Answer<Request<B>, Response<RB>, E> for BodyLong
where
    RB: Body,
    E: Into<BoxError> + 'static,
{
    type Response = Response<PooledBody<RB>>;
    type Error = BoxError;
    type Ask = ();

    fn ask(_: &Request<B>) {}

    fn judge(result: &Result<Response<RB>, E>) -> Judged {
        judge(result)
    }

    fn done(
        result: Result<Response<RB>, E>,
        by: Option<&Arc<str>>,
        place: Option<Place>,
    ) -> Result<Self::Response, BoxError> {
        result.map(|response| done(response, by, place)).map_err(Into::into)
    }

    fn unserved(&self, unserved: Unserved, (): &()) -> Result<Self::Response, BoxError> {
        Err(unserved.into_error())
    }
}

impl<B, RB, E, F> Answer<Request<B>, Response<RB>, E> for RespondHttp<F>
where
    RB: Body,
    E: 'static,
    F: Fn(&Unserved) -> Response<RB> + Clone,
{
    type Response = Response<PooledBody<RB>>;
    type Error = E;
    type Ask = ();

    fn ask(_: &Request<B>) {}

    fn judge(result: &Result<Response<RB>, E>) -> Judged {
        judge(result)
    }

    fn done(result: Result<Response<RB>, E>, by: Option<&Arc<str>>, place: Option<Place>) -> Result<Self::Response, E> {
        result.map(|response| done(response, by, place))
    }

    fn unserved(&self, unserved: Unserved, (): &()) -> Result<Self::Response, E> {
        let mut response = (self.0)(&unserved).map(GuardedBody::unguarded);
        if matches!(unserved, Unserved::NoProvider(_)) {
            response.extensions_mut().insert(Refusal::new(unserved.retry_after()));
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_read() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(value));
            grpc_timeout(&headers)
        };
        assert_eq!(read("5S"), Some(Duration::from_secs(5)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for wrong in ["", "S", "5", "5s", "-1S", "123456789S", "5 S", "\u{7f}S"] {
            if let Ok(value) = HeaderValue::from_bytes(wrong.as_bytes()) {
                let headers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value)]);
                assert_eq!(grpc_timeout(&headers), None, "{wrong:?}");
            }
        }
    }
}
