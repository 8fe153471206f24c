//! The limiter's word: all that an admitted or refused call touches.
//!
//! ```text
//!  63          62        61 .. 48     47 .. 24   23 .. 0
//!  attention   crowded   generation   limit      in flight
//! ```
//!
//! - *in flight* is raised by a compare-and-swap that has seen room, never by an optimistic add: an add that is taken
//!   back makes others near the limit see a full limiter that is not full.
//! - *attention* tells whoever gives a slot back to look into the lobby: somebody waits there, or the limit is retired.
//!   It also sends newcomers there, so that nobody overtakes the queue.
//! - *crowded* says that the queue is at its bound, so that a refusal needs no lock either.
//! - *generation* makes handles of a retired limit harmless: it is part of every comparison that takes a slot.

use std::sync::atomic::Ordering;

use crate::sync::AtomicU64;

const ATTENTION: u64 = 1 << 63;
const CROWDED: u64 = 1 << 62;
const GENERATION_SHIFT: u32 = 48;
const GENERATION_MASK: u64 = 0x3fff << GENERATION_SHIFT;
const LIMIT_SHIFT: u32 = 24;
const COUNT_MASK: u64 = (1 << LIMIT_SHIFT) - 1;

/// The most calls at once that the word can count.
pub(crate) const MAX_LIMIT: u32 = (1 << LIMIT_SHIFT) - 1;

/// The generation of a slot for which a handle was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp(u16);

impl Stamp {
    /// Whether the generations of this slot are used up: recycled once more, an old handle could be taken for a new one.
    pub(crate) const fn is_last(self) -> bool {
        self.0 as u64 == GENERATION_MASK >> GENERATION_SHIFT
    }
}

/// What the word said at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen(u64);

impl Seen {
    const fn new(limit: u32) -> Self {
        Self((limit as u64) << LIMIT_SHIFT)
    }

    #[allow(clippy::cast_possible_truncation)] // masked to 24 bits
    pub(crate) const fn in_flight(self) -> u32 {
        (self.0 & COUNT_MASK) as u32
    }

    #[allow(clippy::cast_possible_truncation)] // masked to 24 bits
    pub(crate) const fn limit(self) -> u32 {
        ((self.0 >> LIMIT_SHIFT) & COUNT_MASK) as u32
    }

    #[allow(clippy::cast_possible_truncation)] // masked to 14 bits
    pub(crate) const fn stamp(self) -> Stamp {
        Stamp(((self.0 & GENERATION_MASK) >> GENERATION_SHIFT) as u16)
    }

    pub(crate) const fn has_room(self) -> bool {
        self.in_flight() < self.limit()
    }

    pub(crate) const fn needs_attention(self) -> bool {
        self.0 & ATTENTION != 0
    }

    pub(crate) const fn is_crowded(self) -> bool {
        self.0 & CROWDED != 0
    }

    /// One call more. Only for a word that has room, or the count would run into the limit.
    pub(crate) const fn one_more(self) -> Self {
        Self(self.0 + 1)
    }

    pub(crate) const fn with_attention(self, on: bool) -> Self {
        Self(if on { self.0 | ATTENTION } else { self.0 & !ATTENTION })
    }

    pub(crate) const fn with_crowded(self, on: bool) -> Self {
        Self(if on { self.0 | CROWDED } else { self.0 & !CROWDED })
    }

    pub(crate) const fn with_limit(self, limit: u32) -> Self {
        Self((self.0 & !(COUNT_MASK << LIMIT_SHIFT)) | (limit as u64) << LIMIT_SHIFT)
    }

    /// The next generation, with no room and with attention. Only while the stamp is not the last.
    pub(crate) const fn retired(self) -> Self {
        Self(self.0 + (1 << GENERATION_SHIFT))
            .with_limit(0)
            .with_crowded(false)
            .with_attention(true)
    }
}

/// The atomic itself, on lines that nothing else is written to: two of them, for the pair that is fetched together.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Word(AtomicU64);

impl Word {
    pub(crate) fn new(limit: u32) -> Self {
        Self(AtomicU64::new(Seen::new(limit).0))
    }

    /// Acquire: pairs with the swaps of others, so that a generation is read with what was done before it began.
    #[inline]
    pub(crate) fn load(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Takes a slot if there is room, the generation is `stamp` and nobody waits.
    ///
    /// The first load may be relaxed: what it saw is acted on only after the swap has compared all of it, or to refuse.
    /// The swap acquires, which pairs with the release in [`give_back`](Self::give_back): what the last holder of the
    /// slot did happens before what the next one does.
    #[inline]
    pub(crate) fn try_take(&self, stamp: Stamp) -> Result<(), Seen> {
        let mut seen = Seen(self.0.load(Ordering::Relaxed));
        loop {
            // One comparison for three questions: the stamp has no attention and no crowd in its upper bits.
            if seen.0 >> GENERATION_SHIFT != u64::from(stamp.0) || !seen.has_room() {
                return Err(seen);
            }
            match self
                .0
                .compare_exchange_weak(seen.0, seen.one_more().0, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(now) => seen = Seen(now),
            }
        }
    }

    /// Gives a slot back and says what the word was before. One add: there is nothing to decide on the way out.
    ///
    /// Releases what the call did to the next holder; acquires what the lobby wrote before it asked for attention.
    #[inline]
    pub(crate) fn give_back(&self) -> Seen {
        let before = Seen(self.0.fetch_sub(1, Ordering::AcqRel));
        debug_assert!(before.in_flight() > 0, "a slot was given back twice");
        before
    }

    /// Replaces `seen` by `next` if it is still what the word says.
    ///
    /// `AcqRel` on success: these are the changes that others must see with the lobby as it was left. Each is made under
    /// the lobby's lock, except a change of the limit.
    pub(crate) fn try_swap(&self, seen: Seen, next: Seen) -> Result<(), Seen> {
        match self
            .0
            .compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Ok(()),
            Err(now) => Err(Seen(now)),
        }
    }
}
