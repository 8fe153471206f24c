//! The layer: owns what its services share.

use core::fmt;
use core::marker::PhantomData;
use std::sync::Arc;

use tower_layer::Layer;

use crate::policy::Rules;
use crate::shared::{Handle, Shared};
use crate::{ConfigError, Empty, Fallback, KeepNothing};

/// Answers what a service could not: a layer with a chain of steps, run in the order in which they were added.
///
/// It is its own builder. Say first which failures it is for ([`on_error`](Self::on_error),
/// [`on_response`](Self::on_response), [`on_refusal`](Self::on_refusal)) and what to keep of a request
/// ([`keep`](Self::keep)), then add the steps; [`when`](Self::when), [`within`](Self::within),
/// [`at_most`](Self::at_most), [`named`](Self::named) and the settings of a cache speak of the step before them.
///
/// A number can be wrong, so who sets one ends with [`build`](FallbackLayer::build); without numbers the layer is ready as
/// it is.
///
/// The state (caches, bounds) lives in the steps: each [`layer`](Layer::layer) call, each clone and each service shares
/// it. (axum calls `layer` again and again.)
///
/// ```
/// use fallback_layer::FallbackLayer;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fallback_layer::BoxError> {
/// let service = ServiceBuilder::new()
///     .layer(FallbackLayer::new().cached(|user: &u32| *user).respond(|_, _| "nobody knows".to_owned()))
///     .service(service_fn(|user: u32| async move {
///         if user == 0 { Err("no such user") } else { Ok(format!("user {user}")) }
///     }));
///
/// assert_eq!(service.clone().oneshot(7).await?, "user 7");
/// assert_eq!(service.oneshot(0).await?, "nobody knows");
/// # Ok(())
/// # }
/// ```
///
/// The type parameters, of which none is ever written out in use: the request and the response, the chain, the
/// [`Keep`](crate::Keep) hook, and whether it is [`Ready`] to be a layer or [`NeedsBuild`].
#[must_use = "a layer does nothing until it is put round a service"]
pub struct FallbackLayer<Req, Resp, C = Empty, K = KeepNothing, V = Ready> {
    pub(crate) chain: C,
    pub(crate) keep: K,
    pub(crate) rules: Rules<Resp>,
    pub(crate) problem: Option<ConfigError>,
    pub(crate) types: PhantomData<(fn(Req), V)>,
}

/// A [`FallbackLayer`] that is ready to be put round a service.
#[derive(Debug, Clone, Copy)]
pub enum Ready {}

/// A [`FallbackLayer`] that needs [`build`](FallbackLayer::build), because a number in it may be wrong.
#[derive(Debug, Clone, Copy)]
pub enum NeedsBuild {}

impl<Req, Resp> FallbackLayer<Req, Resp> {
    /// A layer without steps, which answers nothing yet; for any error, and for no response.
    pub fn new() -> Self {
        Self {
            chain: Empty,
            keep: KeepNothing,
            rules: Rules::new(),
            problem: None,
            types: PhantomData,
        }
    }
}

impl<Req, Resp> Default for FallbackLayer<Req, Resp> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, Req, Resp: 'static, C: Clone + 'static, K: Clone + 'static> Layer<S> for FallbackLayer<Req, Resp, C, K> {
    type Service = Fallback<S, Req, Resp, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        let shared = Shared {
            chain: self.chain.clone(),
            keep: self.keep.clone(),
            rules: self.rules.clone(),
        };
        Fallback::new(inner, Handle::Counted(Arc::new(shared)))
    }
}

impl<Req, Resp, C: Clone, K: Clone, V> Clone for FallbackLayer<Req, Resp, C, K, V> {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            keep: self.keep.clone(),
            rules: self.rules.clone(),
            problem: self.problem.clone(),
            types: PhantomData,
        }
    }
}

impl<Req, Resp, C: fmt::Debug, K, V> fmt::Debug for FallbackLayer<Req, Resp, C, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}
