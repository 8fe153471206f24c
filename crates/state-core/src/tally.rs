//! Counting windows: everything since closing (`lifetime`), and the last span in slices (`time`).
//!
//! Each slice has three words: calls, failures, slow. Each is `tag | count` and is moved on by compare-and-swap, so a
//! count can't be added to a slice of another tag. There is a set of slices for each of a few thread shards; whoever
//! wants to know sums them up. A success writes one word of its own thread's shard.
//!
//! ```text
//! lifetime   63..42 generation (22 bits) | 41..0 count
//! time       63..52 generation (its low 12 bits) | 51..32 tick (its low 20 bits) | 31..0 count
//! ```
//!
//! A tick is the clock's time divided by the length of a slice. A word of an older tag counts as empty and is rolled
//! over; an outcome that meets a newer tick of its own generation is counted there, which is when it is applied; a newer
//! generation turns it away. Twenty bits of tick come round again, so the full tick of the last write is kept beside:
//! after a long silence the first write empties all slices before it counts, and a read answers empty. A word may also
//! lie still while others are written (failures while all goes well, the shard of a thread that has nothing to do), so
//! now and then the turn of a slice looks through all words and empties those that have dropped out of the window.

use alloc::boxed::Box;

use crate::figures::Figures;
use crate::sync::{AtomicU64, Ordering};
use crate::word::is_before;

const CALLS: usize = 0;
const FAILURES: usize = 1;
const SLOW: usize = 2;
const WORDS: usize = 3;

const LIFETIME_COUNT: u32 = 42;
const TIME_COUNT: u32 = 32;
const TICK_BITS: u32 = 20;
const TICK: u64 = (1 << TICK_BITS) - 1;
const TIME_GENERATION: u64 = (1 << 12) - 1;

/// Past this silence the short ticks in the slices could be mistaken for recent ones.
const LONG_SILENCE: u64 = 1 << 18;

/// Ticks are counted from here on. What is lower is no tick, but says which owner of the slot has not written yet.
const FIRST_TICK: u64 = 1 << 12;

/// So many ticks at most, and a silence, lie between two looks through all words: no word is then older than half the
/// circle of short ticks when it is looked at.
const EPOCH: u64 = 1 << 17;

/// A quarter of the circle of short generations: the turn of a word may be late by as much again where generations
/// begin anew at 0.
const FRESH_WITHIN: u64 = 1 << 10;

/// One shard: its slices on cache lines of their own.
#[repr(align(128))]
struct Slices(Box<[[AtomicU64; WORDS]]>);

pub(crate) struct Tally {
    shards: Box<[Slices]>,
    last: AtomicU64,
}

/// What a time window must know of its circuit's configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slicing {
    slice_nanos: u64,
    reciprocal: u64,
    buckets: u32,
}

impl Slicing {
    pub(crate) fn new(span_nanos: u64, buckets: u32) -> Self {
        let slice_nanos = (span_nanos / u64::from(buckets.max(1))).max(1);
        Self {
            slice_nanos,
            reciprocal: u64::MAX / slice_nanos,
            buckets,
        }
    }

    /// `nanos / slice`, counted from `FIRST_TICK`, by a multiplication: the estimate is at most one too low.
    #[inline]
    pub(crate) fn tick(self, nanos: u64) -> u64 {
        let mut tick = ((u128::from(nanos) * u128::from(self.reciprocal)) >> 64) as u64;
        while nanos - tick * self.slice_nanos >= self.slice_nanos {
            tick += 1;
        }
        tick + FIRST_TICK
    }
}

/// The tag that a word must carry to be counted in, and how old tags are told from new ones.
#[derive(Clone, Copy)]
enum Tag {
    Lifetime(u64),
    Time { generation: u64, tick: u64 },
}

enum Found {
    Mine,
    Older,
    /// The same generation, a newer tick.
    Later,
    Newer,
}

impl Tag {
    #[inline]
    fn count_bits(self) -> u32 {
        match self {
            Self::Lifetime(_) => LIFETIME_COUNT,
            Self::Time { .. } => TIME_COUNT,
        }
    }

    #[inline]
    fn pack(self) -> u64 {
        match self {
            Self::Lifetime(generation) => generation << LIFETIME_COUNT,
            Self::Time { generation, tick } => ((generation & TIME_GENERATION) << 52) | ((tick & TICK) << TIME_COUNT),
        }
    }

