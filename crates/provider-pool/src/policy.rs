//! The configuration of a pool.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;
use tower_service::Service;

use crate::build_error::BuildError;
use crate::future::earlier;
use crate::least_latency::LeastLatency;
use crate::pool::ProviderPool;
use crate::provider::Provider;
use crate::shared::{Hooks, Rules, Shared};
use crate::strategy::Strategy;

const MOST_ATTEMPTS: u32 = 64;
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Makes a [`ProviderPool`].
///
/// | what | default |
/// |---|---|
/// | [`strategy`](Self::strategy) | [`LeastLatency`] |
/// | [`failover`](Self::failover) | at most 2 providers are asked |
/// | [`repeat`](Self::repeat) | no request may be sent twice |
/// | [`wants`](Self::wants) | any provider will do |
/// | [`max_ejected`](Self::max_ejected) | 0.5 |
/// | [`slow_start`](Self::slow_start) | 30 s |
/// | [`penalty`](Self::penalty) | 1 s |
/// | [`ready_within`](Self::ready_within) | 1 s |
/// | [`within`](Self::within), [`deadline`](Self::deadline) | no deadline |
/// | [`failure_when`](Self::failure_when) | errors; with `http` also 5xx, 429 and their gRPC kin |
#[must_use = "a builder does nothing until `build`"]
pub struct PoolBuilder<S, Req, A = crate::AsError>
where
    S: Service<Req>,
{
    providers: Vec<Provider<S>>,
    strategy: Box<dyn Strategy>,
    rules: Rules,
    pub(crate) hooks: Hooks<Req, S::Response, S::Error>,
    seed: Option<u64>,
    answer: A,
}

