//! The gateway as a process, driven over real sockets as its start-up text says.

use crate::harness::{Answer, Gateway, chat, until};
use serde_json::Value;

const PROVIDERS: [&str; 3] = ["primary", "backup", "spare"];

#[tokio::test]
async fn the_story_of_the_start_up_text_holds_step_by_step() {
    let gateway = Gateway::start(&[]).await;

    let well = gateway.ask("Why do fuses blow?").await;
    assert_eq!(
        (well.status, &*well.by, &*well.provider, &*well.cause),
        (200, "primary", "primary", "")
    );
    assert_eq!(well.text, "This is primary. You asked: Why do fuses blow?");

    gateway.fault("primary", "errors").await;
    for _ in 0..3 {
        let answer = gateway.ask("Why do fuses blow?").await;
        assert_eq!(
            (&*answer.by, &*answer.provider, &*answer.cause),
            ("backup", "backup", "error")
        );
    }
    let circuit = gateway.circuit("primary").await;
    assert_eq!(
        (&circuit["state"], &circuit["reason"]),
        (&"open".into(), &"consecutive_failures".into()),
        "{circuit}"
    );
    let refused = gateway.ask("Why do fuses blow?").await;
    assert_eq!((&*refused.by, &*refused.cause), ("backup", "refusal"));

    gateway.fault("backup", "refuse").await;
    let third = gateway.ask("Why do fuses blow?").await;
    assert_eq!((&*third.by, &*third.provider), ("backup", "spare"));

    gateway.fault("spare", "errors").await;
    let kept = gateway.ask("Why do fuses blow?").await;
    assert_eq!((&*kept.by, &*kept.text), ("cache", &*third.text), "the last good one");
    let rule = gateway.ask("What is a FUSE?").await;
    assert_eq!((rule.status, &*rule.by, &*rule.provider), (200, "rule", ""));
    assert!(rule.text.starts_with("A fuse breaks a circuit"), "{rule:?}");
    let friendly = gateway.ask("What is love?").await;
    assert_eq!((friendly.status, &*friendly.by), (200, "static"));
    assert!(friendly.text.contains("try again"), "{friendly:?}");

    for provider in PROVIDERS {
        gateway.fault(provider, "none").await;
    }
    // Two trials close it, once its 5 seconds are over; asking is what makes them.
    until("the primary to close", || async {
        let answer = gateway.ask("Why do fuses blow?").await;
        assert_eq!(answer.status, 200);
        (gateway.state("primary").await == "closed").then_some(())
    })
    .await;
    assert_eq!(gateway.circuit("primary").await["reason"], "trials_succeeded");
    until_primary(&gateway).await;
}

#[tokio::test]
async fn a_stream_ends_with_done_whoever_answers_it() {
    let gateway = Gateway::start(&[]).await;
    let live = gateway.send(&chat("hello", true)).await;
    assert_eq!(live.headers()["content-type"], "text/event-stream");
    assert_eq!(live.headers()["x-fusebox-answered-by"], "primary");
    let live = live.text().await.unwrap();
    assert_eq!(spelt(&live), "This is primary. You asked: hello");

    for provider in PROVIDERS {
        gateway.fault(provider, "errors").await;
    }
    let kept = gateway.send(&chat("hello", true)).await;
    assert_eq!(kept.headers()["x-fusebox-answered-by"], "cache");
    assert_eq!(kept.text().await.unwrap(), live);
    let friendly = gateway.send(&chat("what is love?", true)).await;
    assert_eq!(friendly.headers()["x-fusebox-answered-by"], "static");
    assert!(spelt(&friendly.text().await.unwrap()).contains("try again"));
}

#[tokio::test]
async fn a_stream_that_breaks_off_counts_as_a_failure_and_is_not_kept() {
    let gateway = Gateway::start(&[]).await;
    gateway.fault("primary", "broken_stream").await;
    for _ in 0..3 {
        let response = gateway.send(&chat("hi there", true)).await;
        assert_eq!(
            response.headers()["x-fusebox-answered-by"],
            "primary",
            "the head was fine"
        );
        response.text().await.expect_err("the client sees that it broke off");
    }
    gateway.until_state("primary", "open").await;
    for provider in PROVIDERS {
        gateway.fault(provider, "errors").await;
    }
    let last = gateway.send(&chat("hi there", true)).await;
    assert_eq!(
        last.headers()["x-fusebox-answered-by"],
        "static",
        "half an answer is no last good one"
    );
    assert_eq!(gateway.in_flight().await, 0);
}

