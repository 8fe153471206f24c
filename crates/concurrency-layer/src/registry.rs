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
    let config = match registry.configs.get(&config) {
        Some(known) => known,
        None => {
            let known: &'static Config = Box::leak(Box::new(config));
            registry.configs.insert(known);
            known
        }
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
