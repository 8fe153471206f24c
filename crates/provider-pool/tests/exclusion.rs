//! Who is left out, why, and what is said when nobody is left.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use circuit_layer::CircuitLayer;
use health_probe::{CheckError, FnProbe, HealthState, Probe, ProbeHandle};
use provider_pool::{BoxError, InOrder, NoProvider, Provider, ProviderPool, RoundRobin, Unserved, Why};
use state_core::{Circuit, ManualClock, Refusal};
use support::{Scripted, ms, secs};
use tower::{ServiceBuilder, ServiceExt, service_fn};

fn circuit(name: &str) -> (Circuit, ManualClock) {
    let clock = ManualClock::new();
    let circuit = Circuit::builder(name)
        .consecutive_failures(1)
        .open_for(secs(12))
        .trials(1);
    (circuit.clock(clock.clone()).build().unwrap(), clock)
}

/// A probe that says what it is told.
async fn probe(name: &str, up: bool) -> (ProbeHandle, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(up));
    let seen = Arc::clone(&works);
    let check = move || {
        let works = seen.load(Ordering::Relaxed);
        async move { if works { Ok(()) } else { Err("no route to host") } }
    };
    let probe = FnProbe::new(name, check)
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
async fn no_provider_says_of_each_why_it_was_not_asked() {
    let (openai, _clock) = circuit("openai");
    openai.acquire().unwrap().failure();
    let hung = FnProbe::new("azure", || async {
        tokio::time::sleep(secs(3600)).await;
        Ok::<_, CheckError>(())
    });
    let azure = hung.every(secs(1)).timeout(secs(1)).unhealthy_after(3).spawn().unwrap();
    tokio::time::sleep(secs(8)).await;
    let checks = u64::from(azure.snapshot().failures_in_a_row);
    let pool = ProviderPool::builder()
        .provider(Scripted::good("openai", 0).provider().serves("gpt-4").circuit(openai))
        .provider(Scripted::good("azure", 0).provider().health(azure.health()))
        .provider(Scripted::good("local", 0).provider().serves("llama"))
        .max_ejected(1.0)
        .wants(|_: &u64| Some("gpt-4"))
        .build()
        .unwrap();
    let error = pool.clone().oneshot(1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no provider for \"gpt-4\": openai is open (next try in 12 s), azure is down (probe timed out {checks} times), \
             local does not serve it"
        )
    );
    let none = NoProvider::find(&*error).expect("through any chain");
    assert_eq!(none.wanted(), Some("gpt-4"));
    assert_eq!(none.excluded().len(), 3);
    assert_eq!(
        none.excluded()[0].why,
        Why::Open {
            next_try: Some(secs(12))
        }
    );
    assert_eq!(
        Refusal::find(&*error).unwrap().retry_after(),
        Some(secs(12)),
        "the soonest"
    );
    let wrapped: BoxError = Box::new(std::io::Error::other(error));
    assert!(NoProvider::find(&*wrapped).is_some());
}

#[tokio::test]
async fn a_try_makes_sense_when_the_first_circuit_lets_a_call_through() {
    let (soon, clock) = circuit("soon");
    let late = Circuit::builder("late")
        .consecutive_failures(1)
        .open_for(secs(60))
        .clock(clock)
        .build()
        .unwrap();
    soon.acquire().unwrap().failure();
    late.acquire().unwrap().failure();
    let pool = ProviderPool::builder()
        .provider(Scripted::good("late", 0).provider().circuit(late))
        .provider(Scripted::good("soon", 0).provider().circuit(soon))
        .build()
        .unwrap();
    let error = pool.oneshot(1).await.unwrap_err();
    assert_eq!(NoProvider::find(&*error).unwrap().retry_after(), Some(secs(12)));
}

#[tokio::test]
async fn an_empty_pool_says_so() {
    let pool = ProviderPool::<Scripted, u64>::builder().build().unwrap();
    let error = pool.oneshot(1).await.unwrap_err();
    assert_eq!(error.to_string(), "no provider: the pool is empty");
}

