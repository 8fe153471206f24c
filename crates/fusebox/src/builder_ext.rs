//! The layers as methods of [`tower::ServiceBuilder`].

use tower::ServiceBuilder;
use tower_layer::Stack;

/// A builder with one more layer on top.
type With<T, L> = ServiceBuilder<Stack<T, L>>;

mod sealed {
    //! Keeps the trait ours, so that methods can be added to it.

    pub trait Sealed<L> {}

    impl<L> Sealed<L> for tower::ServiceBuilder<L> {}
}

/// The layers as methods of [`tower::ServiceBuilder`]. Sealed: it is implemented for that type alone.
///
/// ```
/// use fusebox::prelude::*;
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let mut service = ServiceBuilder::new()
///     .fallback(FallbackLayer::new().respond_value("sorry"))
///     .circuit(Circuit::builder("openai").build()?)
///     .concurrency(Limit::fixed(3).build()?)
///     .service(service_fn(|_: u32| async { Ok::<_, std::io::Error>("hello") }));
/// assert_eq!(service.ready().await?.call(7).await?, "hello");
/// # Ok(()) }
/// ```
pub trait ServiceBuilderExt<L>: sealed::Sealed<L> + Sized {
    /// Refuses calls while `circuit` is open. See [`CircuitLayer`](crate::circuit::CircuitLayer).
    #[cfg(feature = "circuit")]
    #[cfg_attr(docsrs, doc(cfg(feature = "circuit")))]
    fn circuit(self, circuit: state_core::Circuit) -> With<circuit_layer::CircuitLayer, L>;

    /// Lets no more calls through at once than `limit` says. See
    /// [`ConcurrencyLayer`](crate::concurrency::ConcurrencyLayer).
    #[cfg(feature = "concurrency")]
    #[cfg_attr(docsrs, doc(cfg(feature = "concurrency")))]
    fn concurrency<D>(self, limit: concurrency_layer::Limit<D>) -> With<concurrency_layer::ConcurrencyLayer<D>, L>;

    /// Answers from `chain` what the service below does not. See [`FallbackLayer`](crate::fallback::FallbackLayer).
    #[cfg(feature = "fallback")]
    #[cfg_attr(docsrs, doc(cfg(feature = "fallback")))]
    fn fallback<Req, Resp, C, K, V>(
        self,
        chain: fallback_layer::FallbackLayer<Req, Resp, C, K, V>,
    ) -> With<fallback_layer::FallbackLayer<Req, Resp, C, K, V>, L>
    where
        K: fallback_layer::Keep<Req>;
}

impl<L> ServiceBuilderExt<L> for ServiceBuilder<L> {
    #[cfg(feature = "circuit")]
    fn circuit(self, circuit: state_core::Circuit) -> With<circuit_layer::CircuitLayer, L> {
        self.layer(circuit_layer::CircuitLayer::new(circuit))
    }

    #[cfg(feature = "concurrency")]
    fn concurrency<D>(self, limit: concurrency_layer::Limit<D>) -> With<concurrency_layer::ConcurrencyLayer<D>, L> {
        self.layer(concurrency_layer::ConcurrencyLayer::new(limit))
    }

    #[cfg(feature = "fallback")]
    fn fallback<Req, Resp, C, K, V>(
        self,
        chain: fallback_layer::FallbackLayer<Req, Resp, C, K, V>,
    ) -> With<fallback_layer::FallbackLayer<Req, Resp, C, K, V>, L>
    where
        K: fallback_layer::Keep<Req>,
    {
        self.layer(chain)
    }
}
