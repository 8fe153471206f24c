//! The HTTP probe, against real servers on sockets: sound, refusing, hanging, half-closed, slow and worse ones.
#![cfg(feature = "http")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use health_probe::{CheckResult, HealthState, HttpProbe, Probe, ProbeBuilder, Snapshot};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// For what must not come in time.
const LIMIT: Duration = Duration::from_millis(400);
/// For what must.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server does with a connection whose request head it has read.
#[derive(Clone)]
enum Manner {
    /// Writes these pieces, each after a pause, and closes.
    Writes(Vec<(Duration, Vec<u8>)>),
    /// Says nothing, and keeps the connection.
    Hangs,
    /// Closes its half at once, and goes on reading.
    HalfCloses,
    /// Writes the same for as long as anybody reads.
    WritesForEver(Vec<u8>),
}

struct Server {
    url: String,
    heads: Arc<std::sync::Mutex<Vec<String>>>,
    connections: Arc<AtomicU32>,
}

fn says(text: impl Into<Vec<u8>>) -> Manner {
    Manner::Writes(vec![(Duration::ZERO, text.into())])
}

fn answers(status: u16, body: &str) -> Manner {
    says(format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, manner: Manner) -> std::io::Result<()> {
    match manner {
        Manner::Writes(pieces) => {
            for (pause, piece) in pieces {
                tokio::time::sleep(pause).await;
                stream.write_all(&piece).await?;
                stream.flush().await?;
            }
            stream.shutdown().await
        }
        Manner::Hangs => std::future::pending().await,
        Manner::HalfCloses => {
            stream.shutdown().await?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.map(drop)
        }
        Manner::WritesForEver(piece) => loop {
            stream.write_all(&piece).await?;
        },
    }
}

async fn server(manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        url: format!("http://{}/healthz", listener.local_addr().unwrap()),
        heads: Arc::default(),
        connections: Arc::default(),
    };
    let (heads, connections) = (Arc::clone(&server.heads), Arc::clone(&server.connections));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            let (manner, heads) = (manner.clone(), Arc::clone(&heads));
            tokio::spawn(async move {
                if let Some(head) = read_head(&mut stream).await {
                    heads.lock().unwrap().push(head);
                    let _ = serve(stream, manner).await;
                }
            });
        }
    });
    server
}

async fn once<P: Probe>(probe: ProbeBuilder<P>) -> Snapshot {
    once_within(PATIENCE, probe).await
}

async fn once_within<P: Probe>(limit: Duration, probe: ProbeBuilder<P>) -> Snapshot {
    let probe = probe
        .timeout(limit)
        .initial_delay(Duration::from_secs(60))
        .spawn()
        .unwrap();
    probe.check_now().await.unwrap()
}

async fn check(manner: Manner) -> Snapshot {
    check_within(PATIENCE, manner).await
}

async fn check_within(limit: Duration, manner: Manner) -> Snapshot {
    once_within(limit, HttpProbe::get(server(manner).await.url).builder()).await
}

fn failed(seen: &Snapshot, text: &str) {
    assert_eq!(
        (seen.state, seen.last_result),
        (HealthState::Down, Some(CheckResult::Failed)),
        "{seen:?}"
    );
    let error = seen.last_error.as_deref().unwrap();
    assert!(error.contains(text), "{error}");
}

#[tokio::test]
async fn any_2xx_is_up_and_every_other_status_is_not() {
    for status in [200, 204, 299] {
        assert_eq!(check(answers(status, "")).await.state, HealthState::Up, "{status}");
    }
    for status in [199, 300, 301, 404, 429, 500, 503, 599] {
        let seen = check(says(format!(
            "HTTP/1.1 {status} X\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"
        )))
        .await;
        // hyper passes over 1xx and waits for the answer, which never comes.
        let text = if status < 200 {
            String::new()
        } else {
            format!("status {status}")
        };
        failed(&seen, &text);
    }
}

