//! The memory of a circuit: written, shared, and never given back to the allocator but used again.
//!
//! A `Circuit` is a `Copy` handle to a slot, so that a future can keep one without counting references. A retired slot
//! goes to the next circuit of the same layout. Two things make that safe. The generation in the state word only ever
//! goes on, so a permit of the former owner is late. And each owner has an incarnation of its own: a copy of a retired
//! handle finds another one and leaves the slot alone. A thread that was that handle's when it looked and is late when it
//! writes meets a generation or an incarnation in the word that it writes to, and writes nothing.

use alloc::boxed::Box;

use crate::owned::Owned;
use crate::period::{Period, Record};
use crate::plan::{Meta, Store};
use crate::ring::Ring;
use crate::state::State;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::tally::Tally;
use crate::totals::Counters;
use crate::waiters::Waiters;
use crate::word::{GENERATION, StateWord, Word};

/// The line that every call reads and that is written only when something happens, then what is touched more rarely.
#[repr(C, align(128))]
pub(crate) struct Slot {
    pub(crate) word: StateWord,
    pub(crate) incarnation: AtomicU32,
    /// How many health probes say down: `incarnation (32) | count (32)`, so that a probe of the former owner counts
    /// nowhere. A count may be below nothing for the moment in which a probe's two words overtake each other.
    pub(crate) downs: AtomicU64,
    /// When the trials that are out must have come to a verdict: `generation (22) | number (2) | ms (40)`.
    pub(crate) term: AtomicU64,
    /// Until when a failure asked to be left alone: `generation (22) | ms (42)`.
    pub(crate) hint: AtomicU64,
    pub(crate) records: [Record; 2],
    pub(crate) line: Line,
    pub(crate) window: Windows,
    pub(crate) totals: Counters,
}

/// What stands on a line of its own, so that writing it does not disturb the calls.
#[repr(align(128))]
pub(crate) struct Line {
    /// Milliseconds of the circuit's time at the last failure, plus one; 0 for none.
    pub(crate) last_failure: Owned,
    /// The generation for which a `WouldTrip` was sent, plus one.
    pub(crate) would_trip: Owned,
    pub(crate) seed: AtomicU64,
    /// How many random numbers were drawn.
    pub(crate) draws: Owned,
    /// What `on_probe` last said: `incarnation (32) | down (1)`.
    pub(crate) probe_down: AtomicU64,
    pub(crate) observed: AtomicBool,
    /// Transitions that were lost on their way to observers.
    pub(crate) lost: Owned,
    pub(crate) observer_panics: Owned,
    pub(crate) waiters: Waiters,
}

pub(crate) enum Windows {
    None,
    Ring(Ring),
    Tally(Tally),
}

/// What two circuits must have in common to use the same slot one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Layout {
    cells: usize,
    buckets: u32,
    /// The words of a window of time are tagged otherwise than those of a lifetime.
    timed: bool,
    totals: bool,
}

impl Layout {
    pub(crate) fn of(meta: &Meta) -> Self {
        let (cells, buckets) = match meta.plan.store {
            Store::None => (0, 0),
            Store::Ring(shape) => (shape.cells(), 0),
            Store::Lifetime => (0, 1),
            Store::Time(_, buckets) => (0, buckets),
        };
        Self {
            cells,
            buckets,
            timed: matches!(meta.plan.store, Store::Time(..)),
            totals: meta.plan.policy.totals,
        }
    }
}

impl Slot {
    pub(crate) fn new(layout: Layout) -> Self {
        let shards = crate::shard::count();
        Self {
            word: StateWord::new(Word::new(State::Retired, 0, 0)),
            incarnation: AtomicU32::new(0),
            downs: AtomicU64::new(0),
            term: AtomicU64::new(0),
            hint: AtomicU64::new(0),
            // The odd one belongs to the generation before: generation 1 has not begun.
            records: [
                Record::new(0, Period::UNKNOWN),
                Record::new(GENERATION, Period::UNKNOWN),
            ],
            line: Line {
                last_failure: Owned::new(),
                would_trip: Owned::new(),
                seed: AtomicU64::new(0),
                draws: Owned::new(),
                probe_down: AtomicU64::new(0),
                observed: AtomicBool::new(false),
                lost: Owned::new(),
                observer_panics: Owned::new(),
                waiters: Waiters::new(),
            },
            window: match (layout.cells, layout.buckets) {
                (0, 0) => Windows::None,
                (0, buckets) => Windows::Tally(Tally::new(shards, buckets)),
                (cells, _) => Windows::Ring(Ring::new(cells)),
            },
            totals: Counters::new(if layout.totals { shards } else { 0 }),
        }
    }

