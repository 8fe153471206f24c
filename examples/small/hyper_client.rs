//! A hyper client behind a circuit and a limit: `cargo run --example hyper_client`.
//!
//! Both see the body to its end: an answer that breaks off in the middle is a failure, and holds its slot until then.

use std::time::Duration;

use axum::{Router, body::Body, http::StatusCode, routing::get};
use bytes::Bytes;
use fusebox::prelude::*;
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new()
        .route("/", get(|| async { "all of it" }))
        .route("/half", get(half))
        .route("/broken", get(|| async { StatusCode::BAD_GATEWAY }));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let circuit = Circuit::builder("api")
        .consecutive_failures(3)
        .open_for(Duration::from_secs(30))
        .build()?;
    let limit = Limit::fixed(8).name("api").build()?;
    let client = ServiceBuilder::new()
        .layer(CircuitLayer::http(circuit).refuse_with_error())
        .layer(ConcurrencyLayer::body_long(limit))
        .service(Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>());

    for path in ["/", "/half", "/broken", "/half", "/"] {
        let request = Request::get(format!("http://{address}{path}")).body(Empty::new())?;
        match client.clone().oneshot(request).await {
            Ok(response) => {
                let status = response.status();
                match response.into_body().collect().await {
                    Ok(body) => println!("{path}: {status}, {} bytes", body.to_bytes().len()),
                    Err(error) => println!("{path}: {status}, then {error}"),
                }
            }
            Err(error) => match Refused::find(&*error) {
                Some(refused) => println!("{path}: not even tried: {refused}"),
                None => println!("{path}: {error}"),
            },
        }
    }
    println!(
        "the circuit is {}; {} calls in flight",
        circuit.state(),
        limit.in_flight()
    );
    Ok(())
}

/// A body that breaks off.
async fn half() -> Body {
    let pieces = stream::iter([Ok("half of it, "), Err(std::io::Error::other("and then nothing"))]);
    Body::from_stream(pieces.then(|piece| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        piece
    }))
}
