//! Where calls wait when the word says full. Only ever touched under its lock.

use crate::line::{Line, Order};

/// How a limiter lets calls wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) max_waiting: u32,
    pub(crate) order: Order,
}

/// Who is there, and what the limiter's word does not say.
#[derive(Debug)]
pub(crate) struct Lobby {
    /// Calls that wait for their turn.
    pub(crate) queue: Line,
    /// Services that wait to be ready.
    pub(crate) gates: Line,
    pub(crate) rules: Rules,
    pub(crate) retired: bool,
    /// On the list of free slots, or never to be.
    pub(crate) listed: bool,
}

impl Lobby {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self {
            queue: Line::new(),
            gates: Line::new(),
            rules,
            retired: false,
            listed: false,
        }
    }

    /// Whether whoever gives a slot back has to look in.
    pub(crate) const fn wants_attention(&self) -> bool {
        self.retired || !self.queue.is_empty() || !self.gates.is_empty()
    }

    /// Whether the queue is at its bound.
    pub(crate) const fn is_crowded(&self) -> bool {
        !self.queue.is_empty() && self.queue.waiting() >= self.rules.max_waiting
    }

    /// How many there are.
    pub(crate) const fn waiting(&self) -> u32 {
        self.queue.waiting() + self.gates.waiting()
    }
}
