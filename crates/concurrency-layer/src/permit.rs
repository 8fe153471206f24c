//! The right to be one of those in flight.

use std::fmt;

use crate::registry;
use crate::slot::{Slot, Slotted};

/// A slot of a [`Limit`](crate::Limit), given back when it is dropped: after the call, on its error, on a panic, when its
/// future is dropped.
///
/// ```
/// use concurrency_layer::Limit;
///
/// let limit = Limit::fixed(1).build()?;
/// let permit = limit.try_acquire()?;
/// assert!(limit.try_acquire().is_err());
/// drop(permit);
/// assert!(limit.try_acquire().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A permit that is forgotten (`std::mem::forget`) takes its slot with it for ever.
#[must_use = "a permit that is dropped gives its slot back"]
pub struct Permit {
    slot: &'static Slot,
}

impl Permit {
    /// For a slot that has been taken.
    #[inline]
    pub(crate) const fn new(slot: &'static Slot) -> Self {
        Self { slot }
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if self.slot.leave_quietly() {
            return;
        }
        attend(self.slot);
    }
}

/// Somebody waits, or the limit is retired.
#[cold]
#[inline(never)]
fn attend(slot: &'static Slot) {
    if slot.serve() == Slotted::Free {
        registry::recycle(slot);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
