//! What is seen of a pool from outside.
#![cfg(all(feature = "metrics", feature = "tracing", feature = "serde"))]

mod support;

use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use provider_pool::{InOrder, ProviderPool};
use support::{Scripted, ms};
use tower::ServiceExt;

#[tokio::test(start_paused = true)]
async fn metrics_work_when_the_recorder_is_installed_after_the_pool_was_built_and_used() {
    let (a, b) = (Scripted::bad("a"), Scripted::good("b", 40));
    let pool = ProviderPool::builder()
        .provider(a.provider())
        .provider(b.provider())
        .strategy(InOrder)
        .repeat_all();
    let pool = pool.slow_start(Duration::ZERO).build().unwrap();
    pool.clone().oneshot(0).await.unwrap();

    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    recorder
        .install()
        .expect("the only test that installs one in this program");
    for n in 0..3 {
        pool.clone().oneshot(n).await.unwrap();
    }
    pool.drain("b");
    pool.clone().oneshot(9).await.unwrap_err();
    pool.drain("a");
    pool.clone().oneshot(9).await.unwrap_err();
    pool.publish_metrics();
    for (name, labels, wanted) in [
        (
            "provider_calls_total",
            &[("provider", "a"), ("outcome", "failed")][..],
            4.0,
        ),
        ("provider_calls_total", &[("provider", "b"), ("outcome", "served")], 3.0),
        (
            "provider_failovers_total",
            &[("provider", "a"), ("reason", "failed")],
            3.0,
        ),
        ("provider_unserved_total", &[("reason", "no_provider")], 1.0),
        ("provider_available", &[("provider", "a")], 0.0),
        ("provider_in_flight", &[("provider", "b")], 0.0),
        ("provider_latency_seconds", &[("provider", "b")], 0.04),
        ("provider_share", &[("provider", "b")], 1.0),
        ("provider_pool_panic", &[], 0.0),
    ] {
        let found = recorded(&seen, name, labels);
        assert!(
            found.is_some_and(|found| (found - wanted).abs() < 1e-6),
            "{name} {labels:?}: {found:?}, not {wanted}"
        );
    }
}

/// A snapshot empties the recorder's counters, so all is kept from one.
fn recorded(seen: &Snapshotter, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    use std::sync::OnceLock;
    type Row = (String, Vec<(String, String)>, f64);
    static ALL: OnceLock<Vec<Row>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let rows = seen.snapshot().into_vec().into_iter().map(|(key, _, _, value)| {
            let labels = key
                .key()
                .labels()
                .map(|label| (label.key().to_owned(), label.value().to_owned()))
                .collect();
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(gauge) => gauge.into_inner(),
                DebugValue::Histogram(values) => values.len() as f64,
            };
            (key.key().name().to_owned(), labels, value)
        });
        rows.collect()
    });
    let fits = |row: &&Row| {
        row.0 == name
            && labels
                .iter()
                .all(|(key, value)| row.1.iter().any(|found| found.0 == *key && found.1 == *value))
    };
    all.iter().find(fits).map(|row| row.2)
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_says_all_there_is_and_is_json() {
    let (a, b) = (Scripted::good("a", 250), Scripted::good("b", 0));
    let pool = ProviderPool::builder()
        .provider(a.provider().serves("gpt-4").weight(3))
        .provider(b.provider());
    let pool = pool.strategy(InOrder).build().unwrap();
    pool.clone().oneshot(1).await.unwrap();
    pool.drain("b");
    tokio::time::sleep(ms(1)).await;
    let json = serde_json::to_value(pool.snapshot()).unwrap();
    assert_eq!((&json["strategy"], &json["panic"]), (&"in_order".into(), &false.into()));
    let a = &json["providers"][0];
    assert_eq!(
        (&a["name"], &a["serves"], &a["weight"]),
        (&"a".into(), &serde_json::json!(["gpt-4"]), &3.into())
    );
    assert_eq!(
        (&a["served"], &a["latency"], &a["out"]),
        (&1.into(), &0.25.into(), &serde_json::Value::Null)
    );
    let b = &json["providers"][1];
    assert_eq!(
        (&b["serves"], &b["out"]),
        (&serde_json::json!(["*"]), &"is draining".into())
    );
    assert_eq!(
        serde_json::to_value(pool.models()).unwrap(),
        serde_json::json!([{ "id": "gpt-4", "owner": "a" }])
    );
}
