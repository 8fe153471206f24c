//! One provider, before it joins a pool.

use std::fmt;
use std::sync::Arc;

use health_probe::Health;
use state_core::Circuit;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tower_service::Service;

use crate::build_error::BuildError;
use crate::error::BoxError;

/// Names and capabilities are at most this long, in bytes: they stand in errors, logs and metrics.
const LONGEST_NAME: usize = 256;
pub(crate) const GREATEST_WEIGHT: u32 = 1000;

/// A service of any type, made to look like the others: see [`Provider::boxed`].
pub type BoxProvider<Req, Res> = BoxCloneSyncService<Req, Res, BoxError>;

/// One of several: a name, a service, what it serves, and what tells whether it may be asked.
///
/// ```
/// use provider_pool::Provider;
/// use state_core::Circuit;
/// use tower::service_fn;
///
/// let circuit = Circuit::builder("openai").build()?;
/// let service = service_fn(async |_: String| Ok::<_, provider_pool::BoxError>("hello"));
/// let provider = Provider::new("openai", service).serves("gpt-4").serves("gpt-4o").circuit(circuit).weight(3).limit(20);
/// # let _ = provider;
/// # Ok::<(), state_core::BuildError>(())
/// ```
#[must_use = "a provider does nothing until it is in a pool"]
#[derive(Clone)]
pub struct Provider<S> {
    pub(crate) name: Arc<str>,
    pub(crate) service: S,
    pub(crate) serves: Vec<Box<str>>,
    pub(crate) circuit: Option<Circuit>,
    pub(crate) health: Option<Health>,
    pub(crate) limit: Option<u32>,
    pub(crate) weight: u32,
}

impl<S> Provider<S> {
    /// A provider called `name` (1 to 256 bytes), which serves everything until [`serves`](Self::serves) says what.
    ///
    /// Every call works on a clone of the service, which should be cheap, as those of clients are. In a pool all services
    /// are of one type; see [`boxed`](Self::boxed) where they are not.
    pub fn new(name: impl AsRef<str>, service: S) -> Self {
        Self {
            name: name.as_ref().into(),
            service,
            serves: Vec::new(),
            circuit: None,
            health: None,
            limit: None,
            weight: 1,
        }
    }

    /// A capability that it serves: a model, a region, a tenant. `*` stands for all there are.
    pub fn serves(mut self, capability: impl AsRef<str>) -> Self {
        self.serves.push(capability.as_ref().into());
        self
    }

    /// Several capabilities.
    pub fn serves_all<C: AsRef<str>>(mut self, capabilities: impl IntoIterator<Item = C>) -> Self {
        self.serves.extend(
            capabilities
                .into_iter()
                .map(|capability| Box::from(capability.as_ref())),
        );
        self
    }

    /// The circuit that stands before the service. The pool leaves the provider out while it refuses.
    ///
    /// **The pool only looks at it.** What calls come to is recorded by the service's own `CircuitLayer`, so give the
    /// circuit to both:
    ///
    /// ```
    /// # use circuit_layer::CircuitLayer;
    /// # use provider_pool::Provider;
    /// # use state_core::Circuit;
    /// # use tower::{ServiceBuilder, service_fn};
    /// # let client = service_fn(async |_: String| Ok::<_, provider_pool::BoxError>("hello"));
    /// let openai = Circuit::builder("openai").build()?;
    /// let service = ServiceBuilder::new().layer(CircuitLayer::new(openai)).service(client); // records
    /// let provider = Provider::new("openai", service).circuit(openai); // looks
    /// # let _ = provider;
    /// # Ok::<(), state_core::BuildError>(())
    /// ```
    ///
    /// Where the policy closes by a ramp, gate the layer with `CircuitLayer::gate`: pool and layer draw each for itself
    /// whether a call goes through, and a layer that is gated says no before it has the request, so that another provider
    /// gets it.
    ///
    /// When a provider has failed ten times and its circuit has seen nothing, the feature `tracing` tells of it once.
    pub fn circuit(mut self, circuit: Circuit) -> Self {
        self.circuit = Some(circuit);
        self
    }

    /// What a health probe says of it. The pool leaves the provider out while that is down, unless too many are: see
    /// [`max_ejected`](crate::PoolBuilder::max_ejected).
    pub fn health(mut self, health: Health) -> Self {
        self.health = Some(health);
        self
    }

    /// At most so many calls in flight there through this pool (default: no limit), at least 1.
    pub fn limit(mut self, calls: u32) -> Self {
        self.limit = Some(calls);
        self
    }

    /// Its weight, 1 (default) to 1000, for strategies that heed weights.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let name = &*self.name;
        let length = |field, value: &str| match value.len() {
            1..=LONGEST_NAME => Ok(()),
            n => {
                let problem = format!("has {n} bytes; it must have 1 to {LONGEST_NAME}");
                Err(BuildError::provider(
                    &shortened(name),
                    field,
                    format_args!("{:?}", shortened(value)),
                    problem,
                ))
            }
        };
        length("name", name)?;
        for capability in &self.serves {
            length("serves", capability)?;
        }
        if self.limit == Some(0) || self.limit == Some(u32::MAX) {
            let limit = self.limit.unwrap_or_default();
            let problem = format!("is out of range; it must be from 1 to {}", u32::MAX - 1);
            return Err(BuildError::provider(name, "limit", limit, problem));
        }
        check_weight(name, self.weight)
    }
}

pub(crate) fn check_weight(name: &str, weight: u32) -> Result<(), BuildError> {
    if (1..=GREATEST_WEIGHT).contains(&weight) {
        return Ok(());
    }
    let problem = format!("is out of range; it must be from 1 to {GREATEST_WEIGHT}");
    Err(BuildError::provider(name, "weight", weight, problem))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((at, _)) => format!("{}..", &text[..at]),
        None => text.to_owned(),
    }
}

impl<Req, Res> Provider<BoxProvider<Req, Res>> {
    /// As [`new`](Provider::new), for pools of services of different types. It costs an allocation a call.
    ///
    /// ```
    /// use provider_pool::{BoxError, Provider, ProviderPool};
    /// use tower::service_fn;
    ///
    /// let http = service_fn(async |_: String| Ok::<_, std::io::Error>("from afar"));
    /// let local = service_fn(async |_: String| Ok::<_, BoxError>("from here"));
    /// let pool = ProviderPool::builder()
    ///     .provider(Provider::boxed("openai", http))
    ///     .provider(Provider::boxed("local", local))
    ///     .build()?;
    /// # let _ = pool;
    /// # Ok::<(), provider_pool::BuildError>(())
    /// ```
    pub fn boxed<S>(name: impl AsRef<str>, service: S) -> Self
    where
        S: Service<Req, Response = Res> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        Req: 'static,
    {
        Self::new(name, BoxCloneSyncService::new(service.map_err(Into::into)))
    }
}

impl<S> fmt::Debug for Provider<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("serves", &self.serves)
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}
