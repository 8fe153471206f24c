//! The layer: who is refused, how, and what a good Tower citizen owes.

mod support;

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use health_probe::{
    BoxError, CheckError, FnProbe, Health, HealthFuture, HealthLayer, HealthService, HealthState, Probe, ProbeHandle,
    Unhealthy,
};
use state_core::Refusal;
use support::Script;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock::{self, Spawn};

fn echo() -> impl Service<u8, Response = u8, Error = Infallible, Future = Ready<Result<u8, Infallible>>> + Clone {
    service_fn(|n: u8| ready(Ok(n)))
}

/// A probe that changes its mind at each check, and has made one.
async fn probe(passes: bool) -> (Script, ProbeHandle) {
    let script = Script::new(passes);
    let probe = script
        .probe()
        .named("x")
        .unhealthy_after(1)
        .healthy_after(1)
        .spawn()
        .unwrap();
    probe.check_now().await.unwrap();
    (script, probe)
}

async fn turn(script: &Script, probe: &ProbeHandle, up: bool) {
    script.pass(up);
    let expected = if up { HealthState::Up } else { HealthState::Down };
    assert_eq!(probe.check_now().await.unwrap().state, expected);
}

#[tokio::test(start_paused = true)]
async fn it_refuses_in_call_while_down_and_admits_while_up() {
    let (script, probe) = probe(true).await;
    let mut service = Spawn::new(HealthLayer::new(probe.health()).layer(echo()));
    assert_ready_ok!(service.poll_ready());
    assert_eq!(service.call(1).await.unwrap(), 1);
    turn(&script, &probe, false).await;
    assert_ready_ok!(service.poll_ready());
    let error = service.call(2).await.unwrap_err();
    let unhealthy = Unhealthy::find(&*error).unwrap();
    assert_eq!((unhealthy.probe(), unhealthy.state()), ("x", HealthState::Down));
    assert_eq!(
        (unhealthy.failures_in_a_row(), unhealthy.last_error()),
        (1, Some("scripted"))
    );
    let wait = unhealthy.retry_after().unwrap();
    assert!((9..=11).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(Refusal::find(&*error).unwrap().retry_after(), Some(wait));
    turn(&script, &probe, true).await;
    assert_ready_ok!(service.poll_ready());
    assert_eq!(service.call(3).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn unknown_admits_unless_it_is_told_to_refuse() {
    let script = Script::new(true);
    let probe = script
        .probe()
        .builder()
        .initial_delay(Duration::from_secs(9))
        .spawn()
        .unwrap();
    let layer = HealthLayer::new(probe.health());
    assert_eq!(layer.layer(echo()).oneshot(1).await.unwrap(), 1);
    let strict = layer.refuse_unknown().layer(echo());
    let error = strict.clone().oneshot(1).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(r#"probe "script" has no result yet; next check in "#),
        "{error}"
    );
    assert_eq!(Unhealthy::find(&*error).unwrap().state(), HealthState::Unknown);
    probe.check_now().await.unwrap();
    assert_eq!(strict.clone().oneshot(1).await.unwrap(), 1);
    probe.shutdown().await;
    let error = strict.oneshot(1).await.unwrap_err();
    assert_eq!(error.to_string(), r#"probe "script" has ended"#);
    assert_eq!(Unhealthy::find(&*error).unwrap().retry_after(), None);
}

#[tokio::test(start_paused = true)]
async fn the_inner_readiness_passes_through_while_admitted() {
    let (_script, probe) = probe(true).await;
    let (mut service, mut handle) = mock::spawn_layer::<u8, u8, _>(HealthLayer::new(probe.health()));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(7));
    assert_pending!(call.poll());
    let (request, respond) = assert_ready!(task::spawn(async { handle.next_request().await }).poll()).unwrap();
    respond.send_response(request + 1);
    assert_eq!(assert_ready_ok!(call.poll()), 8);
    handle.send_error("not ready");
    assert_eq!(assert_ready_err!(service.poll_ready()).to_string(), "not ready");
}

#[tokio::test(start_paused = true)]
async fn while_down_it_is_ready_without_asking_the_inner_service_and_then_does_not_call_it() {
    let (script, probe) = probe(false).await;
    // The mock panics when it is called without having been ready.
    let (mut service, mut handle) = mock::spawn_layer::<u8, u8, _>(HealthLayer::new(probe.health()));
    handle.allow(0);
    assert_ready_ok!(service.poll_ready());
    // It comes up between the two.
    turn(&script, &probe, true).await;
    let error = assert_ready_err!(task::spawn(service.call(1)).poll());
    assert!(Unhealthy::find(&*error).is_some());
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn down_between_ready_and_call_is_refused() {
    let (script, probe) = probe(true).await;
    for layer in [
        HealthLayer::new(probe.health()),
        HealthLayer::new(probe.health()).gate(),
    ] {
        let mut service = Spawn::new(layer.layer(echo()));
        turn(&script, &probe, true).await;
        assert_ready_ok!(service.poll_ready());
        turn(&script, &probe, false).await;
        assert!(Unhealthy::find(&*service.call(1).await.unwrap_err()).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn gated_it_is_pending_while_down_and_woken_when_it_is_up() {
    let (script, probe) = probe(false).await;
    let mut service = Spawn::new(HealthLayer::new(probe.health()).gate().layer(echo()));
    assert_pending!(service.poll_ready());
    assert_pending!(service.poll_ready());
    let mut other = service.clone();
    assert_pending!(other.poll_ready());
    turn(&script, &probe, false).await;
    assert!(!service.is_woken(), "nothing has changed, and nobody wakes himself");
    turn(&script, &probe, true).await;
    assert!(service.is_woken() && other.is_woken());
    assert_ready_ok!(service.poll_ready());
    assert_eq!(service.call(1).await.unwrap(), 1);
    assert_ready_ok!(other.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn gated_the_newest_waker_is_the_one_that_is_woken() {
    let (script, probe) = probe(false).await;
    let mut service = HealthLayer::new(probe.health()).gate().layer(echo());
    let mut first = task::spawn(());
    first.enter(|cx, _| assert!(service.poll_ready(cx).is_pending()));
    let mut second = task::spawn(());
    second.enter(|cx, _| assert!(service.poll_ready(cx).is_pending()));
    turn(&script, &probe, true).await;
    assert!(second.is_woken());
}

#[tokio::test(start_paused = true)]
async fn gated_and_unknown_refused_it_opens_with_the_first_result_and_does_not_wait_for_a_probe_that_has_ended() {
    let script = Script::new(true);
    let probe = script
        .probe()
        .builder()
        .initial_delay(Duration::from_secs(9))
        .spawn()
        .unwrap();
    let layer = HealthLayer::new(probe.health()).gate().refuse_unknown();
    let mut service = Spawn::new(layer.layer(echo()));
    assert_pending!(service.poll_ready());
    probe.check_now().await.unwrap();
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let fresh = script
        .probe()
        .builder()
        .initial_delay(Duration::from_secs(9))
        .spawn()
        .unwrap();
    let layer = HealthLayer::new(fresh.health()).gate().refuse_unknown();
    let mut service = Spawn::new(layer.layer(echo()));
    assert_pending!(service.poll_ready());
    fresh.shutdown().await;
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    assert!(service.call(1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn gated_the_inner_readiness_is_asked_once_the_gate_is_open() {
    let (script, probe) = probe(false).await;
    let (mut service, mut handle) = mock::spawn_layer::<u8, u8, _>(HealthLayer::new(probe.health()).gate());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    turn(&script, &probe, true).await;
    assert!(service.is_woken());
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn two_services_of_one_layer_share_the_health() {
    let (_script, probe) = probe(false).await;
    let layer = HealthLayer::new(probe.health());
    for service in [layer.layer(echo()), layer.layer(echo()), layer.clone().layer(echo())] {
        assert!(service.oneshot(1).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn on_refused_answers_with_a_response_and_keeps_the_inner_error() {
    let (script, probe) = probe(false).await;
    let layer = HealthLayer::new(probe.health()).on_refused(|unhealthy| Err(unhealthy.failures_in_a_row()));
    let inner = service_fn(|n: u8| {
        ready(if n == 0 {
            Err(io::Error::other("zero"))
        } else {
            Ok(Ok(n))
        })
    });
    let service = layer.layer(inner);
    let answer: Result<Result<u8, u32>, io::Error> = service.clone().oneshot(1).await;
    assert_eq!(answer.unwrap(), Err(1));
    turn(&script, &probe, true).await;
    assert_eq!(service.clone().oneshot(2).await.unwrap(), Ok(2));
    assert_eq!(service.oneshot(0).await.unwrap_err().to_string(), "zero");
}

#[tokio::test(start_paused = true)]
async fn inner_errors_pass_untouched_and_are_no_refusals() {
    let (_script, probe) = probe(true).await;
    let inner = service_fn(|_: u8| ready(Err::<u8, _>(io::Error::other("reset"))));
    let error = HealthLayer::new(probe.health())
        .layer(inner)
        .oneshot(1)
        .await
        .unwrap_err();
    assert!(error.downcast_ref::<io::Error>().is_some());
    assert!(Unhealthy::find(&*error).is_none() && Refusal::find(&*error).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_found_through_any_chain_and_names_its_source_once() {
    #[derive(Debug)]
    struct Wrapped(BoxError);
    impl std::fmt::Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("wrapped")
        }
    }
    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&*self.0)
        }
    }
    let (_script, probe) = probe(false).await;
    let error = HealthLayer::new(probe.health())
        .layer(echo())
        .oneshot(1)
        .await
        .unwrap_err();
    let text = error.to_string();
    let source = std::error::Error::source(Unhealthy::find(&*error).unwrap())
        .unwrap()
        .to_string();
    assert!(!text.contains(&source), "{text}");
    let wrapped = io::Error::other(Wrapped(error));
    assert!(Unhealthy::find(&wrapped).is_some());
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_point_a_service_leaves_nothing_behind() {
    let (script, probe) = probe(false).await;
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let layer = HealthLayer::new(probe.health()).gate();
    let service = layer.layer(service_fn(move |()| {
        let held = Arc::clone(&held);
        async move {
            pending::<()>().await;
            drop(held);
            Ok::<_, Infallible>(())
        }
    }));
    let mut waiting = Spawn::new(service.clone());
    assert_pending!(waiting.poll_ready());
    drop(waiting);
    turn(&script, &probe, true).await;
    let mut calling = Spawn::new(service);
    assert_ready_ok!(calling.poll_ready());
    let mut call = task::spawn(calling.call(()));
    assert_pending!(call.poll());
    drop(call);
    drop(calling);
    assert_eq!(Arc::strong_count(&token), 1);
}

#[tokio::test(start_paused = true)]
async fn a_layer_does_not_keep_the_probe_going() {
    let (_script, probe) = probe(false).await;
    let service = HealthLayer::new(probe.health()).layer(echo());
    drop(probe);
    tokio::task::yield_now().await;
    assert_eq!(service.health().state(), HealthState::Unknown);
    assert_eq!(service.oneshot(1).await.unwrap(), 1, "unknown admits");
}

#[tokio::test(start_paused = true)]
async fn a_paused_probe_gives_no_hint_when_to_come_back() {
    let (_script, probe) = probe(false).await;
    probe.pause();
    let error = HealthLayer::new(probe.health())
        .layer(echo())
        .oneshot(1)
        .await
        .unwrap_err();
    assert_eq!(Refusal::find(&*error).unwrap().retry_after(), None);
    assert_eq!(
        error.to_string(),
        r#"probe "x" says down: scripted (1 failure in a row)"#
    );
}

#[test]
fn services_and_futures_are_what_strict_hosts_want() {
    fn service<T: Clone + Send + Sync + 'static>() {}
    fn future<T: Send + 'static>() {}
    type Inner = tower::util::BoxCloneSyncService<(), (), BoxError>;
    service::<HealthService<Inner>>();
    service::<HealthLayer>();
    service::<Health>();
    future::<HealthFuture<Inner, ()>>();
    future::<ProbeHandle>();
}

#[tokio::test(start_paused = true)]
async fn it_stacks() {
    let down = FnProbe::new("stacked", async || Err::<(), _>(CheckError::new("no")))
        .spawn()
        .unwrap();
    down.check_now().await.unwrap();
    let service = ServiceBuilder::new()
        .layer(HealthLayer::new(down.health()).refuse_unknown())
        .layer(HealthLayer::new(down.health()).gate())
        .service(echo());
    assert!(service.oneshot(1).await.is_err());
}

#[cfg(feature = "http")]
mod http {
    use ::http::{Request, Response};
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn over_http_a_refusal_is_a_503_that_tells_no_secrets_and_over_grpc_unavailable() {
        let (script, probe) = probe(false).await;
        let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hi")))));
        let service = HealthLayer::http(probe.health()).layer(inner);
        let refused = service.clone().oneshot(Request::new(())).await.unwrap();
        assert_eq!(refused.status(), 503);
        let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((9..=11).contains(&wait), "{wait}");
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        let body = refused.into_body().collect().await.unwrap().to_bytes();
        let body = std::str::from_utf8(&body).unwrap();
        assert!(
            body.contains("503") && !body.contains("scripted") && !body.contains(r#""x""#),
            "{body}"
        );

        let grpc = Request::post("/a.B/C")
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let refused = service.clone().oneshot(grpc).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["grpc-status"]),
            (200, &"14".parse().unwrap())
        );
        assert!(refused.headers().contains_key("grpc-retry-pushback-ms"));

        turn(&script, &probe, true).await;
        assert_eq!(service.oneshot(Request::new(())).await.unwrap().status(), 200);
    }
}
