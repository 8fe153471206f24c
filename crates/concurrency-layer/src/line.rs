//! Those who wait, in order: a linked list inside a vector.
//!
//! Joining, being called and leaving from the middle each take a constant number of steps, and places are used again, so
//! that a queue which has once been long allocates no more. A key names a place and the serial number of the one who took
//! it: a key that outlives its place finds nothing.

use std::task::Waker;

const NOBODY: u32 = u32::MAX;

/// Who is called first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum Order {
    /// The one who has waited longest.
    #[default]
    Fifo,
    /// The one who came last.
    Lifo,
}

/// What came of one who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Still in line.
    Waiting,
    /// Served: the slot is counted already.
    Granted,
    /// The limit was retired.
    Retired,
}

/// The place of one who joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    index: u32,
    serial: u64,
}

#[derive(Debug)]
struct Place {
    /// Zero: nobody has this place.
    serial: u64,
    turn: Turn,
    waker: Option<Waker>,
    before: u32,
    after: u32,
}

/// The line.
#[derive(Debug)]
pub(crate) struct Line {
    places: Vec<Place>,
    vacant: Vec<u32>,
    first: u32,
    last: u32,
    waiting: u32,
    serial: u64,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            vacant: Vec::new(),
            first: NOBODY,
            last: NOBODY,
            waiting: 0,
            serial: 0,
        }
    }

    /// How many wait. Those who have been called and have not come yet do not.
    pub(crate) const fn waiting(&self) -> u32 {
        self.waiting
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Joins at the end.
    pub(crate) fn join(&mut self, waker: Option<Waker>) -> Key {
        self.serial += 1;
        let place = Place {
            serial: self.serial,
            turn: Turn::Waiting,
            waker,
            before: self.last,
            after: NOBODY,
        };
        let index = if let Some(index) = self.vacant.pop() {
            self.places[index as usize] = place;
            index
        } else {
            // A place takes more than 32 bytes: memory ends before the numbers do.
            let index = u32::try_from(self.places.len()).unwrap_or(NOBODY);
            self.places.push(place);
            index
        };
        match self.last {
            NOBODY => self.first = index,
            last => self.places[last as usize].after = index,
        }
        self.last = index;
        self.waiting += 1;
        Key {
            index,
            serial: self.serial,
        }
    }

    /// Calls the next one in `order`, to whom `turn` will be told. The place is kept until its owner [`leave`](Self::leave)s.
    pub(crate) fn call(&mut self, order: Order, turn: Turn) -> Option<Waker> {
        let index = match order {
            Order::Fifo => self.first,
            Order::Lifo => self.last,
        };
        if index == NOBODY {
            return None;
        }
        self.unlink(index);
        let place = &mut self.places[index as usize];
        place.turn = turn;
        // The owner may not have polled yet: then there is nobody to wake, and the first poll finds the turn.
        Some(place.waker.take().unwrap_or_else(|| Waker::noop().clone()))
    }

    /// Calls the first one and forgets it: its key finds nothing from now on.
    pub(crate) fn dismiss_first(&mut self) -> Option<Waker> {
        let index = self.first;
        let waker = self.call(Order::Fifo, Turn::Waiting)?;
        self.vacate(index);
        Some(waker)
    }

    /// What came of the one with `key`, and the waker that `waker` takes the place of. Whoever is not in line has no use
    /// for `waker` and gets it back.
    pub(crate) fn ask(&mut self, key: Key, waker: Waker) -> (Option<Turn>, Option<Waker>) {
        match self.find(key) {
            Some(place) if place.turn == Turn::Waiting => (Some(Turn::Waiting), place.waker.replace(waker)),
            Some(place) => (Some(place.turn), Some(waker)),
            None => (None, Some(waker)),
        }
    }

    /// Leaves, from wherever in the line. The waker is handed out because dropping it runs code that must not run under
    /// a lock.
    pub(crate) fn leave(&mut self, key: Key) -> Option<(Turn, Option<Waker>)> {
        let place = self.find(key)?;
        let left = (place.turn, place.waker.take());
        if left.0 == Turn::Waiting {
            self.unlink(key.index);
        }
        self.vacate(key.index);
        Some(left)
    }

    fn find(&mut self, key: Key) -> Option<&mut Place> {
        self.places
            .get_mut(key.index as usize)
            .filter(|place| place.serial == key.serial)
    }

    fn unlink(&mut self, index: u32) {
        let Place { before, after, .. } = self.places[index as usize];
        match before {
            NOBODY => self.first = after,
            before => self.places[before as usize].after = after,
        }
        match after {
            NOBODY => self.last = before,
            after => self.places[after as usize].before = before,
        }
        self.waiting -= 1;
    }

    fn vacate(&mut self, index: u32) {
        self.places[index as usize].serial = 0;
        self.vacant.push(index);
    }
}
