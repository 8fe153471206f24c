//! Refusals as responses.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use http_outcome::{GuardedBody, Hold, Outcome, Protocol, RefusalResponse, grpc, http_head, pushback, retry_after};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Takes the response as bytes and reads it with a parser that is not ours.
fn document(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// What gRPC's libraries do with a message.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            out.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

#[test]
fn as_http_it_is_a_503_with_retry_after_and_a_problem_document() {
    let response = RefusalResponse::new()
        .problem_type("https://example.org/problems/circuit-open")
        .title("Circuit open")
        .detail("circuit \"openai\" is open")
        .retry_after(Some(Duration::from_millis(11_001)))
        .into_http::<Bytes>();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["retry-after"], "12");
    assert_eq!(
        document(&response),
        json!({
            "type": "https://example.org/problems/circuit-open",
            "title": "Circuit open",
            "status": 503,
            "detail": "circuit \"openai\" is open",
            "retry_after_seconds": 12,
        })
    );
}

#[test]
fn what_is_not_known_is_left_out() {
    let response = RefusalResponse::default().into_http::<Bytes>();
    assert!(!response.headers().contains_key("retry-after"));
    assert_eq!(
        document(&response),
        json!({"type": "about:blank", "title": "Service Unavailable", "status": 503})
    );
    let response = RefusalResponse::default().into_grpc::<Bytes>();
    assert!(!response.headers().contains_key("grpc-retry-pushback-ms"));
    assert_eq!(response.headers()["grpc-message"], "Service Unavailable");
}

#[test]
fn a_wait_of_zero_or_of_ages_is_said_as_it_is() {
    for (wait, seconds) in [(Duration::ZERO, 0), (Duration::MAX, u64::MAX)] {
        let response = RefusalResponse::new().retry_after(Some(wait)).into_http::<Bytes>();
        assert_eq!(response.headers()["retry-after"], seconds.to_string());
        assert_eq!(document(&response)["retry_after_seconds"], json!(seconds));
    }
}

#[tokio::test]
async fn as_grpc_it_is_a_trailers_only_unavailable() {
    let response = RefusalResponse::new()
        .detail("100 % — zu viel")
        .retry_after(Some(Duration::from_micros(11_200_001)))
        .into_grpc::<Full<Bytes>>();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers().len(), 4);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert_eq!(response.headers()["grpc-status"], "14");
    assert_eq!(response.headers()["grpc-message"], "100 %25 %E2%80%94 zu viel");
    assert_eq!(response.headers()["grpc-retry-pushback-ms"], "11201");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[test]
fn a_request_is_refused_in_its_own_protocol() {
    let refusal = RefusalResponse::new();
    assert_eq!(refusal.clone().for_request::<Full<Bytes>>(false).status(), 503);
    assert_eq!(
        refusal.clone().for_request::<Full<Bytes>>(true).headers()["grpc-status"],
        "14"
    );
    assert_eq!(refusal.clone().for_request_with(false, Full::new).status(), 503);
    let grpc = refusal.for_request_with(true, |bytes| {
        assert!(bytes.is_empty());
        Full::new(bytes).boxed()
    });
    assert_eq!(grpc.headers()["grpc-status"], "14");
}

#[test]
fn a_refusal_fits_a_guarded_body_without_a_guard() {
    type Out = GuardedBody<Full<Bytes>, Hold<()>>;
    let _: Response<Out> = RefusalResponse::new().for_request(false);
    let _: Response<GuardedBody<Empty<Bytes>, Hold<()>>> = RefusalResponse::new().into_grpc();
}

#[test]
fn what_is_written_here_is_judged_here_as_a_failure_with_the_same_wait() {
    let refusal = RefusalResponse::new().retry_after(Some(Duration::from_secs(30)));
    let http = refusal.clone().into_http::<Bytes>();
    let judged = http_head::judge(http.status(), http.headers(), false, std::time::UNIX_EPOCH);
    assert_eq!(
        (judged.outcome, judged.retry_after),
        (Outcome::Failure, Some(Duration::from_secs(30)))
    );
    let grpc = refusal.into_grpc::<Bytes>();
    assert_eq!(Protocol::of(grpc.headers()), Protocol::Grpc);
    let judged = grpc::judge_head(grpc.status(), grpc.headers(), true);
    assert_eq!(
        (judged.outcome, judged.retry_after),
        (Outcome::Failure, Some(Duration::from_secs(30)))
    );
    assert_eq!(
        retry_after::parse_seconds(http.headers()),
        pushback::parse(grpc.headers())
    );
}

#[test]
fn a_line_break_in_a_detail_never_reaches_a_header() {
    let nasty = "open\r\nset-cookie: a=b\r\n\r\n<html>\0\u{7f}\u{85}\u{2028}";
    let refusal = RefusalResponse::new().problem_type(nasty).title(nasty).detail(nasty);
    let http = refusal.clone().into_http::<Bytes>();
    let grpc = refusal.into_grpc::<Bytes>();
    for headers in [http.headers(), grpc.headers()] {
        assert!(!headers.contains_key("set-cookie"));
        for value in headers.values() {
            assert!(
                value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)),
                "{value:?}"
            );
        }
    }
    assert_eq!(
        grpc.headers()["grpc-message"],
        "open%0D%0Aset-cookie: a=b%0D%0A%0D%0A<html>%00%7F%C2%85%E2%80%A8"
    );
    assert_eq!(document(&http)["detail"], json!(nasty));
}

#[test]
fn every_control_character_is_escaped_in_json() {
    for c in '\0'..='\u{9f}' {
        let text = format!("a{c}b");
        let response = RefusalResponse::new().detail(text.clone()).into_http::<Bytes>();
        assert_eq!(document(&response)["detail"], json!(text), "{c:?}");
        assert!(response.body().iter().all(|byte| *byte >= 0x20), "{c:?}");
    }
}

#[test]
fn a_message_of_a_megabyte_is_cut_between_characters_and_the_document_has_it_whole() {
    for pad in 0..4 {
        let text = "a".repeat(pad) + &"é€😀".repeat(100_000);
        let refusal = RefusalResponse::new().detail(text.clone());
        let grpc = refusal.clone().into_grpc::<Bytes>();
        let message = percent_decoded(grpc.headers()["grpc-message"].as_bytes());
        let message = String::from_utf8(message).unwrap();
        assert!(text.starts_with(&message));
        assert!((1_021..=1_024).contains(&message.len()), "{}", message.len());
        assert_eq!(document(&refusal.into_http::<Bytes>())["detail"], json!(text));
    }
}

proptest! {
    #[test]
    fn any_text_comes_back_from_the_document_and_from_the_message(title: String, detail: String) {
        let refusal = RefusalResponse::new().title(title.clone()).detail(detail.clone());
        let http = refusal.clone().into_http::<Bytes>();
        let document = document(&http);
        prop_assert_eq!(&document["title"], &json!(title));
        prop_assert_eq!(&document["detail"], &json!(detail));
        let grpc = refusal.into_grpc::<Bytes>();
        let message = percent_decoded(grpc.headers()["grpc-message"].as_bytes());
        prop_assert_eq!(message, detail.into_bytes());
    }
}
