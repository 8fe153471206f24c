//! The real clocks, and the processor that a thread runs on.

use std::time::Instant;

/// How long something took.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Nanoseconds of the thread's own processor time.
    pub worked: f64,
    /// Nanoseconds on the wall, over those: above 1 by as much as the thread was kept waiting.
    pub delay: f64,
}

/// Runs and times something.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
pub fn time(what: impl FnOnce()) -> Stretch {
    let (wall, worked) = (Instant::now(), processor_nanos());
    what();
    let (worked, wall) = (
        processor_nanos().zip(worked).map(|(end, start)| end - start),
        wall.elapsed().as_nanos() as f64,
    );
    let worked = worked.unwrap_or(wall).max(1.0);
    Stretch {
        worked,
        delay: wall / worked,
    }
}

/// A reading of the standard library's clock, as a case.
#[allow(clippy::disallowed_methods, reason = "it is what is measured")]
pub fn read_std() {
    std::hint::black_box(Instant::now());
}

#[cfg(target_os = "linux")]
#[allow(clippy::unnecessary_wraps, reason = "other systems have none")]
fn processor_nanos() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(time.tv_sec as f64 * 1e9 + time.tv_nsec as f64)
}

#[cfg(not(target_os = "linux"))]
fn processor_nanos() -> Option<f64> {
    None
}

/// Keeps the calling thread on the n-th of the processors that it may use, where the system can.
pub fn pin(n: usize) {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        let Ok(allowed) = sched_getaffinity(None) else { return };
        let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
        let Some(cpu) = processors.get(n % processors.len().max(1)) else {
            return;
        };
        let mut set = CpuSet::new();
        set.set(*cpu);
        // A thread that may not be pinned is measured where it is.
        let _ = sched_setaffinity(None, &set);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = n;
}
