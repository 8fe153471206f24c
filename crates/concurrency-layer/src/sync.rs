//! The switch between the standard library and the model checker.
//!
//! `word`, `line` and `slot` take their atomics and their lock from here and know nothing else of the outside, so that
//! loom can run every interleaving of them. The switch has a name of its own (`fusebox_loom`, not `loom`) because the
//! common name takes `tokio::net` away from everything in the build.

#[cfg(not(fusebox_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic::AtomicU64};

#[cfg(fusebox_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::AtomicU64};
