//! The layer as a good Tower citizen.

mod support;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use cooldown_layer::store::Outcome;
use cooldown_layer::{
    Action, Budget, ByResult, Cooldown, CooldownLayer, CooldownService, MemoryStore, Refuse, Refused, Signature,
};
use state_core::Refusal;
use support::{Flaky, Mode};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

type Handle = mock::Handle<&'static str, &'static str>;
type Extract = fn(&&'static str) -> Action;

fn action(target: &&'static str) -> Action {
    Action::new("restart", *target).because_of(Signature::new("Down"))
}

fn cooldown(of: u32) -> Cooldown {
    Cooldown::builder("repairs")
        .budget(Budget::of(of))
        .protect(["postgres"])
        .no_track_record()
        .build()
        .expect("valid")
}

type Guarded = CooldownService<mock::Mock<&'static str, &'static str>, Extract, Refuse, ByResult>;

fn spawn(cooldown: &Cooldown) -> (mock::Spawn<Guarded>, Handle) {
    mock::spawn_layer(CooldownLayer::new(cooldown.clone(), action as Extract))
}

#[test]
fn services_are_clone_send_sync_and_futures_send() {
    fn strict<S: Service<&'static str> + Clone + Send + Sync + 'static>(_: &S)
    where
        S::Future: Send + 'static,
    {
    }
    let inner = service_fn(|request: &'static str| async move { Ok::<_, Infallible>(request) });
    let layer = CooldownLayer::new(cooldown(1), action);
    strict(&layer.layer(inner));
    strict(
        &layer
            .clone()
            .on_refused(|_| "no")
            .judge_by(|_: &Result<&'static str, Infallible>| Outcome::Failed)
            .layer(inner),
    );
    assert!(format!("{layer:?}").contains("repairs"));
}

#[tokio::test]
async fn readiness_passes_through_and_its_error_too() {
    let repairs = cooldown(5);
    let (mut service, mut handle) = spawn(&repairs);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    handle.send_error("broken");
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.to_string(), "broken");
    assert_eq!(repairs.status().await.budgets[0].used, 0, "readiness asks for nothing");
}

#[tokio::test]
async fn the_outcome_of_the_call_settles_the_lease() {
    let repairs = cooldown(5);
    let (mut service, mut handle) = spawn(&repairs);
    for fails in [false, true] {
        assert_ready_ok!(service.poll_ready());
        let call = tokio::spawn(service.call("api"));
        let (request, reply) = handle.next_request().await.expect("called");
        assert_eq!((request, repairs.status().await.open_leases), ("api", 1));
        if fails {
            reply.send_error("no use");
        } else {
            reply.send_response("done");
        }
        let answer = call.await.expect("no panic");
        assert_eq!(answer.is_err(), fails);
        if let Err(error) = answer {
            assert_eq!(error.to_string(), "no use");
            assert!(Refused::find(&*error).is_none());
        }
        assert_eq!(repairs.status().await.open_leases, 0);
    }
    assert_eq!(repairs.status().await.budgets[0].used, 2);
}

#[tokio::test]
async fn a_refusal_never_reaches_the_service_and_carries_the_mark() {
    let repairs = cooldown(1);
    let (mut service, mut handle) = spawn(&repairs);
    handle.allow(3);
    for (target, reason) in [("postgres", "protected"), ("", "empty_target")] {
        assert_ready_ok!(service.poll_ready());
        let error = service.call(target).await.expect_err("refused");
        assert_eq!(Refused::find(&*error).expect("ours").reason().as_str(), reason);
        assert!(Refusal::find(&*error).is_some());
    }
    assert!(
        tokio_test::task::spawn(handle.next_request()).poll().is_pending(),
        "never called"
    );
}

#[tokio::test]
async fn on_refused_answers_with_a_response_and_keeps_the_error_type() {
    let layer = CooldownLayer::new(cooldown(1), action).on_refused(|refused: Refused| refused.reason().as_str());
    let service = layer.layer(service_fn(|_: &'static str| async { Ok::<_, Infallible>("done") }));
    let answers = [
        service.clone().oneshot("api").await,
        service.clone().oneshot("api").await,
        service.oneshot("postgres").await,
    ];
    assert_eq!(answers, [Ok("done"), Ok("over_budget"), Ok("protected")]);
}

#[tokio::test]
async fn layer_twice_clones_and_connections_share_the_cooldown() {
    let layer = CooldownLayer::new(cooldown(2), action);
    let inner = service_fn(|_: &'static str| async { Ok::<_, Infallible>("done") });
    let (one, two) = (layer.layer(inner), layer.clone().layer(inner));
    assert!(one.clone().oneshot("a").await.is_ok());
    assert!(two.clone().oneshot("a").await.is_ok());
    assert!(one.oneshot("a").await.is_err() && two.oneshot("a").await.is_err());
}

#[tokio::test]
async fn a_rule_of_ones_own_judges_the_outcome() {
    let store = MemoryStore::new();
    let ledger = cooldown_layer::AnomalyLedger::builder("a")
        .store(store)
        .build()
        .expect("valid");
    let repairs = Cooldown::builder("repairs").ledger(&ledger).build().expect("valid");
    let layer = CooldownLayer::new(repairs, |status: &u16| {
        Action::new("restart", status.to_string()).because_of(Signature::new("Down"))
    })
    .judge_by(|result: &Result<u16, Infallible>| match result {
        Ok(200) => Outcome::Succeeded,
        Ok(499) => Outcome::Abandoned,
        _ => Outcome::Failed,
    });
    let service = layer.layer(service_fn(|status: u16| async move { Ok::<_, Infallible>(status) }));
    for status in [200, 500, 499] {
        assert_eq!(service.clone().oneshot(status).await.expect("allowed"), status);
    }
    let rate = ledger.success_rate(Signature::new("Down"), "restart").await;
    assert_eq!((rate.succeeded, rate.tried), (1, 2));
}

#[tokio::test]
async fn a_panic_in_the_service_is_a_failure_and_goes_on() {
    let ledger = cooldown_layer::AnomalyLedger::builder("a").build().expect("valid");
    let repairs = Cooldown::builder("repairs").ledger(&ledger).build().expect("valid");
    let service = CooldownLayer::new(repairs.clone(), action).layer(service_fn(|fails: &'static str| async move {
        assert_ne!(fails, "api", "the service panics");
        Ok::<_, Infallible>("done")
    }));
    assert!(
        tokio::spawn(service.oneshot("api"))
            .await
            .expect_err("panicked")
            .is_panic()
    );
    assert_eq!(repairs.status().await.open_leases, 0);
    let rate = ledger.success_rate(Signature::new("Down"), "restart").await;
    assert_eq!((rate.succeeded, rate.tried), (0, 1));
}

/// Yields so many times before it is ready.
struct Slow(usize);

impl Future for Slow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A store that yields before and after it does anything.
#[derive(Clone)]
struct Yielding(MemoryStore);

impl cooldown_layer::Store for Yielding {
    fn name(&self) -> &'static str {
        "yielding"
    }

    fn run(&self, operation: Arc<cooldown_layer::store::Operation>) -> cooldown_layer::store::StoreFuture<'_> {
        Box::pin(async move {
            Slow(2).await;
            let answer = self.0.run(operation).await;
            Slow(2).await;
            answer
        })
    }
}

#[tokio::test]
async fn dropped_at_every_await_point_nothing_leaks_and_the_budget_holds() {
    for polls in 0..40 {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let repairs = Cooldown::builder("repairs")
            .budget(Budget::of(1))
            .store(Yielding(MemoryStore::new()))
            .build()
            .expect("valid");
        let mut service = CooldownLayer::new(repairs.clone(), action).layer(service_fn(move |_: &'static str| {
            counted.fetch_add(1, Ordering::SeqCst);
            async {
                Slow(3).await;
                Ok::<_, Infallible>("done")
            }
        }));
        poll_fn(|cx| service.poll_ready(cx)).await.expect("ready");
        let mut done = false;
        {
            let mut call = Box::pin(service.call("api"));
            for _ in 0..polls {
                if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    done = true;
                    break;
                }
            }
        }
        let status = repairs.status().await;
        let called = calls.load(Ordering::SeqCst);
        assert!(status.budgets[0].used >= called as u64, "dropped after {polls} polls");
        if called == 1 {
            assert_eq!(
                status.open_leases, 0,
                "dropped after {polls} polls: abandoned, and told with the next call"
            );
        }
        assert_eq!(
            service.oneshot("api").await.is_ok(),
            status.budgets[0].used == 0,
            "dropped after {polls} polls"
        );
        assert_eq!(done, polls >= 12, "a call takes 12 polls here: {polls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_delays_a_call_by_its_timeout_and_no_more() {
    let store = Flaky::new(MemoryStore::new());
    let repairs = Cooldown::builder("repairs")
        .store(store.clone())
        .build()
        .expect("valid");
    let service =
        CooldownLayer::new(repairs, action).layer(service_fn(|_: &'static str| async { Ok::<_, Infallible>("done") }));
    store.set(Mode::Hangs);
    let start = tokio::time::Instant::now();
    assert!(service.oneshot("api").await.is_ok());
    assert_eq!(
        start.elapsed().as_millis() / 10,
        50,
        "one wait to decide, one to settle"
    );
}
