//! gRPC over HTTP/2: the `grpc-status` in headers or trailers.
//!
//! | code | outcome |
//! |---|---|
//! | `OK` | `Success` |
//! | `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`; any number gRPC does not define | `Failure` |
//! | `RESOURCE_EXHAUSTED` | `Throttled` |
//! | all others | `Neutral` |
//! | none at the end, or a garbled one | `Failure` |
//!
//! A stream that ends without a status was cut off on its way. A proxy's 503 carries none either, and is no success
//! because its HTTP head was well formed.
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use http_outcome::{Outcome, grpc};
//!
//! let mut trailers = HeaderMap::new();
//! trailers.insert(grpc::STATUS, "14".parse()?);
//! trailers.insert("grpc-retry-pushback-ms", "250".parse()?);
//!
//! // A stream begins well, ...
//! let head = grpc::judge_head(StatusCode::OK, &HeaderMap::new(), false);
//! assert_eq!(head.outcome, Outcome::AtEnd);
//! // ... and ends badly.
//! let end = grpc::judge_trailers(Some(&trailers));
//! assert_eq!(end.outcome, Outcome::Failure);
//! assert_eq!(end.retry_after.unwrap().as_millis(), 250);
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, StatusCode};

pub use crate::code::Code;
use crate::{Judged, Outcome, digits, pushback, retry_after};

/// `grpc-status`.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// `grpc-message`.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

const MEDIA_TYPE: &[u8] = b"application/grpc";

/// Whether these are the headers of a gRPC request or response: `application/grpc`, also with a `+proto` or another
/// codec, or with parameters.
///
/// gRPC-Web is not: it carries its trailers in the body, where nobody here looks.
///
/// ```
/// use http::HeaderMap;
/// use http_outcome::grpc;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("content-type", "application/grpc+proto".parse()?);
/// assert!(grpc::is_grpc(&headers));
/// headers.insert("content-type", "application/grpc-web".parse()?);
/// assert!(!grpc::is_grpc(&headers));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let value = value.as_bytes().trim_ascii_start();
    let Some((media_type, rest)) = value.split_at_checked(MEDIA_TYPE.len()) else {
        return false;
    };
    media_type.eq_ignore_ascii_case(MEDIA_TYPE) && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

/// Judges the head of a response. `body_is_end` is [`Body::is_end_stream`](http_body::Body::is_end_stream) of its body.
///
/// | head | outcome |
/// |---|---|
/// | a `grpc-status` (a trailers-only response) | as the code says |
/// | none, and the HTTP status is not 2xx | `Failure` |
/// | none, and the body has ended | `Failure` |
/// | none | `AtEnd`: ask [`judge_trailers`] |
///
/// The hint is `grpc-retry-pushback-ms`, or, in an HTTP error that some proxy made up, a `Retry-After` in seconds.
#[must_use]
pub fn judge_head(status: StatusCode, headers: &HeaderMap, body_is_end: bool) -> Judged {
    match code_in(headers) {
        Some(code) => with_hint(code.outcome(), headers),
        None if !status.is_success() => {
            let judged = with_hint(Outcome::Failure, headers);
            let hint = judged.retry_after.or_else(|| retry_after::parse_seconds(headers));
            judged.with_retry_after(hint)
        }
        None if body_is_end => with_hint(Outcome::Failure, headers),
        None => Judged::new(Outcome::AtEnd),
    }
}

/// Judges the end of a body; `None` when it ended without trailers, which is a failure.
#[must_use]
pub fn judge_trailers(trailers: Option<&HeaderMap>) -> Judged {
    match trailers {
        Some(trailers) => with_hint(code_in(trailers).map_or(Outcome::Failure, Code::outcome), trailers),
        None => Judged::new(Outcome::Failure),
    }
}

/// Judges a code by itself: a [`Code`] or its number.
///
/// ```
/// use http_outcome::{Outcome, grpc::{self, Code}};
///
/// assert_eq!(grpc::judge_code(Code::DeadlineExceeded), Outcome::Failure);
/// assert_eq!(grpc::judge_code(3), Outcome::Neutral);
/// assert_eq!(grpc::judge_code(17), Outcome::Failure); // gRPC has no 17
/// ```
#[must_use]
pub fn judge_code(code: impl Into<Code>) -> Outcome {
    code.into().outcome()
}

/// The code that headers or trailers carry, `None` when there is none.
///
/// A garbled one is [`Code::Unknown`], and so are several that differ: one of them must be wrong.
#[must_use]
pub fn code_in(headers: &HeaderMap) -> Option<Code> {
    let mut codes = headers.get_all(STATUS).iter().map(|value| {
        let number = digits::parse(value.as_bytes().trim_ascii())?;
        u32::try_from(number).ok()
    });
    let first = codes.next()?;
    let agreed = codes.all(|code| code == first);
    Some(first.filter(|_| agreed).map_or(Code::Unknown, Code::from))
}

fn with_hint(outcome: Outcome, headers: &HeaderMap) -> Judged {
    let hint = match outcome {
        Outcome::Failure | Outcome::Throttled => pushback::parse(headers),
        _ => None,
    };
    Judged::new(outcome).with_retry_after(hint)
}
