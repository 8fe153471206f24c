//! What is known of one provider, for all threads: how it does, and whether it may be asked.
//!
//! Each number stands in an atomic of its own and is Relaxed throughout: a pick weighs them against each other, and one
//! that is a call behind is as good. `in_flight` alone must be exact, and it is: it is raised by compare-and-swap, never
//! above the limit, and lowered once by the [`Place`] that was given for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use health_probe::{Health, HealthState};
use state_core::{Circuit, RefusalReason, State};
use tokio::sync::Notify;

use crate::observe::Keys;
use crate::time::nanos;
use crate::why::Out;

/// A sample counts this much in the moving averages.
const EIGHTH: u64 = 8;
/// One, of the failure rate.
const ONE: u64 = 1 << 20;
/// Without a call for so long, what is known of a provider is worth half.
pub(crate) const HALF_LIFE: u64 = 10_000_000_000;
/// So many failures that the circuit must have seen one.
const ENOUGH: u64 = 10;
/// Below this a failure rate is none.
const NEGLIGIBLE: f64 = 0.01;
/// The share of a provider that has just come back.
const FLOOR: f64 = 0.1;

pub(crate) struct Member {
    pub(crate) name: Arc<str>,
    /// Another for each provider that was ever added.
    pub(crate) id: u64,
    pub(crate) serves: Vec<Box<str>>,
    /// Also what is not among `serves`.
    pub(crate) everything: bool,
    pub(crate) circuit: Option<Circuit>,
    pub(crate) health: Option<Health>,
    /// `u32::MAX`: none.
    pub(crate) limit: u32,
    pub(crate) weight: AtomicU32,
    pub(crate) draining: AtomicBool,
    pub(crate) in_flight: AtomicU32,
    /// In ns; 0 as long as no call has ended.
    latency: AtomicU64,
    /// In ns: up at once, down with time.
    peak: AtomicU64,
    /// In parts of [`ONE`].
    failure_rate: AtomicU64,
    /// When the last call began or ended, whatever it came to; 0 for never.
    last: AtomicU64,
    /// When something was last learned from one; 0 for never.
    learned: AtomicU64,
    /// The strategy's own.
    pub(crate) turn: crate::sync::AtomicU64,
    /// Whether it was out when it was last looked at.
    out: AtomicBool,
    /// When it came back; 0 when it has never been out, or so long ago that it does not matter.
    pub(crate) back: AtomicU64,
    pub(crate) counts: Counts,
    pub(crate) idle: Notify,
    #[cfg_attr(not(feature = "metrics"), allow(dead_code))]
    pub(crate) keys: Keys,
}

/// How many calls came to what.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) served: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) cancelled: AtomicU64,
}

/// What came of asking a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Served,
    Failed,
    Refused,
    Cancelled,
}

impl Came {
    #[cfg_attr(not(feature = "metrics"), allow(dead_code))]
    pub(crate) const ALL: [Self; 4] = [Self::Served, Self::Failed, Self::Refused, Self::Cancelled];

    #[cfg_attr(not(any(feature = "metrics", feature = "tracing")), allow(dead_code))]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Counts {
    pub(crate) fn of(&self, came: Came) -> &AtomicU64 {
        match came {
            Came::Served => &self.served,
            Came::Failed => &self.failed,
            Came::Refused => &self.refused,
            Came::Cancelled => &self.cancelled,
        }
    }
}

/// Of its provider's calls; where nothing is counted nobody can tell.
fn sees_nothing(circuit: Circuit) -> bool {
    let seen = |of: state_core::Totals| of.successes + of.failures + of.neutral + of.cancelled + of.refused;
    circuit.totals().is_some_and(|totals| seen(totals) == 0)
}

/// What is left of what is known, after a time in ns.
pub(crate) fn worth_after(quiet: u64) -> f64 {
    (-(quiet as f64) / HALF_LIFE as f64).exp2()
}

/// What is left of a failure rate that is `worth` a part.
#[allow(clippy::cast_sign_loss, reason = "a part of what is positive")]
fn faded(rate: u64, worth: f64) -> u64 {
    let rate = rate as f64 * worth;
    if rate < ONE as f64 * NEGLIGIBLE { 0 } else { rate as u64 }
}

