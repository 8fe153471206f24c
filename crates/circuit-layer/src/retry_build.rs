//! The configuration of a retry policy.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tower::retry::budget::{Budget, TpsBudget};

use crate::retry::{RetryPolicy, Terms};
use crate::retry_request::ByClone;
#[cfg(feature = "http")]
use crate::retry_request::Idempotent;
#[cfg(feature = "http")]
use crate::retry_when::{Boxed, OnStatus};
use crate::retry_when::{OnError, Retry, Typed};

/// Makes a [`RetryPolicy`].
///
/// | field | default |
/// |---|---|
/// | `attempts` | 3, the first one included |
/// | `backoff` | 100 ms, doubled each time, at most 10 s |
/// | `jitter` | 0.5 |
/// | `max_hint` | 30 s |
/// | `budget` | tower's [`TpsBudget`]: 20 % of the successes of the last 10 s, and 10 a second |
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct RetryBuilder<J = OnError, K = ByClone> {
    settings: Settings,
    when: J,
    keep: K,
}

#[derive(Clone)]
struct Settings {
    attempts: u32,
    first: Duration,
    longest: Duration,
    jitter: f64,
    max_hint: Duration,
    seed: Option<u64>,
    budget: Option<Arc<dyn Budget + Send + Sync>>,
}

impl RetryPolicy {
    /// Starts a policy for services whose errors are a [`BoxError`](crate::BoxError): every error but a refusal is worth
    /// another try.
    ///
    /// See [`RetryPolicy`] for an example.
    pub fn builder() -> RetryBuilder {
        RetryBuilder {
            settings: Settings {
                attempts: 3,
                first: Duration::from_millis(100),
                longest: Duration::from_secs(10),
                jitter: 0.5,
                max_hint: Duration::from_secs(30),
                seed: None,
                budget: None,
            },
            when: OnError(PhantomData),
            keep: ByClone,
        }
    }
}

impl<K> RetryBuilder<OnError, K> {
    /// For services with an error type of their own.
    ///
    /// ```
    /// use circuit_layer::RetryPolicy;
    ///
    /// let retry = RetryPolicy::builder().typed_errors().build()?; // for E = std::io::Error, say
    /// # let _ = retry;
    /// # Ok::<(), circuit_layer::RetryBuildError>(())
    /// ```
    pub fn typed_errors(self) -> RetryBuilder<OnError<Typed>, K> {
        RetryBuilder {
            settings: self.settings,
            when: OnError(PhantomData),
            keep: self.keep,
        }
    }

    /// For HTTP and gRPC clients: responses that blame the server are worth another try too, and only requests that are
    /// [`Idempotent`] are made twice (for others see [`clone_with`](RetryBuilder::clone_with)).
    ///
    /// ```
    /// use circuit_layer::RetryPolicy;
    ///
    /// let retry = RetryPolicy::builder().http().build()?;
    /// # let _ = retry;
    /// # Ok::<(), circuit_layer::RetryBuildError>(())
    /// ```
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http(self) -> RetryBuilder<OnStatus<Boxed>, Idempotent> {
        RetryBuilder {
            settings: self.settings,
            when: OnStatus(PhantomData),
            keep: Idempotent,
        }
    }
}

#[cfg(feature = "http")]
impl<K> RetryBuilder<OnStatus<Boxed>, K> {
    /// For HTTP clients with an error type of their own.
    pub fn typed_errors(self) -> RetryBuilder<OnStatus<Typed>, K> {
        RetryBuilder {
            settings: self.settings,
            when: OnStatus(PhantomData),
            keep: self.keep,
        }
    }
}

