//! The same layer for HTTP and gRPC: the permit lasts to the end of the response body.

use std::fmt;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_outcome::{GuardedBody, Hold, Protocol, RefusalResponse};
use state_core::Refusal;

use crate::BoxError;
use crate::answer::{Answer, sealed::Sealed};
use crate::error::Overloaded;
use crate::layer::ConcurrencyLayer;
use crate::permit::Permit;

/// A body that holds its call's [`Permit`] until it ends, fails or is dropped.
pub type LimitedBody<B> = GuardedBody<B, Hold<Permit>>;

/// A refusal is a response that carries [`Overloaded`] and [`Refusal`] in its extensions, and the permit lasts to the end of
/// the body. Made by [`ConcurrencyLayer::http`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsHttp;

/// A refusal is an error, and the permit lasts to the end of the body. Made by [`ConcurrencyLayer::body_long`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyLong;

/// A refusal is a response made by a function, and the permit lasts to the end of the body. Made by
/// [`on_refused`](ConcurrencyLayer::on_refused) after [`ConcurrencyLayer::http`].
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

impl<D> ConcurrencyLayer<D, AsHttp> {
    /// For services of HTTP requests, on the server's side or a client's: a slot is taken until the response body ends,
    /// and a refusal is a response.
    ///
    /// A refused request is answered with 503, `Retry-After` and an `application/problem+json` document; a gRPC request
    /// with a trailers-only `UNAVAILABLE` and `grpc-retry-pushback-ms`. Errors stay what they are, so that an axum stack
    /// stays `Infallible`. The response body must be one that can be made of bytes; where it cannot (a client's
    /// `hyper::body::Incoming`), use [`body_long`](ConcurrencyLayer::body_long).
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use bytes::Bytes;
    /// use concurrency_layer::{ConcurrencyLayer, Limit};
    /// use http::{Request, Response};
    /// use http_body_util::{BodyExt, Full};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limit = Limit::fixed(1).name("chat").build()?;
    /// let service = ServiceBuilder::new()
    ///     .layer(ConcurrencyLayer::http(limit))
    ///     .service(service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello"))) }));
    ///
    /// let answer = service.clone().oneshot(Request::new(())).await?;
    /// assert_eq!(limit.in_flight(), 1); // the head is here, the body is not over
    ///
    /// let refused = service.oneshot(Request::new(())).await?;
    /// assert_eq!(refused.status(), 503);
    /// assert_eq!(refused.headers()["retry-after"], "1");
    ///
    /// assert_eq!(answer.into_body().collect().await?.to_bytes(), "hello");
    /// assert_eq!(limit.in_flight(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn http(limit: crate::Limit<D>) -> Self {
        Self::with(limit, AsHttp)
    }

    /// Makes the response to a refused request with `respond` instead.
    ///
    /// # Panics
    ///
    /// A panic of `respond` is its caller's; no slot is held by then.
    pub fn on_refused<F, B>(self, respond: F) -> ConcurrencyLayer<D, RespondHttp<F>>
    where
        F: Fn(Overloaded) -> Response<B>,
    {
        self.answer(RespondHttp(respond))
    }
}

impl<D> ConcurrencyLayer<D, BodyLong> {
    /// For HTTP clients: a slot is taken until the response body ends, and a refusal is an error, [`Overloaded`] in a
    /// [`BoxError`]. The body may be of any kind.
    pub const fn body_long(limit: crate::Limit<D>) -> Self {
        Self::with(limit, BodyLong)
    }
}

fn hold<B: Body>(response: Response<B>, permit: Permit) -> Response<LimitedBody<B>> {
    response.map(|body| GuardedBody::new(body, Hold(permit)))
}

impl<B, ResB, E> Answer<Request<B>, Response<ResB>, E> for AsHttp
where
    ResB: Body + From<Bytes> + Default,
{
    type Response = Response<LimitedBody<ResB>>;
    type Error = E;

    fn refused(&self, overloaded: Overloaded, request: &Request<B>) -> Result<Self::Response, E> {
        let is_grpc = matches!(Protocol::of(request.headers()), Protocol::Grpc);
        let refusal = RefusalResponse::new()
            .detail(overloaded.to_string())
            .retry_after(overloaded.retry_after());
        Ok(marked(refusal.for_request(is_grpc), overloaded))
    }

    fn done(result: Result<Response<ResB>, E>, permit: Permit) -> Result<Self::Response, E> {
        result.map(|response| hold(response, permit))
    }

    fn error(error: E) -> E {
        error
    }
}

impl<B, ResB, E, F> Answer<Request<B>, Response<ResB>, E> for RespondHttp<F>
where
    ResB: Body,
    F: Fn(Overloaded) -> Response<ResB>,
{
    type Response = Response<LimitedBody<ResB>>;
    type Error = E;

    fn refused(&self, overloaded: Overloaded, _request: &Request<B>) -> Result<Self::Response, E> {
        Ok(marked((self.0)(overloaded).map(GuardedBody::unguarded), overloaded))
    }

    fn done(result: Result<Response<ResB>, E>, permit: Permit) -> Result<Self::Response, E> {
        result.map(|response| hold(response, permit))
    }

    fn error(error: E) -> E {
        error
    }
}

/// Says to the layers above that the call was never made.
fn marked<B>(mut response: Response<B>, overloaded: Overloaded) -> Response<B> {
    let extensions = response.extensions_mut();
    extensions.insert(Refusal::new(overloaded.retry_after()));
    extensions.insert(overloaded);
    response
}

impl<B, ResB, E> Answer<Request<B>, Response<ResB>, E> for BodyLong
where
    ResB: Body,
    E: Into<BoxError>,
{
    type Response = Response<LimitedBody<ResB>>;
    type Error = BoxError;

    fn refused(&self, overloaded: Overloaded, _request: &Request<B>) -> Result<Self::Response, BoxError> {
        Err(overloaded.into())
    }

    fn done(result: Result<Response<ResB>, E>, permit: Permit) -> Result<Self::Response, BoxError> {
        match result {
            Ok(response) => Ok(hold(response, permit)),
            Err(error) => Err(error.into()),
        }
    }

    fn error(error: E) -> BoxError {
        error.into()
    }
}
