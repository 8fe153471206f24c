//! Our other layers.

use concurrency_layer::{ConcurrencyLayer, Limit};
use fallback_layer::FallbackLayer;
use tower::Layer;

use crate::case::{Case, Inner, Load, Worker, services};

fn limiter<const EVERY: u64>(threads: usize) -> Vec<Worker> {
    services(&ConcurrencyLayer::new(limit()).layer(Inner::<EVERY>), threads)
}

fn limit() -> Limit {
    Limit::fixed(100)
        .name("bench")
        .build()
        .expect("the benchmark's limit is valid")
}

/// A limit that a permit which never comes back has used up.
fn full() -> Limit {
    let limit = Limit::fixed(1)
        .name("bench, full")
        .build()
        .expect("the benchmark's limit is valid");
    std::mem::forget(limit.try_acquire());
    limit
}

/// The limiter, the fallback.
#[must_use]
pub fn cases() -> Vec<Case> {
    vec![
        Case::new("concurrency-layer: limit of 100", Load::Ok, limiter::<0>),
        Case::new("concurrency-layer: limit of 100", Load::Tenth, limiter::<10>),
        Case::new("concurrency-layer: full", Load::Refused, |t| {
            services(&ConcurrencyLayer::new(full()).layer(Inner::<0>), t)
        }),
        Case::new("concurrency-layer: full", Load::Answered, |t| {
            services(&ConcurrencyLayer::new(full()).on_refused(|_| ()).layer(Inner::<0>), t)
        }),
        Case::new("fallback-layer: respond", Load::Ok, |t| {
            services(&FallbackLayer::new().respond(|_, _| ()).layer(Inner::<0>), t)
        }),
        Case::new("fallback-layer: respond, leaked", Load::Ok, |t| {
            services(&FallbackLayer::new().respond(|_, _| ()).leak().layer(Inner::<0>), t)
        }),
    ]
}
