//! Ranges of HTTP statuses.

use std::fmt;
use std::ops::RangeInclusive;

use http::StatusCode;

/// One HTTP status, or a range of them.
///
/// ```
/// use health_probe::Statuses;
///
/// assert_eq!(Statuses::from(204).to_string(), "204");
/// assert_eq!(Statuses::from(200..=299).to_string(), "200 to 299");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    first: u16,
    last: u16,
}

impl Statuses {
    pub(crate) const SUCCESS: Self = Self { first: 200, last: 299 };

    pub(crate) fn contain(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }

    /// Neither empty nor outside what HTTP allows.
    pub(crate) const fn is_sound(self) -> bool {
        self.first >= 100 && self.first <= self.last && self.last <= 999
    }

    pub(crate) const fn overlap(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl From<u16> for Statuses {
    fn from(status: u16) -> Self {
        Self {
            first: status,
            last: status,
        }
    }
}

impl From<StatusCode> for Statuses {
    fn from(status: StatusCode) -> Self {
        status.as_u16().into()
    }
}

impl From<RangeInclusive<u16>> for Statuses {
    fn from(range: RangeInclusive<u16>) -> Self {
        let (first, last) = range.into_inner();
        Self { first, last }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first} to {last}"),
        }
    }
}
