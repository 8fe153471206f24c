//! Where the time comes from: one clock a circuit, and nothing reads another behind its back.

use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// A monotonic clock in nanoseconds.
///
/// Bring your own for simulations: whatever never goes back will do. A reading before an earlier one counts as that
/// earlier one.
///
/// ```
/// use state_core::{Circuit, Clock};
///
/// struct Frames(std::sync::atomic::AtomicU64);
///
/// impl Clock for Frames {
///     fn now_nanos(&self) -> u64 {
///         self.0.load(std::sync::atomic::Ordering::Relaxed) * 16_666_667
///     }
/// }
///
/// let circuit = Circuit::builder("doc").clock(Frames(0.into())).build()?;
/// # Ok::<(), state_core::BuildError>(())
/// ```
pub trait Clock: Send + Sync + 'static {
    /// Nanoseconds since any fixed moment.
    fn now_nanos(&self) -> u64;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now_nanos(&self) -> u64 {
        (**self).now_nanos()
    }
}

/// The clock of a circuit, as [`CircuitBuilder::clock`](crate::CircuitBuilder::clock) takes it.
///
/// Without one the circuit chooses: [`SystemClock::coarse`] where a tick of some milliseconds is fine enough, else
/// [`SystemClock::precise`].
#[derive(Clone)]
pub struct ClockSource(pub(crate) Source);

#[derive(Clone)]
pub(crate) enum Source {
    #[cfg(feature = "std")]
    Coarse,
    #[cfg(feature = "std")]
    Precise,
    Custom(Arc<dyn Clock>),
}

impl ClockSource {
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match &self.0 {
            #[cfg(feature = "std")]
            Source::Coarse => system::coarse(),
            #[cfg(feature = "std")]
            Source::Precise => system::precise(),
            Source::Custom(clock) => clock.now_nanos(),
        }
    }

    pub(crate) fn is_coarse(&self) -> bool {
        match self.0 {
            #[cfg(feature = "std")]
            Source::Coarse => system::HAS_COARSE,
            _ => false,
        }
    }
}

impl PartialEq for ClockSource {
    /// The same clock, not an equal one: two manual clocks are two clocks.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Source::Custom(a), Source::Custom(b)) => Arc::ptr_eq(a, b),
            #[cfg(feature = "std")]
            (Source::Coarse, Source::Coarse) | (Source::Precise, Source::Precise) => true,
            #[cfg(feature = "std")]
            _ => false,
        }
    }
}

impl fmt::Debug for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            #[cfg(feature = "std")]
            Source::Coarse => "coarse system clock",
            #[cfg(feature = "std")]
            Source::Precise => "precise system clock",
            Source::Custom(_) => "custom clock",
        })
    }
}

impl<C: Clock> From<C> for ClockSource {
    fn from(clock: C) -> Self {
        Self(Source::Custom(Arc::new(clock)))
    }
}

/// The monotonic clock of the system.
///
/// The coarse one costs about 7 ns to read and moves in steps of some milliseconds (1 to 10, the kernel's tick); it is
/// Linux's `CLOCK_MONOTONIC_COARSE`, and elsewhere the precise one. The precise one costs 20 to 40 ns.
///
/// ```
/// use std::time::Duration;
/// use state_core::{Circuit, SystemClock};
///
/// let circuit = Circuit::builder("doc")
///     .slow_call_rate_above(0.5, Duration::from_millis(10))
///     .clock(SystemClock::precise())
///     .build()?;
/// # Ok::<(), state_core::BuildError>(())
/// ```
#[cfg(feature = "std")]
#[cfg_attr(docsrs, doc(cfg(feature = "std")))]
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

#[cfg(feature = "std")]
impl SystemClock {
    /// The cheap clock: for windows of a second and more, deadlines, and slow calls from 50 ms on.
    #[must_use]
    pub fn coarse() -> ClockSource {
        ClockSource(Source::Coarse)
    }

    /// The exact clock.
    #[must_use]
    pub fn precise() -> ClockSource {
        ClockSource(Source::Precise)
    }
}

/// A clock that stands still until it is told to move: for tests.
///
/// Copies share the same time.
///
/// ```
/// use std::time::Duration;
/// use state_core::{Circuit, ManualClock, State};
///
/// let clock = ManualClock::new();
/// let circuit = Circuit::builder("doc").consecutive_failures(1).open_for(Duration::from_secs(30)).clock(clock.clone()).build()?;
/// circuit.acquire()?.failure();
/// assert_eq!(circuit.state(), State::Open);
/// clock.advance(Duration::from_secs(30));
/// assert_eq!(circuit.state(), State::HalfOpen);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the time on. A time past 584 years stays there.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| Some(now.saturating_add(by)));
    }

    /// The time since the clock was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Acquire))
    }
}

impl Clock for ManualClock {
    fn now_nanos(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(all(feature = "std", target_os = "linux"))]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    pub(super) const HAS_COARSE: bool = true;

    #[inline]
    pub(super) fn coarse() -> u64 {
        read(ClockId::MonotonicCoarse)
    }

    #[inline]
    pub(super) fn precise() -> u64 {
        read(ClockId::Monotonic)
    }

    #[inline]
    #[allow(
        clippy::cast_sign_loss,
        reason = "the monotonic clock counts up from boot and is never negative"
    )]
    fn read(id: ClockId) -> u64 {
        let time = clock_gettime(id);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

#[cfg(all(feature = "std", not(target_os = "linux")))]
mod system {
    use std::sync::OnceLock;
    use std::time::Instant;

    pub(super) const HAS_COARSE: bool = false;

    #[allow(clippy::disallowed_methods, reason = "this is the clock file")]
    pub(super) fn precise() -> u64 {
        static ANCHOR: OnceLock<Instant> = OnceLock::new();
        u64::try_from(ANCHOR.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn coarse() -> u64 {
        precise()
    }
}
