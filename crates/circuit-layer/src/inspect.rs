//! Errors that say nothing about the dependency.

use std::fmt;

/// Picks errors that are to count nowhere. Every `Fn(&E) -> bool` becomes one by
/// [`CircuitLayer::neutral_when`](crate::CircuitLayer::neutral_when).
pub trait Inspect<E> {
    /// Whether `error` says nothing about the dependency.
    fn is_neutral(&self, error: &E) -> bool;
}

/// The default inspector: every error counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Nothing;

impl<E> Inspect<E> for Nothing {
    #[inline]
    fn is_neutral(&self, _error: &E) -> bool {
        false
    }
}

/// An inspector by a function, on top of another one. Made by
/// [`CircuitLayer::neutral_when`](crate::CircuitLayer::neutral_when).
#[derive(Clone, Copy)]
pub struct NeutralWhen<F, N = Nothing> {
    pub(crate) test: F,
    pub(crate) before: N,
}

impl<E, F, N> Inspect<E> for NeutralWhen<F, N>
where
    F: Fn(&E) -> bool,
    N: Inspect<E>,
{
    fn is_neutral(&self, error: &E) -> bool {
        self.before.is_neutral(error) || (self.test)(error)
    }
}

impl<F, N: fmt::Debug> fmt::Debug for NeutralWhen<F, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NeutralWhen")
            .field("before", &self.before)
            .finish_non_exhaustive()
    }
}
