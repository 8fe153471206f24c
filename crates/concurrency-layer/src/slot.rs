//! One limiter: its word, and the lobby where calls wait when the word says full.
//!
//! # The protocol
//!
//! *Taking* is one compare-and-swap on the word while there is room and nobody asks for attention. *Giving back* is one
//! subtraction; if the word had asked for attention, the giver goes to the lobby and serves whoever waits there.
//!
//! *Waiting*: under the lobby's lock the newcomer swaps the word it has seen full for the same with attention. If a slot
//! came back in between, the swap fails and it looks again. If the swap succeeds, every later giver sees attention and
//! needs the same lock, so it finds the newcomer in line. That is all there is against lost wake-ups.
//!
//! *Serving*: under the lock the server takes the free slot in the name of the first in line, marks the place as granted
//! and wakes its owner after the lock is open again. A slot that was granted to somebody who is gone is given back like
//! any other. As long as anybody is in line, attention stays set: newcomers cannot overtake.
//!
//! *Gates* are services whose `poll_ready` found no room. They are woken, not served: a gate that opened holds nothing.
//!
//! *Retiring* raises the generation and takes the room away in one swap. Handles of the old generation can no longer
//! take, permits of it are still counted, and whoever gives back the last one finds the slot free for another limit.
//!
//! # Locks
//!
//! Wakers are cloned, woken and dropped outside the lock: each may run code of the user, and dropping the last reference
//! to a task may give back a slot of this very limiter.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use crate::line::{Key, Turn};
use crate::lobby::{Lobby, Rules};
use crate::sync::{Mutex, MutexGuard};
use crate::word::{Seen, Stamp, Word};

/// What came of a call that found no room at first sight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// There was room after all.
    Taken,
    /// In line.
    Queued(Key),
    /// No room, here or in line; what the word said.
    Full(Seen),
    /// The limit has been retired.
    Retired,
}

/// Whether the caller has to put the slot on the list of free ones. At most one caller is told so.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slotted {
    /// Somebody uses it, or it is on the list.
    Used,
    /// Retired, and the last permit has come back.
    Free,
}

enum Step {
    Wake(Waker),
    Rest(Slotted),
}

/// A limiter.
#[derive(Debug)]
pub(crate) struct Slot {
    word: Word,
    lobby: Mutex<Lobby>,
    /// How many are in the lobby, for those who want to know without a lock. Decides nothing, hence relaxed and never
    /// the model checker's.
    waiting: AtomicU32,
}

impl Slot {
    pub(crate) fn new(limit: u32, rules: Rules) -> Self {
        Self {
            word: Word::new(limit),
            lobby: Mutex::new(Lobby::new(rules)),
            waiting: AtomicU32::new(0),
        }
    }

    #[inline]
    pub(crate) fn seen(&self) -> Seen {
        self.word.load()
    }

