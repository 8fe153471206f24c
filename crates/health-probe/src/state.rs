//! Up, down or not known.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// What a probe knows about its dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HealthState {
    /// Nothing: there was no result yet, or the probe has ended.
    #[default]
    Unknown,
    /// It is up.
    Up,
    /// It is down.
    Down,
}

impl HealthState {
    /// The state in `snake_case`, as logs and labels write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The state, and whether the probe still runs: what every call through a layer looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Running(HealthState),
    Ended,
}

impl Standing {
    pub(crate) const fn state(self) -> HealthState {
        match self {
            Self::Running(state) => state,
            Self::Ended => HealthState::Unknown,
        }
    }
}

/// A [`Standing`] in one byte, for readers that must not wait.
///
/// One task writes, anybody reads. Store is Release and load Acquire, so whoever sees a state also sees what was done
/// before it was told: that the circuits have been driven, and the record has been written.
#[derive(Debug)]
pub(crate) struct StandingCell(AtomicU8);

impl StandingCell {
    const UNKNOWN: u8 = 0;
    const UP: u8 = 1;
    const DOWN: u8 = 2;
    const ENDED: u8 = 3;

    pub(crate) const fn new() -> Self {
        Self(AtomicU8::new(Self::UNKNOWN))
    }

    #[inline]
    pub(crate) fn load(&self) -> Standing {
        match self.0.load(Ordering::Acquire) {
            Self::UNKNOWN => Standing::Running(HealthState::Unknown),
            Self::UP => Standing::Running(HealthState::Up),
            Self::DOWN => Standing::Running(HealthState::Down),
            _ => Standing::Ended,
        }
    }

    pub(crate) fn store(&self, standing: Standing) {
        let byte = match standing {
            Standing::Running(HealthState::Unknown) => Self::UNKNOWN,
            Standing::Running(HealthState::Up) => Self::UP,
            Standing::Running(HealthState::Down) => Self::DOWN,
            Standing::Ended => Self::ENDED,
        };
        self.0.store(byte, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_gives_back_what_it_was_given() {
        let cell = StandingCell::new();
        assert_eq!(cell.load(), Standing::Running(HealthState::Unknown));
        for standing in [
            Standing::Running(HealthState::Up),
            Standing::Running(HealthState::Down),
            Standing::Running(HealthState::Unknown),
            Standing::Ended,
        ] {
            cell.store(standing);
            assert_eq!(cell.load(), standing);
        }
        assert_eq!(cell.load().state(), HealthState::Unknown);
    }
}
