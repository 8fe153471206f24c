//! What Tower callers are owed, by `tower_test::mock`, which panics when an inner service is called unready.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use circuit_layer::{
    BoxError, Circuit, CircuitFuture, CircuitLayer, CircuitService, ManualClock, OnCancel, Refused, State, Verdict,
};
use state_core::Outcome;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

type Mock = mock::Mock<&'static str, &'static str>;
type Wrapped = mock::Spawn<CircuitService<Mock>>;

fn failing_once(name: &str, clock: &ManualClock) -> Circuit {
    Circuit::builder(name)
        .consecutive_failures(1)
        .trials(1)
        .clock(clock.clone())
        .build()
        .unwrap()
}

fn wrapped(circuit: Circuit) -> (Wrapped, mock::Handle<&'static str, &'static str>) {
    mock::spawn_layer(CircuitLayer::new(circuit))
}

fn trip(circuit: Circuit) {
    circuit.acquire().unwrap().failure();
    assert_eq!(circuit.state(), State::Open);
}

fn refused_by(error: &BoxError) -> Option<&'static str> {
    Refused::find(&**error).map(Refused::circuit)
}

#[tokio::test]
async fn poll_ready_passes_the_inner_readiness_through_while_calls_are_admitted() {
    let circuit = Circuit::builder("readiness").build().unwrap();
    let (mut service, mut handle) = wrapped(circuit);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call("hello"));
    assert_pending!(call.poll());
    let (request, reply) = handle.next_request().await.unwrap();
    assert_eq!(request, "hello");
    reply.send_response("world");
    assert_eq!(assert_ready_ok!(call.poll()), "world");
    assert_eq!(circuit.totals().unwrap().successes, 1);
}

#[tokio::test]
async fn an_error_of_the_inner_readiness_passes_untouched() {
    let circuit = Circuit::builder("readiness error").build().unwrap();
    let (mut service, mut handle) = wrapped(circuit);
    handle.send_error("broken for good");
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.to_string(), "broken for good");
    assert!(Refused::find(&*error).is_none());
}

#[tokio::test]
async fn while_the_circuit_refuses_poll_ready_is_ready_without_polling_the_inner_service_and_call_fails_at_once() {
    let circuit = failing_once("refuses", &ManualClock::new());
    trip(circuit);
    let (mut service, mut handle) = wrapped(circuit);
    // The inner service would be pending.
    handle.allow(0);
    for _ in 0..3 {
        assert_ready_ok!(service.poll_ready());
        let error = assert_ready_err!(task::spawn(service.call("hello")).poll());
        assert_eq!(refused_by(&error), Some("refuses"));
    }
    assert_eq!(circuit.totals().unwrap().refused, 3);
    assert!(task::spawn(handle.next_request()).poll().is_pending());
}

#[tokio::test]
async fn a_service_that_was_not_polled_ready_is_not_called_though_the_circuit_admits_by_then() {
    let clock = ManualClock::new();
    let circuit = failing_once("flips", &clock);
    trip(circuit);
    let (mut service, mut handle) = wrapped(circuit);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    clock.advance(Duration::from_secs(30));
    let error = assert_ready_err!(task::spawn(service.call("too early")).poll());
    assert_eq!(refused_by(&error), Some("flips"));
    // The trial is still to be had.
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call("in time"));
    assert_pending!(call.poll());
    let (request, reply) = handle.next_request().await.unwrap();
    assert_eq!(request, "in time");
    reply.send_response("healed");
    assert_ready_ok!(call.poll());
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test]
async fn an_inner_service_that_was_polled_ready_stays_ready_through_a_refusal() {
    let clock = ManualClock::new();
    let circuit = failing_once("stays ready", &clock);
    let (mut service, mut handle) = wrapped(circuit);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    trip(circuit);
    assert_ready_err!(task::spawn(service.call("refused")).poll());
    assert_ready_ok!(service.poll_ready());
    clock.advance(Duration::from_secs(30));
    // Polled while refused, but the inner service has been ready since before.
    let mut call = task::spawn(service.call("trial"));
    assert_pending!(call.poll());
    assert_eq!(handle.next_request().await.unwrap().0, "trial");
}

