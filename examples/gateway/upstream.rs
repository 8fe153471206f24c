//! One provider over HTTP: a tower service that sends a chat on and hands its answer back as it streams in.

mod body;
mod error;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Request, Response, Uri, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tower::Service;

pub(crate) use self::body::UpstreamBody;
pub(crate) use self::error::UpstreamError;
use crate::chat::Chat;
use crate::config::Provider;

const CONNECT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_mins(1);

/// It keeps connections, and speaks HTTP/1.1 and HTTP/2, plain or TLS.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that trusts `roots`, or the public authorities.
pub(crate) fn client(roots: Option<&Arc<RootCertStore>>) -> Result<HttpClient, rustls::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    let crypto = rustls::crypto::ring::default_provider();
    let https = match roots {
        None => HttpsConnectorBuilder::new().with_provider_and_webpki_roots(crypto)?,
        Some(roots) => {
            let tls = ClientConfig::builder_with_provider(Arc::new(crypto)).with_safe_default_protocol_versions()?;
            let tls = tls.with_root_certificates(Arc::clone(roots)).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(tls)
        }
    };
    let https = https.https_or_http().enable_all_versions().wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(https);
    Ok(client)
}

/// One provider. A clone is a handle to the same one.
#[derive(Clone)]
pub(crate) struct Upstream {
    shared: Arc<Shared>,
}

struct Shared {
    client: HttpClient,
    chat: Uri,
    api_key: Option<HeaderValue>,
    models: std::collections::BTreeMap<String, String>,
    timeout: Duration,
}

impl Upstream {
    pub(crate) fn new(client: HttpClient, provider: &Provider) -> Result<Self, axum::http::uri::InvalidUri> {
        let chat = chat_uri(&provider.url)?;
        let shared = Shared {
            client,
            chat,
            api_key: provider.api_key.clone(),
            models: provider.models.clone(),
            timeout: provider.timeout,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

fn chat_uri(base: &Uri) -> Result<Uri, axum::http::uri::InvalidUri> {
    let path = format!("{}/chat/completions", base.path().trim_end_matches('/'));
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path)?);
    // The base came with a scheme and a host: with a path these make a whole address.
    Ok(Uri::from_parts(parts).unwrap_or_else(|_| base.clone()))
}

impl Shared {
    fn request(&self, chat: &Chat) -> Request<Full<Bytes>> {
        let named = self.models.get(chat.model()).or_else(|| self.models.get("*"));
        let body = chat.body_for(named.map_or(chat.model(), String::as_str));
        let mut request = Request::post(self.chat.clone())
            .body(Full::new(body))
            .unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if chat.stream() {
            "text/event-stream"
        } else {
            "application/json"
        };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        if let Some(key) = &self.api_key {
            headers.insert(header::AUTHORIZATION, key.clone());
        }
        request
    }
}

impl Service<Request<Chat>> for Upstream {
    type Response = Response<UpstreamBody>;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Chat>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let answer = shared.client.request(shared.request(request.body()));
            match tokio::time::timeout(shared.timeout, answer).await {
                Ok(Ok(response)) => Ok(response.map(|body| UpstreamBody::new(body, shared.timeout))),
                Ok(Err(error)) => Err(UpstreamError::Http(error)),
                Err(elapsed) => Err(UpstreamError::NoAnswer {
                    waited: shared.timeout,
                    elapsed,
                }),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_api_is_put_behind_the_base() {
        let base: Uri = "https://api.openai.com/v1".parse().unwrap();
        assert_eq!(
            chat_uri(&base).unwrap().to_string(),
            "https://api.openai.com/v1/chat/completions"
        );
        let bare: Uri = "http://127.0.0.1:9000".parse().unwrap();
        assert_eq!(
            chat_uri(&bare).unwrap().to_string(),
            "http://127.0.0.1:9000/chat/completions"
        );
    }
}
