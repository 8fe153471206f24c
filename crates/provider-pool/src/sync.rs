//! The switch between the standard library and the model checker, for what `turns` stands on.

#[cfg(not(fusebox_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(fusebox_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