#[tokio::test]
async fn an_answer_in_one_piece_that_breaks_off_is_replaced() {
    let gateway = Gateway::start(&[]).await;
    gateway.fault("primary", "broken_stream").await;
    let answer = gateway.ask("hi").await;
    assert_eq!(
        (answer.status, &*answer.by, &*answer.provider),
        (200, "backup", "backup")
    );
}

#[tokio::test]
async fn refused_connections_open_the_circuit_and_the_port_opens_again() {
    let gateway = Gateway::start(&[]).await;
    gateway.fault("primary", "refuse").await;
    for _ in 0..3 {
        assert_eq!(gateway.ask("hi").await.by, "backup");
    }
    assert_eq!(gateway.state("primary").await, "open");
    gateway.fault("primary", "none").await;
    let (status, seen) = gateway.post("/admin/circuit-breakers/primary/reset").await;
    assert_eq!((status, &seen["state"]), (200, &"closed".into()));
    until_primary(&gateway).await;
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up_and_opens_the_circuit() {
    let gateway = Gateway::start(&[]).await;
    gateway.fault("primary", "hang").await;
    let answers = together(&gateway, 3).await;
    for answer in &answers {
        assert_eq!((&*answer.by, &*answer.cause), ("backup", "timeout"));
    }
    assert_eq!(gateway.state("primary").await, "open");
}

#[tokio::test]
async fn throttled_answers_open_the_circuit_by_their_rate() {
    let gateway = Gateway::start(&[]).await;
    gateway.fault("primary", "throttle").await;
    for _ in 0..5 {
        assert_eq!(gateway.ask("hi").await.by, "backup");
    }
    let circuit = gateway.circuit("primary").await;
    assert_eq!(
        (&circuit["state"], &circuit["reason"]),
        (&"open".into(), &"failure_rate".into()),
        "{circuit}"
    );
}

#[tokio::test]
async fn slow_answers_are_answers_and_open_the_circuit_by_their_rate() {
    let gateway = Gateway::start(&[]).await;
    gateway.fault("primary", "slow").await;
    let answers = together(&gateway, 5).await;
    assert!(answers.iter().all(|answer| answer.provider == "primary"), "{answers:?}");
    let circuit = gateway.circuit("primary").await;
    assert_eq!(
        (&circuit["state"], &circuit["reason"]),
        (&"open".into(), &"slow_call_rate".into()),
        "{circuit}"
    );
}

#[tokio::test]
async fn eight_clients_at_once_are_all_answered_while_a_provider_breaks_and_heals() {
    let gateway = std::sync::Arc::new(Gateway::start(&[]).await);
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let gateway = std::sync::Arc::clone(&gateway);
            tokio::spawn(async move {
                for question in 0..40 {
                    let answer = gateway.ask(&format!("client {client}, question {question}")).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    assert!(!answer.text.is_empty() && !answer.by.is_empty(), "{answer:?}");
                }
            })
        })
        .collect();
    for fault in ["errors", "none", "refuse", "none", "throttle", "none"] {
        gateway.fault("primary", fault).await;
        gateway.post("/admin/circuit-breakers/primary/reset").await;
    }
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(gateway.in_flight().await, 0, "no slot is lost");
    gateway.post("/admin/circuit-breakers/primary/reset").await;
    until_primary(&gateway).await;
}

#[tokio::test]
async fn an_operator_steers_by_name() {
    let gateway = Gateway::start(&[]).await;
    for (action, state) in [
        ("force-open", "forced_open"),
        ("release", "closed"),
        ("disable", "disabled"),
        ("metrics-only", "metrics_only"),
        ("reset", "closed"),
    ] {
        let (status, seen) = gateway.post(&format!("/admin/circuit-breakers/primary/{action}")).await;
        assert_eq!((status, &seen["state"]), (200, &state.into()), "{action}");
    }
    for path in ["nobody/reset", "primary/explode", "<b>/reset"] {
        let (status, said) = gateway.post(&format!("/admin/circuit-breakers/{path}")).await;
        assert_eq!((status, &said["error"]["type"]), (404, &"not_found".into()), "{path}");
    }
    let (status, said) = gateway.post("/nowhere").await;
    assert_eq!(
        (status, &said["error"]["message"]),
        (404, &"there is nothing at POST /nowhere; see GET /".into())
    );
    let from_a_page = [("origin", "https://example.org")];
    let (status, _) = gateway
        .post_with("/admin/circuit-breakers/primary/force-open", &from_a_page)
        .await;
    assert_eq!((status, &*gateway.state("primary").await), (401, "closed"));
}

