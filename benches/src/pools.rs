//! The provider pool: a call through it, and a pick alone.

use provider_pool::{
    InOrder, LeastInFlight, LeastLatency, PeakEwmaP2c, Provider, ProviderPool, RoundRobin, Strategy, Weighted,
};

use crate::case::{Case, Inner, Load, Worker, services, steps};

fn pool<const EVERY: u64>(providers: u32, strategy: impl Strategy) -> ProviderPool<Inner<EVERY>, u64> {
    let mut pool = ProviderPool::builder().strategy(strategy).seed(7);
    for n in 0..providers {
        pool = pool.provider(Provider::new(format!("provider {n}"), Inner::<EVERY>).weight(n % 5 + 1));
    }
    pool.build().expect("the benchmark's pool is valid")
}

fn calls<const EVERY: u64>(threads: usize) -> Vec<Worker> {
    services(&pool::<EVERY>(3, LeastLatency::default()), threads)
}

fn picks(providers: u32, strategy: impl Strategy, threads: usize) -> Vec<Worker> {
    steps(pool::<0>(providers, strategy), |pool| pool.pick(None), threads)
}

/// A call through a pool of three, then picks from 3, 30 and 300.
#[must_use]
pub fn cases() -> Vec<Case> {
    let pick = |name, make: fn(usize) -> Vec<Worker>| Case::new(name, Load::Ok, make);
    vec![
        Case::new("provider-pool: a call, 3 providers", Load::Ok, calls::<0>),
        Case::new("provider-pool: a call, 3 providers", Load::Tenth, calls::<10>),
        pick("provider-pool: pick of 3, in order", |t| picks(3, InOrder, t)),
        pick("provider-pool: pick of 30, in order", |t| picks(30, InOrder, t)),
        pick("provider-pool: pick of 300, in order", |t| picks(300, InOrder, t)),
        pick("provider-pool: pick of 3, round robin", |t| {
            picks(3, RoundRobin::default(), t)
        }),
        pick("provider-pool: pick of 30, round robin", |t| {
            picks(30, RoundRobin::default(), t)
        }),
        pick("provider-pool: pick of 300, round robin", |t| {
            picks(300, RoundRobin::default(), t)
        }),
        pick("provider-pool: pick of 3, weighted", |t| {
            picks(3, Weighted::default(), t)
        }),
        pick("provider-pool: pick of 30, weighted", |t| {
            picks(30, Weighted::default(), t)
        }),
        pick("provider-pool: pick of 300, weighted", |t| {
            picks(300, Weighted::default(), t)
        }),
        pick("provider-pool: pick of 3, least latency", |t| {
            picks(3, LeastLatency::default(), t)
        }),
        pick("provider-pool: pick of 30, least latency", |t| {
            picks(30, LeastLatency::default(), t)
        }),
        pick("provider-pool: pick of 300, least latency", |t| {
            picks(300, LeastLatency::default(), t)
        }),
        pick("provider-pool: pick of 3, two choices", |t| picks(3, PeakEwmaP2c, t)),
        pick("provider-pool: pick of 30, two choices", |t| picks(30, PeakEwmaP2c, t)),
        pick("provider-pool: pick of 300, two choices", |t| {
            picks(300, PeakEwmaP2c, t)
        }),
        pick("provider-pool: pick of 3, least in flight", |t| {
            picks(3, LeastInFlight::default(), t)
        }),
        pick("provider-pool: pick of 30, least in flight", |t| {
            picks(30, LeastInFlight::default(), t)
        }),
        pick("provider-pool: pick of 300, least in flight", |t| {
            picks(300, LeastInFlight::default(), t)
        }),
    ]
}
