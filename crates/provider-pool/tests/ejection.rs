//! Who is out: exactly when health is ignored, slow starts after each kind of absence, limits and changes under threads.

mod support;

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use circuit_layer::CircuitLayer;
use health_probe::{FnProbe, HealthState, Probe, ProbeHandle};
use provider_pool::{BoxError, InOrder, NoProvider, Provider, ProviderPool, RoundRobin, Strategy};
use state_core::{Circuit, ManualClock};
use support::{Scripted, ms, secs, strategies};
use tokio_test::block_on;
use tower::{ServiceBuilder, ServiceExt, service_fn};

async fn probe(name: &str, up: bool) -> (ProbeHandle, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(up));
    let seen = Arc::clone(&works);
    let probe = FnProbe::new(name, move || {
        ready(seen.load(Ordering::Relaxed).then_some(()).ok_or("no route"))
    })
    .every(secs(1))
    .unhealthy_after(1)
    .healthy_after(1)
    .spawn()
    .unwrap();
    while probe.state() == HealthState::Unknown {
        tokio::time::sleep(ms(1)).await;
    }
    (probe, works)
}

#[tokio::test(start_paused = true)]
async fn health_is_ignored_when_more_than_max_ejected_are_out_and_not_when_as_many_are() {
    let mut probes = Vec::new();
    for n in 0..10 {
        probes.push(probe(&format!("p{n}"), n >= 5).await);
    }
    for (max, ignored) in [
        (0.0, true),
        (0.4, true),
        (0.49, true),
        (0.5, false),
        (0.51, false),
        (1.0, false),
    ] {
        let services: Vec<Scripted> = (0..10).map(|_| Scripted::good("x", 0)).collect();
        let mut pool = ProviderPool::builder().strategy(RoundRobin::default()).max_ejected(max);
        for (n, (service, (probe, _))) in services.iter().zip(&probes).enumerate() {
            pool = pool.provider(Provider::new(format!("p{n}"), service.clone()).health(probe.health()));
        }
        let pool = pool.build().unwrap();
        for n in 0..100 {
            pool.clone().oneshot(n).await.unwrap();
        }
        assert_eq!(pool.snapshot().panic, ignored, "5 of 10 are down, at most {max}");
        let of_down: u64 = services[..5].iter().map(Scripted::calls).sum();
        assert_eq!(of_down, if ignored { 50 } else { 0 }, "at most {max}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_those_that_serve_what_is_wanted_count_for_max_ejected() {
    let (a, _) = probe("a", false).await;
    let (b, _) = probe("b", false).await;
    let pool = ProviderPool::builder()
        .provider(Scripted::good("a", 0).provider().serves("x").health(a.health()))
        .provider(Scripted::good("b", 0).provider().serves("y").health(b.health()))
        .provider(Scripted::good("c", 0).provider().serves("y"))
        .provider(Scripted::good("d", 0).provider().serves("z"))
        .strategy(InOrder)
        .wants(|n: &u64| Some(["x", "y", "z"][usize::try_from(*n).unwrap()]))
        .build()
        .unwrap();
    let mut answers = Vec::new();
    for n in 0..3 {
        answers.push(pool.clone().oneshot(n).await.unwrap());
        assert!(pool.snapshot().panic, "for x, whatever was wanted last");
    }
    assert_eq!(
        answers,
        ["a", "c", "d"],
        "the one that is down for x alone, half of those for y are not too many"
    );
    pool.remove("a");
    assert!(!pool.snapshot().panic, "none is left that serves x");
}

#[tokio::test(start_paused = true)]
async fn a_slow_start_follows_an_open_circuit_a_probe_that_said_down_and_add() {
    for strategy in strategies() {
        let name = strategy.name();
        let clock = ManualClock::new();
        let circuit = Circuit::builder("a")
            .consecutive_failures(1)
            .open_for(secs(10))
            .trials(1)
            .clock(clock.clone());
        let circuit = circuit.build().unwrap();
        let (health, works) = probe("b", true).await;
        let services = ["a", "b", "c", "d"].map(|name| Scripted::good(name, 1));
        let [a, b, c, d] = &services;
        let plain = |service: &Scripted| Provider::boxed("c", service.clone());
        let layered = ServiceBuilder::new()
            .layer(CircuitLayer::new(circuit))
            .service(a.clone());
        let pool = ProviderPool::builder()
            .provider(Provider::boxed("a", layered).circuit(circuit))
            .provider(Provider::boxed("b", b.clone()).health(health.health()))
            .provider(plain(c))
            .strategy(strategy)
            .seed(9)
            .max_ejected(1.0)
            .slow_start(secs(60));
        let pool = pool.build().unwrap();
        let share = |name: &str| {
            pool.snapshot()
                .providers
                .iter()
                .find(|seen| *seen.name == *name)
                .unwrap()
                .share
        };
        for n in 0..100 {
            pool.clone().oneshot(n).await.unwrap();
        }
        assert!(
            ["a", "b", "c"].iter().all(|name| share(name) >= 1.0),
            "{name}: not at first"
        );

        circuit.acquire().unwrap().failure();
        works.store(false, Ordering::Relaxed);
        tokio::time::sleep(secs(2)).await;
        let before = [a.calls(), b.calls()];
        for n in 0..100 {
            assert_eq!(pool.clone().oneshot(n).await.unwrap(), "c", "{name}");
        }
        assert_eq!([a.calls(), b.calls()], before, "{name}: no call to one that is out");
        works.store(true, Ordering::Relaxed);
        clock.advance(secs(10));
        circuit.acquire().unwrap().success();
        tokio::time::sleep(secs(20)).await;
        pool.add(Provider::boxed("d", d.clone())).unwrap();
        pool.pick(None);
        for back in ["a", "b", "d"] {
            assert!((share(back) - 0.1).abs() < 0.01, "{name}: {back} has {}", share(back));
        }
        let before = services.each_ref().map(Scripted::calls);
        for n in 0..1_000 {
            pool.clone().oneshot(n).await.unwrap();
        }
        let got: Vec<u64> = services
            .iter()
            .zip(before)
            .map(|(service, before)| service.calls() - before)
            .collect();
        assert_eq!(got.iter().sum::<u64>(), 1_000);
        assert!(
            got[2] > 600 && got.iter().sum::<u64>() - got[2] < 350,
            "{name}: {got:?}"
        );
        tokio::time::sleep(secs(60)).await;
        assert!(["a", "b", "d"].iter().all(|name| share(name) >= 1.0), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_start_slowly_take_all_calls_when_nobody_else_is_left() {
    for strategy in strategies() {
        let name = strategy.name();
        let pool = ProviderPool::builder().strategy(strategy).seed(2).build().unwrap();
        for name in ["a", "b"] {
            pool.add(Scripted::good(name, 0).provider()).unwrap();
        }
        for n in 0..500 {
            pool.clone()
                .oneshot(n)
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        pool.drain("a");
        for n in 0..500 {
            assert_eq!(pool.clone().oneshot(n).await.unwrap(), "b", "{name}");
        }
    }
}

#[test]
fn a_limit_is_never_exceeded_by_calls_of_many_threads_and_all_places_come_back() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let service = {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        service_fn(move |n: u64| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..n % 5 {
                    std::thread::yield_now();
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::SeqCst);
                if n.is_multiple_of(3) {
                    Err(BoxError::from("broken"))
                } else {
                    Ok(())
                }
            }
        })
    };
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", service).limit(3))
        .build()
        .unwrap();
    let full = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (pool, full) = (&pool, &full);
            scope.spawn(move || {
                for n in 0..2_000 {
                    if let Err(error) = block_on(pool.clone().oneshot(n + thread)) {
                        full.fetch_add(u64::from(NoProvider::find(&*error).is_some()), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?} at once");
    let seen = pool.snapshot().providers.remove(0);
    assert_eq!(seen.in_flight, 0);
    assert_eq!(
        seen.served + seen.failed + full.load(Ordering::Relaxed),
        12_000,
        "each call is counted once"
    );
}

#[test]
fn providers_change_under_the_calls_of_four_threads_and_none_arrives_after_drained() {
    #[derive(Clone)]
    struct Watched {
        shut: Arc<AtomicBool>,
        late: Arc<AtomicU64>,
    }
    let watched = |late: &Arc<AtomicU64>| {
        let watched = Watched {
            shut: Arc::default(),
            late: Arc::clone(late),
        };
        let service = {
            let watched = watched.clone();
            service_fn(move |_: u64| {
                watched
                    .late
                    .fetch_add(u64::from(watched.shut.load(Ordering::SeqCst)), Ordering::Relaxed);
                ready(Ok::<_, BoxError>(()))
            })
        };
        (Provider::boxed("guest", service), watched.shut)
    };
    for strategy in strategies() {
        let name = strategy.name();
        let late = Arc::new(AtomicU64::new(0));
        let always = service_fn(|_: u64| ready(Ok::<_, BoxError>(())));
        let pool = ProviderPool::builder()
            .provider(Provider::boxed("always", always))
            .strategy(strategy)
            .build()
            .unwrap();
        let over = AtomicBool::new(false);
        let begin = Barrier::new(5);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    begin.wait();
                    let mut n = 0;
                    while !over.load(Ordering::Relaxed) {
                        block_on(pool.clone().oneshot(n)).unwrap_or_else(|error| panic!("{name}: {error}"));
                        n += 1;
                    }
                });
            }
            begin.wait();
            for round in 0..60 {
                let (guest, shut) = watched(&late);
                pool.add(guest).unwrap();
                assert_eq!(pool.set_weight("guest", round % 1000 + 1), Ok(true));
                std::thread::yield_now();
                assert!(pool.drain("guest"));
                block_on(pool.drained("guest"));
                shut.store(true, Ordering::SeqCst);
                std::thread::yield_now();
                if round % 2 == 0 {
                    shut.store(false, Ordering::SeqCst);
                    assert!(pool.resume("guest"));
                    std::thread::yield_now();
                }
                assert!(pool.remove("guest"));
            }
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!(
            late.load(Ordering::Relaxed),
            0,
            "{name}: calls that came after it was shut down"
        );
        let seen = pool.snapshot();
        assert_eq!((seen.providers.len(), seen.providers[0].in_flight), (1, 0), "{name}");
    }
}

#[test]
fn each_field_that_cannot_be_as_it_is_is_named_with_its_value_and_the_pool_stays_as_it_was() {
    let builder = ProviderPool::<Scripted, u64>::builder;
    let one = || Scripted::good("a", 0).provider();
    let year = secs(365 * 86_400);
    let over = year + Duration::from_nanos(1);
    let long = "\u{e9}".repeat(129);
    for (build, field, value) in [
        (builder().max_ejected(1.01), "max_ejected", "1.01"),
        (builder().max_ejected(f64::INFINITY), "max_ejected", "inf"),
        (builder().penalty(over), "penalty", "31536000.000000001s"),
        (builder().ready_within(over), "ready_within", "31536000.000000001s"),
        (builder().slow_start(over), "slow_start", "31536000.000000001s"),
        (builder().within(over), "within", "31536000.000000001s"),
        (builder().within(Duration::from_micros(999)), "within", "999µs"),
        (builder().failover(u32::MAX), "failover", "4294967295"),
        (builder().provider(one().limit(u32::MAX)), "limit", "4294967295"),
        (builder().provider(one().weight(u32::MAX)), "weight", "4294967295"),
        (builder().provider(one().serves_all(["x", ""])), "serves", "\"\""),
    ] {
        let error = build.build().unwrap_err();
        assert_eq!((error.field(), error.value()), (field, value));
        assert!(
            error.to_string().contains(error.problem()) && error.problem().contains("must"),
            "{error}"
        );
    }
    let error = builder().provider(one().serves(&long)).build().unwrap_err();
    assert_eq!(
        (error.field(), error.problem()),
        ("serves", "has 258 bytes; it must have 1 to 256")
    );
    assert!(error.value().len() < 200, "cut, and between two characters: {error}");
    let widest = builder()
        .provider(one().limit(u32::MAX - 1).weight(1000).serves("\u{e9}".repeat(128)))
        .max_ejected(0.0)
        .failover(64)
        .slow_start(year)
        .penalty(year)
        .ready_within(year)
        .within(year);
    let pool = widest.build().unwrap();
    assert!(pool.add(Scripted::good("b", 0).provider().weight(0)).is_err());
    assert!(pool.set_weight("a", 1001).is_err());
    let seen = pool.snapshot();
    assert_eq!((seen.providers.len(), seen.providers[0].weight), (1, 1000));
    let rt = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    rt.block_on(pool.oneshot(1))
        .expect("times that are as long as they may be do no harm");
}

#[tokio::test]
async fn models_follow_what_is_added_and_removed_and_drained_ones_still_own_theirs() {
    let pool = ProviderPool::<Scripted, u64>::builder()
        .provider(Scripted::good("m", 0).provider().serves_all(["z", "a", "a", "*"]))
        .provider(Scripted::good("k", 0).provider().serves("z"))
        .build()
        .unwrap();
    let models = || {
        let models = pool.models();
        assert!(models.is_sorted_by(|a, b| a.id < b.id), "sorted, each once");
        models
            .into_iter()
            .map(|model| format!("{}:{}", model.id, model.owner))
            .collect::<Vec<_>>()
    };
    assert_eq!(models(), ["a:m", "z:k"]);
    pool.drain("k");
    assert_eq!(models(), ["a:m", "z:k"]);
    pool.add(Scripted::good("b", 0).provider().serves("z")).unwrap();
    assert_eq!(models(), ["a:m", "z:b"]);
    pool.remove("b");
    pool.remove("m");
    assert_eq!(models(), ["z:k"]);
}

#[tokio::test(start_paused = true)]
async fn the_list_of_whom_a_call_has_tried_is_right_beyond_320_providers() {
    let services: Vec<Scripted> = (0..330)
        .map(|n| {
            if n == 329 {
                Scripted::good("last", 0)
            } else {
                Scripted::bad("x")
            }
        })
        .collect();
    let refused = |at: usize| Provider::new(format!("p{at}"), services[at].clone());
    let mut pool = ProviderPool::builder().strategy(InOrder).repeat_all().failover(64);
    for at in 266..330 {
        pool = pool.provider(refused(at));
    }
    for at in 0..266 {
        pool = pool.provider(refused(at).serves("other"));
    }
    let pool = pool.wants(|_: &u64| Some("this")).build().unwrap();
    assert_eq!(pool.clone().oneshot(1).await.unwrap(), "last", "the 64th that is asked");
    assert!(services.iter().all(|service| service.calls() <= 1), "nobody twice");
    let asked: u64 = services.iter().map(Scripted::calls).sum();
    assert_eq!(asked, 64);
    let names: BTreeSet<_> = pool.snapshot().providers.into_iter().map(|seen| seen.name).collect();
    assert_eq!(names.len(), 330);
}
