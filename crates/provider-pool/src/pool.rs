//! The handle.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tower_service::Service;

use crate::answer::{AsError, Respond};
use crate::build_error::BuildError;
use crate::error::Unserved;
use crate::member::{Making, Member};
use crate::observe;
use crate::policy::PoolBuilder;
use crate::provider::{Provider, check_weight};
use crate::shared::{List, Shared};
use crate::snapshot::{Model, ProviderSnapshot, Snapshot};

/// Several providers as one service, and the handle to them: a cheap clone, all clones share.
///
/// It is always ready; a call picks a provider, asks that one's service whether it is ready, and calls it. See the
/// [crate's page](crate) for what a pick heeds, and [`PoolBuilder`] for what can be set.
///
/// ```
/// use provider_pool::{BoxError, LeastLatency, Provider, ProviderPool};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let client = service_fn(async |prompt: String| Ok::<_, BoxError>(format!("you said: {prompt}")));
/// let pool = ProviderPool::builder()
///     .provider(Provider::new("openai", client).weight(3))
///     .provider(Provider::new("local", client))
///     .strategy(LeastLatency::default())
///     .build()?;
///
/// assert_eq!(pool.clone().oneshot("hello".into()).await?, "you said: hello");
/// pool.drain("openai");
/// assert_eq!(pool.pick(None).as_deref(), Some("local"));
/// # Ok(()) }
/// ```
pub struct ProviderPool<S, Req, A = AsError>
where
    S: Service<Req>,
{
    pub(crate) shared: Arc<Shared<S, Req>>,
    pub(crate) answer: A,
}

impl<S, Req> ProviderPool<S, Req>
where
    S: Service<Req>,
{
    /// Starts a pool.
    pub fn builder() -> PoolBuilder<S, Req> {
        PoolBuilder::new(AsError)
    }

    /// Answers a call for which there is no provider with a response instead of an error; errors stay what they are.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use provider_pool::{Provider, ProviderPool};
    /// use tower::{ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), provider_pool::BuildError> {
    /// let local = service_fn(async |_: ()| Ok::<_, Infallible>(String::from("hello")));
    /// let pool = ProviderPool::builder().provider(Provider::new("local", local)).build()?;
    /// pool.drain("local");
    ///
    /// let pool = pool.on_refused(|unserved| format!("sorry: {unserved}"));
    /// assert_eq!(pool.oneshot(()).await.unwrap(), "sorry: no provider: local is draining");
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// A panic of `respond` is its caller's.
    pub fn on_refused<F>(self, respond: F) -> ProviderPool<S, Req, Respond<F>>
    where
        F: Fn(&Unserved) -> S::Response + Clone,
    {
        self.answer(Respond(respond))
    }
}

