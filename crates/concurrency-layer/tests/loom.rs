//! Every interleaving of the limiter's word, line and lobby, in small models.
//!
//! Run with:
//!
//! ```text
//! RUSTFLAGS="--cfg fusebox_loom" LOOM_MAX_PREEMPTIONS=3 CARGO_TARGET_DIR=target/loom \
//!     cargo test -p concurrency-layer --release --test loom
//! ```
//!
//! Do they bite? Each of these mutations of the protocol was made and run at that bound, and each was caught:
//!
//! | mutation | caught by |
//! |---|---|
//! | taking is a load and a store | `at_most_one_is_in_..`, `nobody_is_refused_..`, and 2 more |
//! | taking acquires nothing; giving back releases nothing | `at_most_one_is_in_..`: two inside at once |
//! | taking does not mind attention | `who_comes_late_does_not_overtake_..` |
//! | giving back is a load and a store | `a_gate_opens_..`: deadlock |
//! | giving back reads attention before it gives back | `a_gate_opens_..`: deadlock |
//! | a newcomer does not ask for attention | `a_greater_limit_lets_in_..`: deadlock |
//! | a newcomer joins although the word has changed | `a_greater_limit_lets_in_..`: deadlock |
//! | a grant to somebody gone is not passed on | `a_slot_granted_to_somebody_who_gives_up_..` |
//! | a greater limit serves nobody | `a_greater_limit_lets_in_..`: deadlock |
//! | serving does not look for room | `after_a_shrink_..`, `no_wake_up_is_lost_..` |
//! | gates do not ask for attention; tidying forgets the gates | `a_gate_opens_..`: deadlock |
//! | only one gate is woken | `an_abandoned_gate_keeps_nobody_out`: deadlock |
//! | a free slot is reported by everybody who finds it | `a_retired_slot_is_found_free_by_exactly_one` |
//! | retiring keeps the generation; retiring leaves no attention | `a_handle_of_a_retired_limit_..` |
#![cfg(fusebox_loom)]
#![allow(dead_code, unreachable_pub)] // the models use a part of what the modules offer

#[path = "../src/line.rs"]
mod line;
#[path = "../src/lobby.rs"]
mod lobby;
#[path = "../src/slot.rs"]
mod slot;
#[path = "../src/sync.rs"]
mod sync;
#[path = "../src/word.rs"]
mod word;

use std::sync::Arc as StdArc;
use std::task::{Wake, Waker};

use loom::cell::UnsafeCell;
use loom::sync::{Arc, Notify};
use loom::thread;

use line::{Key, Order, Turn};
use lobby::Rules;
use slot::{Entry, Slot, Slotted};
use word::Stamp;

const RULES: Rules = Rules {
    max_waiting: 4,
    order: Order::Fifo,
};

/// A limiter with what it guards: loom fails when two are inside at once, or one is inside before it may know that the
/// last has left.
struct Guarded {
    slot: Slot,
    stamp: Stamp,
    inside: UnsafeCell<()>,
}

impl Guarded {
    fn new(limit: u32) -> Arc<Self> {
        let slot = Slot::new(limit, RULES);
        let stamp = slot.seen().stamp();
        Arc::new(Self {
            slot,
            stamp,
            inside: UnsafeCell::new(()),
        })
    }

    fn touch(&self) {
        self.inside.with_mut(|_| ());
    }

    fn give_back(&self) {
        assert_eq!(self.slot.give_back(), Slotted::Used);
    }

    fn queued(&self) -> Key {
        match self.slot.enter(self.stamp, true) {
            Entry::Queued(key) => key,
            other => panic!("no place in line: {other:?}"),
        }
    }
}

/// Wakes a thread of the model.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: StdArc<Self>) {
        self.0.notify();
    }
}

fn bell() -> (StdArc<Bell>, Waker) {
    let bell = StdArc::new(Bell(Notify::new()));
    let waker = Waker::from(StdArc::clone(&bell));
    (bell, waker)
}

/// Waits in line as a future would. A wake-up that is lost leaves every thread asleep, and loom says so.
fn wait(slot: &Slot, key: Key) -> Turn {
    let (bell, waker) = bell();
    loop {
        match slot.ask(key, &waker) {
            Turn::Waiting => bell.0.wait(),
            turn => return turn,
        }
    }
}

