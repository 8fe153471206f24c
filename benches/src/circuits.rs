//! Our circuit breaker: each policy as a Tower layer, and as it is without Tower.

use std::future::ready;
use std::time::Duration;

use circuit_layer::CircuitLayer;
use state_core::{Circuit, CircuitBuilder, EwmaWeights, Window};
use tower::Layer;

use crate::case::{Case, Inner, Load, Worker, answer, futures, plain, services};

const HOUR: Duration = Duration::from_hours(1);
const SPAN: Duration = Duration::from_secs(10);

/// A policy that bears one failure in ten.
struct Policy {
    layer: &'static str,
    core: &'static str,
    set: fn(CircuitBuilder) -> CircuitBuilder,
}

/// Totals are off but where they are the point: they are a counter beside the policy, the same for all.
const POLICIES: [Policy; 9] = [
    Policy {
        layer: "circuit-layer: failures in a row",
        core: "state-core: failures in a row",
        set: |circuit| circuit.consecutive_failures(5),
    },
    Policy {
        layer: "circuit-layer: last 100 calls",
        core: "state-core: last 100 calls",
        set: |circuit| circuit.failure_rate_above(0.5).window(Window::calls(100)),
    },
    Policy {
        layer: "circuit-layer: moving rate",
        core: "state-core: moving rate",
        set: |circuit| circuit.ewma(0.5, EwmaWeights::default()),
    },
    Policy {
        layer: "circuit-layer: since it closed",
        core: "state-core: since it closed",
        set: |circuit| circuit.failure_rate_above(0.5).window(Window::lifetime()),
    },
    Policy {
        layer: "circuit-layer: last 10 s",
        core: "state-core: last 10 s",
        set: |circuit| circuit.failure_rate_above(0.5).window(Window::time(SPAN)),
    },
    Policy {
        layer: "circuit-layer: last 10 s, slow from 1 s",
        core: "state-core: last 10 s, slow from 1 s",
        set: |circuit| {
            let rates = circuit
                .failure_rate_above(0.5)
                .slow_call_rate_above(0.5, Duration::from_secs(1));
            rates.window(Window::time(SPAN))
        },
    },
    Policy {
        layer: "circuit-layer: last 10 s, slow from 10 ms",
        core: "state-core: last 10 s, slow from 10 ms",
        set: |circuit| {
            let rates = circuit
                .failure_rate_above(0.5)
                .slow_call_rate_above(0.5, Duration::from_millis(10));
            rates.window(Window::time(SPAN))
        },
    },
    Policy {
        layer: "circuit-layer: failures in a row, totals",
        core: "state-core: failures in a row, totals",
        set: |circuit| circuit.consecutive_failures(5).totals(true),
    },
    Policy {
        layer: "circuit-layer: the default policy",
        core: "state-core: the default policy",
        set: |circuit| circuit.totals(true),
    },
];

fn build(set: impl Fn(CircuitBuilder) -> CircuitBuilder) -> Circuit {
    let circuit = set(Circuit::builder("bench").open_for(HOUR).totals(false));
    circuit.build().expect("the benchmark's policies are valid")
}

/// Open by a failure, for an hour: a refusal looks whether that is over.
fn open() -> Circuit {
    let circuit = build(|circuit| circuit.consecutive_failures(1));
    circuit.acquire().expect("a new circuit admits").failure();
    circuit
}

fn layer<const EVERY: u64>(circuit: Circuit, threads: usize) -> Vec<Worker> {
    services(&CircuitLayer::new(circuit).layer(Inner::<EVERY>), threads)
}

fn layer_answering(circuit: Circuit, threads: usize) -> Vec<Worker> {
    services(
        &CircuitLayer::new(circuit).on_refused(|_| ()).layer(Inner::<0>),
        threads,
    )
}

fn by_hand<const EVERY: u64>(circuit: Circuit, threads: usize) -> Vec<Worker> {
    let call = move |n| match (circuit.acquire(), answer::<EVERY>(n)) {
        (Ok(permit), Ok(())) => {
            permit.success();
            true
        }
        (Ok(permit), Err(_)) => {
            permit.failure();
            false
        }
        (Err(_), _) => false,
    };
    plain(call, threads)
}

fn by_future<const EVERY: u64>(circuit: Circuit, threads: usize) -> Vec<Worker> {
    futures(move |n| circuit.call(ready(answer::<EVERY>(n))), threads)
}

/// The layer under each policy with each load, and refusing; then the core by itself, and its form that takes a future.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for policy in &POLICIES {
        cases.push(Case::new(policy.layer, Load::Ok, |t| layer::<0>(build(policy.set), t)));
        cases.push(Case::new(policy.layer, Load::Tenth, |t| {
            layer::<10>(build(policy.set), t)
        }));
    }
    cases.push(Case::new("circuit-layer: open", Load::Refused, |t| {
        layer::<0>(open(), t)
    }));
    cases.push(Case::new("circuit-layer: open", Load::Answered, |t| {
        layer_answering(open(), t)
    }));
    for policy in &POLICIES {
        cases.push(Case::new(policy.core, Load::Ok, |t| by_hand::<0>(build(policy.set), t)));
        cases.push(Case::new(policy.core, Load::Tenth, |t| {
            by_hand::<10>(build(policy.set), t)
        }));
    }
    cases.push(Case::new("state-core: open", Load::Refused, |t| {
        by_hand::<0>(open(), t)
    }));
    let call = "state-core, Circuit::call: failures in a row";
    cases.push(Case::new(call, Load::Ok, |t| by_future::<0>(build(POLICIES[0].set), t)));
    cases.push(Case::new(call, Load::Tenth, |t| {
        by_future::<10>(build(POLICIES[0].set), t)
    }));
    cases
}
