//! The head of an HTTP response.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};

use crate::{Judged, Outcome, retry_after};

/// Judges a response by its status; `now` is for a `Retry-After` that names a date
/// ([`wall::now`](crate::wall::now) in production).
///
/// | status | outcome | `Retry-After` |
/// |---|---|---|
/// | 500 and above, unknown classes too | `Failure` | read |
/// | 429 | `Throttled` | read |
/// | other 4xx | `Neutral` | |
/// | 1xx, 2xx, 3xx | `Success` when `body_is_end`, else `AtEnd` | |
///
/// `body_is_end` is [`Body::is_end_stream`](http_body::Body::is_end_stream) of the response's body. After an `AtEnd` the
/// end of the body is a success (with or without trailers), and an error in it a failure.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use http::{HeaderMap, StatusCode};
/// use http_outcome::{Outcome, http_head};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after", "120".parse()?);
///
/// let judged = http_head::judge(StatusCode::SERVICE_UNAVAILABLE, &headers, false, UNIX_EPOCH);
/// assert_eq!(judged.outcome, Outcome::Failure);
/// assert_eq!(judged.retry_after, Some(Duration::from_secs(120)));
///
/// let judged = http_head::judge(StatusCode::OK, &HeaderMap::new(), false, UNIX_EPOCH);
/// assert_eq!(judged.outcome, Outcome::AtEnd);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn judge(status: StatusCode, headers: &HeaderMap, body_is_end: bool, now: SystemTime) -> Judged {
    let outcome = match status.as_u16() {
        429 => Outcome::Throttled,
        400..=499 => Outcome::Neutral,
        // RFC 9110, section 15: a status of no known class is to be taken for a server error.
        500.. => Outcome::Failure,
        _ if body_is_end => Outcome::Success,
        _ => Outcome::AtEnd,
    };
    let retry_after = match outcome {
        Outcome::Failure | Outcome::Throttled => retry_after::parse(headers, now),
        _ => None,
    };
    Judged::new(outcome).with_retry_after(retry_after)
}