#[tokio::test]
async fn who_waits_for_the_inner_service_is_woken_and_refused_when_the_circuit_opens() {
    let circuit = failing_once("opens meanwhile", &ManualClock::new());
    let (mut service, mut handle) = wrapped(circuit);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    assert!(!service.is_woken());
    trip(circuit);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let error = assert_ready_err!(task::spawn(service.call("hello")).poll());
    assert_eq!(refused_by(&error), Some("opens meanwhile"));
}

#[tokio::test]
async fn a_clone_shares_the_circuit_and_nothing_of_what_the_original_was_told() {
    let clock = ManualClock::new();
    let circuit = failing_once("clone", &clock);
    trip(circuit);
    let (mut service, mut handle) = wrapped(circuit);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    clock.advance(Duration::from_secs(30));
    let mut clone = mock::Spawn::new(service.get_ref().clone());
    assert_ready_ok!(clone.poll_ready());
    let mut trial = task::spawn(clone.call("by the clone"));
    assert_pending!(trial.poll());
    assert_eq!(handle.next_request().await.unwrap().0, "by the clone");
    let error = assert_ready_err!(task::spawn(service.call("by the original")).poll());
    assert_eq!(refused_by(&error), Some("clone"));
}

#[tokio::test]
async fn layer_called_twice_shares_the_state() {
    let circuit = failing_once("layer twice", &ManualClock::new());
    let layer = CircuitLayer::new(circuit);
    let broken = layer.layer(service_fn(|()| async { Err::<(), _>(io::Error::other("broken")) }));
    let fine = layer.layer(service_fn(|()| async { Ok::<_, io::Error>(()) }));
    assert!(fine.clone().oneshot(()).await.is_ok());
    assert!(broken.oneshot(()).await.is_err());
    assert_eq!(refused_by(&fine.oneshot(()).await.unwrap_err()), Some("layer twice"));
}

#[tokio::test]
async fn inner_errors_are_untouched_and_downcastable() {
    let circuit = Circuit::builder("errors").build().unwrap();
    let service = CircuitLayer::new(circuit).layer(service_fn(|()| async {
        Err::<(), _>(io::Error::new(io::ErrorKind::BrokenPipe, "pipe"))
    }));
    let error = service.oneshot(()).await.unwrap_err();
    assert_eq!(
        error.downcast_ref::<io::Error>().unwrap().kind(),
        io::ErrorKind::BrokenPipe
    );
}

#[tokio::test]
async fn on_refused_turns_it_into_a_response_and_keeps_the_error() {
    let circuit = Circuit::builder("respond").build().unwrap();
    circuit.force_open();
    let service = CircuitLayer::new(circuit)
        .on_refused(|refused: &Refused| refused.circuit())
        .layer(service_fn(|()| async { Ok::<_, Infallible>("fine") }));
    let answer: Result<&str, Infallible> = service.clone().oneshot(()).await;
    assert_eq!(answer, Ok("respond"));
    circuit.release();
    assert_eq!(service.oneshot(()).await, Ok("fine"));
}

#[tokio::test]
async fn a_classifier_may_answer_with_an_outcome_as_a_permit_takes_it() {
    let circuit = Circuit::builder("outcomes").consecutive_failures(1).build().unwrap();
    let service = CircuitLayer::new(circuit)
        .classify(|result: &Result<u32, io::Error>| match result {
            Ok(0) => Outcome::failure(),
            _ => Outcome::success(),
        })
        .layer(service_fn(|n: u32| async move { Ok::<_, io::Error>(n) }));
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 1);
    assert_eq!(circuit.state(), State::Closed);
    assert_eq!(service.oneshot(0).await.unwrap(), 0);
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn a_classifier_says_what_a_call_came_to_with_an_optional_retry_hint() {
    let clock = ManualClock::new();
    let circuit = failing_once("classify", &clock);
    let service = CircuitLayer::new(circuit)
        .classify(|result: &Result<u32, io::Error>| match result {
            Ok(0) => Verdict::neutral(),
            Ok(1) => Verdict::throttled(),
            Ok(2) => Verdict::at_end(),
            Ok(_) => Verdict::failure().retry_after(Duration::from_secs(120)),
            Err(_) => Verdict::success(),
        })
        .layer(service_fn(|n: u32| async move {
            if n > 9 { Err(io::Error::other("fine")) } else { Ok(n) }
        }));
    for n in [0, 1, 2, 10] {
        let _ = service.clone().oneshot(n).await;
        assert_eq!(circuit.state(), State::Closed, "{n}");
    }
    let totals = circuit.totals().unwrap();
    assert_eq!((totals.neutral, totals.failures, totals.successes), (1, 1, 2));
    service.oneshot(3).await.unwrap();
    let refused = circuit.acquire().unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(120)));
}

