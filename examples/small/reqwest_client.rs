//! A reqwest client behind a circuit: `cargo run --example reqwest_client`.
//!
//! reqwest has requests and responses of its own; they convert into those of the `http` crate and back.

use std::time::Duration;

use axum::{Router, http::StatusCode, routing::get};
use fusebox::prelude::*;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt, service_fn};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route(
        "/broken",
        get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "not today") }),
    );
    tokio::spawn(async move { axum::serve(listener, app).await });

    let reqwest = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
    let bridge = service_fn(move |request: http::Request<reqwest::Body>| {
        let reqwest = reqwest.clone();
        async move {
            let response = reqwest.execute(request.try_into()?).await?;
            Ok::<_, reqwest::Error>(http::Response::<reqwest::Body>::from(response))
        }
    });

    let circuit = Circuit::builder("api")
        .consecutive_failures(3)
        .open_for(Duration::from_secs(30))
        .build()?;
    let client = ServiceBuilder::new()
        .layer(CircuitLayer::http(circuit).refuse_with_error())
        .service(bridge);

    // A 404 is the asker's fault and says nothing of the server; a 503 is a failure.
    for path in ["/nowhere", "/broken", "/nowhere", "/broken", "/broken", "/broken"] {
        let request = http::Request::get(format!("http://{address}{path}")).body(reqwest::Body::default())?;
        match client.clone().oneshot(request).await {
            Ok(response) => println!("{path}: {}", response.status()),
            Err(error) => match Refused::find(&*error) {
                Some(refused) => println!("{path}: not even tried: {refused}"),
                None => println!("{path}: {error}"),
            },
        }
    }
    println!("the circuit is {}", circuit.state());
    Ok(())
}
