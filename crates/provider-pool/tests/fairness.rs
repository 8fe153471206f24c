//! Who gets how many calls where not everybody serves everything, weights change, and what is known grows old.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use provider_pool::{
    Availability, InOrder, LeastInFlight, LeastLatency, PeakEwmaP2c, Provider, ProviderPool, RoundRobin, Strategy,
    Weighted,
};
use state_core::Refusal;
use support::{Scripted, ms, secs};
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};

type Counts = BTreeMap<String, u64>;

fn pool(strategy: impl Strategy, providers: &[(&'static str, &str, u32)]) -> ProviderPool<Scripted, u64> {
    let mut pool = ProviderPool::builder()
        .strategy(strategy)
        .seed(7)
        .slow_start(Duration::ZERO);
    for (name, serves, weight) in providers {
        let provider = Scripted::good(name, 0).provider().weight(*weight);
        pool = pool.provider(provider.serves_all(serves.split(' ')));
    }
    pool.build().unwrap()
}

fn count(pool: &ProviderPool<Scripted, u64>, wanted: &[&str], rounds: u64) -> Vec<Counts> {
    let mut counts = vec![Counts::new(); wanted.len()];
    for _ in 0..rounds {
        for (counts, wanted) in counts.iter_mut().zip(wanted) {
            let name = pool.pick(Some(wanted)).expect("somebody serves it");
            *counts.entry(name.to_string()).or_default() += 1;
        }
    }
    counts
}

fn of(counts: &Counts, name: &str) -> u64 {
    counts.get(name).copied().unwrap_or(0)
}

fn by_turns() -> Vec<Box<dyn Strategy>> {
    vec![
        Box::new(RoundRobin::default()),
        Box::new(Weighted::default()),
        Box::new(Availability::default()),
        Box::new(LeastInFlight::default()),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_capability_that_is_seldom_wanted_is_shared_among_all_that_serve_it() {
    for strategy in by_turns() {
        let name = strategy.name();
        let pool = pool(
            strategy,
            &[("a", "busy", 1), ("b", "busy", 1), ("c", "rare", 1), ("d", "rare", 1)],
        );
        let wanted = ["busy", "busy", "busy", "busy", "busy", "busy", "busy", "rare"];
        let rare = &count(&pool, &wanted, 10_000)[7];
        assert_eq!(
            (of(rare, "c"), of(rare, "d")),
            (5_000, 5_000),
            "{name}: one after the other"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn weights_are_exact_for_each_capability_however_often_another_is_wanted() {
    let providers = [
        ("a", "x", 1),
        ("b", "x", 1),
        ("c", "y", 3),
        ("d", "y", 1),
        ("e", "y", 2),
    ];
    let pool = pool(Weighted::default(), &providers);
    let y = &count(&pool, &["x", "x", "x", "y", "x", "x", "x", "x"], 60_000)[3];
    assert_eq!([of(y, "c"), of(y, "d"), of(y, "e")], [30_000, 10_000, 20_000]);
}

#[tokio::test(start_paused = true)]
async fn one_that_serves_two_capabilities_starves_nobody_of_either() {
    for strategy in by_turns() {
        let name = strategy.name();
        let pool = pool(strategy, &[("a", "x", 1), ("both", "x y", 1), ("c", "y", 1)]);
        let counts = count(&pool, &["x", "x", "x", "x", "x", "y"], 10_000);
        assert!(of(&counts[5], "c") >= 5_000, "{name}: {counts:?}");
        let x: u64 = counts[..5].iter().map(|counts| of(counts, "a")).sum();
        let both: u64 = counts[..5].iter().map(|counts| of(counts, "both")).sum();
        assert!(x >= 20_000 && both >= 20_000, "{name}: {counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_weight_counts_from_the_next_call_on_also_one_that_was_small() {
    let pool = pool(Weighted::default(), &[("a", "x", 1), ("b", "x", 1000)]);
    count(&pool, &["x"], 1_010);
    pool.set_weight("a", 1000).unwrap();
    let counts = &count(&pool, &["x"], 100)[0];
    assert!(of(counts, "a").abs_diff(50) <= 1, "{counts:?}");
    pool.set_weight("b", 1).unwrap();
    let counts = &count(&pool, &["x"], 2_002)[0];
    assert!(of(counts, "b").abs_diff(2) <= 1, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_away_takes_up_where_the_others_are_and_is_owed_nothing() {
    for strategy in [
        Box::new(RoundRobin::default()) as Box<dyn Strategy>,
        Box::new(Weighted::default()),
    ] {
        let name = strategy.name();
        let pool = pool(strategy, &[("a", "x", 1), ("b", "x", 1), ("c", "x", 1)]);
        pool.drain("c");
        pool.drain("b");
        count(&pool, &["x"], 100_000);
        pool.resume("c");
        count(&pool, &["x"], 10_001);
        pool.resume("b");
        let counts = &count(&pool, &["x"], 30)[0];
        for provider in ["a", "b", "c"] {
            assert!(of(counts, provider).abs_diff(10) <= 1, "{name}: {counts:?}");
        }
        pool.add(Scripted::good("d", 0).provider().serves("x")).unwrap();
        let counts = &count(&pool, &["x"], 40)[0];
        assert!(of(counts, "d").abs_diff(10) <= 1, "{name}: {counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_refused_for_a_while_is_tried_again_with_time() {
    let strategies: [Box<dyn Strategy>; 2] = [Box::new(LeastLatency::default()), Box::new(PeakEwmaP2c)];
    for strategy in strategies {
        let name = strategy.name();
        let refuses = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&refuses);
        let shed = service_fn(move |_: u64| {
            let refuses = seen.load(Ordering::Relaxed);
            async move {
                tokio::time::sleep(ms(1)).await;
                if refuses {
                    Err(provider_pool::BoxError::from(Refusal::new(None)))
                } else {
                    Ok("shed")
                }
            }
        });
        let pool = ProviderPool::builder()
            .provider(Provider::boxed("shed", shed))
            .provider(Provider::boxed("b", Scripted::good("b", 20)))
            .strategy(strategy)
            .repeat_all()
            .seed(3);
        let pool = pool.build().unwrap();
        for n in 0..100 {
            assert_eq!(pool.clone().oneshot(n).await.unwrap(), "b", "{name}");
        }
        refuses.store(false, Ordering::Relaxed);
        let mut again = 0;
        for n in 0..2_000 {
            again += u32::from(pool.clone().oneshot(n).await.unwrap() == "shed");
            tokio::time::sleep(ms(100)).await;
        }
        assert!(
            again > 100,
            "{name}: {again} of 2000 in 200 s, though it is the faster one"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_longer_than_the_deadline_allows_is_not_tried_with_every_call() {
    // It used to take two seconds; now it hangs, and the callers have one.
    let a = Scripted::new("a", |n| (if n == 0 { secs(2) } else { secs(1_000_000) }, Ok(())));
    let b = Scripted::good("b", 20);
    let started = Instant::now();
    let pool = ProviderPool::builder()
        .provider(a.provider())
        .provider(b.provider())
        .strategy(LeastLatency::default())
        .deadline(move |n: &u64| (*n > 0).then(|| Instant::now() + secs(1)));
    let pool = pool.build().unwrap();
    pool.clone().oneshot(0).await.unwrap();
    for _ in 0..1_000 {
        let _ = pool.clone().oneshot(1).await;
    }
    assert_eq!(a.calls() + b.calls(), 1_001);
    let due = started.elapsed().as_secs() / 10 + 2;
    assert!(a.calls() <= due, "{} calls in {:?}", a.calls(), started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_has_faded_stays_faded_when_a_call_is_refused_or_given_up() {
    let a = Scripted::new("a", |n| match n {
        0..50 => (ms(1), Err("broken")),
        _ => (secs(3_600), Ok(())),
    });
    let pool = ProviderPool::builder().provider(a.provider()).strategy(InOrder);
    let pool = pool
        .deadline(|n: &u64| (*n > 0).then(|| Instant::now() + secs(30)))
        .build()
        .unwrap();
    for _ in 0..50 {
        pool.clone().oneshot(0).await.unwrap_err();
    }
    let rate = || pool.snapshot().providers[0].failure_rate;
    tokio::time::sleep(secs(20)).await;
    let faded = rate();
    pool.clone().oneshot(1).await.unwrap_err();
    assert!(rate() < faded, "{} after {faded}", rate());

    let refuses = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&refuses);
    let shed = service_fn(move |_: u64| {
        let refused = || Err(provider_pool::BoxError::from(Refusal::new(None)));
        std::future::ready(if seen.load(Ordering::Relaxed) {
            refused()
        } else {
            Err::<(), _>("broken".into())
        })
    });
    let pool = ProviderPool::builder()
        .provider(Provider::boxed("shed", shed))
        .build()
        .unwrap();
    for n in 0..50 {
        pool.clone().oneshot(n).await.unwrap_err();
    }
    tokio::time::sleep(secs(20)).await;
    refuses.store(true, Ordering::Relaxed);
    let before = pool.snapshot().providers.remove(0);
    pool.clone().oneshot(1).await.unwrap_err();
    let after = pool.snapshot().providers.remove(0);
    assert!(
        after.failure_rate <= before.failure_rate,
        "{} after {}",
        after.failure_rate,
        before.failure_rate
    );
    assert_eq!((after.latency, after.refused, after.failed), (before.latency, 1, 50));
}
