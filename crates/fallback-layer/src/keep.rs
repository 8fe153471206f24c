//! What is kept of a request, so that a step can answer it otherwise.

use core::fmt;
use std::sync::Arc;

/// Takes what the steps will need from a request before the request goes to the service.
///
/// It runs for every call, also for those that succeed: take something cheap.
///
/// | hook | keeps | costs a call | the steps can |
/// |---|---|---|---|
/// | [`KeepNothing`] (default) | nothing | nothing | answer without the request |
/// | [`keep_with`](crate::FallbackLayer::keep_with) | what a closure takes, a key for example | what the closure costs | answer from that |
/// | [`CloneRequest`] | a clone | the clone | ask a backup service |
/// | `http::KeepHead` | method, target, version, headers, extensions | a clone of the headers | ask a backup, if the request had no body |
/// | `http::KeepBytes` | the same and the body, where it is `Bytes` | the same and one reference count | ask a backup |
///
/// ```
/// use fallback_layer::Keep;
///
/// #[derive(Clone)]
/// struct KeepTenant;
///
/// struct Request {
///     tenant: u64,
///     text: String,
/// }
///
/// impl Keep<Request> for KeepTenant {
///     type Kept = u64;
///
///     fn keep(&self, request: &Request) -> u64 {
///         request.tenant
///     }
/// }
///
/// let layer = fallback_layer::FallbackLayer::new()
///     .keep(KeepTenant)
///     .respond(|tenant, _| format!("tenant {tenant}: sorry"));
/// # let _: fallback_layer::FallbackLayer<Request, String, _, _> = layer;
/// ```
pub trait Keep<Req> {
    /// What is kept while the service works.
    type Kept;

    /// Takes it.
    fn keep(&self, request: &Req) -> Self::Kept;
}

/// A [`Keep`] from which the whole request can be made again, which a backup service needs.
///
/// See [`FallbackLayer::keep_with_restore`](crate::FallbackLayer::keep_with_restore) for closures.
#[diagnostic::on_unimplemented(
    message = "a backup service needs the request once more, and `{Self}` does not keep it",
    label = "this step cannot make the request again",
    note = "write `.keep(CloneRequest)` before the steps; for HTTP `.keep(KeepHead)`, or `.keep(KeepBytes)` with a body"
)]
pub trait Restore<Req>: Keep<Req> {
    /// The request once more, or `None` where it cannot be made again (its body is gone, for example): the step
    /// passes on then.
    fn restore(&self, kept: &Self::Kept) -> Option<Req>;
}

/// Keeps nothing. The default.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepNothing;

/// What [`KeepNothing`] keeps. (A type of its own, because a closure that ignores a `()` is told to write it out.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nothing;

impl<Req> Keep<Req> for KeepNothing {
    type Kept = Nothing;

    fn keep(&self, _: &Req) -> Nothing {
        Nothing
    }
}

/// Keeps a clone of the request: for requests that are cheap to clone.
///
/// ```
/// use fallback_layer::{CloneRequest, Keep, Restore};
///
/// let kept = CloneRequest.keep(&7);
/// assert_eq!(CloneRequest.restore(&kept), Some(7));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneRequest;

impl<Req: Clone> Keep<Req> for CloneRequest {
    type Kept = Req;

    fn keep(&self, request: &Req) -> Req {
        request.clone()
    }
}

impl<Req: Clone> Restore<Req> for CloneRequest {
    fn restore(&self, kept: &Req) -> Option<Req> {
        Some(kept.clone())
    }
}

type KeepFn<Req, Kept> = Arc<dyn Fn(&Req) -> Kept + Send + Sync>;
type RestoreFn<Req, Kept> = Arc<dyn Fn(&Kept) -> Option<Req> + Send + Sync>;

/// Keeps what a closure takes; made by [`FallbackLayer::keep_with`](crate::FallbackLayer::keep_with).
pub struct KeepWith<Req, Kept> {
    keep: KeepFn<Req, Kept>,
}

impl<Req, Kept> KeepWith<Req, Kept> {
    pub(crate) fn new(keep: impl Fn(&Req) -> Kept + Send + Sync + 'static) -> Self {
        Self { keep: Arc::new(keep) }
    }
}

impl<Req, Kept> Keep<Req> for KeepWith<Req, Kept> {
    type Kept = Kept;

    fn keep(&self, request: &Req) -> Kept {
        (self.keep)(request)
    }
}

impl<Req, Kept> Clone for KeepWith<Req, Kept> {
    fn clone(&self) -> Self {
        Self {
            keep: Arc::clone(&self.keep),
        }
    }
}

impl<Req, Kept> fmt::Debug for KeepWith<Req, Kept> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepWith").finish_non_exhaustive()
    }
}

/// Keeps what one closure takes and makes the request again with another; made by
/// [`FallbackLayer::keep_with_restore`](crate::FallbackLayer::keep_with_restore).
pub struct KeepRestore<Req, Kept> {
    keep: KeepFn<Req, Kept>,
    restore: RestoreFn<Req, Kept>,
}

impl<Req, Kept> KeepRestore<Req, Kept> {
    pub(crate) fn new(
        keep: impl Fn(&Req) -> Kept + Send + Sync + 'static,
        restore: impl Fn(&Kept) -> Option<Req> + Send + Sync + 'static,
    ) -> Self {
        Self {
            keep: Arc::new(keep),
            restore: Arc::new(restore),
        }
    }
}

impl<Req, Kept> Keep<Req> for KeepRestore<Req, Kept> {
    type Kept = Kept;

    fn keep(&self, request: &Req) -> Kept {
        (self.keep)(request)
    }
}

impl<Req, Kept> Restore<Req> for KeepRestore<Req, Kept> {
    fn restore(&self, kept: &Kept) -> Option<Req> {
        (self.restore)(kept)
    }
}

impl<Req, Kept> Clone for KeepRestore<Req, Kept> {
    fn clone(&self) -> Self {
        Self {
            keep: Arc::clone(&self.keep),
            restore: Arc::clone(&self.restore),
        }
    }
}

impl<Req, Kept> fmt::Debug for KeepRestore<Req, Kept> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepRestore").finish_non_exhaustive()
    }
}
