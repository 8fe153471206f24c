//! What others offer for the same, set up as alike as they allow.

use std::future::ready;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use failsafe::futures::CircuitBreaker as _;
use tower::Layer;
use tower::limit::ConcurrencyLimitLayer;
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::{CircuitBreaker, CircuitBreakerLayer, DefaultClassifier, SlidingWindowType};

use crate::case::{Case, Inner, Load, Worker, answer, futures, services};

const HOUR: Duration = Duration::from_hours(1);

#[derive(Clone, Copy)]
enum Rule {
    Row,
    Calls,
    Time,
}

fn resilience<const EVERY: u64>(rule: Rule) -> CircuitBreaker<Inner<EVERY>, DefaultClassifier> {
    let builder = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .minimum_number_of_calls(5)
        .wait_duration_in_open(HOUR);
    let builder = match rule {
        Rule::Row => builder.consecutive_failures(5),
        Rule::Calls => builder.sliding_window_size(100),
        Rule::Time => builder
            .sliding_window_type(SlidingWindowType::TimeBased)
            .sliding_window_duration(Duration::from_secs(10)),
    };
    let layer = builder.build().expect("the benchmark's configuration is valid");
    layer.layer_fn(Inner)
}

fn resilience_open(threads: usize) -> Vec<Worker> {
    let service = resilience::<0>(Rule::Calls);
    now(service.force_open());
    services(&service, threads)
}

fn recloser<const EVERY: u64>(error_rate: f32, threads: usize) -> Vec<Worker> {
    let breaker = recloser::Recloser::custom()
        .error_rate(error_rate)
        .closed_len(100)
        .open_wait(HOUR);
    let breaker = recloser::AsyncRecloser::from(breaker.build());
    if error_rate == 0.0 {
        for _ in 0..200 {
            let _failed = now(breaker.call(ready(answer::<1>(0))));
        }
    }
    // Leaked, as it would be in a static: so that no reference count of ours is measured.
    let breaker: &'static _ = Box::leak(Box::new(breaker));
    futures(|n| breaker.call(ready(answer::<EVERY>(n))), threads)
}

fn failsafe<const EVERY: u64>(open: bool, threads: usize) -> Vec<Worker> {
    let policy = failsafe::failure_policy::consecutive_failures(5, failsafe::backoff::constant(HOUR));
    let breaker = failsafe::Config::new().failure_policy(policy).build();
    if open {
        (0..5).for_each(|_| breaker.on_error());
    }
    let breaker: &'static _ = Box::leak(Box::new(breaker));
    futures(|n| breaker.call(ready(answer::<EVERY>(n))), threads)
}

fn bulkhead(threads: usize) -> Vec<Worker> {
    let layer = BulkheadLayer::builder().max_concurrent_calls(100).build();
    services(
        &layer.expect("the benchmark's configuration is valid").layer(Inner::<0>),
        threads,
    )
}

fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// Breakers, then limiters. Those without a Tower layer are driven as bare futures, which spares them a layer.
#[must_use]
pub fn cases() -> Vec<Case> {
    let row = "tower-resilience: failures in a row";
    let calls = "tower-resilience: last 100 calls";
    let (recent, few, many) = (
        "recloser, no layer: last 100 calls",
        "tower-resilience: last 10 s, 1,000 in it",
        "tower-resilience: last 10 s, 10,000 in it",
    );
    let fail = "failsafe, no layer: failures in a row";
    let mut refused = Case::new("tower-resilience: open", Load::Refused, resilience_open);
    // Two that meet at its lock wait by a timer of 1 ms.
    refused.calls = Some(2000);
    vec![
        Case::new(row, Load::Ok, |t| services(&resilience::<0>(Rule::Row), t)),
        Case::new(row, Load::Tenth, |t| services(&resilience::<10>(Rule::Row), t)),
        Case::new(calls, Load::Ok, |t| services(&resilience::<0>(Rule::Calls), t)),
        Case::new(calls, Load::Tenth, |t| services(&resilience::<10>(Rule::Calls), t)),
        Case::new(few, Load::Ok, |t| services(&resilience::<0>(Rule::Time), t)).holding(1000),
        Case::new(many, Load::Ok, |t| services(&resilience::<0>(Rule::Time), t)).holding(10_000),
        refused,
        Case::new(recent, Load::Ok, |t| recloser::<0>(0.5, t)),
        Case::new(recent, Load::Tenth, |t| recloser::<10>(0.5, t)),
        Case::new("recloser, no layer: open", Load::Refused, |t| recloser::<0>(0.0, t)),
        Case::new(fail, Load::Ok, |t| failsafe::<0>(false, t)),
        Case::new(fail, Load::Tenth, |t| failsafe::<10>(false, t)),
        Case::new("failsafe, no layer: open", Load::Refused, |t| failsafe::<0>(true, t)),
        Case::new("tower-resilience: bulkhead of 100", Load::Ok, bulkhead),
        Case::new("tower: ConcurrencyLimit of 100", Load::Ok, |t| {
            services(&ConcurrencyLimitLayer::new(100).layer(Inner::<0>), t)
        }),
    ]
}
