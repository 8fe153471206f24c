//! How a limit is configured and checked.

use std::time::Duration;

use crate::build_error::BuildError;
use crate::dismiss::{Dismiss, Undismissed};
use crate::limit::Limit;
use crate::line::Order;
use crate::lobby::Rules;
use crate::observe::Keys;
use crate::registry;
use crate::word::MAX_LIMIT;

const MAX_NAME: usize = 128;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How many at once. A place for other kinds than a fixed number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Fixed(u32),
}

/// What becomes of a call that finds no room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Overflow {
    Refuse,
    Queue { rules: Rules, max_wait: Duration },
    Backpressure,
}

impl Overflow {
    pub(crate) const fn rules(self) -> Rules {
        match self {
            Self::Refuse => Rules {
                max_waiting: 0,
                order: Order::Fifo,
            },
            Self::Queue { rules, .. } => rules,
            Self::Backpressure => Rules {
                max_waiting: u32::MAX,
                order: Order::Fifo,
            },
        }
    }
}

/// A checked configuration, without the number that may change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) overflow: Overflow,
    pub(crate) retry_after: Duration,
    pub(crate) keys: Keys,
}

/// Builds a [`Limit`]. Made by [`Limit::fixed`]; with the feature `serde` also read from a configuration file.
///
/// | function | without it |
/// |---|---|
/// | [`name`](Self::name) | `"unnamed"` |
/// | [`queue`](Self::queue) | a call that finds no room is refused at once |
/// | [`lifo`](Self::lifo) | those who wait are served in the order in which they came |
/// | [`backpressure`](Self::backpressure) | `poll_ready` says only what the inner service says |
/// | [`dismiss_when`](Self::dismiss_when) | those who wait do so until a slot is free or `max_wait` is over |
/// | [`retry_after`](Self::retry_after) | a refusal advises to try again after 1 s |
///
/// ```
/// use std::time::Duration;
/// use concurrency_layer::Limit;
///
/// let limit = Limit::fixed(3).name("openai").queue(100, Duration::from_secs(2)).lifo().build()?;
/// assert_eq!((limit.limit(), limit.in_flight(), limit.waiting()), (3, 0, 0));
/// # Ok::<(), concurrency_layer::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a builder is no limit until it is built"]
pub struct LimitBuilder<D = Undismissed> {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) queue: Option<(u32, Duration)>,
    pub(crate) order: Order,
    pub(crate) backpressure: bool,
    pub(crate) retry_after: Duration,
    dismiss: D,
    dismisses: bool,
}

impl LimitBuilder {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            name: String::from("unnamed"),
            queue: None,
            order: Order::Fifo,
            backpressure: false,
            retry_after: RETRY_AFTER,
            dismiss: Undismissed,
            dismisses: false,
        }
    }
}

impl<D> LimitBuilder<D> {
    /// The name in errors, metrics and events. Names should be few: each is kept for the life of the process.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Calls that find no room wait in line: at most `max_waiting` of them, each for at most `max_wait`.
    ///
    /// `Duration::MAX` is without end. The time counts from `call`, on tokio's clock.
    pub fn queue(mut self, max_waiting: u32, max_wait: Duration) -> Self {
        self.queue = Some((max_waiting, max_wait));
        self
    }

    /// The one who came last is served first: under lasting overload those who are served have waited briefly, and those
    /// who have waited long, whose callers may have given up, are the ones who time out.
    pub fn lifo(mut self) -> Self {
        self.order = Order::Lifo;
        self
    }

    /// Waits in `poll_ready` while there is no room, for an endpoint under a balancer. Nothing is refused for being late.
    ///
    /// A service that is ready holds no slot: it takes one in `call`. Should others have been faster, that call waits for
    /// its turn, behind those who came before it. So a ready service that is never called keeps nobody out.
    ///
    /// [`Limit::acquire`] and [`Limit::call`] of such a limit wait in that line too, without bound.
    ///
    /// Each service that becomes ready has been woken by a slot that came back, and all that wait are woken while there is
    /// room. That is right for some tens of endpoints or connections; for thousands of clones, one for each request, use
    /// [`queue`](Self::queue), which also bounds them.
    pub fn backpressure(mut self) -> Self {
        self.backpressure = true;
        self
    }

