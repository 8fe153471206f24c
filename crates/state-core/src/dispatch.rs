//! How events get to observers: pushed by whoever made them, brought in order, delivered elsewhere.
//!
//! The one who makes a transition pushes its event on a list that all circuits share and goes on; with `std` it also wakes
//! the thread that delivers. Two threads may push in another order than they made their transitions, so the
//! deliverer brings each circuit's events in the order of their generations, which have no gaps, and holds back those
//! after a gap until the missing one comes.
//!
//! Where an observer joins: it first marks the circuit as observed, then reads its generation g; a transition first swaps the
//! state word, then looks at the mark. With a fence between the two steps on either side, every transition after g is
//! pushed, and those up to g are not waited for.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicUsize;

use crate::circuit::Circuit;
use crate::observer::{Event, Observer};
use crate::stack::Stack;
use crate::state::State;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::word::{GENERATION, is_before};

enum Message {
    Event(Event),
    Join {
        circuit: Circuit,
        after: u64,
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
    if WAITING.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
        WAITING.fetch_sub(1, Ordering::Relaxed);
        LOST.fetch_add(1, Ordering::Relaxed);
        return;
    }
    MESSAGES.push(Message::Event(event));
    wake();
}

pub(crate) fn add(circuit: Circuit, observer: Box<dyn Observer>) {
    circuit.slot.line.observed.store(true, Ordering::Release);
    fence(Ordering::SeqCst);
    let after = circuit.slot.word.load().generation();
    if circuit.owns() {
        MESSAGES.push(Message::Join {
            circuit,
            after,
            observer,
        });
        wake();
    }
}

/// A circuit that is observed.
struct Observed {
    circuit: Circuit,
    /// Each with the generation after which it joined.
    observers: Vec<(u64, Arc<dyn Observer>)>,
    /// The generation whose events were last delivered.
    reached: u64,
    /// Events that came before one that is missing.
    ahead: Vec<Event>,
}

#[derive(Default)]
struct Delivery {
    circuits: Vec<Observed>,
    lost: u64,
}

impl Delivery {
    /// Takes what is there and delivers what is in order.
    fn run(&mut self) {
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
                Message::Join {
                    circuit,
                    after,
                    observer,
                } => self.join(circuit, after, observer.into()),
                #[cfg(feature = "std")]
                Message::Flush(done) => flushes.push(done),
            }
        }
        // After a loss there are gaps that nobody will fill.
        let lost = LOST.load(Ordering::Relaxed);
        let gaps = core::mem::replace(&mut self.lost, lost) != lost;
        self.circuits.retain_mut(|observed| observed.deliver(gaps));
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

    fn join(&mut self, circuit: Circuit, after: u64, observer: Arc<dyn Observer>) {
        match self.find(circuit) {
            Some(observed) => observed.observers.push((after, observer)),
            None => self.circuits.push(Observed {
                circuit,
                observers: alloc::vec![(after, observer)],
                reached: after,
                ahead: Vec::new(),
            }),
        }
    }
}

impl Observed {
    /// Delivers events up to the first gap, or over gaps that will stay. `false` when the circuit has been retired.
    fn deliver(&mut self, over_gaps: bool) -> bool {
        let reached = self.reached;
        let distance = |event: &Event| event.generation().wrapping_sub(reached) & GENERATION;
        self.ahead.retain(|event| !is_before(event.generation(), reached, 22));
        // A stable sort: a `WouldTrip` comes after the transition into its generation, and there is one of each.
        self.ahead
            .sort_by_key(|event| (distance(event), matches!(event, Event::WouldTrip(_))));
        let ready = self
            .ahead
            .iter()
            .scan(0, |last, event| {
                let next = distance(event);
                let follows = over_gaps || next == *last + u64::from(matches!(event, Event::Transition(_)));
                *last = next;
                follows.then_some(())
            })
            .count();
        let mut alive = true;
        for event in self.ahead.drain(..ready) {
            self.reached = event.generation();
            for (after, observer) in &self.observers {
                if is_before(*after, event.generation(), 22) || (*after == event.generation() && is_would_trip(&event))
                {
                    tell(&**observer, &event);
                }
            }
            alive &= !matches!(event, Event::Transition(event) if event.to == State::Retired);
        }
        alive
    }
}

fn is_would_trip(event: &Event) -> bool {
    matches!(event, Event::WouldTrip(_))
}

#[cfg(feature = "std")]
fn tell(observer: &dyn Observer, event: &Event) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    if catch_unwind(AssertUnwindSafe(|| observer.on_event(event))).is_err() {
        event
            .circuit()
            .slot
            .line
            .observer_panics
            .fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(not(feature = "std"))]
fn tell(observer: &dyn Observer, event: &Event) {
    observer.on_event(event);
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
    if BUSY.swap(true, Ordering::Acquire) {
        return;
    }
    let mut delivery = STATE.take_all().next().unwrap_or_default();
    delivery.run();
    STATE.push(delivery);
    BUSY.store(false, Ordering::Release);
}
