//! What the tests share: providers that do as they are told and count who asked them.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use provider_pool::{
    Availability, BoxError, InOrder, LeastInFlight, LeastLatency, PeakEwmaP2c, Provider, RoundRobin, Strategy, Weighted,
};
use tower_service::Service;

/// One of each.
pub fn strategies() -> Vec<Box<dyn Strategy>> {
    vec![
        Box::new(InOrder),
        Box::new(RoundRobin::default()),
        Box::new(Weighted::default()),
        Box::new(LeastLatency::default()),
        Box::new(Availability::default()),
        Box::new(PeakEwmaP2c),
        Box::new(LeastInFlight::default()),
    ]
}

/// What the n-th call comes to, and after how long.
type Script = dyn Fn(u64) -> (Duration, Result<(), &'static str>) + Send + Sync;

/// A provider's service that answers with its own name.
#[derive(Clone)]
pub struct Scripted {
    name: &'static str,
    calls: Arc<AtomicU64>,
    script: Arc<Script>,
}

impl Scripted {
    pub fn new(
        name: &'static str,
        script: impl Fn(u64) -> (Duration, Result<(), &'static str>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            calls: Arc::default(),
            script: Arc::new(script),
        }
    }

    /// Always good, after `ms` milliseconds.
    pub fn good(name: &'static str, ms: u64) -> Self {
        Self::new(name, move |_| (Duration::from_millis(ms), Ok(())))
    }

    /// Always bad, at once.
    pub fn bad(name: &'static str) -> Self {
        Self::new(name, |_| (Duration::ZERO, Err("broken")))
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub fn provider(&self) -> Provider<Self> {
        Provider::new(self.name, self.clone())
    }
}

impl Service<u64> for Scripted {
    type Response = &'static str;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<&'static str, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u64) -> Self::Future {
        let n = self.calls.fetch_add(1, Ordering::Relaxed);
        let (name, (after, result)) = (self.name, (self.script)(n));
        Box::pin(async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            result.map(|()| name).map_err(BoxError::from)
        })
    }
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
