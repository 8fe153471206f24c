//! The same layer for HTTP and gRPC.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_outcome::Protocol;
use state_core::{Circuit, Outcome, Permit, Refused};

use crate::answer::{AsError, OnRefusal, sealed::Sealed};
use crate::answer_http::{AsResponse, RespondHttp};
use crate::body::CircuitBody;
use crate::guard::{CircuitGuard, OnBodyDrop};
use crate::http_classify::{ByStatus, HttpClassify, last};
use crate::inspect::{Inspect, NeutralWhen, Nothing};
use crate::layer::CircuitLayer;
use crate::mode::Mode;

/// HTTP requests and responses: `H` says what an exchange came to, `N` which errors count nowhere, `A` what a refusal
/// turns into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http<H = ByStatus, N = Nothing, A = AsResponse> {
    classify: H,
    inspect: N,
    answer: A,
    /// `None`: as each request says.
    protocol: Option<Protocol>,
    on_drop: OnBodyDrop,
}

/// What an [`Http`] call remembers: how to judge it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpCall<H, N> {
    classify: H,
    inspect: N,
    protocol: Protocol,
    on_drop: OnBodyDrop,
}

impl CircuitLayer<Http> {
    /// For services of HTTP requests, on the server's side or a client's: statuses count, a body counts to its end, and a
    /// refusal is a response.
    ///
    /// What counts as what is told on the [crate's page](crate#what-counts-as-what); a gRPC request is known by its
    /// `content-type` and judged as by [`grpc`](CircuitLayer::grpc). A refused request is answered with 503,
    /// `Retry-After` and an `application/problem+json` document; a gRPC request with a trailers-only `UNAVAILABLE` and
    /// `grpc-retry-pushback-ms`. Errors stay what they are, so that an axum stack stays `Infallible`.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use bytes::Bytes;
    /// use circuit_layer::{Circuit, CircuitLayer};
    /// use http::{Request, Response, StatusCode};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let circuit = Circuit::builder("chat").consecutive_failures(1).build()?;
    /// let service = ServiceBuilder::new()
    ///     .layer(CircuitLayer::http(circuit))
    ///     .service(service_fn(|_: Request<()>| async {
    ///         let mut response = Response::new(Full::<Bytes>::default());
    ///         *response.status_mut() = StatusCode::BAD_GATEWAY;
    ///         Ok::<_, Infallible>(response)
    ///     }));
    ///
    /// let Ok(failed) = service.clone().oneshot(Request::new(())).await;
    /// assert_eq!(failed.status(), 502);
    /// let Ok(refused) = service.oneshot(Request::new(())).await;
    /// assert_eq!(refused.status(), 503);
    /// assert_eq!(refused.headers()["retry-after"], "30");
    /// # Ok(()) }
    /// ```
    pub fn http(circuit: Circuit) -> Self {
        Self::speaking(circuit, None)
    }

    /// For gRPC clients and servers (tonic): the codes that blame the server count, from headers or trailers, and a refusal
    /// is a trailers-only `UNAVAILABLE`, which a tonic client sees as a `Status`.
    ///
    /// ```
    /// use circuit_layer::{Circuit, CircuitLayer};
    /// use tower::ServiceBuilder;
    ///
    /// let circuit = Circuit::builder("greeter").build()?;
    /// let stack = ServiceBuilder::new().layer(CircuitLayer::grpc(circuit)); // .service(channel)
    /// # let _ = stack;
    /// # Ok::<(), circuit_layer::BuildError>(())
    /// ```
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc(circuit: Circuit) -> Self {
        Self::speaking(circuit, Some(Protocol::Grpc))
    }

    fn speaking(circuit: Circuit, protocol: Option<Protocol>) -> Self {
        Self::with(
            circuit,
            Http {
                classify: ByStatus,
                inspect: Nothing,
                answer: AsResponse { protocol },
                protocol,
                on_drop: OnBodyDrop::Neutral,
            },
        )
    }
}

impl<H, N, A> CircuitLayer<Http<H, N, A>> {
    /// Says what an exchange came to with `classify`, in place of the usual rules. See [`HttpClassify`].
    ///
    /// # Panics
    ///
    /// A classifier that panics makes the call a failure, and the panic goes on to whoever polls the call or the body.
    pub fn classify<D: HttpClassify>(self, classify: D) -> CircuitLayer<Http<D, N, A>> {
        self.map(|mode| Http {
            classify,
            inspect: mode.inspect,
            answer: mode.answer,
            protocol: mode.protocol,
            on_drop: mode.on_drop,
        })
    }

    /// Errors of the call for which `test` is true count nowhere; the classifier is not asked about them. May be called
    /// again for more of them.
    ///
    /// ```
    /// use std::io;
    /// use circuit_layer::{Circuit, CircuitLayer};
    ///
    /// let circuit = Circuit::builder("chat").build()?;
    /// let layer = CircuitLayer::http(circuit).neutral_when(|error: &io::Error| error.kind() == io::ErrorKind::InvalidInput);
    /// # let _ = layer;
    /// # Ok::<(), circuit_layer::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// An inspector that panics makes the call a failure, and the panic goes on to the caller.
    pub fn neutral_when<E, F>(self, test: F) -> CircuitLayer<Http<H, NeutralWhen<F, N>, A>>
    where
        F: Fn(&E) -> bool,
    {
        self.map(|mode| Http {
            classify: mode.classify,
            inspect: NeutralWhen {
                test,
                before: mode.inspect,
            },
            answer: mode.answer,
            protocol: mode.protocol,
            on_drop: mode.on_drop,
        })
    }

