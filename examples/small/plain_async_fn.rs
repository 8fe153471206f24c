//! Any async function through a circuit, without tower: `cargo run --example plain_async_fn`.

use std::io;
use std::time::Duration;

use fusebox::prelude::*;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Something that can fail: it connects to a port that nobody listens on, until `healed`.
async fn fetch(port: u16, healed: bool) -> io::Result<&'static str> {
    if healed {
        return Ok("an answer");
    }
    TcpStream::connect(("127.0.0.1", port))
        .await
        .map(|_| "somebody listens after all")
}

async fn ask(circuit: Circuit, port: u16, healed: bool) {
    match circuit.call(|| fetch(port, healed)).await {
        Ok(answer) => println!("{answer}"),
        Err(CallError::Refused(refused)) => println!("not even tried: {refused}"),
        Err(CallError::Inner(error)) => println!("failed: {error}"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A port that is taken, and nobody listens: connections are refused.
    let nobody = tokio::net::TcpSocket::new_v4()?;
    nobody.bind("127.0.0.1:0".parse()?)?;
    let port = nobody.local_addr()?.port();

    let circuit = Circuit::builder("database")
        .consecutive_failures(3)
        .open_for(Duration::from_millis(300))
        .trials(1)
        .build()?;

    for _ in 0..5 {
        ask(circuit, port, false).await;
    }
    println!("the circuit is {}", circuit.state());

    sleep(Duration::from_millis(350)).await;
    ask(circuit, port, true).await; // the trial
    println!("the circuit is {}", circuit.state());

    // By hand, where a call is no single function: a permit settles once, and a dropped one gives its place back.
    let permit = circuit.acquire()?;
    permit.success();
    println!("{:?}", circuit.totals());
    Ok(())
}
