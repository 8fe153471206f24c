//! The task of a probe: waits, checks, reports, and does one at a time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::catch::Caught;
use crate::check_error::tidy;
use crate::handle::Control;
use crate::jitter::Random;
use crate::probe::Probe;
use crate::record::Checked;
use crate::report::Reporter;
use crate::snapshot::CheckResult;
use crate::traffic::Traffic;

/// A probe that keeps saying that something has changed is heeded this many times an interval.
const EARLY_CHECKS: u32 = 10;

/// When to check, and for how long.
pub(crate) struct Pace {
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    pub(crate) initial_delay: Duration,
    pub(crate) jitter: f64,
    pub(crate) random: Random,
    pub(crate) idle: Option<(Duration, Traffic)>,
}

impl Pace {
    /// From the start of the last check to the start of the next.
    fn interval(&mut self, settled: bool) -> Duration {
        // Traffic is looked at each time, so that it is that of the last interval.
        let idle = self
            .idle
            .as_mut()
            .and_then(|(interval, traffic)| traffic.was_idle().then_some(*interval));
        let interval = match idle {
            Some(interval) if settled => interval,
            _ => self.every,
        };
        self.random.around(interval, self.jitter)
    }
}

/// Why a wait was over.
enum Woken {
    Check,
    HandleGone,
}

pub(crate) async fn run<P: Probe>(
    probe: P,
    mut pace: Pace,
    mut reporter: Reporter,
    mut control: watch::Receiver<Control>,
) {
    let mut served = 0;
    let mut due = Instant::now() + pace.initial_delay;
    let mut early = due;
    loop {
        reporter.due(due);
        match wait(&probe, &reporter, &mut control, served, due, early).await {
            Woken::Check => {}
            Woken::HandleGone => return,
        }
        served = control.borrow().wanted;
        let started = Instant::now();
        let checked = tokio::select! {
            biased;
            () = gone(&mut control) => return,
            checked = check(&probe, pace.timeout) => checked,
        };
        reporter.add(&checked);
        // A check that took longer than the interval is followed by the next at once; none is made up for.
        due = (started + pace.interval(reporter.is_settled())).max(Instant::now());
        early = started + pace.every / EARLY_CHECKS;
        reporter.due(due);
        reporter.serve(served);
    }
}

/// Waits until `due`, or until somebody asks for a check. A probe that says that something has changed is checked sooner,
/// at `early`.
async fn wait<P: Probe>(
    probe: &P,
    reporter: &Reporter,
    control: &mut watch::Receiver<Control>,
    served: u64,
    mut due: Instant,
    early: Instant,
) -> Woken {
    let (mut was_paused, mut was_told) = (false, false);
    loop {
        let now = *control.borrow_and_update();
        if now.wanted > served {
            return Woken::Check;
        }
        if was_paused && !now.paused {
            due = Instant::now();
            reporter.due(due);
        }
        was_paused = now.paused;
        tokio::select! {
            biased;
            changed = control.changed() => if changed.is_err() {
                return Woken::HandleGone;
            },
            () = sleep_until(due), if !now.paused => return Woken::Check,
            () = told(probe), if !now.paused && !was_told => {
                was_told = true;
                due = due.min(early);
                reporter.due(due);
            },
        }
    }
}

/// The probe says that something has changed.
async fn told<P: Probe>(probe: &P) {
    if Caught::new(async { probe.changed().await }).await.is_err() {
        // It panicked, and would again: leave it alone until the next check.
        std::future::pending::<()>().await;
    }
}

async fn gone(control: &mut watch::Receiver<Control>) {
    // What else has changed is looked at after the check.
    while control.changed().await.is_ok() {}
}

async fn check<P: Probe>(probe: &P, limit: Duration) -> Checked {
    let started = Instant::now();
    // Made when polled, so that a panic on the way to the future is caught too.
    let caught = Caught::new(async { probe.check().await });
    let answer = tokio::time::timeout(limit, caught).await;
    let latency = started.elapsed();
    let (result, error, down_at_once) = match answer {
        Ok(Ok(Ok(()))) => (CheckResult::Passed, None, false),
        Ok(Ok(Err(error))) => (CheckResult::Failed, Some(error.one_line()), error.is_down_at_once()),
        Ok(Err(panic)) => (CheckResult::Panicked, Some(tidy(&format!("panicked: {panic}"))), false),
        Err(_) => (CheckResult::TimedOut, Some(format!("timed out after {limit:?}")), false),
    };
    Checked {
        result,
        error,
        down_at_once,
        latency,
    }
}
