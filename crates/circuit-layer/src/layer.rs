//! The layer.

use std::fmt;

use state_core::{Circuit, Refused};
use tower_layer::Layer;

use crate::answer::Respond;
use crate::inspect::NeutralWhen;
use crate::observe::Seen;
use crate::plain::{Plain, PlainCall};
use crate::service::CircuitService;

/// Puts a [`Circuit`] round services. All that it wraps share the circuit, however often `layer` is called.
///
/// See the [crate's page](crate) for an example.
#[derive(Clone, Copy)]
#[must_use = "a layer does nothing until it is put round a service"]
pub struct CircuitLayer<M = Plain> {
    circuit: Circuit,
    mode: M,
    gated: bool,
    seen: Seen,
}

impl CircuitLayer {
    /// For requests and responses of any type: `Err` is a failure, and a refusal is an error, [`Refused`] in a
    /// [`BoxError`](crate::BoxError).
    ///
    /// ```
    /// use circuit_layer::{BoxError, Circuit, CircuitLayer};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let circuit = Circuit::builder("openai").build()?;
    /// let service = ServiceBuilder::new()
    ///     .layer(CircuitLayer::new(circuit))
    ///     .service(service_fn(|name: &'static str| async move { Ok::<_, BoxError>(format!("hello {name}")) }));
    /// assert_eq!(service.oneshot("you").await?, "hello you");
    /// # Ok(()) }
    /// ```
    pub fn new(circuit: Circuit) -> Self {
        Self::with(circuit, Plain::default())
    }
}

impl<C, N, A> CircuitLayer<Plain<C, N, A>> {
    /// Says what a call came to with `classify`, in place of "`Err` is a failure". Write out what the closure takes: the
    /// response and the error of the service that the layer goes round.
    ///
    /// ```
    /// use std::io;
    /// use circuit_layer::{Circuit, CircuitLayer, Verdict};
    ///
    /// let circuit = Circuit::builder("search").build()?;
    /// let layer = CircuitLayer::new(circuit).classify(|result: &Result<Vec<String>, io::Error>| match result {
    ///     Ok(hits) if hits.is_empty() => Verdict::neutral(),
    ///     Ok(_) => Verdict::success(),
    ///     Err(_) => Verdict::failure(),
    /// });
    /// # let _ = layer;
    /// # Ok::<(), circuit_layer::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// A classifier that panics makes the call a failure, and the panic goes on to the caller.
    pub fn classify<D>(self, classify: D) -> CircuitLayer<Plain<D, N, A>> {
        self.map(|mode| Plain {
            call: PlainCall {
                classify,
                inspect: mode.call.inspect,
            },
            answer: mode.answer,
        })
    }

    /// Errors for which `test` is true count nowhere; the classifier is not asked about them. May be called again for
    /// more of them.
    ///
    /// ```
    /// use std::io;
    /// use circuit_layer::{Circuit, CircuitLayer};
    ///
    /// let circuit = Circuit::builder("files").build()?;
    /// let layer = CircuitLayer::new(circuit).neutral_when(|error: &io::Error| error.kind() == io::ErrorKind::NotFound);
    /// # let _ = layer;
    /// # Ok::<(), circuit_layer::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// An inspector that panics makes the call a failure, and the panic goes on to the caller.
    pub fn neutral_when<E, F>(self, test: F) -> CircuitLayer<Plain<C, NeutralWhen<F, N>, A>>
    where
        F: Fn(&E) -> bool,
    {
        self.map(|mode| Plain {
            call: PlainCall {
                classify: mode.call.classify,
                inspect: NeutralWhen {
                    test,
                    before: mode.call.inspect,
                },
            },
            answer: mode.answer,
        })
    }

    /// Answers a refused call with a response made by `respond`; errors stay what they are, so that an `Infallible` stack
    /// stays `Infallible`.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use circuit_layer::{Circuit, CircuitLayer, Refused};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let circuit = Circuit::builder("openai").build()?;
    /// circuit.force_open();
    /// let service = ServiceBuilder::new()
    ///     .layer(CircuitLayer::new(circuit).on_refused(|refused: &Refused| format!("sorry: {refused}")))
    ///     .service(service_fn(|(): ()| async { Ok::<_, Infallible>("hello".to_owned()) }));
    /// let Ok(answer) = service.oneshot(()).await;
    /// assert_eq!(answer, "sorry: circuit \"openai\" is forced open by an operator, until it is released");
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// A panic of `respond` is its caller's, out of `call`.
    pub fn on_refused<F, Res>(self, respond: F) -> CircuitLayer<Plain<C, N, Respond<F>>>
    where
        F: Fn(&Refused) -> Res,
    {
        self.map(|mode| Plain {
            call: mode.call,
            answer: Respond(respond),
        })
    }
}

impl<M> CircuitLayer<M> {
    pub(crate) fn with(circuit: Circuit, mode: M) -> Self {
        Self {
            circuit,
            mode,
            gated: false,
            seen: Seen::new(circuit),
        }
    }

    pub(crate) fn map<W>(self, change: impl FnOnce(M) -> W) -> CircuitLayer<W> {
        CircuitLayer {
            circuit: self.circuit,
            mode: change(self.mode),
            gated: self.gated,
            seen: self.seen,
        }
    }

    /// For an endpoint under a balancer: the service is not ready while the circuit refuses.
    ///
    /// `poll_ready` is then `Pending`, and is woken when a try makes sense and at every transition of the circuit. Do not
    /// put it in front of one shared service (an axum route, a tonic channel): there callers would wait without bound.
    /// A `call` may still be refused when the circuit has moved on since the service was ready.
    ///
    /// ```
    /// use circuit_layer::{Circuit, CircuitLayer};
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let circuit = Circuit::builder("10.0.0.7").build()?;
    /// circuit.force_open();
    /// let mut endpoint = CircuitLayer::new(circuit)
    ///     .gate()
    ///     .layer(service_fn(|(): ()| async { Ok::<_, std::io::Error>("hello") }));
    /// assert!(tokio_test::task::spawn(ServiceExt::<()>::ready(&mut endpoint)).poll().is_pending());
    /// circuit.release();
    /// assert!(ServiceExt::<()>::ready(&mut endpoint).await.is_ok());
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// While the circuit refuses, `poll_ready` needs a tokio runtime with time.
    pub fn gate(mut self) -> Self {
        self.gated = true;
        self
    }

    /// The circuit.
    pub const fn circuit(&self) -> Circuit {
        self.circuit
    }
}

impl<S, M: Clone> Layer<S> for CircuitLayer<M> {
    type Service = CircuitService<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitService::new(inner, self.circuit, self.mode.clone(), self.gated, self.seen)
    }
}

impl<M> fmt::Debug for CircuitLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitLayer")
            .field("circuit", &self.circuit)
            .field("gated", &self.gated)
            .finish_non_exhaustive()
    }
}
