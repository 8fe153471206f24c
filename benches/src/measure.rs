//! Times and allocations.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::case::{Case, Worker};
use crate::clock::{self, Stretch};

/// What is measured, under a name that stays in the binary: callgrind counts in here only.
#[inline(never)]
pub fn measured_region(worker: &mut Worker, calls: u64) -> u64 {
    worker(calls)
}

/// A round is taken again while a thread was kept waiting for more than this share of its time.
const GOOD: f64 = 1.05;
/// After this many times the best is taken, if it is not too bad.
const TRIES: usize = 6;
const TOLERABLE: f64 = 1.25;
/// How long a thread is measured at a time.
const SLICE_NANOS: f64 = 3e6;

/// Nanoseconds a call, for one thread and for two that share a stack: medians over interleaved rounds. `None` where no
/// round was left undisturbed.
#[must_use]
pub fn times(cases: &[Case], rounds: usize) -> Vec<[Option<f64>; 2]> {
    let calls: Vec<[u64; 2]> = cases
        .iter()
        .map(|case| [1, 2].map(|threads| case.calls.unwrap_or_else(|| enough(case, threads))))
        .collect();
    let mut seen = vec![[vec![], vec![]]; cases.len()];
    for _ in 0..rounds {
        for (at, case) in cases.iter().enumerate() {
            for threads in [1, 2] {
                seen[at][threads - 1].extend(undisturbed(case, threads, calls[at][threads - 1]));
            }
        }
    }
    seen.into_iter().map(|by_threads| by_threads.map(median)).collect()
}

fn enough(case: &Case, threads: usize) -> u64 {
    let nanos = round(case, threads, 2000).worked.max(0.2);
    #[allow(clippy::cast_sign_loss, reason = "both are above zero")]
    let calls = (SLICE_NANOS / nanos).clamp(500.0, 5e6) as u64;
    calls
}

fn undisturbed(case: &Case, threads: usize, calls: u64) -> Option<f64> {
    let mut best: Option<Stretch> = None;
    for _ in 0..TRIES {
        let this = round(case, threads, calls);
        if best.is_none_or(|best| this.delay < best.delay) {
            best = Some(this);
        }
        if this.delay < GOOD {
            break;
        }
    }
    best.filter(|best| best.delay < TOLERABLE).map(|best| best.worked)
}

/// The mean over the threads, a call; the greatest delay.
fn round(case: &Case, threads: usize, calls: u64) -> Stretch {
    let mut workers = (case.make)(threads);
    // By one of them: a window that two warm holds twice as much.
    workers[0](case.warm);
    let runtime = tokio::runtime::Handle::try_current();
    let waiting = &AtomicUsize::new(threads);
    let stretches: Vec<Stretch> = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .enumerate()
            .map(|(n, worker)| {
                // Some peers wait by a timer.
                let runtime = runtime.as_ref().ok();
                scope.spawn(move || {
                    let _entered = runtime.map(tokio::runtime::Handle::enter);
                    clock::pin(n);
                    // Nobody starts before all are running.
                    waiting.fetch_sub(1, Ordering::AcqRel);
                    while waiting.load(Ordering::Acquire) > 0 {
                        std::thread::yield_now();
                    }
                    clock::time(|| {
                        std::hint::black_box(measured_region(worker, calls));
                    })
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    Stretch {
        worked: stretches.iter().map(|stretch| stretch.worked).sum::<f64>() / stretches.len() as f64 / calls as f64,
        delay: stretches.iter().map(|stretch| stretch.delay).fold(0.0, f64::max),
    }
}

fn median(mut of: Vec<f64>) -> Option<f64> {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied()
}

/// Allocations a call by the calling thread, once the stack has warmed up.
#[must_use]
pub fn allocations(case: &Case) -> f64 {
    let calls = case.calls.unwrap_or(1000);
    let mut workers = (case.make)(1);
    workers[0](case.warm);
    let before = crate::alloc::made();
    std::hint::black_box(workers[0](calls));
    (crate::alloc::made() - before) as f64 / calls as f64
}
