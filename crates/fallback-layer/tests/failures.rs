//! Section 4: which failures the steps are asked for, and what is seen of an answer of theirs.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fallback_layer::{CauseKind, CloneRequest, Degraded, FallbackError, FallbackLayer, Mark};
use support::{BoxError, Broken, Refused, Script, failing, refused};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

#[tokio::test]
async fn by_default_any_error_is_a_failure_and_no_response_is() {
    let layer = FallbackLayer::new().respond(|_, _| "sorry");
    assert_eq!(
        layer.layer(failing(|| Broken("down").into())).oneshot(1).await.unwrap(),
        "sorry"
    );
    assert_eq!(layer.layer(failing(refused)).oneshot(1).await.unwrap(), "sorry");
    assert_eq!(layer.layer(Script::new([Ok("")])).oneshot(1).await.unwrap(), "");
}

#[tokio::test]
async fn on_error_asks_the_steps_only_for_errors_that_its_predicate_names() {
    let layer = FallbackLayer::new()
        .on_error(|error| error.downcast_ref() == Some(&Broken("down")))
        .respond(|_, _| "sorry");
    assert_eq!(
        layer.layer(failing(|| Broken("down").into())).oneshot(1).await.unwrap(),
        "sorry"
    );
    let error = layer
        .layer(failing(|| Broken("bad request").into()))
        .oneshot(1)
        .await
        .unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Broken("bad request")), "untouched");
}

#[tokio::test]
async fn on_response_asks_the_steps_for_responses_that_its_predicate_names() {
    let layer = FallbackLayer::new()
        .on_response(|status: &u16| *status >= 500)
        .respond_if(|_, cause| (cause.response() == Some(&503)).then_some(200));
    assert_eq!(layer.layer(Script::new([Ok(503)])).oneshot(1).await.unwrap(), 200);
    assert_eq!(layer.layer(Script::new([Ok(404)])).oneshot(1).await.unwrap(), 404);
    assert_eq!(
        layer.layer(Script::new([Ok(500)])).oneshot(1).await.unwrap(),
        500,
        "every step passed on"
    );
}

#[tokio::test]
async fn a_failed_response_goes_out_as_it_came_when_a_step_failed_too() {
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .on_response(|status: &u16| *status >= 500)
        .service(Script::new([Err("backup is down")]));
    assert_eq!(layer.layer(Script::new([Ok(503)])).oneshot(1).await.unwrap(), 503);
}

/// The error of a layer that nobody knows, round a refusal.
#[derive(Debug)]
struct Wrapped(Refused);
impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("wrapped")
    }
}
impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test]
async fn on_refusal_asks_the_steps_only_for_refusals() {
    /// Knows 503 for a refusal.
    struct Status;
    impl Mark<u16> for Status {
        fn mark(&self, _: &mut u16, _: Degraded) {}
        fn is_refusal(&self, status: &u16) -> bool {
            *status == 503
        }
    }
    let layer = FallbackLayer::new().mark(Status).on_refusal().respond_if(|_, cause| {
        assert_eq!(cause.kind(), CauseKind::Refusal);
        Some(200)
    });
    assert_eq!(layer.layer(failing(refused)).oneshot(1).await.unwrap(), 200);
    assert_eq!(layer.layer(Script::new([Ok(503)])).oneshot(1).await.unwrap(), 200);
    assert_eq!(layer.layer(Script::new([Ok(500)])).oneshot(1).await.unwrap(), 500);
    let error = layer
        .layer(failing(|| Broken("down").into()))
        .oneshot(1)
        .await
        .unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Broken("down")));

    // Deep in a chain, under the error of a layer that nobody knows here.
    let wrapped = || Wrapped(Refused(state_core::Refusal::new(Some(Duration::from_secs(9))))).into();
    let layer = FallbackLayer::new()
        .on_refusal()
        .respond(|_, cause| cause.retry_after());
    assert_eq!(
        layer.layer(failing(wrapped)).oneshot(1).await.unwrap(),
        Some(Duration::from_secs(9))
    );
}