/// What a provider is made with.
pub(crate) struct Making {
    pub(crate) name: Arc<str>,
    pub(crate) id: u64,
    pub(crate) serves: Vec<Box<str>>,
    pub(crate) everything: bool,
    pub(crate) circuit: Option<Circuit>,
    pub(crate) health: Option<Health>,
    pub(crate) limit: Option<u32>,
    pub(crate) weight: u32,
}

impl Member {
    pub(crate) fn new(making: Making) -> Self {
        Self {
            keys: Keys::new(&making.name),
            name: making.name,
            id: making.id,
            serves: making.serves,
            everything: making.everything,
            circuit: making.circuit,
            health: making.health,
            limit: making.limit.unwrap_or(u32::MAX),
            weight: AtomicU32::new(making.weight),
            draining: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            latency: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            failure_rate: AtomicU64::new(0),
            last: AtomicU64::new(0),
            learned: AtomicU64::new(0),
            turn: crate::sync::AtomicU64::new(0),
            out: AtomicBool::new(false),
            back: AtomicU64::new(0),
            counts: Counts::default(),
            idle: Notify::new(),
        }
    }

    pub(crate) fn serves(&self, wanted: Option<&str>) -> bool {
        match wanted {
            None => true,
            Some(wanted) => self.everything || self.serves.iter().any(|served| **served == *wanted),
        }
    }

    /// Why it may not be asked for `wanted`, if it may not. Draws for a circuit's ramp.
    pub(crate) fn out(&self, wanted: Option<&str>) -> Option<Out> {
        if !self.serves(wanted) {
            return Some(Out::DoesNotServe);
        }
        if self.draining.load(Ordering::Relaxed) {
            return Some(Out::Draining);
        }
        if let Some(reason) = self.circuit.and_then(|circuit| circuit.refusing()) {
            return Some(match reason {
                RefusalReason::ForcedOpen => Out::ForcedOpen,
                RefusalReason::TrialsBusy => Out::TrialsBusy,
                RefusalReason::Ramp => Out::Ramp,
                _ => Out::Open,
            });
        }
        if self.is_down() {
            return Some(Out::Down);
        }
        (self.in_flight.load(Ordering::Relaxed) >= self.limit).then_some(Out::Full)
    }

    /// Why it may not be asked, where a pick said that it may not and a look afterwards finds no reason.
    pub(crate) fn out_after_all(&self) -> Out {
        match self.circuit {
            // A ramp's next draw may come out otherwise.
            Some(circuit) if circuit.state() == State::HalfOpen => Out::Ramp,
            _ => Out::NotReady,
        }
    }

    fn is_down(&self) -> bool {
        self.health
            .as_ref()
            .is_some_and(|health| health.state() == HealthState::Down)
    }

    /// Notes whether it is out, so that its coming back is seen. Whether it has just come back.
    pub(crate) fn look(&self, out: Option<Out>, now: u64) -> bool {
        match out {
            Some(Out::Draining | Out::ForcedOpen | Out::Open | Out::Down) => {
                if !self.out.load(Ordering::Relaxed) {
                    self.out.store(true, Ordering::Relaxed);
                }
                false
            }
            // Trials decide first. It was open, though perhaps no call came by then.
            _ if self.circuit.is_some_and(|circuit| circuit.state() == State::HalfOpen) => {
                if !self.out.load(Ordering::Relaxed) {
                    self.out.store(true, Ordering::Relaxed);
                }
                false
            }
            // Of those who see it at once, one begins its slow start.
            _ if self.out.load(Ordering::Relaxed) && self.out.swap(false, Ordering::Relaxed) => {
                self.back.store(now, Ordering::Relaxed);
                true
            }
            _ => false,
        }
    }

    /// The part of its share that it gets at `now`, as it was out until a while ago: from a tenth to all of it over
    /// `slow_start`.
    pub(crate) fn share(&self, now: u64, slow_start: u64) -> f64 {
        let back = self.back.load(Ordering::Relaxed);
        let since = now.saturating_sub(back);
        if back == 0 || slow_start == 0 || since >= slow_start {
            1.0
        } else {
            FLOOR + (1.0 - FLOOR) * (since as f64 / slow_start as f64)
        }
    }

    /// `None` until a call has ended.
    pub(crate) fn latency(&self) -> Option<u64> {
        Some(self.latency.load(Ordering::Relaxed)).filter(|latency| *latency > 0)
    }

