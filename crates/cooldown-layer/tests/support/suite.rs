//! What every store has to keep, as the contract says it. `stores!` makes a test of each for a store.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cooldown_layer::store::{Answer, Operation, Outcome, Store};
use cooldown_layer::{
    Action, AnomalyLedger, Budget, Cooldown, DecisionId, Escalation, Freeze, Level, ManualWall, Reason, Signature,
    StoreFailure, TrackRecord,
};

use super::{DAY, HOUR, MINUTE, SECOND, over, word};

/// A test of each promise for one store.
#[macro_export]
macro_rules! stores {
    ($make:expr; $($test:ident)*) => { $(
        #[tokio::test]
        async fn $test() {
            let clock = cooldown_layer::ManualWall::default();
            let (store, _keep) = $make(clock.clone());
            support::suite::$test(store, clock).await;
        }
    )* };
    ($make:expr) => {
        stores! { $make;
            never_more_than_n_in_any_window_and_the_next_one_exactly_a_window_later
            all_budgets_must_agree_and_a_refusal_by_one_takes_nothing_from_another
            a_budget_for_each_target_leaves_the_others_free
            labels_and_kinds_are_counted_by_themselves
            spent_it_is_frozen_for_the_time_that_was_asked_or_until_thaw
            an_operators_freeze_refuses_everything_until_thaw
            under_twenty_percent_success_in_two_tries_is_futile
            a_lease_that_outlives_its_time_counts_as_failed
            an_abandoned_lease_counts_nowhere_and_its_unit_stays_spent
            only_the_last_hundred_outcomes_count
            ledger_figures_over_31_days
            two_records_at_the_same_instant_are_two
            entries_expire_after_35_days_and_a_fix_mark_after_90
            at_permanent_fix_an_action_needs_a_person_unless_allowed
            a_clock_that_jumps_back_never_yields_more_than_the_budget
            what_is_sent_twice_counts_once
            status_shows_what_stands
            dry_run_decides_and_reports_and_refuses_nothing
            bad_input_is_refused_and_nothing_is_written
            wild_names_are_kept_apart
            random_walks_agree_with_the_plain_reference
        }
    };
}

fn restart(target: &str) -> Action {
    Action::new("restart", target)
}

/// A millisecond less.
fn just_before(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_millis(1))
}

fn ms(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).expect("after 1970").as_millis()
}

fn cooldown(store: &Arc<dyn Store>, name: &str, budget: Budget) -> Cooldown {
    let builder = Cooldown::builder(name).budget(budget).store(store.clone());
    builder
        .on_store_failure(StoreFailure::Refuse)
        .store_timeout(10 * SECOND)
        .build()
        .expect("valid")
}

pub async fn never_more_than_n_in_any_window_and_the_next_one_exactly_a_window_later(
    store: Arc<dyn Store>,
    clock: ManualWall,
) {
    let repairs = cooldown(&store, "repairs", Budget::of(5).per(15 * MINUTE));
    for _ in 0..5 {
        repairs
            .request(restart("api"))
            .await
            .expect("within the budget")
            .succeeded()
            .await;
        clock.advance(MINUTE);
    }
    let refused = repairs.request(restart("api")).await.expect_err("spent");
    assert_eq!(over(&refused), (5, 5, Some(600_000)));
    assert!(
        refused
            .to_string()
            .contains("budget 5 per 15 min is spent; frozen until"),
        "{refused}"
    );
    clock.advance(just_before(10 * MINUTE));
    assert_eq!(
        over(&repairs.request(restart("api")).await.expect_err("a millisecond early")),
        (5, 5, Some(1))
    );
    clock.advance(Duration::from_millis(1));
    // The first has left the window, the other four have not.
    repairs
        .request(restart("api"))
        .await
        .expect("one is free")
        .failed()
        .await;
    assert_eq!(
        over(&repairs.request(restart("api")).await.expect_err("only one")),
        (5, 5, Some(60_000))
    );
}

