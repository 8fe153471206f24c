//! The layer.

use tower_layer::Layer;

use crate::answer::{AsError, Respond};
use crate::dismiss::Undismissed;
use crate::error::Overloaded;
use crate::limit::Limit;
use crate::service::ConcurrencyService;

/// Puts a [`Limit`] round services. All that it wraps share the limit, however often `layer` is called.
///
/// See the [crate's page](crate) for an example.
#[derive(Clone, Copy, Debug)]
pub struct ConcurrencyLayer<D = Undismissed, A = AsError> {
    limit: Limit<D>,
    answer: A,
}

impl<D> ConcurrencyLayer<D> {
    /// A refusal is an error: [`Overloaded`](crate::Overloaded) in a [`BoxError`](crate::BoxError).
    pub const fn new(limit: Limit<D>) -> Self {
        Self::with(limit, AsError)
    }

    /// A refusal is a response made by `respond`, and errors stay what they are: an axum stack stays `Infallible`.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use concurrency_layer::{ConcurrencyLayer, Limit};
    /// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limit = Limit::fixed(1).name("openai").build()?;
    /// let mut service = ServiceBuilder::new()
    ///     .layer(ConcurrencyLayer::new(limit).on_refused(|overloaded| format!("later, please: {}", overloaded.reason())))
    ///     .service(service_fn(|name: &str| {
    ///         let answer = format!("hello {name}");
    ///         async { Ok::<_, Infallible>(answer) }
    ///     }));
    ///
    /// let permit = limit.try_acquire()?;
    /// assert_eq!(service.ready().await?.call("you").await?, "later, please: full");
    /// drop(permit);
    /// assert_eq!(service.ready().await?.call("you").await?, "hello you");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// A panic of `respond` is its caller's; no slot is held by then.
    pub fn on_refused<F, Res>(self, respond: F) -> ConcurrencyLayer<D, Respond<F>>
    where
        F: Fn(Overloaded) -> Res,
    {
        self.answer(Respond(respond))
    }
}

impl<D, A> ConcurrencyLayer<D, A> {
    pub(crate) const fn with(limit: Limit<D>, answer: A) -> Self {
        Self { limit, answer }
    }

    pub(crate) fn answer<B>(self, answer: B) -> ConcurrencyLayer<D, B> {
        ConcurrencyLayer::with(self.limit, answer)
    }
}

impl<S, D: Clone + crate::Dismiss, A: Clone> Layer<S> for ConcurrencyLayer<D, A> {
    type Service = ConcurrencyService<S, D, A>;

    fn layer(&self, inner: S) -> Self::Service {
        ConcurrencyService::new(inner, self.limit.clone(), self.answer.clone())
    }
}