    /// Up at once with a slow call, and down with the time that passes.
    pub(crate) fn peak(&self, now: u64) -> Option<u64> {
        let peak = Some(self.peak.load(Ordering::Relaxed)).filter(|peak| *peak > 0)?;
        #[allow(clippy::cast_sign_loss, reason = "a part of what is positive")]
        Some((peak as f64 * self.worth(now)) as u64)
    }

    pub(crate) fn failure_rate(&self, now: u64) -> f64 {
        let rate = faded(self.failure_rate.load(Ordering::Relaxed), self.worth(now));
        rate as f64 / ONE as f64
    }

    /// How long no call has begun or ended; `None` when none ever has.
    pub(crate) fn quiet(&self, now: u64) -> Option<u64> {
        match self.last.load(Ordering::Relaxed) {
            0 => None,
            last => Some(now.saturating_sub(last)),
        }
    }

    /// What is known is worth less the older it is.
    fn worth(&self, now: u64) -> f64 {
        match self.learned.load(Ordering::Relaxed) {
            0 => 1.0,
            learned => worth_after(now.saturating_sub(learned)),
        }
    }

    fn sample(&self, latency: u64, now: u64) {
        let latency = latency.max(1);
        let peak = self.peak(now).unwrap_or(0);
        let next = if latency > peak {
            latency
        } else {
            peak - (peak - latency) / EIGHTH
        };
        self.peak.store(next.max(1), Ordering::Relaxed);
        // An eighth, and more after a time without a call: what was known then is worth less.
        let keep = (1.0 - 1.0 / EIGHTH as f64) * self.worth(now);
        let _ = self.latency.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
            let (old, new) = (old as f64, latency as f64);
            #[allow(clippy::cast_sign_loss, reason = "between two that are positive")]
            Some(
                if old == 0.0 {
                    latency
                } else {
                    (old * keep + new * (1.0 - keep)) as u64
                }
                .max(1),
            )
        });
        self.learned.fetch_max(now, Ordering::Relaxed);
    }

    /// Moves the failure rate, if there is something to judge by; what has faded stays so.
    fn judge(&self, failed: Option<bool>, now: u64) {
        let worth = self.worth(now);
        let _ = self
            .failure_rate
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
                let old = faded(old, worth);
                Some(match failed {
                    Some(true) => old - old / EIGHTH + ONE / EIGHTH,
                    Some(false) => old - old / EIGHTH,
                    None => old,
                })
            });
    }

    /// A call has ended. `penalty` is the least that a failed one counts as, in ns.
    pub(crate) fn ended(&self, came: Came, took: u64, penalty: u64, now: u64) {
        let before = self.counts.of(came).fetch_add(1, Ordering::Relaxed);
        if came == Came::Failed && before + 1 == ENOUGH && self.circuit.is_some_and(sees_nothing) {
            crate::observe::unrecorded(&self.name);
        }
        match came {
            Came::Served => {
                self.judge(Some(false), now);
                self.sample(took, now);
            }
            Came::Failed => {
                self.judge(Some(true), now);
                self.sample(took.max(penalty), now);
            }
            // Longer than usual and still no answer: that much is known.
            Came::Cancelled if self.latency().is_some_and(|usual| took > usual) => {
                self.judge(None, now);
                self.sample(took, now);
            }
            Came::Refused | Came::Cancelled => {}
        }
        // Also of one that was refused or given up: it has been tried.
        self.last.fetch_max(now, Ordering::Relaxed);
    }

    /// Takes a place in flight; `None` when it is full.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place> {
        // SeqCst, with `drain`: either it sees this call in flight, or this call sees the drain.
        let entered = self
            .in_flight
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, |n| (n < self.limit).then(|| n + 1));
        entered.ok().map(|_| Place(Arc::clone(self)))
    }
}

/// A call in flight at a provider, until it is dropped.
pub struct Place(Arc<Member>);

impl Place {
    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Release, with the SeqCst in `drained`: who sees none in flight sees what they did.
        if self.0.in_flight.fetch_sub(1, Ordering::Release) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Place").field(&self.0.name).finish()
    }
}

/// A call on its way at a provider: if nobody says what came of it, it was given up.
pub(crate) struct Attempt {
    place: Option<Place>,
    epoch: crate::time::Epoch,
    started: tokio::time::Instant,
    penalty: u64,
    /// Before, it says nothing of the provider that it was given up.
    asked: bool,
}

