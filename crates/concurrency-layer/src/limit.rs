//! The handle.

use std::fmt;
use std::future::Future;

use crate::acquire::{Acquire, Ticket, Wait};
use crate::build_error::BuildError;
use crate::dismiss::{Dismiss, Undismissed};
use crate::error::{Overloaded, Reason};
use crate::permit::Permit;
use crate::policy::{Config, Kind, LimitBuilder, Overflow, check_limit};
use crate::slot::{Entry, Slot, Slotted};
use crate::word::{Seen, Stamp};
use crate::{observe, registry};

/// How many calls may be in flight at once: a handle, cheap to copy, shared by everything that holds a copy.
///
/// Made by [`fixed`](Self::fixed). Use it in a [`ConcurrencyLayer`](crate::ConcurrencyLayer), or without Tower by
/// [`call`](Self::call), [`acquire`](Self::acquire) and [`try_acquire`](Self::try_acquire); all count together.
///
/// ```
/// use std::time::Duration;
/// use concurrency_layer::Limit;
///
/// # async fn fetch() -> &'static str { "answer" }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let limit = Limit::fixed(3).name("openai").queue(100, Duration::from_secs(2)).build()?;
/// let answer = limit.call(|| fetch()).await?;
/// assert_eq!(answer, "answer");
/// # Ok(())
/// # }
/// ```
///
/// # Memory
///
/// Limits are few and live long, like metrics: a limit's memory (some hundred bytes, and a place for each of those who
/// have ever waited at once) stays for the life of the process. [`retire`](Self::retire) gives it to the next limit that
/// is built. Names and configurations are kept once for each that is different.
#[derive(Clone, Copy)]
pub struct Limit<D = Undismissed> {
    slot: &'static Slot,
    config: &'static Config,
    stamp: Stamp,
    dismiss: D,
}

/// What came of a call at the door.
pub(crate) enum Admission<D: Dismiss> {
    Admitted(Permit),
    Waiting(Wait<D::Dismissal>),
    Refused(Overloaded),
}

impl Limit {
    /// At most `limit` calls at once, 1 to 8,388,607. What else there is to say, the builder says; then
    /// [`build`](LimitBuilder::build).
    pub fn fixed(limit: u32) -> LimitBuilder {
        LimitBuilder::new(Kind::Fixed(limit))
    }

    /// Every limit that has been built and not retired, in the order in which they were built.
    ///
    /// ```
    /// use concurrency_layer::Limit;
    ///
    /// Limit::fixed(3).name("openai").build()?;
    /// assert!(Limit::all().iter().any(|limit| limit.name() == "openai"));
    /// # Ok::<(), concurrency_layer::BuildError>(())
    /// ```
    pub fn all() -> Vec<Limit> {
        registry::live()
    }

    pub(crate) const fn from_parts(slot: &'static Slot, stamp: Stamp, config: &'static Config) -> Self {
        Self {
            slot,
            config,
            stamp,
            dismiss: Undismissed,
        }
    }

    pub(crate) fn with_dismiss<D>(self, dismiss: D) -> Limit<D> {
        Limit {
            slot: self.slot,
            config: self.config,
            stamp: self.stamp,
            dismiss,
        }
    }
}

