//! The layer: owns the handle, says what a request does, and what its outcome means.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::action::Action;
use crate::cooldown::Cooldown;
use crate::error::Refused;
use crate::service::CooldownService;
use crate::store::Outcome;

/// Puts a [`Cooldown`] before a service whose requests are actions.
///
/// For each request the extractor names the [`Action`]. When the cooldown refuses, the service is not called and the
/// caller gets [`Refused`] as a `BoxError`, or the response of [`on_refused`](Self::on_refused), which keeps the
/// service's own error type. When it allows, the service is called, and what comes of it settles the lease: `Ok` has
/// succeeded, `Err` has failed, unless [`judge_by`](Self::judge_by) says otherwise. The body of a response is not
/// waited for.
///
/// Every call of `layer()` and every clone share the cooldown.
///
/// | what happens | what follows |
/// |---|---|
/// | the response future is dropped | the lease is abandoned |
/// | the service panics | the lease has failed, and the panic goes on |
/// | the extractor panics | nothing was asked; the panic goes on |
/// | the service is not ready | neither is this one; nothing is asked |
///
/// ```
/// use std::convert::Infallible;
/// use cooldown_layer::{Action, Cooldown, CooldownLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # tokio_test::block_on(async {
/// let repairs = Cooldown::builder("repairs").protect(["postgres"]).build()?;
/// let restart = ServiceBuilder::new()
///     .layer(CooldownLayer::new(repairs, |target: &String| Action::new("restart", target)))
///     .service(service_fn(|target: String| async move { Ok::<_, Infallible>(format!("restarted {target}")) }));
///
/// assert_eq!(restart.clone().oneshot("api".to_owned()).await?, "restarted api");
/// assert!(restart.oneshot("postgres".to_owned()).await.is_err());
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct CooldownLayer<E, R = Refuse, J = ByResult> {
    pub(crate) parts: Parts<E, R, J>,
}

#[derive(Clone)]
pub(crate) struct Parts<E, R, J> {
    pub(crate) cooldown: Cooldown,
    pub(crate) extract: Arc<E>,
    pub(crate) refuse: R,
    pub(crate) judge: J,
}

/// Answers a refusal with an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refuse;

/// Answers a refusal with a response: what [`CooldownLayer::on_refused`] makes.
pub struct Respond<F>(pub(crate) Arc<F>);

/// `Ok` has succeeded, `Err` has failed.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByResult;

/// A rule of one's own: what [`CooldownLayer::judge_by`] makes.
pub struct ByRule<F>(pub(crate) Arc<F>);

impl<F> Clone for Respond<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F> Clone for ByRule<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> CooldownLayer<E> {
    /// A layer that asks `cooldown` about the action that `extract` finds in a request.
    #[must_use]
    pub fn new<Req>(cooldown: Cooldown, extract: E) -> Self
    where
        E: Fn(&Req) -> Action + Send + Sync + 'static,
    {
        Self {
            parts: Parts {
                cooldown,
                extract: Arc::new(extract),
                refuse: Refuse,
                judge: ByResult,
            },
        }
    }
}

impl<E, R, J> CooldownLayer<E, R, J> {
    /// Answers a refusal with a response, and keeps the error type of the service.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use cooldown_layer::{Action, Cooldown, CooldownLayer, Refused};
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # tokio_test::block_on(async {
    /// let repairs = Cooldown::builder("repairs").protect(["postgres"]).build().unwrap();
    /// let layer = CooldownLayer::new(repairs, |target: &&'static str| Action::new("restart", *target))
    ///     .on_refused(|refused: Refused| refused.to_string());
    /// let restart = layer.layer(service_fn(|target: &'static str| async move { Ok::<_, Infallible>(target.to_owned()) }));
    /// let Ok(answer) = restart.oneshot("postgres").await;
    /// assert!(answer.contains("protected"));
    /// # })
    /// ```
    #[must_use]
    pub fn on_refused<F, Res>(self, respond: F) -> CooldownLayer<E, Respond<F>, J>
    where
        F: Fn(Refused) -> Res + Send + Sync + 'static,
    {
        let Parts {
            cooldown,
            extract,
            judge,
            ..
        } = self.parts;
        CooldownLayer {
            parts: Parts {
                cooldown,
                extract,
                refuse: Respond(Arc::new(respond)),
                judge,
            },
        }
    }

