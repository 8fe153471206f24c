//! A store that fails: what a cooldown and a ledger do then, and that it comes back.

#![allow(clippy::cast_possible_truncation)] // small figures

mod support;

use std::sync::Arc;
use std::time::Duration;

use cooldown_layer::store::StoreErrorKind;
use cooldown_layer::{
    Action, AnomalyLedger, Budget, By, Cooldown, Freeze, Level, ManualWall, MemoryStore, Reason, Signature,
    StoreFailure, WallClock,
};
use support::{Flaky, HOUR, MINUTE, Mode, Rng, SECOND, over, word};

fn restart(target: &str) -> Action {
    Action::new("restart", target)
}

fn flaky() -> (Flaky, ManualWall) {
    let clock = ManualWall::default();
    (Flaky::new(MemoryStore::with_clock(clock.clone())), clock)
}

fn cooldown(store: &Flaky, failure: StoreFailure) -> Cooldown {
    let budget = Budget::of(3).per(10 * MINUTE);
    Cooldown::builder("repairs")
        .budget(budget)
        .store(store.clone())
        .on_store_failure(failure)
        .build()
        .expect("valid")
}

#[tokio::test]
async fn the_local_budget_is_filled_with_what_this_instance_knows() {
    let (store, clock) = flaky();
    let repairs = cooldown(&store, StoreFailure::Local);
    repairs
        .request(restart("a"))
        .await
        .expect("by the store")
        .succeeded()
        .await;
    clock.advance(MINUTE);
    repairs
        .request(restart("a"))
        .await
        .expect("by the store")
        .succeeded()
        .await;
    store.set(Mode::Away);
    repairs
        .request(restart("a"))
        .await
        .expect("one is left")
        .succeeded()
        .await;
    assert_eq!(
        over(&repairs.request(restart("a")).await.expect_err("spent")),
        (3, 3, Some(540_000))
    );
    clock.advance(9 * MINUTE);
    repairs
        .request(restart("a"))
        .await
        .expect("the first has left the window")
        .succeeded()
        .await;
    assert_eq!(word(&repairs.request(restart("a")).await), "over_budget");
    // It comes back by itself, and hears what was given meanwhile, at the time when it was given.
    store.set(Mode::Up);
    let status = repairs.status().await;
    assert!(status.fault.is_none());
    assert_eq!((status.budgets[0].used, status.open_leases), (3, 0));
    clock.advance(MINUTE);
    let fresh = cooldown(&store, StoreFailure::Refuse);
    for _ in 0..2 {
        fresh
            .request(restart("a"))
            .await
            .expect("the second and the third have left too")
            .succeeded()
            .await;
    }
    assert_eq!(word(&fresh.request(restart("a")).await), "over_budget");
}

#[tokio::test]
async fn a_unit_of_unknown_fate_counts_as_spent_and_counts_once() {
    let (store, _) = flaky();
    let repairs = cooldown(&store, StoreFailure::Local);
    store.set(Mode::Mute);
    for _ in 0..3 {
        repairs.request(restart("a")).await.expect("local").succeeded().await;
    }
    assert_eq!(word(&repairs.request(restart("a")).await), "over_budget");
    store.set(Mode::Up);
    assert_eq!(repairs.status().await.budgets[0].used, 3, "told twice, counted once");
    let refusing = cooldown(&store, StoreFailure::Refuse);
    assert_eq!(word(&refusing.request(restart("a")).await), "over_budget");
}

