//! The error outward.
//!
//! This crate has one thing to say, and [`Refused`](crate::Refused) says it; errors of the inner service pass untouched.

/// Any error: what a service of this crate fails with, unless refusals are responses.
///
/// ```
/// use circuit_layer::{BoxError, Circuit, CircuitLayer, Refused};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let circuit = Circuit::builder("openai").build()?;
/// circuit.force_open();
/// let service = ServiceBuilder::new()
///     .layer(CircuitLayer::new(circuit))
///     .service(service_fn(|(): ()| async { Ok::<_, std::io::Error>("hello") }));
///
/// let error: BoxError = service.oneshot(()).await.unwrap_err();
/// assert_eq!(Refused::find(&*error).map(|refused| refused.circuit()), Some("openai"));
/// # Ok(()) }
/// ```
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