impl<J, K> RetryBuilder<J, K> {
    /// How often a call is made at most, the first time included.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = attempts;
        self
    }

    /// How long to wait before the first repetition, and at most; each wait is twice the one before.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.settings.first, self.settings.longest) = (first, longest);
        self
    }

    /// Each wait is taken from [d(1-f), d]. Never cuts a wait that the server asked for.
    pub fn jitter(mut self, f: f64) -> Self {
        self.settings.jitter = f;
        self
    }

    /// The longest wait that a server may ask for; for more than that the call is given up.
    pub fn max_hint(mut self, longest: Duration) -> Self {
        self.settings.max_hint = longest;
        self
    }

    /// Seeds the jitter, for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// What repetitions are paid from; a success is a deposit. Shared by all clones of the policy, and with others by whoever
    /// holds the same one.
    pub fn budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.settings.budget = Some(budget);
        self
    }

    /// Says which calls are worth another try. Return [`Retry::unless_refused`] for errors, so that no refusal is repeated.
    ///
    /// ```
    /// use circuit_layer::{BoxError, Retry, RetryPolicy};
    ///
    /// let retry = RetryPolicy::builder()
    ///     .when(|result: &Result<String, BoxError>| match result {
    ///         Ok(text) if text.is_empty() => Retry::Again { after: None },
    ///         Ok(_) => Retry::Succeeded,
    ///         Err(error) => Retry::unless_refused(&**error),
    ///     })
    ///     .build()?;
    /// # let _ = retry;
    /// # Ok::<(), circuit_layer::RetryBuildError>(())
    /// ```
    pub fn when<Res, E, F>(self, when: F) -> RetryBuilder<F, K>
    where
        F: Fn(&Result<Res, E>) -> Retry,
    {
        RetryBuilder {
            settings: self.settings,
            when,
            keep: self.keep,
        }
    }

    /// Says how a request is copied, and which may be made twice.
    ///
    /// ```
    /// use circuit_layer::RetryPolicy;
    ///
    /// let retry = RetryPolicy::builder().clone_with(|query: &String| query.starts_with("SELECT").then(|| query.clone())).build()?;
    /// # let _ = retry;
    /// # Ok::<(), circuit_layer::RetryBuildError>(())
    /// ```
    pub fn clone_with<Req, F>(self, keep: F) -> RetryBuilder<J, F>
    where
        F: Fn(&Req) -> Option<Req>,
    {
        RetryBuilder {
            settings: self.settings,
            when: self.when,
            keep,
        }
    }

    /// Checks the configuration.
    ///
    /// # Errors
    ///
    /// [`RetryBuildError`] names the field, its value and what is allowed: no attempt at all, a backoff of zero or one that
    /// shrinks, a jitter outside [0, 1].
    pub fn build(self) -> Result<RetryPolicy<J, K>, RetryBuildError> {
        let Settings {
            attempts,
            first,
            longest,
            jitter,
            ..
        } = self.settings;
        let wrong = |field, value: String, allowed| Err(RetryBuildError { field, value, allowed });
        if attempts == 0 {
            return wrong("attempts", attempts.to_string(), "at least 1, the first call included");
        }
        if first.is_zero() {
            return wrong("backoff", format!("{first:?}"), "a first wait over zero");
        }
        if longest < first {
            return wrong(
                "backoff",
                format!("{first:?} up to {longest:?}"),
                "a longest wait that is no shorter than the first",
            );
        }
        if !(0.0..=1.0).contains(&jitter) {
            return wrong("jitter", jitter.to_string(), "0 to 1");
        }
        let seed = self.settings.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Ok(RetryPolicy::new(
            Terms {
                attempts,
                first,
                longest,
                jitter,
                max_hint: self.settings.max_hint,
                random: AtomicU64::new(seed),
                budget: self.settings.budget.unwrap_or_else(|| Arc::new(TpsBudget::default())),
            },
            self.when,
            self.keep,
        ))
    }
}

impl<J, K> fmt::Debug for RetryBuilder<J, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBuilder")
            .field("attempts", &self.settings.attempts)
            .field("backoff", &(self.settings.first, self.settings.longest))
            .field("jitter", &self.settings.jitter)
            .field("max_hint", &self.settings.max_hint)
            .finish_non_exhaustive()
    }
}

/// A retry policy that can't work: which field, its value, and what is allowed.
///
/// ```
/// use circuit_layer::RetryPolicy;
///
/// let error = RetryPolicy::builder().jitter(1.5).build().unwrap_err();
/// assert_eq!(error.to_string(), "retry policy: jitter = 1.5; allowed: 0 to 1");
/// assert_eq!(error.field(), "jitter");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryBuildError {
    field: &'static str,
    value: String,
    allowed: &'static str,
}

impl RetryBuildError {
    /// The field that can't be as it is, named as its setter.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for RetryBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "retry policy: {} = {}; allowed: {}",
            self.field, self.value, self.allowed
        )
    }
}

impl std::error::Error for RetryBuildError {}
