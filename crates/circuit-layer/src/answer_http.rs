//! What a refusal of an HTTP or gRPC request turns into.

use std::fmt;

use http::{Request, Response};
use http_outcome::{Protocol, RefusalResponse};
use state_core::{Refusal, Refused};

use crate::answer::{OnRefusal, sealed::Sealed};
use crate::body::CircuitBody;

/// A refusal is a response: 503 with `Retry-After` and a problem document, or for a gRPC request a trailers-only
/// `UNAVAILABLE`. Both carry [`Refused`] and [`Refusal`] in their extensions. Errors stay what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsResponse {
    /// `None`: as the request says.
    pub(crate) protocol: Option<Protocol>,
}

impl Sealed for AsResponse {}

impl<B, RB, H, E> OnRefusal<Request<B>, Response<CircuitBody<RB, H>>, E> for AsResponse {
    type Error = E;

    fn refused(&self, refused: &Refused, request: &Request<B>) -> Result<Response<CircuitBody<RB, H>>, E> {
        let protocol = self.protocol.unwrap_or_else(|| Protocol::of(request.headers()));
        let response = RefusalResponse::new()
            .detail(refused.to_string())
            .retry_after(refused.retry_after());
        let response = response.for_request_with(protocol == Protocol::Grpc, CircuitBody::refusal);
        Ok(marked(response, refused))
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}

/// A refusal is a response, made by a function. Made by
/// [`on_refused`](crate::CircuitLayer#method.on_refused-1) after [`CircuitLayer::http`](crate::CircuitLayer::http).
#[derive(Clone, Copy)]
pub struct RespondHttp<F>(pub(crate) F);

impl<F> Sealed for RespondHttp<F> {}

impl<B, RB, H, E, F> OnRefusal<Request<B>, Response<CircuitBody<RB, H>>, E> for RespondHttp<F>
where
    F: Fn(&Refused) -> Response<RB>,
{
    type Error = E;

    fn refused(&self, refused: &Refused, _request: &Request<B>) -> Result<Response<CircuitBody<RB, H>>, E> {
        let response = (self.0)(refused).map(CircuitBody::unguarded);
        Ok(marked(response, refused))
    }

    #[inline]
    fn error(error: E) -> E {
        error
    }
}

/// Says to the layers above that the call was never made.
fn marked<B>(mut response: Response<B>, refused: &Refused) -> Response<B> {
    let extensions = response.extensions_mut();
    extensions.insert(Refusal::new(refused.retry_after()));
    extensions.insert(*refused);
    response
}

impl<F> fmt::Debug for RespondHttp<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RespondHttp").finish_non_exhaustive()
    }
}
