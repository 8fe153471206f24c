//! A probe that opens a circuit before a call fails, and lets it close again.
//!
//! `cargo run --example health_probe`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fusebox::prelude::*;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let circuit = Circuit::builder("search").trials(1).build()?;
    let works = Arc::new(AtomicBool::new(true));

    let seen = Arc::clone(&works);
    let probe = FnProbe::new("search", move || {
        let works = seen.load(Ordering::Relaxed);
        async move { works.then_some(()).ok_or("no index is loaded") }
    })
    .every(Duration::from_millis(50))
    .unhealthy_after(2)
    .healthy_after(1)
    .drives(circuit)
    .spawn()?;

    let first = probe.check_now().await?;
    println!("the probe says {}, the circuit is {}", first.state, circuit.state());
    let mut health = probe.watch(); // from what it says now on

    works.store(false, Ordering::Relaxed);
    println!(
        "the probe says {}, the circuit is {}",
        health.changed().await?,
        circuit.state()
    );
    println!("no call has failed, yet: {}", circuit.acquire().unwrap_err());

    works.store(true, Ordering::Relaxed);
    println!(
        "the probe says {}, the circuit is {}",
        health.changed().await?,
        circuit.state()
    );
    circuit.acquire()?.success();
    println!("a trial went well, the circuit is {}", circuit.state());

    probe.shutdown().await;
    Ok(())
}