    /// What a response's body counts as that is dropped before its end. Default: [`OnBodyDrop::Neutral`].
    ///
    /// ```
    /// use circuit_layer::{Circuit, CircuitLayer, OnBodyDrop};
    ///
    /// let circuit = Circuit::builder("chat").build()?;
    /// let layer = CircuitLayer::http(circuit).on_body_drop(OnBodyDrop::FollowOnCancel);
    /// # let _ = layer;
    /// # Ok::<(), circuit_layer::BuildError>(())
    /// ```
    pub fn on_body_drop(self, on_drop: OnBodyDrop) -> Self {
        self.map(|mode| Http { on_drop, ..mode })
    }

    /// Answers a refused request with a response made by `respond`. The response also gets [`Refused`] among its
    /// extensions.
    ///
    /// ```
    /// use circuit_layer::{Circuit, CircuitLayer, Refused};
    /// use http::{Response, StatusCode};
    ///
    /// let circuit = Circuit::builder("chat").build()?;
    /// let layer = CircuitLayer::http(circuit).on_refused(|refused: &Refused| {
    ///     let mut response = Response::new(refused.to_string());
    ///     *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    ///     response
    /// });
    /// # let _ = layer;
    /// # Ok::<(), circuit_layer::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// A panic of `respond` is its caller's, out of `call`.
    pub fn on_refused<F, RB>(self, respond: F) -> CircuitLayer<Http<H, N, RespondHttp<F>>>
    where
        F: Fn(&Refused) -> Response<RB>,
    {
        self.answer(RespondHttp(respond))
    }

    /// Answers a refused request with an error, [`Refused`] in a [`BoxError`](crate::BoxError), as [`CircuitLayer::new`]
    /// does: for clients that tell errors from responses.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use circuit_layer::{BoxError, Circuit, CircuitLayer, Refused};
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let circuit = Circuit::builder("chat").build()?;
    /// circuit.force_open();
    /// let client = ServiceBuilder::new()
    ///     .layer(CircuitLayer::http(circuit).refuse_with_error())
    ///     .service(service_fn(|_: Request<()>| async { Ok::<_, BoxError>(Response::new(Full::<Bytes>::default())) }));
    /// let error = client.oneshot(Request::new(())).await.unwrap_err();
    /// assert!(Refused::find(&*error).is_some());
    /// # Ok(()) }
    /// ```
    pub fn refuse_with_error(self) -> CircuitLayer<Http<H, N, AsError>> {
        self.answer(AsError)
    }

    fn answer<B>(self, answer: B) -> CircuitLayer<Http<H, N, B>> {
        self.map(|mode| Http {
            classify: mode.classify,
            inspect: mode.inspect,
            answer,
            protocol: mode.protocol,
            on_drop: mode.on_drop,
        })
    }
}

impl<H, N, A> Sealed for Http<H, N, A> {}

impl<B, RB, E, H, N, A> Mode<Request<B>, Response<RB>, E> for Http<H, N, A>
where
    RB: Body,
    RB::Data: From<Bytes>,
    H: HttpClassify + Clone,
    N: Inspect<E> + Clone,
    A: OnRefusal<Request<B>, Response<CircuitBody<RB, H>>, E> + Clone,
{
    type Response = Response<CircuitBody<RB, H>>;
    type Error = A::Error;
    type Call = HttpCall<H, N>;

    fn begin(&self, request: &Request<B>) -> Self::Call {
        HttpCall {
            classify: self.classify.clone(),
            inspect: self.inspect.clone(),
            protocol: self.protocol.unwrap_or_else(|| Protocol::of(request.headers())),
            on_drop: self.on_drop,
        }
    }

    fn done(call: Self::Call, result: Result<Response<RB>, E>, permit: Permit) -> Result<Self::Response, A::Error> {
        // The permit is at hand while foreign code runs: if that panics, it is dropped while unwinding, a failure.
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                let outcome = if call.inspect.is_neutral(&error) {
                    Outcome::neutral()
                } else {
                    last(call.classify.call_failed(call.protocol))
                };
                permit.record(outcome);
                return Err(A::error(error));
            }
        };
        let (head, body) = response.into_parts();
        let verdict = call.classify.head(call.protocol, &head, body.is_end_stream());
        let body = if let Some(outcome) = verdict.outcome() {
            permit.record(outcome);
            CircuitBody::unguarded(body)
        } else {
            let guard = CircuitGuard::new(permit, call.classify, call.protocol, call.on_drop);
            CircuitBody::guarded(body, guard)
        };
        Ok(Response::from_parts(head, body))
    }

    fn refused(&self, refused: &Refused, request: &Request<B>) -> Result<Self::Response, A::Error> {
        self.answer.refused(refused, request)
    }

    #[inline]
    fn error(error: E) -> A::Error {
        A::error(error)
    }
}