#[tokio::test]
async fn a_readiness_error_of_the_inner_service_is_answered_by_the_chain() {
    let (mock, mut handle) = tower_test::mock::pair::<u32, &str>();
    let layer = FallbackLayer::new().respond_if(|_, cause| {
        assert_eq!(cause.kind(), CauseKind::NotReady);
        assert_eq!(cause.find(), Some(&Broken("worker is gone")));
        Some("sorry")
    });
    let mut service = layer.layer(mock);

    handle.send_error(Broken("worker is gone"));
    assert_eq!(
        service.ready().await.expect("never an error").call(1).await.unwrap(),
        "sorry"
    );

    // A service that recovers is used again.
    handle.allow(1);
    let call = service.ready().await.unwrap().call(2);
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(request, 2);
    send.send_response("real");
    assert_eq!(call.await.unwrap(), "real");
}

#[tokio::test]
async fn a_readiness_error_that_no_step_applies_to_goes_out_of_call_untouched() {
    let (mock, mut handle) = tower_test::mock::pair::<u32, &str>();
    let layer = FallbackLayer::new().on_refusal().respond(|_, _| "sorry");
    let mut service = layer.layer(mock);
    handle.send_error(Broken("worker is gone"));
    let error = service
        .ready()
        .await
        .expect("never an error")
        .call(1)
        .await
        .unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Broken("worker is gone")));
}

#[tokio::test]
async fn a_readiness_error_does_not_kill_a_buffer_above() {
    let (mock, mut handle) = tower_test::mock::pair::<u32, &str>();
    let service = ServiceBuilder::new()
        .buffer(4)
        .layer(FallbackLayer::new().respond(|_, _| "sorry"))
        .service(mock);
    handle.send_error(Broken("worker is gone"));
    assert_eq!(service.clone().oneshot(1).await.unwrap(), "sorry");
    handle.allow(1);
    let call = tokio::spawn(service.oneshot(2));
    handle.next_request().await.unwrap().1.send_response("real");
    assert_eq!(call.await.unwrap().unwrap(), "real");
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_not_ready_within_the_time_limit_passes_on() {
    let (backup, mut handle) = tower_test::mock::pair::<u32, &str>();
    handle.allow(0);
    let layer = FallbackLayer::new()
        .keep(CloneRequest)
        .service(backup)
        .within(Duration::from_secs(2))
        .respond(|_, _| "else")
        .build()
        .unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(
        layer.layer(failing(|| Broken("down").into())).oneshot(1).await.unwrap(),
        "else"
    );
    assert_eq!(started.elapsed(), Duration::from_secs(2));
}

#[tokio::test]
async fn a_backup_that_fails_in_readiness_passes_on() {
    let (backup, mut handle) = tower_test::mock::pair::<u32, &str>();
    handle.send_error(Broken("backup is gone"));
    let layer = FallbackLayer::new().keep(CloneRequest).service(backup);
    let error = layer
        .layer(failing(|| Broken("down").into()))
        .oneshot(1)
        .await
        .unwrap_err();
    let last = FallbackError::find(&*error).unwrap().last().unwrap();
    assert_eq!(last.downcast_ref(), Some(&Broken("backup is gone")));
}

#[tokio::test]
async fn a_backup_is_called_only_once_it_is_ready() {
    // The mock panics when it is called before.
    let (backup, mut handle) = tower_test::mock::pair::<u32, &str>();
    handle.allow(0);
    let layer = FallbackLayer::new().keep(CloneRequest).service(backup);
    let mut call = tokio_test::task::spawn(layer.layer(failing(|| Broken("down").into())).oneshot(5));
    tokio_test::assert_pending!(call.poll());
    handle.allow(1);
    assert!(call.is_woken());
    tokio_test::assert_pending!(call.poll());
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(request, 5);
    send.send_response("backup");
    assert_eq!(call.await.unwrap(), "backup");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_says_that_time_ran_out_is_a_cause_of_its_own() {
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new().respond(|_, cause| cause.kind()))
        .timeout(Duration::from_secs(1))
        .service(support::hanging());
    assert_eq!(service.oneshot(1).await.unwrap(), CauseKind::Timeout);
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Answer {
    text: &'static str,
    degraded: Option<(&'static str, CauseKind)>,
}

fn marked(answer: &mut Answer, degraded: Degraded) {
    answer.degraded = Some((degraded.step, degraded.cause));
}

#[tokio::test]
async fn a_degraded_answer_is_marked_with_step_and_cause() {
    let sorry = || Answer {
        text: "sorry",
        degraded: None,
    };
    let layer = FallbackLayer::new()
        .mark(marked)
        .respond_if(|_, cause| (cause.kind() == CauseKind::Refusal).then(Answer::default))
        .respond(move |_, _| sorry())
        .named("static")
        .when(|_, cause| cause.find() == Some(&Broken("down")))
        .finally(|_, _| Answer::default());

    let answer = layer.layer(failing(|| Broken("down").into())).oneshot(1).await.unwrap();
    assert_eq!(
        answer,
        Answer {
            text: "sorry",
            degraded: Some(("static", CauseKind::Error))
        }
    );
    let answer = layer.layer(failing(refused)).oneshot(1).await.unwrap();
    assert_eq!(answer.degraded, Some(("respond", CauseKind::Refusal)));
    let answer = layer.layer(failing(|| Broken("else").into())).oneshot(1).await.unwrap();
    assert_eq!(answer.degraded, Some(("finally", CauseKind::Error)));
    let answer = layer.layer(Script::new([Ok(sorry())])).oneshot(1).await.unwrap();
    assert_eq!(answer.degraded, None, "the service's own");
}

/// Writes down how each call that it lets through ends, as a breaker does.
#[derive(Clone)]
struct Recorder<S> {
    inner: S,
    seen: Arc<Mutex<Vec<&'static str>>>,
}

impl<S: Service<u32, Error = BoxError>> Service<u32> for Recorder<S>
where
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let (call, seen) = (self.inner.call(request), Arc::clone(&self.seen));
        Box::pin(async move {
            let answer = call.await;
            seen.lock()
                .unwrap()
                .push(if answer.is_ok() { "success" } else { "failure" });
            answer
        })
    }
}

#[tokio::test]
async fn the_failure_has_reached_the_breaker_before_a_fallback_hides_nothing_from_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let recorder = Recorder {
        inner: Script::new([Ok("real"), Err("down")]),
        seen: Arc::clone(&seen),
    };
    let at_answer = Arc::clone(&seen);
    let layer = FallbackLayer::new().respond(move |_, _| {
        assert_eq!(
            *at_answer.lock().unwrap(),
            ["success", "failure"],
            "recorded before the step is asked"
        );
        "sorry"
    });
    let mut service = layer.layer(recorder);
    assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), "real");
    assert_eq!(service.ready().await.unwrap().call(2).await.unwrap(), "sorry");
    assert_eq!(*seen.lock().unwrap(), ["success", "failure"]);
}

