//! Behind a gate, under balancers and buffers.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use circuit_layer::{BoxError, Circuit, CircuitLayer, CircuitService, ManualClock, Refused, State, TokioClock};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

/// Counts how often a service is polled ready.
#[derive(Clone)]
struct Counted<S> {
    inner: S,
    polls: Arc<AtomicU32>,
}

impl<S: Service<R>, R> Service<R> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.inner.call(request)
    }
}

fn counted<S>(inner: S) -> (Counted<S>, Arc<AtomicU32>) {
    let polls = Arc::new(AtomicU32::new(0));
    let service = Counted {
        inner,
        polls: Arc::clone(&polls),
    };
    (service, polls)
}

fn hourly() -> Circuit {
    Circuit::builder("hourly")
        .consecutive_failures(1)
        .open_for(Duration::from_secs(3600))
        .trials(1)
        .clock(TokioClock)
        .build()
        .unwrap()
}

fn trip(circuit: Circuit) {
    circuit.acquire().unwrap().failure();
    assert_eq!(circuit.state(), State::Open);
}

fn fine() -> impl Service<(), Response = (), Error = io::Error, Future: Future<Output = Result<(), io::Error>> + Send>
+ Clone
+ Send
+ 'static {
    service_fn(|()| async { Ok::<_, io::Error>(()) })
}

