//! Operators and health probes: those who move a circuit from outside.

use alloc::sync::Arc;
use core::fmt;

use crate::circuit::Circuit;
use crate::state::{Reason, State};
use crate::sync::{AtomicBool, Ordering, fence};
use crate::transit::Move;
use crate::word::{HELD, Word};

impl Circuit {
    /// From any state: closed, with empty windows, backoff forgotten, a new generation.
    ///
    /// ```
    /// use state_core::{Circuit, State};
    ///
    /// let circuit = Circuit::builder("doc").consecutive_failures(1).build()?;
    /// circuit.acquire()?.failure();
    /// circuit.reset();
    /// assert_eq!(circuit.state(), State::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self) {
        self.order(State::Closed, Reason::Reset, |_| true);
    }

    /// Refuses every call until [`release`](Self::release) or [`reset`](Self::reset); never heals by itself.
    ///
    /// ```
    /// use state_core::{Circuit, State};
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// circuit.force_open();
    /// assert!(circuit.acquire().is_err());
    /// circuit.release();
    /// assert!(circuit.acquire().is_ok());
    /// # Ok::<(), state_core::BuildError>(())
    /// ```
    pub fn force_open(&self) {
        self.order(State::ForcedOpen, Reason::ForcedOpen, |state| {
            state != State::ForcedOpen
        });
    }

    /// Admits every call and records nothing, until [`release`](Self::release) or [`reset`](Self::reset).
    pub fn disable(&self) {
        self.order(State::Disabled, Reason::Disabled, |state| state != State::Disabled);
    }

    /// Admits every call and records it; a rule that would trip emits one
    /// [`WouldTrip`](crate::Event::WouldTrip) event. Until [`release`](Self::release) or [`reset`](Self::reset);
    /// called again, it starts anew.
    pub fn metrics_only(&self) {
        self.order(State::MetricsOnly, Reason::MetricsOnly, |_| true);
    }

    /// Ends what an operator ordered: from `ForcedOpen`, `Disabled` or `MetricsOnly` back to closed, as by
    /// [`reset`](Self::reset). A circuit that is in none of these stays as it is. Returns whether it was.
    pub fn release(&self) -> bool {
        let ordered = |state| matches!(state, State::ForcedOpen | State::Disabled | State::MetricsOnly);
        self.order(State::Closed, Reason::Released, ordered)
    }

    fn order(&self, to: State, reason: Reason, from: impl Fn(State) -> bool) -> bool {
        loop {
            let word = self.slot.word.load();
            if !self.owns() || word.state() == State::Retired || !from(word.state()) {
                return false;
            }
            let fresh = matches!(to, State::Closed | State::MetricsOnly);
            let now = self.meta.plan.now();
            let figures = if to == State::ForcedOpen {
                self.figures_of(word, now)
            } else {
                <_>::default()
            };
            let payload = if fresh { self.meta.plan.fresh } else { 0 };
            let streak = if to == State::ForcedOpen {
                self.streak_of(word)
            } else {
                0
            };
            let order = Move {
                payload,
                streak,
                figures,
                ..Move::to(to, reason, now / 1_000_000)
            };
            if self.transit(word, order).is_ok() {
                return true;
            }
        }
    }

    /// What a health probe says of the dependency: `up` or down.
    ///
    /// Down opens a closed or half-open circuit and holds it open while it stays down; up moves an open one to half-open
    /// at once, where trials still decide. What an operator ordered stands above it. Only a change of what the probe
    /// says acts: a circuit that an operator has reset stays closed while the probe goes on saying down. Several probes
    /// take a [`ProbeLink`] each.
    ///
    /// ```
    /// use state_core::{Circuit, State};
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// circuit.on_probe(false);
    /// assert_eq!(circuit.state(), State::Open);
    /// circuit.on_probe(true);
    /// assert_eq!(circuit.state(), State::HalfOpen);
    /// # Ok::<(), state_core::BuildError>(())
    /// ```
    pub fn on_probe(&self, up: bool) {
        let said = |down: bool| (u64::from(self.incarnation) << 1) | u64::from(down);
        let word = &self.slot.line.probe_down;
        match word.compare_exchange(said(up), said(!up), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => self.probe_says(up, true),
            Err(seen) if seen == said(!up) => self.probe_says(up, false),
            // The slot is another circuit's by now.
            Err(_) => {}
        }
    }

    /// A link for one of several health probes: any that is down holds the circuit open.
    ///
    /// ```
    /// use state_core::{Circuit, State};
    ///
    /// let circuit = Circuit::builder("doc").build()?;
    /// let (http, tcp) = (circuit.probe_link(), circuit.probe_link());
    /// http.report(false);
    /// tcp.report(false);
    /// http.report(true);
    /// assert_eq!(circuit.state(), State::Open);
    /// tcp.report(true);
    /// assert_eq!(circuit.state(), State::HalfOpen);
    /// # Ok::<(), state_core::BuildError>(())
    /// ```
    #[must_use = "a link that is dropped says nothing any more"]
    pub fn probe_link(&self) -> ProbeLink {
        ProbeLink {
            circuit: *self,
            down: Arc::new(AtomicBool::new(false)),
        }
    }

    fn probe_says(&self, up: bool, news: bool) {
        if !news {
            // But to a circuit that was tripped and waits for just this word.
            if up && self.policy().open_until_probe {
                self.up();
            }
        } else if up {
            if self.count_probe(false) == Some(1) {
                // SeqCst: whoever holds the circuit open at this moment either sees the count, or this sees it open.
                fence(Ordering::SeqCst);
                self.up();
            }
        } else if self.count_probe(true).is_some() {
            // SeqCst: whoever opens or half-opens the circuit at this moment either sees the count, or this sees it.
            fence(Ordering::SeqCst);
            self.hold();
        }
    }

    /// Whether a health probe says down.
    pub(crate) fn is_down(&self) -> bool {
        (1..1 << 31).contains(&(self.slot.downs.load(Ordering::Acquire) & 0xffff_ffff))
    }

    /// Counts a probe that went down, or one that no longer is. How many there were, unless the slot is another's.
    fn count_probe(&self, down: bool) -> Option<u64> {
        let mut seen = self.slot.downs.load(Ordering::Acquire);
        while seen >> 32 == u64::from(self.incarnation) {
            let step = if down { 1 } else { 0xffff_ffff };
            let new = (seen & !0xffff_ffff) | (seen.wrapping_add(step) & 0xffff_ffff);
            match self
                .slot
                .downs
                .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(seen & 0xffff_ffff),
                Err(now) => seen = now,
            }
        }
        None
    }

    /// An open circuit goes to half-open, unless a probe says down.
    fn up(&self) {
        loop {
            let word = self.slot.word.load();
            if !self.owns() || word.state() != State::Open || self.is_down() {
                return;
            }
            self.half_open(word, Reason::ProbeUp);
        }
    }

    /// Opens the circuit and keeps it open: a probe says down.
    #[cold]
    pub(crate) fn hold(&self) {
        loop {
            let word = self.slot.word.load();
            if !self.owns() || !self.is_down() {
                return;
            }
            let held = match word.state() {
                State::Open if word.payload() == HELD => return,
                State::Open => self.slot.word.swap(word, word.with_payload(HELD)).is_ok(),
                State::Closed | State::HalfOpen => {
                    let now = self.meta.plan.now();
                    let (figures, streak) = (self.figures_of(word, now), self.streak_of(word));
                    let level = match self.period(word) {
                        Some(period) if word.state() == State::HalfOpen => period.level,
                        Some(_) => 0,
                        None => continue,
                    };
                    let to = Move::to(State::Open, Reason::ProbeDown, now / 1_000_000);
                    self.transit(
                        word,
                        Move {
                            payload: HELD,
                            level,
                            figures,
                            streak,
                            ..to
                        },
                    )
                    .is_ok()
                }
                _ => return,
            };
            if held {
                return;
            }
        }
    }

    /// A probe that said down has gone: what only it held open opens for the usual time from now.
    fn let_go(&self) {
        if self.count_probe(false) == Some(1) {
            // SeqCst: as where a probe says up.
            fence(Ordering::SeqCst);
            self.unhold();
        }
    }

    /// Gives a circuit that is held open, though no probe says down, the usual time from now.
    #[cold]
    pub(crate) fn unhold(&self) {
        loop {
            let word = self.slot.word.load();
            let held = word.state() == State::Open && word.payload() == HELD;
            if !self.owns() || !held || self.policy().open_until_probe || self.is_down() {
                return;
            }
            let Some(period) = self.period(word) else { continue };
            let opening = self.opening(word, period.reason, period.level, self.meta.plan.now());
            if self.slot.word.swap(word, word.with_payload(opening.payload)).is_ok() {
                // SeqCst: a probe that says down meanwhile may have found the circuit held.
                fence(Ordering::SeqCst);
                self.slot.line.waiters.wake_all();
                if self.is_down() {
                    self.hold();
                }
                return;
            }
        }
    }

    fn streak_of(&self, word: Word) -> u64 {
        if matches!(word.state(), State::Closed | State::MetricsOnly) {
            word.streak()
        } else {
            self.period(word).map_or(0, |period| period.streak)
        }
    }
}

/// One of several health probes of a circuit. See [`Circuit::probe_link`].
///
/// Dropped while it says down, it lets go: a circuit that only it held open stays open for the policy's open time more.
pub struct ProbeLink {
    circuit: Circuit,
    down: Arc<AtomicBool>,
}

impl ProbeLink {
    /// What the probe says: `up` or down. See [`Circuit::on_probe`].
    pub fn report(&self, up: bool) {
        let news = self.down.swap(!up, Ordering::AcqRel) == up;
        self.circuit.probe_says(up, news);
    }
}

impl Drop for ProbeLink {
    fn drop(&mut self) {
        if self.down.swap(false, Ordering::AcqRel) {
            self.circuit.let_go();
        }
    }
}

impl fmt::Debug for ProbeLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeLink")
            .field("circuit", &self.circuit.name())
            .field("down", &self.down.load(Ordering::Relaxed))
            .finish()
    }
}