    /// Makes the slot another owner's, empty: copies of older handles no longer reach it. The state word stays retired
    /// meanwhile.
    fn take(&self) -> u32 {
        let incarnation = self.incarnation.load(Ordering::Relaxed).wrapping_add(1);
        self.line.observed.store(false, Ordering::Relaxed);
        let Line {
            last_failure,
            would_trip,
            draws,
            lost,
            observer_panics,
            ..
        } = &self.line;
        for number in [last_failure, would_trip, draws, lost, observer_panics] {
            number.hand_over(incarnation);
        }
        self.totals.hand_over(incarnation);
        self.downs.store(u64::from(incarnation) << 32, Ordering::Relaxed);
        self.line
            .probe_down
            .store(u64::from(incarnation) << 1, Ordering::Relaxed);
        // Release, and the state word's swap to closed comes after: who sees that state sees this incarnation too.
        self.incarnation.store(incarnation, Ordering::Release);
        if let Windows::Tally(tally) = &self.window {
            tally.restart(incarnation);
        }
        incarnation
    }
}

/// A slot for a circuit, with the incarnation of its new owner: one that was retired, else new memory.
pub(crate) fn claim(layout: Layout) -> (&'static Slot, u32) {
    let slot = pool::take(layout).unwrap_or_else(|| Box::leak(Box::new(Slot::new(layout))));
    (slot, slot.take())
}

pub(crate) use pool::{give_back, shared};

#[cfg(all(feature = "std", not(fusebox_loom)))]
mod pool {
    //! Slots to be used again, and the names and policies in use. Locked when a circuit is built or retired, never on the
    //! path of a call.

    use std::collections::HashMap;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::{Layout, Slot};
    use crate::plan::Meta;

    #[derive(Default)]
    struct Pool {
        free: HashMap<Layout, Vec<&'static Slot>>,
        metas: HashMap<&'static str, Vec<&'static Meta>>,
    }

    static POOL: Mutex<Option<Pool>> = Mutex::new(None);

    fn locked() -> MutexGuard<'static, Option<Pool>> {
        POOL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(layout: Layout) -> Option<&'static Slot> {
        locked().get_or_insert_default().free.get_mut(&layout)?.pop()
    }

    pub(crate) fn give_back(layout: Layout, slot: &'static Slot) {
        locked()
            .get_or_insert_default()
            .free
            .entry(layout)
            .or_default()
            .push(slot);
    }

    /// The same name with the same policy and clock is kept once, however often it is built.
    pub(crate) fn shared(meta: Meta) -> &'static Meta {
        let mut pool = locked();
        let metas = &mut pool.get_or_insert_default().metas;
        let known = metas.get(&*meta.name).into_iter().flatten();
        if let Some(known) = known
            .into_iter()
            .find(|known| known.plan.policy == meta.plan.policy && known.plan.clock == meta.plan.clock)
        {
            return known;
        }
        let meta: &'static Meta = Box::leak(Box::new(meta));
        metas.entry(&meta.name).or_default().push(meta);
        meta
    }
}

#[cfg(fusebox_loom)]
mod pool {
    //! As with `std`, but for the names and policies: each run of a model begins with nothing.

    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use super::{Layout, Slot};
    use crate::plan::Meta;

    loom::lazy_static! {
        static ref FREE: loom::sync::Mutex<Vec<(Layout, &'static Slot)>> = loom::sync::Mutex::new(Vec::new());
    }

    pub(super) fn take(layout: Layout) -> Option<&'static Slot> {
        let mut free = FREE.lock().ok()?;
        let at = free.iter().position(|(of, _)| *of == layout)?;
        Some(free.swap_remove(at).1)
    }

    pub(crate) fn give_back(layout: Layout, slot: &'static Slot) {
        if let Ok(mut free) = FREE.lock() {
            free.push((layout, slot));
        }
    }

    pub(crate) fn shared(meta: Meta) -> &'static Meta {
        Box::leak(Box::new(meta))
    }
}

#[cfg(all(not(feature = "std"), not(fusebox_loom)))]
mod pool {
    //! Without `std` there is no lock to guard a list of free slots by: each circuit is built for good.

    use alloc::boxed::Box;

    use super::{Layout, Slot};
    use crate::plan::Meta;

    pub(super) fn take(_: Layout) -> Option<&'static Slot> {
        None
    }

    pub(crate) fn give_back(_: Layout, _: &'static Slot) {}

    pub(crate) fn shared(meta: Meta) -> &'static Meta {
        Box::leak(Box::new(meta))
    }
}
