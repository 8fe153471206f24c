//! Which of those that may be asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::bits::Bits;
use crate::member::Member;
use crate::random::Random;
use crate::sync::AtomicU64;
use crate::turns::Turns;

/// Chooses one of the providers that may be asked. Bring your own, or take one of [`InOrder`](crate::InOrder),
/// [`RoundRobin`](crate::RoundRobin), [`Weighted`](crate::Weighted), [`LeastLatency`](crate::LeastLatency),
/// [`PeakEwmaP2c`](crate::PeakEwmaP2c), [`Availability`](crate::Availability), [`LeastInFlight`](crate::LeastInFlight).
///
/// ```
/// use provider_pool::{Candidates, Strategy};
///
/// /// The one whose name comes first.
/// #[derive(Debug)]
/// struct ByName;
///
/// impl Strategy for ByName {
///     fn name(&self) -> &'static str {
///         "by_name"
///     }
///
///     fn pick(&self, candidates: &Candidates<'_>) -> usize {
///         let first = candidates.iter().min_by(|a, b| a.name().cmp(b.name()));
///         first.map_or(0, |candidate| candidate.place())
///     }
/// }
/// ```
pub trait Strategy: fmt::Debug + Send + Sync + 'static {
    /// What it is called in snapshots and logs.
    fn name(&self) -> &'static str;

    /// The [`place`](Candidate::place) of the chosen one. There is at least one candidate. A place that is none of theirs
    /// stands for the first.
    ///
    /// It is called for every call, from many threads at once: it should be quick and must not block. A panic is the
    /// caller's.
    fn pick(&self, candidates: &Candidates<'_>) -> usize;

    /// Whether [`pick`](Self::pick) heeds [`Candidate::share`] itself. If not, the pool leaves a provider in its slow start
    /// out of as many picks as it takes.
    fn heeds_share(&self) -> bool {
        false
    }
}

impl<T: Strategy + ?Sized> Strategy for Box<T> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn pick(&self, candidates: &Candidates<'_>) -> usize {
        (**self).pick(candidates)
    }

    fn heeds_share(&self) -> bool {
        (**self).heeds_share()
    }
}

/// The providers that may be asked.
pub struct Candidates<'a> {
    pub(crate) members: &'a [Arc<Member>],
    pub(crate) bits: &'a Bits,
    pub(crate) random: &'a Random,
    pub(crate) now: u64,
    pub(crate) slow_start: u64,
}

impl<'a> Candidates<'a> {
    /// How many there are: at least one.
    pub fn len(&self) -> usize {
        self.bits.len()
    }

    /// Whether there is none: never.
    pub fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    /// Each, in the order in which they were added to the pool.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a>> + '_ {
        self.bits.iter().filter_map(|place| {
            self.members.get(place).map(|member| Candidate {
                place,
                member,
                now: self.now,
                slow_start: self.slow_start,
            })
        })
    }

    /// Whose turn it is among those to whom `weight` gives one.
    pub(crate) fn by_turns(&self, turns: &Turns, weight: impl Fn(&Candidate<'_>) -> Option<f64>) -> usize {
        let each = || {
            let candidates = self.iter();
            candidates.filter_map(|candidate| Some((candidate.place(), candidate.turn(), weight(&candidate)?)))
        };
        // None: what gave them a turn has changed while they were looked at.
        let first = || self.iter().next().map_or(0, |candidate| candidate.place());
        turns.next(each).unwrap_or_else(first)
    }

    /// A random number from the pool's source, which can be seeded.
    pub fn random(&self) -> u64 {
        self.random.next()
    }
}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A provider that may be asked.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    place: usize,
    pub(crate) member: &'a Member,
    pub(crate) now: u64,
    slow_start: u64,
}

impl<'a> Candidate<'a> {
    /// What [`Strategy::pick`] answers to choose this one.
    pub fn place(&self) -> usize {
        self.place
    }

    /// The provider's name.
    pub fn name(&self) -> &'a str {
        &self.member.name
    }

    /// The weight it was given (default 1).
    pub fn weight(&self) -> u32 {
        self.member.weight.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The part of its share that it is to get: 1, and less in its slow start.
    pub fn share(&self) -> f64 {
        self.member.share(self.now, self.slow_start)
    }

    /// How many calls are in flight.
    pub fn in_flight(&self) -> u32 {
        self.member.in_flight.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The moving average of what its calls took to the response's head, an eighth of it the last one, and more after a
    /// time without calls; failed calls count as at least the pool's penalty. `None` until one has ended.
    pub fn latency(&self) -> Option<Duration> {
        self.member.latency().map(Duration::from_nanos)
    }

    /// The same, but up at once with a slow call and down as time passes.
    pub fn peak_latency(&self) -> Option<Duration> {
        self.member.peak(self.now).map(Duration::from_nanos)
    }

    /// The moving average of failures, in [0, 1]; it fades by half in each 10 s without a call.
    pub fn failure_rate(&self) -> f64 {
        self.member.failure_rate(self.now)
    }

    /// How long no call has begun or ended, whatever it came to; `None` if none ever has.
    pub fn quiet(&self) -> Option<Duration> {
        self.member.quiet(self.now).map(Duration::from_nanos)
    }

    /// A number that the strategy may keep with each provider; 0 at first.
    pub fn turn(&self) -> &'a AtomicU64 {
        &self.member.turn
    }
}

impl fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("name", &self.name())
            .field("weight", &self.weight())
            .field("in_flight", &self.in_flight())
            .field("latency", &self.latency())
            .field("failure_rate", &self.failure_rate())
            .finish_non_exhaustive()
    }
}