#[tokio::test]
async fn as_configured_it_refuses_or_allows() {
    let (store, _) = flaky();
    let (refusing, allowing) = (
        cooldown(&store, StoreFailure::Refuse),
        cooldown(&store, StoreFailure::Allow),
    );
    store.set(Mode::Away);
    let refused = refusing.request(restart("a")).await.expect_err("refuses");
    assert!(
        matches!(refused.reason(), Reason::StoreUnavailable { error } if error.kind() == StoreErrorKind::Unreachable)
    );
    assert_eq!(refused.retry_after(), None);
    for _ in 0..10 {
        allowing.request(restart("a")).await.expect("allows").succeeded().await;
    }
    assert_eq!(word(&allowing.request(restart("")).await), "empty_target");
    assert!(allowing.freeze("stop").await.is_err());
    assert_eq!(
        word(&allowing.request(restart("a")).await),
        "frozen",
        "a freeze of this instance holds"
    );
    store.set(Mode::Up);
    allowing.thaw().await.expect("heard");
    assert_eq!(allowing.status().await.budgets[0].used, 10, "and tells the store");
    assert_eq!(word(&refusing.request(restart("a")).await), "over_budget");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_left_after_250_ms() {
    let (store, _) = flaky();
    let repairs = cooldown(&store, StoreFailure::Refuse);
    let ledger = AnomalyLedger::builder("a").store(store.clone()).build().expect("valid");
    store.set(Mode::Hangs);
    let start = tokio::time::Instant::now();
    let refused = repairs.request(restart("a")).await.expect_err("no answer");
    assert!(matches!(refused.reason(), Reason::StoreUnavailable { error } if error.kind() == StoreErrorKind::TimedOut));
    assert_eq!(start.elapsed().as_millis() / 10, 25);
    assert_eq!(
        ledger.record(Signature::new("x")).await.fault.map(|fault| fault.kind()),
        Some(StoreErrorKind::TimedOut)
    );
    assert_eq!(start.elapsed().as_millis() / 10, 50);
    let slow = Cooldown::builder("slow")
        .store(store)
        .store_timeout(7 * SECOND)
        .build()
        .expect("valid");
    drop(slow.request(restart("a")).await.expect("local"));
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn a_freeze_holds_here_at_once_and_reaches_the_store_later() {
    let (store, _) = flaky();
    let (repairs, other) = (
        cooldown(&store, StoreFailure::Local),
        cooldown(&store, StoreFailure::Local),
    );
    store.set(Mode::Away);
    assert!(repairs.freeze("night").await.is_err());
    assert_eq!(word(&repairs.request(restart("a")).await), "frozen");
    assert!(
        repairs.thaw().await.is_err(),
        "nothing is thawed that the store does not hear"
    );
    assert_eq!(word(&repairs.request(restart("a")).await), "frozen");
    store.set(Mode::Up);
    assert_eq!(word(&repairs.request(restart("a")).await), "frozen");
    assert_eq!(
        word(&other.request(restart("a")).await),
        "frozen",
        "told with the next call"
    );
    store.set(Mode::Away);
    assert_eq!(
        word(&other.request(restart("a")).await),
        "frozen",
        "what the store said last holds in an outage"
    );
    store.set(Mode::Up);
    repairs.thaw().await.expect("heard");
    other.request(restart("a")).await.expect("thawed").succeeded().await;
    store.set(Mode::Away);
    other
        .request(restart("a"))
        .await
        .expect("thawed here too")
        .succeeded()
        .await;
}

#[tokio::test]
async fn a_spent_budgets_freeze_holds_in_an_outage() {
    let (store, clock) = flaky();
    let budget = Budget::of(1).per(MINUTE).when_spent(Freeze::UntilThaw);
    let repairs = Cooldown::builder("repairs")
        .budget(budget)
        .store(store.clone())
        .build()
        .expect("valid");
    repairs.request(restart("a")).await.expect("first").succeeded().await;
    store.set(Mode::Away);
    clock.advance(HOUR);
    assert_eq!(word(&repairs.request(restart("a")).await), "frozen");
}

#[tokio::test]
async fn outcomes_of_an_outage_are_told_when_it_is_over() {
    let (store, _) = flaky();
    let anomaly = Signature::new("Down");
    let ledger = AnomalyLedger::builder("a").store(store.clone()).build().expect("valid");
    let repairs = Cooldown::builder("repairs")
        .ledger(&ledger)
        .budget(Budget::of(9))
        .build()
        .expect("valid");
    let before = repairs
        .request(restart("a").because_of(&anomaly))
        .await
        .expect("by the store");
    store.set(Mode::Away);
    before.failed().await;
    repairs
        .request(restart("a").because_of(&anomaly))
        .await
        .expect("local")
        .failed()
        .await;
    assert_eq!(
        word(&repairs.request(restart("a").because_of(&anomaly)).await),
        "futile",
        "this instance knows its own"
    );
    assert_eq!(ledger.success_rate(&anomaly, "restart").await.tried, 0);
    store.set(Mode::Up);
    assert_eq!(repairs.status().await.open_leases, 0);
    let rate = ledger.success_rate(&anomaly, "restart").await;
    assert_eq!((rate.succeeded, rate.tried), (0, 2));
}

#[tokio::test]
async fn a_ledger_whose_store_fails_answers_zero_counts_and_says_so() {
    let (store, _) = flaky();
    let anomaly = Signature::new("Down");
    let ledger = AnomalyLedger::builder("a").store(store.clone()).build().expect("valid");
    for _ in 0..12 {
        ledger.record(&anomaly).await;
        ledger.repair_attempted(&anomaly, "restart", false).await;
    }
    store.set(Mode::Away);
    for seen in [ledger.record(&anomaly).await, ledger.frequency(&anomaly).await] {
        assert_eq!([seen.last_1h, seen.last_24h, seen.last_7d, seen.last_30d], [0; 4]);
        assert_eq!(
            (seen.level, seen.first_seen, seen.key),
            (Level::Single, None, anomaly.key())
        );
        assert!(seen.fault.is_some());
    }
    assert!(!ledger.needs(&anomaly, Level::Repeat).await);
    assert!(!ledger.should_skip(&anomaly, "restart").await);
    assert!(ledger.success_rate(&anomaly, "restart").await.fault.is_some());
    assert!(ledger.repair_stats(&anomaly).await.fault.is_some());
    assert!(ledger.repair_attempted(&anomaly, "restart", true).await.is_some());
    assert!(ledger.mark_permanent_fix(&anomaly, "x").await.is_some());
    store.set(Mode::Up);
    assert!(ledger.needs(&anomaly, Level::PermanentFix).await && ledger.should_skip(&anomaly, "restart").await);
    for bad in ["", "a\nb", &"x".repeat(129)] {
        assert!(
            ledger
                .repair_attempted(&anomaly, bad, true)
                .await
                .is_some_and(|e| e.kind() == StoreErrorKind::Config)
        );
    }
    assert!(ledger.mark_permanent_fix(&anomaly, "x".repeat(4097)).await.is_some());
}

#[tokio::test]
async fn a_full_memory_store_refuses_and_forgets_nothing_that_counts() {
    let clock = ManualWall::default();
    let store = MemoryStore::bounded(40, 1_000, clock.clone()).expect("valid");
    let ask = |target: String| {
        let store = store.clone();
        async move {
            let budget = Budget::of(1).per(HOUR).each_target();
            let repairs = Cooldown::builder("repairs")
                .budget(budget)
                .store(store)
                .build()
                .expect("valid");
            let got = repairs.request(restart(&target)).await;
            let word = word(&got);
            if let Ok(lease) = got {
                lease.succeeded().await;
            }
            word
        }
    };
    let words: Vec<_> = {
        let mut all = Vec::new();
        for n in 0..200 {
            all.push(ask(format!("pod-{n}")).await);
        }
        all
    };
    let given = words.iter().take_while(|word| **word == "granted").count();
    assert!(
        (30..=40).contains(&given) && words[given..].iter().all(|word| *word == "store_unavailable"),
        "{words:?}"
    );
    for n in 0..given {
        assert_eq!(
            ask(format!("pod-{n}")).await,
            "over_budget",
            "a flood of keys evicts nothing"
        );
    }
    clock.advance(HOUR + SECOND);
    assert_eq!(ask("pod-new".into()).await, "granted", "what has expired makes room");
    assert!(MemoryStore::bounded(0, 1, ManualWall::default()).is_err());
    assert!(MemoryStore::bounded(1, 0, ManualWall::default()).is_err());
    assert!(MemoryStore::bounded(usize::MAX, 1, ManualWall::default()).is_err());
}

#[tokio::test]
async fn a_million_records_of_one_anomaly_are_bounded_and_say_so() {
    let store = MemoryStore::with_clock(ManualWall::default());
    let ledger = AnomalyLedger::builder("a").store(store).build().expect("valid");
    let anomaly = Signature::new("Storm");
    for _ in 0..10_000 {
        ledger.record(&anomaly).await;
    }
    let seen = ledger.record(&anomaly).await;
    assert!(seen.at_least && seen.last_1h >= 10_000, "{seen:?}");
    let seen = ledger.frequency(&anomaly).await;
    assert_eq!((seen.last_1h, seen.at_least), (10_000, true));
}

/// Random outages, actions, time steps and restarts of instances: each instance never takes more than the budget in any
/// window, and without an outage all of them together do not.
#[tokio::test]
async fn in_any_mixture_of_outages_no_instance_ever_takes_more_than_the_budget() {
    for seed in 0..300 {
        let mut rng = Rng(seed);
        let (store, clock) = flaky();
        let (of, per) = (1 + rng.below(5), 1_000 * (1 + rng.below(20)));
        let outages = !rng.one_in(4);
        let failure = if rng.one_in(5) {
            StoreFailure::Refuse
        } else {
            StoreFailure::Local
        };
        let build = || {
            let per = Duration::from_millis(per);
            let budget = Budget::of(u32::try_from(of).expect("small"));
            let builder = Cooldown::builder("repairs")
                .budget(budget.clone().per(per))
                .budget(budget.per(per).each_target());
            builder
                .store(store.clone())
                .store_timeout(Duration::from_millis(1))
                .on_store_failure(failure)
                .build()
                .expect("valid")
        };
        let mut instances: Vec<(Cooldown, Vec<u64>)> = (0..3).map(|_| (build(), Vec::new())).collect();
        let mut all: Vec<u64> = Vec::new();
        for _ in 0..250 {
            match rng.below(10) {
                0..=6 => {
                    let (instance, given) = &mut instances[rng.below(3) as usize];
                    if let Ok(lease) = instance.request(restart(["a", "b"][rng.below(2) as usize])).await {
                        given.push(clock.now_ms());
                        all.push(clock.now_ms());
                        match rng.below(3) {
                            0 => lease.succeeded().await,
                            1 => lease.failed().await,
                            _ => drop(lease),
                        }
                    }
                }
                7 | 8 => clock.advance(Duration::from_millis(rng.below(per))),
                _ if outages => store.set([Mode::Up, Mode::Up, Mode::Away, Mode::Mute][rng.below(4) as usize]),
                _ => instances[0] = (build(), Vec::new()),
            }
        }
        let check = |given: &[u64], most: u64, whose: &str| {
            for (index, at) in given.iter().enumerate() {
                let used = given[..=index].iter().filter(|given| **given + per > *at).count() as u64;
                assert!(used <= most, "seed {seed}: {used} of {most} in a window, {whose}");
            }
        };
        for (_, given) in &instances {
            check(given, of, "one instance");
        }
        check(
            &all,
            if outages && failure == StoreFailure::Local {
                3 * of
            } else {
                of
            },
            "all together",
        );
    }
}

#[tokio::test]
async fn who_decided_is_told() {
    let (store, _) = flaky();
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = heard.clone();
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(2))
        .protect(["db"])
        .store(store.clone())
        .on_decision(move |decision| {
            log.lock().expect("one thread").push((
                decision.as_str(),
                decision.by,
                decision.budgets.first().map(|(_, used, _)| *used),
            ));
            panic!("a listener that panics harms nobody");
        })
        .build()
        .expect("valid");
    std::panic::set_hook(Box::new(|_| {}));
    drop(repairs.request(restart("a")).await.expect("store"));
    store.set(Mode::Away);
    drop(repairs.request(restart("a")).await.expect("local"));
    assert!(repairs.request(restart("a")).await.is_err());
    assert!(repairs.request(restart("db")).await.is_err());
    let _ = std::panic::take_hook();
    let words = [
        ("granted", By::Store, Some(1)),
        ("granted", By::Local, Some(2)),
        ("over_budget", By::Local, None),
        ("protected", By::Rules, None),
    ];
    assert_eq!(*heard.lock().expect("one thread"), words);
}
