//! Under a balancer: pools as endpoints, and gated circuits within a pool.

mod support;

use std::time::Duration;

use circuit_layer::CircuitLayer;
use provider_pool::{InOrder, NoProvider, Provider, ProviderPool, RoundRobin};
use state_core::{Circuit, ManualClock};
use support::{Scripted, secs};
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::Constant;
use tower::{Service, ServiceBuilder, ServiceExt};

#[tokio::test(start_paused = true)]
async fn pools_are_endpoints_of_a_balancer() {
    let services: Vec<Scripted> = (0..4).map(|_| Scripted::good("x", 0)).collect();
    let pools = services.chunks(2).map(|two| {
        let mut pool = ProviderPool::builder().strategy(RoundRobin::default());
        for (name, service) in ["a", "b"].into_iter().zip(two) {
            pool = pool.provider(Provider::new(name, service.clone()));
        }
        Constant::new(pool.build().unwrap(), 1)
    });
    let mut balance = Balance::new(ServiceList::new(pools.collect::<Vec<_>>()));
    for n in 0..400 {
        balance.ready().await.unwrap().call(n).await.unwrap();
    }
    let calls: Vec<u64> = services.iter().map(Scripted::calls).collect();
    assert_eq!(calls.iter().sum::<u64>(), 400);
    assert!(calls.iter().all(|calls| *calls > 50), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn gated_circuits_under_p2c_get_only_trials_while_their_pool_goes_on() {
    // Five endpoints, each a pool of one behind a gated circuit: the balancer looks elsewhere while one is not ready.
    let clock = ManualClock::new();
    let circuits: Vec<Circuit> = (0..5)
        .map(|n| {
            let circuit = Circuit::builder(format!("endpoint {n}"))
                .consecutive_failures(1)
                .open_for(secs(30))
                .trials(2);
            circuit.clock(clock.clone()).build().unwrap()
        })
        .collect();
    let services: Vec<Scripted> = (0..5)
        .map(|n| {
            Scripted::new("x", move |call| {
                (Duration::ZERO, if n == 0 && call == 0 { Err("once") } else { Ok(()) })
            })
        })
        .collect();
    let endpoints = services.iter().zip(&circuits).map(|(service, circuit)| {
        let pool = ProviderPool::builder()
            .provider(Provider::new("only", service.clone()))
            .build()
            .unwrap();
        Constant::new(
            ServiceBuilder::new()
                .layer(CircuitLayer::new(*circuit).gate())
                .service(pool),
            1,
        )
    });
    let mut balance = Balance::new(ServiceList::new(endpoints.collect::<Vec<_>>()));
    for n in 0..1_000 {
        let _ = balance.ready().await.unwrap().call(n).await;
    }
    assert_eq!(services[0].calls(), 1, "open after its first call");
    assert!(services[1..].iter().all(|service| service.calls() > 100));
}

#[tokio::test(start_paused = true)]
async fn a_provider_behind_a_gated_circuit_is_not_ready_and_passed_over() {
    let circuit = Circuit::builder("a").clock(ManualClock::new()).build().unwrap();
    circuit.force_open();
    let (a, b) = (Scripted::good("a", 0), Scripted::good("b", 0));
    let other = Circuit::builder("b").clock(ManualClock::new()).build().unwrap();
    let gated = |service: &Scripted, circuit| {
        ServiceBuilder::new()
            .layer(CircuitLayer::new(circuit).gate())
            .service(service.clone())
    };
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", gated(&a, circuit)))
        .provider(Provider::new("b", gated(&b, other)))
        .strategy(InOrder)
        .ready_within(secs(2))
        .build()
        .unwrap();
    for n in 0..100 {
        assert_eq!(pool.clone().oneshot(n).await.unwrap(), "b");
    }
    other.force_open();
    let error = pool.clone().oneshot(1).await.unwrap_err();
    assert_eq!(error.to_string(), "no provider: a is not ready, b is not ready");
    assert!(NoProvider::find(&*error).is_some());
    let mut waiting = tokio_test::task::spawn(pool.oneshot(1));
    tokio_test::assert_pending!(waiting.poll());
    circuit.release();
    assert!(waiting.is_woken(), "by the transition");
    assert_eq!(waiting.await.unwrap(), "a");
    assert_eq!(a.calls(), 1);
}
