//! How events get to observers: pushed by whoever made them, brought in order, delivered elsewhere.
//!
//! The one who makes a transition pushes its event on a list that all circuits share and goes on; with `std` it also wakes
//! the thread that delivers. Two threads may push in another order than they made their transitions, so the
//! deliverer brings each circuit's events in the order of their generations, which have no gaps, and holds back those
//! after a gap until the missing one comes. An event that is lost is counted in its circuit, so that a gap of lost ones
//! is not waited for.
//!
//! Where an observer joins: it first marks the circuit as observed, then reads its generation g; a transition first swaps the
//! state word, then looks at the mark. With a fence between the two steps on either side, every transition after g is
//! pushed, and those up to g are not waited for. Before all this it announces itself, so that the deliverer keeps what
//! comes before it knows g.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::sync::atomic::AtomicUsize;

use crate::circuit::Circuit;
use crate::observer::{Event, Observer};
use crate::stack::Stack;
use crate::state::State;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::word::{GENERATION, is_before};

enum Message {
    Event(Event),
    /// An observer is about to join.
    Joining(Circuit),
    Join {
        circuit: Circuit,
        after: u64,
        lost: u64,
        observer: Box<dyn Observer>,
    },
    #[cfg(feature = "std")]
    Flush(std::sync::mpsc::Sender<()>),
}

static MESSAGES: Stack<Message> = Stack::new();
static WAITING: AtomicUsize = AtomicUsize::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);
const MOST_WAITING: usize = 65_536;

/// How many events were lost, in the whole process, because observers were too slow for too long.
///
/// ```
/// assert_eq!(state_core::lost_events(), 0);
/// ```
pub fn lost_events() -> u64 {
    LOST.load(Ordering::Relaxed)
}

pub(crate) fn post(event: Event) {
    if WAITING.fetch_add(1, Ordering::Relaxed) < MOST_WAITING {
        MESSAGES.push(Message::Event(event));
    } else {
        WAITING.fetch_sub(1, Ordering::Relaxed);
        LOST.fetch_add(1, Ordering::Relaxed);
        if !is_would_trip(&event) {
            // Release: with `add`, which reads this before the generation.
            event.circuit().slot.line.lost.add(event.circuit().incarnation);
        }
    }
    wake();
}

pub(crate) fn add(circuit: Circuit, observer: Box<dyn Observer>) {
    if !circuit.owns() || circuit.slot.word.load().state() == State::Retired {
        return;
    }
    MESSAGES.push(Message::Joining(circuit));
    let line = &circuit.slot.line;
    line.observed.store(true, Ordering::Release);
    fence(Ordering::SeqCst);
    let lost = line.lost.get(circuit.incarnation);
    let after = circuit.slot.word.load().generation();
    MESSAGES.push(Message::Join {
        circuit,
        after,
        lost,
        observer,
    });
    wake();
}

/// A circuit that is observed.
struct Observed {
    circuit: Circuit,
    /// Each with the generation after which it joined.
    observers: Vec<(u64, Arc<dyn Observer>)>,
    /// How many are about to join; meanwhile nothing is delivered.
    joining: usize,
    /// The generation whose events were last delivered.
    reached: u64,
    /// How many lost transitions lie before it.
    lost: u64,
    /// Events that came before one that is missing.
    ahead: Vec<Event>,
    /// Whether the slot is another circuit's: nothing more will come.
    gone: bool,
}

#[derive(Default)]
struct Delivery {
    circuits: Vec<Observed>,
}

impl Delivery {
    /// Takes what is there and delivers what is in order.
    fn run(&mut self) {
        // Before the messages are taken: by the time a slot is given to another, all is pushed.
        for observed in &mut self.circuits {
            observed.gone = !observed.circuit.owns();
        }
        #[cfg_attr(not(feature = "std"), allow(unused_mut))]
        let mut flushes = Vec::new();
        for message in MESSAGES.take_all() {
            match message {
                Message::Event(event) => {
                    WAITING.fetch_sub(1, Ordering::Relaxed);
                    if let Some(observed) = self.find(event.circuit()) {
                        observed.ahead.push(event);
                    }
                }
                Message::Joining(circuit) => self.joining(circuit),
                Message::Join {
                    circuit,
                    after,
                    lost,
                    observer,
                } => {
                    if let Some(observed) = self.find(circuit) {
                        observed.join(after, lost, observer.into());
                    }
                }
                #[cfg(feature = "std")]
                Message::Flush(done) => flushes.push(done),
            }
        }
        self.circuits.retain_mut(Observed::deliver);
        #[cfg(feature = "std")]
        for done in flushes {
            let _ = done.send(());
        }
        #[cfg(not(feature = "std"))]
        let _: Vec<()> = flushes;
    }

    fn find(&mut self, circuit: Circuit) -> Option<&mut Observed> {
        self.circuits.iter_mut().find(|observed| observed.circuit == circuit)
    }

    fn joining(&mut self, circuit: Circuit) {
        match self.find(circuit) {
            Some(observed) => observed.joining += 1,
            None => self.circuits.push(Observed {
                circuit,
                observers: Vec::new(),
                joining: 1,
                reached: 0,
                lost: 0,
                ahead: Vec::new(),
                gone: false,
            }),
        }
    }
}

impl Observed {
    fn join(&mut self, after: u64, lost: u64, observer: Arc<dyn Observer>) {
        self.joining -= 1;
        if self.observers.is_empty() {
            self.reached = after;
            self.lost = lost;
        }
        self.observers.push((after, observer));
    }

