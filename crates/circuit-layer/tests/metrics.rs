//! Metrics and events.
#![cfg(feature = "metrics")]

use std::io;
use std::time::Duration;

use circuit_layer::{Circuit, CircuitLayer, State, flush_events, observe, publish_metrics};
use metrics::with_local_recorder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::{Layer, ServiceExt, service_fn};

/// Everything that is published about a circuit, as `name{label values} value`.
fn published(circuit: &str) -> Vec<String> {
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    with_local_recorder(&recorder, publish_metrics);
    let mut lines: Vec<_> = seen
        .snapshot()
        .into_vec()
        .into_iter()
        .filter(|(key, ..)| {
            key.key()
                .labels()
                .any(|label| label.key() == "circuit" && label.value() == circuit)
        })
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key
                .key()
                .labels()
                .skip(1)
                .map(|label| label.value().to_owned())
                .collect();
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(_) => panic!("no histograms here"),
            };
            format!("{}{{{}}} {value}", key.key().name(), labels.join(","))
        })
        .collect();
    lines.sort();
    lines
}

async fn call(circuit: Circuit, fine: bool) {
    let service = CircuitLayer::new(circuit).layer(service_fn(|fine: bool| async move {
        if fine { Ok(()) } else { Err(io::Error::other("broken")) }
    }));
    let _ = service.oneshot(fine).await;
}

#[tokio::test]
async fn metrics_work_when_the_recorder_is_installed_after_the_layers_were_built() {
    let circuit = Circuit::builder("late recorder")
        .consecutive_failures(2)
        .build()
        .unwrap();
    for fine in [true, true, true, false, false, true] {
        call(circuit, fine).await;
    }
    assert!(flush_events(Duration::from_secs(5)));
    assert_eq!(
        published("late recorder"),
        [
            "circuit_calls_total{failure} 2",
            "circuit_calls_total{late} 0",
            "circuit_calls_total{neutral} 0",
            "circuit_calls_total{success} 3",
            "circuit_cancelled_calls_total{} 0",
            "circuit_slow_calls_total{} 0",
            "circuit_state{} 1",
            "circuit_transitions_total{closed,open,consecutive_failures} 1",
        ]
    );
}

#[tokio::test]
async fn refusals_are_counted_as_they_happen_by_reason() {
    let circuit = Circuit::builder("refusals").build().unwrap();
    let layer = CircuitLayer::new(circuit);
    circuit.force_open();
    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    with_local_recorder(&recorder, || {
        for _ in 0..3 {
            let service = layer.layer(service_fn(|()| async { Ok::<_, io::Error>(()) }));
            assert!(tokio_test::task::spawn(service.oneshot(())).poll().is_ready());
        }
    });
    let counted = seen.snapshot().into_vec().into_iter().find_map(|(key, _, _, value)| {
        let labels: Vec<_> = key.key().labels().map(|label| (label.key(), label.value())).collect();
        let same = labels == [("circuit", "refusals"), ("reason", "forced_open")];
        (key.key().name() == "circuit_refused_total" && same).then_some(value)
    });
    assert_eq!(counted, Some(DebugValue::Counter(3)));
}

#[tokio::test]
async fn exactly_one_state_value_is_exported_at_a_time() {
    let circuit = Circuit::builder("one state").build().unwrap();
    observe(circuit);
    observe(circuit);
    for (order, state) in [
        (Circuit::force_open as fn(&Circuit), State::ForcedOpen),
        (Circuit::disable, State::Disabled),
        (Circuit::metrics_only, State::MetricsOnly),
        (Circuit::reset, State::Closed),
    ] {
        order(&circuit);
        let states: Vec<_> = published("one state")
            .into_iter()
            .filter(|line| line.starts_with("circuit_state"))
            .collect();
        assert_eq!(states, [format!("circuit_state{{}} {}", state.number())]);
    }
    // Observed twice, told once.
    assert!(flush_events(Duration::from_secs(5)));
    let lines = published("one state");
    assert!(
        lines.contains(&"circuit_transitions_total{closed,forced_open,forced_open} 1".to_owned()),
        "{lines:?}"
    );
}

#[tokio::test]
async fn circuits_of_one_name_are_added_up_and_a_sum_never_falls_when_one_retires() {
    let [a, b] = [(); 2].map(|()| Circuit::builder("same name").build().unwrap());
    for circuit in [a, b, b] {
        call(circuit, true).await;
    }
    let successes = |expected: &str| {
        let lines = published("same name");
        let expected = format!("circuit_calls_total{{success}} {expected}");
        assert!(lines.contains(&expected), "{lines:?}");
    };
    successes("3");
    b.retire();
    assert!(flush_events(Duration::from_secs(5)));
    successes("3");
    let c = Circuit::builder("same name").build().unwrap();
    for circuit in [a, c] {
        call(circuit, true).await;
    }
    successes("5");
}

#[test]
fn a_circuit_without_totals_says_nothing_of_calls() {
    let circuit = Circuit::builder("no totals").totals(false).build().unwrap();
    observe(circuit);
    circuit.acquire().unwrap().success();
    assert_eq!(published("no totals"), ["circuit_state{} 0"]);
}
