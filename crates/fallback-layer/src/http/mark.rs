//! What is known about HTTP responses.

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_outcome::{Outcome, grpc};
use state_core::Refusal;

use crate::{Degraded, FallbackLayer, Mark};

/// Marks an HTTP response in its extensions, and knows which are good: the default of [`FallbackLayer::http`].
///
/// Good, and so worth keeping as a last good answer, is a 2xx response, unless it is a part (206), is degraded itself,
/// carries a gRPC code other than 0, sets a cookie, or says `Cache-Control: no-store` or `private`. So neither a failed
/// nor a neutral (4xx) answer is kept, nor one that was meant for one user's eyes.
///
/// A refusal is a response with a [`Refusal`] in its extensions.
///
/// ```
/// use fallback_layer::{Mark, http::HttpMark};
/// use http::Response;
///
/// assert!(HttpMark.is_good(&Response::new(())));
/// assert!(!HttpMark.is_good(&Response::builder().status(404).body(()).unwrap()));
/// assert!(!HttpMark.is_good(&Response::builder().header("cache-control", "private").body(()).unwrap()));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpMark;

impl<B> Mark<Response<B>> for HttpMark {
    fn mark(&self, response: &mut Response<B>, degraded: Degraded) {
        response.extensions_mut().insert(degraded);
    }

    fn is_good(&self, response: &Response<B>) -> bool {
        let headers = response.headers();
        response.status().is_success()
            && response.status() != StatusCode::PARTIAL_CONTENT
            && response.extensions().get::<Degraded>().is_none()
            && grpc_outcome(headers).is_none_or(|outcome| outcome == Outcome::Success)
            && !headers.contains_key(SET_COOKIE)
            && !is_personal(headers)
    }

    fn is_refusal(&self, response: &Response<B>) -> bool {
        response.extensions().get::<Refusal>().is_some()
    }
}

/// What a gRPC response says in its head, where it says it there.
fn grpc_outcome(headers: &HeaderMap) -> Option<Outcome> {
    grpc::is_grpc(headers)
        .then(|| grpc::code_in(headers))
        .flatten()
        .map(grpc::judge_code)
}

fn is_failure<B>(response: &Response<B>) -> bool {
    response.status().is_server_error() || grpc_outcome(response.headers()) == Some(Outcome::Failure)
}

fn is_personal(headers: &HeaderMap) -> bool {
    headers.get_all(CACHE_CONTROL).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|directive| {
            let name = directive
                .split(|byte| *byte == b'=')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"private")
        })
    })
}

impl<ReqBody, ResBody> FallbackLayer<Request<ReqBody>, Response<ResBody>> {
    /// A layer without steps for HTTP: for any error, for a 5xx response, and for a gRPC response whose head carries a code
    /// that blames the server (`UNAVAILABLE`, for example); with [`Degraded`] in the extensions of what the steps answer. See
    /// [`HttpMark`] for which responses are kept.
    ///
    /// ```
    /// use axum::{Router, body::Body, response::Response, routing::get};
    /// use fallback_layer::FallbackLayer;
    ///
    /// let app: Router = Router::new()
    ///     .route("/", get(|| async { "hello" }))
    ///     .layer(FallbackLayer::http().finally(|_, _| Response::new(Body::from("sorry"))));
    /// ```
    pub fn http() -> Self {
        Self::new().mark(HttpMark).on_response(|response| is_failure(response))
    }
}
