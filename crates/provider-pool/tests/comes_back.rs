//! Who is away for a while is seen to come back, and what is said meanwhile is true.

mod support;

use std::future::ready;

use health_probe::{FnProbe, HealthState, Probe, ProbeHandle};
use provider_pool::{Availability, InOrder, NoProvider, Provider, ProviderPool, RoundRobin, Why};
use state_core::{Circuit, ManualClock, Permit, State};
use support::{Scripted, ms, secs};
use tokio_test::{assert_pending, task};
use tower::ServiceExt;

async fn down(name: &str) -> ProbeHandle {
    let probe = FnProbe::new(name, || ready(Err::<(), _>("no route")));
    let probe = probe.every(secs(1)).unhealthy_after(1).spawn().unwrap();
    while probe.state() == HealthState::Unknown {
        tokio::time::sleep(ms(1)).await;
    }
    probe
}

fn circuit(name: &str) -> (Circuit, ManualClock) {
    let clock = ManualClock::new();
    let circuit = Circuit::builder(name)
        .consecutive_failures(1)
        .open_for(secs(12))
        .trials(1)
        .clock(clock.clone())
        .build()
        .unwrap();
    (circuit, clock)
}

#[tokio::test(start_paused = true)]
async fn a_slow_start_follows_an_opening_during_which_nobody_called() {
    let (circuit, clock) = circuit("a");
    let pool = ProviderPool::builder()
        .provider(Scripted::good("a", 0).provider().circuit(circuit))
        .provider(Scripted::good("b", 0).provider())
        .strategy(RoundRobin::default())
        .build()
        .unwrap();
    circuit.acquire().unwrap().failure();
    clock.advance(secs(12));
    tokio::time::advance(secs(12)).await;
    pool.pick(None);
    circuit.acquire().unwrap().success();
    assert_eq!(circuit.state(), State::Closed);
    pool.pick(None);
    assert!(pool.snapshot().providers[0].share < 0.2);
}

#[tokio::test(start_paused = true)]
async fn one_whose_trials_are_taken_counts_as_out_when_the_others_are_down() {
    let (circuit, clock) = circuit("a");
    let down = down("b").await;
    let pool = ProviderPool::builder()
        .provider(Scripted::good("a", 0).provider().circuit(circuit))
        .provider(Scripted::good("b", 0).provider().health(down.health()))
        .strategy(InOrder)
        .build()
        .unwrap();
    circuit.acquire().unwrap().failure();
    assert_eq!(pool.clone().oneshot(0).await.unwrap(), "b", "open, and down");
    clock.advance(secs(12));
    let trial = circuit.acquire().unwrap();
    assert_eq!(pool.clone().oneshot(0).await.unwrap(), "b", "half-open, and down");
    trial.success();
    assert_eq!(pool.clone().oneshot(0).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_ramp_that_lets_nothing_through_is_called_by_its_name() {
    let clock = ManualClock::new();
    let circuit = Circuit::builder("a")
        .consecutive_failures(1)
        .open_for(secs(10))
        .ramp(secs(1_000), 0.9, 1_000)
        .seed(5)
        .clock(clock.clone())
        .build()
        .unwrap();
    circuit.acquire().unwrap().failure();
    clock.advance(secs(10));
    let _ = circuit.acquire().map(Permit::success);
    clock.advance(secs(585));
    assert_eq!(circuit.state(), State::HalfOpen);
    let pool = ProviderPool::builder()
        .provider(Scripted::good("a", 0).provider().circuit(circuit))
        .build()
        .unwrap();
    let mut none = 0;
    for n in 0..1_000 {
        if let Err(error) = pool.clone().oneshot(n).await {
            none += 1;
            let said = NoProvider::find(&*error).unwrap();
            assert_eq!(said.excluded()[0].why, Why::Ramp, "{error}");
        }
    }
    assert!((300..700).contains(&none), "half of them: {none}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_quick_again_is_found_though_an_old_call_hangs_there() {
    let a = Scripted::new("a", |n| {
        let takes = match n {
            0 => secs(2),
            1 => secs(10_000_000),
            _ => ms(1),
        };
        (takes, Ok(()))
    });
    let b = Scripted::good("b", 100);
    let pool = ProviderPool::builder()
        .provider(a.provider())
        .provider(b.provider())
        .build()
        .unwrap();
    for n in 0..2 {
        pool.clone().oneshot(n).await.unwrap();
    }
    tokio::time::advance(secs(11)).await;
    let held: Vec<_> = (0..2).map(|n| tokio::spawn(pool.clone().oneshot(n))).collect();
    tokio::task::yield_now().await;
    for n in 0..20 {
        tokio::time::advance(secs(60)).await;
        pool.clone().oneshot(n).await.unwrap();
    }
    assert!(a.calls() > 10, "{} of 20", a.calls());
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_comes_free_elsewhere_is_taken_while_another_is_waited_for() {
    let (mock, mut handle) = tower_test::mock::pair::<u64, &'static str>();
    handle.allow(0);
    let pool = ProviderPool::builder()
        .provider(Provider::boxed("a", mock))
        .provider(Provider::boxed("b", Scripted::good("b", 10)).limit(1))
        .strategy(InOrder)
        .build()
        .unwrap();
    let first = tokio::spawn(pool.clone().oneshot(1));
    tokio::time::advance(ms(1)).await;
    assert_eq!(pool.clone().oneshot(2).await.unwrap(), "b");
    assert_eq!(first.await.unwrap().unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_added_is_found_while_another_is_waited_for() {
    let (mock, mut handle) = tower_test::mock::pair::<u64, &'static str>();
    handle.allow(0);
    let pool = ProviderPool::builder()
        .provider(Provider::boxed("a", mock))
        .build()
        .unwrap();
    let waits = tokio::spawn(pool.clone().oneshot(1));
    tokio::time::advance(ms(100)).await;
    pool.add(Provider::boxed("b", Scripted::good("b", 0))).unwrap();
    assert_eq!(waits.await.unwrap().unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn once_removed_it_gets_no_call_that_had_not_begun() {
    let (mock, mut handle) = tower_test::mock::pair::<u64, &'static str>();
    handle.allow(0);
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", mock))
        .build()
        .unwrap();
    let mut call = task::spawn(pool.clone().oneshot(1));
    assert_pending!(call.poll());
    assert!(pool.remove("a"));
    handle.allow(1);
    assert!(call.await.is_err());
    let mut next = task::spawn(handle.next_request());
    assert!(!matches!(next.poll(), std::task::Poll::Ready(Some(_))));
}

#[tokio::test(start_paused = true)]
async fn one_that_only_times_out_has_failed_and_is_left() {
    let (hung, good) = (Scripted::good("hung", 3_600_000), Scripted::good("good", 10));
    let pool = ProviderPool::builder()
        .provider(hung.provider())
        .provider(good.provider())
        .strategy(Availability::default())
        .within(secs(1))
        .build()
        .unwrap();
    let mut late = 0;
    for n in 0..200 {
        late += u32::from(pool.clone().oneshot(n).await.is_err());
    }
    assert!(late > 0 && late < 20, "{late} of 200");
    let seen = &pool.snapshot().providers[0];
    assert_eq!((seen.failed, seen.cancelled), (u64::from(late), 0));
}
