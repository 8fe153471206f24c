//! A place of one's own for each thread, so that counting writes no line that another thread reads.

/// The number of shards that counters are made with: enough for the cores of this machine, a power of two, at most 8.
pub(crate) fn count() -> usize {
    #[cfg(feature = "std")]
    {
        std::thread::available_parallelism().map_or(1, |n| n.get().next_power_of_two().min(8))
    }
    #[cfg(not(feature = "std"))]
    {
        1
    }
}

/// The calling thread's place, to be taken modulo the number of shards.
#[cfg(feature = "std")]
#[inline]
pub(crate) fn mine() -> usize {
    use core::cell::Cell;
    use core::sync::atomic::{AtomicUsize, Ordering};

    static NEXT: AtomicUsize = AtomicUsize::new(0);
    std::thread_local!(static MINE: Cell<usize> = const { Cell::new(usize::MAX) });

    #[cold]
    fn first() -> usize {
        let mine = NEXT.fetch_add(1, Ordering::Relaxed) & (usize::MAX >> 1);
        let _ = MINE.try_with(|cell| cell.set(mine));
        mine
    }

    match MINE.try_with(Cell::get) {
        Ok(usize::MAX) | Err(_) => first(),
        Ok(mine) => mine,
    }
}

#[cfg(not(feature = "std"))]
#[inline]
pub(crate) fn mine() -> usize {
    0
}
