//! A real server that dies, stops, restarts empty, is full, answers wrong types, loses its scripts, changes its role.

#[path = "support/server.rs"]
mod server;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cooldown_layer::store::{Store, StoreError, StoreErrorKind};
use cooldown_layer::{Action, AnomalyLedger, Budget, Cooldown, Reason, RedisStore, Refused, Signature, StoreFailure};
use server::{Server, pause};
use support::{HOUR, word};

fn restart(target: &str) -> Action {
    Action::new("restart", target)
}

fn open(server: &Server) -> RedisStore {
    RedisStore::open(server.url()).expect("a URL")
}

fn strict(store: impl Store, budget: Budget) -> Cooldown {
    Cooldown::builder("repairs")
        .budget(budget)
        .store(store)
        .on_store_failure(StoreFailure::Refuse)
        .build()
        .expect("valid")
}

fn local(store: impl Store, budget: Budget) -> Cooldown {
    Cooldown::builder("repairs")
        .budget(budget)
        .store(store)
        .build()
        .expect("valid")
}

fn unavailable(refused: &Refused) -> &StoreError {
    match refused.reason() {
        Reason::StoreUnavailable { error } => error,
        other => panic!("not unavailable but {other:?}"),
    }
}

#[allow(clippy::disallowed_methods)] // a server of the system keeps the system's time
fn watch() -> Instant {
    Instant::now()
}

