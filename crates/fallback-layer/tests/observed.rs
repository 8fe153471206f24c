//! What is seen of a degraded answer: always the metric and the log.
#![cfg(all(feature = "metrics", feature = "tracing"))]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use fallback_layer::{CloneRequest, FallbackLayer};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use support::{BoxError, Broken, Script, failing, refused};
use tower::{Layer, ServiceExt};

/// One test at a time: tracing remembers for the whole process which events nobody wants.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `calls` with a recorder and a subscriber of its own: the counters by name and labels, and the log.
fn observed(calls: impl Future<Output = ()>) -> (Vec<(String, u64)>, String) {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .finish();
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    tracing::subscriber::with_default(subscriber, || {
        metrics::with_local_recorder(&recorder, || tokio_test::block_on(calls));
    });
    let mut counters: Vec<_> = snapshots
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let DebugValue::Counter(count) = value else {
                panic!("there are only counters")
            };
            let labels: Vec<_> = key
                .key()
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            (format!("{}{{{}}}", key.key().name(), labels.join(",")), count)
        })
        .collect();
    counters.sort();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    (counters, log)
}

fn counted(counters: &[(&str, u64)]) -> Vec<(String, u64)> {
    counters
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[test]
fn a_degraded_answer_is_always_in_the_metric_and_the_log() {
    let layer = FallbackLayer::new().respond(|_, _| "sorry").named("static");
    let (counters, log) = observed(async {
        for _ in 0..2 {
            layer
                .layer(failing(|| Broken("secret").into()))
                .oneshot(1)
                .await
                .unwrap();
        }
        layer.layer(failing(refused)).oneshot(1).await.unwrap();
    });
    assert_eq!(
        counters,
        counted(&[
            ("fallback_answers_total{step=static,cause=error}", 2),
            ("fallback_answers_total{step=static,cause=refusal}", 1),
        ])
    );
    assert_eq!(log.lines().count(), 3, "one event an answer: {log}");
    assert_eq!(
        log.lines().next().unwrap().trim(),
        "WARN degraded answer step=\"static\" cause=\"error\""
    );
    assert!(!log.contains("secret"), "what an error says is not for the log");
}

#[test]
fn the_last_word_counts_as_an_answer() {
    let layer = FallbackLayer::new().finally(|_, _| "sorry");
    let (counters, log) = observed(async {
        layer.layer(failing(|| Broken("down").into())).oneshot(1).await.unwrap();
    });
    assert_eq!(
        counters,
        counted(&[("fallback_answers_total{step=finally,cause=error}", 1)])
    );
    assert_eq!(log.lines().count(), 1);
}

#[test]
fn steps_that_pass_on_and_failures_that_none_answers_are_counted() {
    let layer = FallbackLayer::<u32, ()>::new()
        .keep(CloneRequest)
        .respond_if(|_, _| None)
        .named("shy")
        .respond(|_, _| ())
        .named("picky")
        .when(|_, _| false)
        .service(Script::new([Err("backup is down")]))
        .named("backup");
    let (counters, log) = observed(async {
        layer
            .layer(failing(|| Broken("down").into()))
            .oneshot(1)
            .await
            .unwrap_err();
    });
    assert_eq!(
        counters,
        counted(&[
            ("fallback_exhausted_total{cause=error}", 1),
            ("fallback_passed_total{step=backup,reason=failed}", 1),
            ("fallback_passed_total{step=picky,reason=not_wanted}", 1),
            ("fallback_passed_total{step=shy,reason=no_answer}", 1),
        ])
    );
    let levels: Vec<_> = log.lines().map(|line| line.trim().split(' ').next().unwrap()).collect();
    assert_eq!(levels, ["TRACE", "TRACE", "TRACE", "WARN"], "{log}");
    assert!(log.contains("error=backup is down"));
}

#[test]
fn a_step_that_is_full_or_late_says_so() {
    let layer = FallbackLayer::<u32, ()>::new()
        .keep(CloneRequest)
        .service(support::hanging())
        .named("slow")
        .within(std::time::Duration::from_millis(1))
        .at_most(1)
        .build()
        .unwrap();
    let (counters, _) = observed(async {
        tokio::time::pause();
        let down = || failing(|| Broken("down").into());
        let (late, full) = tokio::join!(layer.layer(down()).oneshot(1), layer.layer(down()).oneshot(2));
        late.unwrap_err();
        full.unwrap_err();
    });
    assert_eq!(
        counters,
        counted(&[
            ("fallback_exhausted_total{cause=error}", 2),
            ("fallback_passed_total{step=slow,reason=full}", 1),
            ("fallback_passed_total{step=slow,reason=timeout}", 1),
        ])
    );
}

#[test]
fn nothing_is_seen_of_a_call_that_succeeds_or_is_none_of_the_steps_business() {
    let layer = FallbackLayer::new()
        .on_refusal()
        .cached(|number: &u32| *number)
        .respond(|_, _| "sorry");
    let (counters, log) = observed(async {
        layer.layer(Script::new([Ok("real")])).oneshot(1).await.unwrap();
        let error: BoxError = layer
            .layer(failing(|| Broken("down").into()))
            .oneshot(1)
            .await
            .unwrap_err();
        drop(error);
    });
    assert_eq!((counters, log), (vec![], String::new()));
}

#[test]
fn a_recorder_that_is_installed_late_is_found() {
    let layer = FallbackLayer::new().respond(|_, _| "sorry");
    {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        tokio_test::block_on(layer.layer(failing(|| Broken("down").into())).oneshot(1)).unwrap();
    }
    let (counters, _) = observed(async {
        layer.layer(failing(|| Broken("down").into())).oneshot(1).await.unwrap();
    });
    assert_eq!(
        counters,
        counted(&[("fallback_answers_total{step=respond,cause=error}", 1)])
    );
}