pub async fn all_budgets_must_agree_and_a_refusal_by_one_takes_nothing_from_another(
    store: Arc<dyn Store>,
    clock: ManualWall,
) {
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(10).per(HOUR))
        .budget(Budget::of(1).per(MINUTE).each_target())
        .budget(Budget::of(3).per(10 * MINUTE))
        .store(store.clone())
        .build()
        .expect("valid");
    repairs.request(restart("a")).await.expect("first").succeeded().await;
    for _ in 0..20 {
        let refused = repairs.request(restart("a")).await.expect_err("one for each target");
        assert!(
            matches!(refused.reason(), Reason::OverBudget { budget, .. } if budget == "1 per 1 min for each target")
        );
    }
    let status = repairs.status_of(&restart("b")).await;
    assert_eq!(status.budgets.iter().map(|b| b.used).collect::<Vec<_>>(), [1, 0, 1]);
    repairs
        .request(restart("b").cost(1))
        .await
        .expect("untouched")
        .succeeded()
        .await;
    // Two units do not fit into the one that is left of three, though one does.
    let both = Cooldown::builder("both")
        .budget(Budget::of(3))
        .budget(Budget::of(9))
        .store(store)
        .build()
        .expect("valid");
    both.request(restart("a").cost(2))
        .await
        .expect("two of three")
        .succeeded()
        .await;
    assert_eq!(
        over(&both.request(restart("a").cost(2)).await.expect_err("one is left")),
        (2, 3, Some(900_000))
    );
    clock.advance(MINUTE);
    both.request(restart("a"))
        .await
        .expect("the one that is left")
        .succeeded()
        .await;
    assert_eq!(
        over(&both.request(restart("a").cost(3)).await.expect_err("spent")),
        (3, 3, Some(900_000))
    );
    assert_eq!(
        over(&both.request(restart("a").cost(2)).await.expect_err("spent")),
        (3, 3, Some(840_000))
    );
}

pub async fn a_budget_for_each_target_leaves_the_others_free(store: Arc<dyn Store>, _: ManualWall) {
    let repairs = cooldown(&store, "repairs", Budget::of(1).each_target());
    for target in ["a", "b", "c", "a/b", "target=a"] {
        repairs
            .request(restart(target))
            .await
            .expect("its own budget")
            .succeeded()
            .await;
        assert_eq!(word(&repairs.request(restart(target)).await), "over_budget");
    }
}

pub async fn labels_and_kinds_are_counted_by_themselves(store: Arc<dyn Store>, _: ManualWall) {
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(2).each_label("ns"))
        .budget(Budget::of(1).kind("purge"))
        .budget(Budget::of(3).each_kind())
        .budget(Budget::of(1).label("ns", "prod"))
        .store(store)
        .build()
        .expect("valid");
    let ask = async |kind: &str, ns: Option<&str>| {
        let action = Action::new(kind, "x");
        word(
            &repairs
                .request(ns.into_iter().fold(action, |action, ns| action.label("ns", ns)))
                .await,
        )
    };
    assert_eq!(ask("restart", Some("prod")).await, "granted");
    assert_eq!(ask("restart", Some("prod")).await, "over_budget");
    assert_eq!(ask("restart", Some("dev")).await, "granted");
    assert_eq!(ask("purge", None).await, "granted");
    assert_eq!(ask("purge", Some("dev")).await, "over_budget");
    assert_eq!(ask("restart", None).await, "granted");
    assert_eq!(
        ask("failover", None).await,
        "over_budget",
        "what has no label counts together"
    );
    assert_eq!(ask("restart", Some("dev")).await, "over_budget", "three of a kind");
    assert_eq!(ask("failover", Some("dev")).await, "granted");
}