impl<S, Req, A> PoolBuilder<S, Req, A>
where
    S: Service<Req>,
{
    pub(crate) fn new(answer: A) -> Self {
        Self {
            providers: Vec::new(),
            strategy: Box::new(LeastLatency::default()),
            rules: Rules {
                attempts: 2,
                max_ejected: 0.5,
                slow_start: Duration::from_secs(30),
                penalty: Duration::from_secs(1),
                ready_within: Duration::from_secs(1),
                within: None,
            },
            hooks: Hooks {
                wants: None,
                repeats: None,
                deadline: None,
                failure: None,
            },
            seed: None,
            answer,
        }
    }

    /// Another provider. A pool may begin with none, and get them with [`add`](ProviderPool::add).
    pub fn provider(mut self, provider: Provider<S>) -> Self {
        self.providers.push(provider);
        self
    }

    /// Which of those that may be asked.
    pub fn strategy(mut self, strategy: impl Strategy) -> Self {
        self.strategy = Box::new(strategy);
        self
    }

    /// At most so many providers are asked for one call, 1 to 64: 1 is no failover. A call that failed goes on only if
    /// [`repeat`](Self::repeat) or [`repeat_all`](Self::repeat_all) says that its request may be sent again: without one of
    /// them it ends with its first failure, whatever stands here. A provider whose own layers refuse the call, as an open
    /// circuit does, has not been asked.
    ///
    /// Another one is asked before the deadline, and never after a response has started. A service that failed in readiness has not got the request, so any request goes on
    /// to the next.
    pub fn failover(mut self, attempts: u32) -> Self {
        self.rules.attempts = attempts;
        self
    }

    /// Makes a request again for another provider, or says `None` where it must not be sent twice. It runs before each
    /// attempt that another might follow, so it should be cheap.
    ///
    /// ```
    /// use provider_pool::{BoxError, Provider, ProviderPool};
    /// use tower::service_fn;
    ///
    /// #[derive(Clone)]
    /// enum Request {
    ///     Ask(String),
    ///     Pay(u64),
    /// }
    ///
    /// let service = service_fn(async |_: Request| Ok::<_, BoxError>("done"));
    /// let pool = ProviderPool::builder()
    ///     .provider(Provider::new("a", service))
    ///     .provider(Provider::new("b", service))
    ///     .repeat(|request: &Request| matches!(request, Request::Ask(_)).then(|| request.clone()))
    ///     .build()?;
    /// # let _ = (pool, Request::Pay(1), Request::Ask(String::new()));
    /// # Ok::<(), provider_pool::BuildError>(())
    /// ```
    pub fn repeat(mut self, copy: impl Fn(&Req) -> Option<Req> + Send + Sync + 'static) -> Self {
        self.hooks.repeats = Some(Box::new(copy));
        self
    }

    /// Any request may be sent twice.
    pub fn repeat_all(self) -> Self
    where
        Req: Clone,
    {
        self.repeat(|request| Some(request.clone()))
    }

    /// The capability that a request wants; `None`: any provider will do.
    pub fn wants(mut self, wants: impl for<'a> Fn(&'a Req) -> Option<&'a str> + Send + Sync + 'static) -> Self {
        self.hooks.wants = Some(Box::new(wants));
        self
    }

    /// Until when a request must have been answered. An attempt that is under way by then is dropped, and the call ends
    /// with [`DeadlinePassed`](crate::DeadlinePassed); no other is begun.
    ///
    /// Of several deadlines, as of one set here and one that an HTTP request brings, the earliest counts.
    pub fn deadline(mut self, deadline: impl Fn(&Req) -> Option<Instant> + Send + Sync + 'static) -> Self
    where
        Req: 'static,
    {
        self.hooks.deadline = Some(match self.hooks.deadline.take() {
            None => Box::new(deadline),
            Some(other) => Box::new(move |request| earlier(deadline(request), other(request))),
        });
        self
    }

    /// The same for every request: so long after the call, with all its attempts; 1 ms to 365 days. A provider that has had
    /// all of this time, and has not answered, has failed; one that is cut off by a deadline otherwise has been given up.
    pub fn within(mut self, time: Duration) -> Self {
        self.rules.within = Some(time);
        self
    }

    /// Which answers are failures: they count against the provider, and another is asked.
    pub fn failure_when(
        mut self,
        failure: impl Fn(&Result<S::Response, S::Error>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.hooks.failure = Some(Box::new(failure));
        self
    }

    /// When more than this share of the providers that serve what is wanted would be out by a circuit that refuses or a
    /// health probe, health probes are not heeded: better to ask one that may be down than none. In [0, 1], 1 is never.
    ///
    /// What an operator said stands, and a provider whose circuit refuses stays out too, for it would refuse the call; so
    /// this helps where a probe is given with [`health`](Provider::health) and does not hold the circuit open.
    pub fn max_ejected(mut self, share: f64) -> Self {
        self.rules.max_ejected = share;
        self
    }

    /// A provider that comes back, or is added, gets a tenth of its share at first and all of it after this time; zero for
    /// all of it at once; up to 365 days.
    pub fn slow_start(mut self, time: Duration) -> Self {
        self.rules.slow_start = time;
        self
    }

    /// What a failed call counts as in a provider's latency, at least; or twice what the slowest provider takes, where that
    /// is more, up to 16 times this. So nobody wins by failing fast. Up to 365 days.
    pub fn penalty(mut self, time: Duration) -> Self {
        self.rules.penalty = time;
        self
    }

    /// How long a call waits for a provider to be ready when none is; zero for not at all; up to 365 days.
    pub fn ready_within(mut self, time: Duration) -> Self {
        self.rules.ready_within = time;
        self
    }

    /// Seeds the pool's randomness, so that its picks can be repeated.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks the configuration and makes the pool.
    ///
    /// # Errors
    ///
    /// [`BuildError`] names the field, its value and what is allowed: a name of nothing, without end, or twice; a weight, a
    /// limit, a number of attempts, a share or a time out of range.
    pub fn build(self) -> Result<ProviderPool<S, Req, A>, BuildError>
    where
        S: Clone,
    {
        let rules = &self.rules;
        if !(1..=MOST_ATTEMPTS).contains(&rules.attempts) {
            let problem = format!("is out of range; it must be from 1 to {MOST_ATTEMPTS}");
            return Err(BuildError::pool("failover", rules.attempts, problem));
        }
        if !(0.0..=1.0).contains(&rules.max_ejected) {
            let problem = "is out of range; it must be from 0 to 1";
            return Err(BuildError::pool("max_ejected", rules.max_ejected, problem));
        }
        for (field, time) in [
            ("slow_start", rules.slow_start),
            ("penalty", rules.penalty),
            ("ready_within", rules.ready_within),
        ] {
            if time > YEAR {
                let problem = "is out of range; it must be at most 365 days";
                return Err(BuildError::pool(field, format_args!("{time:?}"), problem));
            }
        }
        let allowed = Duration::from_millis(1)..=YEAR;
        if let Some(within) = rules.within.filter(|within| !allowed.contains(within)) {
            let problem = "is out of range; it must be from 1 ms to 365 days";
            return Err(BuildError::pool("within", format_args!("{within:?}"), problem));
        }
        let pool = ProviderPool {
            shared: std::sync::Arc::new(Shared::new(self.strategy, self.rules, self.hooks, self.seed)),
            answer: self.answer,
        };
        for provider in self.providers {
            pool.join(provider, false)?;
        }
        Ok(pool)
    }
}

impl<S, Req, A> fmt::Debug for PoolBuilder<S, Req, A>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("providers", &self.providers)
            .field("strategy", &self.strategy)
            .finish_non_exhaustive()
    }
}
