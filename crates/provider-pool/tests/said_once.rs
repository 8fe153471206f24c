//! What is wrong with a pool is said in the log, once.
#![cfg(feature = "tracing")]

mod support;

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use circuit_layer::CircuitLayer;
use health_probe::{FnProbe, HealthState, Probe};
use provider_pool::{Provider, ProviderPool, RoundRobin};
use state_core::Circuit;
use support::{Scripted, ms, secs};
use tokio::sync::Mutex;
use tower::{ServiceBuilder, ServiceExt};

/// One test after the other: the events of a callsite that two threads come upon at the same time, one of them without a
/// subscriber, may be lost.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Events as text, for this thread.
mod told {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    pub(crate) struct Told(Arc<Mutex<Vec<u8>>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Told {
        pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
            let told = self.clone();
            let listening = tracing_subscriber::fmt()
                .with_writer(move || told.clone())
                .with_ansi(false);
            tracing::subscriber::set_default(listening.finish())
        }

        pub(crate) fn count(&self, text: &str) -> usize {
            String::from_utf8_lossy(&self.0.lock().unwrap()).matches(text).count()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn that_health_is_ignored_is_said_once_though_other_capabilities_are_asked_for_in_between() {
    let _alone = ALONE.lock().await;
    let told = told::Told::default();
    let _listening = told.listen();
    let works = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&works);
    let a = FnProbe::new("a", move || {
        ready(seen.load(Ordering::Relaxed).then_some(()).ok_or("no route"))
    });
    let a = a.every(secs(1)).unhealthy_after(1).healthy_after(1).spawn().unwrap();
    while a.state() == HealthState::Unknown {
        tokio::time::sleep(ms(1)).await;
    }
    let pool = ProviderPool::builder()
        .provider(Scripted::good("a", 0).provider().serves("x").health(a.health()))
        .provider(Scripted::good("b", 0).provider().serves("y"))
        .wants(|n: &u64| Some(if n.is_multiple_of(2) { "x" } else { "y" }))
        .build()
        .unwrap();
    for n in 0..1_000 {
        pool.clone().oneshot(n).await.unwrap();
        tokio::time::sleep(ms(50)).await;
    }
    assert_eq!((told.count("are not heeded"), told.count("heeded again")), (1, 0));
    works.store(true, Ordering::Relaxed);
    for n in 0..1_000 {
        pool.clone().oneshot(n).await.unwrap();
        tokio::time::sleep(ms(50)).await;
    }
    assert_eq!((told.count("are not heeded"), told.count("heeded again")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_sees_nothing_of_its_provider_is_said_once() {
    let _alone = ALONE.lock().await;
    let told = told::Told::default();
    let _listening = told.listen();
    let (forgotten, layered) = (
        Circuit::builder("forgotten").build().unwrap(),
        Circuit::builder("layered").build().unwrap(),
    );
    let behind = ServiceBuilder::new()
        .layer(CircuitLayer::new(layered))
        .service(Scripted::bad("layered"));
    let pool = ProviderPool::builder()
        .provider(Provider::boxed("forgotten", Scripted::bad("forgotten")).circuit(forgotten))
        .provider(Provider::boxed("layered", behind).circuit(layered))
        .strategy(RoundRobin::default())
        .build()
        .unwrap();
    for n in 0..100 {
        pool.clone().oneshot(n).await.unwrap_err();
    }
    assert_eq!(told.count("circuit has seen none"), 1);
    assert_eq!(told.count("provider=\"layered\""), 0);
}
