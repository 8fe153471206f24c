//! A refusal as a response: 503 with a problem document, or a gRPC status.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::grpc::{self, Code};
use crate::{escape, pushback, retry_after};

/// The response to a request that was refused before it was tried.
///
/// As HTTP it is a 503 with `Retry-After` and an RFC 9457 problem document; as gRPC a trailers-only `UNAVAILABLE` with
/// `grpc-retry-pushback-ms`. Text is data: quotes, line breaks and other scripts are escaped, and none can become a
/// header of its own.
///
/// ```
/// use std::time::Duration;
/// use http_body_util::{BodyExt, Full};
/// use http_outcome::RefusalResponse;
/// # use bytes::Bytes;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let refusal = RefusalResponse::new()
///     .detail("circuit \"openai\" is open")
///     .retry_after(Some(Duration::from_millis(11_200)));
///
/// let response = refusal.into_http::<Full<Bytes>>();
/// assert_eq!(response.status(), 503);
/// assert_eq!(response.headers()["retry-after"], "12");
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// let body = response.into_body().collect().await.unwrap().to_bytes();
/// assert_eq!(
///     body,
///     r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"circuit \"openai\" is open","retry_after_seconds":12}"#,
/// );
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct RefusalResponse {
    problem_type: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
}

impl Default for RefusalResponse {
    fn default() -> Self {
        Self::new()
    }
}

impl RefusalResponse {
    /// "Service Unavailable", of no particular type and without a hint.
    pub const fn new() -> Self {
        Self {
            problem_type: Cow::Borrowed("about:blank"),
            title: Cow::Borrowed("Service Unavailable"),
            detail: None,
            retry_after: None,
        }
    }

    /// What kind of problem it is: a URI, the same for every refusal of the kind. Default: `about:blank`.
    pub fn problem_type(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.problem_type = uri.into();
        self
    }

    /// The kind of problem in words. Default: "Service Unavailable".
    pub fn title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.title = title.into();
        self
    }

    /// What happened to this request. As gRPC it is the message, of which at most 1 KiB is sent; without it the title is.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// When it makes sense to come back. Default: not said.
    pub const fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// As HTTP, in a body that is made from bytes: `http_body_util::Full`, axum's, reqwest's,
    /// [`GuardedBody`](crate::GuardedBody) round one of them.
    #[must_use]
    pub fn into_http<B: From<Bytes>>(self) -> Response<B> {
        self.into_http_with(B::from)
    }

    /// As HTTP, in a body that `make` makes: for those without `From<Bytes>`, such as tonic's or a boxed one.
    ///
    /// ```
    /// use http_body_util::{BodyExt, Full, combinators::BoxBody};
    /// use http_outcome::RefusalResponse;
    /// # use bytes::Bytes;
    ///
    /// let response = RefusalResponse::new().into_http_with(|bytes| Full::new(bytes).boxed());
    /// # let _: http::Response<BoxBody<Bytes, std::convert::Infallible>> = response;
    /// ```
    #[must_use]
    pub fn into_http_with<B>(self, make: impl FnOnce(Bytes) -> B) -> Response<B> {
        let mut response = Response::new(make(Bytes::from(self.problem_document())));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, retry_after::value(wait));
        }
        response
    }

    /// As gRPC: trailers only, so the body is the empty one that [`Default`] makes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use http_body_util::Empty;
    /// use http_outcome::RefusalResponse;
    /// # use bytes::Bytes;
    ///
    /// let refusal = RefusalResponse::new().detail("100 % busy").retry_after(Some(Duration::from_secs(3)));
    /// let response = refusal.into_grpc::<Empty<Bytes>>();
    /// assert_eq!(response.status(), 200);
    /// assert_eq!(response.headers()["content-type"], "application/grpc");
    /// assert_eq!(response.headers()["grpc-status"], "14");
    /// assert_eq!(response.headers()["grpc-message"], "100 %25 busy");
    /// assert_eq!(response.headers()["grpc-retry-pushback-ms"], "3000");
    /// ```
    #[must_use]
    pub fn into_grpc<B: Default>(self) -> Response<B> {
        let mut response = Response::new(B::default());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(grpc::STATUS, HeaderValue::from(Code::Unavailable.number()));
        // Encoded text is printable ASCII, so it always makes a header.
        if let Ok(message) = HeaderValue::try_from(escape::grpc_message(self.message())) {
            headers.insert(grpc::MESSAGE, message);
        }
        if let Some(wait) = self.retry_after {
            headers.insert(pushback::NAME, pushback::value(wait));
        }
        response
    }

    /// As the request asked: [`into_grpc`](Self::into_grpc) when it was gRPC, else [`into_http`](Self::into_http).
    ///
    /// ```
    /// use http::Request;
    /// use http_body_util::Full;
    /// use http_outcome::{RefusalResponse, grpc};
    /// # use bytes::Bytes;
    ///
    /// let request = Request::get("/").body(())?;
    /// let response = RefusalResponse::new().for_request::<Full<Bytes>>(grpc::is_grpc(request.headers()));
    /// assert_eq!(response.status(), 503);
    /// # Ok::<(), http::Error>(())
    /// ```
    #[must_use]
    pub fn for_request<B: From<Bytes> + Default>(self, is_grpc: bool) -> Response<B> {
        if is_grpc { self.into_grpc() } else { self.into_http() }
    }

    /// Like [`for_request`](Self::for_request), in a body that `make` makes; of no bytes, for gRPC.
    ///
    /// ```
    /// use http_body_util::{BodyExt, Full};
    /// use http_outcome::RefusalResponse;
    ///
    /// let response = RefusalResponse::new().for_request_with(true, |bytes| Full::new(bytes).boxed_unsync());
    /// assert_eq!(response.headers()["grpc-status"], "14");
    /// ```
    #[must_use]
    pub fn for_request_with<B>(self, is_grpc: bool, make: impl FnOnce(Bytes) -> B) -> Response<B> {
        if is_grpc {
            self.into_grpc::<Bytes>().map(make)
        } else {
            self.into_http_with(make)
        }
    }

    fn message(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.title)
    }

    fn problem_document(&self) -> String {
        let mut json = String::with_capacity(192);
        json.push_str(r#"{"type":"#);
        escape::json_string(&mut json, &self.problem_type);
        json.push_str(r#","title":"#);
        escape::json_string(&mut json, &self.title);
        json.push_str(r#","status":503"#);
        if let Some(detail) = &self.detail {
            json.push_str(r#","detail":"#);
            escape::json_string(&mut json, detail);
        }
        if let Some(wait) = self.retry_after {
            // Writing to a string cannot fail.
            let _ = write!(json, r#","retry_after_seconds":{}"#, retry_after::whole_seconds(wait));
        }
        json.push('}');
        json
    }
}