impl<D> Limit<D> {
    /// The name it was given.
    pub fn name(&self) -> &'static str {
        &self.config.name
    }

    /// How many calls hold a slot. Zero for a retired limit.
    pub fn in_flight(&self) -> u32 {
        self.current().map_or(0, Seen::in_flight)
    }

    /// How many calls may be in flight. Zero for a retired limit.
    pub fn limit(&self) -> u32 {
        self.current().map_or(0, Seen::limit)
    }

    /// How many calls wait in the queue; under backpressure, how many services wait to be ready.
    pub fn waiting(&self) -> u32 {
        self.current().map_or(0, |_| self.slot.waiting())
    }

    /// Whether this limit has been retired.
    pub fn is_retired(&self) -> bool {
        self.current().is_none()
    }

    /// Changes the limit while calls are running.
    ///
    /// A greater one lets in those who wait. A smaller one stops nobody who is in; until enough have left, nobody else
    /// gets in.
    ///
    /// ```
    /// use concurrency_layer::Limit;
    ///
    /// let limit = Limit::fixed(2).build()?;
    /// let (first, second) = (limit.try_acquire()?, limit.try_acquire()?);
    /// limit.set_limit(1)?;
    /// drop(first);
    /// assert!(limit.try_acquire().is_err()); // one is still in, and one is the limit
    /// drop(second);
    /// assert!(limit.try_acquire().is_ok());
    /// assert!(limit.set_limit(0).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When `limit` is zero or above 8,388,607, or this limit has been retired; nothing has changed then.
    pub fn set_limit(&self, limit: u32) -> Result<(), BuildError> {
        check_limit(self.name(), limit)?;
        let Some(slotted) = self.slot.set_limit(self.stamp, limit) else {
            return Err(BuildError::new(
                self.name(),
                "limit",
                limit,
                "this limit has been retired",
            ));
        };
        if slotted == Slotted::Free {
            registry::recycle(self.slot);
        }
        observe::limit_changed(&self.plain());
        Ok(())
    }

    /// Takes a slot if one is free and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`Reason::Full`] when every slot is taken, [`Reason::Retired`] after [`retire`](Self::retire).
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit, Overloaded> {
        self.take().or_else(|seen| self.try_enter(seen))
    }

    /// Ends this limit, and gives its memory to the next that is built as soon as the last permit has come back.
    ///
    /// Every copy of the handle refuses from now on with [`Reason::Retired`], those who wait are refused with it too, and
    /// services under backpressure become ready and refuse. Calls in flight end as they would. Says whether it was this
    /// call that retired it.
    ///
    /// ```
    /// use concurrency_layer::{Limit, Reason};
    ///
    /// let limit = Limit::fixed(3).build()?;
    /// assert!(limit.retire());
    /// assert!(!limit.retire());
    /// assert_eq!(limit.try_acquire().unwrap_err().reason(), Reason::Retired);
    /// # Ok::<(), concurrency_layer::BuildError>(())
    /// ```
    #[allow(clippy::must_use_candidate)]
    pub fn retire(&self) -> bool {
        let Some(slotted) = self.slot.retire(self.stamp) else {
            return false;
        };
        registry::close(self.slot, self.stamp);
        if slotted == Slotted::Free {
            registry::recycle(self.slot);
        }
        observe::retired(self.name());
        true
    }

    /// The same limit for those who wait undismissed: a handle whose type is plain `Limit`, to store or to watch.
    pub const fn plain(&self) -> Limit {
        Limit::from_parts(self.slot, self.stamp, self.config)
    }

    pub(crate) fn is_of(&self, slot: &'static Slot, stamp: Stamp) -> bool {
        std::ptr::eq(self.slot, slot) && self.stamp == stamp
    }

    pub(crate) const fn slot(&self) -> &'static Slot {
        self.slot
    }

    pub(crate) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    #[inline]
    pub(crate) const fn is_backpressure(&self) -> bool {
        matches!(self.config.overflow, Overflow::Backpressure)
    }

    /// What the word says, while it speaks of this limit.
    fn current(&self) -> Option<Seen> {
        Some(self.slot.seen()).filter(|seen| seen.stamp() == self.stamp)
    }

    #[inline]
    pub(crate) fn take(&self) -> Result<Permit, Seen> {
        // Read once: the compiler does not know that the atomic is not in here.
        let slot = self.slot;
        match slot.try_take(self.stamp) {
            Ok(()) => Ok(Permit::new(slot)),
            Err(seen) => Err(seen),
        }
    }

    /// A second look, for somebody who will not wait.
    #[cold]
    fn try_enter(&self, seen: Seen) -> Result<Permit, Overloaded> {
        // With room, it was attention that kept us out; the lobby knows whether for somebody in line.
        if seen.stamp() == self.stamp && !seen.has_room() {
            return Err(self.refuse(Reason::Full, seen));
        }
        match self.slot.enter(self.stamp, false) {
            Entry::Taken => Ok(Permit::new(self.slot)),
            Entry::Full(seen) => Err(self.refuse(Reason::Full, seen)),
            Entry::Queued(_) | Entry::Retired => Err(self.refuse_retired()),
        }
    }

    /// Refuses by what the word said. Where that and the configuration tell how many wait, nothing else is read: a
    /// refusal at the door is one load.
    pub(crate) fn refuse(&self, reason: Reason, seen: Seen) -> Overloaded {
        let waiting = match (reason, self.config.overflow) {
            (_, Overflow::Refuse) => 0,
            (Reason::QueueFull, Overflow::Queue { rules, .. }) => rules.max_waiting,
            _ => self.slot.waiting(),
        };
        let overloaded = Overloaded::new(self.config, reason, seen.in_flight(), seen.limit(), waiting);
        observe::refused(&overloaded);
        overloaded
    }

    fn refuse_retired(&self) -> Overloaded {
        let overloaded = Overloaded::new(self.config, Reason::Retired, 0, 0, 0);
        observe::refused(&overloaded);
        overloaded
    }

    /// Refuses somebody who waited, by what the word says now.
    pub(crate) fn refuse_late(&self, reason: Reason) -> Overloaded {
        match self.current() {
            Some(seen) if reason != Reason::Retired => self.refuse(reason, seen),
            _ => self.refuse_retired(),
        }
    }
}