#[tokio::test]
async fn a_built_in_provider_has_an_api_and_a_switch_of_its_own() {
    let gateway = Gateway::start(&[]).await;
    let providers: Value = serde_json::from_str(&gateway.get("/demo/providers").await).unwrap();
    let address = providers["primary"]["address"].as_str().unwrap();
    let (client, fault) = (reqwest::Client::new(), format!("{address}/fault"));
    for (path, word) in [("/healthz", "ok"), ("/v1/models", "demo"), ("/fault", "none")] {
        let said = client
            .get(format!("{address}{path}"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(said.contains(word), "{path}: {said}");
    }
    let switched = client.post(&fault).body(r#"{"mode": "errors"}"#).send().await.unwrap();
    assert_eq!(switched.status(), 200);
    assert_eq!(
        client.get(format!("{address}/healthz")).send().await.unwrap().status(),
        500
    );
    assert_eq!(gateway.ask("hi").await.by, "backup");
    let unknown = client.post(&fault).body(r#"{"mode": "fire"}"#).send().await.unwrap();
    assert_eq!(unknown.status(), 400);
    assert!(unknown.text().await.unwrap().contains("choose one of none, errors"));
    let (status, said) = gateway.post("/demo/providers/primary/fault/fire").await;
    assert_eq!(status, 404, "{said}");
}

#[tokio::test]
async fn a_request_that_is_wrong_is_the_askers_fault_alone() {
    let gateway = Gateway::start(&[]).await;
    for body in [
        serde_json::json!({}),
        serde_json::json!({ "model": "demo", "messages": [] }),
    ] {
        let response = gateway.send(&body).await;
        assert_eq!(response.status(), 400);
        let said: Value = response.json().await.unwrap();
        assert_eq!(said["error"]["type"], "invalid_request_error");
    }
    assert_eq!(gateway.circuit("primary").await["failure_count"], 0);
}

#[tokio::test]
async fn the_figures_are_there_for_people_and_for_prometheus() {
    let gateway = Gateway::start(&[]).await;
    gateway.fault("primary", "errors").await;
    for _ in 0..4 {
        gateway.ask("hi").await;
    }
    let seen = gateway.circuit("primary").await;
    for field in [
        "name",
        "state",
        "failure_count",
        "success_count",
        "failure_rate",
        "last_failure_time",
    ] {
        assert!(!seen[field].is_null(), "{field} is missing: {seen}");
    }
    assert!(seen["last_failure_time"].as_u64().unwrap() > 1_600_000_000, "{seen}");
    let metrics = gateway.get("/metrics").await;
    for line in [
        "provider_calls_total{provider=\"primary\",outcome=\"failed\"} 3",
        "provider_calls_total{provider=\"backup\",outcome=\"served\"} 4",
        "provider_failovers_total{provider=\"primary\",reason=\"failed\"} 3",
        "provider_available{provider=\"primary\"} 0",
        "provider_available{provider=\"backup\"} 1",
        "circuit_state{circuit=\"primary\"} 1",
        "circuit_calls_total{circuit=\"primary\",outcome=\"failure\"} 3",
        "concurrency_limit{limit=\"primary\"} 16",
    ] {
        assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
    }
    assert!(gateway.get("/").await.contains("POST /v1/chat/completions"));
}

/// The primary comes back slowly: at first it gets a tenth of its share.
async fn until_primary(gateway: &Gateway) {
    until("the primary to answer", || async {
        (gateway.ask("hi").await.by == "primary").then_some(())
    })
    .await;
}

/// So many chats at the same time.
async fn together(gateway: &Gateway, number: usize) -> Vec<Answer> {
    let prompts: Vec<_> = (0..number).map(|number| format!("question {number}")).collect();
    futures_util::future::join_all(prompts.iter().map(|prompt| gateway.ask(prompt))).await
}

/// The text of a stream of events.
fn spelt(stream: &str) -> String {
    let events: Vec<_> = stream.split_terminator("\n\n").collect();
    assert_eq!(events.last(), Some(&"data: [DONE]"), "{stream}");
    let chunks = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event.strip_prefix("data: ")?).ok());
    chunks
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect()
}
