//! How a layer is put together.

use core::error::Error;
use core::hash::Hash;
use core::marker::PhantomData;
use core::time::Duration;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tower_service::Service;

use crate::keep::{KeepRestore, KeepWith};
use crate::layer::{NeedsBuild, Ready};
use crate::{
    Backup, BoxError, Cached, Cause, Chain, ConfigError, Empty, FallbackLayer, Finally, Keep, LastGood,
    LastGoodBuilder, Mark, Respond, Restore, Step, Steps,
};

/// # Which failures, and what is kept
///
/// To be said before the first step.
impl<Req, Resp, K, V> FallbackLayer<Req, Resp, Empty, K, V> {
    /// Asks the steps only for the errors that `predicate` names; all others go out untouched. It is handed the errors
    /// of calls and those of readiness. Default: any error.
    ///
    /// ```
    /// use fallback_layer::FallbackLayer;
    ///
    /// let layer = FallbackLayer::new().on_error(|error| error.is::<std::io::Error>()).respond(|_, _| 0);
    /// # let _: FallbackLayer<(), u8, _> = layer;
    /// ```
    pub fn on_error(
        mut self,
        predicate: impl Fn(&(dyn Error + Send + Sync + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.rules.on_error(predicate);
        self
    }

    /// Asks the steps for responses too, those that `predicate` names. When every step passes on, such a response goes
    /// out as it came. Default: none; with `http` a 5xx status.
    ///
    /// ```
    /// use fallback_layer::FallbackLayer;
    ///
    /// let layer = FallbackLayer::new().on_response(|answer: &String| answer.is_empty()).respond(|_, _| "?".to_owned());
    /// # let _: FallbackLayer<(), String, _> = layer;
    /// ```
    pub fn on_response(mut self, predicate: impl Fn(&Resp) -> bool + Send + Sync + 'static) -> Self {
        self.rules.on_response(predicate);
        self
    }

    /// Asks the steps only for calls that were refused and never made: errors with a [`Refusal`](state_core::Refusal) in
    /// their chain, and responses that their [`Mark`] knows as refusals. Takes the place of
    /// [`on_error`](Self::on_error) and [`on_response`](Self::on_response).
    ///
    /// ```
    /// use fallback_layer::FallbackLayer;
    ///
    /// let layer = FallbackLayer::new().on_refusal().respond(|_, cause| cause.retry_after());
    /// # let _: FallbackLayer<(), Option<std::time::Duration>, _> = layer;
    /// ```
    pub fn on_refusal(mut self) -> Self {
        self.rules.on_refusal();
        self
    }

    /// How answers of this layer are marked as degraded; see [`Mark`]. Default: not at all, `http`: in
    /// their extensions. (The metric and the log tell of each, whatever the mark.)
    pub fn mark(mut self, mark: impl Mark<Resp> + Send + Sync + 'static) -> Self {
        self.rules.mark_with(mark);
        self
    }

    /// What is kept of a request for the steps; see [`Keep`]. Default: nothing.
    ///
    /// ```
    /// use fallback_layer::{CloneRequest, FallbackLayer};
    ///
    /// let layer = FallbackLayer::new().keep(CloneRequest).respond(|number: &u32, _| number + 1);
    /// # let _: FallbackLayer<u32, u32, _, _> = layer;
    /// ```
    pub fn keep<K2: Keep<Req>>(self, keep: K2) -> FallbackLayer<Req, Resp, Empty, K2, V> {
        let Self {
            chain,
            rules,
            problem,
            types,
            ..
        } = self;
        FallbackLayer {
            chain,
            keep,
            rules,
            problem,
            types,
        }
    }

    /// Keeps what `keep` takes: a key, a few fields.
    ///
    /// ```
    /// use fallback_layer::FallbackLayer;
    ///
    /// let layer = FallbackLayer::new()
    ///     .keep_with(|prompt: &String| prompt.len())
    ///     .respond(|length, _| format!("no answer to {length} bytes"));
    /// # let _: FallbackLayer<String, String, _, _> = layer;
    /// ```
    pub fn keep_with<Kept>(
        self,
        keep: impl Fn(&Req) -> Kept + Send + Sync + 'static,
    ) -> FallbackLayer<Req, Resp, Empty, KeepWith<Req, Kept>, V> {
        self.keep(KeepWith::new(keep))
    }

    /// Keeps what `keep` takes, from which `restore` makes the request again for a backup service, or `None`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use fallback_layer::FallbackLayer;
    ///
    /// struct Prompt {
    ///     text: Arc<str>,
    /// }
    ///
    /// let layer = FallbackLayer::new()
    ///     .keep_with_restore(|prompt: &Prompt| prompt.text.clone(), |text| Some(Prompt { text: text.clone() }))
    ///     .respond(|text, _| text.len());
    /// # let _: FallbackLayer<Prompt, usize, _, _> = layer;
    /// ```
    pub fn keep_with_restore<Kept>(
        self,
        keep: impl Fn(&Req) -> Kept + Send + Sync + 'static,
        restore: impl Fn(&Kept) -> Option<Req> + Send + Sync + 'static,
    ) -> FallbackLayer<Req, Resp, Empty, KeepRestore<Req, Kept>, V> {
        self.keep(KeepRestore::new(keep, restore))
    }
}

/// # Steps
impl<Req, Resp, C, K, V> FallbackLayer<Req, Resp, C, K, V>
where
    K: Keep<Req>,
    C: Steps<Req, Resp, K::Kept, Error = BoxError>,
{
    /// Adds a [`Step`] of one's own. `name` is the label of its metrics, and what [`Degraded`](crate::Degraded) says.
    pub fn step<S>(self, name: &'static str, step: S) -> WithStep<Req, Resp, C, S, K, V>
    where
        S: Step<Req, Resp, K::Kept>,
    {
        let Self {
            chain,
            keep,
            rules,
            problem,
            types,
        } = self;
        FallbackLayer {
            chain: Chain::new(chain, name, step),
            keep,
            rules,
            problem,
            types,
        }
    }

    /// Adds a step `"cached"`: the last good answer for the key that `key` makes of the request.
    ///
    /// It keeps a clone of each good answer, at most 1,000 of them, until they are driven out; see
    /// [`max_age`](Self::max_age), [`max_entries`](Self::max_entries), [`max_weight`](Self::max_weight).
    ///
    /// The key decides who sees whose answer: it has to name everything that the answer depends on, the user included.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use fallback_layer::FallbackLayer;
    ///
    /// let layer = FallbackLayer::new()
    ///     .cached(|article: &u64| *article)
    ///     .max_age(Duration::from_secs(600))
    ///     .max_entries(50_000)
    ///     .build()?;
    /// # let _: FallbackLayer<u64, String, _> = layer;
    /// # Ok::<(), fallback_layer::ConfigError>(())
    /// ```
    ///
    /// An `Option` is for [`cached_if`](Self::cached_if). Here it does not compile, because `None` would be one more key,
    /// shared by all requests that have none:
    ///
    /// ```compile_fail,E0283
    /// use fallback_layer::FallbackLayer;
    ///
    /// let layer = FallbackLayer::<String, String>::new().cached(|path| path.strip_prefix("/public").map(str::to_owned));
    /// ```
    pub fn cached<Key, Made>(
        self,
        key: impl Fn(&Req) -> Made + Send + Sync + 'static,
    ) -> WithStep<Req, Resp, C, Cached<Req, Key, Resp>, K, V>
    where
        Made: Into<Option<Key>>,
        Key: Hash + Eq + Send + Sync + 'static,
        Resp: Clone + Send + Sync + 'static,
    {
        self.cached_if(move |request| key(request).into())
    }

    /// As [`cached`](Self::cached), for requests of which only some have a key: `None` is neither stored nor answered.
    ///
    /// ```
    /// use fallback_layer::FallbackLayer;
    ///
    /// let layer = FallbackLayer::new().cached_if(|path: &String| path.starts_with("/public").then(|| path.clone()));
    /// # let _: FallbackLayer<String, String, _> = layer;
    /// ```
    pub fn cached_if<Key>(
        self,
        key: impl Fn(&Req) -> Option<Key> + Send + Sync + 'static,
    ) -> WithStep<Req, Resp, C, Cached<Req, Key, Resp>, K, V>
    where
        Key: Hash + Eq + Send + Sync + 'static,
        Resp: Clone + Send + Sync + 'static,
    {
        self.step("cached", Cached::new(LastGood::with(LastGood::builder()), key))
    }

    /// As [`cached_if`](Self::cached_if), with answers kept in `last_good`, which others may share.
    pub fn cached_in<Key>(
        self,
        last_good: &LastGood<Key, Resp>,
        key: impl Fn(&Req) -> Option<Key> + Send + Sync + 'static,
    ) -> WithStep<Req, Resp, C, Cached<Req, Key, Resp>, K, V>
    where
        Key: Hash + Eq + Send + Sync + 'static,
        Resp: Clone + Send + Sync + 'static,
    {
        self.step("cached", Cached::new(last_good.clone(), key))
    }

    /// Adds a step `"service"`: asks `backup` with the same request, made again from what is kept, so [`keep`](Self::keep)
    /// has to say how.
    ///
    /// It waits until the backup is ready: give it a limit with [`within`](Self::within).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use fallback_layer::{CloneRequest, FallbackLayer};
    /// use tower::service_fn;
    ///
    /// let backup = service_fn(|number: u32| async move { Ok::<_, std::io::Error>(number) });
    /// let layer = FallbackLayer::new()
    ///     .keep(CloneRequest)
    ///     .service(backup)
    ///     .within(Duration::from_millis(200))
    ///     .at_most(16)
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<(), fallback_layer::ConfigError>(())
    /// ```
    pub fn service<B>(self, backup: B) -> WithStep<Req, Resp, C, Backup<B, K>, K, V>
    where
        B: Service<Req, Response = Resp> + Clone,
        B::Error: Into<BoxError>,
        K: Restore<Req> + Clone,
    {
        let keep = self.keep.clone();
        self.step("service", Backup::new(backup, keep))
    }

    /// Adds a step `"respond"`: what `answer` makes of the kept request and the cause.
    pub fn respond(
        self,
        answer: impl Fn(&K::Kept, &Cause<Resp>) -> Resp + Send + Sync + 'static,
    ) -> WithStep<Req, Resp, C, Respond<K::Kept, Resp>, K, V> {
        self.respond_if(move |kept, cause| Some(answer(kept, cause)))
    }

    /// As [`respond`](Self::respond); with `None` the step passes on.
    ///
    /// ```
    /// use fallback_layer::FallbackLayer;
    ///
    /// let layer = FallbackLayer::new().respond_if(|_, cause| cause.retry_after().map(|wait| wait.as_secs()));
    /// # let _: FallbackLayer<(), u64, _> = layer;
    /// ```
    pub fn respond_if(
        self,
        answer: impl Fn(&K::Kept, &Cause<Resp>) -> Option<Resp> + Send + Sync + 'static,
    ) -> WithStep<Req, Resp, C, Respond<K::Kept, Resp>, K, V> {
        self.step("respond", Respond::new(answer))
    }

    /// Adds a step `"respond"`: a clone of `value`.
    ///
    /// ```
    /// let layer = fallback_layer::FallbackLayer::new().respond_value("closed for repairs");
    /// # let _: fallback_layer::FallbackLayer<(), &str, _> = layer;
    /// ```
    pub fn respond_value(self, value: Resp) -> WithStep<Req, Resp, C, Respond<K::Kept, Resp>, K, V>
    where
        Resp: Clone + Send + Sync + 'static,
    {
        self.respond(move |_, _| value.clone())
    }

    /// Ends the chain with a step `"finally"` that answers whatever is left, also the errors that the steps were not
    /// asked for. The error type becomes `Infallible`, which axum's `Router::layer` asks for.
    ///
    /// ```
    /// use std::convert::Infallible;
    ///
    /// use fallback_layer::FallbackLayer;
    /// use tower::{Service, ServiceBuilder, service_fn};
    ///
    /// let service = ServiceBuilder::new()
    ///     .layer(FallbackLayer::new().finally(|_, cause| format!("sorry: {}", cause.kind())))
    ///     .service(service_fn(|_: ()| async { Err::<String, _>("down") }));
    /// fn never_fails(_: impl Service<(), Error = Infallible>) {}
    /// never_fails(service);
    /// ```
    pub fn finally(
        self,
        answer: impl Fn(&K::Kept, &Cause<Resp>) -> Resp + Send + Sync + 'static,
    ) -> FallbackLayer<Req, Resp, Finally<C, K::Kept, Resp>, K, V> {
        self.end(false, answer)
    }

    /// As [`finally`](Self::finally), for errors only: a failed response that no step answered goes out as it came.
    pub fn or_else(
        self,
        answer: impl Fn(&K::Kept, &Cause<Resp>) -> Resp + Send + Sync + 'static,
    ) -> FallbackLayer<Req, Resp, Finally<C, K::Kept, Resp>, K, V> {
        self.end(true, answer)
    }

    fn end(
        self,
        only_errors: bool,
        answer: impl Fn(&K::Kept, &Cause<Resp>) -> Resp + Send + Sync + 'static,
    ) -> FallbackLayer<Req, Resp, Finally<C, K::Kept, Resp>, K, V> {
        let Self {
            chain,
            keep,
            rules,
            problem,
            types,
        } = self;
        FallbackLayer {
            chain: Finally::new(chain, only_errors, answer),
            keep,
            rules,
            problem,
            types,
        }
    }
}

/// # The terms of the last step
impl<Req, Resp, B, S, Kept, K, V> FallbackLayer<Req, Resp, Chain<B, S, Kept, Resp>, K, V> {
    /// Runs the last step only when `predicate` says so; else it passes on.
    ///
    /// ```
    /// use fallback_layer::{CauseKind, FallbackLayer};
    ///
    /// let layer = FallbackLayer::new()
    ///     .respond(|_, _| "come back later")
    ///     .when(|_, cause| cause.kind() == CauseKind::Refusal)
    ///     .respond(|_, _| "sorry");
    /// # let _: FallbackLayer<(), &str, _> = layer;
    /// ```
    pub fn when(mut self, predicate: impl Fn(&Kept, &Cause<Resp>) -> bool + Send + Sync + 'static) -> Self {
        self.chain.terms.when = Some(Arc::new(predicate));
        self
    }

    /// The name of the last step: the label of its metrics, and what [`Degraded`](crate::Degraded) says.
    pub fn named(mut self, name: &'static str) -> Self {
        self.chain.terms.name = name;
        self
    }

    /// How long the last step may take (with a backup: until it is ready and has answered); then it passes on, and the
    /// error says so. Default: as long as it likes. More than zero.
    ///
    /// # Panics
    ///
    /// The step panics when it is run outside of a tokio runtime with time enabled.
    pub fn within(mut self, limit: Duration) -> FallbackLayer<Req, Resp, Chain<B, S, Kept, Resp>, K, NeedsBuild> {
        self.chain.terms.within = Some(limit);
        let wrong = limit.is_zero();
        self.checked(|name| wrong.then(|| ConfigError::new(name, "within", limit, "more than zero")))
    }

    /// How many runs of the last step there may be at once, over all clones and services of the layer; one more passes
    /// on at once. Default: any number. At least 1.
    pub fn at_most(mut self, runs: usize) -> FallbackLayer<Req, Resp, Chain<B, S, Kept, Resp>, K, NeedsBuild> {
        let allowed = match runs {
            0 => Some("at least 1"),
            Semaphore::MAX_PERMITS.. => Some("less than an eighth of usize::MAX, or leave it out"),
            _ => None,
        };
        if allowed.is_none() {
            self.chain.terms.places = Some(Arc::new(Semaphore::new(runs)));
        }
        self.checked(|name| allowed.map(|allowed| ConfigError::new(name, "at_most", runs, allowed)))
    }

    pub(crate) fn checked(
        self,
        check: impl FnOnce(&'static str) -> Option<ConfigError>,
    ) -> FallbackLayer<Req, Resp, Chain<B, S, Kept, Resp>, K, NeedsBuild> {
        let Self {
            chain,
            keep,
            rules,
            problem,
            ..
        } = self;
        let problem = problem.or_else(|| check(chain.terms.name));
        FallbackLayer {
            chain,
            keep,
            rules,
            problem,
            types: PhantomData,
        }
    }
}

/// # The cache of the last step
///
/// Each of these starts an empty cache: they belong right behind the step. (After
/// [`cached_in`](FallbackLayer::cached_in) the step has a cache of its own from then on.)
impl<Req, Resp, B, Key, Kept, K, V> FallbackLayer<Req, Resp, Chain<B, Cached<Req, Key, Resp>, Kept, Resp>, K, V>
where
    Key: Hash + Eq + Send + Sync + 'static,
    Resp: Send + Sync + 'static,
{
    /// See [`LastGoodBuilder::max_age`].
    pub fn max_age(self, age: Duration) -> CachedLayer<Req, Resp, B, Key, Kept, K> {
        self.set_up(|last_good| last_good.max_age(age))
    }

    /// See [`LastGoodBuilder::refresh_after`].
    pub fn refresh_after(self, age: Duration) -> CachedLayer<Req, Resp, B, Key, Kept, K> {
        self.set_up(|last_good| last_good.refresh_after(age))
    }

    /// See [`LastGoodBuilder::max_entries`].
    pub fn max_entries(self, entries: u64) -> CachedLayer<Req, Resp, B, Key, Kept, K> {
        self.set_up(|last_good| last_good.max_entries(entries))
    }

    /// See [`LastGoodBuilder::max_weight`].
    ///
    /// # Panics
    ///
    /// A `weigh` that panics does so in the call whose answer it weighs, and nothing is stored.
    pub fn max_weight(
        self,
        total: u64,
        weigh: impl Fn(&Key, &Resp) -> u32 + Send + Sync + 'static,
    ) -> CachedLayer<Req, Resp, B, Key, Kept, K> {
        self.set_up(|last_good| last_good.max_weight(total, weigh))
    }

    fn set_up(
        mut self,
        change: impl FnOnce(LastGoodBuilder<Key, Resp>) -> LastGoodBuilder<Key, Resp>,
    ) -> CachedLayer<Req, Resp, B, Key, Kept, K> {
        let settings = change(self.chain.step.last_good.settings());
        let problem = settings.problem();
        if problem.is_none() {
            self.chain.step.last_good = LastGood::with(settings);
        }
        self.checked(|_| problem)
    }
}

/// A [`FallbackLayer`] with the step `S` after the steps `C`.
pub type WithStep<Req, Resp, C, S, K, V> = FallbackLayer<Req, Resp, Chain<C, S, <K as Keep<Req>>::Kept, Resp>, K, V>;

/// A layer the last step of which is [`Cached`], and which needs [`build`](FallbackLayer::build).
pub type CachedLayer<Req, Resp, B, Key, Kept, K> =
    FallbackLayer<Req, Resp, Chain<B, Cached<Req, Key, Resp>, Kept, Resp>, K, NeedsBuild>;

/// # The end
impl<Req, Resp, C, K, V> FallbackLayer<Req, Resp, C, K, V> {
    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] names the first step, field and value that cannot work, and what is allowed.
    pub fn build(self) -> Result<FallbackLayer<Req, Resp, C, K, Ready>, ConfigError> {
        let Self {
            chain,
            keep,
            rules,
            problem,
            ..
        } = self;
        match problem {
            Some(problem) => Err(problem),
            None => Ok(FallbackLayer {
                chain,
                keep,
                rules,
                problem: None,
                types: PhantomData,
            }),
        }
    }
}
