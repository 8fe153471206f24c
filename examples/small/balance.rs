//! A balancer that leaves a broken endpoint out: `cargo run --example balance`.
//!
//! A balancer picks the endpoint with the least load, and one that refuses at once has none: it would draw the traffic.
//! With `gate()` an open circuit makes its endpoint not ready instead, and the balancer goes elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use fusebox::prelude::*;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequestsDiscover};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// An endpoint; number 3 is broken.
async fn answer(endpoint: usize) -> Result<usize, std::io::Error> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    if endpoint == 3 {
        Err(std::io::Error::other("endpoint 3 is broken"))
    } else {
        Ok(endpoint)
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut endpoints = Vec::new();
    for endpoint in 1..=5_usize {
        let circuit = Circuit::builder(format!("endpoint {endpoint}"))
            .consecutive_failures(3)
            .open_for(Duration::from_secs(30))
            .build()?;
        endpoints.push(
            ServiceBuilder::new()
                .layer(CircuitLayer::new(circuit).gate())
                .service(service_fn(move |()| answer(endpoint))),
        );
    }
    let load = PendingRequestsDiscover::new(ServiceList::new(endpoints), CompleteOnResponse::default());
    let mut balance = Balance::new(load);

    let (mut answers, mut failures, mut refusals) = (BTreeMap::<usize, u32>::new(), 0, 0);
    for _ in 0..1_000 {
        match balance.ready().await?.call(()).await {
            Ok(endpoint) => *answers.entry(endpoint).or_default() += 1,
            Err(error) if Refused::find(&*error).is_some() => refusals += 1,
            Err(_) => failures += 1,
        }
    }
    println!("answers by endpoint: {answers:?}");
    println!("{failures} calls reached the broken endpoint, {refusals} were refused");
    Ok(())
}
