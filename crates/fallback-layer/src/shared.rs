//! What all clones of a service share, and the handle by which a call in flight holds on to it.

use core::ops::Deref;
use std::sync::Arc;

use crate::policy::Rules;

/// What all clones of a service share.
pub(crate) struct Shared<Resp, C, K> {
    pub(crate) chain: C,
    pub(crate) keep: K,
    pub(crate) rules: Rules<Resp>,
}

/// A handle to it. Two cores that count references to the same thing cost each other more than all else that a call that
/// succeeds does here, so a layer that is there for good need not be counted.
pub(crate) enum Handle<T: 'static> {
    Counted(Arc<T>),
    Leaked(&'static T),
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Counted(shared) => Self::Counted(Arc::clone(shared)),
            Self::Leaked(shared) => Self::Leaked(shared),
        }
    }
}

impl<T> Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Counted(shared) => shared,
            Self::Leaked(shared) => shared,
        }
    }
}
