//! `Retry-After` and `grpc-retry-pushback-ms`, read and written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_outcome::{pushback, retry_after};
use proptest::prelude::*;

/// Sun, 06 Nov 1994 08:49:37 GMT, the date of the RFC's own examples.
fn rfc_date() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn several(name: &HeaderName, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn waits(values: &[&str], now: SystemTime) -> Option<Duration> {
    retry_after::parse(&several(&RETRY_AFTER, values), now)
}

fn pushed(values: &[&str]) -> Option<Duration> {
    pushback::parse(&several(&pushback::NAME, values))
}

#[test]
fn seconds_are_read() {
    for (text, seconds) in [
        ("0", 0),
        ("1", 1),
        ("120", 120),
        ("007", 7),
        (" 5 ", 5),
        ("315360000", 315_360_000),
    ] {
        assert_eq!(
            waits(&[text], UNIX_EPOCH),
            Some(Duration::from_secs(seconds)),
            "{text:?}"
        );
    }
}

#[test]
fn dates_are_read_in_all_three_forms() {
    let now = rfc_date() - Duration::from_secs(37);
    for date in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        assert_eq!(waits(&[date], now), Some(Duration::from_secs(37)), "{date}");
    }
}

#[test]
fn a_date_in_the_past_is_a_wait_of_zero() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(waits(&[date], rfc_date()), Some(Duration::ZERO));
    assert_eq!(
        waits(&[date], rfc_date() + Duration::from_nanos(1)),
        Some(Duration::ZERO)
    );
    assert_eq!(
        waits(&[date], rfc_date() + Duration::from_secs(1 << 30)),
        Some(Duration::ZERO)
    );
    // A wall clock that stands before 1970.
    assert!(waits(&[date], UNIX_EPOCH - Duration::from_secs(1)) > Some(Duration::from_secs(784_111_777)));
}

#[test]
fn garbage_fractions_and_negative_numbers_are_no_wait() {
    for text in [
        "",
        " ",
        "soon",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "0x10",
        "1 2",
        "1,2",
        "5s",
        "NaN",
        "inf",
        "\u{e9}",
        "Sun, 06 Nov",
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(text.as_bytes()).unwrap());
        assert_eq!(retry_after::parse(&headers, UNIX_EPOCH), None, "{text:?}");
    }
    for date in [
        "Mon, 06 Nov 1994 08:49:37 GMT", // was a Sunday
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Thu, 01 Jan 10000 00:00:00 GMT",
    ] {
        assert_eq!(waits(&[date], UNIX_EPOCH), None, "{date}");
    }
    assert_eq!(waits(&[], UNIX_EPOCH), None);
}

#[test]
fn waits_of_years_come_back_as_they_are_and_nothing_overflows() {
    assert_eq!(
        waits(&["18446744073709551615"], UNIX_EPOCH),
        Some(Duration::from_secs(u64::MAX))
    );
    assert_eq!(
        waits(&["18446744073709551616"], UNIX_EPOCH),
        Some(Duration::from_secs(u64::MAX))
    );
    // 10^20, of which 64 bits would hold a harmless looking rest.
    assert_eq!(
        waits(&["100000000000000000000"], UNIX_EPOCH),
        Some(Duration::from_secs(u64::MAX))
    );
    assert_eq!(
        waits(&[&"9".repeat(5_000)], UNIX_EPOCH),
        Some(Duration::from_secs(u64::MAX))
    );
    assert_eq!(
        waits(&["Fri, 31 Dec 9999 23:59:59 GMT"], UNIX_EPOCH),
        Some(Duration::from_secs(253_402_300_799))
    );
}

#[test]
fn of_several_waits_the_longest_valid_one_counts() {
    assert_eq!(waits(&["5", "90", "30"], UNIX_EPOCH), Some(Duration::from_secs(90)));
    assert_eq!(waits(&["soon", "3", "-100"], UNIX_EPOCH), Some(Duration::from_secs(3)));
    let now = rfc_date() - Duration::from_secs(60);
    assert_eq!(
        waits(&["59", "Sun, 06 Nov 1994 08:49:37 GMT"], now),
        Some(Duration::from_secs(60))
    );
    assert_eq!(pushed(&["5", "90", "30"]), Some(Duration::from_millis(90)));
}

#[test]
fn only_seconds_are_read_where_there_is_no_clock() {
    let headers = several(&RETRY_AFTER, &["4", "Fri, 31 Dec 9999 23:59:59 GMT", "7"]);
    assert_eq!(retry_after::parse_seconds(&headers), Some(Duration::from_secs(7)));
}

