//! The providers as one service: a pool, with a health probe for each.

use std::time::Duration;

use axum::http::Request;
use fusebox::BoxError;
use fusebox::pool::http::BodyLong;
use fusebox::prelude::{HealthState, HttpProbe, Probe, ProbeHandle, Provider as Pooled, ProviderPool};
use tokio::time::timeout;

use crate::chain::{self, Asked};
use crate::chat::Chat;
use crate::config::{Config, HealthCheck, Provider};
use crate::upstream;

/// Longer than a sensible probe takes.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) type Pool = ProviderPool<Asked, Request<Chat>, BodyLong>;

/// Builds it, and starts the probes. The handles keep them going.
///
/// # Errors
///
/// When an address or a number cannot be used.
pub(crate) fn pool(config: &Config) -> Result<(Pool, Vec<ProbeHandle>), BoxError> {
    let public = upstream::client(None)?;
    let mut probes = Vec::new();
    let mut pool = ProviderPool::body_long()
        .strategy(config.strategy.made())
        .slow_start(config.slow_start)
        // A chat asks and changes nothing: another provider may be asked the same.
        .repeat_all()
        .failover(u32::try_from(config.providers.len())?)
        .wants(|request: &Request<Chat>| Some(request.body().model()));
    for (place, provider) in config.providers.iter().enumerate() {
        let client = match &provider.roots {
            None => public.clone(),
            own => upstream::client(own.as_ref())?,
        };
        let mut pooled = Pooled::new(&provider.name, chain::asked(client, provider, place)?)
            .serves_all(&provider.serves)
            .weight(provider.weight)
            .circuit(provider.circuit);
        if let Some(check) = &provider.health {
            let probe = probe(provider, check)?;
            pooled = pooled.health(probe.health());
            probes.push(probe);
        }
        pool = pool.provider(pooled);
    }
    Ok((pool.build()?, probes))
}

/// Waits until each probe has had a result, so that the first request meets a pool that knows who is up; but not for long.
pub(crate) async fn first_results(probes: &[ProbeHandle]) {
    let all = async {
        for probe in probes {
            let mut watch = probe.watch();
            if watch.state() == HealthState::Unknown {
                let _ = watch.changed().await;
            }
        }
    };
    let _ = timeout(PATIENCE, all).await;
}

/// Down, it holds the provider's circuit open; up again, trials decide.
fn probe(provider: &Provider, check: &HealthCheck) -> Result<ProbeHandle, BoxError> {
    let mut get = HttpProbe::get(&check.url);
    if let Some(pem) = &provider.ca_pem {
        get = get.ca_certificate(&**pem);
    }
    if let Some(key) = &provider.api_key {
        get = get.header("authorization", key.clone());
    }
    let probe = get
        .named(&provider.name)
        .every(check.every)
        .timeout(check.timeout)
        .unhealthy_after(check.unhealthy_after)
        .healthy_after(check.healthy_after)
        .drives(provider.circuit);
    Ok(probe.spawn()?)
}
