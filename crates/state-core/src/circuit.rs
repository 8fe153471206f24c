//! The handle: a circuit as its users hold it.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::clock::ClockSource;
use crate::error::BuildError;
use crate::figures::Figures;
use crate::observer::Observer;
use crate::plan::{Meta, Plan};
use crate::policy::Policy;
use crate::slot::{self, Layout, Slot};
use crate::state::{Reason, State};
use crate::sync::Ordering;
use crate::transit::Move;
use crate::window::Window;

/// A circuit breaker: a cheap handle, copied freely and shared by everything that holds it.
///
/// All copies are the same circuit. The memory behind it lives as long as the process, like that of a metric or a
/// tracing callsite, so a copy costs no reference count; [`retire`](Self::retire) gives it to the next circuit.
///
/// ```
/// use std::time::Duration;
/// use state_core::{Circuit, Window};
///
/// let openai = Circuit::builder("openai")
///     .failure_rate_above(0.5)
///     .window(Window::calls(100))
///     .min_calls(5)
///     .open_for(Duration::from_secs(30))
///     .build()?;
///
/// let permit = openai.acquire()?;
/// match std::fs::read("/proc/self/stat") {
///     Ok(_) => permit.success(),
///     Err(_) => permit.failure(),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Circuit {
    pub(crate) slot: &'static Slot,
    pub(crate) meta: &'static Meta,
    pub(crate) incarnation: u32,
}

impl Circuit {
    /// Starts a circuit called `name` (1 to 256 bytes; it stands in errors, logs and metrics).
    pub fn builder(name: impl Into<String>) -> CircuitBuilder {
        CircuitBuilder {
            name: name.into(),
            policy: Policy::default(),
            clock: None,
            observers: alloc::vec::Vec::new(),
        }
    }

    /// The name it was built with.
    #[must_use]
    pub fn name(&self) -> &'static str {
        &self.meta.name
    }

    /// Whether calls are timed, because a slow rule is set.
    #[must_use]
    pub fn times_calls(&self) -> bool {
        self.meta.plan.slow_after.is_some()
    }

    /// Gives the memory back, to be used by a circuit that is built later. Copies of the handle then admit every call and
    /// record nothing; permits that are still out change nothing. Returns whether this call did it.
    ///
    /// ```
    /// use state_core::{Circuit, State};
    ///
    /// let tenant = Circuit::builder("tenant-4711").build()?;
    /// let copy = tenant;
    /// assert!(tenant.retire());
    /// assert!(!copy.retire());
    /// assert_eq!(copy.state(), State::Retired);
    /// copy.acquire()?.failure();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retire(self) -> bool {
        loop {
            let word = self.slot.word.load();
            if !self.owns() || word.state() == State::Retired {
                return false;
            }
            let now = self.now_ms();
            if self
                .transit(word, Move::to(State::Retired, Reason::Retired, now))
                .is_ok()
            {
                slot::give_back(Layout::of(self.meta), self.slot);
                return true;
            }
        }
    }

    /// Whether the slot is still this handle's. To be asked after loading the state word: see [`Slot`].
    #[inline]
    pub(crate) fn owns(&self) -> bool {
        self.slot.incarnation.load(Ordering::Relaxed) == self.incarnation
    }

    /// The circuit's time in whole milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.meta.plan.now() / 1_000_000
    }

    /// A number in [0, 1), by the generator `SplitMix64` (Steele, Lea and Flood, 2014).
    pub(crate) fn random(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let line = &self.slot.line;
        let drawn = line.draws.add(self.incarnation).wrapping_add(1);
        let seed = line.seed.load(Ordering::Relaxed);
        let mut z = drawn.wrapping_mul(STEP).wrapping_add(seed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl PartialEq for Circuit {
    /// Whether both are handles to the same circuit.
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.slot, other.slot) && self.incarnation == other.incarnation
    }
}

impl Eq for Circuit {}