    #[inline]
    fn judge(self, word: u64) -> Found {
        match self {
            Self::Lifetime(generation) => {
                let tag = word >> LIFETIME_COUNT;
                if tag == generation {
                    Found::Mine
                } else if is_before(tag, generation, 22) {
                    Found::Older
                } else {
                    Found::Newer
                }
            }
            Self::Time { generation, tick } => {
                let (theirs, mine) = (word >> 52, generation & TIME_GENERATION);
                let their_tick = (word >> TIME_COUNT) & TICK;
                if theirs == mine && their_tick == tick & TICK {
                    Found::Mine
                } else if theirs == mine {
                    if is_before(their_tick, tick & TICK, TICK_BITS) {
                        Found::Older
                    } else {
                        Found::Later
                    }
                } else if is_before(theirs, mine, 12) {
                    Found::Older
                } else {
                    Found::Newer
                }
            }
        }
    }
}

impl Tally {
    pub(crate) fn new(shards: usize, buckets: u32) -> Self {
        let slices = || {
            Slices(
                (0..buckets.max(1))
                    .map(|_| core::array::from_fn(|_| AtomicU64::new(0)))
                    .collect(),
            )
        };
        Self {
            shards: (0..shards.max(1)).map(|_| slices()).collect(),
            last: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn push_lifetime(&self, generation: u64, failed: bool, slow: bool) -> Option<()> {
        self.push(0, Tag::Lifetime(generation), failed, slow)
    }

    /// `owned` says whether the window is still the caller's: nobody else's clock may tell it the time.
    #[inline]
    pub(crate) fn push_at(
        &self,
        slicing: Slicing,
        generation: u64,
        nanos: u64,
        (failed, slow): (bool, bool),
        owned: impl Fn() -> bool,
    ) -> Option<()> {
        let tick = slicing.tick(nanos);
        // Relaxed is enough to see whether the turn of the slice was noted; `turn` looks again.
        let last = self.last.load(Ordering::Relaxed);
        if last < tick && !self.turn(tick, owned) {
            return None;
        }
        // An outcome of a slice before the last counts in the last: what time the clock once told, it is at least.
        let tick = tick.max(last);
        self.push(
            (tick % u64::from(slicing.buckets)) as usize,
            Tag::Time { generation, tick },
            failed,
            slow,
        )
    }

    /// A success in the slice that is being written already: one look and one swap. `false` when it is not that simple.
    #[inline]
    pub(crate) fn success_at(&self, slicing: Slicing, generation: u64, nanos: u64) -> bool {
        let tick = slicing.tick(nanos);
        self.last.load(Ordering::Relaxed) == tick
            && self.bump(
                (tick % u64::from(slicing.buckets)) as usize,
                Tag::Time { generation, tick }.pack(),
                TIME_COUNT,
            )
    }

    /// As [`success_at`](Self::success_at), in the one slice of a lifetime.
    #[inline]
    pub(crate) fn success_in_life(&self, generation: u64) -> bool {
        self.bump(0, Tag::Lifetime(generation).pack(), LIFETIME_COUNT)
    }

    #[inline]
    fn bump(&self, slice: usize, tag: u64, count_bits: u32) -> bool {
        let shard = &self.shards[crate::shard::mine() & (self.shards.len() - 1)];
        let Some(words) = shard.0.get(slice) else { return false };
        let seen = words[CALLS].load(Ordering::Relaxed);
        let count = seen.wrapping_sub(tag);
        count < (1 << count_bits) - 1
            && words[CALLS]
                .compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    #[inline]
    fn push(&self, slice: usize, tag: Tag, failed: bool, slow: bool) -> Option<()> {
        let shard = &self.shards[crate::shard::mine() & (self.shards.len() - 1)];
        let words = shard.0.get(slice)?;
        add(&words[CALLS], tag)?;
        if failed {
            add(&words[FAILURES], tag)?;
        }
        if slow {
            add(&words[SLOW], tag)?;
        }
        Some(())
    }

    /// Notes that a new slice has begun. After a long silence it empties every slice first, and at the start of an epoch
    /// those that have dropped out of the window, and only then says so: a count made after `last` moved on is never
    /// emptied, as each word is emptied only while `last` stands still. `false` when the window is another circuit's by
    /// now, whose clock tells another time: see `restart`.
    #[cold]
    fn turn(&self, tick: u64, owned: impl Fn() -> bool) -> bool {
        'again: loop {
            let last = self.last.load(Ordering::Acquire);
            if !owned() {
                return false;
            }
            if last >= tick {
                return true;
            }
            let silence = tick - last >= LONG_SILENCE;
            if silence || tick / EPOCH != last / EPOCH {
                let buckets = self.shards[0].0.len() as u64;
                for word in self.shards.iter().flat_map(|shard| shard.0.iter()).flatten() {
                    let seen = word.load(Ordering::Acquire);
                    if self.last.load(Ordering::Acquire) != last {
                        continue 'again;
                    }
                    let age = tick.wrapping_sub(seen >> TIME_COUNT) & TICK;
                    if silence || age >= buckets {
                        // Only the count goes: the generation stays, the tick becomes one that is out of every window.
                        let out = if silence { LONG_SILENCE } else { buckets };
                        let emptied = (seen & !((1 << 52) - 1)) | ((tick.wrapping_sub(out) & TICK) << TIME_COUNT);
                        let _ = word.compare_exchange(seen, emptied, Ordering::AcqRel, Ordering::Relaxed);
                    }
                }
            }
            let moved = self
                .last
                .compare_exchange(last, tick, Ordering::AcqRel, Ordering::Relaxed);
            if moved.is_ok() {
                return true;
            }
        }
    }

    /// Makes a window that another circuit has used start with this one's time. Its words carry older generations.
    ///
    /// A thread that is late with an outcome of the former owner may be about to turn a slice by its own time. It loads
    /// `last`, then asks whether the slot is still its circuit's, then swaps. The incarnation is stored before this, and
    /// what this writes is no tick and differs from what it wrote for the owner before: so that thread either sees both
    /// or its swap fails.
    pub(crate) fn restart(&self, incarnation: u32) {
        self.last.swap(u64::from(incarnation) % FIRST_TICK, Ordering::AcqRel);
    }

    pub(crate) fn lifetime(&self, generation: u64) -> Figures {
        self.sum(|word| (word >> LIFETIME_COUNT == generation).then_some(word & ((1 << LIFETIME_COUNT) - 1)))
    }

    pub(crate) fn within(&self, slicing: Slicing, generation: u64, nanos: u64) -> Figures {
        let tick = slicing.tick(nanos);
        let last = self.last.load(Ordering::Acquire);
        let buckets = u64::from(slicing.buckets);
        if tick >= last && tick - last >= buckets {
            return Figures::default();
        }
        // A slice may be newer than this reading of the clock, if its writer read it later.
        let now = tick.max(last);
        self.sum(|word| {
            let age = now.wrapping_sub(word >> TIME_COUNT) & TICK;
            (word >> 52 == generation & TIME_GENERATION && age < buckets).then_some(word & 0xffff_ffff)
        })
    }

    /// Failures and slow calls are read before calls and written after them, so a sum has never more of them.
    fn sum(&self, count: impl Fn(u64) -> Option<u64>) -> Figures {
        let of = |at: usize| {
            let words = self.shards.iter().flat_map(|shard| shard.0.iter());
            words
                .filter_map(|words| count(words[at].load(Ordering::Acquire)))
                .sum::<u64>()
        };
        let (failures, slow) = (of(FAILURES), of(SLOW));
        Figures {
            calls: of(CALLS).max(failures).max(slow),
            failures,
            slow,
        }
    }

    /// Gives some words of older generations this one's tag, empty, so that short tags never grow old enough to look new:
    /// so many that each word's turn comes at least once in `FRESH_WITHIN` generations.
    pub(crate) fn freshen(&self, generation: u64, time: Option<(Slicing, u64)>) {
        let slices = self.shards[0].0.len();
        let words = self.shards.len() * slices * WORDS;
        let rounds = (words as u64).div_ceil(FRESH_WITHIN);
        let last = self.last.load(Ordering::Acquire);
        for turn in generation * rounds..(generation + 1) * rounds {
            let at = (turn % words as u64) as usize;
            Self::freshen_word(
                &self.shards[at / (slices * WORDS)].0[at / WORDS % slices][at % WORDS],
                generation,
                time,
                last,
            );
        }
    }

    fn freshen_word(word: &AtomicU64, generation: u64, time: Option<(Slicing, u64)>, last: u64) {
        let tag = match time {
            None => Tag::Lifetime(generation),
            Some((slicing, nanos)) => Tag::Time {
                generation,
                tick: slicing.tick(nanos).max(last).wrapping_sub(LONG_SILENCE),
            },
        };
        let seen = word.load(Ordering::Acquire);
        if seen & ((1 << tag.count_bits()) - 1) != 0 || seen >> tag.count_bits() != tag.pack() >> tag.count_bits() {
            let older = match tag {
                Tag::Lifetime(generation) => is_before(seen >> LIFETIME_COUNT, generation, 22),
                Tag::Time { generation, .. } => is_before(seen >> 52, generation & TIME_GENERATION, 12),
            };
            if older {
                let _ = word.compare_exchange(seen, tag.pack(), Ordering::AcqRel, Ordering::Relaxed);
            }
        }
    }
}

/// Adds one under `tag`; `None` when the word belongs to a newer generation. A full count stays full.
#[inline]
fn add(word: &AtomicU64, tag: Tag) -> Option<()> {
    let full = (1 << tag.count_bits()) - 1;
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        let next = match tag.judge(seen) {
            Found::Mine | Found::Later if seen & full == full => return Some(()),
            Found::Mine | Found::Later => seen + 1,
            Found::Older => tag.pack() + 1,
            Found::Newer => return None,
        };
        // AcqRel: whoever counts after seeing this failure also sees the call it belongs to.
        match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return Some(()),
            Err(now) => seen = now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_the_exact_quotient() {
        for (span, buckets) in [(10_000_000_000, 10), (1_000, 3), (7, 7), (86_400_000_000_000, 256)] {
            let slicing = Slicing::new(span, buckets);
            let slice = span / u64::from(buckets);
            for nanos in [
                0,
                1,
                slice - 1,
                slice,
                slice + 1,
                999 * slice - 1,
                999 * slice,
                u64::MAX / 2,
            ] {
                assert_eq!(slicing.tick(nanos), FIRST_TICK + nanos / slice, "{nanos} / {slice}");
            }
        }
    }

    #[test]
    fn a_silence_of_any_length_leaves_the_window_empty() {
        let slicing = Slicing::new(10_000, 10);
        for silence in [10, 1 << 18, (1 << 20) - 1, 1 << 20, (1 << 20) + 5, 3 << 20] {
            let tally = Tally::new(2, 10);
            for _ in 0..4 {
                tally.push_at(slicing, 1, 3_000, (true, false), || true);
            }
            let later = 3_000 + silence * 1_000;
            assert_eq!(tally.within(slicing, 1, later).calls, 0, "read after {silence}");
            tally.push_at(slicing, 1, later, (false, false), || true);
            assert_eq!(
                tally.within(slicing, 1, later),
                Figures {
                    calls: 1,
                    failures: 0,
                    slow: 0
                },
                "after {silence}"
            );
        }
    }

    #[test]
    fn a_slice_drops_out_whole() {
        let slicing = Slicing::new(10_000, 10);
        let tally = Tally::new(1, 10);
        for tick in 0..10 {
            tally.push_at(slicing, 1, tick * 1_000 + 999, (tick == 0, false), || true);
        }
        assert_eq!(
            tally.within(slicing, 1, 9_999),
            Figures {
                calls: 10,
                failures: 1,
                slow: 0
            }
        );
        assert_eq!(
            tally.within(slicing, 1, 10_000),
            Figures {
                calls: 9,
                failures: 0,
                slow: 0
            }
        );
        assert_eq!(
            tally.within(slicing, 1, 18_999),
            Figures {
                calls: 1,
                failures: 0,
                slow: 0
            }
        );
    }

    #[test]
    fn no_word_grows_old_enough_to_look_new_however_many_there_are() {
        let slicing = Slicing::new(256_000, 256);
        let tally = Tally::new(8, 256);
        let words = || tally.shards.iter().flat_map(|shard| shard.0.iter()).flatten();
        for generation in 1..10_000 {
            tally.freshen(generation, Some((slicing, 0)));
            if generation % 64 == 0 {
                let oldest = words()
                    .map(|word| (generation - (word.load(Ordering::Relaxed) >> 52)) & TIME_GENERATION)
                    .max();
                assert!(oldest <= Some(FRESH_WITHIN), "{oldest:?} at {generation}");
            }
        }
    }

    #[test]
    fn a_freshened_word_takes_no_part() {
        let slicing = Slicing::new(10_000, 10);
        let tally = Tally::new(1, 10);
        for generation in 0..9_000 {
            tally.freshen(generation, Some((slicing, 5_000)));
            assert_eq!(
                tally.within(slicing, generation, 5_000),
                Figures::default(),
                "{generation}"
            );
        }
        assert_eq!(tally.push_at(slicing, 8_999, 5_000, (true, true), || true), Some(()));
        assert_eq!(
            tally.within(slicing, 8_999, 5_000),
            Figures {
                calls: 1,
                failures: 1,
                slow: 1
            }
        );
    }
}