#[tokio::test]
async fn the_expected_statuses_can_be_set() {
    for (status, up) in [(200, false), (204, true), (404, true), (405, false)] {
        let server = server(answers(status, "")).await;
        let probe = HttpProbe::get(&server.url).expect_status(204).expect_status(400..=404);
        assert_eq!(once(probe.builder()).await.state == HealthState::Up, up, "{status}");
    }
}

/// One server at first, and then another.
struct Moves(HttpProbe, HttpProbe, AtomicU32);
impl Probe for Moves {
    async fn check(&self) -> Result<(), health_probe::CheckError> {
        match self.2.fetch_add(1, Ordering::Relaxed) {
            0 => self.0.check().await,
            _ => self.1.check().await,
        }
    }
}

#[tokio::test]
async fn a_status_may_mean_down_at_once() {
    for (status, state) in [
        (500, HealthState::Up),
        (410, HealthState::Down),
        (451, HealthState::Down),
    ] {
        let good = server(answers(200, "")).await;
        let bad = server(answers(status, "")).await;
        let bad = HttpProbe::get(&bad.url).down_at_once_on(410..=418).down_at_once_on(451);
        let probe = Moves(HttpProbe::get(&good.url), bad, AtomicU32::new(0));
        let probe = probe.builder().initial_delay(Duration::from_secs(60)).spawn().unwrap();
        assert_eq!(probe.check_now().await.unwrap().state, HealthState::Up);
        assert_eq!(probe.check_now().await.unwrap().state, state, "{status}");
    }
}

#[tokio::test]
async fn the_body_must_contain_what_is_expected() {
    let server = server(answers(200, r#"{"status": "ready", "größe": 1}"#)).await;
    let probe = || HttpProbe::get(&server.url);
    assert_eq!(
        once(probe().expect_body("\"ready\"").builder()).await.state,
        HealthState::Up
    );
    assert_eq!(
        once(probe().expect_body("größe").builder()).await.state,
        HealthState::Up
    );
    let seen = once(probe().expect_body("broken").builder()).await;
    failed(&seen, r#"the body does not contain "broken""#);
    assert!(
        !seen.last_error.unwrap().contains("größe"),
        "what a server says stays out of logs"
    );
    let long = |body: &[u8]| body.len() > 10;
    assert_eq!(
        once(probe().expect_body_with(long).builder()).await.state,
        HealthState::Up
    );
    failed(
        &once(probe().expect_body_with(move |body| !long(body)).builder()).await,
        "does not contain",
    );
}

#[tokio::test]
async fn a_matcher_that_panics_is_a_failed_check() {
    let server = server(answers(200, "x")).await;
    let probe = HttpProbe::get(&server.url).expect_body_with(|_| panic!("odd body"));
    let seen = once(probe.builder()).await;
    assert_eq!(seen.last_result, Some(CheckResult::Panicked));
    assert_eq!(seen.last_error.as_deref(), Some("panicked: odd body"));
}

#[tokio::test]
async fn a_body_over_the_limit_fails_where_it_matters_and_is_left_unread_where_not() {
    let server = server(answers(200, &"x".repeat(1_000))).await;
    let probe = |limit| HttpProbe::get(&server.url).body_limit(limit);
    failed(
        &once(probe(999).expect_body("x").builder()).await,
        "longer than 999 bytes",
    );
    assert_eq!(
        once(probe(1_000).expect_body("x").builder()).await.state,
        HealthState::Up
    );
    assert_eq!(once(probe(1).builder()).await.state, HealthState::Up);
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let mut piece = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    piece.resize(8_192, b'x');
    let server = server(Manner::WritesForEver(piece)).await;
    assert_eq!(once(HttpProbe::get(&server.url).builder()).await.state, HealthState::Up);
    failed(
        &once(HttpProbe::get(&server.url).expect_body("y").builder()).await,
        "longer than 65536 bytes",
    );
}

#[tokio::test]
async fn a_server_that_refuses_is_down() {
    let (_kept, address) = support::refusing();
    let url = format!("http://{address}/");
    failed(&once(HttpProbe::get(url).builder()).await, "refused");
}

#[tokio::test]
async fn a_name_that_is_none_is_down() {
    let seen = once(HttpProbe::get("http://no-such-host.invalid/").builder()).await;
    assert_eq!(seen.state, HealthState::Down);
}

#[tokio::test]
async fn a_server_that_hangs_times_out_and_its_connection_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let closed = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        stream.read(&mut [0]).await
    });
    let seen = once_within(LIMIT, HttpProbe::get(url).builder()).await;
    assert_eq!(
        (seen.state, seen.last_result),
        (HealthState::Down, Some(CheckResult::TimedOut))
    );
    assert!((LIMIT..PATIENCE).contains(&seen.last_latency.unwrap()));
    let end = tokio::time::timeout(Duration::from_secs(5), closed).await;
    assert!(matches!(
        end.expect("the connection is closed").unwrap(),
        Ok(0) | Err(_)
    ));
    assert_eq!(
        check_within(LIMIT, Manner::Hangs).await.last_result,
        Some(CheckResult::TimedOut)
    );
}

