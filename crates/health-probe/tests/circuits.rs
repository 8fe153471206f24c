//! What a probe does to circuits.

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use health_probe::{HealthState, Probe, ProbeBuilder};
use state_core::{Circuit, CircuitBuilder, ManualClock, Reason, State};
use support::Script;
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(3_600);

fn circuit(name: &str) -> (CircuitBuilder, ManualClock) {
    let clock = ManualClock::new();
    (Circuit::builder(name).clock(clock.clone()).trials(2), clock)
}

fn steady(script: &Script) -> ProbeBuilder<impl Probe + use<>> {
    script.probe().builder().jitter(0.0)
}

async fn a_moment() {
    sleep(Duration::from_millis(1)).await;
}

async fn interval() {
    sleep(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn down_opens_and_holds_open_however_long_it_takes() {
    let (builder, clock) = circuit("held");
    let circuit = builder.open_for(Duration::from_secs(30)).build().unwrap();
    let script = Script::new(true);
    let _probe = steady(&script).drives(circuit).spawn().unwrap();
    a_moment().await;
    assert_eq!(circuit.state(), State::Closed);
    script.pass(false);
    for expected in [State::Closed, State::Closed, State::Open] {
        interval().await;
        assert_eq!(circuit.state(), expected);
    }
    assert_eq!(circuit.snapshot().reason, Reason::ProbeDown);
    for _ in 0..5 {
        clock.advance(HOUR);
        interval().await;
        assert_eq!(circuit.state(), State::Open, "not half-open while the probe says down");
        assert!(circuit.acquire().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn down_holds_a_circuit_that_calls_have_opened() {
    let (builder, clock) = circuit("opened by calls");
    let circuit = builder.consecutive_failures(1).build().unwrap();
    let script = Script::new(false);
    circuit.acquire().unwrap().failure();
    let _probe = steady(&script).drives(circuit).spawn().unwrap();
    a_moment().await;
    clock.advance(HOUR);
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn up_goes_to_half_open_at_once_and_the_trials_decide() {
    let (builder, clock) = circuit("back");
    let circuit = builder.build().unwrap();
    let script = Script::new(false);
    let probe = steady(&script).drives(circuit).spawn().unwrap();
    a_moment().await;
    script.pass(true);
    interval().await;
    assert_eq!(circuit.state(), State::Open, "one success is not up");
    interval().await;
    assert_eq!((probe.state(), circuit.state()), (HealthState::Up, State::HalfOpen));
    // A trial that fails opens it again, though the probe says up; then time ends that.
    circuit.acquire().unwrap().failure();
    interval().await;
    assert_eq!(circuit.state(), State::Open);
    clock.advance(HOUR);
    for _ in 0..2 {
        circuit.acquire().unwrap().success();
    }
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn down_since_boot_also_opens() {
    let (builder, _) = circuit("boot");
    let circuit = builder.build().unwrap();
    let _probe = steady(&Script::new(false)).drives(circuit).spawn().unwrap();
    a_moment().await;
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn up_since_boot_changes_nothing() {
    let (builder, _) = circuit("up at boot");
    let circuit = builder.consecutive_failures(1).build().unwrap();
    let _probe = steady(&Script::new(true)).drives(circuit).spawn().unwrap();
    a_moment().await;
    assert_eq!(circuit.state(), State::Closed);
    circuit.acquire().unwrap().failure();
    interval().await;
    assert_eq!(
        circuit.state(),
        State::Open,
        "a probe that is up does not undo what calls have found"
    );
}

#[tokio::test(start_paused = true)]
async fn of_several_probes_any_that_is_down_holds() {
    let (builder, clock) = circuit("several");
    let circuit = builder.build().unwrap();
    let scripts = [Script::new(true), Script::new(false), Script::new(false)];
    let _probes = scripts
        .each_ref()
        .map(|script| steady(script).drives(circuit).spawn().unwrap());
    a_moment().await;
    assert_eq!(circuit.state(), State::Open);
    scripts[1].pass(true);
    sleep(Duration::from_secs(30)).await;
    clock.advance(HOUR);
    assert_eq!(circuit.state(), State::Open, "one of them still says down");
    scripts[2].pass(true);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(circuit.state(), State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn one_probe_may_drive_several_circuits() {
    let circuits = ["a", "b"].map(|name| circuit(name).0.build().unwrap());
    let _probe = steady(&Script::new(false))
        .drives(circuits[0])
        .drives(circuits[1])
        .spawn()
        .unwrap();
    a_moment().await;
    assert_eq!(circuits.map(|circuit| circuit.state()), [State::Open; 2]);
}

#[tokio::test(start_paused = true)]
async fn an_operators_word_stands_above_a_probes() {
    let (builder, _) = circuit("operated");
    let circuit = builder.build().unwrap();
    let script = Script::new(true);
    let _probe = steady(&script)
        .drives(circuit)
        .unhealthy_after(1)
        .healthy_after(1)
        .spawn()
        .unwrap();
    a_moment().await;
    for (order, state) in [
        (Circuit::force_open as fn(&Circuit), State::ForcedOpen),
        (Circuit::disable, State::Disabled),
        (Circuit::metrics_only, State::MetricsOnly),
    ] {
        order(&circuit);
        for passes in [false, true] {
            script.pass(passes);
            interval().await;
            assert_eq!(circuit.state(), state);
        }
    }
    circuit.release();
    assert_eq!(circuit.state(), State::Closed);
    script.pass(false);
    interval().await;
    assert_eq!(circuit.state(), State::Open);
    circuit.reset();
    sleep(Duration::from_secs(100)).await;
    assert_eq!(
        circuit.state(),
        State::Closed,
        "reset stands while the probe goes on saying down"
    );
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_waits_for_a_probe_is_taken_to_half_open_by_one_that_was_up_all_the_time() {
    let (builder, clock) = circuit("waits");
    let circuit = builder.consecutive_failures(1).open_until_probe().build().unwrap();
    let script = Script::new(true);
    let _probe = steady(&script).drives(circuit).spawn().unwrap();
    a_moment().await;
    circuit.acquire().unwrap().failure();
    clock.advance(HOUR);
    assert_eq!(circuit.state(), State::Open);
    script.pass(false);
    interval().await;
    assert_eq!(circuit.state(), State::Open);
    script.pass(true);
    interval().await;
    assert_eq!(circuit.state(), State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn that_does_not_end_what_another_probe_holds() {
    let (builder, _) = circuit("held by another");
    let circuit = builder.open_until_probe().build().unwrap();
    let _up = steady(&Script::new(true)).drives(circuit).spawn().unwrap();
    let _down = steady(&Script::new(false)).drives(circuit).spawn().unwrap();
    for _ in 0..5 {
        interval().await;
        assert_eq!(circuit.state(), State::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_ends_lets_go() {
    let (builder, clock) = circuit("let go");
    let circuit = builder.open_for(Duration::from_secs(30)).build().unwrap();
    let probe = steady(&Script::new(false)).drives(circuit).spawn().unwrap();
    a_moment().await;
    clock.advance(HOUR);
    assert_eq!(circuit.state(), State::Open);
    probe.shutdown().await;
    assert_eq!(circuit.state(), State::Open, "for the open time more");
    clock.advance(Duration::from_secs(31));
    assert_eq!(circuit.state(), State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn paused_it_goes_on_holding() {
    let (builder, clock) = circuit("paused");
    let circuit = builder.build().unwrap();
    let script = Script::new(false);
    let probe = steady(&script).drives(circuit).spawn().unwrap();
    a_moment().await;
    probe.pause();
    script.pass(true);
    sleep(HOUR).await;
    clock.advance(HOUR);
    assert_eq!(circuit.state(), State::Open);
}

/// Notes what a circuit is like at the moment when somebody is woken.
struct Witness {
    circuit: Circuit,
    seen: Mutex<Option<(State, bool)>>,
}

impl Wake for Witness {
    fn wake(self: Arc<Self>) {
        let waits_for_time = self.circuit.snapshot().next_try.is_some();
        *self.seen.lock().unwrap() = Some((self.circuit.state(), waits_for_time));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_hears_of_a_change_or_of_the_end_finds_the_circuit_moved() {
    let (builder, _) = circuit("order");
    let circuit = builder.build().unwrap();
    let script = Script::new(false);
    let probe = steady(&script)
        .healthy_after(1)
        .unhealthy_after(1)
        .drives(circuit)
        .spawn()
        .unwrap();
    let health = probe.health();
    let witness = async |act: &mut dyn FnMut()| {
        let witness = Arc::new(Witness {
            circuit,
            seen: Mutex::default(),
        });
        let mut watch = health.watch();
        let mut changed = pin!(watch.changed());
        let waker = Waker::from(Arc::clone(&witness));
        assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        act();
        interval().await;
        let seen = witness.seen.lock().unwrap().take();
        seen.expect("woken")
    };
    assert_eq!(witness(&mut || {}).await, (State::Open, false));
    assert_eq!(witness(&mut || script.pass(true)).await, (State::HalfOpen, false));
    assert_eq!(witness(&mut || script.pass(false)).await, (State::Open, false));
    let mut probe = Some(probe);
    assert_eq!(witness(&mut || drop(probe.take())).await, (State::Open, true), "let go");
}

#[tokio::test(start_paused = true)]
async fn a_retired_circuit_is_left_alone() {
    let (builder, _) = circuit("retired");
    let circuit = builder.build().unwrap();
    let script = Script::new(true);
    let probe = steady(&script).drives(circuit).unhealthy_after(1).spawn().unwrap();
    a_moment().await;
    circuit.retire();
    let successor = self::circuit("retired").0.build().unwrap();
    script.pass(false);
    interval().await;
    assert_eq!((circuit.state(), successor.state()), (State::Retired, State::Closed));
    assert_eq!(probe.state(), HealthState::Down);
}
