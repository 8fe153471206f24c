//! gRPC heads, trailers and codes.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_outcome::grpc::{self, Code};
use http_outcome::{Judged, Outcome};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

const TABLE: [(u32, Code, Outcome); 17] = [
    (0, Code::Ok, Outcome::Success),
    (1, Code::Cancelled, Outcome::Neutral),
    (2, Code::Unknown, Outcome::Failure),
    (3, Code::InvalidArgument, Outcome::Neutral),
    (4, Code::DeadlineExceeded, Outcome::Failure),
    (5, Code::NotFound, Outcome::Neutral),
    (6, Code::AlreadyExists, Outcome::Neutral),
    (7, Code::PermissionDenied, Outcome::Neutral),
    (8, Code::ResourceExhausted, Outcome::Throttled),
    (9, Code::FailedPrecondition, Outcome::Neutral),
    (10, Code::Aborted, Outcome::Neutral),
    (11, Code::OutOfRange, Outcome::Neutral),
    (12, Code::Unimplemented, Outcome::Neutral),
    (13, Code::Internal, Outcome::Failure),
    (14, Code::Unavailable, Outcome::Failure),
    (15, Code::DataLoss, Outcome::Failure),
    (16, Code::Unauthenticated, Outcome::Neutral),
];

#[test]
fn every_code_is_judged_by_the_table_as_number_header_and_trailer() {
    for (number, code, outcome) in TABLE {
        assert_eq!(Code::from(number), code);
        assert_eq!(Code::from(i32::try_from(number).unwrap()), code);
        assert_eq!(code.number(), number);
        assert_eq!(code.outcome(), outcome);
        assert_eq!(grpc::judge_code(number), outcome);
        assert_eq!(grpc::judge_code(code), outcome);
        let carried = headers(&[("grpc-status", &number.to_string())]);
        assert_eq!(grpc::judge_trailers(Some(&carried)), Judged::new(outcome));
        assert_eq!(grpc::judge_head(StatusCode::OK, &carried, true), Judged::new(outcome));
    }
}

#[test]
fn a_number_that_grpc_does_not_define_is_unknown_and_a_failure() {
    for number in [17_u32, 18, 99, 1_000, u32::MAX] {
        assert_eq!(Code::from(number), Code::Unknown, "{number}");
        assert_eq!(grpc::judge_code(number), Outcome::Failure);
    }
    assert_eq!(grpc::judge_code(-1), Outcome::Failure);
    assert_eq!(grpc::judge_code(i32::MIN), Outcome::Failure);
    // Would be OK if it wrapped at 32 bits.
    let trailers = headers(&[("grpc-status", "4294967296")]);
    assert_eq!(grpc::judge_trailers(Some(&trailers)).outcome, Outcome::Failure);
}

#[test]
fn trailers_that_are_missing_or_have_no_status_are_a_failure() {
    assert_eq!(grpc::judge_trailers(None).outcome, Outcome::Failure);
    assert_eq!(grpc::judge_trailers(Some(&HeaderMap::new())).outcome, Outcome::Failure);
    let others = headers(&[("grpc-message", "fine"), ("x-grpc-status", "0")]);
    assert_eq!(grpc::judge_trailers(Some(&others)).outcome, Outcome::Failure);
}

#[test]
fn a_garbled_status_is_a_failure() {
    for garbled in [
        "",
        "ok",
        "OK",
        "0x0",
        "-0",
        "+0",
        "0.0",
        "0 0",
        "0,0",
        "zero",
        "99999999999999999999999",
    ] {
        let carried = headers(&[("grpc-status", garbled)]);
        assert_eq!(
            grpc::judge_trailers(Some(&carried)).outcome,
            Outcome::Failure,
            "{garbled:?}"
        );
        assert_eq!(
            grpc::judge_head(StatusCode::OK, &carried, false).outcome,
            Outcome::Failure,
            "{garbled:?}"
        );
    }
    let mut raw = HeaderMap::new();
    raw.insert("grpc-status", HeaderValue::from_bytes(b"\xff0").unwrap());
    assert_eq!(grpc::judge_trailers(Some(&raw)).outcome, Outcome::Failure);
}

#[test]
fn statuses_that_differ_are_a_failure_and_the_same_twice_is_that_one() {
    let differ = headers(&[("grpc-status", "0"), ("grpc-status", "5")]);
    assert_eq!(grpc::code_in(&differ), Some(Code::Unknown));
    let same = headers(&[("grpc-status", "0"), ("grpc-status", "0")]);
    assert_eq!(grpc::code_in(&same), Some(Code::Ok));
    assert_eq!(grpc::code_in(&HeaderMap::new()), None);
}

#[test]
fn a_head_without_status_decides_by_http_status_and_end_of_body() {
    let none = HeaderMap::new();
    for status in 100..=999 {
        let status = StatusCode::from_u16(status).unwrap();
        let wanted = if status.is_success() {
            Outcome::AtEnd
        } else {
            Outcome::Failure
        };
        assert_eq!(grpc::judge_head(status, &none, false).outcome, wanted, "{status}");
        assert_eq!(
            grpc::judge_head(status, &none, true).outcome,
            Outcome::Failure,
            "{status}"
        );
    }
}

#[test]
fn a_status_in_the_head_decides_whatever_the_http_status_is() {
    let not_found = headers(&[("grpc-status", "5")]);
    for status in [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE, StatusCode::NOT_FOUND] {
        assert_eq!(grpc::judge_head(status, &not_found, false).outcome, Outcome::Neutral);
    }
}

#[test]
fn pushback_is_read_from_failures_and_throttling_in_head_and_trailers() {
    for (number, _, outcome) in TABLE {
        let carried = headers(&[("grpc-status", &number.to_string()), ("grpc-retry-pushback-ms", "1500")]);
        let wanted = matches!(outcome, Outcome::Failure | Outcome::Throttled).then_some(Duration::from_millis(1_500));
        assert_eq!(
            grpc::judge_head(StatusCode::OK, &carried, true).retry_after,
            wanted,
            "{number}"
        );
        assert_eq!(grpc::judge_trailers(Some(&carried)).retry_after, wanted, "{number}");
    }
}

#[test]
fn a_pushback_that_says_never_is_no_hint() {
    let carried = headers(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", "-1")]);
    assert_eq!(grpc::judge_trailers(Some(&carried)), Judged::new(Outcome::Failure));
}

#[test]
fn a_proxys_error_brings_its_retry_after_in_seconds() {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let seconds = headers(&[("retry-after", "9")]);
    assert_eq!(
        grpc::judge_head(unavailable, &seconds, true).retry_after,
        Some(Duration::from_secs(9))
    );
    let both = headers(&[("retry-after", "9"), ("grpc-retry-pushback-ms", "40")]);
    assert_eq!(
        grpc::judge_head(unavailable, &both, true).retry_after,
        Some(Duration::from_millis(40))
    );
    let date = headers(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]);
    assert_eq!(grpc::judge_head(unavailable, &date, true).retry_after, None);
}

#[test]
fn grpc_is_told_by_its_content_type() {
    for yes in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc+json",
        "application/grpc;charset=utf-8",
        "application/grpc ; a=b",
        "Application/gRPC",
    ] {
        assert!(grpc::is_grpc(&headers(&[("content-type", yes)])), "{yes}");
    }
    for no in [
        "",
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpc-web-text",
        "application/grpcurl",
        "application/grp",
        "application/json",
        "text/plain; application/grpc",
    ] {
        assert!(!grpc::is_grpc(&headers(&[("content-type", no)])), "{no}");
    }
    assert!(!grpc::is_grpc(&HeaderMap::new()));
}
