//! A reqwest client against real servers.

use circuit_layer::{BoxError, Circuit, CircuitLayer, State};
use fusebox_tests::flaky::{Answer, Flaky};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Service, ServiceBuilder, ServiceExt};

/// A reqwest client that speaks `http::Request` and `http::Response`, behind a circuit.
fn client(
    circuit: Circuit,
) -> impl Service<
    Request<reqwest::Body>,
    Response = Response<circuit_layer::CircuitBody<reqwest::Body>>,
    Error: Into<BoxError>,
> + Clone {
    ServiceBuilder::new()
        .layer(CircuitLayer::http(circuit))
        .map_request(|request: Request<reqwest::Body>| reqwest::Request::try_from(request).expect("a valid address"))
        .map_response(|response: reqwest::Response| Response::<reqwest::Body>::from(response))
        .service(reqwest::Client::new())
}

async fn get(circuit: Circuit, server: &Flaky) -> Result<StatusCode, BoxError> {
    let request = Request::get(server.url("/")).body(reqwest::Body::default())?;
    let response = client(circuit).oneshot(request).await.map_err(Into::into)?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}

#[tokio::test]
async fn server_errors_open_the_circuit_and_it_then_answers_for_the_server() {
    let server = Flaky::start(Answer::Status(502)).await;
    let circuit = Circuit::builder("reqwest-502")
        .consecutive_failures(3)
        .build()
        .expect("a valid policy");
    for _ in 0..3 {
        assert_eq!(get(circuit, &server).await.expect("an answer"), StatusCode::BAD_GATEWAY);
    }
    assert_eq!(
        get(circuit, &server).await.expect("an answer"),
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(server.requests(), 3);
}

#[tokio::test]
async fn a_stream_that_breaks_is_a_failure() {
    let server = Flaky::start(Answer::BrokenStream).await;
    let circuit = Circuit::builder("reqwest-broken")
        .consecutive_failures(2)
        .build()
        .expect("a valid policy");
    for _ in 0..2 {
        assert!(get(circuit, &server).await.is_err(), "the body breaks");
    }
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn a_hung_server_under_an_outer_timeout_opens_the_circuit() {
    let server = Flaky::start(Answer::Hang).await;
    let circuit = Circuit::builder("reqwest-hang")
        .consecutive_failures(2)
        .on_cancel(circuit_layer::OnCancel::Failure)
        .build()
        .expect("a valid policy");
    for _ in 0..2 {
        // Real time: the server is a real one.
        let limit = std::time::Duration::from_millis(50);
        assert!(
            tokio::time::timeout(limit, get(circuit, &server)).await.is_err(),
            "no answer in time"
        );
    }
    assert_eq!(circuit.state(), State::Open);
}