pub async fn spent_it_is_frozen_for_the_time_that_was_asked_or_until_thaw(store: Arc<dyn Store>, clock: ManualWall) {
    let hour = cooldown(
        &store,
        "hour",
        Budget::of(2).per(10 * MINUTE).when_spent(Freeze::For(HOUR)),
    );
    let start = cooldown_layer::WallClock::now_ms(&clock);
    hour.request(restart("a")).await.expect("first").succeeded().await;
    clock.advance(MINUTE);
    hour.request(restart("a"))
        .await
        .expect("last: now it is spent")
        .succeeded()
        .await;
    assert_eq!(
        over(&hour.request(restart("a")).await.expect_err("spent")),
        (2, 2, Some(3_600_000))
    );
    clock.advance(30 * MINUTE);
    let refused = hour
        .request(restart("a"))
        .await
        .expect_err("the window is clear, the freeze is not over");
    let Reason::Frozen { since, until, reason } = refused.reason() else {
        panic!("{refused}")
    };
    assert_eq!(ms(*since), u128::from(start) + 60_000);
    assert_eq!(until.map(ms), Some(u128::from(start) + 60_000 + 3_600_000));
    assert_eq!(reason, "budget 2 per 10 min was spent");
    assert_eq!(refused.retry_after(), Some(30 * MINUTE));
    clock.advance(just_before(30 * MINUTE));
    assert_eq!(word(&hour.request(restart("a")).await), "frozen");
    clock.advance(Duration::from_millis(1));
    hour.request(restart("a")).await.expect("over").succeeded().await;

    let thaw = cooldown(
        &store,
        "thaw",
        Budget::of(1).per(MINUTE).each_target().when_spent(Freeze::UntilThaw),
    );
    thaw.request(restart("a")).await.expect("first").succeeded().await;
    assert_eq!(
        over(&thaw.request(restart("a")).await.expect_err("spent")),
        (1, 1, None)
    );
    thaw.request(restart("b"))
        .await
        .expect("what it counts is frozen, and nothing else")
        .succeeded()
        .await;
    clock.advance(30 * DAY);
    assert_eq!(word(&thaw.request(restart("a")).await), "frozen");
    thaw.thaw().await.expect("heard");
    thaw.request(restart("a")).await.expect("thawed").succeeded().await;
    thaw.thaw().await.expect("heard");
    assert_eq!(
        over(
            &thaw
                .request(restart("a"))
                .await
                .expect_err("units in the window still count")
        ),
        (1, 1, Some(60_000))
    );
}

pub async fn an_operators_freeze_refuses_everything_until_thaw(store: Arc<dyn Store>, clock: ManualWall) {
    let repairs = cooldown(&store, "repairs", Budget::of(5));
    let other = cooldown(&store, "other", Budget::of(5));
    let twin = cooldown(&store, "repairs", Budget::of(5));
    repairs.freeze("release night").await.expect("heard");
    let since = repairs.status().await.frozen.expect("frozen").since;
    clock.advance(DAY);
    repairs.freeze("still").await.expect("heard");
    let refused = twin.request(restart("a")).await.expect_err("frozen on every instance");
    assert!(
        matches!(refused.reason(), Reason::Frozen { until: None, reason, since: s } if reason == "still" && *s == since)
    );
    assert_eq!(refused.retry_after(), None);
    other
        .request(restart("a"))
        .await
        .expect("another name")
        .succeeded()
        .await;
    twin.thaw().await.expect("heard");
    repairs.request(restart("a")).await.expect("thawed").succeeded().await;
    assert_eq!(
        repairs.status().await.budgets[0].used,
        1,
        "what came while frozen took nothing and was not kept"
    );
}

pub async fn under_twenty_percent_success_in_two_tries_is_futile(store: Arc<dyn Store>, clock: ManualWall) {
    let anomaly = Signature::new("Down").service("api").key();
    let repairs = cooldown(&store, "repairs", Budget::of(1000).per(HOUR));
    let ask = || repairs.request(restart("a").because_of(anomaly));
    ask().await.expect("unknown").failed().await;
    ask().await.expect("one try says nothing").failed().await;
    let refused = ask().await.expect_err("two failures");
    assert!(
        matches!(refused.reason(), Reason::Futile { succeeded: 0, tried: 2 }),
        "{refused}"
    );
    let other = Signature::new("Slow").key();
    repairs
        .request(restart("a").because_of(other))
        .await
        .expect("another anomaly")
        .succeeded()
        .await;
    let purge = Action::new("purge", "a").because_of(anomaly);
    repairs.request(purge).await.expect("another kind").succeeded().await;
    repairs
        .request(restart("a"))
        .await
        .expect("no anomaly, no record")
        .failed()
        .await;

    let exploring = Cooldown::builder("repairs")
        .budget(Budget::of(1000).per(HOUR))
        .track_record(TrackRecord::default().explore(1.0))
        .store(store.clone())
        .build()
        .expect("valid");
    exploring
        .request(restart("a").because_of(anomaly))
        .await
        .expect("explores")
        .succeeded()
        .await;
    ask().await.expect("one of three is enough").succeeded().await;
    clock.advance(36 * DAY);
    ask().await.expect("old outcomes have expired").failed().await;
    ask().await.expect("one try says nothing").failed().await;
    assert_eq!(word(&ask().await), "futile");
    let free = Cooldown::builder("repairs")
        .no_track_record()
        .store(store)
        .build()
        .expect("valid");
    free.request(restart("a").because_of(anomaly))
        .await
        .expect("no rule")
        .succeeded()
        .await;
}