/// Asks until the store decides again; says how long that took.
async fn comes_back(repairs: &Cooldown) -> Duration {
    let start = watch();
    while repairs.status().await.fault.is_some() {
        assert!(start.elapsed() < Duration::from_secs(20), "the store never came back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

#[tokio::test]
async fn a_killed_server_costs_milliseconds_and_the_local_budget_holds() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let repairs = local(open(&server), Budget::of(5).per(HOUR));
    for _ in 0..2 {
        repairs.request(restart("a")).await.expect("within").succeeded().await;
    }
    server.kill();
    let start = watch();
    let lease = repairs.request(restart("a")).await.expect("the local budget has three");
    let took = start.elapsed();
    println!("one request right after a kill -9 of the server: {took:?}");
    assert!(took < Duration::from_millis(300), "{took:?}");
    drop(lease);
    for _ in 0..2 {
        drop(repairs.request(restart("a")).await.expect("local"));
    }
    assert_eq!(
        word(&repairs.request(restart("a")).await),
        "over_budget",
        "what the store gave counts too"
    );
    server.restart();
    println!("back after a restart: {:?}", comes_back(&repairs).await);
    let status = repairs.status().await;
    assert_eq!(
        (status.budgets[0].used, status.open_leases),
        (5, 0),
        "what was given in the outage has been told"
    );
    let other = strict(open(&server), Budget::of(5).per(HOUR));
    assert_eq!(
        word(&other.request(restart("a")).await),
        "over_budget",
        "and holds for everybody"
    );
}

#[tokio::test]
async fn a_server_that_stops_for_two_seconds_holds_nobody_up_and_comes_back() {
    let server = Server::start(&[]);
    let repairs = local(open(&server), Budget::of(4).per(HOUR));
    repairs.request(restart("a")).await.expect("first").succeeded().await;
    server.signal("-STOP");
    let mut given = 1;
    let start = watch();
    while start.elapsed() < Duration::from_secs(2) {
        let one = watch();
        if repairs.request(restart("a")).await.is_ok() {
            given += 1;
        }
        assert!(one.elapsed() < Duration::from_millis(600), "{:?}", one.elapsed());
    }
    assert_eq!(given, 4, "never more than the budget, and what is left of it is usable");
    server.signal("-CONT");
    println!("back after SIGSTOP of 2 s: {:?}", comes_back(&repairs).await);
    // Calls that timed out may have been done: they count as spent, once each.
    let used = repairs.status().await.budgets[0].used;
    assert!(used >= 4, "{used}");
    assert_eq!(word(&repairs.request(restart("a")).await), "over_budget");
}

#[tokio::test]
async fn a_server_that_restarts_empty_gives_no_instance_more_than_the_budget() {
    let mut server = Server::start(&[]);
    let repairs = local(open(&server), Budget::of(3).per(HOUR));
    for _ in 0..3 {
        repairs.request(restart("a")).await.expect("within").succeeded().await;
    }
    server.restart();
    comes_back(&repairs).await;
    assert_eq!(repairs.status().await.budgets[0].used, 0, "the server has forgotten");
    assert_eq!(
        word(&repairs.request(restart("a")).await),
        "over_budget",
        "the instance has not"
    );
    // Another one knows nothing: with n instances, n times the budget.
    let other = local(open(&server), Budget::of(3).per(HOUR));
    other.request(restart("a")).await.expect("its own").succeeded().await;
}

#[tokio::test]
async fn lost_scripts_are_sent_again() {
    let server = Server::start(&[]);
    let repairs = strict(open(&server), Budget::of(9));
    for _ in 0..3 {
        repairs.request(restart("a")).await.expect("decided").succeeded().await;
        server.cli(&["SCRIPT", "FLUSH"]);
    }
    assert_eq!(repairs.status().await.budgets[0].used, 3);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_told_and_nothing_is_written() {
    let server = Server::start(&[]);
    let anomaly = Signature::new("Down").key();
    let wrong = [
        "{fusebox}:log:repairs:target=a".to_owned(),
        "{fusebox}:open:repairs".to_owned(),
        "{fusebox}:frozen:repairs".to_owned(),
        format!("{{fusebox}}:record:repairs:{anomaly}"),
    ];
    for key in wrong {
        server.cli(&["FLUSHALL"]);
        server.cli(&["SET", &key, "something else"]);
        let repairs = Cooldown::builder("repairs")
            .budget(Budget::of(5))
            .budget(Budget::of(5).each_target())
            .store(open(&server))
            .on_store_failure(StoreFailure::Refuse)
            .build()
            .expect("valid");
        let refused = repairs
            .request(restart("a").because_of(anomaly))
            .await
            .expect_err("cannot be decided");
        assert_eq!(
            unavailable(&refused).kind(),
            StoreErrorKind::WrongType,
            "{key}: {refused:?}"
        );
        assert!(refused.to_string().contains("WRONGTYPE"), "{refused}");
        assert_eq!(
            server.cli(&["DBSIZE"]).expect("answers").trim(),
            "1",
            "{key}: nothing is written"
        );
    }
    server.cli(&["FLUSHALL"]);
    server.cli(&["SET", &format!("{{fusebox}}:notes:a:{anomaly}"), "x"]);
    let ledger = AnomalyLedger::builder("a").store(open(&server)).build().expect("valid");
    let seen = ledger.record(anomaly).await;
    assert_eq!(seen.fault.expect("told").kind(), StoreErrorKind::WrongType);
    assert_eq!((seen.last_1h, seen.last_30d), (0, 0));
    assert_eq!(server.cli(&["DBSIZE"]).expect("answers").trim(), "1");
}

#[tokio::test]
async fn one_spoilt_record_does_not_stop_every_decision() {
    let server = Server::start(&[]);
    let anomaly = Signature::new("Down").key();
    let repairs = strict(open(&server), Budget::of(5));
    let lease = repairs.request(restart("a").because_of(anomaly)).await.expect("first");
    server.cli(&["SET", &format!("{{fusebox}}:record:repairs:{anomaly}"), "spoilt"]);
    lease.succeeded().await;
    let refused = repairs
        .request(restart("a").because_of(anomaly))
        .await
        .expect_err("its record cannot be read");
    assert_eq!(unavailable(&refused).kind(), StoreErrorKind::WrongType);
    repairs
        .request(restart("a"))
        .await
        .expect("of another anomaly or none")
        .succeeded()
        .await;
}

#[tokio::test]
async fn a_full_server_is_told_apart_and_nothing_is_written() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let repairs = strict(open(&server), Budget::of(5));
    repairs.request(restart("a")).await.expect("room").succeeded().await;
    server.cli(&["CONFIG", "SET", "maxmemory", "100kb"]);
    let before = server.cli(&["DBSIZE"]);
    let refused = repairs.request(restart("a")).await.expect_err("full");
    assert_eq!(unavailable(&refused).kind(), StoreErrorKind::OutOfMemory, "{refused:?}");
    assert_eq!(server.cli(&["DBSIZE"]), before);
    assert_eq!(repairs.status().await.budgets[0].used, 1, "reading goes on");
    let careful = local(open(&server), Budget::of(5));
    drop(
        careful
            .request(restart("a"))
            .await
            .expect("the local budget takes over"),
    );
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    comes_back(&careful).await;
    assert_eq!(careful.status().await.budgets[0].used, 2, "and is told");
}

#[tokio::test]
async fn wrong_password_readonly_and_nobody_there_are_told_apart() {
    let server = Server::start(&["--requirepass", "secret"]);
    for url in [server.url(), format!("redis://:wrong@127.0.0.1:{}", server.port)] {
        let error = RedisStore::open(&url)
            .expect("a URL")
            .ping()
            .await
            .expect_err("not let in");
        assert_eq!(error.kind(), StoreErrorKind::Denied, "{error:?}");
        let refused = strict(RedisStore::open(url).expect("a URL"), Budget::of(1))
            .request(restart("a"))
            .await;
        let refused = refused.expect_err("not let in");
        assert_eq!(unavailable(&refused).kind(), StoreErrorKind::Denied, "{refused:?}");
        assert!(
            !format!("{refused} {refused:?}").contains("wrong@"),
            "no secret in an error"
        );
    }
    let secret = format!("redis://:secret@127.0.0.1:{}", server.port);
    let store = RedisStore::open(&secret).expect("a URL");
    assert!(!format!("{store:?} {:?}", RedisStore::builder(&secret)).contains("secret"));
    store.ping().await.expect("let in");
    let cli = |args: &[&str]| server.cli(&[&["-a", "secret", "--no-auth-warning"], args].concat());
    cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let refused = strict(store.clone(), Budget::of(1))
        .request(restart("a"))
        .await
        .expect_err("a replica");
    assert_eq!(unavailable(&refused).kind(), StoreErrorKind::ReadOnly, "{refused:?}");
    cli(&["REPLICAOF", "NO", "ONE"]);
    strict(store.clone(), Budget::of(1))
        .request(restart("a"))
        .await
        .expect("a primary again")
        .succeeded()
        .await;
    // The password changes under a living store, and back: what was refused is not remembered.
    cli(&["CONFIG", "SET", "requirepass", "other"]);
    server.cli(&["-a", "other", "--no-auth-warning", "CLIENT", "KILL", "TYPE", "normal"]);
    let mut denied = false;
    for _ in 0..50 {
        denied |= store
            .ping()
            .await
            .is_err_and(|error| error.kind() == StoreErrorKind::Denied);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(denied);
    server.cli(&[
        "-a",
        "other",
        "--no-auth-warning",
        "CONFIG",
        "SET",
        "requirepass",
        "secret",
    ]);
    store.ping().await.expect("let in again");
    drop(server);
    let error = store.ping().await.expect_err("nobody there");
    assert!(
        matches!(error.kind(), StoreErrorKind::Unreachable | StoreErrorKind::TimedOut),
        "{error:?}"
    );
    let gone = RedisStore::open("redis://127.0.0.1:1")
        .expect("a URL")
        .ping()
        .await
        .expect_err("nobody there");
    assert_eq!(gone.kind(), StoreErrorKind::Unreachable, "{gone:?}");
}

#[tokio::test]
async fn a_black_hole_is_left_by_the_outer_deadline() {
    // Accepts and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let store = RedisStore::open(format!("redis://{}", listener.local_addr().expect("bound"))).expect("a URL");
    for _ in 0..3 {
        let start = watch();
        let error = store.ping().await.expect_err("no answer");
        assert_eq!(error.kind(), StoreErrorKind::TimedOut, "{error:?}");
        assert!(start.elapsed() < Duration::from_millis(350), "{:?}", start.elapsed());
    }
    let repairs = local(store, Budget::of(1));
    repairs.request(restart("a")).await.expect("local").succeeded().await;
    assert_eq!(word(&repairs.request(restart("a")).await), "over_budget");
}

#[tokio::test]
async fn a_decision_is_one_round_trip_and_so_is_a_record() {
    let server = Server::start(&[]);
    let store = open(&server);
    let anomaly = Signature::new("Down");
    let ledger = AnomalyLedger::builder("a").store(store).build().expect("valid");
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(50))
        .budget(Budget::of(9).each_target())
        .budget(Budget::of(20).each_label("ns"))
        .ledger(&ledger)
        .build()
        .expect("valid");
    let ask = || restart("a").label("ns", "x").because_of(&anomaly);
    repairs.request(ask()).await.expect("warm").succeeded().await;
    ledger.record(&anomaly).await;
    let scripts = || server.calls("evalsha") + server.calls("eval");
    let clients = || server.calls("client|setinfo");
    let (before, connects) = (scripts(), clients());
    let mut leases = Vec::new();
    for n in 0..20 {
        let got = repairs.request(ask()).await;
        assert_eq!(got.is_ok(), n < 8);
        leases.extend(got);
    }
    // Eight asked the store; the others were over the budget by this instance's own account.
    assert_eq!(scripts() - before, 8);
    let before = scripts();
    for lease in leases {
        lease.succeeded().await;
    }
    assert_eq!(scripts() - before, 8);
    let before = scripts();
    for _ in 0..5 {
        ledger.record(&anomaly).await;
    }
    assert_eq!(scripts() - before, 5);
    let before = scripts();
    let other = strict(open(&server), Budget::of(9).each_target());
    assert_eq!(word(&other.request(restart("a")).await), "over_budget");
    assert_eq!(scripts() - before, 1, "a refusal by the store is one too");
    assert_eq!(server.calls("keys") + server.calls("scan"), 0);
    assert!(clients() - connects <= 2, "no connection a call");
}

#[tokio::test]
async fn every_key_has_an_end_or_is_one_of_few() {
    let server = Server::start(&[]);
    let ledger = AnomalyLedger::builder("a").store(open(&server)).build().expect("valid");
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(1000).each_target())
        .ledger(&ledger)
        .build()
        .expect("valid");
    for n in 0..20 {
        let anomaly = Signature::new(n.to_string());
        ledger.record(&anomaly).await;
        ledger.mark_permanent_fix(&anomaly, "x").await;
        drop(
            repairs
                .request(restart(&format!("pod-{n}")).because_of(&anomaly))
                .await
                .expect("granted"),
        );
    }
    let keys = server.cli(&["KEYS", "*"]).expect("answers");
    assert!(keys.lines().count() > 60, "{keys}");
    for key in keys.lines() {
        assert!(key.starts_with("{fusebox}:"), "{key}");
        let ttl: i64 = server
            .cli(&["PTTL", key])
            .expect("answers")
            .trim()
            .parse()
            .expect("a number");
        // Not before the last thing in it has stopped to count, and not long after.
        let (minute, day) = (60_000, 86_400_000);
        let least = match key.split(':').nth(1) {
            Some("log") => 15 * minute,
            Some("open") => 10 * minute,
            Some("seen" | "record") => 35 * day,
            Some("notes") => 90 * day,
            _ => panic!("an unknown key: {key}"),
        };
        assert!((least..least + 5 * minute).contains(&ttl), "{key} lives {ttl} ms");
    }
}

#[tokio::test]
async fn it_runs_on_a_cluster_and_follows_a_moved_slot() {
    let (one, two) = (
        Server::start(&["--cluster-enabled", "yes"]),
        Server::start(&["--cluster-enabled", "yes"]),
    );
    one.cli(&["CLUSTER", "MEET", "127.0.0.1", &two.port.to_string()]);
    two.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    for _ in 0..500 {
        let is_up = |node: &Server| {
            node.cli(&["CLUSTER", "INFO"])
                .is_some_and(|info| info.contains("cluster_state:ok"))
        };
        if is_up(&one) && is_up(&two) {
            break;
        }
        pause(Duration::from_millis(20));
    }
    // The node that was named has no slot at all.
    let anomaly = Signature::new("Down");
    let patient = RedisStore::builder(one.url())
        .deadline(5 * support::SECOND)
        .build()
        .expect("valid");
    let ledger = AnomalyLedger::builder("a")
        .store(patient)
        .store_timeout(5 * support::SECOND)
        .build()
        .expect("valid");
    let seen = ledger.record(&anomaly).await;
    assert_eq!(seen.last_1h, 1, "{:?}", seen.fault);
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(2))
        .budget(Budget::of(2).each_target())
        .ledger(&ledger)
        .store_timeout(5 * support::SECOND)
        .on_store_failure(StoreFailure::Refuse)
        .build()
        .expect("valid");
    for target in ["{x}", "y"] {
        let lease = repairs.request(restart(target).because_of(&anomaly)).await;
        lease
            .unwrap_or_else(|refused| panic!("{refused} {refused:?}"))
            .succeeded()
            .await;
    }
    assert_eq!(word(&repairs.request(restart("z")).await), "over_budget");
    assert_eq!(ledger.success_rate(&anomaly, "restart").await.succeeded, 2);
    assert!(two.calls("evalsha") > 0 && two.cli(&["DBSIZE"]).expect("answers").trim() != "0");
}