#[tokio::test]
async fn what_the_failed_call_held_is_released_before_a_step_begins() {
    struct Slot(Arc<Mutex<bool>>);
    impl Drop for Slot {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = true;
        }
    }
    let released = Arc::new(Mutex::new(false));
    let slot = Arc::new(Slot(Arc::clone(&released)));
    let weak = Arc::downgrade(&slot);
    let mut slot = Some(slot);
    let inner = tower::service_fn(move |_: u32| {
        // Held by the future itself and not by its state, so that only dropping it releases the slot.
        let held = slot.take();
        std::future::poll_fn(move |_| {
            let _ = &held;
            std::task::Poll::Ready(Err::<&str, _>(BoxError::from("down")))
        })
    });
    let layer = FallbackLayer::new().respond(move |_, _| if weak.upgrade().is_none() { "released" } else { "held" });
    assert_eq!(layer.layer(inner).oneshot(1).await.unwrap(), "released");
    assert!(*released.lock().unwrap());
}

#[tokio::test]
async fn the_call_is_dropped_the_moment_it_has_answered() {
    let held = Arc::new(());
    let inner = {
        let held = Arc::clone(&held);
        tower::service_fn(move |_: u32| {
            let held = Arc::clone(&held);
            std::future::poll_fn(move |_| {
                let _ = &held;
                std::task::Poll::Ready(Ok::<_, BoxError>("real"))
            })
        })
    };
    let layer = FallbackLayer::new().on_response(|_| false).respond(|_, _| "sorry");
    let mut service = layer.layer(inner);
    let mut call = tokio_test::task::spawn(service.ready().await.unwrap().call(1));
    assert_eq!(Arc::strong_count(&held), 3);
    assert_eq!(tokio_test::assert_ready_ok!(call.poll()), "real");
    assert_eq!(Arc::strong_count(&held), 2, "although the future is still here");
}
