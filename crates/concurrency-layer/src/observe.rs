//! What is seen from outside: the only file that names a metric or an event field.

use crate::error::Overloaded;
use crate::limit::Limit;

/// A call was refused.
pub(crate) fn refused(overloaded: &Overloaded) {
    let _ = overloaded;
}

/// A limit was changed.
pub(crate) fn limit_changed(limit: &Limit) {
    let _ = limit;
}

/// A limit is no more.
pub(crate) fn retired(name: &'static str) {
    let _ = name;
}