#[tokio::test]
async fn a_url_that_names_no_server_is_an_error() {
    for url in [
        "",
        "localhost",
        "http://x",
        "redis://",
        "redis://host:port",
        "redis://h:1/x",
        "memory:",
        "redis:/x",
    ] {
        let error = RedisStore::open(url).map(|_| ()).err();
        let kind = error.as_ref().map(StoreError::kind);
        assert!(kind == Some(StoreErrorKind::Config), "{url}: {error:?}");
    }
    for builder in [
        RedisStore::builder("redis://h").prefix(""),
        RedisStore::builder("redis://h").prefix("{a}"),
        RedisStore::builder("redis://h").deadline(Duration::ZERO),
        RedisStore::builder("redis://h").deadline(Duration::MAX),
    ] {
        assert_eq!(builder.build().expect_err("not allowed").kind(), StoreErrorKind::Config);
    }
    let _: Arc<dyn Store> = Arc::new(RedisStore::open("redis://127.0.0.1:1").expect("a URL"));
}

/// The child of the next test: the system's root certificates are those of its environment.
#[cfg(feature = "redis-tls")]
#[tokio::test]
async fn child_talks_over_tls() {
    let Some(url) = std::env::var_os("COOLDOWN_TLS_URL") else {
        return;
    };
    let builder = RedisStore::builder(url.into_string().expect("a URL")).deadline(5 * support::SECOND);
    let repairs = strict(builder.build().expect("valid"), Budget::of(1));
    match repairs.request(restart("a")).await {
        Ok(lease) => {
            lease.succeeded().await;
            println!("granted over TLS, then {}", word(&repairs.request(restart("a")).await));
        }
        Err(refused) => println!("refused: {:?}", unavailable(&refused).kind()),
    }
}