#[tokio::test]
async fn a_server_that_is_half_closed_or_breaks_off_is_down() {
    failed(
        &check(Manner::HalfCloses).await,
        "connection closed before message completed",
    );
    failed(&check(says("HTTP/1.1 200 OK\r\ncontent-le")).await, "");
    failed(
        &check(says("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")).await,
        "",
    );
    failed(
        &check(says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhal")).await,
        "",
    );
    assert_eq!(
        check(says(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        ))
        .await
        .state,
        HealthState::Up
    );
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_down() {
    failed(&check(says("220 mail.example.org ESMTP\r\n")).await, "");
    failed(&check(says(vec![0; 100])).await, "");
    let flood = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    failed(&check(says(flood)).await, "");
}

#[tokio::test]
async fn a_slow_server_is_up_within_the_limit_and_down_beyond_it() {
    let slowly = |pause: Duration| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n".to_vec();
        Manner::Writes(vec![(pause, head), (pause, b"he".to_vec()), (pause, b"re".to_vec())])
    };
    let seen = check_within(PATIENCE, slowly(LIMIT / 10)).await;
    assert_eq!(seen.state, HealthState::Up);
    assert!(
        seen.last_latency.unwrap() >= LIMIT / 10 * 3,
        "the body is part of the check"
    );
    // Head and half of the body are in time.
    assert_eq!(
        check_within(LIMIT, slowly(LIMIT * 2 / 5)).await.last_result,
        Some(CheckResult::TimedOut)
    );
}

#[tokio::test]
async fn the_request_says_what_it_was_told_to_say() {
    let server = server(answers(200, "")).await;
    let probe = HttpProbe::head(format!("{}?deep=1", server.url))
        .header("authorization", "Bearer 123")
        .header("host", "orders.internal")
        .header("x-twice", "1")
        .header("x-twice", "2");
    assert!(!format!("{probe:?}").contains("123"));
    assert_eq!(probe.target(), server.url);
    assert_eq!(once(probe.builder()).await.state, HealthState::Up);
    let heads = server.heads.lock().unwrap();
    let head = heads[0].to_ascii_lowercase();
    assert!(head.starts_with("head /healthz?deep=1 http/1.1\r\n"), "{head}");
    for line in [
        "authorization: bearer 123",
        "host: orders.internal",
        "x-twice: 1",
        "x-twice: 2",
    ] {
        assert_eq!(head.matches(line).count(), 1, "{line}: {head}");
    }
}

#[tokio::test]
async fn each_check_makes_a_connection_of_its_own() {
    let server = server(Manner::Writes(vec![
        (Duration::ZERO, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
        (Duration::from_secs(60), Vec::new()),
    ]))
    .await;
    let probe = HttpProbe::get(&server.url).spawn().unwrap();
    for _ in 0..3 {
        assert_eq!(probe.check_now().await.unwrap().state, HealthState::Up);
    }
    assert!(server.connections.load(Ordering::Relaxed) >= 3);
}

#[tokio::test]
async fn over_https_it_trusts_its_authorities_and_no_others() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                read_head(&mut stream).await?;
                serve(stream, answers(200, "safe")).await.ok()
            });
        }
    });
    let trusting = HttpProbe::get(&url)
        .ca_certificate(certified.cert.pem())
        .expect_body("safe");
    let seen = once(trusting.builder()).await;
    assert_eq!(seen.state, HealthState::Up, "{seen:?}");
    let seen = once(HttpProbe::get(&url).builder()).await;
    failed(&seen, "certificate");
    // A server that speaks no TLS waits for a request, and the probe for a handshake.
    let plain = server(answers(200, "")).await.url.replace("http:", "https:");
    assert_eq!(
        once_within(LIMIT, HttpProbe::get(plain).builder()).await.state,
        HealthState::Down
    );
}

