//! Heads of HTTP responses.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, StatusCode};
use http_outcome::{Judged, Outcome, Protocol, http_head};
use proptest::prelude::*;

fn hinted(seconds: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_str(seconds).unwrap());
    headers
}

fn judge(status: u16, headers: &HeaderMap, body_is_end: bool) -> Judged {
    http_head::judge(StatusCode::from_u16(status).unwrap(), headers, body_is_end, UNIX_EPOCH)
}

#[test]
fn every_status_is_judged_by_the_table() {
    for status in 100..=999 {
        for body_is_end in [false, true] {
            let wanted = match status {
                429 => Outcome::Throttled,
                400..=499 => Outcome::Neutral,
                500..=999 => Outcome::Failure,
                _ if body_is_end => Outcome::Success,
                _ => Outcome::AtEnd,
            };
            assert_eq!(
                judge(status, &HeaderMap::new(), body_is_end),
                Judged::new(wanted),
                "{status} {body_is_end}"
            );
        }
    }
}

#[test]
fn named_statuses_mean_what_people_expect() {
    let table = [
        (200, Outcome::AtEnd),
        (101, Outcome::AtEnd),
        (301, Outcome::AtEnd),
        (304, Outcome::AtEnd),
        (400, Outcome::Neutral),
        (401, Outcome::Neutral),
        (404, Outcome::Neutral),
        (408, Outcome::Neutral),
        (428, Outcome::Neutral),
        (429, Outcome::Throttled),
        (430, Outcome::Neutral),
        (499, Outcome::Neutral),
        (500, Outcome::Failure),
        (501, Outcome::Failure),
        (502, Outcome::Failure),
        (503, Outcome::Failure),
        (504, Outcome::Failure),
        (599, Outcome::Failure),
        (600, Outcome::Failure),
    ];
    for (status, outcome) in table {
        assert_eq!(judge(status, &HeaderMap::new(), false).outcome, outcome, "{status}");
    }
}

#[test]
fn a_retry_after_is_read_from_failures_and_429_and_from_nothing_else() {
    let headers = hinted("17");
    for status in 100..=999 {
        let wanted = (status == 429 || status >= 500).then_some(Duration::from_secs(17));
        assert_eq!(judge(status, &headers, true).retry_after, wanted, "{status}");
    }
}

#[test]
fn a_garbled_retry_after_leaves_the_outcome_alone() {
    assert_eq!(judge(503, &hinted("soon"), false), Judged::new(Outcome::Failure));
    assert_eq!(judge(429, &hinted("-3"), false), Judged::new(Outcome::Throttled));
}

#[test]
fn http_that_ends_is_a_success_with_or_without_trailers_and_an_error_is_a_failure() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("14"));
    assert_eq!(Protocol::Http.judge_end(None).outcome, Outcome::Success);
    assert_eq!(Protocol::Http.judge_end(Some(&trailers)).outcome, Outcome::Success);
    assert_eq!(Protocol::Http.judge_error().outcome, Outcome::Failure);
}

#[test]
fn the_protocol_picks_the_rules() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    assert_eq!(Protocol::of(&headers), Protocol::Grpc);
    assert_eq!(Protocol::of(&HeaderMap::new()), Protocol::Http);

    let not_found = StatusCode::NOT_FOUND;
    let head = Protocol::Http.judge_head(not_found, &HeaderMap::new(), true, UNIX_EPOCH);
    assert_eq!(head.outcome, Outcome::Neutral);
    let head = Protocol::Grpc.judge_head(not_found, &HeaderMap::new(), true, UNIX_EPOCH);
    assert_eq!(head.outcome, Outcome::Failure);
    assert_eq!(Protocol::Grpc.judge_end(None).outcome, Outcome::Failure);
    assert_eq!(Protocol::Grpc.judge_error().outcome, Outcome::Failure);
}

proptest! {
    #[test]
    fn no_header_makes_a_judge_panic(status in 100_u16..1000, value in proptest::collection::vec(any::<u8>(), 0..64), end: bool) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.insert("retry-after", value.clone());
            headers.insert("grpc-status", value.clone());
            headers.insert("grpc-retry-pushback-ms", value.clone());
            headers.insert("content-type", value);
        }
        let status = StatusCode::from_u16(status).unwrap();
        for protocol in [Protocol::of(&headers), Protocol::Http, Protocol::Grpc] {
            let _ = protocol.judge_head(status, &headers, end, UNIX_EPOCH);
            let _ = protocol.judge_end(Some(&headers));
        }
    }
}
