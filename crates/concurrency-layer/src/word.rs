//! The limiter's word: all that an admitted or refused call touches.
//!
//! ```text
//!  63          62        61 .. 48     47 .. 24   23 .. 0
//!  attention   crowded   generation   room       limit
//! ```
//!
//! - *room* is how many more calls may come in, above a bias that stands for none: after a shrink it is below, by as many
//!   as have to leave first. What is in flight is the limit less the room. Counted this way, one comparison tells whether
//!   a slot may be taken: the three fields above the room must be those of the handle and the room more than none, so the
//!   word must lie in one range; the limit below changes nothing of that.
//! - Room is taken by a compare-and-swap that has seen it, never by an optimistic subtraction: one that is taken back
//!   makes others near the limit see a full limiter that is not full.
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
const ROOM_SHIFT: u32 = 24;
const ONE: u64 = 1 << ROOM_SHIFT;
const FIELD_MASK: u64 = ONE - 1;
/// What stands for no room.
const BIAS: u64 = ONE >> 1;
/// From the first word that has room to the first of the next generation.
const WITH_ROOM: u64 = (1 << GENERATION_SHIFT) - ((BIAS + 1) << ROOM_SHIFT);

/// The most calls at once that the word can count.
pub(crate) const MAX_LIMIT: u32 = (1 << 23) - 1;

/// The generation of a slot for which a handle was made: the least word from which it may take a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// Whether the generations of this slot are used up: recycled once more, an old handle could be taken for a new one.
    pub(crate) const fn is_last(self) -> bool {
        self.0 & GENERATION_MASK == GENERATION_MASK
    }
}

/// What the word said at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen(u64);

impl Seen {
    const fn new(limit: u32) -> Self {
        Self(BIAS << ROOM_SHIFT).with_limit(limit)
    }

    const fn room(self) -> u64 {
        (self.0 >> ROOM_SHIFT) & FIELD_MASK
    }

    /// Never more than what the greatest limit there was let in, which fits.
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) const fn in_flight(self) -> u32 {
        (self.0 & FIELD_MASK).wrapping_add(BIAS).wrapping_sub(self.room()) as u32
    }

    #[allow(clippy::cast_possible_truncation)] // masked to 24 bits
    pub(crate) const fn limit(self) -> u32 {
        (self.0 & FIELD_MASK) as u32
    }

    pub(crate) const fn stamp(self) -> Stamp {
        Stamp((self.0 & GENERATION_MASK) | ((BIAS + 1) << ROOM_SHIFT))
    }

    pub(crate) const fn has_room(self) -> bool {
        self.room() > BIAS
    }

    /// Whether a handle of `stamp` may take a slot: it has room, the generation, and neither attention nor a crowd.
    const fn is_open_to(self, stamp: Stamp) -> bool {
        self.0.wrapping_sub(stamp.0) < WITH_ROOM
    }

    pub(crate) const fn needs_attention(self) -> bool {
        self.0 & ATTENTION != 0
    }

    pub(crate) const fn is_crowded(self) -> bool {
        self.0 & CROWDED != 0
    }

    /// One call more. Only for a word that has room.
    pub(crate) const fn one_more(self) -> Self {
        Self(self.0 - ONE)
    }

    pub(crate) const fn with_attention(self, on: bool) -> Self {
        Self(if on { self.0 | ATTENTION } else { self.0 & !ATTENTION })
    }

    pub(crate) const fn with_crowded(self, on: bool) -> Self {
        Self(if on { self.0 | CROWDED } else { self.0 & !CROWDED })
    }

    /// Another limit for the same calls in flight.
    pub(crate) const fn with_limit(self, limit: u32) -> Self {
        let room = limit as u64 + BIAS - self.in_flight() as u64;
        Self((self.0 & !((FIELD_MASK << ROOM_SHIFT) | FIELD_MASK)) | (room << ROOM_SHIFT) | limit as u64)
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
            if !seen.is_open_to(stamp) {
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
        let before = Seen(self.0.fetch_add(ONE, Ordering::AcqRel));
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

#[cfg(all(test, not(fusebox_loom)))]
mod tests {
    use super::*;

    #[test]
    fn room_and_limit_and_flight_agree_at_every_edge() {
        for limit in [1, 2, MAX_LIMIT - 1, MAX_LIMIT] {
            let word = Word::new(limit);
            let stamp = word.load().stamp();
            word.try_take(stamp).unwrap();
            assert_eq!((word.load().in_flight(), word.load().limit()), (1, limit));
            assert_eq!(word.load().has_room(), limit > 1);
            let shrunk = word.load().with_limit(1);
            assert_eq!((shrunk.in_flight(), shrunk.limit(), shrunk.has_room()), (1, 1, false));
            assert!(!shrunk.is_open_to(stamp));
            word.give_back();
            assert_eq!((word.load().in_flight(), word.load().stamp()), (0, stamp));
        }
    }

    #[test]
    fn the_greatest_limit_shrunk_to_the_least_while_full_still_counts() {
        let full = Seen((Seen::new(MAX_LIMIT).0) - ONE * u64::from(MAX_LIMIT));
        assert_eq!((full.in_flight(), full.has_room()), (MAX_LIMIT, false));
        let shrunk = full.with_limit(1);
        assert_eq!(
            (shrunk.in_flight(), shrunk.limit(), shrunk.has_room()),
            (MAX_LIMIT, 1, false)
        );
        assert_eq!(shrunk.with_limit(MAX_LIMIT), full);
        assert_eq!((full.retired().in_flight(), full.retired().limit()), (MAX_LIMIT, 0));
    }

    #[test]
    fn attention_a_crowd_or_another_generation_keep_a_handle_out() {
        let open = Seen::new(3);
        let stamp = open.stamp();
        assert!(open.is_open_to(stamp));
        assert!(!open.with_attention(true).is_open_to(stamp));
        assert!(!open.with_crowded(true).is_open_to(stamp));
        let next = open.retired().with_attention(false).with_limit(3);
        assert!(next.has_room() && !next.is_open_to(stamp) && !open.is_open_to(next.stamp()));
        assert!(next.is_open_to(next.stamp()));
    }
}