    /// How many wait, at some moment of late.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn try_take(&self, stamp: Stamp) -> Result<(), Seen> {
        self.word.try_take(stamp)
    }

    /// Gives a slot back. If this says `false` there is somebody to [`serve`](Self::serve).
    #[inline]
    pub(crate) fn leave_quietly(&self) -> bool {
        !self.word.give_back().needs_attention()
    }

    /// Gives a slot back and serves.
    pub(crate) fn give_back(&self) -> Slotted {
        if self.leave_quietly() {
            Slotted::Used
        } else {
            self.serve()
        }
    }

    /// Takes a slot, or joins the line if `may_wait`.
    #[cold]
    pub(crate) fn enter(&self, stamp: Stamp, may_wait: bool) -> Entry {
        let mut lobby = self.lobby();
        let mut seen = self.word.load();
        loop {
            if seen.stamp() != stamp {
                return Entry::Retired;
            }
            let take = lobby.queue.is_empty() && seen.has_room();
            let next = if take {
                seen.one_more()
            } else if may_wait && lobby.queue.waiting() < lobby.rules.max_waiting {
                seen.with_attention(true)
                    .with_crowded(lobby.queue.waiting() + 1 >= lobby.rules.max_waiting)
            } else {
                return Entry::Full(seen);
            };
            match self.word.try_swap(seen, next) {
                Ok(()) if take => return Entry::Taken,
                Ok(()) => {
                    let key = lobby.queue.join(None);
                    self.recount(&lobby);
                    return Entry::Queued(key);
                }
                Err(now) => seen = now,
            }
        }
    }

    /// What came of the one in line with `key`. Whoever still waits is woken through `waker` from now on; whoever does
    /// not has left the line with this question.
    pub(crate) fn ask(&self, key: Key, waker: &Waker) -> Turn {
        let waker = waker.clone();
        let mut lobby = self.lobby();
        let (turn, idle) = lobby.queue.ask(key, waker);
        let turn = turn.unwrap_or(Turn::Retired);
        let left = if turn == Turn::Waiting {
            None
        } else {
            lobby.queue.leave(key)
        };
        drop(lobby);
        drop((idle, left));
        turn
    }

    /// Leaves the line and says what the turn was. Somebody whose slot had been granted keeps it, and has to give it back.
    #[cold]
    pub(crate) fn leave(&self, key: Key) -> Turn {
        let mut lobby = self.lobby();
        let left = lobby.queue.leave(key);
        self.tidy(&lobby);
        drop(lobby);
        left.map_or(Turn::Retired, |(turn, _waker)| turn)
    }

    /// Leaves the line for good: a slot that had been granted goes on to the next.
    #[cold]
    pub(crate) fn abandon(&self, key: Key) -> Slotted {
        match self.leave(key) {
            Turn::Granted => self.give_back(),
            Turn::Waiting | Turn::Retired => Slotted::Used,
        }
    }

    /// Opens if there is room, else remembers `waker` and answers with the key to ask with the next time. A retired
    /// limiter's gate stands open: it is the call that is refused.
    pub(crate) fn gate(&self, stamp: Stamp, key: Option<Key>, waker: &Waker) -> Option<Key> {
        let mut seen = self.word.load();
        if key.is_none() && seen.stamp() == stamp && seen.has_room() && !seen.needs_attention() {
            return None;
        }
        let waker = waker.clone();
        let mut lobby = self.lobby();
        let open = loop {
            if seen.stamp() != stamp || (seen.has_room() && lobby.queue.is_empty()) {
                break true;
            }
            match self.word.try_swap(seen, seen.with_attention(true)) {
                Ok(()) => break false,
                Err(now) => seen = now,
            }
        };
        let left = key.and_then(|key| lobby.gates.leave(key));
        let key = if open {
            self.tidy(&lobby);
            drop(lobby);
            drop(waker);
            None
        } else {
            let key = lobby.gates.join(Some(waker));
            self.recount(&lobby);
            drop(lobby);
            Some(key)
        };
        drop(left);
        key
    }

    /// Forgets a gate.
    #[cold]
    pub(crate) fn forget_gate(&self, key: Key) {
        let mut lobby = self.lobby();
        let left = lobby.gates.leave(key);
        self.tidy(&lobby);
        drop(lobby);
        drop(left);
    }

    /// Another limit from now on; `None` if the generation of `stamp` has ended. A smaller one takes nothing from those
    /// who are in: they leave one by one.
    pub(crate) fn set_limit(&self, stamp: Stamp, limit: u32) -> Option<Slotted> {
        let mut seen = self.word.load();
        loop {
            if seen.stamp() != stamp {
                return None;
            }
            match self.word.try_swap(seen, seen.with_limit(limit)) {
                Ok(()) => break,
                Err(now) => seen = now,
            }
        }
        Some(if seen.needs_attention() {
            self.serve()
        } else {
            Slotted::Used
        })
    }

    /// Ends the generation of `stamp`: `None` if it has ended before.
    pub(crate) fn retire(&self, stamp: Stamp) -> Option<Slotted> {
        {
            let mut lobby = self.lobby();
            let mut seen = self.word.load();
            loop {
                if seen.stamp() != stamp || lobby.retired {
                    return None;
                }
                match self.word.try_swap(seen, seen.retired()) {
                    Ok(()) => break,
                    Err(now) => seen = now,
                }
            }
            lobby.retired = true;
            lobby.listed = seen.retired().stamp().is_last();
        }
        Some(self.serve())
    }

    /// Begins the next generation of a slot that was found free.
    pub(crate) fn revive(&self, limit: u32, rules: Rules) -> Stamp {
        let mut lobby = self.lobby();
        let mut seen = self.word.load();
        // Nobody has a stamp of this generation yet, so nobody can be in the way.
        while let Err(now) = self.word.try_swap(seen, seen.with_limit(limit).with_attention(false)) {
            seen = now;
        }
        lobby.rules = rules;
        lobby.retired = false;
        lobby.listed = false;
        seen.stamp()
    }

    /// Serves those who wait for as long as there is something to serve.
    #[cold]
    pub(crate) fn serve(&self) -> Slotted {
        loop {
            let step = self.step(&mut self.lobby());
            match step {
                // A waker that panics must keep nobody else from being woken, and this may run in a drop.
                Step::Wake(waker) => drop(catch_unwind(AssertUnwindSafe(|| waker.wake()))),
                Step::Rest(slotted) => return slotted,
            }
        }
    }

    fn step(&self, lobby: &mut Lobby) -> Step {
        if lobby.retired {
            let order = lobby.rules.order;
            let waker = lobby
                .queue
                .call(order, Turn::Retired)
                .or_else(|| lobby.gates.dismiss_first());
            self.recount(lobby);
            return match waker {
                Some(waker) => Step::Wake(waker),
                None if self.word.load().in_flight() == 0 && !lobby.listed => {
                    lobby.listed = true;
                    Step::Rest(Slotted::Free)
                }
                None => Step::Rest(Slotted::Used),
            };
        }
        let mut seen = self.word.load();
        loop {
            let grant = !lobby.queue.is_empty();
            if !seen.has_room() || !lobby.wants_attention() {
                break;
            }
            let next = if grant { seen.one_more() } else { seen };
            match self.word.try_swap(seen, next) {
                Ok(()) => {
                    let order = lobby.rules.order;
                    let waker = if grant {
                        lobby.queue.call(order, Turn::Granted)
                    } else {
                        lobby.gates.dismiss_first()
                    };
                    self.tidy(lobby);
                    return waker.map_or(Step::Rest(Slotted::Used), Step::Wake);
                }
                Err(now) => seen = now,
            }
        }
        self.tidy(lobby);
        Step::Rest(Slotted::Used)
    }

    /// Makes the word say of the lobby what is true of it.
    fn tidy(&self, lobby: &Lobby) {
        self.recount(lobby);
        let mut seen = self.word.load();
        loop {
            let next = seen
                .with_attention(lobby.wants_attention())
                .with_crowded(lobby.is_crowded());
            if next == seen {
                return;
            }
            match self.word.try_swap(seen, next) {
                Ok(()) => return,
                Err(now) => seen = now,
            }
        }
    }

    fn recount(&self, lobby: &Lobby) {
        self.waiting.store(lobby.waiting(), Ordering::Relaxed);
    }

    /// No code of the user runs under the lock; should it be poisoned all the same, the lobby is as good as before.
    fn lobby(&self) -> MutexGuard<'_, Lobby> {
        self.lobby.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
