//! The `Retry-After` header: RFC 9110, section 10.2.3.
//!
//! ```
//! use std::time::{Duration, UNIX_EPOCH};
//! use http::{HeaderMap, header::RETRY_AFTER};
//! use http_outcome::retry_after;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(RETRY_AFTER, retry_after::value(Duration::from_millis(1_200)));
//! assert_eq!(headers[RETRY_AFTER], "2");
//!
//! let now = UNIX_EPOCH;
//! assert_eq!(retry_after::parse(&headers, now), Some(Duration::from_secs(2)));
//!
//! headers.insert(RETRY_AFTER, "Thu, 01 Jan 1970 00:01:00 GMT".parse()?);
//! assert_eq!(retry_after::parse(&headers, now), Some(Duration::from_secs(60)));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};

use crate::digits;

/// The first second of the year 10000, which no HTTP date can name.
const AFTER_THE_LAST_DATE: Duration = Duration::from_secs(253_402_300_800);

/// How long the server asked to be left alone, counted from `now`.
///
/// Seconds, and dates in all three forms of RFC 9110. A date that has passed is a wait of zero. Garbage, fractions and
/// negative numbers are `None`. Of several headers the longest valid wait counts. A wait of years is returned as it is:
/// bound it where it is used.
#[must_use]
pub fn parse(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| seconds_in(value).or_else(|| date_in(value, now)))
        .max()
}

/// Like [`parse`], but only a number of seconds: where no clock is at hand.
#[must_use]
pub fn parse_seconds(headers: &HeaderMap) -> Option<Duration> {
    headers.get_all(RETRY_AFTER).iter().filter_map(seconds_in).max()
}

/// The wait as a header: whole seconds, rounded up, so that a caller who obeys it is never early.
#[must_use]
pub fn value(wait: Duration) -> HeaderValue {
    HeaderValue::from(whole_seconds(wait))
}

/// A moment as a header: a date in whole seconds, rounded up.
///
/// `None` for what an HTTP date cannot say: before 1970 or past the year 9999. Prefer [`value`], which needs no clock
/// that agrees with the caller's.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use http_outcome::retry_after;
///
/// let date = retry_after::date(UNIX_EPOCH + Duration::from_millis(59_001));
/// assert_eq!(date.unwrap(), "Thu, 01 Jan 1970 00:01:00 GMT");
/// ```
#[must_use]
pub fn date(until: SystemTime) -> Option<HeaderValue> {
    let since = Duration::from_secs(whole_seconds(until.duration_since(UNIX_EPOCH).ok()?));
    // The bound is checked before the formatter is called, for it panics beyond.
    if since >= AFTER_THE_LAST_DATE {
        return None;
    }
    HeaderValue::try_from(httpdate::fmt_http_date(UNIX_EPOCH.checked_add(since)?)).ok()
}

/// Rounded up to a whole second; the longest duration of all stays as long as it can be said.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

fn seconds_in(value: &HeaderValue) -> Option<Duration> {
    digits::parse(value.as_bytes().trim_ascii()).map(Duration::from_secs)
}

fn date_in(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let date = httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}