#[tokio::test]
async fn bad_configuration_is_an_error_that_names_field_value_and_what_is_allowed() {
    let get = || HttpProbe::get("http://localhost/");
    for (probe, field) in [
        (HttpProbe::get(""), "url"),
        (HttpProbe::get("/healthz"), "url"),
        (HttpProbe::get("localhost:80/healthz"), "url"),
        (HttpProbe::get("ftp://localhost/"), "url"),
        (HttpProbe::get("http:///healthz"), "url"),
        (HttpProbe::get("http://me:secret@localhost/"), "url"),
        (get().header("a b", "c"), "header"),
        (get().header("a", "line\r\nstolen: yes"), "header"),
        (get().expect_status(99), "expect_status"),
        (get().expect_status(1_000), "expect_status"),
        (
            get().expect_status(std::ops::RangeInclusive::new(299, 200)),
            "expect_status",
        ),
        (get().down_at_once_on(0), "down_at_once_on"),
        (get().down_at_once_on(204), "down_at_once_on"),
        (get().expect_status(500..=599).down_at_once_on(503), "down_at_once_on"),
        (get().expect_body("x").body_limit(0), "body_limit"),
        (get().body_limit(16 * 1024 * 1024 + 1), "body_limit"),
        (HttpProbe::head("http://localhost/").expect_body("x"), "expect_body"),
        (get().ca_certificate("no certificate"), "ca_certificate"),
        (
            get().ca_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "ca_certificate",
        ),
    ] {
        let error = probe.named("x").spawn().unwrap_err();
        assert_eq!(error.field(), field, "{error}");
        assert!(
            !error.to_string().contains("secret") && !error.to_string().contains("stolen"),
            "{error}"
        );
    }
    assert_eq!(
        HttpProbe::get("http://me:secret@localhost/?key=1")
            .spawn()
            .unwrap_err()
            .to_string(),
        r#"probe "http://localhost/": url = "http://localhost/" is not allowed; leave out user and password, and set a header `authorization`"#
    );
    for (url, text) in [
        (
            "10.0.0.7/healthz",
            r#"probe "10.0.0.7/healthz": url = "10.0.0.7/healthz" is not allowed; write it with its scheme, such as "http://10.0.0.7:8080/healthz" (invalid format)"#,
        ),
        (
            "/healthz",
            r#"probe "/healthz": url = "/healthz" is not allowed; write it with its scheme, such as "http://10.0.0.7:8080/healthz""#,
        ),
        (
            "",
            r#"probe "": url = "" is not allowed; write it with its scheme, such as "http://10.0.0.7:8080/healthz" (empty string)"#,
        ),
    ] {
        assert_eq!(HttpProbe::get(url).spawn().unwrap_err().to_string(), text);
    }
    assert!(
        get()
            .down_at_once_on(503)
            .expect_status(http::StatusCode::OK)
            .spawn()
            .is_ok()
    );
}