pub async fn a_lease_that_outlives_its_time_counts_as_failed(store: Arc<dyn Store>, clock: ManualWall) {
    let anomaly = Signature::new("Down").key();
    let ledger = AnomalyLedger::builder("repairs")
        .store(store.clone())
        .build()
        .expect("valid");
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(9))
        .lease_time(MINUTE)
        .store(store)
        .build()
        .expect("valid");
    let ask = || repairs.request(restart("a").because_of(anomaly));
    let (late, leaked) = (ask().await.expect("first"), ask().await.expect("second"));
    assert_eq!(ms(late.ends_at()) - ms(late.granted_at()), 60_000);
    clock.advance(just_before(MINUTE));
    assert_eq!(
        (
            ledger.success_rate(anomaly, "restart").await.tried,
            repairs.status().await.open_leases
        ),
        (0, 2)
    );
    clock.advance(Duration::from_millis(1));
    assert_eq!(
        (
            ledger.success_rate(anomaly, "restart").await.tried,
            repairs.status().await.open_leases
        ),
        (2, 0)
    );
    assert_eq!(word(&ask().await), "futile");
    late.succeeded().await;
    let rate = ledger.success_rate(anomaly, "restart").await;
    assert_eq!(
        (rate.succeeded, rate.tried),
        (0, 2),
        "too late is failed, whatever is said then"
    );
    std::mem::forget(leaked);
    assert_eq!(word(&ask().await), "futile");
}

pub async fn an_abandoned_lease_counts_nowhere_and_its_unit_stays_spent(store: Arc<dyn Store>, _: ManualWall) {
    let anomaly = Signature::new("Down").key();
    let ledger = AnomalyLedger::builder("repairs")
        .store(store.clone())
        .build()
        .expect("valid");
    let repairs = cooldown(&store, "repairs", Budget::of(3));
    drop(repairs.request(restart("a").because_of(anomaly)).await.expect("first"));
    assert_eq!(repairs.status().await.open_leases, 0, "the next call delivered it");
    let lease = repairs.request(restart("a").because_of(anomaly)).await.expect("second");
    let panicked = std::thread::spawn(move || {
        let _lease = lease;
        panic!("the repair panics");
    });
    assert!(panicked.join().is_err());
    let status = repairs.status().await;
    assert_eq!((status.budgets[0].used, status.open_leases), (2, 0));
    let rate = ledger.success_rate(anomaly, "restart").await;
    assert_eq!(
        (rate.succeeded, rate.tried),
        (0, 1),
        "a panic is a failure, an abandoned one is nothing"
    );
    repairs
        .request(restart("a").because_of(anomaly))
        .await
        .expect("third")
        .settle(Outcome::Succeeded)
        .await;
    assert_eq!(ledger.success_rate(anomaly, "restart").await.rate(), Some(0.5));
}

