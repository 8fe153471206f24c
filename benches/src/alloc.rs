//! An allocator that counts what the calling thread asks for.
#![allow(
    unsafe_code,
    reason = "an allocator that counts can't be had without; it passes everything on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });

/// Counts the allocations and reallocations of each thread.
#[derive(Debug)]
pub struct Counting;

// SAFETY: each method does what `System` does with the same arguments; counting touches no memory but the thread's cell.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn count() {
    // A thread that is being torn down has no cell any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

/// How many allocations the calling thread has made.
#[must_use]
pub fn made() -> u64 {
    COUNT.get()
}
