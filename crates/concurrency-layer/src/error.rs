//! The one thing that this crate itself says no with.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use state_core::Refusal;

#[cfg(feature = "metrics")]
use crate::observe::Keys;
use crate::policy::{Config, Overflow};

/// Any error, boxed: what services here answer with.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a call was not admitted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Every slot is taken, and this call does not wait.
    Full,
    /// Every slot is taken, and so is every place in the queue.
    QueueFull,
    /// It waited for `max_wait`.
    WaitedTooLong,
    /// It waited, and then [`dismiss_when`](crate::LimitBuilder::dismiss_when) said that there is no point in it.
    Dismissed,
    /// The limit has been [retired](crate::Limit::retire).
    Retired,
}

impl Reason {
    /// Every reason, in a fixed order.
    pub const ALL: [Self; 5] = [
        Self::Full,
        Self::QueueFull,
        Self::WaitedTooLong,
        Self::Dismissed,
        Self::Retired,
    ];

    /// The reason in `snake_case`, as logs and labels write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::QueueFull => "queue_full",
            Self::WaitedTooLong => "waited_too_long",
            Self::Dismissed => "dismissed",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A call was refused and never made: too many are in flight.
///
/// Its source is the [`Refusal`] mark that every refusal of the house carries.
///
/// ```
/// use std::time::Duration;
/// use concurrency_layer::{Limit, Overloaded, Reason};
/// use state_core::Refusal;
///
/// let limit = Limit::fixed(1).name("openai").build()?;
/// let _permit = limit.try_acquire()?;
///
/// let error: Box<dyn std::error::Error + Send + Sync> = Box::new(limit.try_acquire().unwrap_err());
/// assert_eq!(error.to_string(), r#"limit "openai" is full: 1 of 1 in flight; try again in 1 s"#);
///
/// let overloaded = Overloaded::find(&*error).expect("the limit said so");
/// assert_eq!(overloaded.reason(), Reason::Full);
/// assert_eq!(overloaded.retry_after(), Some(Duration::from_secs(1)));
/// assert!(Refusal::find(&*error).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Overloaded {
    config: &'static Config,
    reason: Reason,
    in_flight: u32,
    limit: u32,
    waiting: u32,
    refusal: Refusal,
}

impl Overloaded {
    pub(crate) fn new(config: &'static Config, reason: Reason, in_flight: u32, limit: u32, waiting: u32) -> Self {
        let retry_after = (reason != Reason::Retired).then_some(config.retry_after);
        Self {
            config,
            reason,
            in_flight,
            limit,
            waiting,
            refusal: Refusal::new(retry_after),
        }
    }

    /// Looks for one in `error` and in everything it names as its source.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
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

    #[cfg(feature = "metrics")]
    pub(crate) const fn keys(&self) -> &'static Keys {
        &self.config.keys
    }

    /// The name of the limit.
    pub fn limit_name(&self) -> &'static str {
        &self.config.name
    }

    /// Why.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// How many calls were in flight.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// How many calls may be in flight.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How many calls were waiting, this one not among them.
    pub const fn waiting(&self) -> u32 {
        self.waiting
    }

    /// The time after which another try makes sense. `None` for a retired limit: never.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.refusal.retry_after()
    }
}

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {:?} ", self.config.name)?;
        match (self.reason, self.config.overflow) {
            (Reason::Retired, _) => return f.write_str("is retired"),
            (Reason::Full | Reason::QueueFull, _) => f.write_str("is full")?,
            (Reason::WaitedTooLong, Overflow::Queue { max_wait, .. }) => {
                write!(f, "had no free slot for {} s", max_wait.as_secs_f64())?;
            }
            (Reason::WaitedTooLong, _) => f.write_str("had no free slot in time")?,
            (Reason::Dismissed, _) => f.write_str("dismissed its queue")?,
        }
        write!(f, ": {} of {} in flight", self.in_flight, self.limit)?;
        match self.config.overflow {
            Overflow::Refuse => {}
            Overflow::Queue { rules, .. } => write!(f, ", {} of {} waiting", self.waiting, rules.max_waiting)?,
            Overflow::Backpressure => write!(f, ", {} waiting", self.waiting)?,
        }
        match self.retry_after() {
            Some(retry_after) => write!(f, "; try again in {} s", retry_after.as_secs_f64()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overloaded")
            .field("limit_name", &self.config.name)
            .field("reason", &self.reason)
            .field("in_flight", &self.in_flight)
            .field("limit", &self.limit)
            .field("waiting", &self.waiting)
            .field("retry_after", &self.retry_after())
            .finish_non_exhaustive()
    }
}

impl Error for Overloaded {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.refusal)
    }
}