pub async fn only_the_last_hundred_outcomes_count(store: Arc<dyn Store>, clock: ManualWall) {
    let anomaly = Signature::new("Down").key();
    let ledger = AnomalyLedger::builder("a").store(store).build().expect("valid");
    for n in 0..130 {
        assert!(ledger.repair_attempted(anomaly, "restart", n < 50).await.is_none());
        clock.advance(SECOND);
    }
    let rate = ledger.success_rate(anomaly, "restart").await;
    assert_eq!((rate.succeeded, rate.tried), (20, 100));
    assert!(!ledger.should_skip(anomaly, "restart").await, "20 % is not under 20 %");
    assert!(ledger.repair_attempted(anomaly, "restart", false).await.is_none());
    assert!(ledger.should_skip(anomaly, "restart").await);
    assert!(!ledger.should_skip(anomaly, "purge").await);
    for (action, good) in [("purge", true), ("a:b", false), ("a:b", true)] {
        assert!(ledger.repair_attempted(anomaly, action, good).await.is_none());
    }
    let stats = ledger.repair_stats(anomaly).await;
    let figures: Vec<_> = stats
        .actions
        .iter()
        .map(|(name, rate)| (name.as_str(), rate.succeeded, rate.tried))
        .collect();
    assert_eq!(figures, [("a:b", 1, 2), ("purge", 1, 1), ("restart", 19, 100)]);
    assert_eq!((stats.total().succeeded, stats.total().tried), (21, 103));
}

pub async fn ledger_figures_over_31_days(store: Arc<dyn Store>, clock: ManualWall) {
    let ledger = AnomalyLedger::builder("anomalies").store(store).build().expect("valid");
    let signature = Signature::new("HighErrorRate")
        .error_type("OOMKilled")
        .namespace("shop")
        .service("api");
    let aliases = [
        ("alertname", "HighErrorRate"),
        ("reason", "OOMKilled"),
        ("namespace", "shop"),
        ("job", "api"),
    ];
    let start = cooldown_layer::WallClock::now_ms(&clock);
    let at = |time: Option<SystemTime>| time.map(|time| ms(time) - u128::from(start));
    let windows = async || {
        let f = ledger.frequency(&signature).await;
        assert!(f.fault.is_none() && !f.at_least);
        (
            [f.last_1h, f.last_24h, f.last_7d, f.last_30d],
            f.level,
            at(f.first_seen),
            at(f.last_seen),
        )
    };
    assert_eq!(windows().await, ([0; 4], Level::Single, None, None));
    // one every 6 hours for 31 days, the last at 30 d 18 h
    for n in 0..124_u64 {
        let seen = ledger.record(Signature::from_labels(aliases)).await;
        assert_eq!(seen.key.to_string(), "5f8336146241eda5");
        assert_eq!(
            [seen.last_1h, seen.last_24h, seen.last_7d, seen.last_30d],
            [1, (n + 1).min(4), (n + 1).min(28), (n + 1).min(120)]
        );
        assert_eq!(seen.level, if n >= 2 { Level::Repeat } else { Level::Single });
        clock.advance(6 * HOUR);
    }
    let last = u128::from(30 * 86_400_000 + 18 * 3_600_000_u64);
    assert_eq!(windows().await, ([0, 3, 27, 119], Level::Repeat, Some(0), Some(last)));
    for _ in 0..2 {
        ledger.record(&signature).await;
    }
    assert_eq!(windows().await.1, Level::Escalate);
    for n in 0..5 {
        assert_eq!(
            ledger.record(&signature).await.level,
            if n == 4 { Level::PermanentFix } else { Level::Escalate }
        );
    }
    assert!(ledger.needs(&signature, Level::Escalate).await && ledger.needs(&signature, Level::PermanentFix).await);
    assert_eq!(windows().await.0, [7, 10, 34, 126]);
    clock.advance(HOUR);
    assert_eq!(windows().await.0, [0, 10, 34, 126]);
    clock.advance(DAY);
    assert_eq!((windows().await.0, windows().await.1), ([0, 0, 30, 122], Level::Single));
}

pub async fn two_records_at_the_same_instant_are_two(store: Arc<dyn Store>, _: ManualWall) {
    let escalation = Escalation::at(2, 3, 4);
    let ledger = AnomalyLedger::builder("a")
        .escalation(escalation)
        .store(store)
        .build()
        .expect("valid");
    let anomaly = Signature::new("Down");
    let levels = [Level::Single, Level::Repeat, Level::Escalate, Level::PermanentFix];
    for (n, level) in levels.into_iter().enumerate() {
        let seen = ledger.record(&anomaly).await;
        assert_eq!((seen.last_1h, seen.level), (n as u64 + 1, level));
    }
    assert_eq!(ledger.frequency(Signature::new("Up")).await.last_30d, 0);
}

