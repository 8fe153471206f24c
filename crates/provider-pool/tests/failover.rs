//! What happens when a provider fails.

mod support;

use std::sync::atomic::{AtomicU32, Ordering};

use circuit_layer::CircuitLayer;
use provider_pool::{BoxError, DeadlinePassed, InOrder, NoProvider, Provider, ProviderPool, Strategy};
use state_core::Circuit;
use support::{Scripted, ms, secs};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

fn three(services: [&Scripted; 3]) -> provider_pool::PoolBuilder<Scripted, u64> {
    let mut pool = ProviderPool::builder().strategy(InOrder);
    for service in services {
        pool = pool.provider(service.provider());
    }
    pool
}

#[tokio::test]
async fn on_failure_the_next_available_provider_is_asked() {
    let (a, b, c) = (Scripted::bad("a"), Scripted::good("b", 0), Scripted::good("c", 0));
    let pool = three([&a, &b, &c]).repeat_all().build().unwrap();
    assert_eq!(pool.clone().oneshot(1).await.unwrap(), "b");
    assert_eq!((a.calls(), b.calls(), c.calls()), (1, 1, 0));
    let seen = pool.snapshot();
    assert_eq!((seen.providers[0].failed, seen.providers[1].served), (1, 1));
}

#[tokio::test]
async fn at_most_attempts_providers_are_asked() {
    for (attempts, asked) in [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (64, [1, 1, 1])] {
        let (a, b, c) = (Scripted::bad("a"), Scripted::bad("b"), Scripted::bad("c"));
        let pool = three([&a, &b, &c]).repeat_all().failover(attempts).build().unwrap();
        let error = pool.oneshot(1).await.unwrap_err();
        assert_eq!([a.calls(), b.calls(), c.calls()], asked, "{attempts} attempts");
        assert_eq!(error.to_string(), "broken", "the last provider's own error, untouched");
        assert!(NoProvider::find(&*error).is_none());
    }
}

#[tokio::test]
async fn a_request_that_is_not_repeatable_never_fails_over() {
    let (a, b, c) = (Scripted::bad("a"), Scripted::good("b", 0), Scripted::good("c", 0));
    let pool = three([&a, &b, &c]).build().unwrap();
    pool.oneshot(1).await.unwrap_err();
    assert_eq!(b.calls(), 0, "by default nothing is");
    let pool = three([&a, &b, &c]).repeat(|n| (*n == 7).then_some(*n)).build().unwrap();
    pool.clone().oneshot(1).await.unwrap_err();
    assert_eq!(b.calls(), 0);
    assert_eq!(pool.oneshot(7).await.unwrap(), "b");
}

