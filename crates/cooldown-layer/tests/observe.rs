//! Metrics and events.
#![cfg(all(feature = "metrics", feature = "tracing"))]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use cooldown_layer::{Action, AnomalyLedger, Budget, Cooldown, MemoryStore, Signature};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use support::{Flaky, Mode};
use tracing::field::{Field, Visit};

#[test]
fn every_decision_is_counted_and_labels_are_bounded() {
    let _alone = alone();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let store = Flaky::new(MemoryStore::new());
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(2))
        .protect(["db"])
        .store(store.clone())
        .build()
        .expect("valid");
    let ledger = AnomalyLedger::builder("a").store(store.clone()).build().expect("valid");
    // Made before the recorder was there: nothing may be lost for that.
    metrics::with_local_recorder(&recorder, || {
        tokio_test::block_on(async {
            for n in 0..50 {
                let _ = repairs.request(Action::new("restart", format!("pod-{n}"))).await;
            }
            let _ = repairs.request(Action::new("restart", "db")).await;
            for _ in 0..3 {
                ledger.record(Signature::new("Down")).await;
            }
            store.set(Mode::Away);
            ledger.record(Signature::new("Down")).await;
        });
    });
    let mut seen = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels: Vec<_> = key
            .key()
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(gauge) => gauge.into_inner(),
            DebugValue::Histogram(_) => panic!("no histogram here"),
        };
        seen.insert(format!("{}{{{}}}", key.key().name(), labels.join(",")), value);
    }
    let want = [
        ("anomaly_records_total{level=repeat}", 1.0),
        ("anomaly_records_total{level=single}", 2.0),
        ("anomaly_records_total{level=unknown}", 1.0),
        ("cooldown_decisions_total{cooldown=repairs,decision=granted}", 2.0),
        ("cooldown_decisions_total{cooldown=repairs,decision=over_budget}", 48.0),
        ("cooldown_decisions_total{cooldown=repairs,decision=protected}", 1.0),
        ("cooldown_frozen{cooldown=repairs}", 1.0),
        (
            "cooldown_store_errors_total{cooldown=a,store=flaky,kind=unreachable}",
            1.0,
        ),
    ];
    assert_eq!(seen, want.map(|(name, value)| (name.to_owned(), value)).into());
}

/// One test at a time: where an event is first met while nobody listens, tracing remembers that nobody does.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Writes down every event of ours.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a string");
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "cooldown"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().expect("one thread").push(line.0);
    }
}

#[test]
fn every_decision_is_one_event_with_all_its_figures() {
    let _alone = alone();
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        tokio_test::block_on(async {
            let repairs = Cooldown::builder("repairs")
                .budget(Budget::of(1))
                .build()
                .expect("valid");
            let action = || Action::new("restart", "api\nx").label("ns", "shop");
            assert!(repairs.request(action()).await.is_err(), "a line break is no name");
            let lease = repairs
                .request(Action::new("restart", "api").because_of(Signature::new("Down")))
                .await
                .expect("first");
            lease.succeeded().await;
            assert!(repairs.request(Action::new("restart", "api")).await.is_err());
            repairs.freeze("night").await.expect("heard");
            repairs.thaw().await.expect("heard");
        });
    });
    let lines = log.0.lock().expect("one thread").clone();
    let has = |index: usize, parts: &[&str]| {
        for part in parts {
            assert!(lines[index].contains(part), "{} should have {part}", lines[index]);
        }
    };
    assert_eq!(lines.len(), 5, "{lines:#?}");
    has(0, &["WARN", "decision=\"invalid\"", "target=api\\u{a}x"]);
    has(
        1,
        &[
            "INFO",
            "cooldown=\"repairs\"",
            "decision=\"granted\"",
            "kind=restart",
            "target=api",
            "cost=1",
            "by=\"store\"",
        ],
    );
    has(
        1,
        &["budget=\"5 per", "used=1", "of=1"].map(|part| {
            if part.starts_with("budget") {
                "budget=\"1 per 15 min\""
            } else {
                part
            }
        }),
    );
    has(
        1,
        &[
            "anomaly=",
            "dry_run=false",
            "action restart on api granted: 1 of 1 (1 per 15 min)",
        ],
    );
    has(
        2,
        &["WARN", "decision=\"over_budget\"", "used=1", "of=1", "retry_after_ms="],
    );
    has(3, &["WARN", "frozen", "reason=night"]);
    has(4, &["INFO", "thawed"]);
}
