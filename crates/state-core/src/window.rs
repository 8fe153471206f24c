//! Which outcomes a rate is taken over.

use core::time::Duration;

/// Which outcomes the failure rate and the slow-call rate are taken over.
///
/// ```
/// use std::time::Duration;
/// use state_core::{Circuit, Window};
///
/// let last_calls = Circuit::builder("doc-calls").failure_rate_above(0.5).window(Window::calls(200)).build()?;
/// let last_minute = Circuit::builder("doc-time")
///     .failure_rate_at_least(0.3)
///     .window(Window::time(Duration::from_secs(60)).buckets(12))
///     .min_calls(20)
///     .build()?;
/// # Ok::<(), state_core::BuildError>(())
/// ```
///
/// # Exactness
///
/// Used by one thread at a time, every window is exact. While several record at once, a rate may be read when another
/// outcome is half way in; once they are quiet it is exact again. Two bounds, both for threads that the system suspends
/// in the middle of recording:
///
/// - `calls(n)`: an outcome whose recorder is suspended while n others land takes the place of the newest of them
///   instead of its own: one place in n for each such thread.
/// - `time(span)`: an outcome whose recorder is suspended over the turn of its slice lands in the newer slice, and one that is
///   suspended for the whole span may be dropped: one outcome for each such thread.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Window(pub(crate) Kind);

#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case", deny_unknown_fields)
)]
pub(crate) enum Kind {
    Lifetime,
    Calls(u32),
    Time {
        #[cfg_attr(feature = "serde", serde(with = "crate::span"))]
        span: Duration,
        #[cfg_attr(feature = "serde", serde(default = "default_buckets"))]
        buckets: u32,
    },
}

const DEFAULT_BUCKETS: u32 = 10;

#[cfg(feature = "serde")]
fn default_buckets() -> u32 {
    DEFAULT_BUCKETS
}

impl Window {
    /// Everything since the circuit last closed.
    #[must_use]
    pub const fn lifetime() -> Self {
        Self(Kind::Lifetime)
    }

    /// The last `n` recorded outcomes, 1 to 65,536. A rule may already speak once `min_calls` of them are there.
    #[must_use]
    pub const fn calls(n: u32) -> Self {
        Self(Kind::Calls(n))
    }

    /// The outcomes of the last `span`, kept in 10 slices; a slice drops out whole.
    #[must_use]
    pub const fn time(span: Duration) -> Self {
        Self(Kind::Time {
            span,
            buckets: DEFAULT_BUCKETS,
        })
    }

    /// The number of slices of a time window, 1 to 256 (default 10). Other windows have none and stay as they are.
    #[must_use]
    pub const fn buckets(self, buckets: u32) -> Self {
        match self.0 {
            Kind::Time { span, .. } => Self(Kind::Time { span, buckets }),
            _ => self,
        }
    }
}
