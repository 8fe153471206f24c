//! One step of a chain.

use core::future::Future;

use crate::{BoxError, Cause};

/// One way to answer a call that its service could not answer.
///
/// The crate brings [`Cached`](crate::Cached), [`Backup`](crate::Backup) and [`Respond`](crate::Respond);
/// [`FallbackLayer::step`](crate::FallbackLayer::step) takes any other.
///
/// ```
/// use std::future::{Ready, ready};
///
/// use fallback_layer::{BoxError, Cause, FallbackLayer, Step};
///
/// /// Answers with what the failed call itself suggests.
/// #[derive(Clone)]
/// struct Suggested;
///
/// impl<Req, Kept> Step<Req, String, Kept> for Suggested {
///     type Held = ();
///     type Future = Ready<Result<Option<String>, BoxError>>;
///
///     fn hold(&self, _: &Req) {}
///
///     fn answer(&self, _: (), _: &Kept, cause: &Cause<String>) -> Self::Future {
///         ready(Ok(cause.error().map(|error| format!("instead of {error}"))))
///     }
/// }
///
/// let layer = FallbackLayer::new().step("suggested", Suggested);
/// # let _: FallbackLayer<(), String, _> = layer;
/// ```
pub trait Step<Req, Resp, Kept> {
    /// Whether [`learn`](Self::learn) does anything. Where no step learns, good answers are not looked at.
    const LEARNS: bool = false;

    /// What this step itself takes of a request on its way in: a key, or `()`.
    type Held;

    /// The answer to come: `Some` answers, `None` passes on, an error passes on and is remembered.
    type Future: Future<Output = Result<Option<Resp>, BoxError>>;

    /// Takes it. Runs for every call, also for those that succeed.
    fn hold(&self, request: &Req) -> Self::Held;

    /// Sees a good answer of the service on its way out: never a failed one, never a degraded one.
    fn learn(&self, held: Self::Held, response: Resp) -> Resp {
        drop(held);
        response
    }

    /// Answers. `kept` is what the [`Keep`](crate::Keep) hook of the layer took.
    fn answer(&self, held: Self::Held, kept: &Kept, cause: &Cause<Resp>) -> Self::Future;
}
