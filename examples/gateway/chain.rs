//! The chain that answers a chat: the pool of providers, last good answer, rule, static message.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use fusebox::pool::http::PooledBody;
use fusebox::prelude::{BoxError, CircuitLayer, ConcurrencyLayer, Degraded, FallbackLayer, Refusal};
use http_body_util::{BodyExt, Limited};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::answer;
use crate::chat::Chat;
use crate::config::{Config, Fallback, Provider};
use crate::pool::Pool;
use crate::trail::Trail;
use crate::upstream::{HttpClient, Upstream};

/// Which step answered: `primary`, `backup`, `cache`, `rule` or `static`.
pub(crate) const ANSWERED_BY: HeaderName = HeaderName::from_static("x-fusebox-answered-by");
/// Which provider the answer comes from, where it comes from one.
pub(crate) const PROVIDER: HeaderName = HeaderName::from_static("x-fusebox-provider");
/// What kept the primary provider, or all of them, from answering.
pub(crate) const CAUSE: HeaderName = HeaderName::from_static("x-fusebox-cause");

/// What of a provider's head is handed on: what tells of the answer, not of the connection or the provider's cookies.
const HANDED_ON: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    HeaderName::from_static("x-request-id"),
];
/// The longest answer that is read before it goes out.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// The longest answer that is kept as a last good one.
const MAX_KEPT: usize = 256 * 1024;

/// A provider, as the pool asks it.
pub(crate) type Asked = BoxCloneSyncService<Request<Chat>, Response<Body>, BoxError>;
pub(crate) type Chain = BoxCloneSyncService<Request<Chat>, Response<Body>, BoxError>;

/// Builds it. All clones share circuits, limits and the kept answers.
///
/// # Errors
///
/// When a number of the fallback cannot be used.
pub(crate) fn chain(config: &Config, pool: Pool) -> Result<Chain, BoxError> {
    let Fallback {
        cache_entries,
        max_age,
        rules,
        message,
    } = &config.fallback;
    let (rules, message) = (Arc::clone(rules), Arc::clone(message));

    let fallback = FallbackLayer::http()
        .keep_with(|request: &Request<Chat>| request.body().clone())
        .cached_http(|request| Some(request.body().key()), Body::new)
        .named("cache")
        .max_age(*max_age)
        .max_entries(*cache_entries)
        .max_body(MAX_KEPT)
        .respond_if(move |chat, _| {
            let prompt = chat.prompt().to_lowercase();
            let rule = rules.iter().find(|rule| prompt.contains(&rule.contains))?;
            Some(answer::response(chat.model(), &rule.answer, chat.stream()))
        })
        .named("rule")
        .respond(move |chat, _| answer::response(chat.model(), &message, chat.stream()))
        .named("static")
        .build()?;

    let service = ServiceBuilder::new()
        .map_response(signed)
        .layer(fallback)
        .map_response(|response: Response<PooledBody<Body>>| response.map(Body::new))
        .service(pool);
    Ok(BoxCloneSyncService::new(service))
}

/// One provider behind its circuit and its limit, as the pool asks it.
pub(crate) fn asked(client: HttpClient, provider: &Provider, place: usize) -> Result<Asked, BoxError> {
    let name = HeaderValue::try_from(&provider.name)?;
    // A limit that is full is the gateway's own, and no failure of the provider.
    let circuit = CircuitLayer::http(provider.circuit)
        .refuse_with_error()
        .neutral_when(|error: &BoxError| Refusal::find(&**error).is_some());
    let service = ServiceBuilder::new()
        .layer(circuit)
        .layer(ConcurrencyLayer::body_long(provider.limit))
        .service(Upstream::new(client, provider)?);
    let service = BoxCloneSyncService::new(service);
    Ok(BoxCloneSyncService::new(service_fn(move |request: Request<Chat>| {
        let trail = request.extensions().get::<Trail>().cloned().unwrap_or_default();
        let (service, name) = (service.clone(), name.clone());
        async move {
            let answered = async { usable(service.oneshot(request).await?).await };
            match answered.await {
                Ok(mut response) => {
                    mark(&mut response, place, name, &trail);
                    Ok(response)
                }
                Err(error) => {
                    trail.failed(&error);
                    Err(error)
                }
            }
        }
    })))
}

/// Writes into the head whose answer it is.
fn mark(response: &mut Response<Body>, place: usize, provider: HeaderValue, trail: &Trail) {
    let step = if place == 0 { "primary" } else { "backup" };
    let headers = response.headers_mut();
    headers.insert(ANSWERED_BY, HeaderValue::from_static(step));
    headers.insert(PROVIDER, provider);
    if place > 0 {
        headers.insert(CAUSE, HeaderValue::from_static(trail.cause()));
    }
}

/// The answer of a provider, as it goes out; or an error where another may do better.
///
/// The provider's circuit stands further in: it sees status and body before they become an error here. A stream goes out
/// as it comes; any other answer is read to its end first, so that one that breaks off can still be replaced.
async fn usable<B>(answer: Response<B>) -> Result<Response<Body>, BoxError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (head, body) = answer.into_parts();
    if is_the_providers_fault(head.status) {
        return Err(format!("the provider answered {}", head.status).into());
    }
    let kind = head.headers.get(header::CONTENT_TYPE);
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let body = if is_stream {
        Body::new(body)
    } else {
        Body::from(Limited::new(body, MAX_ANSWER).collect().await?.to_bytes())
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    let handed_on = HANDED_ON
        .into_iter()
        .filter_map(|name| head.headers.get(&name).map(|value| (name, value.clone())));
    response.headers_mut().extend(handed_on.collect::<HeaderMap>());
    Ok(response)
}

/// Whether another provider may do better: this one is broken, busy, or does not know the gateway's key. What the asker
/// did wrong goes back to the asker.
fn is_the_providers_fault(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::UNAUTHORIZED
                | StatusCode::PAYMENT_REQUIRED
                | StatusCode::FORBIDDEN
                | StatusCode::REQUEST_TIMEOUT
        )
}

/// Writes into the head which step answered.
fn signed(mut response: Response<Body>) -> Response<Body> {
    let Some(degraded) = response.extensions().get::<Degraded>().copied() else {
        return response;
    };
    let headers = response.headers_mut();
    headers.insert(ANSWERED_BY, HeaderValue::from_static(degraded.step));
    headers.insert(CAUSE, HeaderValue::from_static(degraded.cause.as_str()));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_asker_did_wrong_goes_back_to_the_asker() {
        for (status, fault) in [
            (200, false),
            (400, false),
            (404, false),
            (401, true),
            (429, true),
            (500, true),
            (503, true),
        ] {
            assert_eq!(
                is_the_providers_fault(StatusCode::from_u16(status).unwrap()),
                fault,
                "{status}"
            );
        }
    }
}
