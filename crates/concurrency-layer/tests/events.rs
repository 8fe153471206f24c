//! What is told to `tracing`.
#![cfg(feature = "tracing")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use concurrency_layer::Limit;
use tracing::Level;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn told(most: Level, what: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(most)
        .with_ansi(false)
        .with_writer(move || writer.clone());
    tracing::subscriber::with_default(subscriber.finish(), what);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn changes_are_info_refusals_are_trace_and_admitted_calls_are_nothing() {
    let limit = Limit::fixed(1).name("told").build().unwrap();
    let everything = || {
        let permit = limit.try_acquire().unwrap();
        assert!(limit.try_acquire().is_err());
        drop(permit);
        limit.set_limit(2).unwrap();
        limit.set_limit(1).unwrap();
    };
    let trace = told(Level::TRACE, everything);
    assert_eq!(trace.lines().count(), 3, "{trace}");
    assert!(
        trace.contains("TRACE") && trace.contains("call refused limit=\"told\" reason=\"full\""),
        "{trace}"
    );
    let info = told(Level::INFO, everything);
    assert_eq!(info.lines().count(), 2, "{info}");
    assert!(
        info.contains("limit changed limit=\"told\" max=2 in_flight=0"),
        "{info}"
    );
    let retired = told(Level::INFO, || assert!(limit.retire()));
    assert!(retired.contains("limit retired limit=\"told\""), "{retired}");
}
