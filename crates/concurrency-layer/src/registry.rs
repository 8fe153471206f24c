//! The memory of limits, and the list of those that live.
//!
//! A limit's memory is never given back to the allocator, so that handles and permits can be plain references and no call
//! counts them. A retired limit's memory is used for another one as soon as its last permit has come back. Configurations
//! are kept once for each that is different.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limit::Limit;
use crate::policy::Config;
use crate::slot::Slot;
use crate::word::Stamp;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    live: Vec::new(),
    free: Vec::new(),
    configs: BTreeSet::new(),
});

struct Registry {
    live: Vec<Limit>,
    free: Vec<&'static Slot>,
    configs: BTreeSet<&'static Config>,
}

/// Memory and stamp for a new limit.
pub(crate) fn open(limit: u32, config: Config) -> Limit {
    let mut registry = registry();
    let config = if let Some(known) = registry.configs.get(&config) {
        known
    } else {
        let known: &'static Config = Box::leak(Box::new(config));
        registry.configs.insert(known);
        known
    };
    let rules = config.overflow.rules();
    let (slot, stamp) = if let Some(slot) = registry.free.pop() {
        let stamp = slot.revive(limit, rules);
        (slot, stamp)
    } else {
        let slot: &'static Slot = Box::leak(Box::new(Slot::new(limit, rules)));
        (slot, slot.seen().stamp())
    };
    let handle = Limit::from_parts(slot, stamp, config);
    registry.live.push(handle);
    handle
}

/// A limit that has been retired is no longer among those that live.
pub(crate) fn close(slot: &'static Slot, stamp: Stamp) {
    registry().live.retain(|limit| !limit.is_of(slot, stamp));
}

/// The last permit of a retired limit has come back.
#[cold]
pub(crate) fn recycle(slot: &'static Slot) {
    registry().free.push(slot);
}

/// Every limit that lives.
pub(crate) fn live() -> Vec<Limit> {
    registry().live.clone()
}

/// Nothing in here can be left half done, so a poisoned lock is as good as any.
fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, not(fusebox_loom)))]
mod tests {
    use std::collections::BTreeSet;

    use super::{Mutex, PoisonError};
    use crate::Limit;

    /// One at a time: each looks at memory that the other would use.
    static ALONE: Mutex<()> = Mutex::new(());

    fn address(limit: &Limit) -> usize {
        std::ptr::from_ref(limit.slot()).addr()
    }

    #[test]
    fn retired_memory_is_used_again_and_given_up_when_its_generations_are_spent() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slots = BTreeSet::new();
        for _ in 0..50_000 {
            let limit = Limit::fixed(1).name("short-lived").build().unwrap();
            assert!(limit.try_acquire().is_ok());
            slots.insert(address(&limit));
            limit.retire();
        }
        // 16,383 lives each.
        assert!((4..=5).contains(&slots.len()), "{} slots", slots.len());
    }

    #[test]
    fn a_stale_permit_or_handle_changes_nothing_of_the_limit_that_comes_after() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let old = Limit::fixed(1).name("old").build().unwrap();
        let permit = old.try_acquire().unwrap();
        old.retire();
        // The slot is not free while a permit is out.
        let others: Vec<_> = (0..100)
            .map(|_| Limit::fixed(2).name("between").build().unwrap())
            .collect();
        assert!(others.iter().all(|other| address(other) != address(&old)));
        drop(permit);
        assert!(others.iter().all(|other| (other.in_flight(), other.limit()) == (0, 2)));
        // Now it is.
        let heir = (0..1_000)
            .map(|_| Limit::fixed(2).name("heir").build().unwrap())
            .find(|limit| address(limit) == address(&old))
            .expect("the slot is used again");
        assert!(old.try_acquire().is_err() && old.set_limit(9).is_err() && !old.retire());
        assert_eq!((old.in_flight(), old.limit(), old.name()), (0, 0, "old"));
        assert_eq!((heir.in_flight(), heir.limit(), heir.name()), (0, 2, "heir"));
    }
}