#[tokio::test(start_paused = true)]
async fn under_paused_tokio_time_1_h_passes_to_half_open_and_gate_never_spins() {
    let circuit = hourly();
    trip(circuit);
    let (mut service, polls) = counted(CircuitLayer::new(circuit).gate().layer(fine()));
    let start = Instant::now();
    ServiceExt::<()>::ready(&mut service).await.unwrap();
    let waited = start.elapsed();
    assert!(
        waited >= Duration::from_secs(3600) && waited < Duration::from_secs(3601),
        "{waited:?}"
    );
    assert_eq!(circuit.state(), State::HalfOpen);
    assert!(polls.load(Ordering::Relaxed) <= 3, "{polls:?} polls");
    service.call(()).await.unwrap();
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn while_an_operator_holds_it_open_a_gate_sets_no_timer_and_wakes_on_transition() {
    let circuit = hourly();
    circuit.force_open();
    let (mut service, polls) = counted(CircuitLayer::new(circuit).gate().layer(fine()));
    let waiting = tokio::spawn(async move { ServiceExt::<()>::ready(&mut service).await.map(|_| ()) });
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(polls.load(Ordering::Relaxed), 1);
    circuit.release();
    waiting.await.unwrap().unwrap();
    assert_eq!(polls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_gate_on_a_ramp_asks_again_a_bounded_number_of_times_and_lets_its_share_through() {
    let circuit = Circuit::builder("ramp gate")
        .consecutive_failures(1)
        .failure_rate_above(0.5)
        .open_for(Duration::from_secs(10))
        .ramp(Duration::from_secs(640), 0.9, 1000)
        .seed(1)
        .clock(TokioClock)
        .build()
        .unwrap();
    trip(circuit);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let (mut service, polls) = counted(CircuitLayer::new(circuit).gate().layer(fine()));
    ServiceExt::<()>::ready(&mut service).await.unwrap();
    assert!(polls.load(Ordering::Relaxed) < 200, "{polls:?} polls");
}

#[tokio::test(start_paused = true)]
async fn a_gate_with_a_clock_that_stands_still_does_not_spin() {
    let clock = ManualClock::new();
    let circuit = Circuit::builder("still")
        .consecutive_failures(1)
        .open_for(Duration::from_secs(1))
        .clock(clock.clone())
        .build()
        .unwrap();
    trip(circuit);
    clock.advance(Duration::from_micros(999_900));
    let (mut service, polls) = counted(CircuitLayer::new(circuit).gate().layer(fine()));
    let waiting = tokio::time::timeout(Duration::from_secs(1), ServiceExt::<()>::ready(&mut service)).await;
    assert!(waiting.is_err());
    assert!(polls.load(Ordering::Relaxed) <= 1_002, "{polls:?} polls");
}

#[tokio::test(start_paused = true)]
async fn behind_a_gate_the_inner_service_is_asked_only_when_a_call_would_be_admitted() {
    let circuit = hourly();
    trip(circuit);
    let (mut service, mut handle) = mock::spawn_layer::<(), (), _>(CircuitLayer::new(circuit).gate());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    circuit.reset();
    assert!(service.is_woken());
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn behind_a_gate_call_after_ready_may_still_refuse() {
    let circuit = hourly();
    let mut service = CircuitLayer::new(circuit).gate().layer(fine());
    ServiceExt::<()>::ready(&mut service).await.unwrap();
    trip(circuit);
    let error: BoxError = service.call(()).await.unwrap_err();
    assert!(Refused::find(&*error).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_comes_back_wakes_a_gate() {
    let circuit = hourly();
    trip(circuit);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let trial = circuit.acquire().unwrap();
    let mut service = CircuitLayer::new(circuit).gate().layer(fine());
    let mut ready = tokio_test::task::spawn(ServiceExt::<()>::ready(&mut service));
    assert!(ready.poll().is_pending());
    trial.success();
    assert!(ready.is_woken());
    assert!(ready.poll().is_ready());
}

#[tokio::test]
async fn a_buffer_does_not_lose_the_service_on_a_refusal() {
    let circuit = Circuit::builder("buffer").build().unwrap();
    let service = ServiceBuilder::new()
        .buffer(8)
        .layer(CircuitLayer::new(circuit))
        .service(fine());
    circuit.force_open();
    for _ in 0..3 {
        let error = service.clone().oneshot(()).await.unwrap_err();
        assert!(Refused::find(&*error).is_some());
    }
    circuit.release();
    assert!(service.oneshot(()).await.is_ok());
}

type Endpoint = CircuitService<BoxCloneService<(), (), io::Error>>;

fn endpoints(circuits: &[Circuit], calls: &Arc<[AtomicU32; 5]>, gated: bool) -> Vec<PendingRequests<Endpoint>> {
    let endpoint = |(at, circuit): (usize, &Circuit)| {
        let calls = Arc::clone(calls);
        let inner = service_fn(move |()| {
            calls[at].fetch_add(1, Ordering::Relaxed);
            async move {
                if at == 0 {
                    Err(io::Error::other("broken"))
                } else {
                    Ok(())
                }
            }
        });
        let layer = CircuitLayer::new(*circuit);
        let layer = if gated { layer.gate() } else { layer };
        PendingRequests::new(layer.layer(BoxCloneService::new(inner)), CompleteOnResponse::default())
    };
    circuits.iter().enumerate().map(endpoint).collect()
}

fn five() -> [Circuit; 5] {
    [0, 1, 2, 3, 4].map(|at| {
        Circuit::builder(format!("endpoint {at}"))
            .consecutive_failures(3)
            .open_for(Duration::from_secs(10))
            .clock(TokioClock)
            .build()
            .unwrap()
    })
}

#[tokio::test(start_paused = true)]
async fn a_service_under_p2c_with_one_of_five_endpoints_open_sends_it_only_trials() {
    let circuits = five();
    let calls = Arc::new(<[AtomicU32; 5]>::default());
    let mut balance = Balance::new(ServiceList::new(endpoints(&circuits, &calls, true)));
    while circuits[0].state() == State::Closed {
        let _ = balance.ready().await.unwrap().call(()).await;
    }
    assert_eq!(calls[0].load(Ordering::Relaxed), 3);
    // 100 s: the circuit's open time ends every 10 s, and one trial fails.
    let mut failed = 0;
    for _ in 0..10_000 {
        failed += u32::from(balance.ready().await.unwrap().call(()).await.is_err());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let to_open = calls[0].load(Ordering::Relaxed) - 3;
    assert!((5..=10).contains(&to_open), "{to_open} calls to the open endpoint");
    // A refusal may follow each re-opening: the balancer held the endpoint for ready.
    assert!(failed <= 2 * to_open + 1, "{failed} of 10,000 failed");
    assert_eq!(balance.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn balance_does_not_lose_the_service_on_a_refusal() {
    let circuits = five();
    let calls = Arc::new(<[AtomicU32; 5]>::default());
    let mut balance = Balance::new(ServiceList::new(endpoints(&circuits, &calls, false)));
    for circuit in circuits {
        circuit.force_open();
    }
    for _ in 0..100 {
        let error = balance.ready().await.unwrap().call(()).await.unwrap_err();
        assert!(Refused::find(&*error).is_some());
    }
    assert_eq!(balance.len(), 5);
    for circuit in circuits {
        circuit.release();
    }
    while circuits[0].state() == State::Closed {
        let _ = balance.ready().await.unwrap().call(()).await;
    }
    assert_eq!(balance.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn dropped_while_it_waits_a_gate_leaves_nothing_behind() {
    let circuit = hourly();
    trip(circuit);
    for _ in 0..1_000 {
        let mut service = CircuitLayer::new(circuit).gate().layer(fine());
        let mut ready: Pin<Box<dyn Future<Output = _>>> = Box::pin(ServiceExt::<()>::ready(&mut service));
        assert!(tokio_test::task::spawn(&mut ready).poll().is_pending());
    }
    tokio::time::sleep(Duration::from_secs(3601)).await;
    assert_eq!(circuit.snapshot().trials_in_flight, 0);
    assert!(circuit.acquire().is_ok());
}

#[tokio::test(start_paused = true)]
async fn however_often_it_is_polled_a_gate_on_a_ramp_is_drawn_for_only_in_its_time() {
    let circuit = Circuit::builder("ramp gate polled")
        .consecutive_failures(1)
        .failure_rate_above(0.5)
        .open_for(Duration::from_secs(10))
        .ramp(Duration::from_secs(640), 0.9, 1000)
        .seed(1)
        .clock(TokioClock)
        .build()
        .unwrap();
    trip(circuit);
    tokio::time::sleep(Duration::from_secs(10)).await;
    while circuit.acquire().is_ok() {}
    // A share of 7 in 100, so of 50 gates some 3 open at their first draw.
    tokio::time::sleep(Duration::from_secs(64)).await;
    let layer = CircuitLayer::new(circuit).gate();
    let mut opened = 0;
    for _ in 0..50 {
        let mut gate = tokio_test::task::spawn(layer.layer(fine()));
        let polled = (0..100).any(|_| {
            gate.enter(|cx, mut gate| Service::<()>::poll_ready(&mut *gate, cx))
                .is_ready()
        });
        opened += u32::from(polled);
    }
    assert!((1..=10).contains(&opened), "{opened} of 50");
}
