//! The same layer for HTTP and gRPC: a refusal is a response.

use bytes::Bytes;
use http::{Request, Response};
use http_outcome::{Protocol, RefusalResponse};

use crate::answer::{Answer, sealed::Sealed};
use crate::error::Unhealthy;
use crate::health::Health;
use crate::layer::HealthLayer;

/// A refusal is a response. Made by [`HealthLayer::http`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsHttp;

impl Sealed for AsHttp {}

impl HealthLayer<AsHttp> {
    /// For services of HTTP requests: a refused request is answered with 503, `Retry-After` and an
    /// `application/problem+json` document; a gRPC request with a trailers-only `UNAVAILABLE` and
    /// `grpc-retry-pushback-ms`. Errors stay what they are, so that an axum stack stays `Infallible`.
    ///
    /// The answer goes to strangers, so it says neither what was probed nor what came of it. Where the response body
    /// cannot be made of bytes (a client's `hyper::body::Incoming`), use [`HealthLayer::new`].
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use bytes::Bytes;
    /// use health_probe::{FnProbe, HealthLayer, Probe};
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let disk = FnProbe::new("disk", async || Err::<(), _>("full")).spawn()?;
    /// let service = ServiceBuilder::new()
    ///     .layer(HealthLayer::http(disk.health()))
    ///     .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))));
    ///
    /// disk.check_now().await?;
    /// let refused = service.oneshot(Request::new(())).await?;
    /// assert_eq!(refused.status(), 503);
    /// assert!(refused.headers().contains_key("retry-after"));
    /// # Ok(()) }
    /// ```
    pub const fn http(health: Health) -> Self {
        Self::with(health, AsHttp)
    }
}

impl<B, ResB, E> Answer<Request<B>, Response<ResB>, E> for AsHttp
where
    ResB: From<Bytes> + Default,
{
    type Error = E;

    fn refused(&self, unhealthy: Unhealthy, request: &Request<B>) -> Result<Response<ResB>, E> {
        let is_grpc = matches!(Protocol::of(request.headers()), Protocol::Grpc);
        let refusal = RefusalResponse::new()
            .detail("a health check says that what is behind this is not up")
            .retry_after(unhealthy.retry_after());
        Ok(refusal.for_request(is_grpc))
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}
