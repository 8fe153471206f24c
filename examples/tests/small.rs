//! Each small example, run as it is: it ends by itself, and says what it is there to show.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// `cargo test` builds examples before it runs tests; when only this test was asked for, they are built here.
fn program(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("a test knows where it is");
    let profile = here
        .parent()
        .and_then(Path::parent)
        .expect("tests lie in target/<profile>/deps");
    let program = profile.join("examples").join(name);
    if !program.exists() {
        let release: &[&str] = if profile.ends_with("release") {
            &["--release"]
        } else {
            &[]
        };
        let mut build = std::process::Command::new(env!("CARGO"));
        build
            .args(["build", "--package", "fusebox-examples", "--example", name])
            .args(release);
        let status = build
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo can be started");
        assert!(status.success(), "{name} does not build");
    }
    program
}

async fn shows(name: &str, wanted: &[&str]) {
    let running = Command::new(program(name)).kill_on_drop(true).output();
    let output = timeout(Duration::from_secs(30), running)
        .await
        .expect("it ends by itself")
        .expect("it starts");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{name} ended with {}:\n{said}", output.status);
    for wanted in wanted {
        assert!(
            said.contains(wanted),
            "{wanted:?} is missing in what {name} says:\n{said}"
        );
    }
}

#[tokio::test]
async fn axum_routes_trip_one_by_one() {
    let wanted = [
        "the handler of /report was called 5 times",
        "503 Service Unavailable",
        "GET /hello says: hello",
    ];
    shows("axum_routes", &wanted).await;
}

#[tokio::test]
async fn a_tonic_client_is_told_that_the_circuit_is_open() {
    let wanted = [
        "the server was called 3 times; the circuit is open",
        "call 4: Unavailable, circuit \"health\" is open",
    ];
    shows("tonic_client", &wanted).await;
}

#[tokio::test]
async fn a_tonic_server_leaves_its_handler_in_peace() {
    shows(
        "tonic_server",
        &["the handler was called 3 times; the circuit is open", "; come back in "],
    )
    .await;
}

#[tokio::test]
async fn a_hyper_client_counts_an_answer_that_breaks_off() {
    let wanted = [
        "/half: 200 OK, then ",
        "/: not even tried: circuit \"api\" is open",
        "open; 0 calls in flight",
    ];
    shows("hyper_client", &wanted).await;
}

#[tokio::test]
async fn a_reqwest_client_stops_asking() {
    shows(
        "reqwest_client",
        &["/nowhere: 404", "/broken: not even tried: circuit \"api\" is open"],
    )
    .await;
}

#[tokio::test]
async fn a_plain_async_function_needs_no_tower() {
    let wanted = [
        "not even tried: circuit \"database\" is open: 3 failures in a row",
        "the circuit is closed",
    ];
    shows("plain_async_fn", &wanted).await;
}

#[tokio::test]
async fn a_balancer_leaves_a_broken_endpoint_out() {
    shows("balance", &["3 calls reached the broken endpoint, 0 were refused"]).await;
}

#[tokio::test]
async fn a_pool_fails_over_and_says_why_nobody_could_be_asked() {
    let wanted = [
        "azure answers for gpt-4",
        "openai was asked 2 times, then its circuit opened",
        "gpt-4 is served by azure",
        "no provider for \"gpt-4\": openai is open (next try in ",
        "azure is draining, local does not serve it",
    ];
    shows("provider_pool", &wanted).await;
}

#[tokio::test]
async fn a_probe_opens_a_circuit_before_a_call_fails() {
    let wanted = [
        "the probe says up, the circuit is closed",
        "the probe says down, the circuit is open",
        "no call has failed, yet: circuit \"search\" is open: its health probe reports down",
        "the probe says up, the circuit is half-open",
        "a trial went well, the circuit is closed",
    ];
    shows("health_probe", &wanted).await;
}
