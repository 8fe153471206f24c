//! Metrics and events.
#![cfg(all(feature = "metrics", feature = "tracing"))]

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use health_probe::{HealthLayer, Probe};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use support::{Log, Script};
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// One test after the other: the events of a callsite that two threads come upon at the same time, one of them without a
/// subscriber, may be lost.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every metric of this probe, as one line each: a snapshot takes the counts away.
fn seen(snapshotter: &Snapshotter) -> Vec<String> {
    let mut lines: Vec<String> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let key = key.key();
            let labels: Vec<_> = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            let value = match value {
                DebugValue::Counter(n) => n.to_string(),
                DebugValue::Gauge(n) => n.to_string(),
                DebugValue::Histogram(all) => format!("{} recorded", all.len()),
            };
            format!("{}{{{}}} {value}", key.name(), labels.join(","))
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn metrics_work_when_the_recorder_is_installed_after_the_probe_has_begun() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let script = Script::new(true);
    let probe = script
        .probe()
        .named("late")
        .unhealthy_after(2)
        .spawn_on(runtime.handle())
        .unwrap();
    runtime.block_on(probe.check_now()).unwrap();

    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || runtime.block_on(probe.check_now())).unwrap();
    assert_eq!(
        seen(&snapshotter),
        [
            "health_probe_checks_total{probe=late,result=passed} 1",
            "health_probe_duration_seconds{probe=late} 1 recorded",
            "health_probe_up{probe=late} 1",
        ]
    );
    script.pass(false);
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            probe.check_now().await.unwrap();
            probe.check_now().await.unwrap();
            script.take(Duration::from_secs(60));
            probe.check_now().await.unwrap();
            let inner = service_fn(async |()| Ok::<_, health_probe::BoxError>(()));
            let service = ServiceBuilder::new()
                .layer(HealthLayer::new(probe.health()))
                .service(inner);
            assert!(service.oneshot(()).await.is_err());
        });
    });
    let lines = seen(&snapshotter);
    for line in [
        "health_probe_checks_total{probe=late,result=failed} 2",
        "health_probe_checks_total{probe=late,result=timed_out} 1",
        "health_probe_up{probe=late} 0",
        "health_probe_refused_total{probe=late} 1",
        "health_probe_duration_seconds{probe=late} 3 recorded",
    ] {
        assert!(lines.iter().any(|seen| seen == line), "{line}: {lines:#?}");
    }
}

#[test]
fn changes_are_events_at_warn_and_info_and_each_is_told_once() {
    let _alone = alone();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing::Level::INFO)
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let script = Script::new(true);
            let probe = script
                .probe()
                .named("x")
                .unhealthy_after(2)
                .healthy_after(1)
                .spawn()
                .unwrap();
            for passes in [true, true, false, false, false, true] {
                script.pass(passes);
                probe.check_now().await.unwrap();
            }
            probe.shutdown().await;
        });
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = log.lines().map(str::trim).collect();
    assert_eq!(lines.len(), 4, "{log}");
    for (line, level, rest) in [
        (lines[0], "INFO", r#"from="unknown" to="up" in_a_row=1"#),
        (lines[1], "WARN", r#"from="up" to="down" in_a_row=2 error="scripted""#),
        (lines[2], "INFO", r#"from="down" to="up" in_a_row=1"#),
        (lines[3], "INFO", r#"probe ended probe="x""#),
    ] {
        assert!(line.starts_with(level) && line.contains(rest), "{line}");
    }
}
