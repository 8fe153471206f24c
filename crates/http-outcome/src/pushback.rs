//! The `grpc-retry-pushback-ms` header or trailer: gRPC proposal A6, "client retry design".
//!
//! ```
//! use std::time::Duration;
//! use http::HeaderMap;
//! use http_outcome::pushback;
//!
//! let mut trailers = HeaderMap::new();
//! trailers.insert(pushback::NAME, pushback::value(Duration::from_micros(1_500)));
//! assert_eq!(trailers[pushback::NAME], "2");
//! assert_eq!(pushback::parse(&trailers), Some(Duration::from_millis(2)));
//!
//! trailers.insert(pushback::NAME, "-1".parse()?);
//! assert_eq!(pushback::parse(&trailers), None);
//! assert!(pushback::forbids_retry(&trailers));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::digits;

/// `grpc-retry-pushback-ms`.
pub const NAME: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The proposal gives the field 32 bits with a sign; peers take a larger number for garbage, which means "never".
const MOST: u128 = i32::MAX as u128;

/// How long the server asked to be left alone.
///
/// `None` when there is no such header, and when it is negative or garbled: those say "do not retry" and name no time,
/// so they are no hint for a circuit. [`forbids_retry`] tells the two apart. Of several the longest valid wait counts.
#[must_use]
pub fn parse(headers: &HeaderMap) -> Option<Duration> {
    headers.get_all(NAME).iter().filter_map(wait_in).max()
}

/// Whether the server said "do not retry": any such header that is negative or garbled.
#[must_use]
pub fn forbids_retry(headers: &HeaderMap) -> bool {
    headers.get_all(NAME).iter().any(|value| wait_in(value).is_none())
}

/// The wait as a header: whole milliseconds, rounded up.
///
/// The field holds 31 bits: a wait of more than 24.8 days is written as the longest it can say, 2147483647.
#[must_use]
pub fn value(wait: Duration) -> HeaderValue {
    let milliseconds = wait.as_nanos().div_ceil(1_000_000).min(MOST);
    HeaderValue::from(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

fn wait_in(value: &HeaderValue) -> Option<Duration> {
    digits::parse(value.as_bytes().trim_ascii()).map(Duration::from_millis)
}