impl Attempt {
    pub(crate) fn begin(place: Place, now: tokio::time::Instant, epoch: crate::time::Epoch, penalty: u64) -> Self {
        Self {
            place: Some(place),
            epoch,
            started: now,
            penalty,
            asked: false,
        }
    }

    /// The provider gets the request now.
    pub(crate) fn ask(&mut self) {
        self.asked = true;
        if let Some(member) = self.member() {
            member.last.fetch_max(self.epoch.at(self.started), Ordering::Relaxed);
        }
    }

    /// Runs what may panic: then it has failed.
    pub(crate) fn during<T>(self, run: impl FnOnce() -> T) -> (T, Self) {
        let mut held = Some(self);
        let unwinding = Unwinding(&mut held);
        let done = run();
        std::mem::forget(unwinding);
        (done, held.expect("nobody has settled it"))
    }

    /// The place lasts until the answer is over.
    pub(crate) fn settle(mut self, came: Came) -> Option<Place> {
        self.end(came)
    }

    pub(crate) fn member(&self) -> Option<&Arc<Member>> {
        self.place.as_ref().map(Place::member)
    }

    fn end(&mut self, came: Came) -> Option<Place> {
        let place = self.place.take()?;
        let now = tokio::time::Instant::now();
        let took = nanos(now.saturating_duration_since(self.started));
        place.0.ended(came, took, self.penalty, self.epoch.at(now));
        crate::observe::came(&place.0, came, Duration::from_nanos(took));
        Some(place)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.asked {
            self.end(Came::Cancelled);
        }
    }
}

/// A call that panics is a failure, also where the panic is caught and the future dropped later. A caller that panics is
/// none.
pub(crate) struct Unwinding<'a>(pub(crate) &'a mut Option<Attempt>);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        if let Some(mut attempt) = self.0.take() {
            attempt.end(Came::Failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(limit: Option<u32>) -> Arc<Member> {
        Arc::new(Member::new(Making {
            name: "a".into(),
            id: 1,
            serves: vec![],
            everything: true,
            circuit: None,
            health: None,
            limit,
            weight: 1,
        }))
    }

    #[test]
    fn the_latency_moves_by_an_eighth() {
        let member = member(None);
        assert_eq!(member.latency(), None);
        member.ended(Came::Served, 800, 0, 1);
        assert_eq!(member.latency(), Some(800));
        member.ended(Came::Served, 1600, 0, 2);
        assert_eq!(member.latency(), Some(900));
    }

    #[test]
    fn a_fast_failure_counts_as_the_penalty() {
        let member = member(None);
        member.ended(Came::Failed, 10, 1_000_000, 1);
        assert_eq!(member.latency(), Some(1_000_000));
        member.ended(Came::Failed, 2_000_000, 1_000_000, 1);
        assert_eq!(member.latency(), Some(1_125_000), "unless it took longer");
    }

    #[test]
    fn the_peak_rises_at_once_and_falls_with_time() {
        let member = member(None);
        member.ended(Came::Served, 800, 0, 1);
        member.ended(Came::Served, 80_000, 0, 1);
        assert_eq!(member.peak(1), Some(80_000));
        assert_eq!(member.peak(1 + HALF_LIFE), Some(40_000));
    }

    #[test]
    fn a_failure_rate_fades() {
        let member = member(None);
        for _ in 0..100 {
            member.ended(Came::Failed, 1, 0, 1);
        }
        assert!(member.failure_rate(1) > 0.99);
        assert!((member.failure_rate(1 + HALF_LIFE) - 0.5).abs() < 0.01);
        assert!(member.failure_rate(1 + 20 * HALF_LIFE) == 0.0);
        member.ended(Came::Served, 1, 0, 20 * HALF_LIFE);
        assert!(
            member.failure_rate(20 * HALF_LIFE) == 0.0,
            "what has faded does not come back"
        );
    }

    #[test]
    fn never_more_are_in_flight_than_the_limit_also_with_many_threads() {
        let member = member(Some(3));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        if let Some(place) = member.enter() {
                            assert!(member.in_flight.load(Ordering::Relaxed) <= 3);
                            drop(place);
                        }
                    }
                });
            }
        });
        let places: Vec<_> = (0..4).map(|_| member.enter()).collect();
        assert_eq!(places.iter().flatten().count(), 3);
        drop(places);
        assert_eq!(member.in_flight.load(Ordering::Relaxed), 0);
    }
}
