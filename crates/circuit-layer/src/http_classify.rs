//! What an HTTP or gRPC exchange came to.

use http::HeaderMap;
use http::response::Parts;
use http_outcome::{Judged, Outcome as Judgement, Protocol, wall};
use state_core::Outcome;

use crate::classify::Verdict;

impl From<Judged> for Verdict {
    /// With the hint, where there is one.
    fn from(judged: Judged) -> Self {
        let verdict = match judged.outcome {
            Judgement::Success => Self::success(),
            Judgement::Throttled => Self::throttled(),
            Judgement::Neutral => Self::neutral(),
            Judgement::AtEnd => Self::at_end(),
            // Failure, and whatever comes to be that nobody here knows: nothing to call a success.
            _ => Self::failure(),
        };
        match judged.retry_after {
            Some(hint) => verdict.retry_after(hint),
            None => verdict,
        }
    }
}

/// Says what an HTTP or gRPC exchange came to; see
/// [`CircuitLayer::classify`](crate::CircuitLayer#method.classify-1). Each step has the usual rules as its default.
///
/// It is cloned for each admitted call and kept in the response's body, so keep it small.
///
/// # Panics
///
/// One that panics makes the call a failure, and the panic goes on to whoever polls the call or the body.
///
/// ```
/// use circuit_layer::{Circuit, CircuitLayer, HttpClassify, Protocol, Verdict};
/// use http::{StatusCode, response::Parts};
///
/// /// This server says 404 when it means 503.
/// #[derive(Clone)]
/// struct Odd;
///
/// impl HttpClassify for Odd {
///     fn head(&self, protocol: Protocol, head: &Parts, body_is_end: bool) -> Verdict {
///         match head.status {
///             StatusCode::NOT_FOUND => Verdict::failure(),
///             _ => circuit_layer::ByStatus.head(protocol, head, body_is_end),
///         }
///     }
/// }
///
/// let layer = CircuitLayer::http(Circuit::builder("odd").build()?).classify(Odd);
/// # let _ = layer;
/// # Ok::<(), circuit_layer::BuildError>(())
/// ```
pub trait HttpClassify {
    /// What the head of a response says; [`Verdict::at_end`] keeps the question open. `body_is_end` is whether its body is
    /// over before it began.
    fn head(&self, protocol: Protocol, head: &Parts, body_is_end: bool) -> Verdict {
        let judged = protocol.judge_head(head.status, &head.headers, body_is_end, wall::now());
        judged.into()
    }

    /// What the end of a body says whose head left it open; with its trailers, if there were any.
    fn end(&self, protocol: Protocol, trailers: Option<&HeaderMap>) -> Verdict {
        protocol.judge_end(trailers).into()
    }

    /// What an error in a body says whose head left it open.
    fn body_failed(&self, protocol: Protocol) -> Verdict {
        protocol.judge_error().into()
    }

    /// What an error of the call itself says, when no response came.
    fn call_failed(&self, protocol: Protocol) -> Verdict {
        let _ = protocol;
        Verdict::failure()
    }
}

/// The usual rules: see the [crate's page](crate#what-counts-as-what).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByStatus;

impl HttpClassify for ByStatus {}

/// A verdict at a point where nothing more will come.
pub(crate) fn last(verdict: Verdict) -> Outcome {
    verdict.outcome().unwrap_or(Outcome::success())
}
