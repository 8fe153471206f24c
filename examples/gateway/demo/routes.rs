//! What a built-in provider answers.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Fault;
use crate::answer;
use crate::chat::Chat;

/// How late a slow answer is: later than the built-in circuits call slow, earlier than their providers time out.
pub(super) const LATE: Duration = Duration::from_millis(1_200);
/// The pause between two words of a streamed answer.
const WORD: Duration = Duration::from_millis(15);
const RETRY_AFTER_SECONDS: &str = "5";

#[derive(Clone)]
pub(super) struct Provider {
    pub(super) name: &'static str,
    pub(super) fault: watch::Sender<Fault>,
}

pub(super) fn routes(provider: Provider) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models", get(models))
        .route("/healthz", get(health))
        .route("/fault", get(show).post(switch))
        .with_state(provider)
}

async fn chat(State(provider): State<Provider>, body: Bytes) -> Response<Body> {
    let chat = match Chat::read(&body) {
        Ok(chat) => chat,
        Err(message) => return answer::error(StatusCode::BAD_REQUEST, "invalid_request_error", &message),
    };
    let text = format!("This is {}. You asked: {}", provider.name, chat.prompt());
    let fault = *provider.fault.borrow();
    match fault {
        Fault::None => {}
        Fault::Slow => sleep(LATE).await,
        Fault::BrokenStream => return broken(&chat, &text),
        Fault::Throttle => {
            let mut response = answer::error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "too many requests");
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            return response;
        }
        Fault::Hang | Fault::Refuse => return hang(&provider, fault).await,
        Fault::Errors => return failed(),
    }
    if chat.stream() {
        streamed(&chat, &text)
    } else {
        answer::response(chat.model(), &text, false)
    }
}

async fn models(State(provider): State<Provider>) -> Response<Body> {
    let model = json!({ "id": "demo", "object": "model", "owned_by": provider.name });
    answer::json_response(StatusCode::OK, &json!({ "object": "list", "data": [model] }))
}

async fn health(State(provider): State<Provider>) -> Response<Body> {
    let fault = *provider.fault.borrow();
    match fault {
        Fault::Errors => failed(),
        Fault::Hang | Fault::Refuse => hang(&provider, fault).await,
        _ => answer::json_response(StatusCode::OK, &json!({ "status": "ok" })),
    }
}

async fn show(State(provider): State<Provider>) -> Response<Body> {
    let fault = *provider.fault.borrow();
    answer::json_response(
        StatusCode::OK,
        &json!({ "provider": provider.name, "fault": fault.as_str() }),
    )
}

async fn switch(State(provider): State<Provider>, body: Bytes) -> Response<Body> {
    let mode = serde_json::from_slice::<Value>(&body)
        .ok()
        .and_then(|body| body["mode"].as_str().map(str::to_owned));
    let fault = match mode.as_deref().unwrap_or_default().parse::<Fault>() {
        Ok(fault) => fault,
        Err(message) => return answer::error(StatusCode::BAD_REQUEST, "invalid_request_error", &message),
    };
    provider.fault.send_replace(fault);
    answer::json_response(
        StatusCode::OK,
        &json!({ "provider": provider.name, "fault": fault.as_str() }),
    )
}

fn failed() -> Response<Body> {
    answer::error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "server_error",
        "the provider is broken",
    )
}

/// No answer as long as the fault lasts. A caller that goes away ends it too: the server then drops this future.
async fn hang(provider: &Provider, fault: Fault) -> Response<Body> {
    let _ = provider.fault.subscribe().wait_for(|now| *now != fault).await;
    failed()
}

fn streamed(chat: &Chat, text: &str) -> Response<Body> {
    let events = stream::iter(answer::events(chat.model(), text)).then(|event| async move {
        sleep(WORD).await;
        Ok::<_, std::io::Error>(event)
    });
    sse(Body::from_stream(events))
}

/// An answer whose head and first half are fine; then the connection breaks.
fn broken(chat: &Chat, text: &str) -> Response<Body> {
    let whole = if chat.stream() {
        answer::events(chat.model(), text)
    } else {
        answer::completion(chat.model(), text)
            .to_string()
            .split_inclusive(',')
            .map(str::to_owned)
            .collect()
    };
    let half = whole.len() / 2;
    let pieces = whole
        .into_iter()
        .take(half)
        .map(Ok)
        .chain([Err(std::io::Error::other("broken off"))]);
    let body = Body::from_stream(stream::iter(pieces).then(|piece| async move {
        sleep(WORD).await;
        piece
    }));
    if chat.stream() { sse(body) } else { Response::new(body) }
}

fn sse(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}