/// Takes a slot, waiting for it.
fn acquire(guarded: &Guarded) {
    if guarded.slot.try_take(guarded.stamp).is_ok() {
        return;
    }
    match guarded.slot.enter(guarded.stamp, true) {
        Entry::Taken => {}
        Entry::Queued(key) => assert_eq!(wait(&guarded.slot, key), Turn::Granted),
        other => panic!("neither in nor in line: {other:?}"),
    }
}

/// Waits for the gate to open as `poll_ready` would.
fn pass_gate(guarded: &Guarded) {
    let (bell, waker) = bell();
    let mut key = None;
    loop {
        key = guarded.slot.gate(guarded.stamp, key, &waker);
        if key.is_none() {
            return;
        }
        bell.0.wait();
    }
}

#[test]
fn at_most_one_is_in_a_limit_of_one() {
    loom::model(|| {
        let guarded = Guarded::new(1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let guarded = Arc::clone(&guarded);
                thread::spawn(move || {
                    if guarded.slot.try_take(guarded.stamp).is_ok() {
                        guarded.touch();
                        guarded.give_back();
                    }
                })
            })
            .collect();
        if guarded.slot.try_take(guarded.stamp).is_ok() {
            guarded.touch();
            guarded.give_back();
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(guarded.slot.seen().in_flight(), 0);
    });
}

#[test]
fn nobody_is_refused_while_there_is_room() {
    loom::model(|| {
        let guarded = Guarded::new(3);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let guarded = Arc::clone(&guarded);
                thread::spawn(move || {
                    assert!(guarded.slot.try_take(guarded.stamp).is_ok());
                    guarded.give_back();
                })
            })
            .collect();
        assert!(guarded.slot.try_take(guarded.stamp).is_ok());
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(guarded.slot.seen().in_flight(), 1);
    });
}

#[test]
fn no_wake_up_is_lost_between_release_and_park() {
    loom::model(|| {
        let guarded = Guarded::new(1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let guarded = Arc::clone(&guarded);
                thread::spawn(move || {
                    acquire(&guarded);
                    guarded.touch();
                    guarded.give_back();
                })
            })
            .collect();
        acquire(&guarded);
        guarded.touch();
        guarded.give_back();
        for thread in threads {
            thread.join().unwrap();
        }
        let seen = guarded.slot.seen();
        assert_eq!(
            (seen.in_flight(), seen.needs_attention(), seen.is_crowded()),
            (0, false, false)
        );
    });
}

#[test]
fn after_a_shrink_nobody_gets_in_above_the_new_limit() {
    loom::model(|| {
        let guarded = Guarded::new(2);
        acquire(&guarded);
        acquire(&guarded);
        let key = guarded.queued();
        let shrinker = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || {
                assert_eq!(guarded.slot.set_limit(guarded.stamp, 1), Some(Slotted::Used));
                let after = guarded.slot.seen();
                assert!(
                    guarded.slot.try_take(guarded.stamp).is_err(),
                    "one was in all the time, and somebody is in line"
                );
                after.in_flight()
            }
        });
        let leaver = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || guarded.give_back()
        });
        let after = shrinker.join().unwrap();
        leaver.join().unwrap();
        assert!(after <= 2 && guarded.slot.seen().in_flight() <= after.max(1));
        let _ = guarded.slot.abandon(key);
        assert_eq!(guarded.slot.seen().in_flight(), 1);
    });
}

#[test]
fn a_greater_limit_lets_in_who_waits() {
    loom::model(|| {
        let guarded = Guarded::new(1);
        acquire(&guarded);
        let waiter = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || acquire(&guarded)
        });
        assert_eq!(guarded.slot.set_limit(guarded.stamp, 2), Some(Slotted::Used));
        waiter.join().unwrap();
        assert_eq!(guarded.slot.seen().in_flight(), 2);
    });
}