#[test]
fn a_wait_is_written_in_whole_seconds_rounded_up() {
    for (wait, text) in [
        (Duration::ZERO, "0"),
        (Duration::from_nanos(1), "1"),
        (Duration::from_secs(1), "1"),
        (Duration::from_millis(1_001), "2"),
        (Duration::new(29, 999_999_999), "30"),
        (Duration::MAX, "18446744073709551615"),
    ] {
        assert_eq!(retry_after::value(wait), text);
    }
}

#[test]
fn a_date_is_written_rounded_up_and_only_where_http_has_one() {
    let say = |at| retry_after::date(at).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(say(rfc_date()).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(
        say(rfc_date() + Duration::from_nanos(1)).as_deref(),
        Some("Sun, 06 Nov 1994 08:49:38 GMT")
    );
    assert_eq!(say(UNIX_EPOCH - Duration::from_secs(1)), None);
    let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    assert_eq!(say(last).as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
    assert_eq!(say(last + Duration::from_nanos(1)), None);
    assert_eq!(say(last + Duration::from_secs(1)), None);
}

#[test]
fn milliseconds_are_read_and_written_rounded_up() {
    for (text, millis) in [("0", 0), ("1", 1), ("250", 250), ("2147483647", 2_147_483_647)] {
        assert_eq!(pushed(&[text]), Some(Duration::from_millis(millis)));
        assert_eq!(pushback::value(Duration::from_millis(millis)), text);
    }
    assert_eq!(pushback::value(Duration::from_nanos(1)), "1");
    assert_eq!(pushback::value(Duration::from_nanos(1_000_001)), "2");
}

#[test]
fn a_pushback_longer_than_the_field_is_written_as_the_longest_it_holds() {
    assert_eq!(pushback::value(Duration::from_millis(2_147_483_648)), "2147483647");
    assert_eq!(pushback::value(Duration::MAX), "2147483647");
    assert_eq!(pushed(&[&"9".repeat(100)]), Some(Duration::from_millis(u64::MAX)));
}

#[test]
fn a_negative_or_garbled_pushback_forbids_a_retry_and_names_no_time() {
    for text in ["-1", "-0", "", "soon", "1.5", "+1", "1 000"] {
        let headers = several(&pushback::NAME, &[text]);
        assert_eq!(pushback::parse(&headers), None, "{text:?}");
        assert!(pushback::forbids_retry(&headers), "{text:?}");
    }
    assert!(pushback::forbids_retry(&several(&pushback::NAME, &["10", "-1"])));
    assert!(!pushback::forbids_retry(&several(&pushback::NAME, &["10"])));
    assert!(!pushback::forbids_retry(&HeaderMap::new()));
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), now in 0_u64..1 << 40) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.clone());
            headers.insert(pushback::NAME, value);
            let _ = retry_after::parse(&headers, UNIX_EPOCH + Duration::from_secs(now));
            let _ = retry_after::parse_seconds(&headers);
            let _ = pushback::parse(&headers);
            let _ = pushback::forbids_retry(&headers);
        }
    }

    #[test]
    fn nothing_that_looks_like_a_date_makes_a_parser_panic(
        text in "(Mon|Tue|Sun|Sunday|Wednesday)[, ]{1,2}[0-9 ]{2}[- ](Jan|Feb|Dec)[- ][0-9]{2,5} [0-9]{2}:[0-9]{2}:[0-9]{2}( GMT| [0-9]{4})",
    ) {
        let _ = waits(&[&text], UNIX_EPOCH);
    }

    #[test]
    fn a_wait_that_is_written_is_read_back_at_most_a_second_longer_and_never_shorter(secs: u64, nanos in 0_u32..1_000_000_000) {
        let wait = Duration::new(secs.min(u64::MAX - 1), nanos);
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after::value(wait));
        let read = retry_after::parse(&headers, UNIX_EPOCH).unwrap();
        prop_assert!(read.checked_sub(wait).is_some_and(|longer| longer < Duration::from_secs(1)));
    }

    #[test]
    fn a_date_that_is_written_is_read_back_at_most_a_second_later(at in 0_u64..253_402_300_799, nanos in 0_u32..1_000_000_000) {
        let since = Duration::new(at, nanos);
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after::date(UNIX_EPOCH + since).unwrap());
        let read = retry_after::parse(&headers, UNIX_EPOCH).unwrap();
        prop_assert!(read.checked_sub(since).is_some_and(|longer| longer < Duration::from_secs(1)));
    }

    #[test]
    fn a_pushback_that_is_written_is_read_back_at_most_a_millisecond_longer(nanos in 0_u64..2_147_483_647_000_000) {
        let wait = Duration::from_nanos(nanos);
        let mut headers = HeaderMap::new();
        headers.insert(pushback::NAME, pushback::value(wait));
        prop_assert!(!pushback::forbids_retry(&headers));
        let read = pushback::parse(&headers).unwrap();
        prop_assert!(read.checked_sub(wait).is_some_and(|longer| longer < Duration::from_millis(1)));
    }
}
