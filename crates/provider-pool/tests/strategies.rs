//! Who gets how many calls, with seeded randomness.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use circuit_layer::CircuitLayer;
use provider_pool::{
    Availability, InOrder, LeastInFlight, LeastLatency, PeakEwmaP2c, Provider, ProviderPool, RoundRobin, Strategy,
    Weighted,
};
use state_core::{Circuit, ManualClock};
use support::{Scripted, ms, secs, strategies};
use tower::{ServiceBuilder, ServiceExt};

const CALLS: u64 = 100_000;

/// A pool of providers that are named and weighed, all good at once.
fn weighed(strategy: impl Strategy, weights: &[u32]) -> ProviderPool<Scripted, u64> {
    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
    let mut pool = ProviderPool::builder()
        .strategy(strategy)
        .seed(42)
        .slow_start(Duration::ZERO);
    for (name, weight) in NAMES.into_iter().zip(weights) {
        pool = pool.provider(Scripted::good(name, 0).provider().weight(*weight));
    }
    pool.build().unwrap()
}

fn picks(pool: &ProviderPool<Scripted, u64>, number: u64) -> Vec<Arc<str>> {
    (0..number)
        .map(|_| pool.pick(None).expect("one is available"))
        .collect()
}

fn counted(picks: &[Arc<str>]) -> Vec<u64> {
    let mut counts = BTreeMap::new();
    for name in picks {
        *counts.entry(Arc::clone(name)).or_insert(0) += 1;
    }
    counts.into_values().collect()
}

