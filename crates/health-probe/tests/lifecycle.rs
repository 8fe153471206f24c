//! How a probe runs: when it checks, what it makes of results, and how it ends. All in paused time.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use health_probe::{BoxProbe, BuildError, CheckError, CheckResult, FnProbe, HealthState, Probe, ProbeBuilder};
use state_core::Circuit;
use support::Script;
use tokio::time::{Instant, sleep};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Every 10 s to the tick.
fn steady(script: &Script) -> ProbeBuilder<impl Probe + use<>> {
    script.probe().builder().jitter(0.0)
}

#[tokio::test(start_paused = true)]
async fn unknown_until_the_first_result_which_counts_at_once() {
    for (passes, state) in [(true, HealthState::Up), (false, HealthState::Down)] {
        let script = Script::new(passes);
        let probe = steady(&script).initial_delay(secs(5)).spawn().unwrap();
        sleep(ms(4_999)).await;
        assert_eq!((probe.state(), script.checks()), (HealthState::Unknown, 0));
        assert_eq!(probe.snapshot().next_check, Some(ms(1)));
        sleep(ms(2)).await;
        assert_eq!((probe.state(), script.checks()), (state, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn three_failures_in_a_row_are_down_and_two_successes_up() {
    let script = Script::new(true);
    let probe = steady(&script).spawn().unwrap();
    sleep(ms(1)).await;
    let mut states = Vec::new();
    // Two failures and a success are no row of three.
    for passes in [false, false, true, false, false, false, true, false, true, true] {
        script.pass(passes);
        sleep(secs(10)).await;
        states.push(probe.state() == HealthState::Up);
    }
    assert_eq!(states, [true, true, true, true, true, false, false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn the_thresholds_can_be_set() {
    let script = Script::new(true);
    let probe = steady(&script).unhealthy_after(1).healthy_after(3).spawn().unwrap();
    sleep(ms(1)).await;
    let down = HealthState::Down;
    let mut states = Vec::new();
    for passes in [false, true, true, true] {
        script.pass(passes);
        sleep(secs(10)).await;
        states.push(probe.state());
    }
    assert_eq!(states, [down, down, down, HealthState::Up]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_means_down_at_once_needs_no_second() {
    let gone = Arc::new(AtomicBool::new(false));
    let is_gone = Arc::clone(&gone);
    let probe = FnProbe::new("gone", move || {
        let gone = is_gone.load(Ordering::Relaxed);
        async move {
            if gone {
                Err(CheckError::new("gone").down_at_once())
            } else {
                Ok(())
            }
        }
    })
    .spawn()
    .unwrap();
    assert_eq!(probe.check_now().await.unwrap().state, HealthState::Up);
    gone.store(true, Ordering::Relaxed);
    assert_eq!(probe.check_now().await.unwrap().state, HealthState::Down);
}

#[tokio::test(start_paused = true)]
async fn the_defaults_are_every_10_s_with_10_percent_jitter_and_a_limit_of_2_s() {
    let starts = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&starts);
    let probe = FnProbe::new("defaults", move || {
        seen.lock().unwrap().push(Instant::now());
        std::future::pending::<Result<(), CheckError>>()
    })
    .spawn()
    .unwrap();
    sleep(secs(2_000)).await;
    assert_eq!(probe.snapshot().last_latency, Some(secs(2)));
    let starts = starts.lock().unwrap();
    let gaps: Vec<f64> = starts
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect();
    // The timer rounds up to a millisecond.
    assert!(gaps.iter().all(|gap| (9.0..11.002).contains(gap)), "{gaps:?}");
    assert!(
        gaps.iter().any(|gap| *gap < 9.5) && gaps.iter().any(|gap| *gap > 10.5),
        "{gaps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_the_jitter() {
    let when = async |seed| {
        let script = Script::new(true);
        let began = Instant::now();
        let _probe = script.probe().builder().seed(seed).spawn().unwrap();
        while script.checks() < 4 {
            sleep(ms(1)).await;
        }
        began.elapsed()
    };
    assert_eq!(when(1).await, when(1).await);
    assert_ne!(when(1).await, when(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_a_failed_probe_and_delays_no_other() {
    let hangs = FnProbe::new("hangs", std::future::pending::<Result<(), CheckError>>)
        .spawn()
        .unwrap();
    let script = Script::new(true);
    let other = steady(&script).spawn().unwrap();
    sleep(ms(1)).await;
    assert_eq!(other.state(), HealthState::Up);
    assert_eq!(hangs.state(), HealthState::Unknown);
    sleep(secs(2)).await;
    let seen = hangs.snapshot();
    assert_eq!(
        (seen.state, seen.last_result),
        (HealthState::Down, Some(CheckResult::TimedOut))
    );
    assert_eq!(seen.last_error.as_deref(), Some("timed out after 2s"));
    sleep(secs(48)).await;
    assert_eq!(script.checks(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_is_a_failed_probe_and_goes_on() {
    let checks = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&checks);
    // The first time in the function, the second in its future, then never more.
    let probe = FnProbe::new("panics", move || {
        let n = counter.fetch_add(1, Ordering::Relaxed);
        assert!(n != 0, "in the function");
        async move {
            assert!(n != 1, "in the future");
            Ok::<_, CheckError>(())
        }
    })
    .jitter_free()
    .spawn()
    .unwrap();
    sleep(ms(1)).await;
    let seen = probe.snapshot();
    assert_eq!(
        (seen.state, seen.last_result),
        (HealthState::Down, Some(CheckResult::Panicked))
    );
    assert_eq!(seen.last_error.as_deref(), Some("panicked: in the function"));
    sleep(secs(10)).await;
    assert_eq!(probe.snapshot().last_error.as_deref(), Some("panicked: in the future"));
    sleep(secs(20)).await;
    assert_eq!((probe.state(), checks.load(Ordering::Relaxed)), (HealthState::Up, 4));
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_hook_panics_still_checks_on_time() {
    struct Bad;
    impl Probe for Bad {
        async fn check(&self) -> Result<(), CheckError> {
            Ok(())
        }

        async fn changed(&self) {
            panic!("in the hook");
        }
    }
    let probe = Bad.builder().jitter(0.0).spawn().unwrap();
    sleep(secs(25)).await;
    assert_eq!(probe.snapshot().checks, 3);
}

#[tokio::test(start_paused = true)]
async fn a_probe_never_runs_twice_at_once_however_slow_it_is() {
    let script = Script::new(true);
    script.take(secs(25));
    let probe = steady(&script).timeout(secs(60)).spawn().unwrap();
    sleep(secs(1)).await;
    // Asked for in the middle of a check: it waits for the next one.
    let began = Instant::now();
    let (first, second) = tokio::join!(probe.check_now(), probe.check_now());
    assert_eq!(began.elapsed().as_secs(), 49);
    assert_eq!(
        (first.unwrap().checks, second.unwrap().checks),
        (2, 2),
        "both share one check"
    );
    sleep(secs(99)).await;
    assert_eq!(script.most_at_once(), 1);
    // Started at 0, 25, 50, 75, 100, 125: one after the other, none made up for.
    assert_eq!(script.checks(), 6);
}

#[tokio::test(start_paused = true)]
async fn checks_that_were_missed_are_not_made_up_for() {
    let script = Script::new(true);
    let _probe = steady(&script).spawn().unwrap();
    sleep(ms(1)).await;
    script.take(ms(1));
    // The machine sleeps for an hour.
    tokio::time::advance(secs(3_600)).await;
    sleep(secs(1)).await;
    assert_eq!(script.checks(), 2);
}

#[tokio::test(start_paused = true)]
async fn intervals_are_from_start_to_start() {
    let script = Script::new(true);
    script.take(ms(1_500));
    let _probe = steady(&script).spawn().unwrap();
    sleep(ms(10_000 * 5 + 1_600)).await;
    assert_eq!(script.checks(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_longer_interval_while_nobody_calls() {
    let script = Script::new(true);
    let circuit = Circuit::builder("idle").build().unwrap();
    let probe = steady(&script)
        .drives(circuit)
        .every_when_idle(secs(60))
        .spawn()
        .unwrap();
    sleep(ms(1)).await;
    assert_eq!(probe.snapshot().next_check, Some(ms(9_999)), "nobody knows yet");
    sleep(secs(10)).await;
    assert_eq!(probe.snapshot().next_check, Some(ms(59_999)));
    circuit.acquire().unwrap().success();
    sleep(secs(60)).await;
    assert_eq!(probe.snapshot().next_check, Some(ms(9_999)), "there was a call");
    sleep(secs(10)).await;
    assert_eq!(probe.snapshot().next_check, Some(ms(59_999)));
    // What is in doubt or down is looked at as often as ever, traffic or not.
    script.pass(false);
    sleep(secs(60)).await;
    assert_eq!(
        (probe.state(), probe.snapshot().next_check),
        (HealthState::Up, Some(ms(9_999)))
    );
    sleep(secs(20)).await;
    assert_eq!(
        (probe.state(), probe.snapshot().next_check),
        (HealthState::Down, Some(ms(9_999)))
    );
}

#[tokio::test(start_paused = true)]
async fn traffic_can_be_counted_by_a_hook() {
    let script = Script::new(true);
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let probe = steady(&script)
        .traffic(move || counter.load(Ordering::Relaxed).into())
        .every_when_idle(secs(60))
        .spawn()
        .unwrap();
    for _ in 0..5 {
        count.fetch_add(1, Ordering::Relaxed);
        sleep(secs(10)).await;
    }
    assert_eq!(script.checks(), 5);
    sleep(secs(600)).await;
    assert!(script.checks() <= 17, "{}", script.checks());
    drop(probe);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_says_so_is_checked_early_but_ten_times_an_interval_at_most() {
    struct Eager(Script);
    impl Probe for Eager {
        async fn check(&self) -> Result<(), CheckError> {
            self.0.check().await
        }

        async fn changed(&self) {}
    }
    let script = Script::new(true);
    let _probe = Eager(script.clone()).builder().jitter(0.0).spawn().unwrap();
    sleep(secs(10)).await;
    assert!((9..=11).contains(&script.checks()), "{}", script.checks());
}

#[tokio::test(start_paused = true)]
async fn paused_it_does_not_check_and_resumed_it_does_at_once() {
    let script = Script::new(true);
    let probe = steady(&script).spawn().unwrap();
    sleep(secs(1)).await;
    probe.pause();
    assert!(probe.snapshot().paused);
    assert_eq!(probe.snapshot().next_check, None);
    script.pass(false);
    sleep(secs(3_600)).await;
    assert_eq!(
        (script.checks(), probe.state()),
        (1, HealthState::Up),
        "what was known stays"
    );
    // By name it still checks.
    assert_eq!(probe.check_now().await.unwrap().failures_in_a_row, 1);
    sleep(secs(3_600)).await;
    assert_eq!(script.checks(), 2);
    probe.resume();
    assert!(!probe.snapshot().paused);
    sleep(ms(1)).await;
    assert_eq!(script.checks(), 3);
    sleep(secs(10)).await;
    assert_eq!((script.checks(), probe.state()), (4, HealthState::Down));
}

#[tokio::test(start_paused = true)]
async fn resumed_before_the_next_check_was_due_it_checks_at_once_all_the_same() {
    let script = Script::new(true);
    let probe = steady(&script).spawn().unwrap();
    sleep(secs(1)).await;
    probe.pause();
    sleep(secs(1)).await;
    probe.resume();
    sleep(ms(1)).await;
    assert_eq!(script.checks(), 2);
    probe.resume();
    sleep(secs(5)).await;
    assert_eq!(script.checks(), 2, "who was not paused is not resumed");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_under_way_when_it_is_paused_counts() {
    let script = Script::new(false);
    script.take(secs(1));
    let probe = steady(&script).spawn().unwrap();
    sleep(ms(500)).await;
    probe.pause();
    sleep(secs(100)).await;
    assert_eq!((script.checks(), probe.state()), (1, HealthState::Down));
    assert_eq!(probe.snapshot().next_check, None);
}

#[tokio::test(start_paused = true)]
async fn check_now_asks_at_once_and_moves_the_next_check() {
    let script = Script::new(true);
    let probe = steady(&script).spawn().unwrap();
    sleep(secs(7)).await;
    let seen = probe.check_now().await.unwrap();
    assert_eq!((seen.checks, seen.next_check), (2, Some(secs(10))));
    sleep(ms(9_990)).await;
    assert_eq!(script.checks(), 2);
}

#[tokio::test(start_paused = true)]
async fn check_now_goes_on_when_its_caller_gives_up() {
    let script = Script::new(true);
    script.take(secs(1));
    let probe = steady(&script).initial_delay(secs(100)).spawn().unwrap();
    assert!(tokio::time::timeout(ms(1), probe.check_now()).await.is_err());
    sleep(secs(2)).await;
    assert_eq!(probe.snapshot().checks, 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_ends_the_task_with_the_check_that_is_under_way() {
    let script = Script::new(true);
    script.take(secs(1));
    let probe = steady(&script).spawn().unwrap();
    let health = probe.health();
    sleep(ms(500)).await;
    assert_eq!(script.running(), 1);
    drop(probe);
    sleep(ms(1)).await;
    assert_eq!(script.running(), 0);
    assert!(health.snapshot().ended);
    sleep(secs(100)).await;
    assert_eq!((script.checks(), health.state()), (1, HealthState::Unknown));
}

#[tokio::test(start_paused = true)]
async fn shutdown_resolves_when_the_task_is_no_more_and_all_who_wait_are_told() {
    let script = Script::new(true);
    let probe = steady(&script).spawn().unwrap();
    let (health, mut watch) = (probe.health(), probe.watch());
    assert_eq!(watch.changed().await, Ok(HealthState::Up));
    script.take(secs(1));
    sleep(ms(10_100)).await;
    assert_eq!(script.running(), 1);
    let began = Instant::now();
    probe.shutdown().await;
    assert_eq!(
        (script.running(), script.is_alive()),
        (0, false),
        "the probe itself is gone"
    );
    assert!(began.elapsed() < ms(10));
    assert_eq!(
        watch.changed().await.unwrap_err().to_string(),
        r#"probe "script" has ended"#
    );
    assert_eq!(
        (watch.state(), health.state()),
        (HealthState::Unknown, HealthState::Unknown)
    );
    assert!(health.watch().changed().await.is_err());
    assert_eq!(health.snapshot().next_check, None);
}

#[test]
fn when_the_runtime_goes_so_does_the_probe_and_who_waits_is_told() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let script = Script::new(true);
    let probe = script.probe().builder().spawn_on(runtime.handle()).unwrap();
    runtime.block_on(probe.check_now()).unwrap();
    script.take(secs(60));
    let health = probe.health();
    let second = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    second.block_on(async {
        let mut watch = probe.watch();
        let waiting = probe.check_now();
        let ended = async {
            tokio::task::yield_now().await;
            runtime.shutdown_background();
        };
        let (asked, ()) = tokio::join!(waiting, ended);
        assert_eq!(asked.unwrap_err().probe(), "script");
        assert!(watch.changed().await.is_err());
        probe.pause();
        assert!(probe.check_now().await.is_err(), "later ones too");
        probe.shutdown().await;
    });
    assert_eq!(health.state(), HealthState::Unknown);
    assert!(!script.is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_watch_loses_no_change_and_tells_none_twice() {
    let script = Script::new(true);
    let probe = steady(&script).unhealthy_after(1).healthy_after(1).spawn().unwrap();
    let mut watch = probe.watch();
    assert_eq!(watch.changed().await, Ok(HealthState::Up));
    assert!(tokio::time::timeout(secs(100), watch.changed()).await.is_err());
    script.pass(false);
    sleep(secs(10)).await;
    assert_eq!(
        watch.changed().await,
        Ok(HealthState::Down),
        "it was before the question"
    );
    let mut late = probe.watch();
    assert!(tokio::time::timeout(secs(100), late.changed()).await.is_err());
    script.pass(true);
    assert_eq!(late.changed().await, Ok(HealthState::Up));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_says_result_latency_streaks_since_when_and_error() {
    let script = Script::new(false);
    script.take(ms(300));
    let probe = steady(&script).named("orders").spawn().unwrap();
    let new = probe.snapshot();
    assert_eq!(
        (new.checks, new.last_result, new.last_error, new.last_check),
        (0, None, None, None)
    );
    sleep(ms(10_400)).await;
    let down = probe.snapshot();
    assert_eq!((&*down.name, down.state, down.checks), ("orders", HealthState::Down, 2));
    assert_eq!((down.failures_in_a_row, down.successes_in_a_row), (2, 0));
    assert_eq!(down.last_result, Some(CheckResult::Failed));
    // Timers tick in milliseconds and may round up.
    let near = |duration: Option<Duration>, expected: Duration| {
        let duration = duration.unwrap();
        duration.abs_diff(expected) <= ms(3) || panic!("{duration:?} is not {expected:?}")
    };
    assert!(near(down.last_latency, ms(300)) && near(Some(down.since), ms(10_100)));
    assert!(near(down.last_check, ms(100)) && near(down.next_check, ms(9_600)));
    script.pass(true);
    sleep(secs(20)).await;
    let up = probe.snapshot();
    assert_eq!(
        (up.state, up.successes_in_a_row, up.failures_in_a_row),
        (HealthState::Up, 2, 0)
    );
    assert_eq!(
        up.last_error.as_deref(),
        Some("scripted"),
        "kept when later checks pass"
    );
    assert!(near(up.last_failure, ms(20_100)) && near(Some(up.since), ms(100)));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_probes_run_beside_each_other() {
    let probes: Vec<_> = (0..100)
        .map(|n| {
            let hangs = n % 2 == 0;
            let probe = FnProbe::new(format!("probe {n}"), move || async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok::<_, CheckError>(())
            });
            BoxProbe::new(probe).spawn().unwrap()
        })
        .collect();
    sleep(secs(3)).await;
    for (n, probe) in probes.iter().enumerate() {
        let expected = if n % 2 == 0 { HealthState::Down } else { HealthState::Up };
        assert_eq!(probe.state(), expected, "{n}");
    }
}

#[test]
fn without_a_runtime_it_is_an_error_and_so_without_timers() {
    let script = Script::new(true);
    let error = script.probe().spawn().unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"probe "script": runtime = none is not allowed; start it within a tokio runtime, or with `spawn_on`"#
    );
    let timeless = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = script.probe().builder().spawn_on(timeless.handle()).unwrap_err();
    assert_eq!((error.field(), error.value()), ("runtime", "one without timers"));
}

#[tokio::test]
async fn bad_configuration_is_an_error_that_names_field_value_and_what_is_allowed() {
    let script = Script::new(true);
    let builder = || script.probe().named("x");
    let refused = |builder: ProbeBuilder<_>| -> BuildError { builder.spawn().unwrap_err() };
    let long = secs(365 * 24 * 60 * 60 + 1);
    let lossy = Circuit::builder("lossy").totals(false).build().unwrap();
    for (builder, field) in [
        (builder().every(Duration::ZERO), "every"),
        (builder().every(Duration::from_nanos(1)), "every"),
        (builder().every(Duration::MAX), "every"),
        (builder().timeout(Duration::ZERO), "timeout"),
        (builder().timeout(long), "timeout"),
        (builder().initial_delay(Duration::MAX), "initial_delay"),
        (builder().jitter(f64::NAN), "jitter"),
        (builder().jitter(-0.1), "jitter"),
        (builder().jitter(1.0), "jitter"),
        (builder().jitter(f64::INFINITY), "jitter"),
        (builder().unhealthy_after(0), "unhealthy_after"),
        (builder().healthy_after(0), "healthy_after"),
        (builder().traffic(|| 0).every_when_idle(secs(9)), "every_when_idle"),
        (builder().traffic(|| 0).every_when_idle(long), "every_when_idle"),
        (builder().every_when_idle(secs(60)), "every_when_idle"),
        (builder().drives(lossy).every_when_idle(secs(60)), "every_when_idle"),
        (builder().named(""), "name"),
        (builder().named("x".repeat(257)), "name"),
    ] {
        let error = refused(builder);
        assert_eq!(error.field(), field, "{error}");
        assert!(
            error.to_string().contains(error.value()) && error.to_string().contains(error.allowed()),
            "{error}"
        );
    }
    assert_eq!(
        refused(builder().jitter(1.5)).to_string(),
        r#"probe "x": jitter = 1.5 is not allowed; set it to 0 or more and less than 1"#
    );
    let extreme = builder()
        .every(Duration::from_millis(1))
        .timeout(secs(365 * 24 * 60 * 60))
        .initial_delay(secs(365 * 24 * 60 * 60))
        .jitter(0.999)
        .unhealthy_after(u32::MAX)
        .named("x".repeat(256));
    assert!(extreme.spawn().is_ok());
}

#[tokio::test]
async fn the_thresholds_can_be_set_first_of_all() {
    let script = Script::new(true);
    for (builder, field) in [
        (script.probe().unhealthy_after(0), "unhealthy_after"),
        (script.probe().healthy_after(0), "healthy_after"),
    ] {
        assert_eq!(builder.spawn().unwrap_err().field(), field);
    }
}

#[test]
fn handles_and_their_futures_go_anywhere() {
    fn anywhere<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    fn sendable<T: Send>(_: &T) {}
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let probe = anywhere(Script::new(true).probe().builder().spawn_on(runtime.handle()).unwrap());
    anywhere(probe.health().clone());
    let mut watch = anywhere(probe.watch());
    sendable(&watch.changed());
    sendable(&probe.check_now());
    sendable(&probe.shutdown());
}

trait JitterFree {
    type Probe;
    fn jitter_free(self) -> ProbeBuilder<Self::Probe>;
}

impl<P: Probe> JitterFree for P {
    type Probe = P;

    fn jitter_free(self) -> ProbeBuilder<P> {
        self.builder().jitter(0.0)
    }
}