impl<D: Dismiss> Limit<D> {
    /// Takes a slot, waiting for it as the limit is configured to.
    ///
    /// The call takes its place in line when the future is first polled.
    ///
    /// # Errors
    ///
    /// [`Overloaded`], with the [`Reason`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped leaves the line at once; had it been given a slot, the next in line gets it.
    ///
    /// # Panics
    ///
    /// The future panics where a timer is needed and there is no tokio runtime with time: when it has to wait in a queue.
    pub fn acquire(&self) -> Acquire<D>
    where
        D: Clone,
    {
        Acquire::new(self.clone())
    }

    /// Runs an async function with a slot, waiting for it as the limit is configured to. The slot is given back when the
    /// function's future is over, whichever way.
    ///
    /// `call` is not called unless there is a slot. See [`Limit`] for an example.
    ///
    /// # Errors
    ///
    /// [`Overloaded`], with the [`Reason`]. What the function itself answers comes back as it is.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire); afterwards, as the function's future.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire), and when the function does.
    pub async fn call<F, T>(&self, call: F) -> Result<T::Output, Overloaded>
    where
        F: FnOnce() -> T,
        T: Future,
        D: Clone,
    {
        let _permit = match self.take() {
            Ok(permit) => permit,
            Err(_) => self.acquire().await?,
        };
        Ok(call().await)
    }

    /// Admits a call, or lets it wait, or refuses it.
    #[inline]
    pub(crate) fn admit(&self) -> Admission<D> {
        match self.take() {
            Ok(permit) => Admission::Admitted(permit),
            Err(seen) => self.admit_late(seen),
        }
    }

    /// For a call that found no room at first sight.
    #[cold]
    pub(crate) fn admit_late(&self, seen: Seen) -> Admission<D> {
        if seen.stamp() != self.stamp {
            return Admission::Refused(self.refuse_retired());
        }
        let reason = match self.config.overflow {
            Overflow::Refuse => Reason::Full,
            Overflow::Queue { .. } | Overflow::Backpressure => Reason::QueueFull,
        };
        if reason == Reason::Full || seen.is_crowded() {
            return Admission::Refused(self.refuse(reason, seen));
        }
        // Made before there is a place in line, so that whatever happens from here on is seen.
        let dismissal = self.dismiss.dismissal();
        match self.slot.enter(self.stamp, true) {
            Entry::Taken => Admission::Admitted(Permit::new(self.slot)),
            Entry::Queued(key) => {
                let max_wait = match self.config.overflow {
                    Overflow::Queue { max_wait, .. } => Some(max_wait),
                    Overflow::Refuse | Overflow::Backpressure => None,
                };
                let ticket = Ticket::new(self.plain(), key);
                Admission::Waiting(Wait::new(ticket, max_wait, dismissal))
            }
            Entry::Full(seen) => Admission::Refused(self.refuse(reason, seen)),
            Entry::Retired => Admission::Refused(self.refuse_retired()),
        }
    }

    /// A future that resolves when waiting has become pointless.
    pub(crate) fn dismissal(&self) -> D::Dismissal {
        self.dismiss.dismissal()
    }
}

impl<D> fmt::Debug for Limit<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("name", &self.name())
            .field("in_flight", &self.in_flight())
            .field("limit", &self.limit())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