    /// Delivers events up to the first gap that may still be filled. `false` when the circuit has been retired.
    fn deliver(&mut self) -> bool {
        if self.joining > 0 && !self.gone {
            return true;
        }
        let alive = self.deliver_in_order() && !self.gone && !self.lost_the_end();
        if !alive {
            for (_, observer) in self.observers.drain(..) {
                guarded(|| drop(observer));
            }
        }
        alive
    }

    fn deliver_in_order(&mut self) -> bool {
        let reached = self.reached;
        self.ahead.retain(|event| {
            is_before(reached, event.generation(), 22) || (event.generation() == reached && is_would_trip(event))
        });
        // The next one last. A `WouldTrip` comes after the transition into its generation, and there is one of each.
        let distance = |event: &Event| event.generation().wrapping_sub(reached) & GENERATION;
        self.ahead
            .sort_unstable_by_key(|event| Reverse((distance(event), is_would_trip(event))));
        while let Some(event) = self.ahead.last() {
            let to = event.generation();
            let missing = self.missing_before(to, !is_would_trip(event));
            if missing > self.unaccounted() && !self.gone {
                break;
            }
            let Some(event) = self.ahead.pop() else { break };
            self.lost += missing;
            self.reached = to;
            for (after, observer) in &self.observers {
                let since = is_before(*after, to, 22) || (*after == to && is_would_trip(&event));
                if since && !guarded(|| observer.on_event(&event)) {
                    let panics = &self.circuit.slot.line.observer_panics;
                    panics.add(self.circuit.incarnation);
                }
            }
            if matches!(event, Event::Transition(event) if event.to == State::Retired) {
                return false;
            }
        }
        true
    }

    /// How many transitions are missing between what was delivered and an event of generation `to`, which may be the
    /// transition into it.
    fn missing_before(&self, to: u64, into: bool) -> u64 {
        (to.wrapping_sub(self.reached) & GENERATION).saturating_sub(u64::from(into))
    }

    /// How many transitions were lost that have not been passed over yet.
    fn unaccounted(&self) -> u64 {
        let lost = self.circuit.slot.line.lost.get(self.circuit.incarnation);
        lost.saturating_sub(self.lost)
    }

    /// Whether the circuit has been retired and the word of that was lost.
    fn lost_the_end(&self) -> bool {
        let word = self.circuit.slot.word.load();
        word.state() == State::Retired && self.missing_before(word.generation(), false) <= self.unaccounted()
    }
}

fn is_would_trip(event: &Event) -> bool {
    matches!(event, Event::WouldTrip(_))
}

/// Runs what is not ours. Whether it came to its end without a panic.
#[cfg(feature = "std")]
fn guarded(run: impl FnOnce()) -> bool {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let Err(payload) = catch_unwind(AssertUnwindSafe(run)) else {
        return true;
    };
    // What it panicked with may itself panic when it is dropped; what that panics with is left alone.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        core::mem::forget(payload);
    }
    false
}

#[cfg(not(feature = "std"))]
fn guarded(run: impl FnOnce()) -> bool {
    run();
    true
}

#[cfg(feature = "std")]
mod deliverer {
    //! The thread that delivers, started with the first observer.

    use std::sync::OnceLock;
    use std::sync::mpsc;
    use std::thread::{self, Thread};
    use std::time::Duration;

    use super::{Delivery, MESSAGES, Message};

    static THREAD: OnceLock<Option<Thread>> = OnceLock::new();

    pub(super) fn wake() {
        let thread = THREAD.get_or_init(|| {
            let run = || {
                let mut delivery = Delivery::default();
                loop {
                    delivery.run();
                    // An observer that parks, as one that waits for a channel does, may have used up the wake-up for what
                    // came meanwhile. Nothing of theirs runs between this look and the pause.
                    if MESSAGES.is_empty() {
                        thread::park();
                    }
                }
            };
            let spawned = thread::Builder::new().name("circuit-observers".into()).spawn(run);
            spawned.ok().map(|handle| handle.thread().clone())
        });
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    /// Waits until observers have been told of every event that was there when this was called, at most `limit`. For
    /// tests and for the end of a program. Returns whether they have.
    ///
    /// ```
    /// use std::time::Duration;
    /// assert!(state_core::flush_events(Duration::from_secs(5)));
    /// ```
    pub fn flush_events(limit: Duration) -> bool {
        let (done, wait) = mpsc::channel();
        MESSAGES.push(Message::Flush(done));
        wake();
        wait.recv_timeout(limit).is_ok()
    }
}

#[cfg(feature = "std")]
pub use deliverer::flush_events;
#[cfg(feature = "std")]
use deliverer::wake;

#[cfg(not(feature = "std"))]
fn wake() {}

/// Delivers what observers have not been told yet, on the calling thread. For programs without the feature `std`, whose
/// observers are told nothing otherwise. Must not be called by two threads at once; a second caller returns at once.
#[cfg(not(feature = "std"))]
pub fn deliver_events() {
    use crate::sync::AtomicBool;

    static BUSY: AtomicBool = AtomicBool::new(false);
    static STATE: Stack<Delivery> = Stack::new();

    /// Keeps what is to be delivered and lets the next one in, also when an observer panics.
    struct Turn(Delivery);
    impl Drop for Turn {
        fn drop(&mut self) {
            STATE.push(core::mem::take(&mut self.0));
            BUSY.store(false, Ordering::Release);
        }
    }

    if BUSY.swap(true, Ordering::Acquire) {
        return;
    }
    Turn(STATE.take_all().next().unwrap_or_default()).0.run();
}
