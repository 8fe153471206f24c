//! A stack that any thread may push to and any thread may empty: the one place with `unsafe`.
//!
//! There is no `pop` of a single element, which is what makes such stacks hard: a node is freed only by the thread that
//! has taken the whole list with one swap, after which no other thread can reach it. So there is no ABA and nothing to
//! reclaim later. A well-kept queue would do, but the ones there are wait in a loop for a slower thread to finish its
//! step, and nothing on the path of a call may wait.
#![allow(
    unsafe_code,
    reason = "an intrusive lock-free list; the argument stands at each block"
)]

use alloc::boxed::Box;
use core::ptr;

use crate::sync::{AtomicPtr, Ordering};

pub(crate) struct Stack<T> {
    head: AtomicPtr<Node<T>>,
}

struct Node<T> {
    value: T,
    next: *mut Node<T>,
}

// SAFETY: the stack owns its values and hands each to exactly one taker; no reference to one is given out while it is in
// the stack. Moving values between threads is all that happens, which `T: Send` allows.
unsafe impl<T: Send> Send for Stack<T> {}
// SAFETY: as above; `push` and `take_all` are the only shared operations and move values only.
unsafe impl<T: Send> Sync for Stack<T> {}

impl<T> Stack<T> {
    #[cfg(not(fusebox_loom))]
    pub(crate) const fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[cfg(fusebox_loom)]
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Puts `value` on top.
    pub(crate) fn push(&self, value: T) {
        let node = Box::into_raw(Box::new(Node {
            value,
            next: ptr::null_mut(),
        }));
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: `node` came from `Box::into_raw` above and is not shared before the exchange below succeeds.
            unsafe { (*node).next = head };
            // Release: publishes the node to whoever takes the list with Acquire.
            match self
                .head
                .compare_exchange_weak(head, node, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes everything, the oldest first.
    pub(crate) fn take_all(&self) -> Taken<T> {
        // Acquire: pairs with the Release of each push, as every push extends the release sequence of the one before.
        let mut from = self.head.swap(ptr::null_mut(), Ordering::AcqRel);
        let mut oldest = ptr::null_mut();
        while !from.is_null() {
            // SAFETY: the swap made this thread the only one that can reach the list.
            unsafe {
                let next = (*from).next;
                (*from).next = oldest;
                oldest = from;
                from = next;
            }
        }
        Taken { next: oldest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Acquire).is_null()
    }
}

impl<T> Drop for Stack<T> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

/// What was taken off a stack; the rest is dropped with it.
pub(crate) struct Taken<T> {
    next: *mut Node<T>,
}

impl<T> Iterator for Taken<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: the list belongs to this iterator alone, and each node came from `Box::into_raw` in `push`. It is
        // turned back into a box exactly once, as `self.next` moves on before anything else can happen.
        let node = unsafe { Box::from_raw(self.next) };
        self.next = node.next;
        Some(node.value)
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        for value in &mut *self {
            drop(value);
        }
    }
}

#[cfg(all(test, not(fusebox_loom)))]
mod tests {
    use super::*;
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    #[test]
    fn everything_pushed_comes_out_once_and_in_order() {
        let stack = Stack::new();
        for n in 0..5 {
            stack.push(n);
        }
        assert_eq!(stack.take_all().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(stack.is_empty());
    }

    #[test]
    fn what_is_not_taken_is_dropped() {
        let value = Arc::new(());
        let stack = Stack::new();
        for _ in 0..4 {
            stack.push(value.clone());
        }
        let mut taken = stack.take_all();
        drop(taken.next());
        stack.push(value.clone());
        drop(taken);
        drop(stack);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
