//! Metrics, and the events of a refusal.
#![cfg(feature = "metrics")]

use concurrency_layer::{Limit, publish_metrics};
use metrics::with_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

fn value(snapshotter: &Snapshotter, name: &str, labels: &[(&str, &str)]) -> Option<DebugValue> {
    snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .find_map(|(key, _, _, value)| {
            let key = key.key();
            let same = key
                .labels()
                .map(|label| (label.key(), label.value()))
                .eq(labels.iter().copied());
            (key.name() == name && same).then_some(value)
        })
}

fn gauge(snapshotter: &Snapshotter, name: &str, limit: &str) -> Option<f64> {
    match value(snapshotter, name, &[("limit", limit)])? {
        DebugValue::Gauge(value) => Some(value.into_inner()),
        other => panic!("no gauge: {other:?}"),
    }
}

#[test]
fn metrics_work_when_the_recorder_is_installed_after_the_limit_was_built_and_used() {
    let limit = Limit::fixed(2).name("late recorder").build().unwrap();
    let permits = (limit.try_acquire().unwrap(), limit.try_acquire().unwrap());
    assert!(limit.try_acquire().is_err());
    publish_metrics();

    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    with_local_recorder(&recorder, || {
        assert!(limit.try_acquire().is_err());
        assert!(limit.try_acquire().is_err());
        publish_metrics();
    });
    let labels = [("limit", "late recorder"), ("reason", "full")];
    assert_eq!(
        value(&seen, "concurrency_refused_total", &labels),
        Some(DebugValue::Counter(2))
    );
    with_local_recorder(&recorder, publish_metrics);
    assert_eq!(gauge(&seen, "concurrency_in_flight", "late recorder"), Some(2.0));
    drop(permits);
}

#[test]
fn gauges_say_what_the_limit_says_when_they_are_published() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let limit = Limit::fixed(3).name("gauges").build().unwrap();
    let _permit = limit.try_acquire().unwrap();
    for (name, expected) in [
        ("concurrency_in_flight", 1.0),
        ("concurrency_limit", 3.0),
        ("concurrency_waiting", 0.0),
    ] {
        with_local_recorder(&recorder, publish_metrics);
        assert_eq!(gauge(&seen, name, "gauges"), Some(expected), "{name}");
    }
}

#[test]
fn limits_of_one_name_are_added_up() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let twins = [
        Limit::fixed(3).name("twins").build().unwrap(),
        Limit::fixed(4).name("twins").build().unwrap(),
    ];
    with_local_recorder(&recorder, publish_metrics);
    assert_eq!(gauge(&seen, "concurrency_limit", "twins"), Some(7.0));
    with_local_recorder(&recorder, || twins[0].retire());
    assert_eq!(gauge(&seen, "concurrency_limit", "twins"), Some(4.0));
    with_local_recorder(&recorder, || twins[1].retire());
    assert_eq!(gauge(&seen, "concurrency_limit", "twins"), Some(0.0));
}

#[test]
fn a_changed_limit_is_published_at_once() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let limit = Limit::fixed(3).name("changed").build().unwrap();
    with_local_recorder(&recorder, || limit.set_limit(8).unwrap());
    assert_eq!(gauge(&seen, "concurrency_limit", "changed"), Some(8.0));
}

#[test]
fn an_admitted_call_writes_no_metric() {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    let limit = Limit::fixed(1).name("quiet").build().unwrap();
    with_local_recorder(&recorder, || {
        for _ in 0..100 {
            drop(limit.try_acquire().unwrap());
        }
    });
    assert!(seen.snapshot().into_vec().is_empty());
}
