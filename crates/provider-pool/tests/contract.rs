//! The contract where it is hardest to keep: black holes, refusals, panics that are somebody else's, and races with drain.

use std::future::{Future, Ready, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use health_probe::{FnProbe, HealthState, Probe, ProbeHandle};
use provider_pool::{
    BoxError, Candidates, DeadlinePassed, InOrder, LeastLatency, NoProvider, PeakEwmaP2c, Provider, ProviderPool,
    Strategy, Why,
};
use state_core::Refusal;
use tokio_test::{assert_pending, assert_ready, task};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt, service_fn};
use tower_test::mock;

type Boxed = BoxCloneSyncService<u64, &'static str, BoxError>;
type Answered = Pin<Box<dyn Future<Output = Result<&'static str, BoxError>> + Send>>;

/// A provider whose calls come to what `answer` makes of their number, counted.
fn doing(
    name: &'static str,
    answer: impl Fn(u64) -> Answered + Send + Sync + 'static,
) -> (Provider<Boxed>, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let (counted, answer) = (Arc::clone(&calls), Arc::new(answer));
    let service = service_fn(move |_: u64| answer(counted.fetch_add(1, Ordering::Relaxed)));
    (Provider::new(name, Boxed::new(service)), calls)
}

fn good(name: &'static str, ms: u64) -> (Provider<Boxed>, Arc<AtomicU64>) {
    doing(name, move |_| {
        Box::pin(async move {
            if ms > 0 {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            Ok(name)
        })
    })
}

fn bad(name: &'static str) -> (Provider<Boxed>, Arc<AtomicU64>) {
    doing(name, move |_| Box::pin(ready(Err(format!("{name} is broken").into()))))
}

/// Its own layers refuse.
fn refusing(name: &'static str) -> (Provider<Boxed>, Arc<AtomicU64>) {
    doing(name, |_| Box::pin(ready(Err(Refusal::new(None).into()))))
}

/// Takes calls, and never answers.
fn hung(name: &'static str) -> (Provider<Boxed>, Arc<AtomicU64>) {
    doing(name, |_| Box::pin(pending()))
}

fn calls(of: &AtomicU64) -> u64 {
    of.load(Ordering::Relaxed)
}

async fn down(name: &str) -> ProbeHandle {
    let probe = FnProbe::new(name, || ready(Err::<(), _>("no route")))
        .every(Duration::from_secs(1))
        .unhealthy_after(1)
        .spawn()
        .unwrap();
    while probe.state() != HealthState::Down {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    probe
}

#[tokio::test(start_paused = true)]
async fn an_untried_provider_that_never_answers_does_not_get_every_call() {
    for strategy in [
        Box::new(LeastLatency::default()) as Box<dyn Strategy>,
        Box::new(PeakEwmaP2c),
    ] {
        let name = strategy.name();
        let ((hole, asked), (b, answered)) = (hung("hole"), good("b", 20));
        let pool = ProviderPool::builder()
            .provider(hole)
            .provider(b)
            .strategy(strategy)
            .seed(1);
        let pool = pool.within(Duration::from_secs(1)).build().unwrap();
        for n in 0..100 {
            let _ = pool.clone().oneshot(n).await;
        }
        assert_eq!(calls(&asked) + calls(&answered), 100, "{name}");
        assert!(
            calls(&asked) < 10,
            "{name}: {} of 100 calls into the hole",
            calls(&asked)
        );
        assert!(calls(&asked) > 0, "{name}: it is tried");
        tokio::time::sleep(Duration::from_secs(120)).await;
        let before = calls(&asked);
        for n in 0..20 {
            let _ = pool.clone().oneshot(n).await;
        }
        assert!(calls(&asked) > before, "{name}: it is tried again after a time");
    }
}

#[tokio::test(start_paused = true)]
async fn an_untried_provider_whose_own_layers_refuse_does_not_get_every_call() {
    for strategy in [
        Box::new(LeastLatency::default()) as Box<dyn Strategy>,
        Box::new(PeakEwmaP2c),
    ] {
        let name = strategy.name();
        let ((shed, asked), (b, answered)) = (refusing("shed"), good("b", 20));
        let pool = ProviderPool::builder()
            .provider(shed)
            .provider(b)
            .strategy(strategy)
            .seed(1);
        // Nothing may be sent twice, so a refusal is the caller's.
        let pool = pool.build().unwrap();
        for n in 0..100 {
            let _ = pool.clone().oneshot(n).await;
        }
        assert!(calls(&answered) > 90, "{name}: {} calls refused", calls(&asked));
        assert!(calls(&asked) > 0, "{name}: it is tried");
    }
}

#[tokio::test]
async fn a_refusal_after_a_failure_spends_no_attempt_either() {
    let ((a, _), (b, _), (c, asked)) = (bad("a"), refusing("b"), good("c", 0));
    let pool = ProviderPool::builder()
        .provider(a)
        .provider(b)
        .provider(c)
        .strategy(InOrder);
    let pool = pool.repeat_all().failover(2).build().unwrap();
    assert_eq!(pool.clone().oneshot(1).await.unwrap(), "c");
    assert_eq!(calls(&asked), 1);
    let seen = pool.snapshot().providers;
    assert_eq!(
        (seen[0].failed, seen[1].refused, seen[1].failed, seen[2].served),
        (1, 1, 0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_down_and_not_ready_is_waited_for_while_health_is_ignored() {
    let probe = down("a").await;
    let (a, mut to_a) = mock::pair::<u64, &'static str>();
    to_a.allow(0);
    let pool = ProviderPool::builder().provider(Provider::new("a", a).health(probe.health()));
    let pool = pool.ready_within(Duration::from_secs(5)).build().unwrap();
    let mut call = task::spawn(pool.oneshot(7));
    assert_pending!(call.poll(), "it is down and the only one, so it is waited for");
    to_a.allow(1);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    to_a.next_request().await.unwrap().1.send_response("late, but");
    assert_eq!(call.await.unwrap(), "late, but");
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_down_or_drains_while_it_is_waited_for_is_not_asked() {
    let (a, mut to_a) = mock::pair::<u64, &'static str>();
    to_a.allow(0);
    let pool = ProviderPool::builder().provider(Provider::new("a", a)).build().unwrap();
    let mut call = task::spawn(pool.clone().oneshot(7));
    assert_pending!(call.poll());
    pool.drain("a");
    to_a.allow(1);
    let error = assert_ready!(call.poll()).unwrap_err();
    assert_eq!(NoProvider::find(&*error).unwrap().excluded()[0].why, Why::Draining);
    assert_eq!(error.to_string(), "no provider: a is draining");
}

#[tokio::test]
async fn after_drained_has_resolved_no_call_arrives_though_one_had_been_picked_before() {
    type Pool = ProviderPool<Boxed, u64>;
    /// Drains between the pick and the call, as another thread might.
    #[derive(Clone, Default)]
    struct Between(Arc<OnceLock<Pool>>);
    impl std::fmt::Debug for Between {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Between")
        }
    }
    impl Strategy for Between {
        fn name(&self) -> &'static str {
            "between"
        }
        fn pick(&self, candidates: &Candidates<'_>) -> usize {
            let first = candidates.iter().next().unwrap();
            if first.name() == "a" {
                let pool = self.0.get().unwrap();
                pool.drain("a");
                let mut drained = task::spawn(pool.drained("a"));
                assert_ready!(drained.poll(), "nothing is in flight there: it may be shut down");
            }
            first.place()
        }
    }
    let ((a, asked), (b, _)) = (good("a", 0), good("b", 0));
    let between = Between::default();
    let pool = ProviderPool::builder()
        .provider(a)
        .provider(b)
        .strategy(between.clone())
        .build()
        .unwrap();
    assert!(between.0.set(pool.clone()).is_ok());
    assert_eq!(pool.clone().oneshot(1).await.unwrap(), "b");
    assert_eq!(calls(&asked), 0, "it was shut down");
}

#[tokio::test]
async fn a_call_that_is_dropped_while_its_caller_panics_is_given_up_and_no_failure() {
    let (a, _) = hung("a");
    let pool = ProviderPool::builder().provider(a).build().unwrap();
    let of_caller = pool.clone();
    let task = tokio::spawn(async move {
        let mut call = task::spawn(of_caller.oneshot(1));
        assert_pending!(call.poll());
        panic!("the caller's own");
    });
    assert!(task.await.unwrap_err().is_panic());
    let seen = pool.snapshot().providers.remove(0);
    assert_eq!((seen.failed, seen.cancelled, seen.in_flight), (0, 1, 0));
}

/// Panics where it is told to.
#[derive(Clone)]
struct Panics {
    in_ready: bool,
}

impl Service<u64> for Panics {
    type Response = &'static str;
    type Error = BoxError;
    type Future = Ready<Result<&'static str, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        assert!(!self.in_ready, "in poll_ready");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u64) -> Self::Future {
        ready(Ok("hello"))
    }
}

#[tokio::test]
async fn a_provider_that_panics_in_readiness_has_failed() {
    let pool = ProviderPool::builder()
        .provider(Provider::new("a", Panics { in_ready: true }))
        .build()
        .unwrap();
    assert!(tokio::spawn(pool.clone().oneshot(1)).await.unwrap_err().is_panic());
    let seen = pool.snapshot().providers.remove(0);
    assert_eq!((seen.failed, seen.cancelled, seen.in_flight), (1, 0, 0));
    assert!(
        seen.latency.unwrap() >= Duration::from_secs(1),
        "the penalty: {:?}",
        seen.latency
    );
}

#[tokio::test]
async fn a_hook_that_panics_says_nothing_of_the_provider() {
    let two = || {
        let pool = ProviderPool::builder().provider(Provider::new("a", Panics { in_ready: false }));
        pool.provider(Provider::new("b", Panics { in_ready: false }))
            .strategy(InOrder)
    };
    let pools = [
        two().repeat(|_| panic!("repeat")).build().unwrap(),
        two().wants(|_| panic!("wants")).build().unwrap(),
        two().deadline(|_| panic!("deadline")).build().unwrap(),
    ];
    for pool in pools {
        let mut called = pool.clone();
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut call = task::spawn(called.call(1));
            let _ = call.poll();
        }));
        run.unwrap_err();
        for seen in pool.snapshot().providers {
            assert_eq!((seen.failed, seen.served, seen.in_flight), (0, 0, 0));
            assert_eq!(seen.latency, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_sooner_has_a_failure_rate_faded_than_a_success_brings_it_back() {
    let works = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&works);
    let (a, _) = doing("a", move |_| {
        let works = *seen.lock().unwrap();
        Box::pin(ready(if works { Ok("a") } else { Err("broken".into()) }))
    });
    let pool = ProviderPool::builder().provider(a).build().unwrap();
    for n in 0..50 {
        let _ = pool.clone().oneshot(n).await;
    }
    let rate = || pool.snapshot().providers[0].failure_rate;
    assert!(rate() > 0.9);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let faded = rate();
    assert!((0.2..0.3).contains(&faded), "a quarter is left: {faded}");
    *works.lock().unwrap() = true;
    pool.clone().oneshot(1).await.unwrap();
    assert!(rate() < faded, "it went well, so it is not {}", rate());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_passed_names_only_those_that_were_asked() {
    let ((a, _), (b, _), (c, _)) = (refusing("a"), bad("b"), hung("c"));
    let pool = ProviderPool::builder()
        .provider(a)
        .provider(b)
        .provider(c)
        .strategy(InOrder);
    let pool = pool
        .repeat_all()
        .failover(3)
        .within(Duration::from_millis(50))
        .build()
        .unwrap();
    let error = pool.oneshot(1).await.unwrap_err();
    let asked = DeadlinePassed::find(&*error).unwrap().asked();
    assert_eq!(asked.iter().map(|name| &**name).collect::<Vec<_>>(), ["b", "c"]);
    assert!(Refusal::find(&*error).is_none(), "it was asked, so this is no refusal");
}

#[tokio::test(start_paused = true)]
async fn readiness_failures_are_attempts_and_the_last_ones_error_is_the_callers() {
    let ((a, mut to_a), (b, mut to_b), (c, _to_c)) = (mock::pair::<u64, ()>(), mock::pair(), mock::pair());
    to_a.send_error("a is dead");
    to_b.send_error("b is dead");
    let pool = ProviderPool::builder().strategy(InOrder).failover(2);
    let pool = pool
        .provider(Provider::new("a", a))
        .provider(Provider::new("b", b))
        .provider(Provider::new("c", c));
    let error = pool.build().unwrap().oneshot(1).await.unwrap_err();
    assert!(error.to_string().contains("b is dead"), "{error}");
}
