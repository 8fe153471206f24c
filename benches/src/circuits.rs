//! Our circuit breaker: each policy, as it is without Tower.

use std::future::ready;
use std::time::Duration;

use state_core::{Circuit, CircuitBuilder, EwmaWeights, Window};

use crate::case::{Case, Load, Worker, answer, futures, plain};

const HOUR: Duration = Duration::from_hours(1);
const SPAN: Duration = Duration::from_secs(10);

/// A policy that bears one failure in ten.
struct Policy {
    core: &'static str,
    set: fn(CircuitBuilder) -> CircuitBuilder,
}

/// Totals are off but where they are the point: they are a counter beside the policy, the same for all.
const POLICIES: [Policy; 9] = [
    Policy {
        core: "state-core: failures in a row",
        set: |circuit| circuit.consecutive_failures(5),
    },
    Policy {
        core: "state-core: last 100 calls",
        set: |circuit| circuit.failure_rate_above(0.5).window(Window::calls(100)),
    },
    Policy {
        core: "state-core: moving rate",
        set: |circuit| circuit.ewma(0.5, EwmaWeights::default()),
    },
    Policy {
        core: "state-core: since it closed",
        set: |circuit| circuit.failure_rate_above(0.5).window(Window::lifetime()),
    },
    Policy {
        core: "state-core: last 10 s",
        set: |circuit| circuit.failure_rate_above(0.5).window(Window::time(SPAN)),
    },
    Policy {
        core: "state-core: last 10 s, slow from 1 s",
        set: |circuit| {
            let rates = circuit
                .failure_rate_above(0.5)
                .slow_call_rate_above(0.5, Duration::from_secs(1));
            rates.window(Window::time(SPAN))
        },
    },
    Policy {
        core: "state-core: last 10 s, slow from 10 ms",
        set: |circuit| {
            let rates = circuit
                .failure_rate_above(0.5)
                .slow_call_rate_above(0.5, Duration::from_millis(10));
            rates.window(Window::time(SPAN))
        },
    },
    Policy {
        core: "state-core: failures in a row, totals",
        set: |circuit| circuit.consecutive_failures(5).totals(true),
    },
    Policy {
        core: "state-core: the default policy",
        set: |circuit| circuit.totals(true),
    },
];

fn build(set: impl Fn(CircuitBuilder) -> CircuitBuilder) -> Circuit {
    let circuit = set(Circuit::builder("bench").open_for(HOUR).totals(false));
    circuit.build().expect("the benchmark's policies are valid")
}

fn open() -> Circuit {
    let circuit = build(|circuit| circuit.consecutive_failures(1));
    circuit.force_open();
    circuit
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

/// Each policy with each load, a refusal, then the form that takes a future.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = vec![];
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