#[tokio::test(start_paused = true)]
async fn smooth_weighted_is_in_exact_proportion_and_evenly_spread() {
    for weights in [
        &[3, 1][..],
        &[5, 1, 1],
        &[100, 50, 25],
        &[7, 7, 7, 7, 7],
        &[1000, 1],
        &[13, 11, 3],
    ] {
        let pool = weighed(Weighted::default(), weights);
        let picks = picks(&pool, CALLS);
        let sum: u32 = weights.iter().sum();
        for (count, weight) in counted(&picks).into_iter().zip(weights) {
            let due = CALLS as f64 * f64::from(*weight) / f64::from(sum);
            assert!((count as f64 - due).abs() <= 1.5, "{weights:?}: {count} of {due}");
        }
        // At no time has anybody had more than a call or so too many.
        let mut had = vec![0.0; weights.len()];
        for (n, name) in picks.iter().enumerate() {
            had[usize::from(name.as_bytes()[0] - b'a')] += 1.0;
            for (had, weight) in had.iter().zip(weights) {
                let due = (n + 1) as f64 * f64::from(*weight) / f64::from(sum);
                assert!((had - due).abs() < 2.0, "{weights:?}: {had} of {due} after {n}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn weights_that_change_count_from_then_on() {
    let pool = weighed(Weighted::default(), &[1, 1]);
    picks(&pool, 1000);
    pool.set_weight("a", 9).unwrap();
    assert_eq!(counted(&picks(&pool, 1000)), [900, 100]);
    pool.drain("a");
    picks(&pool, 100_000);
    pool.resume("a");
    let after = counted(&picks(&pool, 1000));
    assert!(
        after[0].abs_diff(900) <= 1,
        "who was away takes up where the others are: {after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn round_robin_is_one_after_the_other_and_fair_without_one() {
    let pool = weighed(RoundRobin::default(), &[9, 1, 1, 5]);
    assert_eq!(counted(&picks(&pool, CALLS)), [CALLS / 4; 4]);
    pool.drain("b");
    let without = picks(&pool, 99_999);
    assert_eq!(
        counted(&without),
        [33_333; 3],
        "the turns of who is out go to all the others alike"
    );
    assert!(
        without
            .windows(3)
            .all(|three| three[0] != three[1] && three[1] != three[2] && three[0] != three[2])
    );
}

#[test]
fn turns_are_exact_with_four_threads() {
    let pool = weighed(Weighted::default(), &[5, 2, 1]);
    let mut counts = [0_u64; 3];
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| counted(&picks(&pool, 40_000)))).collect();
        for thread in threads {
            for (sum, count) in counts.iter_mut().zip(thread.join().unwrap()) {
                *sum += count;
            }
        }
    });
    assert_eq!(counts.iter().sum::<u64>(), 160_000);
    for (count, due) in counts.into_iter().zip([100_000, 40_000, 20_000]) {
        assert!(count.abs_diff(due) <= 4, "{counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_order_is_the_first_that_may_be_asked() {
    let pool = weighed(InOrder, &[1, 1, 1]);
    assert_eq!(counted(&picks(&pool, 100)), [100]);
    pool.drain("a");
    assert_eq!(pool.pick(None).as_deref(), Some("b"));
    pool.drain("b");
    assert_eq!(pool.pick(None).as_deref(), Some("c"));
    pool.resume("a");
    assert_eq!(pool.pick(None).as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn least_latency_tries_the_untried_and_then_takes_the_fastest() {
    let (a, b, c) = (
        Scripted::good("a", 30),
        Scripted::good("b", 10),
        Scripted::good("c", 20),
    );
    let pool = ProviderPool::builder()
        .provider(a.provider())
        .provider(b.provider())
        .provider(c.provider());
    let pool = pool.strategy(LeastLatency::default()).build().unwrap();
    for n in 0..103 {
        pool.clone().oneshot(n).await.unwrap();
    }
    assert_eq!((a.calls(), b.calls(), c.calls()), (1, 101, 1));
    // After 10 s without a call they are tried again: whoever was slow may be fast by now.
    tokio::time::sleep(secs(10)).await;
    for n in 0..100 {
        pool.clone().oneshot(n).await.unwrap();
    }
    assert_eq!((a.calls(), c.calls()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn least_latency_sends_a_burst_of_first_calls_not_all_to_the_same_untried_one() {
    let services = [
        Scripted::good("a", 10),
        Scripted::good("b", 10),
        Scripted::good("c", 10),
    ];
    let mut pool = ProviderPool::builder().strategy(LeastLatency::default());
    for service in &services {
        pool = pool.provider(service.provider());
    }
    let pool = pool.build().unwrap();
    let mut calls: Vec<_> = (0..9)
        .map(|n| tokio_test::task::spawn(pool.clone().oneshot(n)))
        .collect();
    for call in &mut calls {
        tokio_test::assert_pending!(call.poll());
    }
    assert_eq!(services.each_ref().map(Scripted::calls), [3, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn peak_ewma_of_two_choices_leaves_a_slow_one_and_shares_among_equals() {
    let services = [
        Scripted::good("a", 10),
        Scripted::good("b", 10),
        Scripted::good("c", 10),
        Scripted::good("d", 100),
    ];
    let mut pool = ProviderPool::builder().strategy(PeakEwmaP2c).seed(7);
    for service in &services {
        pool = pool.provider(service.provider());
    }
    let pool = pool.build().unwrap();
    drive(&pool, 8, 20_000).await;
    let calls = services.each_ref().map(Scripted::calls);
    assert!(calls[3] < 1_000, "{calls:?}");
    for equal in &calls[..3] {
        assert!(equal.abs_diff(calls[0]) < calls[0] / 10, "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn least_in_flight_goes_by_what_each_has_to_do() {
    let services = [
        Scripted::good("a", 10),
        Scripted::good("b", 10),
        Scripted::good("c", 40),
    ];
    let mut pool = ProviderPool::builder().strategy(LeastInFlight::default());
    for service in &services {
        pool = pool.provider(service.provider());
    }
    let pool = pool.build().unwrap();
    drive(&pool, 9, 9_000).await;
    let [a, b, c] = services.each_ref().map(Scripted::calls);
    assert!(
        a.abs_diff(b) < a / 20 && c * 3 < a,
        "who takes four times as long gets a quarter: {a} {b} {c}"
    );
    assert!(c > 500, "and no less: {c}");
}

/// So many clients at once make so many calls in all.
async fn drive(pool: &ProviderPool<Scripted, u64>, clients: u64, calls: u64) {
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for n in 0..calls / clients {
                    let _ = pool.clone().oneshot(n).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn availability_goes_to_the_one_that_fails_least_and_shares_among_equals() {
    let equal = counted(&picks(&weighed(Availability::default(), &[1, 1, 1]), CALLS));
    assert!(
        equal.iter().all(|count| (CALLS / 3..=CALLS / 3 + 1).contains(count)),
        "{equal:?}"
    );

    let failing = |name: &'static str, one_in: u64| {
        Scripted::new(name, move |n| {
            (ms(1), if n % one_in == 0 { Err("now and then") } else { Ok(()) })
        })
    };
    let (a, b, c) = (failing("a", 10), failing("b", 100), failing("c", u64::MAX));
    let pool = ProviderPool::builder()
        .provider(a.provider())
        .provider(b.provider())
        .provider(c.provider())
        .strategy(Availability::default())
        .seed(5)
        .build()
        .unwrap();
    drive(&pool, 4, CALLS).await;
    let (a, b, c) = (a.calls(), b.calls(), c.calls());
    assert_eq!(a + b + c, CALLS);
    assert!(c > CALLS / 2 && c > b && b > a, "{a} {b} {c}");
    assert!(a > 0, "and nobody is given up for ever: {a} {b} {c}");
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_half_of_its_calls_fast_gets_less_than_a_quarter_of_an_equal_share() {
    let learning: [Box<dyn Strategy>; 4] = [
        Box::new(LeastLatency::default()),
        Box::new(PeakEwmaP2c),
        Box::new(Availability::default()),
        Box::new(LeastInFlight::default()),
    ];
    for strategy in learning {
        let name = strategy.name();
        let half = Scripted::new("half", |n| (ms(1), if n % 2 == 0 { Err("fast") } else { Ok(()) }));
        let (b, c) = (Scripted::good("b", 20), Scripted::good("c", 20));
        let pool = ProviderPool::builder().strategy(strategy).seed(11);
        let pool = pool
            .provider(half.provider())
            .provider(b.provider())
            .provider(c.provider())
            .build()
            .unwrap();
        drive(&pool, 6, 12_000).await;
        let all = half.calls() + b.calls() + c.calls();
        assert_eq!(all, 12_000);
        assert!(half.calls() * 12 < all, "{name}: {} of {all}", half.calls());
        assert!(half.calls() > 0, "{name}: it is tried");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_from_the_start_under_an_outer_timeout_does_not_get_every_call() {
    let learning: [Box<dyn Strategy>; 3] = [
        Box::new(LeastLatency::default()),
        Box::new(PeakEwmaP2c),
        Box::new(LeastInFlight::default()),
    ];
    for strategy in learning {
        let name = strategy.name();
        let (hung, good) = (Scripted::good("hung", 3_600_000), Scripted::good("good", 10));
        let pool = ProviderPool::builder().strategy(strategy).seed(9);
        let pool = pool
            .provider(hung.provider())
            .provider(good.provider())
            .build()
            .unwrap();
        for n in 0..100 {
            let _ = tokio::time::timeout(ms(500), pool.clone().oneshot(n)).await;
        }
        // In flight nobody is, between two calls one after the other: these are equals then, and take turns.
        let most = if name == "least_in_flight" { 50 } else { 10 };
        assert!(hung.calls() <= most, "{name}: {} of 100", hung.calls());
        assert!(good.calls() >= 50, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_own_layers_refuse_every_call_does_not_attract_them() {
    let learning: [Box<dyn Strategy>; 2] = [Box::new(LeastLatency::default()), Box::new(PeakEwmaP2c)];
    for strategy in learning {
        let name = strategy.name();
        let open = Circuit::builder("open").build().unwrap();
        open.force_open();
        let closed = Circuit::builder("closed").build().unwrap();
        let behind = |service: &Scripted, circuit| {
            ServiceBuilder::new()
                .layer(CircuitLayer::new(circuit))
                .service(service.clone())
        };
        let (a, b) = (Scripted::good("a", 0), Scripted::good("b", 10));
        // The pool is not told of the circuits, and no request may be sent twice.
        let pool = ProviderPool::builder()
            .provider(Provider::new("a", behind(&a, open)))
            .provider(Provider::new("b", behind(&b, closed)))
            .strategy(strategy)
            .seed(2)
            .build()
            .unwrap();
        for n in 0..100 {
            let _ = pool.clone().oneshot(n).await;
        }
        let refused = pool.snapshot().providers[0].refused;
        assert!(
            (1..=5).contains(&refused) && b.calls() >= 95,
            "{name}: {refused} of 100 refused"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_starves_what_was_slow_or_broken_is_tried_again_with_time() {
    for strategy in strategies() {
        if strategy.name() == "in_order" {
            continue;
        }
        let name = strategy.name();
        let well = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&well);
        let a = Scripted::new("a", move |_| {
            if seen.load(Ordering::Relaxed) {
                (ms(1), Ok(()))
            } else {
                (ms(500), Err("broken"))
            }
        });
        let b = Scripted::good("b", 10);
        let pool = ProviderPool::builder().strategy(strategy).seed(3);
        let pool = pool.provider(a.provider()).provider(b.provider()).build().unwrap();
        for n in 0..200 {
            let _ = pool.clone().oneshot(n).await;
        }
        well.store(true, Ordering::Relaxed);
        let before = a.calls();
        for n in 0..20_000 {
            let _ = pool.clone().oneshot(n).await;
            tokio::time::sleep(ms(5)).await;
        }
        assert!(
            a.calls() - before > 100,
            "{name}: {} calls in 200 s and more",
            a.calls() - before
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_strategy_calls_an_open_provider_but_for_trials() {
    for strategy in strategies() {
        let name = strategy.name();
        let clock = ManualClock::new();
        let circuit = Circuit::builder("a")
            .consecutive_failures(3)
            .open_for(secs(30))
            .trials(2)
            .clock(clock.clone());
        let circuit = circuit.build().unwrap();
        let other = Circuit::builder("b").build().unwrap();
        let (a, b) = (Scripted::bad("a"), Scripted::good("b", 0));
        let behind = |service: &Scripted, circuit| {
            ServiceBuilder::new()
                .layer(CircuitLayer::new(circuit))
                .service(service.clone())
        };
        let pool = ProviderPool::builder()
            .provider(Provider::new("a", behind(&a, circuit)).circuit(circuit))
            .provider(Provider::new("b", behind(&b, other)).circuit(other))
            .strategy(strategy)
            .seed(1)
            .repeat_all()
            .build()
            .unwrap();
        for _ in 0..3 {
            let permit = circuit.acquire().unwrap();
            permit.failure();
        }
        for n in 0..10_000 {
            assert_eq!(pool.clone().oneshot(n).await.unwrap(), "b", "{name}");
        }
        assert_eq!(a.calls(), 0, "{name}");
        for trial in 1..=3 {
            clock.advance(secs(30));
            tokio::time::sleep(secs(120)).await;
            for n in 0..1_000 {
                assert_eq!(pool.clone().oneshot(n).await.unwrap(), "b", "{name}");
            }
            assert!(a.calls() <= trial, "{name}: {} calls in {trial} trials", a.calls());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_all_start_slowly_share_as_always() {
    let pool = ProviderPool::builder()
        .strategy(InOrder)
        .slow_start(secs(100))
        .build()
        .unwrap();
    for name in ["a", "b", "c"] {
        pool.add(Scripted::good(name, 0).provider()).unwrap();
    }
    assert!(pool.snapshot().providers.iter().all(|provider| provider.share < 0.2));
    assert_eq!(counted(&picks(&pool, 1_000)), [1_000], "all go to the first, as ever");
}

#[tokio::test(start_paused = true)]
async fn slow_start_grows_from_a_tenth_of_the_share_to_all_of_it() {
    for strategy in strategies() {
        let name = strategy.name();
        let (a, b) = (Scripted::good("a", 0), Scripted::good("b", 0));
        let pool = ProviderPool::builder().strategy(strategy).seed(5).slow_start(secs(100));
        let pool = pool.provider(a.provider()).provider(b.provider()).build().unwrap();
        for n in 0..1_000 {
            pool.clone().oneshot(n).await.unwrap();
        }
        let share = |calls: u64| calls as f64 / 2_000.0;
        pool.drain("a");
        pool.pick(None);
        pool.resume("a");
        pool.pick(None);
        let mut shares = Vec::new();
        for _ in 0..3 {
            let before = a.calls();
            for n in 0..2_000 {
                pool.clone().oneshot(n).await.unwrap();
            }
            shares.push(share(a.calls() - before));
            tokio::time::sleep(secs(50)).await;
        }
        // In order it would get everything, in turns half.
        let whole = shares[2];
        assert!(shares[0] < 0.2, "{name}: {shares:?}");
        if whole > 0.3 {
            assert!(shares[0] < shares[1] && shares[1] < whole * 0.95, "{name}: {shares:?}");
        }
        pool.remove("b");
        pool.drain("a");
        pool.resume("a");
        for n in 0..100 {
            pool.clone().oneshot(n).await.expect("the only one is never left out");
        }
    }
}