#[tokio::test]
async fn an_open_circuit_gets_no_calls_but_trials() {
    let (circuit, clock) = circuit("a");
    let a = Scripted::new("a", |n| (Duration::ZERO, if n == 0 { Err("broken") } else { Ok(()) }));
    let b = Scripted::good("b", 0);
    let layered = |service: &Scripted, circuit| {
        ServiceBuilder::new()
            .layer(CircuitLayer::new(circuit))
            .service(service.clone())
    };
    let other = self::circuit("b").0;
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", layered(&a, circuit)).circuit(circuit))
        .provider(Provider::new("b", layered(&b, other)).circuit(other))
        .strategy(InOrder)
        .slow_start(Duration::ZERO)
        .repeat_all()
        .build()
        .unwrap();
    for _ in 0..100 {
        assert_eq!(pool.clone().oneshot(1).await.unwrap(), "b");
    }
    assert_eq!(a.calls(), 1, "the failure that opened it");
    clock.advance(secs(12));
    assert_eq!(pool.clone().oneshot(1).await.unwrap(), "a", "the trial");
    assert_eq!(pool.clone().oneshot(1).await.unwrap(), "a");
    assert_eq!(a.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_down_gets_no_calls_and_comes_back() {
    let (probe, works) = probe("a", false).await;
    let (a, b, c) = (Scripted::good("a", 0), Scripted::good("b", 0), Scripted::good("c", 0));
    let pool = ProviderPool::builder()
        .provider(a.provider().health(probe.health()))
        .provider(b.provider())
        .provider(c.provider())
        .strategy(RoundRobin::default())
        .slow_start(Duration::ZERO)
        .build()
        .unwrap();
    for n in 0..100 {
        pool.clone().oneshot(n).await.unwrap();
    }
    assert_eq!((a.calls(), b.calls(), c.calls()), (0, 50, 50));
    works.store(true, Ordering::Relaxed);
    tokio::time::sleep(secs(3)).await;
    for n in 0..90 {
        pool.clone().oneshot(n).await.unwrap();
    }
    assert!(
        a.calls().abs_diff(30) <= 1,
        "a third of them, as if it had never been away: {}",
        a.calls()
    );
    assert!(b.calls().abs_diff(c.calls()) <= 1);
}

#[tokio::test(start_paused = true)]
async fn when_more_than_max_ejected_are_out_health_is_ignored_but_not_an_operators_word() {
    let (down_1, _w1) = probe("a", false).await;
    let (down_2, _w2) = probe("b", false).await;
    let forced = circuit("c").0;
    forced.force_open();
    let (a, b, c, d) = (
        Scripted::good("a", 0),
        Scripted::good("b", 0),
        Scripted::good("c", 0),
        Scripted::good("d", 0),
    );
    let pool = ProviderPool::builder()
        .provider(a.provider().health(down_1.health()))
        .provider(b.provider().health(down_2.health()))
        .provider(c.provider().circuit(forced))
        .provider(d.provider())
        .strategy(RoundRobin::default())
        .build()
        .unwrap();
    // 2 of the 3 that no operator has taken out: more than half.
    for n in 0..30 {
        pool.clone().oneshot(n).await.unwrap();
    }
    assert_eq!((a.calls(), b.calls(), c.calls(), d.calls()), (10, 10, 0, 10));
    assert!(pool.snapshot().panic);

    pool.add(Scripted::good("e", 0).provider()).unwrap();
    for n in 0..30 {
        pool.clone().oneshot(n).await.unwrap();
    }
    assert_eq!((a.calls(), b.calls()), (10, 10), "2 of 4 are not more than half");
    assert!(!pool.snapshot().panic);

    pool.drain("d");
    pool.drain("e");
    for n in 0..10 {
        pool.clone().oneshot(n).await.unwrap();
    }
    assert_eq!(
        (a.calls(), b.calls(), c.calls()),
        (15, 15, 0),
        "who drains is no longer counted"
    );
}

#[tokio::test(start_paused = true)]
async fn max_ejected_of_1_never_ignores_health() {
    let (down, _works) = probe("a", false).await;
    let a = Scripted::good("a", 0);
    let pool = ProviderPool::builder()
        .provider(a.provider().health(down.health()))
        .max_ejected(1.0)
        .build()
        .unwrap();
    let error = pool.oneshot(1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no provider: a is down (probe failed once: no route to host)"
    );
    assert_eq!(a.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn at_most_limit_calls_are_in_flight_at_a_provider() {
    let (a, b) = (Scripted::good("a", 10), Scripted::good("b", 10));
    let pool = ProviderPool::builder()
        .provider(a.provider().limit(2))
        .provider(b.provider().limit(1))
        .strategy(InOrder)
        .build()
        .unwrap();
    let mut calls: Vec<_> = (0..3)
        .map(|n| tokio_test::task::spawn(pool.clone().oneshot(n)))
        .collect();
    for call in &mut calls {
        tokio_test::assert_pending!(call.poll());
    }
    assert_eq!((a.calls(), b.calls()), (2, 1));
    let error = pool.clone().oneshot(9).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no provider: a is full (2 in flight), b is full (1 in flight)"
    );
    drop(calls.remove(0));
    assert_eq!(
        pool.clone().oneshot(9).await.unwrap(),
        "a",
        "a call that is given up gives its place back"
    );
    assert_eq!(pool.snapshot().providers[0].cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn drain_sends_no_new_calls_and_drained_waits_for_those_under_way() {
    let (a, b) = (Scripted::good("a", 10), Scripted::good("b", 0));
    let pool = ProviderPool::builder()
        .provider(a.provider())
        .provider(b.provider())
        .strategy(InOrder)
        .build()
        .unwrap();
    let mut under_way = tokio_test::task::spawn(pool.clone().oneshot(1));
    tokio_test::assert_pending!(under_way.poll());
    assert!(pool.drain("a"));
    assert!(!pool.drain("nobody") && !pool.resume("nobody"));
    let mut drained = tokio_test::task::spawn(pool.drained("a"));
    tokio_test::assert_pending!(drained.poll());
    for n in 0..10 {
        assert_eq!(pool.clone().oneshot(n).await.unwrap(), "b");
    }
    tokio_test::assert_pending!(drained.poll());
    assert_eq!(under_way.await.unwrap(), "a");
    assert!(drained.is_woken());
    tokio_test::assert_ready!(drained.poll());
    pool.drained("nobody").await;
    assert!(pool.resume("a"));
    let share = |pool: &ProviderPool<Scripted, u64>| pool.snapshot().providers[0].share;
    pool.pick(None);
    assert!((share(&pool) - 0.1).abs() < 0.01, "it comes back slowly");
    tokio::time::sleep(secs(30)).await;
    assert_eq!((share(&pool), pool.pick(None).as_deref()), (1.0, Some("a")));
}

#[tokio::test]
async fn providers_come_and_go_while_calls_go_on() {
    let pool = ProviderPool::builder()
        .provider(Scripted::good("always", 0).provider())
        .strategy(RoundRobin::default())
        .build()
        .unwrap();
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for n in 0..2_000 {
                    pool.clone().oneshot(n).await.expect("one is always there");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 0..200 {
        pool.add(Scripted::good("guest", 0).provider()).unwrap();
        let taken = pool.add(Scripted::good("guest", 0).provider()).unwrap_err();
        assert_eq!(
            taken.to_string(),
            "provider \"guest\": name = \"guest\" is taken by another provider of the pool; names must differ"
        );
        pool.set_weight("guest", round % 10 + 1).unwrap();
        tokio::task::yield_now().await;
        assert!(pool.remove("guest"));
        assert!(!pool.remove("guest"));
    }
    for busy in busy {
        busy.await.unwrap();
    }
    assert_eq!(pool.snapshot().providers.len(), 1);
    assert_eq!(pool.snapshot().providers[0].in_flight, 0);
}

#[tokio::test]
async fn a_call_under_way_at_a_removed_provider_goes_on_to_its_end() {
    let (send, receive) = tokio::sync::oneshot::channel::<&str>();
    let receive = Arc::new(std::sync::Mutex::new(Some(receive)));
    let service = service_fn(move |()| {
        let receive = receive.lock().unwrap().take().unwrap();
        async move { receive.await.map_err(BoxError::from) }
    });
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", service))
        .build()
        .unwrap();
    let mut call = tokio_test::task::spawn(pool.clone().oneshot(()));
    tokio_test::assert_pending!(call.poll());
    assert!(pool.remove("a"));
    send.send("done").unwrap();
    assert_eq!(call.await.unwrap(), "done");
}

#[tokio::test(start_paused = true)]
async fn on_refused_answers_and_keeps_the_error() {
    let service = service_fn(async |_: u64| Ok::<_, std::convert::Infallible>(String::from("hello")));
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", service).serves("x"))
        .wants(|_| Some("y"))
        .build()
        .unwrap();
    let pool = pool.on_refused(|unserved| match unserved {
        Unserved::NoProvider(none) => format!("sorry: {}", none.excluded().len()),
        other => other.to_string(),
    });
    let answer: Result<String, std::convert::Infallible> = pool.oneshot(1).await;
    assert_eq!(answer.unwrap(), "sorry: 1");
}

#[test]
fn models_are_sorted_with_owner_the_first_by_provider_name() {
    let pool = ProviderPool::<Scripted, u64>::builder()
        .provider(Scripted::good("zeta", 0).provider().serves("b").serves("a"))
        .provider(Scripted::good("alpha", 0).provider().serves_all(["b", "*"]))
        .provider(Scripted::good("all", 0).provider())
        .build()
        .unwrap();
    let models: Vec<_> = pool.models().into_iter().map(|model| (model.id, model.owner)).collect();
    assert_eq!(models, [("a".into(), "zeta".into()), ("b".into(), "alpha".into())]);
    assert_eq!(pool.snapshot().providers[1].serves, ["b".into(), "*".into()]);
}

#[test]
fn bad_configuration_names_the_field_the_value_and_what_is_allowed() {
    let builder = ProviderPool::<Scripted, u64>::builder;
    let one = || Scripted::good("a", 0).provider();
    let long = "x".repeat(300);
    for (build, said) in [
        (
            builder().provider(one().weight(0)),
            "provider \"a\": weight = 0 is out of range; it must be from 1 to 1000",
        ),
        (
            builder().provider(one().weight(1001)),
            "provider \"a\": weight = 1001 is out of range; it must be from 1 to 1000",
        ),
        (
            builder().provider(one().limit(0)),
            "provider \"a\": limit = 0 is out of range; it must be from 1 to 4294967294",
        ),
        (
            builder().provider(one().serves("")),
            "provider \"a\": serves = \"\" has 0 bytes; it must have 1 to 256",
        ),
        (
            builder().provider(Provider::new("", Scripted::good("", 0))),
            "provider \"\": name = \"\" has 0 bytes; it must have 1 to 256",
        ),
        (
            builder().provider(one()).provider(one()),
            "provider \"a\": name = \"a\" is taken by another provider of the pool; names must differ",
        ),
        (
            builder().failover(0),
            "provider pool: failover = 0 is out of range; it must be from 1 to 64",
        ),
        (
            builder().failover(65),
            "provider pool: failover = 65 is out of range; it must be from 1 to 64",
        ),
        (
            builder().max_ejected(f64::NAN),
            "provider pool: max_ejected = NaN is out of range; it must be from 0 to 1",
        ),
        (
            builder().max_ejected(-0.1),
            "provider pool: max_ejected = -0.1 is out of range; it must be from 0 to 1",
        ),
        (
            builder().within(Duration::ZERO),
            "provider pool: within = 0ns is out of range; it must be from 1 ms to 365 days",
        ),
        (
            builder().slow_start(Duration::MAX),
            "provider pool: slow_start = 18446744073709551615.999999999s is out of range; it must be at most 365 days",
        ),
    ] {
        assert_eq!(build.build().unwrap_err().to_string(), said);
    }
    let error = builder()
        .provider(Provider::new(&long, Scripted::good("", 0)))
        .build()
        .unwrap_err();
    assert_eq!(error.field(), "name");
    assert!(error.to_string().len() < 250, "a name without end is cut: {error}");
    let pool = builder().provider(one()).build().unwrap();
    assert!(pool.set_weight("a", 0).is_err());
    assert_eq!(pool.set_weight("nobody", 5), Ok(false));
}

#[test]
fn names_are_data_and_never_break_a_line() {
    let pool = ProviderPool::<Scripted, u64>::builder()
        .provider(Provider::new("a\nb", Scripted::good("", 0)))
        .wants(|_| Some("x\ny"))
        .build()
        .unwrap();
    pool.drain("a\nb");
    let error = tokio_test::block_on(pool.oneshot(1)).unwrap_err().to_string();
    assert_eq!(error, r#"no provider for "x\ny": a\nb is draining"#);
}