pub async fn entries_expire_after_35_days_and_a_fix_mark_after_90(store: Arc<dyn Store>, clock: ManualWall) {
    let ledger = AnomalyLedger::builder("a").store(store).build().expect("valid");
    let anomaly = Signature::new("Down");
    ledger.record(&anomaly).await;
    assert!(ledger.mark_permanent_fix(&anomaly, "more memory").await.is_none());
    assert!(ledger.repair_attempted(&anomaly, "restart", true).await.is_none());
    let first = ledger.frequency(&anomaly).await.first_seen;
    clock.advance(just_before(35 * DAY));
    let seen = ledger.frequency(&anomaly).await;
    assert_eq!((seen.first_seen, seen.last_30d), (first, 0));
    assert_eq!(ledger.success_rate(&anomaly, "restart").await.tried, 1);
    clock.advance(Duration::from_millis(1));
    let seen = ledger.frequency(&anomaly).await;
    assert_eq!((seen.first_seen, seen.last_seen), (None, None));
    assert_eq!(ledger.success_rate(&anomaly, "restart").await.tried, 0);
    clock.advance(just_before(55 * DAY));
    let fix = ledger.frequency(&anomaly).await.permanent_fix.expect("89 days");
    assert_eq!(fix.description, "more memory");
    assert_eq!(Some(fix.at), first);
    let again = ledger.record(&anomaly).await;
    assert_eq!(again.first_seen, again.last_seen, "known anew");
    clock.advance(Duration::from_millis(1));
    assert!(ledger.frequency(&anomaly).await.permanent_fix.is_none());
}

pub async fn at_permanent_fix_an_action_needs_a_person_unless_allowed(store: Arc<dyn Store>, clock: ManualWall) {
    let ledger = AnomalyLedger::builder("anomalies").store(store).build().expect("valid");
    let repairs = Cooldown::builder("repairs").ledger(&ledger).build().expect("valid");
    let bold = Cooldown::builder("bold")
        .ledger(&ledger)
        .allow_at_permanent_fix()
        .build()
        .expect("valid");
    let anomaly = Signature::new("Down");
    for _ in 0..9 {
        ledger.record(&anomaly).await;
    }
    repairs
        .request(restart("a").because_of(&anomaly))
        .await
        .expect("nine")
        .succeeded()
        .await;
    assert_eq!(
        ledger.success_rate(&anomaly, "restart").await.succeeded,
        1,
        "outcomes go to the ledger"
    );
    ledger.record(&anomaly).await;
    let refused = repairs
        .request(restart("a").because_of(&anomaly))
        .await
        .expect_err("ten");
    assert!(
        matches!(
            refused.reason(),
            Reason::NeedsHuman {
                level: Level::PermanentFix
            }
        ),
        "{refused}"
    );
    repairs
        .request(restart("a"))
        .await
        .expect("of no anomaly")
        .succeeded()
        .await;
    bold.request(restart("a").because_of(&anomaly))
        .await
        .expect("allowed")
        .succeeded()
        .await;
    clock.advance(DAY);
    repairs
        .request(restart("a").because_of(&anomaly))
        .await
        .expect("a day later")
        .succeeded()
        .await;
    assert_eq!(repairs.status().await.budgets[0].used, 1);
}

pub async fn a_clock_that_jumps_back_never_yields_more_than_the_budget(store: Arc<dyn Store>, clock: ManualWall) {
    let start = cooldown_layer::WallClock::now_ms(&clock);
    let repairs = cooldown(&store, "repairs", Budget::of(2).per(10 * MINUTE));
    repairs.request(restart("a")).await.expect("first").succeeded().await;
    clock.advance(MINUTE);
    repairs.request(restart("a")).await.expect("second").succeeded().await;
    for back in [start, start - 86_400_000, 0] {
        clock.set_ms(back);
        let fresh = cooldown(&store, "repairs", Budget::of(2).per(10 * MINUTE));
        assert_eq!(word(&fresh.request(restart("a")).await), "over_budget", "at {back}");
        assert_eq!(word(&repairs.request(restart("a")).await), "over_budget", "at {back}");
    }
    clock.set_ms(start + 600_000);
    repairs
        .request(restart("a"))
        .await
        .expect("the first has left")
        .succeeded()
        .await;
    assert_eq!(word(&repairs.request(restart("a")).await), "over_budget");

    // Back, and then right again: what was given in between is not as old as the clock said.
    let later = cooldown(&store, "later", Budget::of(2).per(10 * MINUTE));
    clock.set_ms(start + 3_600_000);
    later.request(restart("a")).await.expect("first").succeeded().await;
    clock.set_ms(start);
    later.request(restart("a")).await.expect("second").succeeded().await;
    clock.set_ms(start + 3_600_000 + 1_000);
    assert_eq!(word(&later.request(restart("a")).await), "over_budget");
}

