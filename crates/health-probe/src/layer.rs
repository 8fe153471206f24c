//! The layer.

use tower_layer::Layer;

use crate::answer::{AsError, Respond};
use crate::error::Unhealthy;
use crate::gate::Door;
use crate::health::Health;
use crate::service::HealthService;

/// Refuses calls, or holds readiness back, while a probe says that the dependency is down.
///
/// All that it wraps look at the same [`Health`], however often `layer` is called. Until the first result the state is
/// `Unknown`, and calls are admitted: a service that has just started should not answer with refusals because its probes
/// have not come round yet. [`refuse_unknown`](Self::refuse_unknown) changes that.
///
/// See the [crate's page](crate) for an example.
#[derive(Clone, Debug)]
pub struct HealthLayer<A = AsError> {
    health: Health,
    door: Door,
    answer: A,
}

impl HealthLayer {
    /// A refusal is an error: [`Unhealthy`] in a [`BoxError`](crate::BoxError).
    pub const fn new(health: Health) -> Self {
        Self::with(health, AsError)
    }

    /// A refusal is a response made by `respond`, and errors stay what they are: an axum stack stays `Infallible`.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use health_probe::{FnProbe, HealthLayer, Probe};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let disk = FnProbe::new("disk", async || Err::<(), _>("full")).spawn()?;
    /// let service = ServiceBuilder::new()
    ///     .layer(HealthLayer::new(disk.health()).on_refused(|unhealthy| format!("{} is down", unhealthy.probe())))
    ///     .service(service_fn(async |name: &str| Ok::<_, Infallible>(format!("hello {name}"))));
    ///
    /// disk.check_now().await?;
    /// assert_eq!(service.oneshot("you").await?, "disk is down");
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// A panic of `respond` is its caller's.
    pub fn on_refused<F, Res>(self, respond: F) -> HealthLayer<Respond<F>>
    where
        F: Fn(Unhealthy) -> Res,
    {
        HealthLayer {
            health: self.health,
            door: self.door,
            answer: Respond(respond),
        }
    }
}

impl<A> HealthLayer<A> {
    pub(crate) const fn with(health: Health, answer: A) -> Self {
        Self {
            health,
            door: Door {
                gated: false,
                admits_unknown: true,
            },
            answer,
        }
    }

    /// For an endpoint under a balancer: `poll_ready` is pending while calls would be refused. A call after `Ready` is
    /// still refused when the state has changed in between.
    ///
    /// In front of one shared service (an axum route, a client that many clone) do not: what waits there is an unbounded
    /// queue.
    #[must_use]
    pub fn gate(mut self) -> Self {
        self.door.gated = true;
        self
    }

    /// Refuses while the state is `Unknown` too: before the first result, and after the probe has ended.
    #[must_use]
    pub fn refuse_unknown(mut self) -> Self {
        self.door.admits_unknown = false;
        self
    }
}

impl<S, A: Clone> Layer<S> for HealthLayer<A> {
    type Service = HealthService<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        HealthService::new(inner, self.health.clone(), self.door, self.answer.clone())
    }
}
