//! The sliding log: who took how many units, and when.

use std::collections::VecDeque;

use crate::id::DecisionId;

#[derive(Debug, Clone, Copy)]
struct Entry {
    stamp: u64,
    id: DecisionId,
    /// Units of this and of all entries before it. A difference of two gives the units between in one step; it never
    /// falls, and wraps only after 2^64 units.
    sum: u64,
}

/// Grants in the order of their stamps.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    /// The sum before the oldest entry.
    base: u64,
    /// For how long entries are of use, as last asked.
    pub(super) keep_ms: u64,
}

impl Log {
    /// Units that were given less than `per` before `now`.
    pub(super) fn used(&self, now: u64, per: u64) -> u64 {
        self.total() - self.sum_before(self.first_alive(now, per))
    }

    /// Milliseconds until `cost` more units fit into `of`; zero when they fit now.
    pub(super) fn wait(&self, now: u64, per: u64, of: u64, cost: u64) -> u64 {
        // Whatever makes the sum so far at least this must have left the window first.
        let must_leave = (self.total() + cost).saturating_sub(of);
        if must_leave <= self.sum_before(self.first_alive(now, per)) {
            return 0;
        }
        let index = self.entries.partition_point(|entry| entry.sum < must_leave);
        // A cost over the whole budget has been refused long before; then the newest entry is as good as any.
        let entry = self.entries.get(index).or(self.entries.back());
        entry.map_or(0, |entry| entry.stamp.saturating_add(per).saturating_sub(now))
    }

    /// Adds units at `stamp`, which may be older than the newest entry.
    pub(super) fn add(&mut self, stamp: u64, id: DecisionId, cost: u64) {
        let index = self.entries.partition_point(|entry| entry.stamp <= stamp);
        let sum = self.sum_before(index) + cost;
        self.entries.insert(index, Entry { stamp, id, sum });
        self.entries.range_mut(index + 1..).for_each(|entry| entry.sum += cost);
    }

    /// Drops what is not newer than `stamp`; says how many entries that were.
    pub(super) fn forget(&mut self, stamp: u64) -> usize {
        let gone = self.entries.partition_point(|entry| entry.stamp <= stamp);
        self.base = self.sum_before(gone);
        self.entries.drain(..gone);
        gone
    }

    /// Whether `id` is among the newest `most` entries.
    pub(super) fn has(&self, id: DecisionId, most: usize) -> bool {
        self.entries.iter().rev().take(most).any(|entry| entry.id == id)
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.stamp)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn total(&self) -> u64 {
        self.entries.back().map_or(self.base, |entry| entry.sum)
    }

    /// The index of the first entry that is in the window which ends at `now`.
    fn first_alive(&self, now: u64, per: u64) -> usize {
        self.entries
            .partition_point(|entry| entry.stamp.saturating_add(per) <= now)
    }

    fn sum_before(&self, index: usize) -> u64 {
        index
            .checked_sub(1)
            .map_or(self.base, |before| self.entries[before].sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(entries: &[(u64, u64)]) -> Log {
        let mut log = Log::default();
        for (index, (stamp, cost)) in entries.iter().enumerate() {
            log.add(*stamp, DecisionId::from_u128(index as u128), *cost);
        }
        log
    }

    #[test]
    fn a_unit_is_free_again_exactly_one_window_after_it_was_given() {
        let log = log(&[(100, 1), (150, 2)]);
        assert_eq!(
            [
                log.used(150, 100),
                log.used(199, 100),
                log.used(200, 100),
                log.used(250, 100)
            ],
            [3, 3, 2, 0]
        );
        assert_eq!(log.wait(150, 100, 3, 1), 50);
        assert_eq!(log.wait(150, 100, 3, 2), 100);
        assert_eq!(log.wait(200, 100, 3, 1), 0);
        assert_eq!(log.wait(150, 100, 4, 1), 0);
    }

    #[test]
    fn an_entry_that_comes_late_is_sorted_in_and_counted() {
        let mut log = log(&[(100, 1), (300, 1), (200, 5)]);
        assert_eq!(log.used(300, 150), 6);
        assert_eq!(log.used(300, 201), 7);
        assert_eq!(log.wait(300, 150, 7, 2), 50);
        assert_eq!(log.forget(200), 2);
        assert_eq!((log.used(300, 201), log.oldest()), (1, Some(300)));
        assert_eq!(log.forget(300), 1);
        assert!(log.is_empty() && log.used(300, 500) == 0 && log.wait(300, 500, 1, 1) == 0);
        log.add(400, DecisionId::from_u128(9), 2);
        assert_eq!(log.used(400, 1), 2);
    }
}
