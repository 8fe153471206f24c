//! A number in a slot that only the slot's owner can change.
//!
//! `incarnation, its low 16 bits | value (48 bits)`. A thread that is late with something of the former owner finds
//! another tag, or its swap fails, and it changes nothing.

use crate::sync::{AtomicU64, Ordering};

const VALUE_BITS: u32 = 48;
const MOST: u64 = (1 << VALUE_BITS) - 1;

pub(crate) struct Owned(AtomicU64);

impl Owned {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Makes it the number of the owner of this incarnation: 0.
    pub(crate) fn hand_over(&self, incarnation: u32) {
        // Acquire: what the former owner's threads put here comes before this for whoever reads this.
        self.0.swap(tag(incarnation), Ordering::AcqRel);
    }

    /// One more; what it was. A full number stays full, and is said to be; to anybody else it is, too.
    #[inline]
    pub(crate) fn add(&self, incarnation: u32) -> u64 {
        let tag = tag(incarnation);
        let mut seen = self.0.load(Ordering::Relaxed);
        // Another's tag makes the difference greater than any value.
        while seen.wrapping_sub(tag) < MOST {
            // Release: whoever reads the number sees what it counts.
            match self
                .0
                .compare_exchange_weak(seen, seen + 1, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return seen.wrapping_sub(tag),
                Err(now) => seen = now,
            }
        }
        MOST
    }

    /// `value`, if that is more.
    pub(crate) fn raise(&self, incarnation: u32, value: u64) {
        self.replace(incarnation, value, |seen| seen < value);
    }

    /// `value`, if what stands there is `older`. Whether it was put there.
    pub(crate) fn replace(&self, incarnation: u32, value: u64, older: impl Fn(u64) -> bool) -> bool {
        let new = tag(incarnation) | value.min(MOST);
        let mut seen = self.0.load(Ordering::Relaxed);
        while seen >> VALUE_BITS == new >> VALUE_BITS && older(seen & MOST) {
            match self
                .0
                .compare_exchange_weak(seen, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// The owner's number; 0 for anybody else.
    pub(crate) fn get(&self, incarnation: u32) -> u64 {
        let value = self.0.load(Ordering::Acquire).wrapping_sub(tag(incarnation));
        if value > MOST { 0 } else { value }
    }
}

const fn tag(incarnation: u32) -> u64 {
    (incarnation as u64) << VALUE_BITS
}

#[cfg(all(test, not(fusebox_loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_changes_it() {
        for (former, owner) in [(0, 1), (0xffff, 0x1_0000), (0x1_0000, 0x1_0001), (u32::MAX, 0)] {
            let number = Owned::new();
            number.hand_over(former);
            number.add(former);
            number.hand_over(owner);
            number.add(former);
            number.raise(former, 9);
            assert_eq!((number.get(former), number.get(owner)), (0, 0));
            assert_eq!((number.add(owner), number.add(former), number.add(owner)), (0, MOST, 1));
            assert_eq!((number.get(former), number.get(owner)), (0, 2));
            number.raise(owner, 1);
            assert_eq!(number.get(owner), 2);
            number.raise(owner, 7);
            assert_eq!(number.get(owner), 7);
            assert!(!number.replace(former, 3, |_| true) && !number.replace(owner, 3, |seen| seen < 7));
            assert!(number.replace(owner, 3, |seen| seen == 7));
            assert_eq!(number.get(owner), 3);
        }
    }

    #[test]
    fn a_full_number_stays_full() {
        let number = Owned::new();
        number.hand_over(5);
        number.raise(5, u64::MAX);
        number.add(5);
        assert_eq!((number.get(5), number.get(6), number.get(4)), (MOST, 0, 0));
    }
}
