//! What the pool itself says no with.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use state_core::Refusal;

use crate::why::{Spoken, Why};

/// Any error, boxed: what a pool answers with.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// No provider could be asked: the call was never made.
///
/// Its source is the [`Refusal`] mark that every refusal of the house carries, with the time after which the first circuit
/// lets a call through.
///
/// ```
/// use provider_pool::{BoxError, NoProvider, Provider, ProviderPool, Why};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let local = service_fn(async |_: &'static str| Ok::<_, BoxError>("hello"));
/// let pool = ProviderPool::builder()
///     .provider(Provider::new("local", local).serves("llama"))
///     .wants(|model: &&'static str| Some(*model))
///     .build()?;
///
/// let error = pool.oneshot("gpt-4").await.unwrap_err();
/// assert_eq!(error.to_string(), r#"no provider for "gpt-4": local does not serve it"#);
///
/// let none = NoProvider::find(&*error).expect("the pool said so");
/// assert_eq!(none.wanted(), Some("gpt-4"));
/// assert_eq!(none.excluded()[0].why, Why::DoesNotServe);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct NoProvider(Box<Told>);

#[derive(Clone, PartialEq, Eq)]
struct Told {
    wanted: Option<Box<str>>,
    excluded: Vec<Excluded>,
    refusal: Refusal,
}

/// A provider that was not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Excluded {
    /// Its name.
    pub name: Arc<str>,
    /// Why not.
    pub why: Why,
}

impl NoProvider {
    pub(crate) fn new(wanted: Option<&str>, excluded: Vec<Excluded>) -> Self {
        let soonest = excluded.iter().filter_map(|excluded| excluded.why.over_in()).min();
        Self(Box::new(Told {
            wanted: wanted.map(Box::from),
            excluded,
            refusal: Refusal::new(soonest),
        }))
    }

    /// Looks for one in `error` and in everything it names as its source.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        find(error)
    }

    /// The capability that was asked for, if one was.
    pub fn wanted(&self) -> Option<&str> {
        self.0.wanted.as_deref()
    }

    /// Every provider of the pool, and why it was not asked, in the order in which they were added.
    pub fn excluded(&self) -> &[Excluded] {
        &self.0.excluded
    }

    /// The time after which another try makes sense: when the first open circuit lets a call through. `None` when nobody
    /// can tell.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.refusal.retry_after()
    }
}

impl fmt::Display for NoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wanted() {
            Some(wanted) => write!(f, "no provider for {wanted:?}: ")?,
            None => f.write_str("no provider: ")?,
        }
        if self.excluded().is_empty() {
            return f.write_str("the pool is empty");
        }
        for (at, excluded) in self.excluded().iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{} {}", excluded.name.escape_debug(), excluded.why)?;
        }
        Ok(())
    }
}

impl fmt::Debug for NoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoProvider")
            .field("wanted", &self.0.wanted)
            .field("excluded", &self.0.excluded)
            .field("retry_after", &self.retry_after())
            .finish_non_exhaustive()
    }
}

impl Error for NoProvider {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0.refusal)
    }
}

/// The request's deadline passed while a provider was being asked, or before one could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlinePassed {
    asked: Vec<Arc<str>>,
    after: Duration,
}

impl DeadlinePassed {
    pub(crate) fn new(asked: Vec<Arc<str>>, after: Duration) -> Self {
        Self { asked, after }
    }

    /// Looks for one in `error` and in everything it names as its source.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        find(error)
    }

    /// The providers that were asked, in order; the last had not answered.
    pub fn asked(&self) -> &[Arc<str>] {
        &self.asked
    }

    /// How long the call had gone on.
    pub const fn after(&self) -> Duration {
        self.after
    }
}

impl fmt::Display for DeadlinePassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request's deadline passed after {}", Spoken(self.after))?;
        for (at, name) in self.asked.iter().enumerate() {
            let lead = if at == 0 { "; asked: " } else { ", " };
            write!(f, "{lead}{}", name.escape_debug())?;
        }
        Ok(())
    }
}

impl Error for DeadlinePassed {}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error names what it wraps by `get_ref`, and the source of that as its own.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Why a call got no provider's answer: what [`ProviderPool::on_refused`](crate::ProviderPool::on_refused) is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unserved {
    /// No provider could be asked.
    NoProvider(NoProvider),
    /// The request's deadline passed.
    DeadlinePassed(DeadlinePassed),
}

impl Unserved {
    /// The time after which another try makes sense, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoProvider(none) => none.retry_after(),
            Self::DeadlinePassed(_) => None,
        }
    }

    pub(crate) fn into_error(self) -> BoxError {
        match self {
            Self::NoProvider(none) => none.into(),
            Self::DeadlinePassed(passed) => passed.into(),
        }
    }
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProvider(none) => none.fmt(f),
            Self::DeadlinePassed(passed) => passed.fmt(f),
        }
    }
}