impl<S, Req, A> ProviderPool<S, Req, A>
where
    S: Service<Req>,
{
    pub(crate) fn answer<B>(self, answer: B) -> ProviderPool<S, Req, B> {
        ProviderPool {
            shared: self.shared,
            answer,
        }
    }

    /// The provider to which a call for `wanted` would go now. It takes a turn as a call does.
    ///
    /// Allocates nothing in a pool of up to 320.
    pub fn pick(&self, wanted: Option<&str>) -> Option<Arc<str>> {
        self.shared.look(|list| {
            let at = self.shared.pick(&list.members, wanted, self.shared.now(), |_| false)?;
            list.members.get(at).map(|member| Arc::clone(&member.name))
        })
    }

    /// Takes another provider in, while calls go on. It begins with a slow start.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when it cannot work, or its name is taken.
    pub fn add(&self, provider: Provider<S>) -> Result<(), BuildError>
    where
        S: Clone,
    {
        self.join(provider, true)
    }

    pub(crate) fn join(&self, provider: Provider<S>, slowly: bool) -> Result<(), BuildError>
    where
        S: Clone,
    {
        provider.check()?;
        let changing = self.shared.changing();
        let list = self.shared.list();
        if list.members.iter().any(|member| member.name == provider.name) {
            let name = &*provider.name;
            let problem = "is taken by another provider of the pool; names must differ";
            return Err(BuildError::provider(name, "name", format_args!("{name:?}"), problem));
        }
        let mut serves = provider.serves;
        let everything = serves.is_empty() || serves.iter().any(|served| &**served == "*");
        serves.retain(|served| &**served != "*");
        let member = Member::new(Making {
            name: provider.name,
            id: self.shared.next_id.fetch_add(1, Ordering::Relaxed),
            serves,
            everything,
            circuit: provider.circuit,
            health: provider.health,
            limit: provider.limit,
            weight: provider.weight,
        });
        if slowly {
            let now = self.shared.now();
            member.back.store(now, Ordering::Relaxed);
            self.shared.begin_slowly(now);
        }
        let mut members = list.members.clone();
        let mut services = list.services.clone();
        members.push(Arc::new(member));
        services.push(provider.service);
        self.shared.replace(List { members, services }, &changing);
        Ok(())
    }

    /// Takes a provider out: no call begins there any more, those that are under way go on to their end. Whether there was one of that name.
    pub fn remove(&self, name: &str) -> bool
    where
        S: Clone,
    {
        let changing = self.shared.changing();
        let list = self.shared.list();
        let Some(at) = list.members.iter().position(|member| *member.name == *name) else {
            return false;
        };
        let mut members = list.members.clone();
        let mut services = list.services.clone();
        // Who waits for it to be idle is told when its last call ends. Who has picked it already, or waits for it to be
        // ready, leaves it; SeqCst: see `Member::enter`.
        let removed = members.remove(at);
        removed.draining.store(true, Ordering::SeqCst);
        observe::gone(&removed);
        services.remove(at);
        self.shared.replace(List { members, services }, &changing);
        true
    }

    /// Sends a provider no new calls, whatever else is out, until [`resume`](Self::resume). Whether there is one of that
    /// name.
    pub fn drain(&self, name: &str) -> bool {
        self.member(name).is_some_and(|member| {
            // SeqCst: see `Member::enter`.
            member.draining.store(true, Ordering::SeqCst);
            // So that it comes back slowly, though no call may have looked meanwhile.
            member.look(Some(crate::why::Out::Draining), 0);
            true
        })
    }

    /// Ends [`drain`](Self::drain): the provider gets calls again, after a slow start. Whether there is one of that name.
    pub fn resume(&self, name: &str) -> bool {
        self.member(name).is_some_and(|member| {
            member.draining.store(false, Ordering::Relaxed);
            true
        })
    }

    /// Resolves when no call is in flight at a provider, at once when there is none of that name: after
    /// [`drain`](Self::drain), when it may be shut down.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has changed nothing.
    pub async fn drained(&self, name: &str) {
        let Some(member) = self.member(name) else { return };
        loop {
            let idle = member.idle.notified();
            // SeqCst: see `Member::enter` and `Place::drop`. Looked at after `notified`, which counts from its making.
            if member.in_flight.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Gives a provider another weight, 1 to 1000. Whether there is one of that name.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when the weight is out of range.
    pub fn set_weight(&self, name: &str, weight: u32) -> Result<bool, BuildError> {
        check_weight(name, weight)?;
        Ok(self.member(name).is_some_and(|member| {
            member.weight.store(weight, Ordering::Relaxed);
            true
        }))
    }

    fn member(&self, name: &str) -> Option<Arc<Member>> {
        self.shared
            .look(|list| list.members.iter().find(|member| *member.name == *name).map(Arc::clone))
    }

    /// What the providers serve, sorted, each with the provider that serves it, the first by name. `*` is not among them.
    pub fn models(&self) -> Vec<Model> {
        let mut models = BTreeMap::<Box<str>, Arc<str>>::new();
        self.shared.look(|list| {
            for member in &list.members {
                for capability in &member.serves {
                    let owner = models
                        .entry(capability.clone())
                        .or_insert_with(|| Arc::clone(&member.name));
                    if member.name < *owner {
                        *owner = Arc::clone(&member.name);
                    }
                }
            }
        });
        models
            .into_iter()
            .map(|(id, owner)| Model { id: id.into(), owner })
            .collect()
    }

    /// Everything that is known, at one moment.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.shared.now();
        let slow_start = crate::time::nanos(self.shared.rules.slow_start);
        self.shared.look(|list| Snapshot {
            strategy: self.shared.strategy.name(),
            panic: self.shared.ignores_any_health(&list.members),
            providers: list
                .members
                .iter()
                .map(|member| ProviderSnapshot::of(member, now, slow_start))
                .collect(),
        })
    }

    /// Publishes the pool's gauges to the `metrics` recorder that is installed. Call it when metrics are scraped; counters
    /// count for themselves.
    #[cfg(feature = "metrics")]
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn publish_metrics(&self) {
        crate::observe::publish(&self.snapshot());
    }
}

impl<S, Req, A: Clone> Clone for ProviderPool<S, Req, A>
where
    S: Service<Req>,
{
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            answer: self.answer.clone(),
        }
    }
}

impl<S, Req, A> fmt::Debug for ProviderPool<S, Req, A>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<Arc<str>> = self
            .shared
            .look(|list| list.members.iter().map(|member| Arc::clone(&member.name)).collect());
        f.debug_struct("ProviderPool")
            .field("strategy", &self.shared.strategy)
            .field("providers", &names)
            .finish_non_exhaustive()
    }
}
