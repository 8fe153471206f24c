//! The pool of providers in the gateway: taken down, by force or by a switch, they are left alone and come back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::harness::{Answer, Gateway, TempFile, chat, until};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};

/// How long the provider that is killed stays dead.
const DEAD: Duration = Duration::from_secs(5);

/// A provider that can be killed like a process: its port closes, its connections break.
struct Upstream {
    address: SocketAddr,
    runtime: Option<Runtime>,
    served: Arc<AtomicU64>,
    healthy: Arc<AtomicBool>,
}

impl Upstream {
    fn start() -> Self {
        let mut this = Self {
            address: ([127, 0, 0, 1], 0).into(),
            runtime: None,
            served: Arc::default(),
            healthy: Arc::new(true.into()),
        };
        this.revive();
        this
    }

    fn revive(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (served, healthy) = (Arc::clone(&self.served), Arc::clone(&self.healthy));
        let app = Router::new()
            .route(
                "/v1/chat/completions",
                post(move || async move {
                    served.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(2)).await;
                    json!({ "choices": [{ "message": { "content": "here" } }] }).to_string()
                }),
            )
            .route(
                "/healthz",
                get(move || async move {
                    if healthy.load(Ordering::Relaxed) {
                        StatusCode::OK
                    } else {
                        StatusCode::SERVICE_UNAVAILABLE
                    }
                }),
            );
        let address = self.address;
        let listener = std::thread::scope(|scope| {
            let bound = scope.spawn(|| runtime.block_on(TcpListener::bind(address)));
            bound.join().unwrap().unwrap()
        });
        self.address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        self.runtime = Some(runtime);
    }

    fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configured(strategy: &str, upstreams: &[Upstream]) -> String {
    let mut text = format!("strategy = \"{strategy}\"\nslow_start = \"2s\"\n");
    for (name, upstream) in ["a", "b", "c"].into_iter().zip(upstreams) {
        let address = upstream.address;
        text.extend([format!(
            "[[provider]]\nname = \"{name}\"\nurl = \"http://{address}/v1\"\nserves = [\"demo\", \"{name}-only\"]\n"
        )]);
        text += "[provider.health]\nevery = \"250ms\"\ntimeout = \"200ms\"\nunhealthy_after = 2\nhealthy_after = 1\n";
        text += "[provider.circuit]\nconsecutive_failures = 3\nopen_for = \"1s\"\ntrials = 3\n";
    }
    text
}

async fn providers(gateway: &Gateway) -> Value {
    serde_json::from_str(&gateway.get("/health/providers").await).expect("JSON")
}

async fn provider(gateway: &Gateway, name: &str) -> Value {
    providers(gateway).await["providers"][name].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_of_three_providers_killed_for_5_s_under_8_clients_every_request_is_served_and_it_comes_back() {
    let mut upstreams: Vec<Upstream> = (0..3).map(|_| Upstream::start()).collect();
    let file = TempFile::new("killed.toml", &configured("round_robin", &upstreams));
    let gateway = Arc::new(Gateway::start(&["--config", file.path()]).await);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let (gateway, stop) = (Arc::clone(&gateway), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut asked = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    // No prompt twice: the cache must not help.
                    let answer = gateway.ask(&format!("client {client}, question {asked}")).await;
                    assert!(
                        matches!(&*answer.by, "primary" | "backup"),
                        "not by a provider: {answer:?}"
                    );
                    assert_eq!((answer.status, &*answer.text), (200, "here"));
                    asked += 1;
                    sleep(Duration::from_millis(2)).await;
                }
                asked
            })
        })
        .collect();

    until("everybody to be asked", || async {
        upstreams.iter().all(|upstream| upstream.served() >= 50).then_some(())
    })
    .await;
    let spread: Vec<u64> = upstreams.iter().map(Upstream::served).collect();
    let (least, most) = (spread.iter().min().unwrap(), spread.iter().max().unwrap());
    assert!(
        most - least <= 8,
        "round robin is even but for calls under way: {spread:?}"
    );

    upstreams[1].kill();
    let killed = Instant::now();
    until("the killed one to be left out", || async {
        (!provider(&gateway, "b").await["available"].as_bool().unwrap()).then_some(())
    })
    .await;
    sleep(DEAD.saturating_sub(killed.elapsed())).await;
    let dead = provider(&gateway, "b").await;
    // One streak of three, and what was under way at that moment; its trials are the probe's.
    let failed = dead["failed"].as_u64().unwrap();
    assert!((1..=3 + 8).contains(&failed), "{dead}");
    assert_eq!(dead["health"]["state"], "down");
    assert_eq!(gateway.state("b").await, "open");

    let before = upstreams[1].served();
    upstreams[1].revive();
    let mut shares = Vec::new();
    until("its circuit to close", || async {
        (gateway.state("b").await == "closed").then_some(())
    })
    .await;
    let circuit = gateway.circuit("b").await;
    assert_eq!(circuit["reason"], "trials_succeeded", "{circuit}");
    while shares.last().is_none_or(|share| *share < 1.0) {
        shares.push(provider(&gateway, "b").await["share"].as_f64().unwrap());
        sleep(Duration::from_millis(50)).await;
        assert!(shares.len() < 400, "it never got its whole share: {shares:?}");
    }
    assert!(shares[0] < 0.9, "it starts slowly: {shares:?}");
    assert!(shares.is_sorted(), "{shares:?}");
    assert!(upstreams[1].served() > before + 3, "it serves again");

    stop.store(true, Ordering::Relaxed);
    let mut asked = 0;
    for client in clients {
        asked += client.await.expect("no request failed");
    }
    let served: u64 = upstreams.iter().map(Upstream::served).sum();
    let seen = providers(&gateway).await;
    println!("{asked} requests, {served} served by providers, {failed} attempts failed at the killed one");
    assert!(asked > 500 && served >= asked, "{asked} asked, {served} served: {seen}");
    assert_eq!(gateway.in_flight().await, 0);
}

