//! A circuit for each route of an axum server: `cargo run --example axum_routes`.
//!
//! One route breaks, its circuit opens, and its handler is not called again; the other route notices nothing. The layer
//! answers refusals itself, so the router stays `Infallible` and needs no `HandleErrorLayer`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use fusebox::prelude::*;
use tokio::net::TcpListener;

#[derive(Clone, Default)]
struct Calls(Arc<AtomicU32>);

async fn broken(State(calls): State<Calls>) -> StatusCode {
    calls.0.fetch_add(1, Relaxed);
    StatusCode::INTERNAL_SERVER_ERROR
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let circuit = |name| {
        Circuit::builder(name)
            .consecutive_failures(5)
            .open_for(Duration::from_secs(30))
            .build()
    };
    let calls = Calls::default();
    let app = Router::new()
        .route("/report", get(broken).layer(CircuitLayer::http(circuit("report")?)))
        .route(
            "/hello",
            get(|| async { "hello" }).layer(CircuitLayer::http(circuit("hello")?)),
        )
        .with_state(calls.clone());

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });

    for number in 1..=8 {
        let response = reqwest::get(format!("http://{address}/report")).await?;
        let retry_after = response
            .headers()
            .get("retry-after")
            .map_or("-", |value| value.to_str().unwrap_or_default());
        println!(
            "GET /report, {number}: {}, retry-after: {retry_after}",
            response.status()
        );
    }
    println!("the handler of /report was called {} times", calls.0.load(Relaxed));
    println!(
        "GET /report says: {}",
        reqwest::get(format!("http://{address}/report")).await?.text().await?
    );
    println!(
        "GET /hello says: {}",
        reqwest::get(format!("http://{address}/hello")).await?.text().await?
    );
    Ok(())
}
