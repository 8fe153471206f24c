//! The wall clock: the one place where this crate reads the time.

use std::time::SystemTime;

/// The wall clock's time, for a `Retry-After` that names a date.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use http_outcome::{http_head, wall};
///
/// let judged = http_head::judge(StatusCode::OK, &HeaderMap::new(), true, wall::now());
/// # let _ = judged;
/// ```
#[allow(clippy::disallowed_methods, reason = "this is the clock file")]
pub fn now() -> SystemTime {
    SystemTime::now()
}