#[tokio::test]
async fn a_provider_whose_switch_says_down_is_left_within_two_probes_without_one_failed_call() {
    let upstreams: Vec<Upstream> = (0..3).map(|_| Upstream::start()).collect();
    let file = TempFile::new("switched.toml", &configured("in_order", &upstreams));
    let gateway = Gateway::start(&["--config", file.path()]).await;
    assert_eq!(gateway.ask("one").await.provider, "a");
    until("a first probe", || async {
        (provider(&gateway, "a").await["health"]["state"] == "up").then_some(())
    })
    .await;

    upstreams[0].healthy.store(false, Ordering::Relaxed);
    let checks = provider(&gateway, "a").await["health"]["checks"].as_u64().unwrap();
    let mut n = 0;
    until("traffic to leave", || {
        n += 1;
        let prompt = format!("question {n}");
        let gateway = &gateway;
        async move {
            let answer = gateway.ask(&prompt).await;
            assert_eq!(answer.text, "here");
            (answer.provider == "b").then_some(())
        }
    })
    .await;
    let seen = provider(&gateway, "a").await;
    assert_eq!(
        (&seen["failed"], &seen["available"]),
        (&json!(0), &json!(false)),
        "{seen}"
    );
    let after = seen["health"]["checks"].as_u64().unwrap() - checks;
    assert!(after <= 3, "two probes, and one that may have been under way: {after}");
    assert_eq!(gateway.circuit("a").await["reason"], "probe_down");

    upstreams[0].healthy.store(true, Ordering::Relaxed);
    until("traffic to come back", || {
        n += 1;
        let prompt = format!("question {n}");
        let gateway = &gateway;
        async move {
            let answer = gateway.ask(&prompt).await;
            assert_eq!(answer.text, "here");
            (answer.provider == "a" && gateway.state("a").await == "closed").then_some(())
        }
    })
    .await;
    assert_eq!(gateway.circuit("a").await["reason"], "trials_succeeded");
}

#[tokio::test]
async fn models_are_listed_sorted_with_their_owner_and_asked_for_where_they_are_served() {
    let upstreams: Vec<Upstream> = (0..3).map(|_| Upstream::start()).collect();
    let file = TempFile::new("models.toml", &configured("least_latency", &upstreams));
    let gateway = Gateway::start(&["--config", file.path()]).await;
    let list: Value = serde_json::from_str(&gateway.get("/v1/models").await).unwrap();
    assert_eq!(
        list,
        json!({ "object": "list", "data": [
            { "id": "a-only", "object": "model", "owned_by": "a" },
            { "id": "b-only", "object": "model", "owned_by": "b" },
            { "id": "c-only", "object": "model", "owned_by": "c" },
            { "id": "demo", "object": "model", "owned_by": "a" },
        ]})
    );
    for (model, by) in [("c-only", "c"), ("b-only", "b")] {
        let mut request = chat("hello", false);
        request["model"] = model.into();
        assert_eq!(Answer::of(gateway.send(&request).await).await.provider, by);
    }
    let mut request = chat("hello", false);
    request["model"] = "nobody's".into();
    let nobody = Answer::of(gateway.send(&request).await).await;
    assert_eq!((&*nobody.by, &*nobody.cause), ("static", "refusal"));
    let seen = providers(&gateway).await;
    assert_eq!(
        (&seen["strategy"], &seen["panic"]),
        (&json!("least_latency"), &json!(false))
    );
    assert_eq!(seen["providers"]["b"]["serves"], json!(["demo", "b-only"]));
}

#[tokio::test]
async fn weights_say_how_many_requests_each_gets() {
    let upstreams: Vec<Upstream> = (0..2).map(|_| Upstream::start()).collect();
    let text = configured("weighted", &upstreams).replacen("url =", "weight = 3\nurl =", 1);
    let file = TempFile::new("weighted.toml", &text);
    let gateway = Gateway::start(&["--config", file.path()]).await;
    for n in 0..40 {
        gateway.ask(&format!("question {n}")).await;
    }
    assert_eq!((upstreams[0].served(), upstreams[1].served()), (30, 10));
}

#[tokio::test]
async fn a_stream_that_has_not_begun_fails_over() {
    let gateway = Gateway::start(&[]).await;
    gateway.fault("primary", "errors").await;
    let stream = gateway.send(&chat("hello", true)).await;
    assert_eq!(stream.headers()["x-fusebox-provider"], "backup");
    assert_eq!(stream.headers()["x-fusebox-cause"], "error");
    assert!(stream.text().await.unwrap().contains("[DONE]"));
    until("the stream to be over for the pool too", || async {
        (provider(&gateway, "backup").await["in_flight"] == 0).then_some(())
    })
    .await;
    assert_eq!(provider(&gateway, "backup").await["served"], 1);
}
