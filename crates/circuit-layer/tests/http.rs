//! HTTP and gRPC: heads, bodies, trailers, refusals.
#![cfg(feature = "grpc")]

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use circuit_layer::{
    BoxError, ByStatus, Circuit, CircuitBody, CircuitLayer, Http, HttpClassify, OnBodyDrop, OnCancel, Protocol,
    Refusal, Refused, State, Verdict,
};
use http::{HeaderMap, Request, Response, StatusCode, response::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};

/// A body like a client's: it can't be made of bytes, and does as it was told, frame by frame.
#[derive(Debug, Default)]
struct Script(Vec<Step>);

#[derive(Debug, Clone)]
enum Step {
    Data,
    Trailers(&'static str),
    Break,
    Hang,
    Panic,
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match self.0.remove(0) {
            Step::Data => Ok(Frame::data(Bytes::from_static(b"data"))),
            Step::Trailers(status) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", status.parse().unwrap());
                Ok(Frame::trailers(trailers))
            }
            Step::Break => Err(io::Error::other("connection reset")),
            Step::Hang => return Poll::Pending,
            Step::Panic => panic!("the body panics"),
        }))
    }

    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn circuit(name: &str, failures: u32) -> Circuit {
    Circuit::builder(name).consecutive_failures(failures).build().unwrap()
}

fn request(grpc: bool) -> Request<()> {
    let content_type = if grpc { "application/grpc" } else { "text/plain" };
    Request::post("/")
        .header("content-type", content_type)
        .body(())
        .unwrap()
}

type Answer = Result<Response<CircuitBody<Script>>, io::Error>;

/// One call that is answered with this status and body.
async fn call(layer: CircuitLayer<Http>, grpc: bool, status: u16, steps: &[Step]) -> Answer {
    let steps = steps.to_vec();
    layer
        .layer(service_fn(move |_: Request<()>| {
            let mut response = Response::new(Script(steps.clone()));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            async { Ok::<_, io::Error>(response) }
        }))
        .oneshot(request(grpc))
        .await
}

#[tokio::test]
async fn ten_broken_streams_count_as_failures() {
    let circuit = circuit("broken streams", 10);
    for _ in 0..10 {
        assert_eq!(circuit.state(), State::Closed);
        let response = call(CircuitLayer::http(circuit), false, 200, &[Step::Data, Step::Break])
            .await
            .unwrap();
        assert!(response.into_body().collect().await.is_err());
    }
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn ten_grpc_status_14_trailers_count_as_failures() {
    for by_request in [true, false] {
        let circuit = circuit("unavailable trailers", 10);
        for _ in 0..10 {
            assert_eq!(circuit.state(), State::Closed);
            let layer = if by_request {
                CircuitLayer::http(circuit)
            } else {
                CircuitLayer::grpc(circuit)
            };
            let response = call(layer, by_request, 200, &[Step::Data, Step::Trailers("14")])
                .await
                .unwrap();
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["grpc-status"], "14");
        }
        assert_eq!(circuit.state(), State::Open);
    }
}

#[tokio::test]
async fn a_grpc_body_without_trailers_is_a_failure_and_an_http_one_is_a_success() {
    for (grpc, state) in [(true, State::Open), (false, State::Closed)] {
        let circuit = circuit("no trailers", 1);
        let response = call(CircuitLayer::http(circuit), grpc, 200, &[Step::Data])
            .await
            .unwrap();
        response.into_body().collect().await.unwrap();
        assert_eq!(circuit.state(), state);
    }
}

#[tokio::test]
async fn nothing_is_settled_before_the_body_ends() {
    let circuit = circuit("at the end", 1);
    let response = call(CircuitLayer::http(circuit), false, 200, &[Step::Data, Step::Data])
        .await
        .unwrap();
    let mut body = response.into_body();
    assert!(body.is_guarded());
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
        assert_eq!(circuit.totals().unwrap().successes, 0);
    }
    assert!(body.frame().await.is_none());
    assert_eq!(circuit.totals().unwrap().successes, 1);
    drop(body);
    assert_eq!(circuit.totals().unwrap().successes, 1);
}