    /// What the outcome of a call says of the action: an HTTP service, for one, answers `Ok` with a status of 500.
    ///
    /// ```
    /// use cooldown_layer::{Action, Cooldown, CooldownLayer};
    /// use cooldown_layer::store::Outcome;
    ///
    /// # let repairs = Cooldown::builder("repairs").build().unwrap();
    /// let layer = CooldownLayer::new(repairs, |target: &String| Action::new("restart", target))
    ///     .judge_by(|result: &Result<u16, std::io::Error>| match result {
    ///         Ok(status) if *status < 500 => Outcome::Succeeded,
    ///         _ => Outcome::Failed,
    ///     });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn judge_by<F, Res, Err>(self, rule: F) -> CooldownLayer<E, R, ByRule<F>>
    where
        F: Fn(&Result<Res, Err>) -> Outcome + Send + Sync + 'static,
    {
        let Parts {
            cooldown,
            extract,
            refuse,
            ..
        } = self.parts;
        CooldownLayer {
            parts: Parts {
                cooldown,
                extract,
                refuse,
                judge: ByRule(Arc::new(rule)),
            },
        }
    }
}

impl<S, E, R: Clone, J: Clone> Layer<S> for CooldownLayer<E, R, J> {
    type Service = CooldownService<S, E, R, J>;

    fn layer(&self, inner: S) -> Self::Service {
        CooldownService {
            inner,
            parts: self.parts.share(),
        }
    }
}

impl<E, R: Clone, J: Clone> Parts<E, R, J> {
    /// A copy that shares the extractor, which need not be `Clone`.
    pub(crate) fn share(&self) -> Self {
        let Self {
            cooldown,
            extract,
            refuse,
            judge,
        } = self;
        Self {
            cooldown: cooldown.clone(),
            extract: extract.clone(),
            refuse: refuse.clone(),
            judge: judge.clone(),
        }
    }
}

impl<E, R, J> fmt::Debug for CooldownLayer<E, R, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CooldownLayer")
            .field("cooldown", &self.parts.cooldown)
            .finish_non_exhaustive()
    }
}

/// How a refusal is answered: as an error or as a response. Sealed: [`CooldownLayer`] chooses.
pub trait Answers<Res, Err>: Clone + sealed::Sealed {
    /// The error that callers see.
    type Error;
    /// The answer to a refusal.
    ///
    /// # Errors
    /// The refusal itself, where it is not made a response.
    fn refused(&self, refused: Refused) -> Result<Res, Self::Error>;
    /// An error of the service, as callers see it.
    fn error(&self, error: Err) -> Self::Error;
}

/// What the outcome of a call says of the action. Sealed: [`CooldownLayer`] chooses.
pub trait Judges<Res, Err>: Clone + sealed::Sealed {
    /// How the lease ends.
    fn outcome(&self, result: &Result<Res, Err>) -> Outcome;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Refuse {}
    impl<F> Sealed for super::Respond<F> {}
    impl Sealed for super::ByResult {}
    impl<F> Sealed for super::ByRule<F> {}
}

/// What a Tower service says when it says anything.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<Res, Err: Into<BoxError>> Answers<Res, Err> for Refuse {
    type Error = BoxError;

    fn refused(&self, refused: Refused) -> Result<Res, BoxError> {
        Err(refused.into())
    }

    fn error(&self, error: Err) -> BoxError {
        error.into()
    }
}

impl<F: Fn(Refused) -> Res, Res, Err> Answers<Res, Err> for Respond<F> {
    type Error = Err;

    fn refused(&self, refused: Refused) -> Result<Res, Err> {
        Ok((self.0)(refused))
    }

    fn error(&self, error: Err) -> Err {
        error
    }
}

impl<Res, Err> Judges<Res, Err> for ByResult {
    fn outcome(&self, result: &Result<Res, Err>) -> Outcome {
        if result.is_ok() {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        }
    }
}

impl<F: Fn(&Result<Res, Err>) -> Outcome, Res, Err> Judges<Res, Err> for ByRule<F> {
    fn outcome(&self, result: &Result<Res, Err>) -> Outcome {
        (self.0)(result)
    }
}
