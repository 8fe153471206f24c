//! The mark on an answer that is not the real one.

use core::fmt;

use crate::CauseKind;

/// Says that an answer came from a fallback step and not from the service that was asked.
///
/// With [`FallbackLayer::http`](crate::FallbackLayer) it is found in the extensions of the response; for any other
/// response a [`Mark`] decides where it goes.
///
/// ```
/// use fallback_layer::{CauseKind, Degraded};
///
/// let degraded = Degraded::new("cached", CauseKind::Refusal);
/// assert_eq!(degraded.to_string(), "answered by step \"cached\" because of: refusal");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Degraded {
    /// The name of the step that answered.
    pub step: &'static str,
    /// What kept the service itself from answering.
    pub cause: CauseKind,
}

impl Degraded {
    /// A mark for the answer of `step`.
    #[must_use]
    pub const fn new(step: &'static str, cause: CauseKind) -> Self {
        Self { step, cause }
    }
}

impl fmt::Display for Degraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered by step {:?} because of: {}", self.step, self.cause)
    }
}

/// What the layer knows about a type of responses: how to mark one, and which are worth keeping.
///
/// Every closure `Fn(&mut Resp, Degraded)` is a `Mark` that takes each answer of the service for a good one.
///
/// ```
/// use fallback_layer::{Degraded, FallbackLayer};
///
/// #[derive(Clone)]
/// struct Answer {
///     text: &'static str,
///     degraded: bool,
/// }
///
/// let layer = FallbackLayer::new()
///     .mark(|answer: &mut Answer, _: Degraded| answer.degraded = true)
///     .respond(|_, _| Answer { text: "sorry", degraded: false });
/// # let _: FallbackLayer<(), Answer, _> = layer;
/// ```
pub trait Mark<Resp> {
    /// Writes the mark on an answer that is about to go out.
    fn mark(&self, response: &mut Resp, degraded: Degraded);

    /// Whether an answer of the service may be kept as a last good one. Only asked where a step keeps answers.
    ///
    /// An answer that carries a mark already (the service has a fallback of its own) is not good.
    fn is_good(&self, response: &Resp) -> bool {
        let _ = response;
        true
    }

    /// Whether a response says that the call was refused and never made. Only asked after
    /// [`on_refusal`](crate::FallbackLayer::on_refusal).
    fn is_refusal(&self, response: &Resp) -> bool {
        let _ = response;
        false
    }
}

impl<Resp, F> Mark<Resp> for F
where
    F: Fn(&mut Resp, Degraded),
{
    fn mark(&self, response: &mut Resp, degraded: Degraded) {
        self(response, degraded);
    }
}