#[tokio::test]
async fn http_5xx_is_a_failure_429_throttled_and_other_4xx_neutral() {
    let circuit = Circuit::builder("statuses").consecutive_failures(2).build().unwrap();
    for status in [500, 404, 429] {
        let response = call(CircuitLayer::http(circuit), false, status, &[]).await.unwrap();
        assert!(!response.body().is_guarded());
    }
    let totals = circuit.totals().unwrap();
    assert_eq!((totals.failures, totals.neutral), (2, 1));
    // 429 left the row of failures as it was.
    assert_eq!(circuit.snapshot().consecutive_failures, Some(1));
    let _ = call(CircuitLayer::http(circuit), false, 503, &[]).await;
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn an_error_of_the_call_is_a_failure_unless_an_inspector_says_otherwise() {
    let circuit = circuit("call error", 1);
    let broken =
        service_fn(|_: Request<()>| async { Err::<Response<Script>, _>(io::Error::from(io::ErrorKind::InvalidInput)) });
    let neutral =
        CircuitLayer::http(circuit).neutral_when(|error: &io::Error| error.kind() == io::ErrorKind::InvalidInput);
    let error: io::Error = neutral.layer(broken).oneshot(request(false)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(circuit.state(), State::Closed);
    CircuitLayer::http(circuit)
        .layer(broken)
        .oneshot(request(false))
        .await
        .unwrap_err();
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn a_retry_after_keeps_the_circuit_open_at_least_that_long() {
    let circuit = circuit("hint", 1);
    let layer = CircuitLayer::http(circuit);
    let service = layer.layer(service_fn(|_: Request<()>| async {
        let response = Response::builder().status(503).header("retry-after", "120");
        Ok::<_, io::Error>(response.body(Script::default()).unwrap())
    }));
    service.oneshot(request(false)).await.unwrap();
    let wait = circuit.acquire().unwrap_err().retry_after().unwrap();
    assert!(
        wait > Duration::from_secs(119) && wait <= Duration::from_secs(120),
        "{wait:?}"
    );
}

#[tokio::test]
async fn a_body_dropped_early_is_neutral_by_default_or_follows_on_cancel() {
    for (on_drop, state) in [
        (OnBodyDrop::Neutral, State::Closed),
        (OnBodyDrop::FollowOnCancel, State::Open),
    ] {
        let circuit = Circuit::builder("dropped body")
            .consecutive_failures(1)
            .on_cancel(OnCancel::Failure)
            .build()
            .unwrap();
        let layer = CircuitLayer::http(circuit).on_body_drop(on_drop);
        let response = call(layer, false, 200, &[Step::Data, Step::Hang]).await.unwrap();
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(circuit.state(), state);
    }
}

#[tokio::test]
async fn a_body_that_panics_is_a_failure_also_where_the_panic_is_caught() {
    let circuit = circuit("body panics", 1);
    let response = call(CircuitLayer::http(circuit), false, 200, &[Step::Panic])
        .await
        .unwrap();
    let mut body = tokio_test::task::spawn(response.into_body().collect());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body.poll().is_ready()));
    assert!(caught.is_err());
    drop(body);
    assert_eq!(circuit.state(), State::Open);
}

/// Panics at one step.
#[derive(Clone)]
struct Panics(&'static str);

impl HttpClassify for Panics {
    fn head(&self, protocol: Protocol, head: &Parts, body_is_end: bool) -> Verdict {
        assert!(self.0 != "head");
        ByStatus.head(protocol, head, body_is_end)
    }

    fn end(&self, protocol: Protocol, trailers: Option<&HeaderMap>) -> Verdict {
        assert!(self.0 != "end");
        ByStatus.end(protocol, trailers)
    }

    fn body_failed(&self, protocol: Protocol) -> Verdict {
        assert!(self.0 != "body_failed");
        ByStatus.body_failed(protocol)
    }

    fn call_failed(&self, protocol: Protocol) -> Verdict {
        assert!(self.0 != "call_failed");
        ByStatus.call_failed(protocol)
    }
}

#[tokio::test]
async fn an_http_classifier_that_panics_makes_the_call_a_failure_and_the_panic_goes_on_to_the_caller() {
    for step in ["head", "end", "body_failed", "call_failed"] {
        let circuit = circuit("http classifier panics", 1);
        let layer = CircuitLayer::http(circuit).classify(Panics(step));
        let service = layer.layer(service_fn(move |_: Request<()>| async move {
            match step {
                "call_failed" => Err(io::Error::other("no connection")),
                "body_failed" => Ok(Response::new(Script(vec![Step::Break]))),
                _ => Ok(Response::new(Script(vec![Step::Data]))),
            }
        }));
        let joined = tokio::spawn(async move {
            let response = service.oneshot(request(false)).await.unwrap();
            response.into_body().collect().await.map(|_| ())
        });
        assert!(joined.await.unwrap_err().is_panic(), "{step}");
        assert_eq!(circuit.state(), State::Open, "{step}");
    }
}

#[tokio::test]
async fn a_refusal_is_503_with_retry_after_in_whole_seconds_rounded_up_and_a_problem_document() {
    let circuit = circuit("refused http", 1);
    circuit.acquire().unwrap().failure();
    let response = call(CircuitLayer::http(circuit), false, 200, &[]).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "30");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let extensions = response.extensions();
    assert_eq!(extensions.get::<Refused>().unwrap().circuit(), "refused http");
    assert!(extensions.get::<Refusal>().unwrap().retry_after().is_some());
    let mut body = response.into_body();
    assert!(!body.is_end_stream() && !body.is_guarded() && body.get_ref().is_none());
    let size = body.size_hint().exact().unwrap();
    let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(data.len() as u64, size);
    assert!(data.starts_with(br#"{"type":"#));
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test]
async fn a_refusal_of_a_grpc_request_is_a_trailers_only_unavailable_with_a_pushback() {
    let circuit = circuit("refused grpc", 1);
    circuit.acquire().unwrap().failure();
    for layer in [CircuitLayer::http(circuit), CircuitLayer::grpc(circuit)] {
        let response = call(layer, true, 200, &[]).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "14");
        let pushback = response.headers()["grpc-retry-pushback-ms"].to_str().unwrap();
        assert!(
            (29_000..=30_000).contains(&pushback.parse::<u32>().unwrap()),
            "{pushback}"
        );
        assert!(response.body().is_end_stream());
    }
}

#[tokio::test]
async fn refuse_with_error_gives_a_client_an_error() {
    let circuit = circuit("refused error", 1);
    circuit.force_open();
    let service = CircuitLayer::http(circuit)
        .refuse_with_error()
        .layer(service_fn(|_: Request<()>| async {
            Ok::<_, io::Error>(Response::new(Script::default()))
        }));
    let error: BoxError = service.oneshot(request(false)).await.unwrap_err();
    assert_eq!(Refused::find(&*error).unwrap().circuit(), "refused error");
}

#[tokio::test]
async fn on_refused_makes_the_response_and_keeps_the_error() {
    let circuit = circuit("refused respond", 1);
    circuit.force_open();
    let service = CircuitLayer::http(circuit)
        .on_refused(|refused: &Refused| Response::builder().status(429).body(refused.to_string()).unwrap())
        .layer(service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
    let answer: Result<_, Infallible> = service.oneshot(request(false)).await;
    let response = answer.unwrap();
    assert_eq!(response.status(), 429);
    assert!(response.extensions().get::<Refusal>().is_some());
    assert!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .starts_with(b"circuit")
    );
}

#[tokio::test]
async fn a_trial_is_out_until_its_body_ends() {
    let clock = circuit_layer::ManualClock::new();
    let circuit = Circuit::builder("trial body")
        .consecutive_failures(1)
        .trials(1)
        .clock(clock.clone())
        .build()
        .unwrap();
    circuit.acquire().unwrap().failure();
    clock.advance(Duration::from_secs(30));
    let trial = call(CircuitLayer::http(circuit), false, 200, &[Step::Data])
        .await
        .unwrap();
    assert_eq!(circuit.snapshot().trials_in_flight, 1);
    assert_eq!(
        call(CircuitLayer::http(circuit), false, 200, &[])
            .await
            .unwrap()
            .status(),
        503
    );
    trial.into_body().collect().await.unwrap();
    assert_eq!(circuit.state(), State::Closed);
}

#[test]
fn http_services_are_clone_send_sync_and_static_and_futures_and_bodies_are_send() {
    fn service<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn send<T: Send + 'static>(_: &T) {}
    let circuit = circuit("auto traits", 1);
    let mut svc = CircuitLayer::http(circuit).layer(service_fn(|_: Request<()>| async {
        Ok::<_, io::Error>(Response::new(Script::default()))
    }));
    service(&svc);
    send(&svc.call(request(false)));
    service::<CircuitLayer<Http>>(&CircuitLayer::http(circuit));
    send(&CircuitBody::<_, ByStatus>::unguarded(Script::default()));
}

/// What tonic's generated clients ask of a channel.
#[test]
fn a_grpc_layer_gives_what_tonic_clients_ask_for() {
    fn grpc_service<S, RB>(_: &S)
    where
        S: Service<Request<Script>, Response = Response<RB>>,
        S::Error: Into<BoxError>,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError> + Send,
    {
    }
    let layer = CircuitLayer::grpc(circuit("tonic", 1));
    grpc_service(&layer.layer(service_fn(|_: Request<Script>| async {
        Ok::<_, io::Error>(Response::new(Script::default()))
    })));
}
