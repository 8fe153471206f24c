//! The TCP probe, against real sockets.
#![cfg(feature = "tcp")]

use std::time::Duration;

use health_probe::{CheckResult, HealthState, Probe, TcpProbe};
use tokio::net::{TcpListener, TcpSocket};

const LIMIT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_port_that_listens_is_up_and_one_that_refuses_is_down() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let probe = TcpProbe::connect(address.to_string())
        .builder()
        .unhealthy_after(1)
        .spawn()
        .unwrap();
    assert_eq!(probe.name(), format!("tcp://{address}"));
    assert_eq!(probe.check_now().await.unwrap().state, HealthState::Up);
    drop(server);
    // So that nobody else listens there next.
    let taken = TcpSocket::new_v4().unwrap();
    taken.set_reuseaddr(true).unwrap();
    taken.bind(address).unwrap();
    let seen = probe.check_now().await.unwrap();
    assert_eq!(
        (seen.state, seen.last_result),
        (HealthState::Down, Some(CheckResult::Failed))
    );
    assert!(seen.last_error.unwrap().contains("refused"));
}

#[tokio::test]
async fn a_name_is_looked_up_and_its_addresses_are_tried_in_turn() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let probe = TcpProbe::connect(format!("localhost:{port}")).spawn().unwrap();
    assert_eq!(probe.check_now().await.unwrap().state, HealthState::Up);
}

#[tokio::test]
async fn a_server_that_closes_or_hangs_after_it_has_accepted_is_up_for_the_port_is() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let probe = TcpProbe::connect(server.local_addr().unwrap().to_string())
        .timeout(LIMIT)
        .spawn()
        .unwrap();
    assert_eq!(
        probe.check_now().await.unwrap().state,
        HealthState::Up,
        "nobody accepts"
    );
    let closes = tokio::spawn(async move { while server.accept().await.is_ok() {} });
    assert_eq!(probe.check_now().await.unwrap().successes_in_a_row, 2);
    closes.abort();
}

#[tokio::test]
async fn a_port_that_answers_nothing_at_all_times_out() {
    // A backlog that is full: the kernel drops what comes after.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = socket.listen(1).unwrap();
    let address = server.local_addr().unwrap();
    let mut kept = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(LIMIT, tokio::net::TcpStream::connect(address)).await {
        kept.push(stream);
        assert!(kept.len() < 1_000, "the backlog is never full");
    }
    let probe = TcpProbe::connect(address.to_string()).timeout(LIMIT).spawn().unwrap();
    let seen = probe.check_now().await.unwrap();
    assert_eq!(
        (seen.state, seen.last_result),
        (HealthState::Down, Some(CheckResult::TimedOut))
    );
    assert!(seen.last_latency.unwrap() < LIMIT * 3);
}

#[tokio::test]
async fn what_is_no_address_is_an_error() {
    for address in [
        "",
        "host",
        "host:",
        ":80",
        "host:0",
        "host:65536",
        "::1:80",
        "http://host:80",
        "me@host:80",
    ] {
        let error = TcpProbe::connect(address).spawn().unwrap_err();
        assert_eq!(error.field(), "address", "{address}");
    }
    for address in ["host:1", "10.0.0.7:65535", "[::1]:80"] {
        assert!(TcpProbe::connect(address).spawn().is_ok(), "{address}");
    }
}