impl core::hash::Hash for Circuit {
    fn hash<H: core::hash::Hasher>(&self, hasher: &mut H) {
        (core::ptr::from_ref(self.slot) as usize, self.incarnation).hash(hasher);
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Makes a [`Circuit`]. Its setters are those of [`Policy`].
///
/// ```
/// use std::time::Duration;
/// use state_core::Circuit;
///
/// let circuit = Circuit::builder("search").consecutive_failures(5).open_for(Duration::from_secs(60)).build()?;
/// # Ok::<(), state_core::BuildError>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct CircuitBuilder {
    pub(crate) name: String,
    pub(crate) policy: Policy,
    pub(crate) clock: Option<ClockSource>,
    pub(crate) observers: alloc::vec::Vec<Box<dyn Observer>>,
}

impl CircuitBuilder {
    /// Takes a whole policy, in place of all that was set before.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Takes the time from `clock`: a [`ClockSource`] or any [`Clock`](crate::Clock) (default: the system's monotonic
    /// clock).
    pub fn clock(mut self, clock: impl Into<ClockSource>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// Calls `observer` for every event, in order, off the path of the calls. See [`Observer`].
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Checks the configuration and makes the circuit, closed.
    ///
    /// # Errors
    ///
    /// [`BuildError`] names the field, its value and what is allowed: a count of zero or over what the state word holds,
    /// a rate that is no number or can never trip, a duration of zero, `min_calls` over a window of calls, a jitter
    /// outside [0, 1), a backoff factor under 1, a batch of trials without a rule to judge it by, a coarse clock for what
    /// it can't measure.
    pub fn build(self) -> Result<Circuit, BuildError> {
        let plan = Plan::new(&self.name, self.policy, self.clock)?;
        let meta = slot::shared(Meta {
            name: self.name.into_boxed_str(),
            plan,
        });
        let (slot, incarnation) = slot::claim(Layout::of(meta));
        let circuit = Circuit {
            slot,
            meta,
            incarnation,
        };
        slot.line.seed.store(
            meta.plan.policy.seed.unwrap_or_else(|| fresh_seed(slot)),
            Ordering::Relaxed,
        );
        let word = slot.word.load();
        let first = Move {
            payload: meta.plan.fresh,
            ..Move::to(State::Closed, Reason::Built, circuit.now_ms())
        };
        // Nobody else moves a retired slot: it was taken from the pool, or made, by this thread.
        let _ = circuit.transit(word, first);
        for observer in self.observers {
            crate::observer::add(circuit, observer);
        }
        Ok(circuit)
    }
}

impl fmt::Debug for CircuitBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBuilder")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// Different for each circuit and, where the platform can say, for each process.
fn fresh_seed(slot: &'static Slot) -> u64 {
    let place = core::ptr::from_ref(slot) as usize as u64;
    #[cfg(feature = "std")]
    {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(place)
    }
    #[cfg(not(feature = "std"))]
    {
        place
    }
}

/// What a window of the given generation holds; with time in it, as of `now` (ns of the circuit's time).
impl Circuit {
    pub(crate) fn figures(&self, generation: u64, now: impl FnOnce() -> u64) -> Figures {
        use crate::plan::Store;
        use crate::slot::Windows;
        match (&self.slot.window, self.meta.plan.store) {
            (Windows::Ring(ring), Store::Ring(shape)) => ring.figures(shape, generation),
            (Windows::Tally(tally), Store::Lifetime) => tally.lifetime(generation),
            (Windows::Tally(tally), Store::Time(slicing, _)) => tally.within(slicing, generation, now()),
            _ => Figures::default(),
        }
    }

    /// The policy it was built with.
    #[must_use]
    pub fn policy(&self) -> &'static Policy {
        &self.meta.plan.policy
    }

    /// The window its rates are taken over; `None` when it keeps none.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        let policy = self.policy();
        let rates = policy.failure_rate.is_some() || policy.slow_call_rate.is_some();
        policy.window.or(rates.then(|| Window::calls(100)))
    }
}
