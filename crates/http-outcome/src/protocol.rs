//! HTTP or gRPC: one decision a request, then the right rules at each step.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};

use crate::{Judged, Outcome, grpc, http_head};

/// Which rules an exchange is judged by.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use http_outcome::{Outcome, Protocol, wall};
///
/// let mut request = HeaderMap::new();
/// request.insert("content-type", "application/grpc".parse()?);
///
/// let protocol = Protocol::of(&request);
/// assert_eq!(protocol, Protocol::Grpc);
/// let head = protocol.judge_head(StatusCode::OK, &HeaderMap::new(), false, wall::now());
/// assert_eq!(head.outcome, Outcome::AtEnd);
/// // No trailers: for gRPC the stream was cut off, for HTTP all is well.
/// assert_eq!(protocol.judge_end(None).outcome, Outcome::Failure);
/// assert_eq!(Protocol::Http.judge_end(None).outcome, Outcome::Success);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// By the status code of HTTP.
    Http,
    /// By `grpc-status`.
    Grpc,
}

impl Protocol {
    /// What the headers of a request (or a response) say.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if grpc::is_grpc(headers) { Self::Grpc } else { Self::Http }
    }

    /// Judges the head of a response: [`http_head::judge`] or [`grpc::judge_head`].
    #[must_use]
    pub fn judge_head(self, status: StatusCode, headers: &HeaderMap, body_is_end: bool, now: SystemTime) -> Judged {
        match self {
            Self::Http => http_head::judge(status, headers, body_is_end, now),
            Self::Grpc => grpc::judge_head(status, headers, body_is_end),
        }
    }

    /// Judges the end of a body whose head was [`AtEnd`](Outcome::AtEnd): [`grpc::judge_trailers`], and a success for
    /// HTTP, whose trailers say nothing about it.
    #[must_use]
    pub fn judge_end(self, trailers: Option<&HeaderMap>) -> Judged {
        match self {
            Self::Http => Judged::new(Outcome::Success),
            Self::Grpc => grpc::judge_trailers(trailers),
        }
    }

    /// Judges a body that broke off with an error: a failure, whatever the head said.
    #[must_use]
    pub fn judge_error(self) -> Judged {
        Judged::new(Outcome::Failure)
    }
}
