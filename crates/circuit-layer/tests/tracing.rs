//! Events of transitions and refusals.
#![cfg(feature = "tracing")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use circuit_layer::{Circuit, CircuitLayer, flush_events};
use tower::{Layer, ServiceExt, service_fn};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn transitions_are_info_or_warn_and_single_refusals_trace() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(move || writer.clone())
        .finish();
    // Observers run on a thread of their own.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let circuit = Circuit::builder("told").consecutive_failures(1).build().unwrap();
    let service = CircuitLayer::new(circuit).layer(service_fn(|()| async { Err::<(), _>(io::Error::other("broken")) }));
    for _ in 0..2 {
        service.clone().oneshot(()).await.unwrap_err();
    }
    circuit.metrics_only();
    assert!(flush_events(Duration::from_secs(5)));
    service.oneshot(()).await.unwrap_err();
    assert!(flush_events(Duration::from_secs(5)));

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for part in [
        "WARN circuit opened circuit=\"told\" from=\"closed\" to=\"open\" reason=\"consecutive_failures\" generation=",
        "TRACE call refused circuit=\"told\" reason=\"open\" opened_by=\"consecutive_failures\" retry_after_ms=",
        "INFO circuit changed circuit=\"told\" from=\"open\" to=\"metrics_only\" reason=\"metrics_only\" generation=",
        "WARN circuit would trip circuit=\"told\" rule=\"consecutive_failures\" generation=",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(text.lines().count(), 4, "{text}");
}