#[test]
fn a_slot_granted_to_somebody_who_gives_up_goes_to_the_next() {
    loom::model(|| {
        let guarded = Guarded::new(1);
        acquire(&guarded);
        let (first, second) = (guarded.queued(), guarded.queued());
        let leaver = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || guarded.give_back()
        });
        let quitter = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || assert_eq!(guarded.slot.abandon(first), Slotted::Used)
        });
        assert_eq!(wait(&guarded.slot, second), Turn::Granted);
        leaver.join().unwrap();
        quitter.join().unwrap();
        assert_eq!(guarded.slot.seen().in_flight(), 1);
        guarded.give_back();
        assert!(!guarded.slot.seen().needs_attention());
    });
}

#[test]
fn who_comes_late_does_not_overtake_who_waits() {
    loom::model(|| {
        let guarded = Guarded::new(1);
        acquire(&guarded);
        let first = guarded.queued();
        let leaver = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || guarded.give_back()
        });
        assert!(guarded.slot.try_take(guarded.stamp).is_err());
        assert!(matches!(guarded.slot.enter(guarded.stamp, false), Entry::Full(_)));
        leaver.join().unwrap();
        assert_eq!(wait(&guarded.slot, first), Turn::Granted);
    });
}

#[test]
fn a_gate_opens_when_a_slot_comes_back() {
    loom::model(|| {
        let guarded = Guarded::new(1);
        acquire(&guarded);
        let gate = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || {
                pass_gate(&guarded);
                assert!(guarded.slot.try_take(guarded.stamp).is_ok());
                guarded.touch();
            }
        });
        guarded.touch();
        guarded.give_back();
        gate.join().unwrap();
    });
}

#[test]
fn an_abandoned_gate_keeps_nobody_out() {
    loom::model(|| {
        let guarded = Guarded::new(1);
        acquire(&guarded);
        let (_nobody, waker) = bell();
        assert!(guarded.slot.gate(guarded.stamp, None, &waker).is_some());
        let gate = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || pass_gate(&guarded)
        });
        guarded.give_back();
        gate.join().unwrap();
        assert!(
            guarded.slot.try_take(guarded.stamp).is_ok() || guarded.slot.enter(guarded.stamp, false) == Entry::Taken
        );
    });
}

#[test]
fn a_retired_slot_is_found_free_by_exactly_one() {
    loom::model(|| {
        let guarded = Guarded::new(1);
        acquire(&guarded);
        let waiter = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || match guarded.slot.enter(guarded.stamp, true) {
                Entry::Taken => usize::from(guarded.slot.give_back() == Slotted::Free),
                Entry::Queued(key) => match wait(&guarded.slot, key) {
                    Turn::Granted => usize::from(guarded.slot.give_back() == Slotted::Free),
                    _ => 0,
                },
                _ => 0,
            }
        });
        let leaver = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || usize::from(guarded.slot.give_back() == Slotted::Free)
        });
        let mut free = usize::from(guarded.slot.retire(guarded.stamp) == Some(Slotted::Free));
        free += waiter.join().unwrap();
        free += leaver.join().unwrap();
        assert_eq!(free, 1);
    });
}

#[test]
fn a_handle_of_a_retired_limit_takes_nothing_of_the_next_one() {
    loom::model(|| {
        let guarded = Guarded::new(1);
        let stale = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || {
                let taken = guarded.slot.try_take(guarded.stamp).is_ok();
                if taken && guarded.slot.give_back() == Slotted::Free {
                    guarded.slot.revive(1, RULES);
                }
            }
        });
        let retired = guarded.slot.retire(guarded.stamp);
        if retired == Some(Slotted::Free) {
            let stamp = guarded.slot.revive(1, RULES);
            assert!(guarded.slot.try_take(stamp).is_ok(), "nobody else may take of it");
            assert_eq!(guarded.slot.give_back(), Slotted::Used);
        }
        stale.join().unwrap();
        let seen = guarded.slot.seen();
        assert_eq!((seen.in_flight(), seen.limit(), seen.needs_attention()), (0, 1, false));
        assert!(guarded.slot.try_take(guarded.stamp).is_err());
        assert!(guarded.slot.set_limit(guarded.stamp, 9).is_none());
        assert!(guarded.slot.try_take(seen.stamp()).is_ok());
    });
}