#[tokio::test]
async fn a_refusal_by_a_providers_own_layers_spends_no_attempt_and_marks_nothing() {
    let circuit = Circuit::builder("a").build().unwrap();
    circuit.force_open();
    let (a, b, c) = (Scripted::good("a", 0), Scripted::bad("b"), Scripted::good("c", 0));
    let behind = |service: &Scripted, circuit| {
        ServiceBuilder::new()
            .layer(CircuitLayer::new(circuit))
            .service(service.clone())
    };
    let other = |name: &str| Circuit::builder(name).build().unwrap();
    let pool = ProviderPool::builder()
        // The pool is not told of the circuit, so it learns of it by being refused.
        .provider(Provider::new("a", behind(&a, circuit)))
        .provider(Provider::new("b", behind(&b, other("b"))))
        .provider(Provider::new("c", behind(&c, other("c"))))
        .strategy(InOrder)
        .repeat_all()
        .failover(2)
        .build()
        .unwrap();
    assert_eq!(pool.clone().oneshot(1).await.unwrap(), "c");
    let seen = pool.snapshot().providers;
    assert_eq!((seen[0].refused, seen[0].failed, seen[0].latency), (1, 0, None));
    assert_eq!((seen[1].failed, seen[2].served), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_request_is_kept() {
    let (a, b, c) = (
        Scripted::new("a", |_| (ms(80), Err("late"))),
        Scripted::good("b", 80),
        Scripted::good("c", 0),
    );
    let pool = three([&a, &b, &c]).repeat_all().within(ms(100)).build().unwrap();
    let began = Instant::now();
    let error = pool.clone().oneshot(1).await.unwrap_err();
    assert_eq!(began.elapsed(), ms(100), "with all attempts");
    let passed = DeadlinePassed::find(&*error).expect("the pool said so");
    assert_eq!(
        passed.asked().iter().map(|name| &**name).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(
        error.to_string(),
        "the request's deadline passed after 100 ms; asked: a, b"
    );
    assert_eq!(
        pool.snapshot().providers[1].cancelled,
        1,
        "a caller that gives up says nothing of the provider"
    );

    // The request's own, if it is earlier; and no attempt is begun past it.
    let pool = three([&a, &b, &c])
        .repeat_all()
        .within(secs(9))
        .deadline(|_| Some(Instant::now() + ms(80)));
    let error = pool.build().unwrap().oneshot(1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "late",
        "the answer came in time, and there is no time for another"
    );
    assert_eq!(b.calls(), 1);

    let pool = three([&a, &b, &c]).deadline(|_| Some(Instant::now())).build().unwrap();
    let error = pool.oneshot(1).await.unwrap_err();
    assert!(DeadlinePassed::find(&*error).unwrap().asked().is_empty(), "{error}");
}

#[tokio::test]
async fn a_response_that_counts_as_a_failure_fails_over_and_the_last_goes_out_as_it_is() {
    let (a, b, c) = (Scripted::good("a", 0), Scripted::good("b", 0), Scripted::good("c", 0));
    let fails = |names: &'static [&str]| {
        move |answer: &Result<&'static str, BoxError>| answer.as_ref().is_ok_and(|name| names.contains(name))
    };
    let pool = three([&a, &b, &c])
        .repeat_all()
        .failover(3)
        .failure_when(fails(&["a"]))
        .build()
        .unwrap();
    assert_eq!(pool.oneshot(1).await.unwrap(), "b");
    let pool = three([&a, &b, &c])
        .repeat_all()
        .failover(3)
        .failure_when(fails(&["a", "b", "c"]))
        .build()
        .unwrap();
    assert_eq!(pool.oneshot(1).await.unwrap(), "c");
}

type Mocked = mock::Mock<u64, &'static str>;
type Told = mock::Handle<u64, &'static str>;

fn mocked(strategy: impl Strategy) -> (ProviderPool<Mocked, u64>, Told, Told) {
    let ((a, mut to_a), (b, mut to_b)) = (mock::pair(), mock::pair());
    to_a.allow(0);
    to_b.allow(0);
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", a))
        .provider(Provider::new("b", b))
        .strategy(strategy);
    (pool.ready_within(secs(5)).build().unwrap(), to_a, to_b)
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_ready_is_passed_over() {
    let (pool, _to_a, mut to_b) = mocked(InOrder);
    to_b.allow(1);
    let mut call = tokio_test::task::spawn(pool.oneshot(7));
    tokio_test::assert_pending!(call.poll());
    let (asked, answer) = to_b.next_request().await.unwrap();
    assert_eq!(asked, 7);
    answer.send_response("b");
    assert_eq!(call.await.unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn when_none_is_ready_a_call_waits_for_the_first_that_is() {
    let (pool, _to_a, mut to_b) = mocked(InOrder);
    let mut call = tokio_test::task::spawn(pool.clone().oneshot(7));
    tokio_test::assert_pending!(call.poll());
    tokio::time::sleep(secs(4)).await;
    tokio_test::assert_pending!(call.poll());
    to_b.allow(1);
    assert!(call.is_woken());
    tokio_test::assert_pending!(call.poll());
    to_b.next_request().await.unwrap().1.send_response("b");
    assert_eq!(call.await.unwrap(), "b");
    assert!(pool.snapshot().providers.iter().all(|provider| provider.in_flight == 0));
}

#[tokio::test(start_paused = true)]
async fn when_none_gets_ready_within_the_time_no_provider_says_so() {
    let (pool, _to_a, _to_b) = mocked(InOrder);
    let began = Instant::now();
    let error = pool.oneshot(7).await.unwrap_err();
    assert_eq!(began.elapsed(), secs(5));
    assert_eq!(error.to_string(), "no provider: a is not ready, b is not ready");
}

#[tokio::test(start_paused = true)]
async fn a_readiness_error_goes_on_to_the_next_without_a_copy_of_the_request() {
    let (pool, mut to_a, mut to_b) = mocked(InOrder);
    to_a.send_error("a is dead");
    to_b.allow(1);
    let mut call = tokio_test::task::spawn(pool.clone().oneshot(7));
    tokio_test::assert_pending!(call.poll());
    to_b.next_request().await.unwrap().1.send_response("b");
    assert_eq!(call.await.unwrap(), "b");
    assert_eq!(pool.snapshot().providers[0].failed, 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_at_every_await_point_it_gives_its_place_back() {
    let (pool, _to_a, mut to_b) = mocked(InOrder);
    let idle = |pool: &ProviderPool<Mocked, u64>| pool.snapshot().providers.iter().all(|seen| seen.in_flight == 0);
    drop(pool.clone().call(1));
    let mut waiting = tokio_test::task::spawn(pool.clone().oneshot(1));
    tokio_test::assert_pending!(waiting.poll());
    assert!(idle(&pool), "who waits for readiness is not in flight");
    drop(waiting);
    to_b.allow(1);
    let mut asking = tokio_test::task::spawn(pool.clone().oneshot(2));
    tokio_test::assert_pending!(asking.poll());
    assert!(!idle(&pool));
    drop(asking);
    assert!(idle(&pool));
    assert_eq!(pool.snapshot().providers[1].cancelled, 1);
}

#[tokio::test]
async fn a_call_that_panics_is_a_failure_and_the_panic_goes_on_to_the_caller() {
    for at_once in [true, false] {
        let service = service_fn(move |()| {
            assert!(!at_once, "in call");
            async move {
                tokio::task::yield_now().await;
                assert!(at_once, "in the future");
                Ok::<_, BoxError>(())
            }
        });
        let pool = ProviderPool::builder()
            .provider(Provider::new("a", service))
            .build()
            .unwrap();
        assert!(tokio::spawn(pool.clone().oneshot(())).await.unwrap_err().is_panic());
        let seen = pool.snapshot().providers.remove(0);
        assert_eq!(
            (seen.failed, seen.cancelled, seen.in_flight),
            (1, 0, 0),
            "at once: {at_once}"
        );
    }
}

#[tokio::test]
async fn a_hook_or_strategy_that_panics_harms_its_own_call_only() {
    #[derive(Debug)]
    struct Sometimes(AtomicU32);
    impl Strategy for Sometimes {
        fn name(&self) -> &'static str {
            "sometimes"
        }
        fn pick(&self, _: &provider_pool::Candidates<'_>) -> usize {
            assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "the first time");
            // None of the candidates: stands for the first.
            usize::MAX
        }
    }
    let a = Scripted::good("a", 0);
    let pool = ProviderPool::builder()
        .provider(a.provider())
        .strategy(Sometimes(AtomicU32::new(0)))
        .failure_when(|answer| {
            assert!(answer.is_ok(), "no errors, please");
            false
        })
        .build()
        .unwrap();
    assert!(tokio::spawn(pool.clone().oneshot(1)).await.unwrap_err().is_panic());
    assert_eq!(pool.clone().oneshot(1).await.unwrap(), "a");
    let pool = ProviderPool::builder()
        .provider(Scripted::bad("b").provider())
        .failure_when(|answer| answer.as_ref().is_err_and(|_| panic!("a hook")));
    let pool = pool.build().unwrap();
    assert!(tokio::spawn(pool.clone().oneshot(1)).await.unwrap_err().is_panic());
    assert_eq!(
        (
            pool.snapshot().providers[0].failed,
            pool.snapshot().providers[0].in_flight
        ),
        (1, 0)
    );
}

#[test]
fn services_are_clone_send_sync_and_static_and_futures_are_send() {
    fn service<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn future<T: Send>(_: &T) {}
    let mut pool = ProviderPool::builder()
        .provider(Scripted::good("a", 0).provider())
        .build()
        .unwrap();
    service(&pool);
    future(&pool.call(1));
    let mut waker = tokio_test::task::spawn(());
    assert!(waker.enter(|cx, _| pool.poll_ready(cx)).is_ready());
}

#[tokio::test]
async fn clones_share_everything() {
    let a = Scripted::good("a", 0);
    let pool = ProviderPool::builder().provider(a.provider()).build().unwrap();
    let other = pool.clone();
    other.drain("a");
    assert!(pool.pick(None).is_none());
    pool.resume("a");
    other.oneshot(1).await.unwrap();
    assert_eq!(pool.snapshot().providers[0].served, 1);
    assert_eq!(pool.snapshot().strategy, "least_latency", "the default");
    assert!(pool.snapshot().providers[0].latency.is_some());
}
