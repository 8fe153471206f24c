//! One request for a chat completion, as the steps of the chain see it.

use std::sync::Arc;

use axum::body::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A request that was read and checked. A clone is cheap: every step gets one.
#[derive(Debug, Clone)]
pub(crate) struct Chat(Arc<Read>);

#[derive(Debug)]
struct Read {
    body: Map<String, Value>,
    model: String,
    prompt: String,
    stream: bool,
    key: Key,
}

/// What makes two requests the same: a digest of the whole body, whatever the order of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Chat {
    /// Reads a body; the error says which field is wrong and what it should be.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("the body is not JSON: {error}"))?;
        let Value::Object(body) = value else {
            return Err("the body must be a JSON object".into());
        };
        let model = match body.get("model") {
            Some(Value::String(model)) if !model.is_empty() => model.clone(),
            Some(other) => return Err(format!("model = {} must be the name of a model", short(other))),
            None => return Err("model is missing; name one, for instance \"demo\"".into()),
        };
        let stream = match body.get("stream") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(stream)) => *stream,
            Some(other) => return Err(format!("stream = {} must be true or false", short(other))),
        };
        let messages = match body.get("messages") {
            Some(Value::Array(messages)) if !messages.is_empty() => messages,
            Some(other) => {
                return Err(format!(
                    "messages = {} must be a list with at least one message",
                    short(other)
                ));
            }
            None => return Err("messages is missing; send a list with at least one message".into()),
        };
        let prompt = last_prompt(messages);
        let key = digest(&body);
        Ok(Self(Arc::new(Read {
            body,
            model,
            prompt,
            stream,
            key,
        })))
    }

    pub(crate) fn model(&self) -> &str {
        &self.0.model
    }

    /// What the user said last: the text that rules look at.
    pub(crate) fn prompt(&self) -> &str {
        &self.0.prompt
    }

    pub(crate) fn stream(&self) -> bool {
        self.0.stream
    }

    pub(crate) fn key(&self) -> Key {
        self.0.key
    }

    /// The request as it goes to a provider that calls the model `model`.
    pub(crate) fn body_for(&self, model: &str) -> Bytes {
        let mut body = self.0.body.clone();
        body.insert("model".to_owned(), model.into());
        Value::Object(body).to_string().into()
    }
}

fn last_prompt(messages: &[Value]) -> String {
    let from_user = messages.iter().rev().find(|message| message["role"] == "user");
    match from_user.map(|message| &message["content"]) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

fn digest(body: &Map<String, Value>) -> Key {
    // Each field is hashed by name in sorted order, so that the order in which a client writes them is no difference.
    let mut fields: Vec<_> = body.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    let mut hash = Sha256::new();
    for (name, value) in fields {
        hash.update(format!("{name:?}:{value}\n"));
    }
    Key(hash.finalize().into())
}

/// A wrong value, cut to a length that suits an error.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Chat {
        Chat::read(body.as_bytes()).unwrap()
    }

    #[test]
    fn the_prompt_is_the_last_word_of_the_user_also_when_it_comes_in_parts() {
        let asked = chat(
            r#"{"model":"m","messages":[{"role":"user","content":"one"},{"role":"assistant","content":"two"},
                {"role":"user","content":[{"type":"text","text":"three"},{"type":"image_url"},{"type":"text","text":"four"}]},
                {"role":"assistant","content":"five"}]}"#,
        );
        assert_eq!(asked.prompt(), "three four");
    }

    #[test]
    fn requests_are_the_same_when_all_their_fields_are_the_same() {
        let one = chat(r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#);
        let turned = chat(r#"{"messages":[{"content":"a","role":"user"}],"model":"m"}"#);
        let other = chat(r#"{"model":"m","messages":[{"role":"user","content":"b"}]}"#);
        let streamed = chat(r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}"#);
        assert_eq!(one.key(), turned.key());
        assert_ne!(one.key(), other.key());
        assert_ne!(one.key(), streamed.key());
    }

    #[test]
    fn a_provider_is_asked_for_the_model_by_its_own_name() {
        let asked = chat(r#"{"model":"gpt-4","messages":[{"role":"user","content":"a"}],"temperature":0.5}"#);
        let sent: Value = serde_json::from_slice(&asked.body_for("llama")).unwrap();
        assert_eq!(
            (sent["model"].as_str(), sent["temperature"].as_f64()),
            (Some("llama"), Some(0.5))
        );
    }

    #[test]
    fn a_body_that_is_wrong_is_refused_with_the_field_named() {
        for (body, words) in [
            ("{", "the body is not JSON"),
            ("[]", "the body must be a JSON object"),
            (r#"{"messages":[1]}"#, "model is missing"),
            (
                r#"{"model":"m","messages":[]}"#,
                "messages = [] must be a list with at least one message",
            ),
            (
                r#"{"model":"m","messages":[1],"stream":"yes"}"#,
                "stream = \"yes\" must be true or false",
            ),
        ] {
            let error = Chat::read(body.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
