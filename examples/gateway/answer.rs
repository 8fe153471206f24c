//! Answers in the shape of the chat completions API: one JSON object, or a stream of events that ends with `[DONE]`.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::wall;

/// The whole answer as one JSON object.
pub(crate) fn completion(model: &str, text: &str) -> Value {
    json!({
        "id": "chatcmpl-fusebox",
        "object": "chat.completion",
        "created": wall::unix_seconds(),
        "model": model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": text },
            "finish_reason": "stop",
        }],
    })
}

/// The same answer as server-sent events, a word each, `[DONE]` at the end.
pub(crate) fn events(model: &str, text: &str) -> Vec<String> {
    let created = wall::unix_seconds();
    let event = |delta: Value, finish: Option<&str>| {
        let chunk = json!({
            "id": "chatcmpl-fusebox",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        });
        format!("data: {chunk}\n\n")
    };
    let words = text
        .split_inclusive(' ')
        .map(|word| event(json!({ "content": word }), None));
    std::iter::once(event(json!({ "role": "assistant" }), None))
        .chain(words)
        .chain([event(json!({}), Some("stop")), "data: [DONE]\n\n".to_owned()])
        .collect()
}

/// A complete `200` answer, in the form that was asked for.
pub(crate) fn response(model: &str, text: &str, stream: bool) -> Response<Body> {
    if stream {
        let mut response = Response::new(Body::from(events(model, text).concat()));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response
    } else {
        json_response(StatusCode::OK, &completion(model, text))
    }
}

/// An error in the shape that clients of this API know.
pub(crate) fn error(status: StatusCode, kind: &str, message: &str) -> Response<Body> {
    json_response(status, &json!({ "error": { "type": kind, "message": message } }))
}

/// A JSON answer, in one line.
pub(crate) fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    json(status, format!("{value}\n"))
}

/// A JSON answer that people read too.
pub(crate) fn json_page(value: &Value) -> Response<Body> {
    json(StatusCode::OK, format!("{value:#}\n"))
}

fn json(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_spell_the_text_and_end_with_done() {
        let events = events("demo", "three short words");
        let spelt: String = events
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok())
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(spelt, "three short words");
        assert_eq!(events.last().unwrap(), "data: [DONE]\n\n");
    }
}