pub async fn what_is_sent_twice_counts_once(store: Arc<dyn Store>, clock: ManualWall) {
    use super::model::ask;
    let decide = Arc::new(Operation::Decide(ask("twice", 3, 60_000, DecisionId::new())));
    for _ in 0..3 {
        assert!(matches!(store.run(decide.clone()).await, Ok(Answer::Granted { used, .. }) if used == [1]));
    }
    let repairs = cooldown(&store, "twice", Budget::of(3).per(MINUTE));
    assert_eq!(repairs.status().await.budgets[0].used, 1);
    let id = DecisionId::new();
    let (ledger, key): (Arc<str>, _) = ("a".into(), Signature::new("Down").key());
    for _ in 0..3 {
        let record = Operation::Record {
            id,
            ledger: ledger.clone(),
            key,
        };
        assert!(matches!(store.run(Arc::new(record)).await, Ok(Answer::Frequency(counts)) if counts.windows == [1; 4]));
        let track = cooldown_layer::store::Track::new("a", key, "restart");
        let repaired = Operation::Repaired {
            id,
            track,
            succeeded: true,
        };
        assert!(matches!(store.run(Arc::new(repaired)).await, Ok(Answer::Done)));
    }
    let repairs = store.run(Arc::new(Operation::Repairs { space: ledger, key })).await;
    assert!(matches!(repairs, Ok(Answer::Repairs(kinds)) if kinds == [("restart".to_owned(), 1, 1)]));
    clock.advance(MINUTE);
}

pub async fn status_shows_what_stands(store: Arc<dyn Store>, clock: ManualWall) {
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(2).per(10 * MINUTE).when_spent(Freeze::For(HOUR)))
        .budget(Budget::of(1).each_target())
        .store(store)
        .build()
        .expect("valid");
    let lease = repairs.request(restart("a")).await.expect("first");
    clock.advance(MINUTE);
    repairs.request(restart("b")).await.expect("second").succeeded().await;
    let status = repairs.status().await;
    assert_eq!(
        (status.name.as_str(), status.open_leases, status.dry_run),
        ("repairs", 1, false)
    );
    assert!(status.fault.is_none() && status.frozen.is_none());
    assert_eq!(
        status.budgets.len(),
        1,
        "a budget for each target has no figure of its own"
    );
    let budget = &status.budgets[0];
    assert_eq!((budget.used, budget.of, budget.room_in), (2, 2, 9 * MINUTE));
    let frozen = budget.frozen.as_ref().expect("spent");
    assert_eq!(frozen.until.map(ms), Some(ms(status.at) + 3_600_000));
    assert_eq!(repairs.status_of(&restart("a")).await.budgets[1].used, 1);
    assert_eq!(
        repairs.status_of(&restart("z")).await.budgets[1].room_in,
        Duration::ZERO
    );
    lease.failed().await;
    assert_eq!(repairs.status().await.open_leases, 0);
}

