//! Wall time, read here and nowhere else.
//!
//! A budget survives a restart, so its stamps cannot come from a monotonic clock, which starts anew with the machine.
//! Wall clocks jump. A store therefore never believes a reading that is older than the newest stamp it holds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where a store reads the time: milliseconds since the Unix epoch.
///
/// ```
/// use cooldown_layer::{SystemWall, WallClock};
///
/// assert!(SystemWall.now_ms() > 1_700_000_000_000);
/// ```
pub trait WallClock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
}

impl<C: WallClock + ?Sized> WallClock for Arc<C> {
    fn now_ms(&self) -> u64 {
        (**self).now_ms()
    }
}

/// The system's wall clock. See [`WallClock`] for an example.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemWall;

impl WallClock for SystemWall {
    #[allow(clippy::disallowed_methods)] // the one file that is named for the wall clock
    fn now_ms(&self) -> u64 {
        // A clock before 1970 reads as 1970: the stores then hold on to the newest stamp they know.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
    }
}

/// A clock that a test moves by hand; clones show the same time.
///
/// ```
/// use std::time::Duration;
/// use cooldown_layer::{ManualWall, WallClock};
///
/// let clock = ManualWall::at_ms(1_000);
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(clock.now_ms(), 3_000);
/// ```
#[derive(Clone)]
pub struct ManualWall(Arc<AtomicU64>);

impl ManualWall {
    /// A clock that stands at `ms` milliseconds after the Unix epoch.
    #[must_use]
    pub fn at_ms(ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(ms)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Puts the clock anywhere, also back.
    pub fn set_ms(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }
}

impl Default for ManualWall {
    /// Stands at 2023-11-14 22:13:20 UTC.
    fn default() -> Self {
        Self::at_ms(1_700_000_000_000)
    }
}

impl fmt::Debug for ManualWall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualWall")
            .field(&self.0.load(Ordering::SeqCst))
            .finish()
    }
}

impl WallClock for ManualWall {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Whole milliseconds; what does not fit is as good as for ever.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The moment `ms` milliseconds after the epoch, `None` past what the platform can name.
pub(crate) fn moment(ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
}

/// `14:32:10 UTC`; with the date where `from_ms` is over a day away.
pub(crate) fn clock_face(ms: u64, from_ms: u64) -> String {
    let seconds = ms / 1000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    if ms.abs_diff(from_ms) < 86_400_000 {
        return format!("{hour:02}:{minute:02}:{second:02} UTC");
    }
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The proleptic Gregorian date of a day since the epoch, counted in eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// `6 min 4 s`: the two largest units that are not zero.
pub(crate) fn spoken(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{} ms", duration.as_millis());
    }
    let seconds = duration.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = units
        .iter()
        .position(|(count, _)| *count > 0)
        .unwrap_or(units.len() - 1);
    let mut text = format!("{} {}", units[first].0, units[first].1);
    if let Some((count, unit)) = units.get(first + 1).filter(|(count, _)| *count > 0) {
        text = format!("{text} {count} {unit}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_a_person_would_say_them() {
        assert_eq!(spoken(Duration::from_secs(364)), "6 min 4 s");
        assert_eq!(spoken(Duration::from_secs(900)), "15 min");
        assert_eq!(spoken(Duration::from_secs(90_000)), "1 d 1 h");
        assert_eq!(spoken(Duration::from_millis(20)), "20 ms");
        assert_eq!(spoken(Duration::ZERO), "0 ms");
        assert_eq!(clock_face(1_700_000_000_000, 1_700_000_000_000), "22:13:20 UTC");
        assert_eq!(clock_face(1_700_000_000_000, 0), "2023-11-14 22:13:20 UTC");
        assert_eq!(clock_face(951_782_400_000, 0), "2000-02-29 00:00:00 UTC");
    }
}