#[tokio::test]
async fn an_inspector_can_neutralise_chosen_errors() {
    let circuit = failing_once("inspect", &ManualClock::new());
    let service = CircuitLayer::new(circuit)
        .neutral_when(|error: &io::Error| error.kind() == io::ErrorKind::NotFound)
        .neutral_when(|error: &io::Error| error.kind() == io::ErrorKind::InvalidInput)
        .layer(service_fn(|kind: io::ErrorKind| async move {
            Err::<(), _>(io::Error::from(kind))
        }));
    for kind in [io::ErrorKind::NotFound, io::ErrorKind::InvalidInput] {
        service.clone().oneshot(kind).await.unwrap_err();
        assert_eq!(circuit.state(), State::Closed);
    }
    assert_eq!(circuit.totals().unwrap().neutral, 2);
    service.oneshot(io::ErrorKind::TimedOut).await.unwrap_err();
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn a_classifier_or_inspector_that_panics_makes_the_call_a_failure_and_the_panic_goes_on_to_the_caller() {
    let circuit = Circuit::builder("classifier panics")
        .consecutive_failures(2)
        .build()
        .unwrap();
    let ok = service_fn(|()| async { Ok::<_, io::Error>(()) });
    let classify = CircuitLayer::new(circuit)
        .classify(|_: &Result<(), io::Error>| -> Verdict { panic!("classifier") })
        .layer(ok);
    let err = service_fn(|()| async { Err::<(), _>(io::Error::other("x")) });
    let inspect = CircuitLayer::new(circuit)
        .neutral_when(|_: &io::Error| -> bool { panic!("inspector") })
        .layer(err);
    assert!(tokio::spawn(classify.oneshot(())).await.unwrap_err().is_panic());
    assert_eq!(circuit.snapshot().consecutive_failures, Some(1));
    assert!(tokio::spawn(inspect.oneshot(())).await.unwrap_err().is_panic());
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test]
async fn panics_count_in_call_and_in_poll_and_a_panicking_trial_re_opens() {
    let clock = ManualClock::new();
    let circuit = Circuit::builder("panics")
        .consecutive_failures(2)
        .clock(clock.clone())
        .build()
        .unwrap();
    let service = CircuitLayer::new(circuit).layer(service_fn(|in_call: bool| {
        assert!(!in_call, "in call");
        async {
            if true {
                panic!("in poll")
            } else {
                Ok::<(), io::Error>(())
            }
        }
    }));
    for (in_call, state) in [(true, State::Closed), (false, State::Open)] {
        let service = service.clone();
        let joined = tokio::spawn(async move { service.oneshot(in_call).await }).await;
        assert!(joined.unwrap_err().is_panic());
        assert_eq!(circuit.state(), state);
    }
    for in_call in [true, false] {
        clock.advance(Duration::from_secs(30));
        assert_eq!(circuit.state(), State::HalfOpen);
        let service = service.clone();
        let joined = tokio::spawn(async move { service.oneshot(in_call).await }).await;
        assert!(joined.unwrap_err().is_panic());
        assert_eq!(circuit.state(), State::Open);
    }
}

#[tokio::test]
async fn a_panic_that_is_caught_while_the_future_lives_on_is_a_failure() {
    let circuit = failing_once("caught", &ManualClock::new());
    let mut service = CircuitLayer::new(circuit).layer(service_fn(|()| async {
        if true {
            panic!("in poll")
        } else {
            Ok::<(), io::Error>(())
        }
    }));
    let mut call = task::spawn(service.ready().await.unwrap().call(()));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call.poll()));
    assert!(caught.is_err());
    assert_eq!(circuit.state(), State::Open);
    drop(call);
    assert_eq!(circuit.totals().unwrap().failures, 1);
}

