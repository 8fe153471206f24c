//! Those who wait for a circuit to change: woken from whatever thread changes it, without a lock.

use alloc::sync::Arc;
use core::task::Waker;

use atomic_waker::AtomicWaker;

use crate::stack::Stack;
use crate::sync::{AtomicBool, AtomicU64, Ordering, fence};

/// One who waits. It stands in the list at most once, however often it is polled.
#[derive(Debug)]
pub(crate) struct Waiter {
    waker: AtomicWaker,
    listed: AtomicBool,
}

pub(crate) struct Waiters {
    list: Stack<Arc<Waiter>>,
    /// How many wake-ups have begun.
    woken: AtomicU64,
    /// How many of them have taken the list.
    taken: AtomicU64,
    /// How many were listed since the list was last looked through.
    listed: AtomicU64,
    /// After how many it is looked through.
    limit: AtomicU64,
}

/// The model checker would not live to see 64.
const SWEEP_AT: u64 = if cfg!(fusebox_loom) { 1 } else { 64 };

impl Waiters {
    pub(crate) fn new() -> Self {
        Self {
            list: Stack::new(),
            woken: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            listed: AtomicU64::new(0),
            limit: AtomicU64::new(SWEEP_AT),
        }
    }

    /// Wakes everybody. To be called after the change is visible.
    pub(crate) fn wake_all(&self) {
        // SeqCst: either the waiter's look at the state, after its own fence, sees the change, or this sees the waiter.
        fence(Ordering::SeqCst);
        if self.list.is_empty() && self.listed.load(Ordering::Acquire) == 0 {
            return;
        }
        self.woken.fetch_add(1, Ordering::AcqRel);
        let waiting = self.list.take_all();
        self.taken.fetch_add(1, Ordering::AcqRel);
        for waiter in waiting {
            waiter.listed.store(false, Ordering::Release);
            waiter.waker.wake();
        }
    }

    /// Lists `waiter` with its newest waker. The caller must look at the state again afterwards.
    pub(crate) fn list(&self, waiter: &Arc<Waiter>, waker: &Waker) {
        waiter.waker.register(waker);
        if !waiter.listed.swap(true, Ordering::AcqRel) {
            self.list.push(Arc::clone(waiter));
            if self.listed.fetch_add(1, Ordering::AcqRel) >= self.limit.load(Ordering::Relaxed) {
                self.sweep();
            }
        }
        fence(Ordering::SeqCst);
    }

    /// Drops those who have gone away, so that a flood of them takes no memory until the next change. Whoever wakes
    /// meanwhile, or had begun to before, may miss those in hand, so they are all woken if that happened.
    #[cold]
    fn sweep(&self) {
        // In this order: if both are the same, no wake-up stood between its count and the list.
        let taken = self.taken.load(Ordering::Acquire);
        let woken = self.woken.load(Ordering::Acquire);
        let mut kept: u64 = 0;
        for waiter in self.list.take_all() {
            if Arc::strong_count(&waiter) > 1 {
                self.list.push(waiter);
                kept += 1;
            }
        }
        // Look again only after as many more as there are now: a sweep's cost is shared by those who caused it. The
        // count is never 0 again, which is what `wake_all` relies on while the list is in hand here.
        self.limit.store(kept.max(SWEEP_AT), Ordering::Relaxed);
        self.listed.store(1, Ordering::Release);
        fence(Ordering::SeqCst);
        if taken != woken || self.woken.load(Ordering::Acquire) != woken {
            self.wake_all();
        }
    }
}

impl Waiter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            waker: AtomicWaker::new(),
            listed: AtomicBool::new(false),
        })
    }
}
