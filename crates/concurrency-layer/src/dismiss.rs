//! What tells those who wait that waiting is pointless.

use std::future::{Future, Pending, pending};

/// Makes the future that dismisses a waiting call. Every closure that returns a future is one.
///
/// Each call that has to wait gets a future of its own and is refused with [`Reason::Dismissed`](crate::Reason) when it
/// resolves. A call that finds a free slot makes none. See [`LimitBuilder::dismiss_when`](crate::LimitBuilder::dismiss_when).
pub trait Dismiss {
    /// Resolves when waiting has become pointless.
    type Dismissal: Future<Output = ()>;

    /// A future for one call that is about to wait.
    fn dismissal(&self) -> Self::Dismissal;
}

impl<F, T> Dismiss for F
where
    F: Fn() -> T,
    T: Future<Output = ()>,
{
    type Dismissal = T;

    fn dismissal(&self) -> T {
        self()
    }
}

/// Nothing dismisses those who wait: what a limit without [`dismiss_when`](crate::LimitBuilder::dismiss_when) has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undismissed;

impl Dismiss for Undismissed {
    type Dismissal = Pending<()>;

    fn dismissal(&self) -> Pending<()> {
        pending()
    }
}