#[cfg(feature = "redis-tls")]
#[test]
fn over_tls_a_certificate_is_checked() {
    let folder = support::Folder::new();
    let path = |name: &str| folder.0.join(name).to_str().expect("plain").to_owned();
    let openssl = |args: &[&str]| {
        let done = std::process::Command::new("openssl").args(args).output();
        let done = done.expect("openssl cannot be started: install the package openssl");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let (ca, ca_key, request, key, cert) = (
        path("ca.pem"),
        path("ca.key"),
        path("r.pem"),
        path("s.key"),
        path("s.pem"),
    );
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let ca_args = [
        "req",
        "-x509",
        "-days",
        "30",
        "-subj",
        "/CN=test ca",
        "-out",
        &ca,
        "-keyout",
        &ca_key,
    ];
    openssl(&[&ca_args[..], &curve[..]].concat());
    openssl(
        &[
            &["req", "-subj", "/CN=localhost", "-out", &request, "-keyout", &key][..],
            &curve[..],
        ]
        .concat(),
    );
    let names = path("names");
    std::fs::write(&names, "subjectAltName=DNS:localhost,IP:127.0.0.1\n").expect("writable");
    let sign = [
        "x509",
        "-req",
        "-days",
        "30",
        "-CAcreateserial",
        "-in",
        &request,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
    ];
    openssl(&[&sign[..], &["-extfile", &names, "-out", &cert]].concat());

    let port = server::Port::free();
    let tls = ["--tls-port", &port.number.to_string(), "--tls-auth-clients", "no"].map(str::to_owned);
    let files = [
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
    ]
    .map(str::to_owned);
    let args: Vec<String> = tls.into_iter().chain(files).collect();
    let _server = Server::start(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let child = |roots: &str| {
        let child = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child_talks_over_tls", "--nocapture"])
            .env("COOLDOWN_TLS_URL", format!("rediss://127.0.0.1:{}", port.number))
            .env("SSL_CERT_FILE", roots)
            .output();
        String::from_utf8_lossy(&child.expect("a child").stdout).into_owned()
    };
    let said = child(&ca);
    assert!(said.contains("granted over TLS, then over_budget"), "{said}");
    // Signed by somebody who is not trusted: no word is spoken.
    let said = child(&cert.replace("s.pem", "other.pem"));
    assert!(said.contains("refused: ") && !said.contains("granted"), "{said}");
}
