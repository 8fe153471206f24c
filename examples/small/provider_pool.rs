//! Three providers as one service: each behind its own circuit, the next one where one fails, and a reason where nobody
//! could be asked.
//!
//! `cargo run --example provider_pool`

use std::time::Duration;

use fusebox::pool::BoxProvider;
use fusebox::prelude::*;
use tower::{ServiceBuilder, ServiceExt, service_fn};

#[derive(Clone)]
struct Ask {
    model: &'static str,
}

/// A provider that answers, or fails when it is `broken`, behind its circuit.
fn provider(name: &'static str, broken: bool) -> Result<Provider<BoxProvider<Ask, String>>, BoxError> {
    let circuit = Circuit::builder(name)
        .consecutive_failures(2)
        .open_for(Duration::from_secs(30))
        .build()?;
    let client = service_fn(move |ask: Ask| async move {
        if broken {
            Err(BoxError::from("connection reset by peer"))
        } else {
            Ok(format!("{name} answers for {}", ask.model))
        }
    });
    let service = ServiceBuilder::new().layer(CircuitLayer::new(circuit)).service(client);
    Ok(Provider::boxed(name, service).circuit(circuit))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let pool = ProviderPool::builder()
        .provider(provider("openai", true)?.serves("gpt-4"))
        .provider(provider("azure", false)?.serves("gpt-4"))
        .provider(provider("local", false)?.serves("llama"))
        .strategy(InOrder)
        .wants(|ask: &Ask| Some(ask.model))
        .repeat_all() // to ask changes nothing, so another provider may be asked the same
        .build()?;

    for _ in 0..3 {
        println!("{}", pool.clone().oneshot(Ask { model: "gpt-4" }).await?);
    }
    let seen = pool.snapshot();
    println!(
        "openai was asked {} times, then its circuit opened",
        seen.providers[0].failed
    );

    for model in pool.models() {
        println!("{} is served by {}", model.id, model.owner);
    }

    // azure is to be updated: it gets no new calls, and nobody else serves gpt-4.
    pool.drain("azure");
    pool.drained("azure").await;
    let error = pool.clone().oneshot(Ask { model: "gpt-4" }).await.unwrap_err();
    println!("{error}");

    pool.resume("azure");
    println!("{}", pool.oneshot(Ask { model: "gpt-4" }).await?);
    Ok(())
}