#[tokio::test]
async fn dropped_at_every_await_point_a_call_leaks_nothing() {
    for polls in 0..8 {
        let clock = ManualClock::new();
        let circuit = failing_once("dropped", &clock);
        let service = CircuitLayer::new(circuit).layer(service_fn(|()| async {
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            Ok::<_, io::Error>(())
        }));
        trip(circuit);
        clock.advance(Duration::from_secs(30));
        {
            let mut call = task::spawn(service.clone().oneshot(()));
            for _ in 0..polls {
                if call.poll().is_ready() {
                    break;
                }
            }
        }
        // The trial is over, or its place was given back.
        assert_eq!(circuit.snapshot().trials_in_flight, 0, "after {polls} polls");
        assert!(service.oneshot(()).await.is_ok());
        assert_eq!(circuit.state(), State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_calls_cancelled_by_an_outer_timeout_open_a_circuit_with_on_cancel_failure_or_slow_failure() {
    let base = || {
        Circuit::builder("hung")
            .failure_rate_above(0.5)
            .min_calls(100)
            .clock(circuit_layer::TokioClock)
    };
    let failure = base().on_cancel(OnCancel::Failure).build().unwrap();
    let slow = base()
        .slow_call_rate_above(0.5, Duration::from_millis(500))
        .on_cancel(OnCancel::SlowFailure)
        .build()
        .unwrap();
    let neutral = base().on_cancel(OnCancel::Neutral).build().unwrap();
    for (circuit, state) in [(failure, State::Open), (slow, State::Open), (neutral, State::Closed)] {
        let service = ServiceBuilder::new()
            .timeout(Duration::from_secs(1))
            .layer(CircuitLayer::new(circuit))
            .service(service_fn(|()| std::future::pending::<Result<(), io::Error>>()));
        let calls = (0..200)
            .map(|_| tokio::spawn(service.clone().oneshot(())))
            .collect::<Vec<_>>();
        for call in calls {
            call.await.unwrap().unwrap_err();
        }
        assert_eq!(circuit.state(), state);
        let totals = circuit.totals().unwrap();
        assert_eq!(totals.cancelled + totals.late, 200);
    }
}

#[tokio::test]
async fn a_ramp_draws_once_for_a_call_that_was_polled_ready_many_times() {
    let clock = ManualClock::new();
    let circuit = Circuit::builder("ramp")
        .failure_rate_above(0.5)
        .consecutive_failures(1)
        .ramp(Duration::from_secs(100), 0.9, 1000)
        .seed(7)
        .clock(clock.clone())
        .build()
        .unwrap();
    trip(circuit);
    clock.advance(Duration::from_secs(30));
    circuit.acquire().map(circuit_layer::Permit::success).ok();
    clock.advance(Duration::from_secs(50));
    let mut service = CircuitLayer::new(circuit).layer(service_fn(|()| async { Ok::<_, io::Error>(()) }));
    let mut admitted = 0;
    for _ in 0..1_000 {
        for _ in 0..2 {
            ServiceExt::<()>::ready(&mut service).await.unwrap();
        }
        admitted += u32::from(service.call(()).await.is_ok());
    }
    // 2^0.5 - 1 = 0.41 for one draw. A refusal at the first look is not final, so two looks are 1 - 0.59^2 = 0.66; were
    // an admission drawn again it would be 0.17.
    assert!((590..730).contains(&admitted), "{admitted}");
}

#[test]
fn services_are_clone_send_sync_and_static_and_futures_are_send() {
    fn service<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn future<T: Send + 'static>(_: &T) {}
    let circuit = Circuit::builder("auto traits").build().unwrap();
    let mut svc = CircuitLayer::new(circuit)
        .gate()
        .layer(service_fn(|()| async { Ok::<_, io::Error>(()) }));
    service(&svc);
    let call: CircuitFuture<_, _, _> = svc.call(());
    future(&call);
}

#[tokio::test]
async fn a_service_and_its_future_may_be_neither_send_nor_sync() {
    let circuit = Circuit::builder("local").build().unwrap();
    let count = Rc::new(Cell::new(0));
    let seen = Rc::clone(&count);
    let service = CircuitLayer::new(circuit).layer(service_fn(move |()| {
        seen.set(seen.get() + 1);
        let held = Rc::clone(&seen);
        async move { Ok::<_, io::Error>(held.get()) }
    }));
    assert_eq!(pin!(service.oneshot(())).await.unwrap(), 1);
    assert_eq!(count.get(), 1);
}

#[tokio::test]
async fn a_retired_circuit_admits_every_call() {
    let circuit = failing_once("retired", &ManualClock::new());
    let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let seen = Arc::clone(&calls);
    let service = CircuitLayer::new(circuit).layer(service_fn(move |()| {
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async { Err::<(), _>(io::Error::other("broken")) }
    }));
    circuit.retire();
    for _ in 0..3 {
        let error = service.clone().oneshot(()).await.unwrap_err();
        assert!(Refused::find(&*error).is_none());
    }
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_refusal_is_ready_at_the_first_poll_and_bears_the_mark_of_all_refusals() {
    let circuit = Circuit::builder("mark").build().unwrap();
    circuit.force_open();
    let mut service = CircuitLayer::new(circuit).layer(service_fn(|()| async { Ok::<_, io::Error>(()) }));
    let error = assert_ready!(task::spawn(service.call(())).poll()).unwrap_err();
    assert!(circuit_layer::Refusal::find(&*error).is_some());
}

#[tokio::test]
async fn a_service_that_was_not_polled_ready_is_not_called_though_the_circuit_was_reset_meanwhile() {
    let circuit = failing_once("reset meanwhile", &ManualClock::new());
    trip(circuit);
    let (mut service, mut handle) = wrapped(circuit);
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    circuit.reset();
    let error = assert_ready_err!(task::spawn(service.call("too early")).poll());
    assert_eq!(refused_by(&error), Some("reset meanwhile"));
    assert_ready_ok!(service.poll_ready());
    assert_pending!(task::spawn(service.call("in time")).poll());
    assert_eq!(handle.next_request().await.unwrap().0, "in time");
}

/// Is never ready, and opens its circuit when it is asked.
struct OpensWhenAsked(Circuit);

impl Service<()> for OpensWhenAsked {
    type Response = ();
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<()>>;

    fn poll_ready(&mut self, _cx: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        self.0.force_open();
        std::task::Poll::Pending
    }

    fn call(&mut self, (): ()) -> Self::Future {
        panic!("called unready")
    }
}

#[tokio::test]
async fn nobody_waits_for_a_service_whose_circuit_opened_while_it_was_asked() {
    let circuit = failing_once("opens when asked", &ManualClock::new());
    let mut service = CircuitLayer::new(circuit).layer(OpensWhenAsked(circuit));
    let error = service.ready().await.unwrap().call(()).await.unwrap_err();
    assert_eq!(refused_by(&error), Some("opens when asked"));
}

#[tokio::test]
async fn a_ramp_draws_once_for_a_call_whose_inner_service_has_stayed_ready() {
    let clock = ManualClock::new();
    let circuit = Circuit::builder("ramp kept ready")
        .consecutive_failures(1)
        .open_for(Duration::from_secs(1))
        .ramp(Duration::from_secs(100), 0.9, 1000)
        .clock(clock.clone())
        .seed(7)
        .build()
        .unwrap();
    let layer = CircuitLayer::new(circuit);
    let fine = service_fn(|()| async { Ok::<_, io::Error>(()) });
    let mut services: Vec<_> = (0..400).map(|_| layer.layer(fine)).collect();
    for service in &mut services {
        ServiceExt::<()>::ready(service).await.unwrap();
    }
    trip(circuit);
    for service in &mut services {
        // Ready, and by now to be refused.
        ServiceExt::<()>::ready(service).await.unwrap();
    }
    clock.advance(Duration::from_secs(1));
    while circuit.acquire().is_ok() {}
    clock.advance(Duration::from_secs(50));
    let mut admitted = 0;
    for service in &mut services {
        let answer = ServiceExt::<()>::ready(service).await.unwrap().call(()).await;
        admitted += u32::from(answer.is_ok());
    }
    // 2^0.5 - 1 = 0.414: 166 of 400, give or take three deviations.
    assert!((136..=196).contains(&admitted), "{admitted} of 400");
}