    /// Refuses those who wait, with [`Reason::Dismissed`](crate::Reason), as soon as a future resolves: the circuit behind
    /// the limit has opened, the server drains.
    ///
    /// `dismiss` makes a future for each call that has to wait; calls that find a slot make none. Whoever has been given a
    /// slot is not dismissed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use concurrency_layer::{Limit, Reason};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (opened, watch) = tokio::sync::watch::channel(false);
    /// let limit = Limit::fixed(1)
    ///     .queue(10, Duration::from_secs(2))
    ///     .dismiss_when(move || {
    ///         let mut watch = watch.clone();
    ///         async move { drop(watch.wait_for(|open| *open).await) }
    ///     })
    ///     .build()?;
    ///
    /// let _permit = limit.try_acquire()?;
    /// let waiting = tokio::spawn(limit.acquire());
    /// opened.send(true)?;
    /// assert_eq!(waiting.await?.unwrap_err().reason(), Reason::Dismissed);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dismiss_when<F: Dismiss>(self, dismiss: F) -> LimitBuilder<F> {
        let Self {
            kind,
            name,
            queue,
            order,
            backpressure,
            retry_after,
            dismiss: _,
            dismisses: _,
        } = self;
        LimitBuilder {
            kind,
            name,
            queue,
            order,
            backpressure,
            retry_after,
            dismiss,
            dismisses: true,
        }
    }

    /// The time after which a refusal advises to try again. A guess is all that it can be: nobody knows when a slot will
    /// be free.
    pub fn retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = retry_after;
        self
    }

    pub(crate) fn check(self) -> Result<(u32, Config, D), BuildError> {
        let Self {
            kind,
            name,
            queue,
            order,
            backpressure,
            retry_after,
            dismiss,
            dismisses,
        } = self;
        let wrong = |field, value: String, allowed: &str| Err(BuildError::new(&name, field, value, allowed));
        if name.is_empty() || name.len() > MAX_NAME {
            let shown: String = name.chars().take(MAX_NAME).collect();
            let value = format!("{} bytes", name.len());
            return Err(BuildError::new(
                &shown,
                "name",
                value,
                format!("give it 1 to {MAX_NAME} bytes"),
            ));
        }
        let Kind::Fixed(limit) = kind;
        check_limit(&name, limit)?;
        if retry_after.is_zero() {
            return wrong("retry_after", format!("{retry_after:?}"), "set it to more than zero");
        }
        let overflow = match queue {
            Some((max_waiting, max_wait)) => {
                if max_waiting == 0 || max_waiting > MAX_LIMIT {
                    let allowed = format!("set it to 1 to {MAX_LIMIT}, or leave the queue out to refuse at once");
                    return Err(BuildError::new(&name, "max_waiting", max_waiting, allowed));
                }
                if max_wait.is_zero() {
                    let allowed = "set it to more than zero, or leave the queue out to refuse at once";
                    return wrong("max_wait", format!("{max_wait:?}"), allowed);
                }
                if backpressure {
                    return wrong(
                        "backpressure",
                        "true".into(),
                        "calls wait in a queue or under backpressure; choose one",
                    );
                }
                Overflow::Queue {
                    rules: Rules { max_waiting, order },
                    max_wait,
                }
            }
            None if order == Order::Lifo => {
                return wrong("lifo", "true".into(), "it needs a queue");
            }
            None if backpressure => Overflow::Backpressure,
            None if dismisses => {
                return wrong(
                    "dismiss_when",
                    "set".into(),
                    "it needs a queue or backpressure: without, nobody waits",
                );
            }
            None => Overflow::Refuse,
        };
        let keys = Keys::new(&name);
        let config = Config {
            name,
            overflow,
            retry_after,
            keys,
        };
        Ok((limit, config, dismiss))
    }
}

/// The one check of a limit, when it is built and when it is changed.
pub(crate) fn check_limit(name: &str, limit: u32) -> Result<(), BuildError> {
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(());
    }
    Err(BuildError::new(
        name,
        "limit",
        limit,
        format!("set it to 1 to {MAX_LIMIT}"),
    ))
}

impl<D: Dismiss> LimitBuilder<D> {
    /// Checks the configuration and makes the limit.
    ///
    /// # Errors
    ///
    /// Names the field, its value and what is allowed: a limit of zero or above 8,388,607, a `max_waiting` likewise, a
    /// `max_wait` or `retry_after` of zero, an empty name or one over 128 bytes, a queue together with backpressure,
    /// `lifo` without a queue, `dismiss_when` where nobody waits.
    pub fn build(self) -> Result<Limit<D>, BuildError> {
        let (limit, config, dismiss) = self.check()?;
        Ok(registry::open(limit, config).with_dismiss(dismiss))
    }
}