pub async fn dry_run_decides_and_reports_and_refuses_nothing(store: Arc<dyn Store>, _: ManualWall) {
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = heard.clone();
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(1))
        .protect(["postgres"])
        .dry_run()
        .on_decision(move |decision| {
            log.lock()
                .expect("one thread")
                .push((decision.as_str(), decision.dry_run));
        })
        .store(store)
        .build()
        .expect("valid");
    assert!(
        repairs
            .request(restart("a"))
            .await
            .expect("granted")
            .would_be_refused()
            .is_none()
    );
    for (target, reason) in [("a", "over_budget"), ("postgres", "protected"), ("", "empty_target")] {
        let lease = repairs
            .request(restart(target))
            .await
            .expect("a dry run refuses nothing");
        assert_eq!(lease.would_be_refused().expect("reported").reason().as_str(), reason);
        lease.succeeded().await;
    }
    let words = [
        ("granted", true),
        ("over_budget", true),
        ("protected", true),
        ("empty_target", true),
    ];
    assert_eq!(*heard.lock().expect("one thread"), words);
    assert_eq!(repairs.status().await.budgets[0].used, 1);
}

pub async fn bad_input_is_refused_and_nothing_is_written(store: Arc<dyn Store>, _: ManualWall) {
    let repairs = Cooldown::builder("repairs")
        .budget(Budget::of(5))
        .budget(Budget::of(2).kind("restart"))
        .protect(["postgres"])
        .store(store)
        .build()
        .expect("valid");
    let cases = [
        (restart(""), "empty_target", "no target"),
        (restart(&"x".repeat(1 << 20)), "invalid", "1048576 bytes"),
        (restart("a\u{0}b"), "invalid", "control character"),
        (restart("a\nb"), "invalid", "control character"),
        (Action::new("", "a"), "invalid", "kind is empty"),
        (restart("a").cost(0), "invalid", "cost is 0"),
        (restart("a").cost(3), "invalid", "never gives over 2"),
        (restart("a").cost(u32::MAX), "invalid", "cost is 4294967295"),
        (restart("a").label("", "x"), "invalid", "label name"),
        (
            restart("statefulset/postgres-0"),
            "protected",
            "protected by \"postgres\"",
        ),
    ];
    for (action, reason, hint) in cases {
        let refused = repairs.request(action).await.expect_err("refused");
        assert_eq!(refused.reason().as_str(), reason);
        assert!(refused.to_string().contains(hint), "{refused} should name {hint}");
        assert!(refused.to_string().len() < 400 && !refused.to_string().contains('\n'));
    }
    let status = repairs.status().await;
    assert_eq!(
        status.budgets.iter().map(|budget| budget.used).collect::<Vec<_>>(),
        [0, 0]
    );
    assert_eq!(status.open_leases, 0);
}

pub async fn wild_names_are_kept_apart(store: Arc<dyn Store>, _: ManualWall) {
    let repairs = cooldown(&store, "repairs", Budget::of(1).each_target());
    let long = "x".repeat(1024);
    let names = [
        "{a}",
        "{}",
        "a:b",
        "a|5/900000",
        "all",
        "*",
        "'; DROP",
        "ключ",
        "\u{1F600}",
        "%s%n",
        "a b",
        " a",
        &long,
    ];
    for name in names {
        repairs
            .request(restart(name))
            .await
            .unwrap_or_else(|refused| panic!("{refused}"))
            .succeeded()
            .await;
    }
    for name in names {
        assert_eq!(word(&repairs.request(restart(name)).await), "over_budget", "{name}");
    }
    let kinds = cooldown(&store, "kinds", Budget::of(1).each_kind());
    for kind in ["target=a", "a,s1:1", "s1700000000000:ff,", "l:1", "1:2"] {
        let action = Action::new(kind, "a").because_of(Signature::new("Down"));
        kinds
            .request(action)
            .await
            .unwrap_or_else(|refused| panic!("{refused}"))
            .succeeded()
            .await;
    }
    let ledger = AnomalyLedger::builder("kinds").store(store).build().expect("valid");
    let stats = ledger.repair_stats(Signature::new("Down")).await;
    assert!(
        stats
            .actions
            .iter()
            .all(|(_, rate)| (rate.succeeded, rate.tried) == (1, 1)),
        "{stats:?}"
    );
    assert_eq!(stats.actions.len(), 5);
}

pub async fn random_walks_agree_with_the_plain_reference(store: Arc<dyn Store>, clock: ManualWall) {
    let (walks, steps) = if store.name() == "memory" { (60, 400) } else { (6, 250) };
    for seed in 0..walks {
        super::model::walk(store.clone(), &clock, seed, steps).await;
    }
}
