//! What an exchange came to.

/// What an exchange came to, as far as it can be told so far.
///
/// ```
/// use http_outcome::{Outcome, grpc};
///
/// assert_eq!(grpc::judge_code(14), Outcome::Failure); // UNAVAILABLE
/// assert_eq!(grpc::judge_code(8), Outcome::Throttled); // RESOURCE_EXHAUSTED
/// assert_eq!(grpc::judge_code(5), Outcome::Neutral); // NOT_FOUND
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The server did what it was asked.
    Success,
    /// The server is to blame.
    Failure,
    /// The server works and asks for less: HTTP 429, gRPC `RESOURCE_EXHAUSTED`.
    ///
    /// A failure for rates and trials, but no sign of a broken server in a row of failures.
    Throttled,
    /// Says nothing about the server: the request was at fault, or the caller gave up.
    Neutral,
    /// Not known yet: ask again at the end of the body.
    AtEnd,
}
