//! The gateway with providers from a file: what it sends them, and what it says to a file that is wrong.

use std::net::SocketAddr;

use crate::harness::{Gateway, TempFile, chat, run, until};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use futures_util::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Starts a provider that answers with what it was sent, or with a status.
async fn provider(status: StatusCode) -> SocketAddr {
    serve(answering(status)).await
}

fn answering(status: StatusCode) -> Router {
    let answer = move |headers: HeaderMap, body: String| async move {
        let key = headers.get("authorization").map(|key| key.to_str().unwrap().to_owned());
        let sent: Value = serde_json::from_str(&body).unwrap();
        let text = json!({ "key": key, "model": sent["model"], "temperature": sent["temperature"] }).to_string();
        let message = json!({ "choices": [{ "message": { "content": text } }] }).to_string();
        (
            status,
            [("content-type", "application/json"), ("set-cookie", "id=1")],
            message,
        )
    };
    Router::new().route("/api/v1/chat/completions", post(answer))
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_provider_is_sent_its_own_key_and_its_own_name_for_the_model() {
    let address = provider(StatusCode::OK).await;
    let file = TempFile::new(
        "keys.toml",
        &format!(
            r#"
            [[provider]]
            name = "openai"
            url = "http://{address}/api/v1/"
            api_key_env = "OPENAI_API_KEY"
            models = {{ "gpt-4" = "gpt-4o-mini", "*" = "other" }}
            "#
        ),
    );
    let gateway = Gateway::start(&["--config", file.path()]).await;
    for (asked, named) in [("gpt-4", "gpt-4o-mini"), ("demo", "other")] {
        let mut request = chat("hi", false);
        request["model"] = asked.into();
        request["temperature"] = json!(0.5);
        let response = gateway.send(&request).await;
        assert_eq!(response.headers()["x-fusebox-answered-by"], "primary");
        assert_eq!(response.headers()["x-fusebox-provider"], "openai");
        assert!(
            response.headers().get("set-cookie").is_none(),
            "a provider's cookies are not the asker's"
        );
        let body: Value = response.json().await.unwrap();
        let seen: Value = serde_json::from_str(body["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
        assert_eq!(
            seen,
            json!({ "key": "Bearer key-1", "model": named, "temperature": 0.5 })
        );
    }
    assert_eq!(
        gateway.post("/demo/providers/openai/fault/errors").await.0,
        404,
        "nothing to break here"
    );
}

#[tokio::test]
async fn a_provider_is_asked_over_tls_and_only_when_its_certificate_is_trusted() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let address = serve_tls(&certificate, answering(StatusCode::OK)).await;
    let ca = TempFile::new("ca.pem", &certificate.cert.pem());
    let two = format!(
        "[[provider]]\nname = \"distrusted\"\nurl = \"https://localhost:{port}/api/v1\"\n\
         [[provider]]\nname = \"trusted\"\nurl = \"https://localhost:{port}/api/v1\"\nca_file = \"{ca}\"\n",
        port = address.port(),
        ca = ca.path()
    );
    let file = TempFile::new("tls.toml", &two);
    let gateway = Gateway::start(&["--config", file.path()]).await;
    let answer = gateway.ask("hi").await;
    assert_eq!(
        (answer.status, &*answer.by, &*answer.provider),
        (200, "backup", "trusted")
    );
}

async fn serve_tls(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>, app: Router) -> SocketAddr {
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let crypto = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(tls));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
            tokio::spawn(async move {
                // A client that does not trust the certificate ends here.
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let connection = auto::Builder::new(TokioExecutor::new());
                drop(connection.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    address
}

#[tokio::test]
async fn what_the_asker_did_wrong_comes_back_and_what_the_provider_did_wrong_goes_to_the_next() {
    let (not_found, no_key, well) = (
        provider(StatusCode::NOT_FOUND).await,
        provider(StatusCode::UNAUTHORIZED).await,
        provider(StatusCode::OK).await,
    );
    let two = |first: SocketAddr| {
        format!(
            "[[provider]]\nname = \"one\"\nurl = \"http://{first}/api/v1\"\n\
             [[provider]]\nname = \"two\"\nurl = \"http://{well}/api/v1\"\n"
        )
    };
    let file = TempFile::new("not_found.toml", &two(not_found));
    let gateway = Gateway::start(&["--config", file.path()]).await;
    let response = gateway.send(&chat("hi", false)).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-fusebox-provider"]),
        (404, &"one".parse().unwrap())
    );

    let file = TempFile::new("no_key.toml", &two(no_key));
    let gateway = Gateway::start(&["--config", file.path()]).await;
    let answer = gateway.ask("hi").await;
    assert_eq!((answer.status, &*answer.by, &*answer.provider), (200, "backup", "two"));
}

#[tokio::test]
async fn without_a_token_there_are_no_control_routes_where_others_can_reach_the_gateway() {
    let token = "correct-horse-battery-staple";
    let rest = "[[provider]]\nname = \"one\"\nurl = \"http://127.0.0.1:9/v1\"\n";
    let file = TempFile::new("open.toml", rest);
    let gateway = Gateway::start(&["--config", file.path(), "--listen", "0.0.0.0:0"]).await;
    assert_eq!(gateway.post("/admin/circuit-breakers/one/reset").await.0, 404);

    let file = TempFile::new("token.toml", &format!("admin_token = \"{token}\"\n{rest}"));
    let gateway = Gateway::start(&["--config", file.path(), "--listen", "0.0.0.0:0"]).await;
    let path = "/admin/circuit-breakers/one/force-open";
    let stranger = [("origin", "https://example.org")];
    assert_eq!(gateway.post_with(path, &stranger).await.0, 401);
    let wrong = [stranger[0], ("authorization", "Bearer correct-horse-battery-stable")];
    assert_eq!(gateway.post_with(path, &wrong).await.0, 401);
    let bearer = format!("Bearer {token}");
    let right = [stranger[0], ("authorization", &bearer)];
    assert_eq!(gateway.post_with(path, &right).await.0, 200);
    assert_eq!(gateway.state("one").await, "forced_open");
}

#[tokio::test]
async fn a_file_that_is_wrong_is_one_line_with_file_line_field_value_and_what_is_allowed_and_exit_code_2() {
    let provider = "[[provider]]\nname = \"openai\"\nurl = \"http://127.0.0.1:9/v1\"\n";
    let circuit = format!("{provider}[provider.circuit]\n");
    let limit = format!("{provider}[provider.limit]\n");
    for (text, said) in [
        (
            format!("{circuit}window = 100\nmin_calls = 200\n"),
            "6: circuit \"openai\": min_calls = 200 is more than the window of 100 calls; set it to at most 100",
        ),
        (
            format!("{circuit}failure_rate = 1.0\n"),
            "5: circuit \"openai\": failure_rate = 1.0 is not allowed; set it to a number from 0.0 up to, and not \
             including, 1.0",
        ),
        (
            format!("{circuit}open_for = 30\n"),
            "5: circuit \"openai\": open_for = 30 is no span of time; write it as \"500ms\", \"30s\", \"5m\" or \"1h\"",
        ),
        (
            format!("{circuit}consecutive_failures = 3\nmin_calls = 5\n"),
            "6: circuit \"openai\": min_calls = 5 is used by no rule here; add failure_rate or slow_rate, or remove this \
             line",
        ),
        (
            format!("{circuit}slow_rate = 0.5\n"),
            "5: circuit \"openai\": slow_rate = 0.5 needs slow_after beside it: from when on is a call slow?",
        ),
        (
            format!("{limit}max_in_flight = 0\n"),
            "5: limit \"openai\": max_in_flight = 0 is not allowed; set it to a whole number from 1 to 1000000",
        ),
        (
            format!("{provider}timeuot = \"3s\"\n"),
            "4: provider \"openai\": timeuot is not known here; allowed are name, url, api_key_env, ca_file, timeout, models, \
             serves, weight, health, circuit, limit",
        ),
        (
            format!("{provider}api_key_env = \"NO_SUCH_VARIABLE\"\n"),
            "4: provider \"openai\": api_key_env = \"NO_SUCH_VARIABLE\" names an environment variable that is not set; \
             set it, or remove this line",
        ),
        (
            format!("{provider}ca_file = \"/no/such/ca.pem\"\n"),
            "4: provider \"openai\": ca_file = \"/no/such/ca.pem\" cannot be used: I/O error: No such file or directory \
             (os error 2); name a file of PEM certificates",
        ),
        (
            format!("{provider}{provider}"),
            "5: provider: name = \"openai\" is the name of another provider too; give each a name of its own",
        ),
        (
            "[[provider]]\nname = \"openai\"\nurl = \"ftp://example.org\"\n".to_owned(),
            "3: provider \"openai\": url = \"ftp://example.org\" is no base URL; write it as \
             \"https://api.openai.com/v1\", http or https, without a query",
        ),
        (
            String::new(),
            "1: there are 0 providers; write 1 to 16, each as [[provider]]",
        ),
        (
            format!("admin_token = \"hunter2\"\n{provider}"),
            "1: admin_token has 7 characters; use at least 16",
        ),
        (
            format!("listen = \"8080\"\n{provider}"),
            "1: listen = \"8080\" is no address to listen on; write it as \"127.0.0.1:8080\" or \"[::1]:8080\"",
        ),
        (
            format!("strategy = \"fastest\"\n{provider}"),
            "1: strategy = \"fastest\" is no strategy; write one of in_order, least_latency, round_robin, weighted, \
             availability, peak_ewma_p2c, least_in_flight",
        ),
        (
            format!("{provider}weight = 0\n"),
            "4: provider \"openai\": weight = 0 is not allowed; set it to a whole number from 1 to 1000",
        ),
        (
            format!("{provider}serves = []\n"),
            "4: provider \"openai\": serves = [] must be a list of names in quotes, such as [\"gpt-4\", \"*\"], with at \
             least one",
        ),
        (
            format!("{provider}[provider.health]\npath = \"healthz\"\n"),
            "5: health \"openai\": path = \"healthz\" is no path on the provider's host; write for instance \"/healthz\"",
        ),
        (
            format!("{provider}[provider.health]\nevery = \"0s\"\n"),
            "5: health \"openai\": every = \"0s\" is not allowed; set it to a time from \"1ms\" to \"1h\"",
        ),
        (
            format!("{provider}[[fallback.rule]]\ncontains = \"price\"\n"),
            "4: fallback rule 1: contains or answer is missing; write both, for instance contains = \"price\"",
        ),
    ] {
        let file = TempFile::new("wrong.toml", &text);
        let (code, out, error) = run(&["--config", file.path(), "--listen", "127.0.0.1:0"]).await;
        assert_eq!((code, &*out), (Some(2), ""), "{error}");
        assert_eq!(error, format!("{}:{said}\n", file.path()));
    }
}

#[tokio::test]
async fn a_file_that_is_missing_or_no_toml_and_arguments_that_are_wrong_end_with_2_as_well() {
    let (code, _, error) = run(&["--config", "/no/such/gateway.toml"]).await;
    assert_eq!(code, Some(2));
    assert!(error.starts_with("/no/such/gateway.toml: cannot be read: "), "{error}");
    let file = TempFile::new("no.toml", "[[provider]\n");
    let (code, _, error) = run(&["--config", file.path()]).await;
    assert_eq!((code, error.lines().count()), (Some(2), 1), "{error}");
    let (code, _, error) = run(&["--port", "80"]).await;
    assert_eq!(code, Some(2));
    assert!(
        error.starts_with("\"--port\" is no argument; allowed are --config, --listen and --help"),
        "{error}"
    );
}

#[tokio::test]
async fn the_file_that_shows_what_can_be_written_is_right() {
    let file = TempFile::new("shown.toml", include_str!("../../gateway/gateway.toml"));
    let gateway = Gateway::start(&["--config", file.path()]).await;
    assert_eq!(gateway.state("openai").await, "closed");
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, error) = run(&["--listen", &address]).await;
    assert_eq!(code, Some(1));
    assert!(
        error.contains(&format!("cannot listen on {address}: ")) && error.contains("--listen"),
        "{error}"
    );
}

#[tokio::test]
async fn ctrl_c_lets_calls_under_way_end_and_then_exits_0() {
    let gateway = Gateway::start(&[]).await;
    gateway.fault("primary", "slow").await;
    let body = chat("slowly, please", false);
    let call = gateway.send(&body);
    let interrupt = async {
        until("the call to be under way", || async {
            (gateway.in_flight().await == 1).then_some(())
        })
        .await;
        gateway.interrupt();
    };
    let (response, ()) = tokio::join!(call, interrupt);
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-fusebox-answered-by"]),
        (200, &"primary".parse().unwrap())
    );
    let (status, said) = gateway.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(said.contains("all calls have ended"), "{said}");
}

#[tokio::test]
async fn those_who_wait_for_a_slot_are_sent_on_when_the_circuit_opens() {
    let silent = serve(Router::new().fallback(std::future::pending::<StatusCode>)).await;
    let text = format!(
        "[[provider]]\nname = \"silent\"\nurl = \"http://{silent}/v1\"\ntimeout = \"1s\"\n\
         [provider.circuit]\nconsecutive_failures = 1\nopen_for = \"1h\"\n\
         [provider.limit]\nmax_in_flight = 1\nqueue = 20\nmax_wait = \"1h\"\n"
    );
    let file = TempFile::new("dismissed.toml", &text);
    let gateway = Gateway::start(&["--config", file.path()]).await;
    // One after the other they would take twenty seconds, and longer than this test has patience.
    let prompts: Vec<_> = (0..20).map(|number| format!("question {number}")).collect();
    let asking = futures_util::future::join_all(prompts.iter().map(|prompt| gateway.ask(prompt)));
    let answers = tokio::time::timeout(std::time::Duration::from_secs(10), asking)
        .await
        .unwrap();
    assert!(answers.iter().all(|answer| answer.by == "static"), "{answers:?}");
    // The first frees its slot a moment before its circuit hears of it: one more may have taken it.
    let tried = answers.iter().filter(|answer| answer.cause == "timeout").count();
    let sent_on = answers.iter().filter(|answer| answer.cause == "refusal").count();
    assert!(
        (1..=2).contains(&tried) && tried + sent_on == 20,
        "{tried} were tried, {sent_on} sent on"
    );
}

#[tokio::test]
async fn a_full_limit_is_no_failure_of_the_provider() {
    let silent = serve(Router::new().fallback(std::future::pending::<StatusCode>)).await;
    let text = format!(
        "[[provider]]\nname = \"silent\"\nurl = \"http://{silent}/v1\"\ntimeout = \"1h\"\n\
         [provider.circuit]\nconsecutive_failures = 1\n\
         [provider.limit]\nmax_in_flight = 1\nqueue = 1\nmax_wait = \"1ms\"\n"
    );
    let file = TempFile::new("full.toml", &text);
    let gateway = Gateway::start(&["--config", file.path()]).await;
    let url = gateway.url("/v1/chat/completions");
    let call = tokio::spawn(
        reqwest::Client::new()
            .post(url)
            .body(chat("hi", false).to_string())
            .send(),
    );
    until("the call to be under way", || async {
        (gateway.in_flight().await == 1).then_some(())
    })
    .await;
    for _ in 0..3 {
        let answer = gateway.ask("hi").await;
        assert_eq!((&*answer.by, &*answer.cause), ("static", "refusal"));
    }
    let circuit = gateway.circuit("silent").await;
    assert_eq!(
        (&circuit["state"], &circuit["failure_count"]),
        (&"closed".into(), &0.into()),
        "{circuit}"
    );
    call.abort();
    until("the slot to come back", || async {
        (gateway.in_flight().await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_cut_off_and_counts_as_a_failure() {
    let half = || async {
        let event = futures_util::stream::iter([Ok::<_, std::io::Error>("data: {}\n\n")]);
        let body = Body::from_stream(event.chain(futures_util::stream::pending()));
        ([("content-type", "text/event-stream")], body)
    };
    let silent = serve(Router::new().fallback(half)).await;
    let text = format!(
        "[[provider]]\nname = \"silent\"\nurl = \"http://{silent}/v1\"\ntimeout = \"300ms\"\n\
         [provider.circuit]\nconsecutive_failures = 1\n"
    );
    let file = TempFile::new("silent.toml", &text);
    let gateway = Gateway::start(&["--config", file.path()]).await;
    let response = gateway.send(&chat("hi", true)).await;
    assert_eq!(response.headers()["x-fusebox-answered-by"], "primary");
    response.text().await.expect_err("it is cut off");
    gateway.until_state("silent", "open").await;
    assert_eq!(gateway.in_flight().await, 0);
}

#[tokio::test]
async fn draining_has_a_bound() {
    let silent = serve(Router::new().fallback(std::future::pending::<StatusCode>)).await;
    let file = TempFile::new(
        "bound.toml",
        &format!(
            "drain = \"100ms\"\n[[provider]]\nname = \"silent\"\nurl = \"http://{silent}/v1\"\ntimeout = \"1h\"\n"
        ),
    );
    let gateway = Gateway::start(&["--config", file.path()]).await;
    let url = gateway.url("/v1/chat/completions");
    let call = tokio::spawn(
        reqwest::Client::new()
            .post(url)
            .body(chat("hi", false).to_string())
            .send(),
    );
    until("the call to be under way", || async {
        (gateway.in_flight().await == 1).then_some(())
    })
    .await;
    gateway.interrupt();
    let (status, said) = gateway.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(said.contains("100ms are over"), "{said}");
    call.await.unwrap().expect_err("this call was cut off");
}
