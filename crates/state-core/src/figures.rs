//! What a window holds.

/// How many calls a window holds, and how many of them failed or were slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

impl Figures {
    /// Failures per call; `None` below one call.
    pub(crate) fn failure_rate(self) -> Option<f64> {
        rate(self.failures, self.calls)
    }

    /// Slow calls per call; `None` below one call.
    pub(crate) fn slow_rate(self) -> Option<f64> {
        rate(self.slow, self.calls)
    }
}

fn rate(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}
